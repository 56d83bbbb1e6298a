from __future__ import annotations

import functools
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Database, driver, transaction_open
from countenance.errors import HomeError, StorageError
from countenance.schema import VERSION, home, metadata, organisations
from tests.postgres import ON_SQLITE

OLD_HOME = Path(__file__).parent / "home_v1.sql"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def organisation(account: str) -> sa.Insert:
    return organisations.insert().values(account=account, name="n", kind="business", place="US", created=1.0)


def write_accounts(database: Database, count: int) -> None:
    for number in range(count):
        row = organisation(f"x{number:0500}")
        database.write(lambda connection, row=row: connection.execute(row))  # type: ignore[misc]


def accounts(database: Database) -> list[str]:
    with database.reading() as connection:
        return sorted(connection.execute(sa.select(organisations.c.account)).scalars())


def test_a_write_is_seen_by_the_next_read(database: Database) -> None:
    database.write(lambda connection: connection.execute(organisation("1")))
    assert accounts(database) == ["1"]


def test_work_that_raises_is_undone_alone(database: Database) -> None:
    """Writers that share a commit: one fails, the others' work stands."""
    gate = threading.Event()

    def hold(connection: Connection) -> None:
        gate.wait(5)

    def fail(connection: Connection) -> None:
        connection.execute(organisation("bad"))
        raise ZeroDivisionError

    outcomes: dict[str, str] = {}

    def run(name: str) -> None:
        try:
            database.write(
                fail if name == "bad" else lambda connection: connection.execute(organisation(name))
            )
            outcomes[name] = "done"
        except ZeroDivisionError:
            outcomes[name] = "raised"

    first = threading.Thread(target=database.write, args=(hold,))
    first.start()
    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "bad", "b")]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in [first, *threads]:
        thread.join()
    assert outcomes == {"a": "done", "bad": "raised", "b": "done"}
    assert accounts(database) == ["a", "b"]


class Slow:
    """A journal on a slow disk; how many commits it has seen."""

    def __init__(self) -> None:
        self.commits = 0

    def begin(self, connection: Connection) -> None: ...

    def seal(self, connection: Connection) -> None:
        self.commits += 1
        time.sleep(0.05)

    def settled(self) -> None: ...


