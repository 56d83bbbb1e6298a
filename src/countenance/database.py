"""One database holds galleries, keys and the ledger, so that an enrolment and its log line commit together.

This is the one place that begins a transaction. Reads are short snapshots; every write goes through
one thread per process, which gathers what is waiting into a single commit (group commit), so that a
durable write costs a share of one fsync. Nothing is acknowledged before that commit returned.

Of several processes one appends to the ledger at a time. On SQLite whoever writes at all waits for his
turn; on PostgreSQL only who is about to append, so that long work in a gallery (`late`) holds nobody up.
"""

from __future__ import annotations

import queue
import random
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance import postgresql, remains, sqlite
from countenance.errors import HomeError, StorageError
from countenance.schema import MIGRATIONS, VERSION, home, metadata

T = TypeVar("T")

BATCH = 128
"""Writes gathered into one commit at most; more would only delay the first of them."""

GATHERING = 0.6
"""Share of the last commit's time that the next one waits for whom that answered, beside those who came
meanwhile: where fsync is slow or the processor busy they come back together (bench/recording.py)."""

LONGEST_GATHERING = 0.02
"""Seconds of it at most: long work in one commit holds up the next no longer than a slow disk would."""

PATIENCE = 5.0
"""Seconds a deletion waits for readers of old pages before it says that bytes are left in the log."""

_here = threading.local()


def transaction_open() -> bool:
    """Whether this thread holds a transaction. No model may run while it does."""
    return bool(getattr(_here, "depth", 0))


@contextmanager
def _marked() -> Iterator[None]:
    _here.depth = getattr(_here, "depth", 0) + 1
    try:
        yield
    finally:
        _here.depth -= 1


@dataclass(frozen=True, slots=True)
class _Job:
    """Work, and where its end is told: a result, or what went wrong. (A Future takes ten times longer.)"""

    work: Callable[[Connection], Any]
    end: queue.SimpleQueue[tuple[Any, Exception | None]] = field(default_factory=queue.SimpleQueue)
    late: bool = False


@dataclass(frozen=True, slots=True)
class Traces:
    """What must be in no file once a deletion is done: random bytes, and texts."""

    secrets: Sequence[bytes] = ()
    texts: Sequence[str] = ()


NO_TRACES = Traces()


def together(traces: Sequence[Traces | None]) -> Traces | None:
    """All of several; None where one is None."""
    known = [each for each in traces if each is not None]
    if len(known) < len(traces):
        return None
    return Traces(
        tuple(secret for each in known for secret in each.secrets),
        tuple(text for each in known for text in each.texts),
    )


class Journal(Protocol):
    """What is told of every write transaction, inside it and on the writer's thread: the ledger."""

    def begin(self, connection: Connection) -> None:
        """It is this process's turn to append; raising ends the transaction. What an earlier transaction did
        may have been undone."""

    def seal(self, connection: Connection) -> None:
        """All work is done; raising undoes all of it."""

    def settled(self) -> None:
        """The commit returned: all of it is durable."""


