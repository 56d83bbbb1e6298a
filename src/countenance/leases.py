"""A worker's hold on the job it is at, and why work must not go on.

A thread renews it while the work goes on. Who lets it run out has lost the job: the next worker begins anew,
what the first found so far is discarded, and should it only have been slow, it can write nothing more. So
every job has its results once. `Lease` begins its own transactions, but for those that say so.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance import results
from countenance.database import Database
from countenance.errors import CountenanceError
from countenance.jobs import FREE, LEASE, LONGEST_MESSAGE, Job, State, over
from countenance.results import Finding, Order
from countenance.schema import jobs as table

LOG = logging.getLogger(__name__)

RENEWED = dt.timedelta(seconds=4)
"""How often it says something, and learns that its job was cancelled: each time costs one durable write."""

RETRIED = (60, 600)
"""Seconds until a job is begun again whose database or ledger refused a write; the last one from then on."""


class Halted(Exception):
    """Work must not go on. error: what the ledger calls it, None for an interruption. state: what becomes of
    the job, None where that is settled already; said: what it says of that, unless more is known."""

    error: ClassVar[str | None] = None
    state: ClassVar[State | None] = None
    said: ClassVar[str] = ""

    @property
    def message(self) -> str:
        return str(self) or self.said


class Stopped(Halted):
    """The worker ends; another begins the job anew."""

    state = State.WAITING


class Refused(Halted):
    """Database or ledger refused a write. The job begins anew later."""

    state, said = State.WAITING, "the database refused a write"


class Lost(Halted):
    """Another worker has the job."""


class Cancelled(Halted):
    error = "Cancelled"


class Overdue(Halted):
    """It took longer than jobs may."""

    error, state, said = "TimedOut", State.TIMED_OUT, "it took longer than a job may"


class TooMuch(Halted):
    """It found more than jobs may keep."""

    error, state = "LimitExceededException", State.FAILED


class Lease:
    """A worker's hold on the job it is at. stopping: whether the worker is to end.

    longest: how long one attempt may take. most: bytes that its results may take.
    """

    def __init__(
        self,
        database: Database,
        job: Job,
        clock: Callable[[], dt.datetime],
        stopping: Callable[[], bool],
        longest: dt.timedelta,
        most: int,
    ) -> None:
        self.job = job
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._over = clock() + longest
        self._most = most
        self._decision: int | None = None
        self._share = self._logged = 0.0
        self._halt: Halted | None = None  # what a renewal came to know
        self._lines: dict[Order, list[Finding]] = {each: [] for each in Order}  # of no whole page yet
        self._pages = dict.fromkeys(Order, 0)
        self._size = 0

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew it from a thread, whatever the work is at, until the block ends: only a worker that is gone
        loses its job. One that is stuck loses it once its time is over."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(RENEWED.total_seconds()) and self._clock() < self._over + LEASE:
                try:
                    self.renew()
                except Halted as halt:
                    self._halt = halt
                    return
                except CountenanceError as fault:
                    LOG.warning("the lease of job %s was not renewed: %s", self.job.job_id, fault)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def renew(self) -> None:
        """Say that the worker is there, and how far it has come. Raises Lost, Cancelled, StorageError."""
        self._database.write(lambda connection: self._change(connection, **self._alive()))

    def tell(
        self, share: float | None = None, found: Sequence[Finding] = (), order: Order = Order.TIME
    ) -> None:
        """The work has come so far, [0, 1], and this was found beside what was told before.

        order: that it is told in; what is read in several is told in each.
        To be called every second or so, so that a worker can be stopped; it writes only whole pages. Raises
        Halted where the work must not go on.
        """
        if self._halt is not None:
            raise self._halt
        if self._stopping():
            raise Stopped
        if self._clock() >= self._over:
            raise Overdue
        if share is not None:
            self._share = min(max(share, 0.0), 1.0)
            if self._share >= self._logged + 0.1:
                self._logged = self._share
                LOG.info("job %s: %.0f %%", self.job.job_id, 100 * share)
        lines = self._lines[order]
        lines += found
        while len(lines) >= results.LINES:
            self._write(results.pack(lines[: results.LINES]), order)
            del lines[: results.LINES]

    def ready(self, facts: str) -> None:
        """Make sure that the job can end with these facts and all that was told, before something is done
        that cannot be undone. Raises TooMuch, Lost, Cancelled, StorageError."""
        rest = sum(len(results.pack(lines)) for lines in self._lines.values() if lines)
        self._fit(self._size + rest + len(facts))
        self.renew()

    def began(self, connection: Connection, decision: int) -> None:
        """The decision that lets this attempt work is written. Discards what an earlier one found."""
        self._change(connection, decision=decision)
        self._decision = decision
        results.discard(connection, [self.job.decision])

    def ended(self, connection: Connection, state: State, message: str = "", facts: str = "") -> None:
        """The job is over, with all that was told, in this transaction; or it waits again. message: why; with
        one it waits a while, and the attempt counts. Raises Halted."""
        self._database.take_turn(connection)  # before the job's row, as whoever renews or takes it
        now = self._clock()
        if state is State.SUCCEEDED:
            size = self._keep_rest(connection) + len(facts)
            self._fit(size)
            whole = over(self.job, state, now, message)
            self._change(connection, facts=facts, size=size, done=1.0, **whole)
            return
        if state is State.WAITING:
            attempts = self.job.attempts
            wait = RETRIED[min(attempts, len(RETRIED)) - 1] if message else 0
            again = {"until": now.timestamp() + wait, "message": message[:LONGEST_MESSAGE]}
            free = {**FREE, **again, "attempts": attempts if message else attempts - 1, "done": 0.0}
            self._change(connection, state=state.value, **free)
        else:
            self._change(connection, **over(self.job, state, now, message))
        results.discard(connection, [self.job.decision, self._decision])

    def _write(self, body: bytes, order: Order) -> None:
        """Store a whole page, in a transaction of its own."""
        self._size += len(body)
        self._fit(self._size)
        number = self._pages[order]
        decision = self._decision
        assert decision is not None, "no decision lets the work begin"

        def write(connection: Connection) -> None:
            self._change(connection, **self._alive())
            results.keep(connection, decision, number, body, order)

        self._database.write(write)
        self._pages[order] += 1

    def _keep_rest(self, connection: Connection) -> int:
        """Store the last pages; bytes of all of them."""
        size = self._size
        for order, lines in self._lines.items():
            if lines:
                assert self._decision is not None, "no decision lets the work begin"
                body = results.pack(lines)
                results.keep(connection, self._decision, self._pages[order], body, order)
                size += len(body)
        return size

    def _fit(self, size: int) -> None:
        if size > self._most:
            raise TooMuch(
                f"it found more than the {self._most / 1e6:g} MB that a job may keep: start it for a shorter "
                "clip, for fewer frames a second or for fewer attributes"
            )

    def _alive(self) -> dict[str, object]:
        return {"until": (self._clock() + LEASE).timestamp(), "done": self._share}

    def _change(self, connection: Connection, **values: object) -> None:
        """Raises Lost or Cancelled where the job is not ours any more."""
        mine = sa.and_(
            table.c.number == self.job.number,
            table.c.state == State.RUNNING.value,
            table.c.attempts == self.job.attempts,
            table.c.worker == self.job.worker,
        )
        if connection.execute(table.update().where(mine).values(**values)).rowcount != 1:
            state = connection.execute(
                sa.select(table.c.state).where(table.c.number == self.job.number)
            ).scalar()
            raise Cancelled if state == State.CANCELLED else Lost