def test_writers_who_missed_each_other_come_to_share_their_commits(database: Database) -> None:
    """Four who are in a commit while the other four come: they must not take turns for good."""
    disk = Slow()
    database.keep(disk)

    def go_on() -> None:
        for _ in range(12):
            database.write(lambda connection: None)

    threads = [threading.Thread(target=go_on) for _ in range(8)]
    for thread in threads[:4]:
        thread.start()
    while not disk.commits:
        time.sleep(0.001)
    for thread in threads[4:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert disk.commits < 20  # 12 or 13 together, 24 in turns


def test_the_writer_survives_being_woken_for_nothing(database: Database) -> None:
    """As a thread does that saw enough of them wait, and says so when they are written already."""
    for number in range(3):
        time.sleep(0.01)
        database._enough.set()
        time.sleep(0.01)
        row = organisation(str(number))
        database.write(lambda connection, row=row: connection.execute(row))  # type: ignore[misc]
    assert accounts(database) == ["0", "1", "2"]


@ON_SQLITE
def test_whoever_hides_that_the_transaction_was_given_up_is_found_out(database: Database) -> None:
    """Else what he and all after him write would be committed statement by statement, and never sealed."""

    def hide(connection: Connection) -> None:
        connection.execute(organisation("1"))
        driver(connection).rollback()

    with pytest.raises(StorageError, match="gave up"):
        database.write(hide)
    database.write(lambda connection: connection.execute(organisation("2")))
    assert accounts(database) == ["2"]


class Unsealed:
    """A journal that never seals."""

    def begin(self, connection: Connection) -> None: ...

    def seal(self, connection: Connection) -> None:
        raise StorageError("no seal, no commit")

    def settled(self) -> None: ...


def test_what_runs_before_the_commit_runs_inside_it(database: Database) -> None:
    database.keep(Unsealed())
    with pytest.raises(StorageError):
        database.write(lambda connection: connection.execute(organisation("1")))
    assert accounts(database) == []


def test_a_statement_the_database_refuses_is_a_storage_error(database: Database) -> None:
    database.write(lambda connection: connection.execute(organisation("1")))
    with pytest.raises(StorageError):
        database.write(lambda connection: connection.execute(organisation("1")))


@ON_SQLITE
def test_a_full_disk_is_an_error_and_loses_nothing(database: Database) -> None:
    """SQLite's own page limit: the file may not grow any further."""
    database.write(lambda connection: connection.execute(organisation("1")))
    database.write(
        lambda connection: driver(connection).execute("PRAGMA max_page_count=1")
    )  # as small as it is now
    fill = functools.partial(write_accounts, database, 2000)
    with pytest.raises(StorageError, match="full"):
        fill()
    kept = len(accounts(database))
    assert kept >= 1
    assert len(accounts(database)) == kept


def test_a_locked_database_is_an_error_to_the_caller(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/house.db")
    database.write(lambda connection: driver(connection).execute("PRAGMA busy_timeout=50"))
    intruder = sa.create_engine(f"sqlite:///{tmp_path}/house.db")
    with intruder.connect() as other:
        other.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked"):
            database.write(lambda connection: connection.execute(organisation("1")))
    intruder.dispose()
    database.write(lambda connection: connection.execute(organisation("1")))
    assert accounts(database) == ["1"]
    database.close()


def test_this_thread_knows_whether_it_holds_a_transaction(database: Database) -> None:
    assert not transaction_open()
    with database.reading():
        assert transaction_open()
    assert database.write(lambda connection: transaction_open())
    assert not transaction_open()


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError, match=r"read-?only"), database.reading() as connection:
        connection.execute(organisation("1"))


def test_a_reader_holds_the_erasure_back_and_nothing_else(database: Database) -> None:
    database.write(lambda connection: connection.execute(organisation("1")))
    with database.reading() as reader:
        reader.execute(sa.select(organisations)).all()
        database.write(lambda connection: connection.execute(organisation("2")))
        assert not database.scrub(patience=0.1)
    assert database.scrub()
    if not database.shared:
        assert Path(f"{database.url.database}-wal").stat().st_size == 0


@ON_SQLITE
def test_a_log_that_cannot_be_emptied_ends_nobodys_work(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refuse)
        with pytest.raises(StorageError, match="disk I/O error"):
            database.scrub()
    database.write(lambda connection: connection.execute(organisation("1")))


def test_a_closed_database_refuses_instead_of_waiting(database_url: str) -> None:
    database = Database(database_url)
    database.close()
    with pytest.raises(StorageError, match="closed"):
        database.write(lambda connection: None)


def test_a_newer_home_is_refused(database_url: str) -> None:
    database = Database(database_url)
    database.write(lambda connection: connection.execute(home.update().values(version=VERSION + 1)))
    database.close()
    with pytest.raises(HomeError, match="Upgrade Countenance"):
        Database(database_url)


def test_an_old_home_migrates_to_the_schema_of_a_new_one(tmp_path: Path) -> None:
    old = sa.create_engine(f"sqlite:///{tmp_path}/old.db")
    with old.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.executescript(OLD_HOME.read_text())
    old.dispose()
    migrated, new = Database(f"sqlite:///{tmp_path}/old.db"), Database(f"sqlite:///{tmp_path}/new.db")
    try:
        assert columns(migrated) == columns(new)
        with migrated.reading() as connection:
            assert connection.execute(sa.select(home.c.version)).scalar_one() == VERSION
            counts = {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }
        assert counts["faces"] == 2
        assert counts["keys"] == 1
        assert counts["entries"] == 8
    finally:
        migrated.close()
        new.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = sa.create_engine(f"sqlite:///{tmp_path}/old.db")
    with old.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.executescript(OLD_HOME.read_text())
    steps = {1: ("ALTER TABLE keys ADD COLUMN calls BIGINT NOT NULL DEFAULT 0", "NOT SQL")}
    monkeypatch.setattr("countenance.database.MIGRATIONS", steps)
    with pytest.raises(StorageError):
        Database(f"sqlite:///{tmp_path}/old.db")
    with old.connect() as connection:
        assert connection.execute(sa.select(home.c.version)).scalar_one() == 1
        assert "calls" not in {column["name"] for column in sa.inspect(connection).get_columns("keys")}
    old.dispose()


def columns(database: Database) -> dict[str, set[tuple[str, str]]]:
    with database.reading() as connection:
        inspector = sa.inspect(connection)
        return {
            table: {(column["name"], str(column["type"])) for column in inspector.get_columns(table)}
            for table in inspector.get_table_names()
        }
