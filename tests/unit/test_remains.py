"""What SQLite leaves of deleted rows is found, and rewriting the file removes it."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from countenance.database import Database, Traces
from countenance.remains import left
from countenance.schema import vault_keys

SOME = random.Random(5)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/home.db")
    yield opened
    opened.close()


def plant(file: Path, remains: bytes) -> None:
    """Leave bytes in the gap of the page of a table, as SQLite does when it moves rows."""
    with closing(sqlite3.connect(file)) as connection:
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'vault_keys'").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as stream:
        stream.seek((root - 1) * 4096 + 2001)
        stream.write(remains)


@pytest.mark.parametrize("begin", range(9))
def test_a_piece_of_a_secret_is_found_and_scrubbed(tmp_path: Path, database: Database, begin: int) -> None:
    file, secret = tmp_path / "home.db", SOME.randbytes(60)
    other = SOME.randbytes(60)
    piece = secret[begin : begin + 15]
    plant(file, piece)
    assert left(file, [other, secret])
    assert not left(file, [other], ["somebody"])
    assert database.scrub(traces=Traces([other]))
    assert piece in file.read_bytes()
    assert database.scrub(traces=Traces([other, secret]))
    assert piece not in file.read_bytes()


def test_a_name_is_found_whole(tmp_path: Path, database: Database) -> None:
    file = tmp_path / "home.db"
    plant(file, b"Ada Lovelace")
    assert left(file, [], ["Ada Lovelace"])
    assert database.scrub(traces=Traces(texts=["Ada Lovelace"]))
    assert b"Ada Lovelace" not in file.read_bytes()


def test_more_than_can_be_looked_for_rewrites_the_file(tmp_path: Path, database: Database) -> None:
    plant(tmp_path / "home.db", b"whatever it is")
    assert database.scrub(traces=None)
    assert b"whatever it is" not in (tmp_path / "home.db").read_bytes()


def test_nothing_deleted_is_left_where_rows_come_and_go(tmp_path: Path, database: Database) -> None:
    """Rows of all lengths, deleted here and there, so that pages are merged and rows move."""
    rows: dict[int, bytes] = {}
    gone: list[bytes] = []
    for round_ in range(12):
        new = {round_ * 1000 + n: SOME.randbytes(SOME.randrange(40, 700)) for n in range(60)}
        rows |= new
        database.write(
            lambda connection, new=new: connection.execute(  # type: ignore[misc]
                vault_keys.insert(), [{"decision": n, "key": key} for n, key in new.items()]
            )
        )
        dropped = SOME.sample(sorted(rows), len(rows) // 4)
        lost = [rows.pop(n) for n in dropped]
        database.write(
            lambda connection, dropped=dropped: connection.execute(  # type: ignore[misc]
                vault_keys.delete().where(vault_keys.c.decision.in_(dropped))
            )
        )
        assert database.scrub(traces=Traces(lost))
        gone += lost
        held = (tmp_path / "home.db").read_bytes() + (tmp_path / "home.db-wal").read_bytes()
        assert not [
            key for key in gone if any(key[at : at + 15] in held for at in range(0, len(key) - 15, 15))
        ]
    with database.reading() as connection:
        kept = connection.execute(sa.select(vault_keys)).all()
    assert {row.decision: row.key for row in kept} == rows


def test_what_a_reader_kept_is_looked_for_by_the_next_scrub(tmp_path: Path, database: Database) -> None:
    secret = SOME.randbytes(40)
    plant(tmp_path / "home.db", secret)
    with database.reading() as connection:
        connection.execute(sa.select(vault_keys)).all()
        database.write(lambda inside: inside.execute(vault_keys.insert().values(decision=1, key=b"key")))
        assert not database.scrub(0.05, traces=Traces([secret]))
    assert database.scrub()
    assert secret not in (tmp_path / "home.db").read_bytes()


LOOK_IN = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
connection.close()
"""


def test_looking_leaves_the_locks_of_a_database_at_work(tmp_path: Path, database: Database) -> None:
    """Another process that comes and goes must not take the database for nobody's and remove its log."""
    file = tmp_path / "home.db"
    database.write(lambda c: c.execute(vault_keys.insert().values(decision=1, key=b"k" * 60)))
    assert not left(file, [SOME.randbytes(60)])
    for decision in range(2, 5):
        subprocess.run([sys.executable, "-c", LOOK_IN, file], check=True)
        assert file.with_name("home.db-wal").exists()
        database.write(
            lambda c, at=decision: c.execute(vault_keys.insert().values(decision=at, key=b"k" * 60))  # type: ignore[misc]
        )
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(vault_keys)).scalar() == 4


def test_a_file_that_cannot_be_searched_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not be read"):
        left(tmp_path / "nothing.db", [SOME.randbytes(60)])
