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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from countenance.errors import ModelError
from countenance.types import Box, Face, Landmarks, Point
from countenance.vision import Vision, carriers, zoo
from countenance.vision.carriers import Carrier, File

PUBLISHED = b"weights " * 1000
TOPOLOGY = b'{"layers": []}'


def described(data: bytes, name: str) -> File:
    return File(
        name=name,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        upstream=f"https://127.0.0.1:9/{name}",
        member=f"package/models/{name}",
    )


FILE = described(PUBLISHED, "test.onnx")
CARD = replace(
    zoo.card("yunet-2023mar"),
    id="test-card",
    files=(FILE,),
    conversion="none",
    carrier=Carrier("pypi", "carrier", "1.0", 5000),
)
[NAME] = [path.name for path in zoo.paths(CARD)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def served(monkeypatch: pytest.MonkeyPatch, **contents: bytes) -> list[str]:
    """A package source that hands over files by name, without their ending; the packages it was asked for."""
    calls: list[str] = []

    def answer(
        carrier: Carrier, files: Sequence[File], folder: Path, report: carriers.Report
    ) -> dict[File, bytes]:
        calls.append(str(carrier))
        (folder / "half-a-wheel").write_bytes(b"half")
        report(str(carrier), 2500, carrier.size)
        return {file: contents[file.name.split(".")[0]] for file in files}

    monkeypatch.setattr(carriers, "from_package", answer)
    return calls


def absent(*_: object) -> bytes:
    raise carriers.FetchError("no such package")


def test_a_pulled_file_is_the_published_one_and_is_fetched_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = served(monkeypatch, test=PUBLISHED)
    seen: list[tuple[str, int, int]] = []
    for _ in range(2):
        zoo.pull(CARD, report=lambda *told: seen.append(told))
    assert [file.read_bytes() for file in home.iterdir()] == [PUBLISHED]
    assert zoo.paths(CARD) == (home / NAME,)
    assert zoo.load(CARD) == PUBLISHED
    assert calls == ["carrier 1.0"]
    assert seen == [("carrier 1.0", 2500, 5000)]


def test_a_package_of_several_cards_is_fetched_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = served(monkeypatch, test=PUBLISHED, other=TOPOLOGY, third=b"3")
    other = replace(CARD, id="other-card", files=(described(TOPOLOGY, "other.json"), FILE))
    third = described(b"3", "third.bin")
    elsewhere = replace(CARD, id="elsewhere", files=(third,), carrier=Carrier("pypi", "another", "2", 1))
    zoo.pull(CARD, other, elsewhere)
    assert calls == ["carrier 1.0", "another 2"]
    assert zoo.verify(other) == (TOPOLOGY, PUBLISHED)
    assert len(list(home.iterdir())) == 3, "a file that two cards name is kept once"


def test_only_the_file_that_is_missing_is_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, test=PUBLISHED)
    zoo.pull(CARD)
    pair = replace(CARD, files=(described(TOPOLOGY, "other.json"), FILE))
    assert not zoo.present(pair)
    served(monkeypatch, other=TOPOLOGY)
    zoo.pull(pair)
    assert zoo.verify(pair) == (TOPOLOGY, PUBLISHED)


def test_a_conversion_takes_the_files_in_the_cards_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, test=PUBLISHED, other=TOPOLOGY)
    monkeypatch.setattr(zoo, "_CONVERSIONS", {"joined": lambda topology, weights: topology + weights})
    pair = replace(CARD, files=(described(TOPOLOGY, "other.json"), FILE), conversion="joined")
    zoo.pull(pair)
    assert zoo.load(pair) == TOPOLOGY + PUBLISHED


def test_what_can_be_fetched_is_before_the_rest_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, test=PUBLISHED[:-1], other=TOPOLOGY)
    good = replace(CARD, files=(described(TOPOLOGY, "other.json"),), carrier=Carrier("pypi", "good", "1", 1))
    with pytest.raises(ModelError, match=r"test\.onnx of carrier 1\.0"):
        zoo.pull(CARD, good)
    assert zoo.verify(good) == (TOPOLOGY,)


def test_a_wrong_byte_is_refused_and_nothing_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, test=PUBLISHED[:-1] + b"!")
    with pytest.raises(ModelError) as refusal:
        zoo.pull(CARD)
    text = str(refusal.value)
    assert FILE.sha256 in text
    assert hashlib.sha256(PUBLISHED[:-1] + b"!").hexdigest() in text
    assert "carrier 1.0" in text
    assert "do not use it" in text
    assert list(home.iterdir()) == []


def test_a_file_changed_after_the_pull_does_not_load(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served(monkeypatch, test=PUBLISHED)
    zoo.pull(CARD)
    (home / NAME).write_bytes(b"X" + PUBLISHED[1:])
    for use in (zoo.load, zoo.verify, zoo.pull):
        with pytest.raises(ModelError, match="delete the file and run `countenance models pull`"):
            use(CARD)


def test_missing_weights_say_what_to_do(home: Path) -> None:
    with pytest.raises(ModelError, match=r"test-card are not in .*: run `countenance models pull`"):
        zoo.load(CARD)


def test_a_failing_package_falls_back_to_the_makers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "from_package", absent)
    monkeypatch.setattr(carriers, "from_makers", lambda file, report: PUBLISHED)
    zoo.pull(CARD)
    assert zoo.load(CARD) == PUBLISHED