class Statement:
    """A statement that is compiled once and handed to the driver as it is.

    For the few that every call runs: SQLAlchemy spends ten times longer on one than SQLite does.
    """

    def __init__(self, clause: sa.sql.ClauseElement) -> None:
        self._clause = clause
        self._made: tuple[str, str, Mapping[str, Any]] | None = None  # of which backend; text, own values
        self._gives_rows = not isinstance(clause, sa.UpdateBase) or bool(clause.returning_column_descriptions)

    def run(self, connection: Connection, **values: object) -> list[tuple[Any, ...]]:
        """The rows, as the driver gives them: nothing is converted."""
        if not self._gives_rows and connection.dialect.name == postgresql.NAME:
            postgresql.send(connection, *self._bound(connection, values))
            return []
        cursor = self._execute(connection, values)
        return cursor.fetchall() if self._gives_rows else []

    def count(self, connection: Connection, **values: object) -> int:
        """How many rows it changed."""
        return int(self._execute(connection, values).rowcount)

    def _bound(self, connection: Connection, values: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        if self._made is None or self._made[0] != connection.dialect.name:
            dialect = connection.dialect if connection.dialect.name == postgresql.NAME else sqlite.NAMED
            compiled = self._clause.compile(dialect=dialect)
            self._made = connection.dialect.name, str(compiled), compiled.params
        _, text, own = self._made
        return text, {**own, **values}

    def _execute(self, connection: Connection, values: Mapping[str, object]) -> Any:
        text, bound = self._bound(connection, values)
        if connection.dialect.name == postgresql.NAME:
            return postgresql.execute(connection, text, bound)
        return driver(connection).execute(text, bound)


def driver(connection: Connection) -> Any:
    """The driver's own connection under SQLAlchemy's."""
    return connection.connection.dbapi_connection


class Database:
    """Transactions on the home's database.

    url: an SQLAlchemy URL of SQLite, whose file is made when missing, or of PostgreSQL.
    Its `name` is what PostgreSQL knows this process by for as long as its writer is connected.
    Raises HomeError where the schema is newer than this code, StorageError where the database refuses.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self.url = postgresql.address(url)
        self.name = uuid.uuid4().hex
        self.shared = self.url.get_backend_name() == postgresql.NAME
        if self.shared:
            self._readers = postgresql.engine(self.url, size=8, writes=False)
            self._writer = postgresql.engine(self.url, size=1, writes=True, at_work=self.name)
        else:
            self._readers = sqlite.engine(self.url, size=16, writes=False)
            self._writer = sqlite.engine(self.url, size=1, writes=True)
        self._my_turn = False  # whether the transaction at hand may append
        self._at: int | None = None  # which job of it is at work
        self._committing = False  # whether nobody could tell, were the connection lost, if it is durable
        self._journals: list[Journal] = []
        self._waiting: deque[_Job] = deque()
        self._enough = threading.Event()  # so many wait as the writer wants
        self._wanted = 1
        self._held: Connection | None = None  # the writer thread's
        self._closed = False
        self._scrubbing = threading.Lock()
        self._owed: Traces | None = NO_TRACES  # what an earlier scrub could not see to
        try:
            with _translated(), _marked(), self._writer.begin() as connection:
                _migrate(connection)
        except Exception:
            self._writer.dispose()
            raise
        self._thread = threading.Thread(target=self._serve, name="database-writer", daemon=True)
        self._thread.start()

    def keep(self, journal: Journal) -> None:
        """Have a journal told of every write transaction from now on."""
        self._journals.append(journal)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent snapshot. Keep it short: an open reader holds back the erasure of old pages."""
        with _translated(), _marked(), self._readers.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T], *, late: bool = False) -> T:
        """Run `work` in a write transaction and return its result once that is durable.

        `work` runs on the writer's thread, may share its commit with others' work, and is undone
        alone if it raises. It may be done again from the start: after work beside it that raised, or where
        PostgreSQL gave up what was done so far. late: it changes galleries first, under locks of its own, and
        calls `take_turn` before it appends to a journal. Raises what it raises, and StorageError.
        """
        job = _Job(work, late=late)
        self._waiting.append(job)
        if len(self._waiting) >= self._wanted:
            self._enough.set()
        while True:
            try:
                result, fault = job.end.get(timeout=1.0)
            except queue.Empty:
                if not self._thread.is_alive() and job.end.empty():
                    raise StorageError("the database is closed") from None
            else:
                if fault is not None:
                    raise fault
                return result  # type: ignore[no-any-return]

    def take_turn(self, connection: Connection) -> None:
        """Wait until no other process appends; the first time in a transaction the journals are told."""
        if not self._my_turn:
            if self.shared:
                postgresql.take_turn(connection)
            for journal in self._journals:
                journal.begin(connection)
            self._my_turn = True

    def alive(self, name: str) -> bool:
        """Whether the process of that name is connected to the same PostgreSQL database."""
        with self.reading() as connection:
            return name == self.name or postgresql.at_work(connection, name)

    def scrub(self, patience: float = PATIENCE, *, traces: Traces | None = NO_TRACES) -> bool:
        """Empty the write-ahead log, so that no byte of what was deleted stays behind in it; and rewrite the
        file where one of the traces is left in it, or at any rate where they are None.

        Whether readers of old pages let us within `patience` seconds; if not, the next scrub of this process
        looks for these traces too. Raises StorageError.

        On PostgreSQL: take what was deleted out of tables and indexes, and write the tables anew where the
        traces are None. The write-ahead log is the operator's there (docs/postgresql.md).
        """
        if self.shared:
            with _translated():
                return postgresql.vacuum(self.url, metadata, patience, rewrite=traces is None)
        with self._scrubbing:
            self._owed = together([self._owed, traces])
            clean = sqlite.emptied(self.url, patience)
            if clean and self._left(self._owed):
                sqlite.rewrite(self.url)
                clean = sqlite.emptied(self.url, patience) and (
                    self._owed is None or not self._left(self._owed)
                )
            if clean:
                self._owed = NO_TRACES
            return clean

    def _left(self, traces: Traces | None) -> bool:
        """Whether any is in the file; nobody knows of None."""
        if traces is None or not (traces.secrets or traces.texts):
            return traces is None
        try:
            return remains.left(Path(str(self.url.database)), traces.secrets, traces.texts)
        except OSError as fault:
            raise StorageError(f"the database's file cannot be searched: {fault}") from fault

    def close(self) -> None:
        """Finish the writes that wait, then let go of the file."""
        if not self._closed:
            self._closed = True
            self._wanted = 0
            self._enough.set()
            self._thread.join()
            self._readers.dispose()
            self._writer.dispose()

    def _serve(self) -> None:
        batch: list[_Job] = []
        took = 0.0
        while True:
            patience = min(took * GATHERING, LONGEST_GATHERING)
            self._wait(min(BATCH, len(batch) + len(self._waiting)), patience)
            while not (self._waiting or self._closed):
                self._wait(1)
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not batch:
                break
            began = time.perf_counter()
            for part in self._parts(batch):
                self._commit(part)
            took = time.perf_counter() - began
        self._let_go()

    def _wait(self, wanted: int, patience: float | None = None) -> None:
        """Until so many writes wait, or for `patience` seconds, or until no more is to come."""
        self._enough.clear()
        self._wanted = 0 if self._closed else wanted
        if len(self._waiting) < self._wanted:
            self._enough.wait(patience)

    def _parts(self, batch: list[_Job]) -> list[list[_Job]]:
        """What shares a commit. On PostgreSQL one late job at most, and first: it locks galleries, then waits
        for its turn; done the other way round, two processes would wait for each other."""
        late = [job for job in batch if job.late] if self.shared else []
        if not late:
            return [batch]
        first = [late[0], *(job for job in batch if not job.late)]
        return [first, *([job] for job in late[1:])]

    def _commit(self, batch: list[_Job]) -> None:
        """The batch in one transaction, or in several where a job of it raises."""
        while batch:
            ends = self._ends(batch)
            for job, end in zip(batch, ends, strict=False):
                job.end.put(end)
            batch = batch[len(ends) :]

    def _ends(self, batch: list[_Job]) -> list[tuple[Any, Exception | None]]:
        """Of each job its result, which is durable now, or why it has none.

        Where a job raises, only of those before it, done again without it: what it raises with nothing before
        it is its own fault. A commit that fails fails all.
        """
        for left in reversed(range(postgresql.TRIES if self.shared else 1)):
            try:
                return [(result, None) for result in self._transaction(batch)]
            except Exception as fault:  # noqa: BLE001 - handed to the callers
                self._let_go()
                if left and postgresql.passes(fault, unless_lost=self._committing):
                    time.sleep(random.uniform(0.0, 0.1))  # noqa: S311 - so that two do not meet again
                elif left and self._at == 0 and postgresql.stood_in_the_way(fault):
                    pass
                elif not self._at:
                    return [(None, fault)] * (len(batch) if self._at is None else 1)
                else:
                    break
        return self._ends(batch[: self._at])

    def _transaction(self, batch: list[_Job]) -> list[Any]:
        """Each job's result. Where one raises, `_at` says which."""
        self._my_turn, self._at, self._committing = False, None, False
        results = []
        with _translated(), _marked(), self._begun() as connection:
            for at, job in enumerate(batch):
                if not (job.late and self.shared):
                    self.take_turn(connection)
                self._at = at
                results.append(job.work(connection))
                if not self.shared:
                    sqlite.check_open(connection)
                self._at = None
            if self._my_turn:
                for journal in self._journals:
                    journal.seal(connection)
            if self.shared:
                postgresql.execute(connection)
            self._committing = True
        if self._my_turn:
            for journal in self._journals:
                journal.settled()
        return results

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        """A write transaction, on a connection that is kept for the next: a pool's ways cost more than a
        commit."""
        if self._held is None:
            self._held = self._writer.connect()
        with self._held.begin():
            yield self._held

    def _let_go(self) -> None:
        """After a failure the next transaction gets a connection of which nothing is known."""
        held, self._held = self._held, None
        if held is not None:
            if self.shared and not held.invalidated:
                postgresql.take_back(held)
                if driver(held).closed:
                    held.invalidate()
            held.close()


