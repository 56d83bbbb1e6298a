"""`countenance labels`: a photo, a folder into a list, a search in it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image as Pillow

from countenance.cli.archive import Archive, rows, search
from countenance.errors import PhotoError
from countenance.testing import TestServer
from countenance.vision import zoo
from tests.unit.cli.conftest import Shell


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    zoo.pull(*zoo.fetched_for("labels", commercial_only=False))


def listed(path: Path) -> dict[str, dict[str, str]]:
    return {Path(row["path"]).name: row for row in rows(path)}


def test_a_photo_as_a_table_as_json_and_drawn(
    shell: Shell, running: TestServer, album: Path, tmp_path: Path
) -> None:
    photo, home = album / "spring" / "IMG_1.jpg", ("--home", running.settings.home)
    table = shell("labels", photo, *home, "--save", tmp_path / "drawn.jpg", "--properties").stdout
    assert "Person" in table
    assert "brightness" in table
    with Pillow.open(tmp_path / "drawn.jpg") as drawn:
        assert drawn.size == (546, 640)
    [told] = json.loads(shell("labels", photo, *home, "--json", "--max", 1).stdout)
    assert [label["Name"] for label in told["Labels"]] == ["Person"]
    assert told["receipt"]


def test_a_folder_becomes_a_list_that_a_second_run_goes_on_with(
    shell: Shell, running: TestServer, album: Path, tmp_path: Path
) -> None:
    target, home = tmp_path / "list.csv", ("--home", running.settings.home)
    first = shell("labels", album, "--csv", target, *home, code=1)
    assert "4 photos labelled, 0 known already, 1 files that are no pictures, 1 left out" in first.output
    assert "cut.jpg" in first.stderr
    seen = listed(target)
    assert set(seen) == {"IMG_1.jpg", "copy [1].jpg", "blank.png"}
    assert seen["blank.png"]["labels"] == ""
    assert seen["copy [1].jpg"]["labels"].startswith("Person ")
    assert seen["copy [1].jpg"]["things"] == "Person 1"
    with target.open("a") as file:
        file.write("half a li")  # a run that was killed as it wrote
    (album / "blank.png").unlink()
    Pillow.new("RGB", (100, 100), "red").save(album / "blank.png")
    again = shell("labels", album, "--csv", target, *home, code=1).output
    assert "1 photos labelled, 3 known already" in again
    assert len(target.read_text().splitlines()) == 6
    found = shell("labels", "--find", "PERSON", target).stdout.splitlines()
    assert sorted(Path(each).name for each in found) == ["IMG_1.jpg", "IMG_1.jpg", "copy [1].jpg"]
    assert shell("labels", "--find", "person", target, "--min-confidence", 100).stdout == ""
    [one, *_] = json.loads(shell("labels", "--find", "person", target, "--json").stdout)
    assert one["Person"] > 55


def archive(path: Path, **photos: str) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "bytes", "modified", "labels", "things"))
        writer.writerows((name, 1, 1, labels, "") for name, labels in photos.items())
    return path


def test_search_asks_for_all_words_and_takes_the_longest_name(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "list.csv",
        a="Dog 90.0; Golden Retriever 70.0; Outdoors 60.0",
        b="Dog 99.0; Indoors 90.0",
        c="Dog 95.0; Outdoors 80.0",
        d="",
    )
    assert [hit.path for hit in search(path, "dog outdoors", 55)] == ["c", "a"]
    assert [hit.path for hit in search(path, "Golden retriever, outdoors", 55)] == ["a"]
    assert [hit.path for hit in search(path, "dog", 95)] == ["b", "c"]
    assert search(path, "dog", 99.5) == []
    for words, told in (("golden", "'golden'"), ("outdor", "did you mean Outdoors"), (" , ", "needs a word")):
        with pytest.raises(PhotoError, match=told):
            search(path, words, 55)


@pytest.mark.parametrize("content", ["path,labels\n", "hello\n", "\x00"])
def test_a_file_that_is_no_list_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(PhotoError, match="no list of labels"), Archive(path):
        pass
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("{album}",), "is a folder: say with --csv"),
        (("{album}/copy [1].jpg", "{album}/blank.png", "--save", "x.jpg"), "name just one"),
        (("{album}", "--find", "dog"), "is a folder; --find searches a list"),
        (("{album}/notes.txt", "--find", "dog"), "is no list of labels"),
    ],
)
def test_what_cannot_be_meant(shell: Shell, album: Path, words: tuple[str, ...], told: str) -> None:
    assert told in shell("labels", *(word.format(album=album) for word in words), code=1).output
