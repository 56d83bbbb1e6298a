"""index: what is enrolled, known again, left out, and how it survives being killed."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageEnhance

from countenance.cli.manifest import Manifest, Stamp, external_image_id
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


@pytest.fixture
def collection() -> str:
    return f"bulk-{uuid.uuid4()}"


def indexed(
    shell: Shell, running: TestServer, collection: str, folder: Path, *more: object
) -> dict[str, Any]:
    result = shell("index", collection, folder, "--home", running.home, "--json", *more, code=None)
    facts: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (3 if facts["unreadable"] else 0)
    told = {
        "unread",
        "seconds",
        "collection",
        "reasons",
        "finished",
        "photos_per_second",
        "faces_per_second",
        "seconds_left",
    }
    return {name: count for name, count in facts.items() if count and name not in told}


def enrolled(running: TestServer, collection: str) -> list[str]:
    pages = running.client().get_paginator("list_faces").paginate(CollectionId=collection)
    return [face["ExternalImageId"] for page in pages for face in page["Faces"]]


def test_a_folder_is_enrolled_and_what_was_left_out_is_listed(
    shell: Shell, running: TestServer, collection: str, album: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.csv"
    made = shell("index", collection, album, "--home", running.home, "--report", report, code=3)
    assert f"Made the collection {collection}" in made.stderr
    names = enrolled(running, collection)
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-zA-Z0-9_.\-:]{1,255}", name) for name in names)
    assert any(name.startswith("autumn:IMG_1.jpg:") for name in names)
    assert report.stat().st_mode & 0o777 == 0o600
    with report.open(newline="") as file:
        rows = {row["photo"]: (row["fate"], row["reason"]) for row in csv.DictReader(file)}
    assert rows.pop(str(album / "blank.png")) == ("without a face that was enrolled", "no face found")
    assert rows.pop(str(album / "notes.txt")) == ("not pictures", "not a picture")
    fate, why = rows.pop(str(album / "cut.jpg"))
    assert fate == "could not be read or were refused"
    assert "truncated or damaged" in why
    copies = {str(album / "copy [1].jpg"), str(album / "spring" / "IMG_1.jpg")}
    assert rows.keys() < copies, "one of the two, whichever came second"
    assert list(rows.values()) == [
        ("copies of photos that were met before", "a copy of a photo that was met before")
    ]
    assert re.search(r"1 +no face found", made.stdout)
    assert re.search(r"cut\.jpg +.*truncated or damaged", made.stdout), "named without a report too"
    assert re.search(r"3 photos were sent|2 photos were sent", made.stdout)


def test_of_many_that_cannot_be_read_the_first_are_named_and_the_others_counted(
    shell: Shell, running: TestServer, collection: str, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(8):
        (tmp_path / "photos" / f"{number}.jpg").symlink_to(tmp_path / "nowhere.jpg")
    told = shell("index", collection, tmp_path / "photos", "--home", running.home, code=3).stdout
    assert len(re.findall(r"\d\.jpg +cannot be read: No such file", told)) == 5
    assert "And 3 more: `--report FILE.csv` names each." in told


def test_what_names_no_photo_or_no_folder_is_refused_before_a_collection_is_made(
    shell: Shell, running: TestServer, collection: str, tmp_path: Path, album: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").write_text("path\n")
    at = ("--home", running.home)
    for place in (tmp_path / "empty", tmp_path / "empty.csv"):
        told = shell("index", collection, place, *at, code=1).output
        assert f"{place} names no photo" in told
    told = shell("index", collection, album, *at, "--report", tmp_path / "no" / "report.csv", code=1).output
    assert "there is no folder" in told
    missing = running.settings.buckets / "no-such-bucket"
    told = shell("index", collection, "s3://no-such-bucket/x", *at, code=1).output
    assert f"there is no folder {missing} that stands for the bucket" in told
    assert collection not in running.client().list_collections(MaxResults=4096)["CollectionIds"]


def test_again_nothing_is_sent_twice_and_a_moved_photo_is_known(
    shell: Shell, running: TestServer, collection: str, album: Path, tmp_path: Path
) -> None:
    first = indexed(shell, running, collection, album)
    assert first == {"files": 6, "enrolled": 2, "faces": 2, "faceless": 1, "faces_refused": 1} | {
        "copy": 1,
        "unreadable": 1,
        "other": 1,
    }
    (album / "winter").mkdir()
    (album / "autumn" / "IMG_1.jpg").rename(album / "winter" / "renamed.jpg")
    again = indexed(shell, running, collection, album, "--report", tmp_path / "report.csv")
    assert again == {"files": 6, "known": 3, "copy": 1, "unreadable": 1, "other": 1}
    assert len(enrolled(running, collection)) == 2
    assert "no face found" in (tmp_path / "report.csv").read_text()  # still left out, and still said
    found = shell("search", collection, album / "winter" / "renamed.jpg", "--home", running.home, "--json")
    best = json.loads(found.stdout)["FaceMatches"][0]
    assert best["photo"] == str(album / "winter" / "renamed.jpg")


def test_a_dry_run_counts_and_changes_nothing(
    shell: Shell, running: TestServer, collection: str, album: Path
) -> None:
    before = sorted((running.home / "manifests").iterdir())
    facts = indexed(shell, running, collection, album, "--dry-run")
    assert facts == {"files": 6, "new": 4, "copy": 1, "other": 1}
    assert sorted((running.home / "manifests").iterdir()) == before
    assert collection not in running.client().list_collections(MaxResults=4096)["CollectionIds"]
    indexed(shell, running, collection, album)
    assert indexed(shell, running, collection, album, "--dry-run")["known"] == 3


def test_a_collection_made_anew_is_filled_anew(
    shell: Shell, running: TestServer, collection: str, album: Path
) -> None:
    indexed(shell, running, collection, album)
    running.client().delete_collection(CollectionId=collection)
    time.sleep(0.01)  # AWS tells when a collection was made to the millisecond
    assert indexed(shell, running, collection, album)["enrolled"] == 2
    assert len(enrolled(running, collection)) == 2


def test_deleted_faces_come_back_only_when_asked_for(
    shell: Shell, running: TestServer, collection: str, album: Path
) -> None:
    indexed(shell, running, collection, album)
    client = running.client()
    faces = [face["FaceId"] for face in client.list_faces(CollectionId=collection)["Faces"]]
    client.delete_faces(CollectionId=collection, FaceIds=faces)
    assert "enrolled" not in indexed(shell, running, collection, album)
    assert enrolled(running, collection) == []
    assert indexed(shell, running, collection, album, "--again")["enrolled"] == 2
    assert len(enrolled(running, collection)) == 2


def test_a_refusal_that_all_would_meet_ends_the_run(shell: Shell, album: Path, tmp_path: Path) -> None:
    shell("init", "--home", tmp_path / "police", "--kind", "police", "--purpose", "law-enforcement")
    told = shell("index", "people", album, "--home", tmp_path / "police", code=1).output
    assert "AccessDeniedException" in told
    assert "No purpose is declared" in told


def many(folder: Path, picture: Pillow.Image, count: int) -> None:
    folder.mkdir()
    small = picture.resize((256, 300))
    for number in range(count):
        ImageEnhance.Brightness(small).enhance(0.6 + number / 60).save(folder / f"{number:03}.jpg")


@pytest.mark.parametrize(("signal_sent", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_what_was_enrolled_before_an_interruption_is_kept_and_the_rest_follows(
    shell: Shell,
    running: TestServer,
    collection: str,
    hopper: Pillow.Image,
    tmp_path: Path,
    signal_sent: signal.Signals,
    code: int,
) -> None:
    many(tmp_path / "photos", hopper, 40)
    heeding = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # tests may run without
    )
    program = [sys.executable, "-c", f"{heeding}; from countenance.cli import main; main()"]
    command = ["index", collection, str(tmp_path / "photos"), "--home", str(running.home)]
    process = subprocess.Popen(
        [*program, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    manifest = running.home / "manifests" / f"{collection}.manifest"
    while not (manifest.exists() and answered(running, collection) >= 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal_sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    if signal_sent is signal.SIGINT:
        assert "the same command goes on from here" in err
    kept = answered(running, collection)
    assert 2 <= kept < 40
    rest = indexed(shell, running, collection, tmp_path / "photos")
    assert rest["known"] + rest["enrolled"] == 40
    assert rest["known"] >= 2
    names = enrolled(running, collection)
    assert len(names) == len(set(names)) == 40


def answered(running: TestServer, collection: str) -> int:
    try:
        return len(enrolled(running, collection))
    except running.client().exceptions.ResourceNotFoundException:
        return 0


@given(
    st.lists(st.text(min_size=1, max_size=90), min_size=1, max_size=8), st.binary(min_size=32, max_size=32)
)
def test_external_image_ids_are_what_the_api_takes(parts: list[str], digest: bytes) -> None:
    name = external_image_id(Path(*[part.replace("/", "") or "x" for part in parts]), digest.hex())
    assert re.fullmatch(r"[a-zA-Z0-9_.\-:]{1,255}", name)
    assert name.endswith(digest.hex()[:16])


def test_a_photo_that_was_sent_but_not_answered_goes_out_under_the_same_name(tmp_path: Path) -> None:
    with Manifest.opened(tmp_path, "people", "arn 1") as manifest:
        assert manifest.claim("d" * 64, "", "old:name", str(tmp_path / "x"), Stamp(1, 2)) == "old:name"
    with Manifest.opened(tmp_path, "people", "arn 1") as manifest:
        assert manifest.known("d" * 64) is None
        assert manifest.claim("d" * 64, "", "new:name", str(tmp_path / "gone.jpg"), Stamp(1, 2)) == "old:name"
        manifest.settle("d" * 64, 2, "")
        shutil.copy(__file__, tmp_path / "here.jpg")
        manifest.place("d" * 64, str(tmp_path / "here.jpg"), Stamp(1, 2))
        manifest.place("d" * 64, str(tmp_path / "gone too.jpg"), Stamp(1, 2))
        assert manifest.path_of("old:name") == str(tmp_path / "here.jpg")
        assert manifest.unchanged(str(tmp_path / "here.jpg"), "", Stamp(1, 2)) is not None
        assert manifest.unchanged(str(tmp_path / "here.jpg"), "", Stamp(1, 3)) is None
