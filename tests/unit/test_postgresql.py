"""What only PostgreSQL does: turns at the ledger, lost connections, deadlocks, and what VACUUM leaves."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from countenance import postgresql
from countenance.database import Database, Statement
from countenance.errors import HomeError, StorageError
from countenance.galleries import rows, store
from countenance.ledger import Ledger, Written
from countenance.schema import checkpoints, collections, faces, organisations
from countenance.types import Box, Embedding, Gallery, Template
from tests.postgres import Server

IDLE = "state = 'idle in transaction'"
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture
def database_url(postgres: Server) -> Iterator[str]:
    with postgres.fresh(postgres.furnished) as url:
        yield url


def opened(url: str) -> tuple[Database, Ledger]:
    database, ledger = Database(url), Ledger(KEY, "countenance.example/log")
    database.keep(ledger)
    return database, ledger


@pytest.fixture
def both(database_url: str) -> Iterator[tuple[tuple[Database, Ledger], tuple[Database, Ledger]]]:
    hands = opened(database_url), opened(database_url)
    yield hands
    for database, _ in hands:
        database.close()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def entry(connection: Connection, ledger: Ledger) -> Written:
    return ledger.append(connection, {"v": 1, "kind": "decision"})


def account(number: str) -> sa.Insert:
    return organisations.insert().values(account=number, name="n", kind="business", place="US", created=1.0)


def accounts(database: Database) -> list[str]:
    with database.reading() as connection:
        return sorted(connection.execute(sa.select(organisations.c.account)).scalars())


def made(database: Database, *names: str) -> list[Gallery]:
    def write(connection: Connection) -> list[Gallery]:
        found = [store.create(connection, "111122223333", name, "m", {}, NOW) for name in names]
        return [each for each in found if each is not None]

    return database.write(write, late=True)


def template(secret: bytes, name: str) -> Template:
    vector = np.frombuffer((secret * 64)[:512], np.uint8).astype(np.float32)[:128]
    vector /= np.linalg.norm(vector)
    box, photo = Box(0.25, 0.25, 0.5, 0.5), str(uuid.uuid4())
    return Template(str(uuid.uuid4()), photo, name, box, 99.5, Embedding(vector, "m"))


def cut(server: Server, database: Database, which: str = "true") -> int:
    """End the connections to a database, as a restart would; how many."""
    name = str(database.url.database)
    return len(
        server.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND {which}"
        )
    )


# Addresses


def test_an_address_gets_our_driver_and_shows_no_password() -> None:
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        url = postgresql.address(f"{scheme}://ada:secret@db.example/home?sslmode=verify-full")
        assert url.drivername == "postgresql+psycopg"
        assert "secret" not in str(url)
    assert postgresql.address("sqlite:////home.db").get_backend_name() == "sqlite"
    for bad in ("mysql://ada:secret@db.example/home", "postgresql+asyncpg://ada:secret@h/x", "ada:secret@h"):
        with pytest.raises(HomeError) as fault:
            postgresql.address(bad)
        assert "secret" not in str(fault.value)


def test_a_server_that_is_not_there_is_a_storage_error_without_the_password(database_url: str) -> None:
    nowhere = sa.make_url(database_url).set(password="secret", query={"host": "/nowhere"})
    with pytest.raises(StorageError, match="PostgreSQL cannot be reached") as fault:
        Database(nowhere)
    assert "secret" not in str(fault.value)


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server) -> None:
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(HomeError, match="LATIN1"):
            Database(postgres.url("latin"))
    finally:
        postgres.sql("DROP DATABASE latin WITH (FORCE)")


def test_what_is_acknowledged_is_on_the_disk_whatever_the_server_is_set_to(
    postgres: Server, database_url: str
) -> None:
    def told(database: Database) -> str:
        return str(database.write(lambda c: c.exec_driver_sql("SHOW synchronous_commit").scalar_one()))

    name = sa.make_url(database_url).database
    for asked, wanted in (("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")):
        postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = {asked}")
        database = Database(database_url)
        assert told(database) == wanted
        database.close()


# Turns


def test_long_work_in_a_gallery_holds_nobody_up(
    both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]],
) -> None:
    (slow, its), (quick, mine) = both
    [gallery, other] = made(slow, "slow", "quick")
    busy, go_on = threading.Event(), threading.Event()

    def work(connection: Connection) -> Written:
        store.enrol(connection, gallery, [template(b"slow", "slow")], NOW)
        busy.set()
        assert go_on.wait(10)
        slow.take_turn(connection)
        return entry(connection, its)

    def enrol(connection: Connection) -> Written:
        store.enrol(connection, other, [template(b"quick", "quick")], NOW)
        quick.take_turn(connection)
        return entry(connection, mine)

    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(slow.write, work, late=True)
        assert busy.wait(10)
        assert [quick.write(lambda c: entry(c, mine)).seq for _ in range(3)] == [0, 1, 2]
        assert quick.write(enrol, late=True).seq == 3
        go_on.set()
        assert last.result().seq == 4
    assert mine.verify(quick.reading).size == 5


def test_late_work_has_a_commit_of_its_own_and_what_is_quick_goes_with_it(
    both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]],
) -> None:
    (database, ledger), _ = both
    [gallery] = made(database, "people")
    busy, gate = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        busy.set()
        gate.wait(10)

    def late(number: int) -> int:
        def work(connection: Connection) -> int:
            store.enrol(connection, gallery, [template(bytes([number]), str(number))], NOW)
            if number == 2:
                raise KeyError(number)
            database.take_turn(connection)
            entry(connection, ledger)
            return transaction(connection)

        return database.write(work, late=True)

    def quick() -> int:
        return database.write(lambda c: (entry(c, ledger), transaction(c))[1])

    with ThreadPoolExecutor(7) as pool:
        pool.submit(database.write, hold)
        assert busy.wait(10)
        lates = [pool.submit(late, number) for number in (1, 2, 3)]
        quicks = [pool.submit(quick) for _ in range(3)]
        while len(database._waiting) < 6:
            time.sleep(0.001)
        gate.set()
        [together] = {each.result() for each in quicks}
        ended = [each.result() for each in lates if not isinstance(each.exception(), KeyError)]
    assert len(ended) == len({*ended}) == 2
    assert together not in ended[1:]
    assert ledger.verify(database.reading).size == 5
    with database.reading() as connection:
        assert connection.execute(sa.select(collections.c.size)).scalar_one() == 2


def transaction(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_current_xact_id()::text::bigint").scalar_one())


def test_two_who_wait_for_each_other_both_get_through(
    both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]],
) -> None:
    (one, _), (other, _) = both
    galleries = made(one, "a", "b")
    meet = threading.Barrier(2)
    begun = []

    def work(connection: Connection, mine: list[Gallery]) -> None:
        begun.append(mine)
        rows.hold(connection, mine[0])
        if len(begun) <= 2:
            meet.wait(10)
        rows.hold(connection, mine[1])

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one.write, lambda c: work(c, galleries), late=True)
        second = pool.submit(other.write, lambda c: work(c, galleries[::-1]), late=True)
        first.result(20)
        second.result(20)
    assert len(begun) == 3  # PostgreSQL gave one of them up, and it began again


def test_who_does_not_get_his_turn_is_told(
    both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (one, ledger), (other, _) = both
    one.write(lambda c: c.exec_driver_sql("SELECT set_config('lock_timeout', '50ms', false)"))
    busy, gate = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        busy.set()
        gate.wait(10)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(other.write, hold)
        assert busy.wait(10)
        with pytest.raises(StorageError, match="another process held"):
            one.write(lambda c: entry(c, ledger))
        gate.set()
    assert one.write(lambda c: entry(c, ledger)).seq == 0


def test_who_was_there_first_is_seen_at_the_second_look(
    both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]],
) -> None:
    (one, _), (other, _) = both
    looks = []

    def work(connection: Connection) -> Gallery | None:
        found = store.find(connection, "111122223333", "people")
        looks.append(found)
        if found is None:
            made(other, "people")
            connection.execute(
                collections.insert().values(
                    account="111122223333", collection_id="people", model="m", created=1.0, change=0, size=0
                )
            )
        return found

    assert one.write(work, late=True) is not None
    assert [each is None for each in looks] == [True, False]


def test_an_error_quotes_no_row(database: Database) -> None:
    database.write(lambda c: c.execute(account("111122223333")))
    with pytest.raises(StorageError, match="duplicate key") as fault:
        database.write(lambda c: c.execute(account("111122223333")))
    assert "111122223333" not in str(fault.value)


def test_what_waits_to_be_sent_is_sent_in_order_and_an_error_is_its_jobs_own(
    both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]],
) -> None:
    """An insert whose fault shows only later, when something else is awaited."""
    (database, _), _ = both
    insert = Statement(checkpoints.insert())

    def work(connection: Connection, *sizes: int) -> int:
        for size in sizes:
            insert.run(connection, size=size, note="n")
        connection.execute(sa.delete(checkpoints).where(checkpoints.c.size < 0))
        return int(connection.execute(sa.select(sa.func.count()).select_from(checkpoints)).scalar_one())

    class Quiet(Exception):
        pass

    def quiet(connection: Connection) -> None:
        insert.run(connection, size=9, note="never sent")
        raise Quiet

    busy, gate = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        busy.set()
        gate.wait(10)

    database._journals.clear()
    with ThreadPoolExecutor(6) as pool:
        pool.submit(database.write, hold)
        assert busy.wait(10)
        jobs = []
        for number, each in enumerate(
            (lambda c: work(c, 1, 2), lambda c: work(c, 3, 1), quiet, lambda c: work(c, 3, 4)), 1
        ):
            jobs.append(pool.submit(database.write, each))
            while len(database._waiting) < number:
                time.sleep(0.001)
        gate.set()
        faults = [job.exception() for job in jobs]
    assert [type(fault) for fault in faults] == [type(None), StorageError, Quiet, type(None)]
    assert (jobs[0].result(), jobs[3].result()) == (2, 4)
    with database.reading() as connection:
        sizes = connection.execute(sa.select(checkpoints.c.size).order_by(checkpoints.c.size)).scalars()
        assert list(sizes) == [1, 2, 3, 4]


# Connections that are lost


def test_a_restart_between_two_calls_is_not_noticed(postgres: Server, database: Database) -> None:
    database.write(lambda c: c.execute(account("1")))
    assert accounts(database) == ["1"]
    assert cut(postgres, database) >= 2
    database.write(lambda c: c.execute(account("2")))
    assert accounts(database) == ["1", "2"]
    assert database.alive(database.name)


def test_a_transaction_that_is_cut_off_is_begun_again(
    postgres: Server, both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]]
) -> None:
    (database, ledger), _ = both
    begun: list[int] = []

    def work(connection: Connection) -> Written:
        written = entry(connection, ledger)
        if not begun:
            begun.append(cut(postgres, database, IDLE))
        connection.execute(account("1"))
        return written

    assert database.write(work).seq == 0
    assert begun == [1]
    assert accounts(database) == ["1"]
    assert ledger.verify(database.reading).size == 1


def test_where_nobody_knows_whether_it_was_committed_it_is_not_done_twice(
    postgres: Server, both: tuple[tuple[Database, Ledger], tuple[Database, Ledger]]
) -> None:
    (database, ledger), _ = both
    done = []

    def work(connection: Connection) -> None:
        entry(connection, ledger)
        done.append(1)

    def lose(_connection: Connection) -> None:
        cut(postgres, database, IDLE)

    sa.event.listen(database._writer, "commit", lose)
    with pytest.raises(StorageError):
        database.write(work)
    sa.event.remove(database._writer, "commit", lose)
    assert done == [1]
    assert database.write(lambda c: entry(c, ledger)).seq == 0
    assert ledger.verify(database.reading).size == 1


def test_a_reader_that_is_cut_off_is_a_storage_error_and_the_next_is_not(
    postgres: Server, database: Database
) -> None:
    query = sa.select(organisations)
    with pytest.raises(StorageError), database.reading() as connection:
        assert [connection.execute(query).all(), cut(postgres, database, IDLE), connection.execute(query)]
    assert accounts(database) == []


# Who is at work


def test_a_process_is_alive_while_it_is_connected(database: Database, database_url: str) -> None:
    other = Database(database_url)
    assert database.alive(other.name)
    assert other.alive(database.name)
    other.close()
    deadline = time.monotonic() + 5
    while database.alive(other.name):  # the server has to notice
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert database.alive(database.name)
    assert not database.alive("dead")


# What a deletion leaves


def test_a_deleted_face_is_in_no_page_after_its_scrub_and_in_no_file_after_a_sweep(
    postgres: Server, database: Database, database_url: str
) -> None:
    [gallery] = made(database, "people")
    kept, gone = template(b"who stays", "ada.jpg"), template(b"who goes", "marguerite.jpg")
    database.write(lambda c: store.enrol(c, gallery, [kept, gone], NOW), late=True)
    secret = gone.embedding.vector.tobytes()
    assert postgres.holds(secret)
    assert postgres.holds(b"marguerite.jpg")
    database.write(lambda c: store.forget(c, gallery, [gone.face_id]), late=True)
    name = sa.make_url(database_url).database
    dead = f"SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = '{faces.name}'"
    assert database.scrub()
    assert postgres.sql(dead, str(name)) == [(0,)]
    assert database.scrub(traces=None)
    assert not postgres.holds(secret)
    assert not postgres.holds(b"marguerite.jpg")
    assert postgres.holds(kept.embedding.vector.tobytes())


def test_a_table_that_somebody_keeps_is_not_waited_for_without_end(
    database: Database, database_url: str
) -> None:
    intruder = sa.create_engine(postgresql.address(database_url))
    with intruder.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE faces IN ACCESS EXCLUSIVE MODE")
        assert not database.scrub(patience=0.05)
    intruder.dispose()
    assert database.scrub()
