"""text over a running server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image as Pillow

from countenance.testing import TestServer
from countenance.vision import zoo
from tests.unit.cli.conftest import Shell
from tests.written import written


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    zoo.pull(*zoo.fetched_for("text", commercial_only=False))


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """Two signs in two folders, and a note that is no picture."""
    folder = tmp_path / "signs"
    (folder / "further").mkdir(parents=True)
    written("Please keep left").save(folder / "left.png")
    written("Platform 17", "Exit").save(folder / "further" / "platform.png")
    (folder / "notes.txt").write_text("not a photo")
    return folder


def test_text_is_shown_for_photos_and_for_those_of_a_folder(
    shell: Shell, running: TestServer, signs: Path
) -> None:
    told = shell("text", signs / "left.png", "--home", running.home).stdout
    assert f"{signs / 'left.png'}: 600 x 400, 1 line\n" in told
    assert "Please keep left" in told
    found = json.loads(shell("text", signs, "--home", running.home, "--json").stdout)
    assert [Path(photo["photo"]).name for photo in found] == ["left.png", "platform.png"]
    read = [[t["DetectedText"] for t in photo["TextDetections"] if t["Type"] == "LINE"] for photo in found]
    assert read == [["Please keep left"], ["Platform 17", "Exit"]]
    assert found[0]["TextModelVersion"]
    assert found[0]["receipt"].startswith("decision=")


def test_words_that_are_not_sure_enough_are_left_out(shell: Shell, running: TestServer, signs: Path) -> None:
    told = shell("text", signs / "left.png", "--home", running.home, "--min-confidence", 100).stdout
    assert "no lines" in told


def test_lines_are_drawn_into_one_photo(
    shell: Shell, running: TestServer, signs: Path, tmp_path: Path
) -> None:
    drawn = tmp_path / "drawn.png"
    shell("text", signs / "left.png", "--home", running.home, "--save", drawn)
    with Pillow.open(drawn) as picture:
        assert (255, 212, 0) in {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}  # type: ignore[union-attr]
    assert "name just one" in shell("text", signs, "--home", running.home, "--save", drawn, code=1).output


def test_a_file_of_a_folder_that_cannot_be_read_is_told_and_the_others_are_read(
    shell: Shell, running: TestServer, signs: Path
) -> None:
    (signs / "gone.png").symlink_to(signs / "nowhere.png")
    result = shell("text", signs, "--home", running.home, "--json", code=1)
    found = json.loads(result.stdout)
    assert [Path(each["photo"]).name for each in found if "error" not in each] == ["left.png", "platform.png"]
    assert "gone.png cannot be read" in result.stderr


def test_one_bad_photo_does_not_hide_the_good_ones(shell: Shell, running: TestServer, signs: Path) -> None:
    bad = signs / "notes.txt"
    result = shell("text", bad, signs / "left.png", "--home", running.home, "--json", code=1)
    found = json.loads(result.stdout)
    assert ["error" in photo for photo in found] == [True, False]
