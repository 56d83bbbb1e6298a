"""What PostgreSQL wants said that SQLite does not: how it is reached, whose turn it is to append, who is at
work, and what a deletion leaves behind (docs/postgresql.md).

The driver is psycopg, of the extra `postgres`; SQLAlchemy loads it, and nothing here imports it.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.errors import HomeError

NAME = "postgresql"
"""SQLAlchemy's name of the backend."""

WAITING = 10
"""Seconds that a write waits for another process's lock, as for SQLite's."""

HELD_IDLE = 60
"""Seconds after which PostgreSQL ends a write transaction in which nothing happens: the process that holds
the others up was stopped, or its machine is gone."""

TRIES = 4
"""Times that a batch is begun again which PostgreSQL gave up for reasons that pass: a deadlock, a restart."""

_TURN = 0x436F756E74
_AT_WORK = 0x436F
"""What our advisory locks are called: numbers of our own choosing, in the home's database alone."""

_WAITING = "countenance: waiting"

_REACHED = {
    "application_name": "countenance",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "40000",
}
"""What libpq is told unless the URL says otherwise: a machine that vanished is noticed within a minute."""

_GIVEN_UP = {"40001", "40P01"}
"""Serialization failure and deadlock: nothing was done."""

_RESTARTS = {"57P01", "57P02", "57P03"}
"""Three ways of a server that ends or is not yet there: the connection is lost."""

_NOTHING_IS_ERASED_FROM = {
    "home",
    "organisations",
    "entries",
    "nodes",
    "checkpoints",
    "handovers",
    "witnessed",
    "calls",
}


def address(url: str | sa.URL) -> sa.URL:
    """A database's URL, with our driver where it is PostgreSQL's. Raises HomeError, which does not show it:
    it may hold a password."""
    try:
        made = sa.make_url(url)
        backend, driver = made.get_backend_name(), made.drivername.partition("+")[2]
    except sa.exc.ArgumentError:
        backend = driver = ""
    if backend == "sqlite":
        return made
    if backend not in {NAME, "postgres"} or driver not in {"", "psycopg"}:
        raise HomeError(
            "the setting `database` is no URL that Countenance knows: write postgresql://USER@HOST/NAME, or "
            "leave it out for SQLite in the home (docs/postgresql.md)"
        )
    return made.set(drivername=f"{NAME}+psycopg")


def engine(url: sa.URL, *, size: int, writes: bool, at_work: str | None = None) -> sa.Engine:
    """Connections for snapshots, or for the writer. at_work: the name that a writer's connection holds a
    lock by for as long as it lasts.

    Readers see one moment of everything; a writer's statements see what was committed before each of them,
    so that what it reads under a lock is the newest. Raises HomeError where the driver is not installed.
    """
    try:
        made = sa.create_engine(
            url,
            isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
            pool_size=size,
            max_overflow=size,
            pool_pre_ping=not writes,  # a writer begins again by itself
            hide_parameters=True,  # templates and secrets have no place in an error's text
            connect_args={name: value for name, value in _REACHED.items() if name not in url.query},
        )
    except ModuleNotFoundError as fault:
        raise HomeError("PostgreSQL needs a driver: pip install 'countenance[postgres]'") from fault

    @sa.event.listens_for(made, "connect")
    def _prepare(connection: Any, record: Any) -> None:
        connection.read_only = not writes
        if writes:
            record.info[_WAITING] = []
            with connection.cursor() as cursor:
                _make_writer(cursor, at_work)
            connection.commit()

    if writes:

        @sa.event.listens_for(made, "before_cursor_execute")
        def _in_order(connection: Connection, *_: object) -> None:
            execute(connection)

    return made


def send(connection: Connection, text: str, values: Mapping[str, object] | None = None) -> None:
    """Have a statement of which nobody awaits anything go with the next one that somebody waits for.

    PostgreSQL answers each from another process, and the way there and back is most of its time.
    """
    if _WAITING in connection.info:
        connection.info[_WAITING].append((text, values))
    else:  # no connection of `engine`: nobody would see to it later
        execute(connection, text, values)


def execute(connection: Connection, *last: Any) -> Any:
    """Execute what waits, then this statement with its values, if there is one; its cursor."""
    raw: Any = connection.connection.driver_connection
    waiting = [*_taken(connection), *([last] if last else ())]
    if len(waiting) == 1:
        return raw.execute(*waiting[0])
    cursor = None
    if waiting:
        with raw.pipeline():
            for each in waiting:
                cursor = raw.execute(*each)
    return cursor


def take_back(connection: Connection) -> list[str]:
    """What waits and is not to be executed."""
    return [text for text, _ in _taken(connection)]


def _taken(connection: Connection) -> list[tuple[str, Mapping[str, object] | None]]:
    waiting: list[tuple[str, Mapping[str, object] | None]] = connection.info.get(_WAITING, [])
    taken = waiting[:]
    waiting.clear()
    return taken


