"""The folder that is published: it grows, its head comes last, and nothing is in it that was not signed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from countenance.errors import LedgerError
from countenance.ledger.checkpoint import Checkpoint, cosign, joined, sign
from countenance.ledger.export import Log, Published, export, fetcher, published_entries
from countenance.ledger.merkle import Frontier, Tree, leaf_hash
from countenance.ledger.tiles import tree
from countenance.schema import entries, metadata

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "countenance.example/log"
LOG = Log(ORIGIN, (KEY.public_key(),))


def body(number: int) -> bytes:
    return b'{"kind":"decision","seq":%d}' % number


def root(size: int) -> bytes:
    grown = Tree(Frontier())
    for number in range(size):
        grown.append(leaf_hash(body(number)))
    return grown.root()


def note(size: int, key: Ed25519PrivateKey = KEY) -> str:
    return sign(Checkpoint(ORIGIN, size, root(size)), key)


class Home:
    """A database with so many entries."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.size = 0

    def grow(self, size: int) -> None:
        with self.engine.begin() as connection:
            for number in range(self.size, size):
                row = {"seq": number, "body": body(number), "leaf": leaf_hash(body(number))}
                connection.execute(entries.insert(), row)
        self.size = size

    def run(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def snapshots(self) -> AbstractContextManager[Connection]:
        return self.engine.begin()

    def export(
        self, folder: Path, size: int, kept: dict[int, str] | None = None, *, with_entries: bool = True
    ) -> Published:
        return export(folder, LOG, note(size), self.snapshots, kept or {}, with_entries=with_entries)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/home.db")
    metadata.create_all(engine)
    yield Home(engine)
    engine.dispose()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_holds_what_the_specification_says(home: Home, out: Path) -> None:
    home.grow(70)
    assert home.export(out, 70) == Published(0, 70, root(70))
    assert set(files(out)) == {"checkpoint", "log.pub", "tile/0/000.p/70", "tile/entries/000.p/70"}
    assert (out / "checkpoint").read_text() == note(70)
    assert (out / "tile/0/000.p/70").read_bytes() == b"".join(leaf_hash(body(n)) for n in range(70))
    first = body(0)
    assert (out / "tile/entries/000.p/70").read_bytes().startswith(len(first).to_bytes(2, "big") + first)
    assert list(published_entries(out, 70)) == [body(n) for n in range(70)]


def test_an_empty_log_is_published_too(home: Home, out: Path) -> None:
    assert home.export(out, 0).size == 0
    assert set(files(out)) == {"checkpoint", "log.pub"}
    home.grow(1)
    assert home.export(out, 1) == Published(0, 1, root(1))


def test_growing_in_steps_gives_what_one_export_gives(home: Home, out: Path, tmp_path: Path) -> None:
    for size in (1, 2, 255, 256, 257, 511, 700, 700, 1024, 1500):
        home.grow(max(size, home.size))
        assert home.export(out, size).root == root(size)
        read = tree(fetcher(out), size)
        assert read.root() == root(size)
    at_once = tmp_path / "at once"
    home.export(at_once, 1500)
    stepwise = files(out)
    for name, content in files(at_once).items():
        assert stepwise.pop(name) == content
    # What is left over: partial tiles of heads that were published on the way.
    assert set(stepwise) == {"tile/1/000.p/1", "tile/1/000.p/2", "tile/1/000.p/4"}


def test_an_export_writes_only_what_is_new(home: Home, out: Path) -> None:
    home.grow(1000)
    home.export(out, 600)
    before = {path: path.stat().st_ino for path in out.rglob("*") if path.is_file()}
    home.export(out, 1000)
    same = {path for path in before if path.exists() and path.stat().st_ino == before[path]}
    assert {path.relative_to(out).as_posix() for path in before if path not in same} == {
        "checkpoint",
        "log.pub",
        "tile/0/002.p/88",  # the full tile is there now
        "tile/entries/002.p/88",
    }


def test_a_folder_may_be_at_an_older_head_than_the_log(home: Home, out: Path) -> None:
    home.grow(300)
    home.export(out, 260)
    assert list(published_entries(out, 260)) == [body(n) for n in range(260)]
    with pytest.raises(LedgerError, match="is missing"):
        list(published_entries(out, 300))


def test_without_entries_only_hashes_leave_the_house(home: Home, out: Path) -> None:
    home.grow(300)
    home.export(out, 300, with_entries=False)
    assert not [name for name in files(out) if "entries" in name]
    assert tree(fetcher(out), 300).root() == root(300)
    with pytest.raises(LedgerError, match="give a new one"):
        home.export(out, 300)
    with pytest.raises(LedgerError, match="without its entries"):
        list(published_entries(out, 300))


def test_a_folder_with_entries_does_not_go_on_without(home: Home, out: Path) -> None:
    home.grow(300)
    home.export(out, 10)
    with pytest.raises(LedgerError, match="does not go on without"):
        home.export(out, 300, with_entries=False)


def unchanged(out: Path, before: dict[str, bytes]) -> None:
    """The head and all that it stands for are as they were."""
    now = files(out)
    assert {name: now.get(name) for name in before} == before


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE entries SET body = x'7b7d' WHERE seq = 290", "entry 290 is missing, or was changed"),
        ("UPDATE entries SET body = 'text' WHERE seq = 290", "entry 290 is missing, or was changed"),
        ("DELETE FROM entries WHERE seq = 290", "entry 290 is missing, or was changed"),
        ("DELETE FROM entries WHERE seq >= 290", "entry 290 is missing"),
        ("DELETE FROM entries WHERE seq >= 290 AND seq < 320", "entry 290 is missing"),
    ],
)
def test_what_was_changed_in_the_database_is_not_published(
    home: Home, out: Path, statement: str, told: str
) -> None:
    home.grow(400)
    home.export(out, 260)
    before = files(out)
    home.run(statement)
    with pytest.raises(LedgerError, match=told):
        home.export(out, 400)
    unchanged(out, before)


