"""backup and restore."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image as Pillow

from countenance.cli import door
from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


def test_a_home_comes_back_whole(shell: Shell, home: Path, album: Path, tmp_path: Path) -> None:
    shell("index", "people", album, "--home", home, code=3)
    (home / "buckets" / "photos" / "deep").mkdir(parents=True)
    (home / "buckets" / "photos" / "deep" / "a.txt").write_text("kept")
    shell("backup", tmp_path / "b.tar", "--home", home)
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    told = shell("restore", tmp_path / "b.tar", "--home", tmp_path / "new").output
    before, after = (
        json.loads(shell("ledger", "verify", "--home", place, "--json").stdout)
        for place in (home, tmp_path / "new")
    )
    assert before == after
    assert f"Its ledger verifies: {after['size']} entries" in told
    faces = []
    for place in (home, tmp_path / "new"):
        with door.opened(place) as client:
            faces.append(client.list_faces(CollectionId="people")["Faces"])
    assert faces[0] == faces[1]
    photo = album / "spring" / "IMG_1.jpg"
    found = shell("search", "people", photo, "--home", tmp_path / "new", "--json").stdout
    assert [round(match["Similarity"]) for match in json.loads(found)["FaceMatches"]] == [100]
    assert (tmp_path / "new" / "buckets" / "photos" / "deep" / "a.txt").read_text() == "kept"
    for path in (tmp_path / "new").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["album", "b.tar", "home", "new"]


def test_a_backup_taken_while_a_server_writes_is_of_one_moment(
    shell: Shell, running: TestServer, hopper: Pillow.Image, tmp_path: Path
) -> None:
    client = running.client()
    client.create_collection(CollectionId="busy")
    over = threading.Event()

    def keep_enrolling() -> None:
        for number in range(1000):
            photo = io.BytesIO()
            hopper.resize((128, 150)).save(photo, "JPEG", quality=50 + number % 50)
            client.index_faces(
                CollectionId="busy", Image={"Bytes": photo.getvalue()}, ExternalImageId=str(number)
            )
            if over.is_set():
                return

    busy = threading.Thread(target=keep_enrolling)
    busy.start()
    try:
        for number in range(3):
            shell("backup", tmp_path / f"{number}.tar", "--home", running.home)
    finally:
        over.set()
        busy.join()
    for number in range(3):
        home = tmp_path / f"home {number}"
        shell("restore", tmp_path / f"{number}.tar", "--home", home)
        with closing(sqlite3.connect(home / "countenance.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            [counted] = database.execute("SELECT size FROM collections WHERE collection_id = 'busy'")
            [stored] = database.execute(
                "SELECT count(*) FROM faces JOIN collections ON collection = collections.number "
                "WHERE collection_id = 'busy'"
            )
        assert counted == stored


def test_deleted_faces_are_in_no_later_backup(shell: Shell, home: Path, album: Path, tmp_path: Path) -> None:
    shell("index", "people", album, "--home", home, code=3)
    with closing(sqlite3.connect(home / "countenance.db")) as database:
        [[template]] = database.execute("SELECT vector FROM faces ORDER BY number LIMIT 1").fetchall()
    shell("backup", tmp_path / "before.tar", "--home", home)
    assert template in (tmp_path / "before.tar").read_bytes()
    with door.opened(home) as client:
        client.delete_collection(CollectionId="people")
    shell("backup", tmp_path / "after.tar", "--home", home)
    assert template not in (tmp_path / "after.tar").read_bytes()


def test_nothing_is_overwritten(shell: Shell, home: Path, tmp_path: Path) -> None:
    shell("backup", tmp_path / "b.tar", "--home", home)
    kept = (tmp_path / "b.tar").read_bytes()
    assert "exists; name a new file" in shell("backup", tmp_path / "b.tar", "--home", home, code=1).output
    assert (tmp_path / "b.tar").read_bytes() == kept
    assert "is not empty" in shell("restore", tmp_path / "b.tar", "--home", home, code=1).output


def test_a_database_that_cannot_be_read_is_said(shell: Shell, home: Path, tmp_path: Path) -> None:
    (home / "countenance.db").write_bytes(b"no database" * 1000)
    told = " ".join(shell("backup", tmp_path / "b.tar", "--home", home, code=1).output.split())
    assert "cannot be copied: file is not a database" in told
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/tmp/evil",
        "buckets/../../evil",
        "buckets/a/../../../evil",
        "./settings.toml",
        "manifests/../../evil.manifest",
        "manifests/deep/x.manifest",
        "server.json",
        "processes/evil",
        "",
    ],
)
def test_an_archive_that_reaches_elsewhere_is_refused(
    shell: Shell, home: Path, tmp_path: Path, name: str
) -> None:
    refused(shell, home, tmp_path, tarfile.TarInfo(name))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_an_archive_of_links_and_devices_is_refused(
    shell: Shell, home: Path, tmp_path: Path, kind: bytes
) -> None:
    member = tarfile.TarInfo("buckets/photos/link")
    member.type, member.linkname = kind, "/etc/passwd"
    refused(shell, home, tmp_path, member)


def refused(shell: Shell, home: Path, tmp_path: Path, member: tarfile.TarInfo) -> None:
    shell("backup", tmp_path / "b.tar", "--home", home)
    with tarfile.open(tmp_path / "b.tar", "a") as archive:
        archive.addfile(member, io.BytesIO())
    told = shell("restore", tmp_path / "b.tar", "--home", tmp_path / "deep" / "new", code=1).output
    assert "which no backup of Countenance does" in told
    assert not list((tmp_path / "deep").iterdir())
    assert not (tmp_path / "evil").exists()


def test_a_backup_that_is_cut_off_or_lacks_a_part_is_refused(
    shell: Shell, home: Path, tmp_path: Path
) -> None:
    shell("backup", tmp_path / "b.tar", "--home", home)
    whole = (tmp_path / "b.tar").read_bytes()
    for length in (0, 100, 700, len(whole) // 2):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        told = shell("restore", tmp_path / "cut.tar", "--home", tmp_path / "new", code=1).output
        assert "is not a whole backup" in told
        assert not (tmp_path / "new").exists()


def test_a_backup_whose_ledger_was_changed_is_not_restored(shell: Shell, home: Path, tmp_path: Path) -> None:
    shell("search", "nowhere", Path(__file__).with_name("hopper.heic"), "--home", home, code=1)
    with closing(sqlite3.connect(home / "countenance.db")) as database, database:
        database.execute("UPDATE entries SET body = body || ' ' WHERE seq = 1")
    shell("backup", tmp_path / "b.tar", "--home", home)
    told = shell("restore", tmp_path / "b.tar", "--home", tmp_path / "new", code=1).output
    assert "entry 1" in told
    assert not (tmp_path / "new").exists()


def test_a_backup_without_private_brings_no_key_back(
    shell: Shell, home: Path, tmp_path: Path, hopper: Pillow.Image
) -> None:
    photo = tmp_path / "hopper.jpg"
    hopper.save(photo)
    shell("detect", photo, "--home", home, "--case", "K-17")
    with closing(sqlite3.connect(home / "countenance.db")) as database:
        [(key,)] = database.execute("SELECT key FROM vault_keys").fetchall()
    told = shell("backup", tmp_path / "all.tar", "--home", home).stderr
    assert "It also keeps what calls said in private" in told
    assert key in (tmp_path / "all.tar").read_bytes()
    told = shell("backup", tmp_path / "some.tar", "--home", home, "--without-private").stderr
    assert "who is erased later is not erased in it" in told
    assert "It also keeps" not in told
    held = (tmp_path / "some.tar").read_bytes()
    assert not [at for at in range(0, len(key) - 8, 8) if key[at : at + 8] in held]
    told = shell("restore", tmp_path / "some.tar", "--home", tmp_path / "new").stdout
    assert "What 1 calls said in private cannot be read" in told
    assert "erase them again" in told
    assert "in private" not in shell("restore", tmp_path / "all.tar", "--home", tmp_path / "other").stdout
    assert sorted(path.name for path in tmp_path.glob("*")) == [
        "all.tar",
        "home",
        "hopper.jpg",
        "new",
        "other",
        "some.tar",
    ]