def _make_writer(cursor: Any, at_work: str | None) -> None:
    for setting, value in (
        ("lock_timeout", f"{WAITING}s"),
        ("idle_in_transaction_session_timeout", f"{HELD_IDLE}s"),
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
    ):
        cursor.execute("SELECT set_config(%s, %s, false)", (setting, value))
    # An acknowledged write survives a power cut; what asks for more, such as a standby's word, stays.
    cursor.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
    if at_work is not None:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", (_AT_WORK, _number(at_work)))


def take_turn(connection: Connection) -> None:
    """Wait until no other process appends. The turn ends with the transaction."""
    execute(connection, f"SELECT pg_advisory_xact_lock({_TURN})")


def at_work(connection: Connection, name: str | None = None) -> bool:
    """Whether a process of that name, or of any, holds its lock on this database."""
    query = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
        " AND classid = :class"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    values: dict[str, int] = {"class": _AT_WORK}
    if name is not None:
        query += " AND objid = :object"
        values["object"] = _number(name) % 2**32  # the view shows both halves of the lock as unsigned
    return bool(connection.execute(sa.text(query), values).scalar_one())


def _number(name: str) -> int:
    """32 bits, signed, as PostgreSQL wants them. Two names in four billion are taken for each other: then a
    call that was cut off is seen to at the next start but one."""
    return zlib.crc32(name.encode()) - 2**31


def check_encoding(connection: Connection) -> None:
    """Raises HomeError for a database that cannot hold every text."""
    encoding = connection.execute(sa.text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise HomeError(
            f"the database is encoded in {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0"
        )


def errors() -> tuple[type[Exception], ...]:
    """What the driver raises, where one is loaded."""
    module: Any = sys.modules.get("psycopg")
    return () if module is None else (module.Error,)


def told(fault: Exception) -> str:
    """What went wrong, without the rows it went wrong with: a DETAIL of PostgreSQL's quotes them."""
    own: Any = getattr(fault, "orig", None) or fault
    if _lost(own):
        return f"PostgreSQL cannot be reached: {' '.join(str(own).split())}"
    if getattr(own, "sqlstate", "") == "55P03":
        return f"another process held what this one waited {WAITING} s for"
    return str(getattr(getattr(own, "diag", None), "message_primary", None) or own)


def passes(fault: BaseException, *, unless_lost: bool = False) -> bool:
    """Whether the same work may succeed if it is done again in a new transaction.

    unless_lost: not where the connection broke, because the work may be done.
    """
    return any(
        getattr(each, "sqlstate", "") in _GIVEN_UP or (_lost(each) and not unless_lost)
        for each in _chain(fault)
    )


def stood_in_the_way(fault: BaseException) -> bool:
    """Whether a row of another process's was there first; who looks again sees it."""
    return any(getattr(each, "sqlstate", "") == "23505" for each in _chain(fault))


def _lost(fault: BaseException) -> bool:
    """psycopg has no state for a connection that broke, nor for one that could not be made."""
    if not isinstance(fault, errors()):
        return False
    state = getattr(fault, "sqlstate", "")
    return state in _RESTARTS or (state is None and type(fault).__name__ == "OperationalError")


def _chain(fault: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while fault is not None and fault not in found:
        found.append(fault)
        own = getattr(fault, "orig", None)
        if own is not None:
            found.append(own)
        fault = fault.__cause__ or fault.__context__
    return found


def vacuum(url: sa.URL, metadata: sa.MetaData, patience: float, *, rewrite: bool) -> bool:
    """Have PostgreSQL take every deleted row out of the pages of the tables from which something is erased,
    and out of their indexes; or write those tables anew, so that their files hold no byte of one.

    Whether those who still see the deleted rows let us within `patience` seconds.
    """
    made = sa.create_engine(
        url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool, connect_args={"connect_timeout": "10"}
    )
    tables = [table for table in metadata.sorted_tables if table.name not in _NOTHING_IS_ERASED_FROM]
    how = "FULL" if rewrite else "INDEX_CLEANUP ON, PARALLEL 0"
    with made.connect() as connection:
        clean = _nobody_sees_what_was(connection, patience)
        wait = max(int(patience * 1000), 1000)
        connection.exec_driver_sql(f"SET lock_timeout = {wait}")
        try:
            for table in tables:
                name = connection.dialect.identifier_preparer.format_table(table)
                connection.exec_driver_sql(f"VACUUM ({how}) {name}")
        except sa.exc.OperationalError as fault:
            if getattr(fault.orig, "sqlstate", "") != "55P03":
                raise
            return False
    return clean


def _nobody_sees_what_was(connection: Connection, patience: float) -> bool:
    """Whether every transaction that was open when we came has ended: what was deleted before is invisible to
    all that follow."""
    began = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    older = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' AND backend_xmin IS NOT NULL AND xact_start < :began"
        " AND query NOT LIKE 'VACUUM%'"
    )
    deadline = time.monotonic() + patience
    while connection.execute(older, {"began": began}).scalar_one():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
