"""Inference sessions; the only file that knows OpenVINO (docs/decisions/0003-one-inference-runtime.md)."""

from __future__ import annotations

import io
import os
import queue
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

# Importing OpenVINO sends an event to its makers' statistics, unasked, if this package can be had. Without
# it OpenVINO takes a stub of its own; tests/docs/test_docs.py sees that it does.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402
import openvino.opset13  # noqa: E402
import openvino.preprocess  # noqa: E402

from countenance.errors import ModelError  # noqa: E402
from countenance.types import Pixels  # noqa: E402

Tensor = npt.NDArray[np.float32]

_SHAPES_KEPT: Final = 8  # compiled input shapes a session keeps; the detector uses six


_ALONE = threading.Lock()
"""Held while a network is compiled and run for the first time.

At its first array OpenVINO's binding looks numpy up, and waits for Python's lock with a guard in its hands; a
second thread that had the lock and came to the guard was seen to wait with it for ever.
"""


def default_threads() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Session:
    """One network, ready for many callers at once.

    name: what errors call it. source: reads the model (ONNX or TFLite bytes); called at the first run and for
    each new input shape. threads: processors to use. of_pixels: run() takes (1, H, W, C) where the
    network wants (1, C, H, W). OpenVINO's convolutions take pixels in our order, so nothing is turned around
    (7 to 10 % of detection's time), and float32 (from uint8 it turns them twice: 12 % more). Bit by bit the
    same results. any_shape: compile once for inputs of every shape, a sixth slower to run, where they rarely
    have the same shape twice.

    Each thread has a stream of its own: a photo takes 57 ms of processor time so, and 80 where two threads
    share one (docs/decisions/0003-one-inference-runtime.md).
    """

    def __init__(
        self,
        name: str,
        source: Callable[[], bytes],
        threads: int | None = None,
        *,
        of_pixels: bool = False,
        any_shape: bool = False,
    ) -> None:
        self._name = name
        self._source = source
        self._of_pixels = of_pixels
        self._any_shape = any_shape
        self._threads = threads or default_threads()
        self._compiled: OrderedDict[tuple[int, ...], queue.SimpleQueue[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self._threads + 1, thread_name_prefix=name)

    def run(self, array: Tensor | Pixels) -> list[Tensor]:
        """The network's outputs, in the model's order, for one input. Raises ModelError."""
        requests = self._requests(array.shape)
        request = requests.get()
        try:
            if self._any_shape:
                request.input_tensors[0].shape = array.shape
            request.input_tensors[0].data[...] = array
            request.infer(share_outputs=True)  # no copies beside our own
            return [np.array(tensor.data) for tensor in request.output_tensors]
        except RuntimeError as fault:
            raise ModelError(f"{self._name} failed on an input of shape {array.shape}: {fault}") from fault
        finally:
            requests.put(request)

    def map(self, arrays: Sequence[Tensor | Pixels]) -> list[list[Tensor]]:
        """run() over many inputs, as many at once as the processors take."""
        if len(arrays) < 2 or self._threads < 2:
            return [self.run(array) for array in arrays]
        return list(self._pool.map(self.run, arrays))

    def _requests(self, shape: tuple[int, ...]) -> queue.SimpleQueue[Any]:
        """The idle infer requests for one input shape. Fixed shapes: dynamic ones run a sixth slower."""
        with self._lock:
            kept = () if self._any_shape else shape
            found = self._compiled.get(kept)
            if found is None:
                found = self._compiled[kept] = self._compile(shape)
            self._compiled.move_to_end(kept)
            while len(self._compiled) > _SHAPES_KEPT:
                self._compiled.popitem(last=False)
            return found

    def _compile(self, shape: tuple[int, ...]) -> queue.SimpleQueue[Any]:
        try:
            return _compiled(
                self._source(),
                shape,
                self._threads,
                of_pixels=self._of_pixels,
                any_shape=self._any_shape,
            )
        except RuntimeError as fault:
            raise ModelError(f"{self._name} cannot be loaded: {fault}") from fault


def _compiled(
    source: bytes, shape: tuple[int, ...], threads: int, *, of_pixels: bool, any_shape: bool
) -> queue.SimpleQueue[Any]:
    """As many infer requests as threads, each of which has run once."""
    model = _read(source)
    if of_pixels:
        model = _from_pixels(model, shape)
    elif not any_shape:
        model.reshape(list(shape))
    with _ALONE:
        compiled = _core().compile_model(model, "CPU", _settings(threads))
        idle = [compiled.create_infer_request() for _ in range(threads)]
        for request in idle:
            if any_shape:
                request.input_tensors[0].shape = shape
            request.infer()
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for request in idle:
        requests.put(request)
    return requests


def _settings(threads: int) -> dict[str, object]:
    # f32: processors with AMX choose bf16 by themselves, which moves embeddings (mean cosine .99994).
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
    }


def _read(model: bytes) -> Any:
    """OpenVINO reads ONNX from memory, TFLite only from a file."""
    if model[4:8] != b"TFL3":
        return _core().read_model(io.BytesIO(model))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.tflite"
        file.write_bytes(model)
        return _unpacked(_core().read_model(file))


def _unpacked(model: Any) -> Any:
    """The model with weights kept in bytes multiplied by their scales beforehand.

    Left to OpenVINO 2026.4.1 with two streams, 10 of 75 compilations of mini-xception-fer2013 gave a network
    that said nonsense; none of 20 did with one stream, and none of 40 with two and the weights unpacked here.
    """
    for product in model.get_ordered_ops():
        if product.get_type_name() != "Multiply":
            continue
        sources = [each.get_source_output().get_node() for each in product.inputs()]
        kinds = [each.get_type_name() for each in sources]
        if kinds != ["Convert", "Constant"]:
            continue
        packed = sources[0].input(0).get_source_output().get_node()
        if packed.get_type_name() == "Constant":
            weights = packed.data.astype(np.float32) * sources[1].data
            product.output(0).replace(openvino.opset13.constant(weights.astype(np.float32)).output(0))
    return model


def _from_pixels(model: Any, shape: tuple[int, ...]) -> Any:
    """The model with float32 (1, H, W, C) as its input."""
    count, height, width, channels = shape
    model.reshape([count, channels, height, width])
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


@cache
def _core() -> Any:
    return openvino.Core()