def forge(home: Home, number: int) -> None:
    """An entry rewritten with its leaf: only a head shows it."""
    with home.engine.begin() as connection:
        changed = body(number).replace(b"decision", b"outcome")
        row = entries.update().where(entries.c.seq == number)
        connection.execute(row.values(body=changed, leaf=leaf_hash(changed)))


def test_an_entry_that_no_head_was_signed_over_is_not_published(home: Home, out: Path) -> None:
    home.grow(400)
    home.export(out, 260)
    before = files(out)
    forge(home, 290)
    with pytest.raises(LedgerError, match="do not lead to the checkpoint of size 400"):
        home.export(out, 400)
    unchanged(out, before)


def test_an_entry_that_was_published_cannot_change_afterwards(home: Home, out: Path) -> None:
    home.grow(400)
    home.export(out, 260)
    before = files(out)
    forge(home, 258)
    with pytest.raises(LedgerError, match="entry 258 is not the one that was published before"):
        home.export(out, 400)
    unchanged(out, before)


def test_what_a_failed_export_left_does_no_harm(home: Home, out: Path) -> None:
    home.grow(400)
    forge(home, 290)
    with pytest.raises(LedgerError):
        home.export(out, 400)
    assert not (out / "checkpoint").exists()
    home.run("UPDATE entries SET body = CAST(REPLACE(CAST(body AS TEXT), 'outcome', 'decision') AS BLOB)")
    home.run(f"UPDATE entries SET leaf = x'{leaf_hash(body(290)).hex()}' WHERE seq = 290")
    assert home.export(out, 400).root == root(400)
    assert list(published_entries(out, 400)) == [body(n) for n in range(400)]


def test_a_home_that_was_put_back_is_refused(home: Home, out: Path) -> None:
    home.grow(20)
    home.export(out, 20)
    with pytest.raises(LedgerError, match="holds 20 entries and the ledger 10"):
        home.export(out, 10)