def test_no_source_at_all_says_where_to_put_which_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "from_package", absent)
    pair = replace(CARD, files=(described(TOPOLOGY, "other.json"), FILE))
    with pytest.raises(ModelError, match="no such package") as refusal:
        zoo.pull(pair)
    assert list(home.iterdir()) == []
    [*_, first, second] = str(refusal.value).splitlines()
    for line, data in ((first, TOPOLOGY), (second, PUBLISHED)):
        address, place = line.strip().split(" as ")
        assert address in {file.upstream for file in pair.files}
        Path(place).write_bytes(data)
    assert zoo.verify(pair) == (TOPOLOGY, PUBLISHED)


def test_a_machine_without_npm_is_told_all_it_can_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match="npm is not installed") as refusal:
        zoo.pull(replace(CARD, carrier=Carrier("npm", "@somebody/models", "3.0.4", 1)))
    assert str(home / NAME) in str(refusal.value)


def test_a_card_without_a_carrier_names_files_of_countenance_itself(home: Path) -> None:
    ours = Path(zoo.__file__).with_name("zoo.toml").read_bytes()
    card = replace(CARD, files=(described(ours, "zoo.toml"),), carrier=None)
    zoo.pull(card)
    assert zoo.load(card) == ours
    assert not home.exists()


PULL_WHEN_TOLD = """
    import signal, sys, time
    from pathlib import Path
    from countenance.vision import zoo
    from countenance.vision import carriers
    from tests.unit.vision.test_zoo import CARD, FILE, PUBLISHED

    def when_told(carrier, files, folder, report):
        (folder / "half-a-wheel").write_bytes(PUBLISHED[:100])
        print("fetching", flush=True)
        while not Path(sys.argv[1]).exists():
            time.sleep(0.02)
        return {FILE: PUBLISHED}

    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever started the tests may ignore it
    carriers.from_package = when_told
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
    assert not zoo.present(CARD)
    [left] = home.iterdir()
    os.utime(left, (time.time() - 7200,) * 2)
    served(monkeypatch, test=PUBLISHED)
    zoo.pull(CARD)
    assert [path.name for path in home.iterdir()] == [NAME]


def test_two_processes_may_pull_at_once(home: Path, tmp_path: Path) -> None:
    with pulling(tmp_path / "go", count=2) as processes:
        (tmp_path / "go").touch()
        assert [process.wait() for process in processes] == [0, 0]
    assert [file.read_bytes() for file in home.iterdir()] == [PUBLISHED]


COMPLETE = {
    "id": "whole",
    "title": "A card",
    "family": "YuNet",
    "task": "detect",
    "file": "test.onnx",
    "size": 1,
    "sha256": "0" * 64,
    "upstream": "https://127.0.0.1:9/test.onnx",
    "carrier": "wheel",
    "member": "test.onnx",
    "conversion": "none",
    "licence": "MIT",
    "licence_source": "there",
    "training": "not disclosed",
    "commercial": True,
    "commercial_reason": "MIT",
    "paper": "",
    "input": "",
    "intended_use": "",
    "not_for": "",
}
WHEEL = Carrier("pypi", "wheel", "1", 1)


def read(**changes: object) -> zoo.Card:
    table = {key: value for key, value in {**COMPLETE, **changes}.items() if value is not None}
    return zoo._card(table, {"wheel": WHEEL})


def test_a_card_is_read_whether_it_names_one_file_or_several() -> None:
    one = read()
    assert one.files == (
        File("test.onnx", 1, "0" * 64, upstream="https://127.0.0.1:9/test.onnx", member="test.onnx"),
    )
    assert one.carrier == WHEEL
    files = [{"file": name, "size": 2, "sha256": "1" * 64, "member": name} for name in ("a.json", "a.bin")]
    bare = dict.fromkeys(("file", "size", "sha256", "upstream", "member"))
    with pytest.raises(ModelError, match="no sha256"):
        read(files=[{**files[0]}, {**files[1], "sha256": ""}], **bare)
    several = read(files=files, **bare)
    assert [file.name for file in several.files] == ["a.json", "a.bin"]
    assert several.size == 4


@pytest.mark.parametrize(
    "lacking", ["sha256", "licence", "licence_source", "training", "commercial", "commercial_reason"]
)
def test_a_card_that_does_not_say_what_every_card_must_does_not_load(lacking: str) -> None:
    for nothing in (None, ""):
        with pytest.raises(ModelError, match=f"whole does not load: its card has no {lacking}$"):
            read(**{lacking: nothing})


@pytest.mark.parametrize(
    "changes",
    [{"licens": "MIT"}, {"carrier": "nobody"}, {"size": None}, {"conversion": "alchemy"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_card_with_a_word_nobody_knows_does_not_load(changes: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="whole"):
        read(**changes)


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
    [usual] = zoo.paths(zoo.card("yunet-2023mar"))
    monkeypatch.setenv("COUNTENANCE_MODELS", str(home))
    home.mkdir()
    shutil.copy(usual, home)
    assert zoo.load(zoo.card("yunet-2023mar"))
