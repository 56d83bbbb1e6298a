"""Which heads witnesses are shown, which of what they signed is kept, and what is published of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from countenance import office, publication
from countenance.errors import HomeError, LedgerError
from countenance.ledger import checkpoint
from countenance.schema import witnessed
from countenance.settings import Settings
from countenance.types import OrganisationKind
from countenance.witness import Witness, found
from countenance.witness.serving import Serving

NAMES = ("council.example/witness", "auditor.example/witness")


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", log_name="countenance.example/log")
    office.found(settings, "me", OrganisationKind.INDIVIDUAL, "world", "general")
    return settings


@pytest.fixture
def servers(home: Settings, tmp_path: Path) -> Iterator[list[Serving]]:
    """Two witnesses that know the home's log."""
    servers, threads = [], []
    for which, name in enumerate(NAMES):
        witness = found(tmp_path / f"witness{which}", name)
        witness.trust(home.ledger_public_key.read_text())
        servers.append(Serving(witness))
        threads.append(threading.Thread(target=servers[-1].serve_forever))
        threads[-1].start()
    yield servers
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def naming(home: Settings, *servers: Serving) -> Settings:
    return replace(home, witnesses=tuple(f"{each.url} {each.witness.line}" for each in servers))


def grow(home: Settings, count: int = 1) -> None:
    """So many entries in a commit of their own."""
    ledger, database = office.ledger_of(home), office.database_of(home)
    with closing(database):
        database.keep(ledger)
        database.write(
            lambda connection: [ledger.append(connection, {"v": 1, "kind": "govern"}) for _ in range(count)]
        )


def stored(home: Settings) -> dict[int, set[str]]:
    """Who signed which of the heads that are kept."""
    with closing(office.database_of(home)) as database, database.reading() as connection:
        rows = connection.execute(sa.select(witnessed.c.size, witnessed.c.note)).all()
    return {size: checkpoint.signers(note) for size, note in rows}


def signers(note: str, *witnesses: Witness) -> list[str]:
    keys = [checkpoint.read_witness_key(each.line) for each in witnesses]
    return [name for name, key in keys if checkpoint.cosigned(note, name, key) is not None]


def test_every_witness_signs_the_newest_head(home: Settings, servers: list[Serving]) -> None:
    asked = naming(home, *servers)
    done = publication.submitted(asked)
    assert (done.size, done.signed, done.failed) == (2, NAMES, {})
    assert signers(done.note, *(each.witness for each in servers)) == list(NAMES)
    assert stored(home) == {2: set(NAMES)}
    office.verified(asked)


def test_one_witness_that_fails_does_not_hinder_the_other(home: Settings, servers: list[Serving]) -> None:
    asked = naming(home, *servers)
    asked = replace(asked, witnesses=(f"http://127.0.0.1:9 {servers[0].witness.line}", asked.witnesses[1]))
    done = publication.submitted(asked)
    assert (done.signed, list(done.failed)) == (NAMES[1:], [NAMES[0]])
    assert stored(home) == {2: {NAMES[1]}}


def test_of_each_thousand_the_first_is_kept_and_of_each_witness_the_newest(
    home: Settings, servers: list[Serving]
) -> None:
    one, both = naming(home, servers[0]), naming(home, *servers)
    for asked, count in ((one, 5), (both, 5), (one, 5), (one, 5), (one, 1000), (one, 5), (one, 5)):
        grow(home, count)
        publication.submitted(asked)
    assert {size: len(names) for size, names in stored(home).items()} == {7: 1, 12: 2, 1022: 1, 1032: 1}


def test_a_home_without_witnesses_asks_nobody(home: Settings) -> None:
    done = publication.submitted(home)
    assert (done.size, done.signed, done.failed) == (2, (), {})
    assert stored(home) == {}


def test_what_is_published_is_what_the_witnesses_signed(
    home: Settings, servers: list[Serving], tmp_path: Path
) -> None:
    asked, out = naming(home, *servers), tmp_path / "out"
    for count in (3, 1000, 1000):
        grow(home, count)
        size = publication.exported(asked, out).size
        note = (out / "checkpoint").read_text()
        assert checkpoint.peek(note).size == size
        assert signers(note, *(each.witness for each in servers)) == list(NAMES)
    kept = sorted(int(path.name) for path in (out / "checkpoints").iterdir())
    assert kept == [2, 5, 1005]
    assert signers((out / "checkpoints/5").read_text(), servers[0].witness) == [NAMES[0]]


def test_a_head_that_was_signed_is_published_though_the_log_has_grown(
    home: Settings, servers: list[Serving], tmp_path: Path
) -> None:
    note = publication.submitted(naming(home, servers[0])).note
    grow(home, 300)
    assert publication.exported(home, tmp_path / "out", note=note).size == 2
    assert (tmp_path / "out/checkpoint").read_text() == note
    assert publication.exported(home, tmp_path / "out").size == 302