def test_another_log_s_folder_is_left_alone(home: Home, out: Path) -> None:
    home.grow(20)
    home.export(out, 10)
    stranger = Ed25519PrivateKey.generate()
    log = Log(ORIGIN, (stranger.public_key(),))
    with pytest.raises(LedgerError, match="not this log as it was published"):
        export(out, log, note(20, stranger), home.snapshots, {})
    with pytest.raises(LedgerError, match="not signed by this log's key"):
        export(out, LOG, note(20, stranger), home.snapshots, {})


@pytest.mark.parametrize("name", ["tile/0/000.p/70", "checkpoint"])
def test_a_folder_that_was_changed_is_not_built_upon(home: Home, out: Path, name: str) -> None:
    home.grow(400)
    home.export(out, 70)
    content = (out / name).read_bytes()
    (out / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(LedgerError, match="not this log as it was published"):
        home.export(out, 400)


def test_heads_that_are_kept_are_published_beside(home: Home, out: Path) -> None:
    home.grow(300)
    home.export(out, 300, {100: note(100), 299: note(299), 301: note(301)})
    assert {name for name in files(out) if name.startswith("checkpoints")} == {
        "checkpoints/100",
        "checkpoints/299",
    }
    witnessed = joined(note(100), note(100) + cosign(note(100), "w", Ed25519PrivateKey.generate(), 1))
    home.export(out, 300, {100: witnessed})
    assert (out / "checkpoints/100").read_text() == witnessed
    wrong = sign(Checkpoint(ORIGIN, 50, bytes(32)), KEY)
    for bad in ({50: wrong}, {51: note(50)}):
        with pytest.raises(LedgerError, match="is not of this log's entries"):
            home.export(out, 300, bad)
    with pytest.raises(LedgerError, match="not signed"):
        home.export(out, 300, {50: note(50, Ed25519PrivateKey.generate())})


def test_a_log_with_a_newer_key_publishes_both(home: Home, out: Path) -> None:
    newer = Ed25519PrivateKey.generate()
    log = Log(ORIGIN, (KEY.public_key(), newer.public_key()))
    home.grow(30)
    home.export(out, 10)
    handover = joined(note(20), note(20, newer))
    export(out, log, note(30, newer), home.snapshots, {20: handover})
    assert (out / "log.pub").read_text() == log.lines()
    assert len(log.lines().splitlines()) == 2
    assert (out / "checkpoints/20").read_text() == handover


def test_a_crash_before_the_head_is_in_place_changes_nothing(
    home: Home, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any write: what is published stays whole, and the next export goes on."""
    home.grow(600)
    home.export(out, 200)
    before = files(out)
    replace = Path.replace
    left = 0  # writes until the machine is gone

    def falter(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError("the machine is gone")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", falter)
    for crashes in range(100):
        left = crashes + 1
        with contextlib.suppress(OSError):
            home.export(out, 600)
            break
        unchanged(out, before)
        assert tree(fetcher(out), 200).root() == root(200)
    assert crashes == 9  # three tiles and bundles, the partial tile above, the keys, the head
    assert tree(fetcher(out), 600).root() == root(600)


def test_all_is_on_the_disk_before_the_head_is_in_place(
    home: Home, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.grow(600)
    fsync, replace = os.fsync, Path.replace
    kept: set[Path] = set()
    told = []

    def keep(file: int) -> None:
        kept.add(Path(f"/proc/self/fd/{file}").readlink())
        fsync(file)

    def put(self: Path, target: Path) -> Path:
        if target == out / "checkpoint":
            told.append(kept >= {*out.rglob("*")} - {self})
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", keep)
    monkeypatch.setattr(Path, "replace", put)
    home.export(out, 600, {100: note(100)})
    assert told == [True]
    assert {out, out / "checkpoint"} <= kept


def test_progress_is_told(home: Home, out: Path) -> None:
    home.grow(600)
    told: list[tuple[int, int]] = []
    export(out, LOG, note(600), home.snapshots, {}, progress=lambda done, of: told.append((done, of)))
    assert told == [(256, 600), (512, 600), (600, 600)]