def _migrate(connection: Connection) -> None:
    version = _version(connection)
    if version == VERSION:
        return
    if connection.dialect.name == postgresql.NAME:
        postgresql.take_turn(connection)
        version = _version(connection)  # another process may have been quicker
    if version is None:
        if connection.dialect.name == postgresql.NAME:
            postgresql.check_encoding(connection)
        metadata.create_all(connection)
        connection.execute(home.insert().values(version=VERSION))
        return
    if version > VERSION:
        raise HomeError(
            f"this home has schema version {version}; this Countenance knows up to {VERSION}. "
            "Upgrade Countenance, or restore a backup made before the upgrade."
        )
    for step in range(version, VERSION):
        for statement in MIGRATIONS[step]:
            connection.exec_driver_sql(statement)
    connection.execute(home.update().values(version=VERSION))


def _version(connection: Connection) -> int | None:
    """The schema's; None where there is none."""
    if not sa.inspect(connection).has_table(home.name):
        return None
    return int(connection.execute(sa.select(home.c.version)).scalar_one())


def refusals() -> tuple[type[Exception], ...]:
    """What a database refuses with, through SQLAlchemy or past it."""
    return sa.exc.SQLAlchemyError, sqlite3.Error, *postgresql.errors()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except refusals() as error:
        raise StorageError(postgresql.told(error)) from error
