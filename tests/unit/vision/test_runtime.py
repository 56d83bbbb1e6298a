from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from countenance.errors import ModelError
from countenance.vision.runtime import Session, default_threads


def doubling(*free: str) -> bytes:
    """A network of any shape: y = x + x."""
    free = free or ("n", "c")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, free)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def summing() -> bytes:
    """A network that takes rows of three: y = x @ (1, 1, 1)."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "ones"], ["y"])],
        "sum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor("ones", TensorProto.FLOAT, [3, 1], [1.0, 1.0, 1.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def counted(source: Callable[[], bytes]) -> tuple[Callable[[], bytes], list[int]]:
    calls: list[int] = []

    def read() -> bytes:
        calls.append(1)
        return source()

    return read, calls


def test_the_model_is_read_at_the_first_run_and_once_a_shape() -> None:
    source, calls = counted(doubling)
    session = Session("double", source, 2)
    assert calls == []
    for _ in range(3):
        for width in (2, 5):
            x = np.full((1, width), 1.5, np.float32)
            [y] = session.run(x)
            assert y.tolist() == [[3.0] * width]
    assert len(calls) == 2


def test_results_stay_as_they_were_when_the_session_runs_again() -> None:
    session = Session("double", doubling, 1)
    [first] = session.run(np.ones((1, 3), np.float32))
    session.run(np.zeros((1, 3), np.float32))
    assert first.tolist() == [[2.0, 2.0, 2.0]]


def test_pixels_become_what_the_network_takes() -> None:
    session = Session("double", lambda: doubling("n", "c", "h", "w"), 1, of_pixels=True)
    pixels = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(1, 2, 4, 3) + np.uint8(200)
    [y] = session.run(pixels)
    assert y.dtype == np.float32
    assert y.tolist() == (2.0 * pixels.transpose(0, 3, 1, 2)).tolist()


def test_map_keeps_the_order() -> None:
    session = Session("double", doubling, 4)
    inputs = [np.full((1, 4), value, np.float32) for value in range(50)]
    assert [float(y[0, 0]) for [y] in session.map(inputs)] == [2.0 * value for value in range(50)]


def test_many_callers_at_once_get_their_own_answers() -> None:
    session = Session("double", doubling, 2)
    wrong: list[float] = []

    def call(value: float) -> None:
        for width in (3, 4, 5) * 20:
            [y] = session.run(np.full((2, width), value, np.float32))
            if not (y == 2 * value).all():
                wrong.append(value)

    threads = [threading.Thread(target=call, args=(float(value),)) for value in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_shapes_beyond_the_kept_ones_are_compiled_again() -> None:
    source, calls = counted(doubling)
    session = Session("double", source, 1)
    for width in [*range(1, 20), 1]:
        session.run(np.ones((1, width), np.float32))
    assert len(calls) == 20


def test_what_is_no_model_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="junk cannot be loaded"):
        Session("junk", lambda: b"not a network at all", 1).run(np.ones((1, 1), np.float32))


def test_an_input_the_model_does_not_take_is_a_model_error() -> None:
    session = Session("sum", summing, 1)
    assert session.run(np.ones((2, 3), np.float32))[0].tolist() == [[3.0], [3.0]]
    with pytest.raises(ModelError, match="sum"):
        session.run(np.ones((2, 4), np.float32))


WATCHED = """
    import sys
    calls = []
    kinds = {"socket.connect", "socket.getaddrinfo", "os.fork", "os.posix_spawn", "subprocess.Popen"}
    sys.addaudithook(lambda kind, args: calls.append(kind) if kind in kinds else None)

    import numpy as np
    from countenance.vision.runtime import Session
    from tests.unit.vision.test_runtime import doubling

    [y] = Session("double", doubling, 1).run(np.ones((1, 2), np.float32))
    print(y.tolist(), calls)
"""


def test_running_a_network_tells_nobody(tmp_path: Path) -> None:
    """Left to itself, OpenVINO reports every import to its makers' statistics and writes ~/intel."""
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WATCHED)],
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "[[2.0, 2.0]] []"
    assert not (tmp_path / "intel").exists()


TOGETHER = """
    import sys
    import threading
    import numpy as np
    from countenance.vision import Vision
    from countenance.vision.images import decode
    from countenance.vision.runtime import Session
    from tests.parity import photos
    from tests.unit.vision.test_runtime import doubling

    # A thread that takes Python's lock keeps it a second: long enough to run into what another has begun.
    sys.setswitchinterval(1)
    start = threading.Barrier(4)
    session, number = Session("double", doubling, 4), np.ones((1, 2), np.float32)
    vision, pictures = Vision.load(threads=2), [decode(photos.grace()), decode(photos.eileen())]

    def network():
        start.wait()
        session.run(number)

    def senses():
        start.wait()
        for image in pictures:
            vision.embed(image, vision.detect(image))

    threads = [threading.Thread(target=PART) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("all came back")
"""


@pytest.mark.parametrize("part", ["network", "senses"])
def test_threads_that_are_the_first_to_use_openvino_do_not_wait_for_ever(part: str) -> None:
    """OpenVINO's binding looks numpy up at its first array, holding a guard while it waits for Python's lock.

    A second thread that has that lock and comes to the guard then waits too. Needs a process that is new.
    """
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TOGETHER).replace("PART", part)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert answer.stdout == "all came back\n"


def test_there_is_at_least_one_processor() -> None:
    assert default_threads() >= 1