def test_what_a_follower_signed_is_published_though_the_log_has_grown(home: Settings, tmp_path: Path) -> None:
    """Else whoever holds the follower's key finds nothing of it in what is published by a log at work."""
    follower = found(tmp_path / "witness", NAMES[0])
    follower.trust(home.ledger_public_key.read_text())
    named, out = replace(home, witnesses=(follower.line,)), tmp_path / "out"
    publication.exported(named, out)
    seen = follower.follow(str(out))
    assert seen.note is not None
    publication.cosigned(named, seen.note)
    grow(home)
    publication.exported(named, out)
    assert signers((out / "checkpoint").read_text(), follower) == []
    assert signers((out / f"checkpoints/{seen.size}").read_text(), follower) == [NAMES[0]]


@pytest.mark.parametrize("folder", ["home", "."])
def test_a_home_is_not_published_with_its_secrets(home: Settings, tmp_path: Path, folder: str) -> None:
    with pytest.raises(HomeError, match="secrets"):
        publication.exported(home, tmp_path / folder)
    assert not (tmp_path / folder / "checkpoint").exists()
    publication.exported(home, home.home / "public")


def test_what_a_follower_signed_is_taken_if_it_is_of_this_log(
    home: Settings, servers: list[Serving], tmp_path: Path
) -> None:
    out, witness = tmp_path / "out", servers[0].witness
    publication.exported(home, out)
    note = str(witness.follow(str(out)).note)
    with pytest.raises(LedgerError, match=r"no witness that settings\.toml names"):
        publication.cosigned(home, note)
    asked = replace(home, witnesses=(witness.line,))
    grow(home, 3)
    stranger = found(tmp_path / "stranger", "stranger.example")
    stranger.trust(home.ledger_public_key.read_text())
    theirs = str(stranger.follow(str(out)).note)
    done = publication.cosigned(asked, checkpoint.joined(note, theirs))
    assert (done.size, done.signed) == (2, NAMES[:1])
    assert stored(home) == {2: {NAMES[0]}}  # strangers' signatures are left out
    with pytest.raises(LedgerError, match="not one of"):
        publication.cosigned(asked, note.replace("countenance.example/log", "countenance.example/other"))
    with pytest.raises(LedgerError, match="is wrong"):
        publication.cosigned(asked, note.replace("\n2\n", "\n3\n"))


def test_another_record_under_the_same_key_is_not_taken(
    home: Settings, servers: list[Serving], tmp_path: Path
) -> None:
    """Two homes of one backup: what was signed of the one is no head of the other."""
    asked = naming(home, servers[0])
    other = replace(asked, home=tmp_path / "other")
    other.home.mkdir()
    for name in ("countenance.db", "ledger.key", "ledger.pub", "master.key"):
        (other.home / name).write_bytes((home.home / name).read_bytes())
    office.register(other, "them", OrganisationKind.BUSINESS, "DE")
    grow(home, 1)
    note = publication.submitted(asked).note
    with pytest.raises(LedgerError, match="not of what is stored here"):
        publication.cosigned(other, note)
    done = publication.submitted(other)
    assert "409" in done.failed[NAMES[0]]
    grow(home, 4)
    with pytest.raises(LedgerError, match="of 7 entries: this ledger has fewer"):
        publication.cosigned(other, publication.submitted(asked).note)


def test_a_home_of_an_older_version_is_published_as_it_lies(home: Settings, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home.database_file)) as database, database:
        for table in ("witnessed", "handovers"):
            database.execute(f"DROP TABLE {table}")
    before = home.database_file.read_bytes()
    assert publication.exported(home, tmp_path / "out").size == 2
    assert home.database_file.read_bytes() == before


@pytest.mark.parametrize("note", ["x'00'", "''", "'nonsense'"])
def test_a_head_that_something_else_wrote_is_said(home: Settings, tmp_path: Path, note: str) -> None:
    with closing(sqlite3.connect(home.database_file)) as database, database:
        database.execute(f"UPDATE checkpoints SET note = {note}")
    with pytest.raises(LedgerError):
        publication.exported(home, tmp_path / "out")
    assert not (tmp_path / "out/checkpoint").exists()


def test_a_witness_signature_that_was_changed_in_the_home_is_found_there(
    home: Settings, servers: list[Serving]
) -> None:
    asked = naming(home, servers[0])
    office.register(home, "them", OrganisationKind.BUSINESS, "DE")
    note = publication.submitted(asked).note
    assert office.verified(asked).size == 3
    start = note.rindex(" ") + 30
    other = "A" if note[start] != "A" else "B"
    with closing(sqlite3.connect(home.database_file)) as database, database:
        database.execute("UPDATE witnessed SET note = ?", [note[:start] + other + note[start + 1 :]])
    with pytest.raises(LedgerError, match=rf"size 3 is not good \(the signature of the witness {NAMES[0]}"):
        office.verified(asked)
