"""What SQLite wants said that PostgreSQL does not: how its file is opened, and how it is left without a byte
of what was deleted.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.engine import Connection

from countenance.errors import StorageError

PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # an acknowledged write survives a power cut, as far as the disk keeps its word
    "secure_delete=ON",  # a deleted template is overwritten, not only unlinked
    "foreign_keys=ON",
    "temp_store=MEMORY",  # no template in a temporary file
    "busy_timeout=10000",
)

NAMED = dialect(paramstyle="named")
"""How `database.Statement` is written for the driver: values by their names."""


def engine(url: sa.URL, *, size: int, writes: bool) -> sa.Engine:
    """Connections for snapshots, or for the writer, who shuts every other process out from his first
    statement on."""
    made = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=size,
        max_overflow=48,
        connect_args={"check_same_thread": False, "timeout": 10, "isolation_level": None},
    )

    @sa.event.listens_for(made, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        for pragma in (*PRAGMAS, *(() if writes else ("query_only=ON",))):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        raw: Any = connection.connection.driver_connection
        raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


def emptied(url: sa.URL, patience: float) -> bool:
    """Empty the write-ahead log; whether readers of old pages let us within `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        with _alone_with_the_file(url, timeout=0.25) as own:
            if not own.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


@contextmanager
def _alone_with_the_file(url: sa.URL, timeout: float = 10.0) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(
            sqlite3.connect(str(url.database), timeout=timeout, isolation_level=None)
        ) as own:
            own.execute("PRAGMA temp_store=MEMORY")
            yield own
    except sqlite3.Error as fault:
        raise StorageError(f"the write-ahead log cannot be emptied: {fault}") from fault


def rewrite(url: sa.URL) -> None:
    """Write the file anew, from what is not deleted."""
    with _alone_with_the_file(url) as own:
        own.execute("VACUUM")


def check_open(connection: Connection) -> None:
    """Raises StorageError where the transaction is no more: a full disk makes SQLite end it, and whatever ran
    next would commit by itself."""
    raw: Any = connection.connection.driver_connection
    if not raw.in_transaction:
        raise StorageError("the database gave up the transaction")
