"""index, from S3 prefixes and lists: what is found there, and what is said of wrong lines."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image as Pillow

from countenance.cli import sources
from countenance.cli.manifest import Manifest, Stamp
from countenance.errors import PhotoError
from countenance.settings import Settings
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


@pytest.fixture
def collection() -> str:
    return f"sources-{uuid.uuid4()}"


@pytest.fixture
def bucket(running: TestServer, album: Path) -> str:
    """A bucket that is a folder, with the album in it."""
    name = f"photos-{uuid.uuid4().hex[:8]}"
    shutil.copytree(album, running.settings.buckets / name / "trip")
    return name


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def faces(running: TestServer, collection: str) -> dict[str, str]:
    """UserIds by ExternalImageId, "" where a face is nobody's."""
    pages = running.client().get_paginator("list_faces").paginate(CollectionId=collection)
    return {face["ExternalImageId"]: face.get("UserId", "") for page in pages for face in page["Faces"]}


def indexed(shell: Shell, running: TestServer, *words: object) -> dict[str, Any]:
    result = shell("index", *words, "--home", running.home, "--json", code=None)
    facts: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (3 if facts["unreadable"] else 0)
    return facts


def test_a_prefix_of_a_bucket_that_is_a_folder(
    shell: Shell, running: TestServer, collection: str, bucket: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.csv"
    facts = indexed(shell, running, collection, f"s3://{bucket}/trip/", "--report", report)
    assert (facts["files"], facts["enrolled"], facts["copy"], facts["unreadable"]) == (7, 2, 1, 1)
    assert any(name.startswith("autumn:IMG_1.jpg:") for name in faces(running, collection))
    with report.open(newline="") as file:
        assert f"s3://{bucket}/trip/notes.txt" in {row["photo"] for row in csv.DictReader(file)}
    again = indexed(shell, running, collection, f"s3://{bucket}/trip/")
    assert (again["known"], again["enrolled"]) == (3, 0)
    part = indexed(shell, running, f"{collection}-part", f"s3://{bucket}/trip/spr")
    assert (part["files"], part["enrolled"]) == (1, 1)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://no-such-bucket/x", "that stands for the bucket"),
        ("s3://{bucket}/nothing-here", "no object's key in {bucket} begins with 'nothing-here'"),
        ("s3://../x", "cannot be listed"),
    ],
)
def test_a_prefix_that_names_nothing(
    shell: Shell, running: TestServer, collection: str, bucket: str, address: str, told: str
) -> None:
    words = ("index", collection, address.format(bucket=bucket), "--home", running.home)
    assert told.format(bucket=bucket) in shell(*words, code=1).output


def test_a_prefix_of_an_endpoint_is_listed_page_by_page_and_known_by_its_tags(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="many-photos")
    client.put_object(Bucket="many-photos", Key="a/", Body=b"")
    for number in range(1005):
        client.put_object(Bucket="many-photos", Key=f"a/{number:04}.jpg", Body=str(number).encode())
    with pytest.raises(PhotoError, match="begins with 'nothing'"):
        sources.source("s3://many-photos/nothing", Settings(home=tmp_path, s3_endpoint=s3))
    found = sources.source("s3://many-photos/a/", Settings(home=tmp_path, s3_endpoint=s3))
    before = list(found)
    assert len(before) == found.count() == 1005
    assert before[7].place == "s3://many-photos/a/0007.jpg"
    assert str(before[7].within) == "0007.jpg"
    client.put_object(Bucket="many-photos", Key="a/0007.jpg", Body=b"X")  # the same length, another content
    changed = [new.place for old, new in zip(before, found, strict=True) if old.stamp != new.stamp]
    assert changed == ["s3://many-photos/a/0007.jpg"]


def listed(path: Path, *rows: tuple[object, ...]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_list_names_photos_and_users(
    shell: Shell, running: TestServer, collection: str, album: Path, bucket: str, hopper: Pillow.Image
) -> None:
    hopper.rotate(2).save(album / "again.jpg")
    Pillow.fromarray(_two(hopper)).save(album / "two.jpg")
    path = listed(
        album / "list.csv",
        ("path", "external_image_id", "user_id"),
        ("spring/IMG_1.jpg", "grace", "g.hopper"),
        (str(album / "again.jpg"), "grace", "g.hopper"),
        (f"s3://{bucket}/trip/autumn/IMG_1.jpg", "eileen", ""),
        ("two.jpg", "both", "g.hopper"),
        ("gone.jpg", "", ""),
    )
    facts = indexed(shell, running, collection, path)
    assert (facts["files"], facts["enrolled"], facts["unreadable"], facts["faces"]) == (5, 4, 1, 5)
    unread = [{"photo": str(album / "gone.jpg"), "reason": "cannot be read: No such file or directory"}]
    assert facts["unread"] == unread
    assert facts["reasons"] == {"cannot be read": 1, "given to no user, for there are several faces": 1}
    assert faces(running, collection) == {"grace": "g.hopper", "eileen": "", "both": ""}
    users = running.client().list_users(CollectionId=collection)["Users"]
    assert users == [{"UserId": "g.hopper", "UserStatus": "ACTIVE"}]
    again = indexed(shell, running, collection, path)
    assert (again["known"], again["enrolled"]) == (4, 0)
    asked = ("search", collection, album / "again.jpg", "--home", running.home, "--json")
    found = json.loads(shell(*asked).stdout)["FaceMatches"]
    photos = {Path(match["photo"]).name for match in found}
    assert {"again.jpg", "IMG_1.jpg"} <= photos, "photos of one name are told apart by their content"


def _two(picture: Pillow.Image) -> Any:
    pixels = np.asarray(picture)
    return np.concatenate([pixels, pixels[:, ::-1]], axis=1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1 must name the columns, `path`"),
        ("photo,name\na.jpg,x\n", "it has 'photo', 'name'"),
        ("path,external_image_id\na.jpg,a b\n", "line 2: external_image_id 'a b' may hold only"),
        ("path,user_id\na.jpg,ok\n,x\nb.jpg,é\n", "line 3: no path; line 4: user_id 'é'"),
        ("path\na,b.jpg\n", "line 2: more cells than columns"),
        ('path\n"a.jpg\n', "line 2: unexpected end of data"),
        ("path\ns3://bucket\n", "line 2: 's3://bucket' is not written s3://BUCKET/KEY"),
        ("path\n\xff.jpg\n", "is not UTF-8 text"),
    ],
)
def test_a_wrong_list_is_refused_before_anything_is_sent(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("latin-1"))
    if "é" in text:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(PhotoError, match=r"list\.csv") as caught:
        sources.source(str(path), Settings(home=tmp_path))
    assert told in str(caught.value)


def test_a_list_with_many_wrong_lines_tells_ten(tmp_path: Path) -> None:
    path = listed(tmp_path / "list.csv", ("path",), *[(" ",) for _ in range(50)])
    with pytest.raises(PhotoError) as caught:
        sources.source(str(path), Settings(home=tmp_path))
    assert str(caught.value).count("no path") == 10


def test_what_cannot_be_opened_in_a_folder_is_told_and_pipes_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    strange = os.fsdecode(b"\xff.jpg")  # a name that is no text
    (tmp_path / "a" / strange).write_bytes(b"x")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "b.jpg").write_bytes(b"x")
    folder = sources.Folder(tmp_path)
    found = {item.place: item.fault for item in folder}
    assert found == {
        str(tmp_path / "a" / "gone.jpg"): "cannot be read: No such file or directory",
        str(tmp_path / "a" / strange): "",
    }
    assert folder.count() == 2
    with Manifest.opened(tmp_path, "people", "arn 1") as manifest:
        place = str(tmp_path / "a" / strange)
        manifest.claim("d" * 64, "", "name", place, Stamp(1, 1))
        assert manifest.path_of("name") == place


def test_the_first_few_tell_how_long_the_rest_takes(
    shell: Shell, running: TestServer, collection: str, hopper: Pillow.Image, tmp_path: Path
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(24):
        hopper.resize((200 + number, 240)).save(tmp_path / "many" / f"{number:02}.jpg")
    words = (collection, tmp_path / "many")
    first = indexed(shell, running, *words, "--first", 20)
    assert (first["enrolled"], first["left"], first["finished"]) == (20, 4, True)
    assert first["seconds_left"] == pytest.approx(4 / first["photos_per_second"], abs=1.5)
    later = indexed(shell, running, *words, "--dry-run")
    assert (later["new"], later["known"]) == (4, 20)
    assert later["seconds_left"] == pytest.approx(first["seconds_left"], abs=1)
    told = shell("index", *words, "--home", running.home, "--dry-run").stdout
    assert "4 photos would take about" in told
    assert indexed(shell, running, *words)["enrolled"] == 4


def test_a_manifest_of_before_lists_goes_on(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "people.manifest")
    database.executescript("""
        CREATE TABLE collection (identity TEXT NOT NULL);
        CREATE TABLE photos (digest TEXT PRIMARY KEY, external_image_id TEXT NOT NULL UNIQUE,
            faces INTEGER, remarks TEXT NOT NULL DEFAULT '');
        CREATE TABLE paths (path TEXT PRIMARY KEY, digest TEXT NOT NULL REFERENCES photos,
            size INTEGER NOT NULL, changed INTEGER NOT NULL);
        CREATE INDEX paths_by_digest ON paths (digest);
        INSERT INTO collection VALUES ('arn 1');
        INSERT INTO photos VALUES ('aa', 'x:aa', 1, ''), ('bb', 'y:bb', NULL, '');
        INSERT INTO paths VALUES ('/photos/é.jpg', 'aa', 5, 6), ('/photos/b.jpg', 'bb', 7, 8);
    """)
    database.close()
    for _ in range(2):
        with Manifest.opened(tmp_path, "people", "arn 1") as manifest:
            known = manifest.unchanged("/photos/é.jpg", "", Stamp(5, 6))
            assert known is not None
            assert known.digest == "aa"
            assert manifest.unchanged("/photos/b.jpg", "", Stamp(7, 8)) is None
            assert manifest.claim("bb", "", "new", "/photos/b.jpg", Stamp(7, 8)) == "y:bb"
            assert manifest.path_of("x:aa", "some-image-id") == "/photos/é.jpg"
