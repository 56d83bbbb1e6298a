"""Queued work with leases: what a Start... call put off, who is at it, what it found, and when that goes.

A worker holds a job by a lease that it renews while it works. One that dies lets the lease run out, and the
next worker begins anew; should the first only have been slow, it can write nothing more. Findings stand under
the decision that let their attempt work, and only those of the last are shown, once the job has succeeded. So
every job has its results once. What is shown no longer is swept away a little at a time: a job may have found
a million lines, and all who write wait for whoever writes.

Functions take the caller's transaction; `Lease` begins its own. What becomes of jobs once they are over is in
`endings`.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Database
from countenance.errors import StorageError
from countenance.schema import findings, jobs

LOG = logging.getLogger(__name__)

LEASE = dt.timedelta(seconds=60)
"""How long a worker may say nothing. Loading every model takes seconds, one frame far less than one."""

RENEWED = dt.timedelta(seconds=3)
"""How often it says something: each time costs one durable write."""

ATTEMPTS = 3
"""Times that a job is begun: one that ends its worker each time does not go on doing so."""

KEPT = dt.timedelta(days=7)
"""How long what ended is kept, unless a rule of retention is stricter, and how long a ClientRequestToken
stands for its job (both as Rekognition documents)."""

SILENT = dt.timedelta(seconds=12)
"""Without a word from the work after which its lease is renewed for it."""

LONGEST_MESSAGE = 4000
"""Characters of what a job says of its end."""

AT_ONCE = 500
"""Findings of one transaction: others write in between."""

MOST_FOUND = 1_000_000
"""Findings of one job: six hours of nine faces, five times a second. They lie in the ledger's database."""

ROOM = 1 << 20
"""Places that each attempt's decision has for findings; MOST_FOUND fit in."""


class State(StrEnum):
    """What became of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed-out"


OPEN = (State.WAITING, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Job:
    """A call that was put off. Times are Unix seconds.

    asked: the request and what it declared, sealed by who added it. started: the decision that let it in.
    decision: of its last attempt. done: the share of the work, [0, 1]. topic: whom to tell of its end;
    noticed: how often that was tried; notice_error: why it failed last.
    """

    number: int
    job_id: str
    account: str
    key: str
    operation: str
    asked: bytes
    question: bytes
    started: int
    state: State
    message: str
    created: float
    begun: float | None
    ended: float | None
    attempts: int
    worker: str | None
    decision: int | None
    done: float
    topic: str
    noticed: int
    notice_at: float | None
    notice_error: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a job's results. at: milliseconds into the clip. person: whose; 0 where nobody asked."""

    at: int
    body: str
    person: int = 0


class Halted(Exception):
    """Work must not go on. error: what the ledger calls it, None for an interruption. state: what becomes of
    the job, None where that is settled already; message: what it says of that."""

    error: ClassVar[str | None] = None
    state: ClassVar[State | None] = None
    message: ClassVar[str] = ""


class Stopped(Halted):
    """The worker ends; another begins the job anew."""

    state = State.WAITING


class Lost(Halted):
    """Another worker has the job."""


class Cancelled(Halted):
    error = "Cancelled"


class Overfull(Halted):
    """It found more than a job may."""

    error, state = "LimitExceeded", State.FAILED
    message = (
        f"it found more than {MOST_FOUND:,} faces: look at fewer frames a second, or at parts of the clip"
    )


class Overdue(Halted):
    """It took longer than jobs may."""

    error, state, message = "TimedOut", State.TIMED_OUT, "it took longer than a job may"


def add(connection: Connection, **values: Any) -> int:
    """Queue a job; its number. values: job_id, account, key, operation, asked, question, started, created,
    and perhaps token and topic."""
    inserted = connection.execute(jobs.insert().values(state=State.WAITING.value, **values))
    [number] = inserted.inserted_primary_key or (0,)
    return int(number)


def find(connection: Connection, account: str, job_id: str, operation: str | None = None) -> Job | None:
    """An organisation's job. operation: the one that must have started it."""
    query = sa.select(*COLUMNS).where(jobs.c.account == account, jobs.c.job_id == job_id)
    row = connection.execute(
        query if operation is None else query.where(jobs.c.operation == operation)
    ).first()
    return None if row is None else of_row(row)


def page(connection: Connection, account: str, before: int, limit: int) -> list[Job]:
    """An organisation's jobs, the newest first. before: a number; 0 begins."""
    query = sa.select(*COLUMNS).where(jobs.c.account == account)
    query = query.where(jobs.c.number < before) if before else query
    return [of_row(row) for row in connection.execute(query.order_by(jobs.c.number.desc()).limit(limit))]


def with_token(
    connection: Connection, account: str, operation: str, token: str, now: dt.datetime
) -> Job | None:
    """The job that a ClientRequestToken stands for."""
    query = sa.select(*COLUMNS).where(
        jobs.c.account == account,
        jobs.c.operation == operation,
        jobs.c.token == token,
        jobs.c.created > (now - KEPT).timestamp(),
    )
    row = connection.execute(query).first()
    return None if row is None else of_row(row)


def unfinished(connection: Connection, account: str) -> int:
    """How many jobs of an organisation wait or run."""
    query = sa.select(sa.func.count()).where(jobs.c.account == account, _in(OPEN))
    return int(connection.execute(query).scalar_one())


def cancel(connection: Connection, job: Job, now: dt.datetime) -> bool:
    """End a job that has not ended; whether it had not."""
    mine = sa.and_(jobs.c.number == job.number, _in(OPEN))
    over = _over(job, State.CANCELLED, now, "cancelled")
    return connection.execute(jobs.update().where(mine).values(**over)).rowcount == 1


def facts(connection: Connection, job: Job) -> str:
    """What was learned of a job's clip and belongs to every page, as JSON; "" before it has succeeded."""
    return str(connection.execute(sa.select(jobs.c.facts).where(jobs.c.number == job.number)).scalar() or "")


def results(
    connection: Connection, job: Job, start: int, limit: int, *, by_person: bool = False
) -> list[Finding]:
    """Findings of a job's last attempt past the first `start`, by time, or by person and time."""
    first = (job.decision or 0) * ROOM
    query = sa.select(findings.c.at, findings.c.body, findings.c.person).where(findings.c.job == job.number)
    if by_person:
        mine = findings.c.place.between(first, first + ROOM - 1)
        query = query.where(mine).order_by(findings.c.person, findings.c.place).offset(start)
    else:  # places follow on one another, so none has to be counted
        mine = findings.c.place.between(first + start, first + ROOM - 1)
        query = query.where(mine).order_by(findings.c.place)
    return [Finding(*row) for row in connection.execute(query.limit(limit))]


class Lease:
    """A worker's hold on the job it is at. stopping: whether the worker is to end.

    longest: how long one attempt may take.
    """

    def __init__(
        self,
        database: Database,
        job: Job,
        clock: Callable[[], dt.datetime],
        stopping: Callable[[], bool],
        longest: dt.timedelta,
    ) -> None:
        self.job = job
        self._database = database
        self._clock = clock
        self._stopping = stopping
        self._over = clock() + longest
        self._renew = clock() + RENEWED
        self._found: list[Finding] = []
        self._first = 0
        self._places = 0
        self._logged = 0.0
        self._lost: Halted | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renews the lease, as long as this lasts, where `tell` is not called in time: a loop that forgets to
        is no dead worker. It may last as long as an attempt may."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(RENEWED.total_seconds()) and self._lost is None:
                now = self._clock()
                if self._renew + SILENT <= now < self._over:
                    self._renew_alone(now)

        thread = threading.Thread(target=keep, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _renew_alone(self, now: dt.datetime) -> None:
        until = (now + LEASE).timestamp()
        try:
            self._database.write(lambda connection: self._change(connection, until=until))
        except Halted as halt:
            self._lost = halt
        except StorageError as fault:
            LOG.warning("the lease of job %s was not renewed: %s", self.job.job_id, fault)

    def tell(self, share: float | None = None, found: Sequence[Finding] = ()) -> None:
        """The work has come so far, [0, 1], and this was found beside what was told before.

        To be called every second or so; it writes seldomer. Raises Halted where the work must not go on.
        """
        now = self._clock()
        self._found += found
        if self._lost is not None:
            raise self._lost
        if self._stopping():
            raise Stopped
        if self._places + len(self._found) > MOST_FOUND:
            raise Overfull
        if now >= self._over:
            raise Overdue
        if now >= self._renew or len(self._found) >= AT_ONCE:
            self._database.write(lambda connection: self._renewed(connection, now, share))
            self._renew = now + RENEWED
            self._places += len(self._found)
            self._found = []

    def began(self, connection: Connection, decision: int) -> None:
        """The decision that lets this attempt work is written: what it finds stands under that."""
        self._change(connection, decision=decision)
        self._first = decision * ROOM

    def ended(self, connection: Connection, state: State, message: str = "", facts: str = "") -> None:
        """The job is over, with all that was told, in this transaction; or it waits again."""
        self._database.take_turn(connection)  # before the job's row, as whoever renews a lease does
        if state is State.WAITING:
            free = {"state": state.value, "attempts": self.job.attempts - 1, "done": 0.0, **_FREE}
            self._change(connection, **free)
        else:
            whole = {"done": 1.0} if state is State.SUCCEEDED else {}
            over = _over(self.job, state, self._clock(), message)
            self._change(connection, facts=facts, **over, **whole)
        if state is State.SUCCEEDED:
            self._keep_found(connection)

    def _renewed(self, connection: Connection, now: dt.datetime, share: float | None) -> None:
        if share is not None and share >= self._logged + 0.1:
            self._logged = share
            LOG.info("job %s: %.0f %%", self.job.job_id, 100 * share)
        done = {} if share is None else {"done": min(max(share, 0.0), 1.0)}
        self._change(connection, until=(now + LEASE).timestamp(), **done)
        self._keep_found(connection)

    def _keep_found(self, connection: Connection) -> None:
        rows = [
            {"job": self.job.number, "place": place, "person": each.person, "at": each.at, "body": each.body}
            for place, each in enumerate(self._found, start=self._first + self._places)
        ]
        if rows:
            connection.execute(findings.insert(), rows)

    def _change(self, connection: Connection, **values: object) -> None:
        """Raises Lost or Cancelled where the job is not ours any more."""
        mine = sa.and_(
            jobs.c.number == self.job.number,
            jobs.c.state == State.RUNNING.value,
            jobs.c.attempts == self.job.attempts,
            jobs.c.worker == self.job.worker,
        )
        if connection.execute(jobs.update().where(mine).values(**values)).rowcount != 1:
            state = connection.execute(
                sa.select(jobs.c.state).where(jobs.c.number == self.job.number)
            ).scalar()
            raise Cancelled if state == State.CANCELLED else Lost


def take(connection: Connection, worker: str, now: dt.datetime) -> Job | None:
    """A job that waits, or whose worker is gone, held by a lease; None where there is none.

    Organisations take turns: the one whose last job was begun longest ago, and of it the oldest. A job that
    was begun ATTEMPTS times is not begun again, nor one that waited as long as results are kept.
    """
    other = jobs.alias("other")
    latest = sa.select(sa.func.max(other.c.begun)).where(other.c.account == jobs.c.account).scalar_subquery()
    turn = _free(now).order_by(sa.func.coalesce(latest, 0.0), jobs.c.number).limit(1)
    while (row := connection.execute(turn).first()) is not None:
        job = of_row(row)
        of = jobs.update().where(jobs.c.number == job.number, jobs.c.attempts == job.attempts)
        if ended := _given_up(job, now):
            connection.execute(of.values(**_over(job, *ended)))
            continue
        held = {
            "state": State.RUNNING.value,
            "attempts": job.attempts + 1,
            "worker": worker,
            "until": (now + LEASE).timestamp(),
            "begun": now.timestamp(),
            "done": 0.0,
        }
        if connection.execute(of.values(**held)).rowcount == 1:
            taken = sa.select(*COLUMNS).where(jobs.c.number == job.number)
            return of_row(connection.execute(taken).one())
    return None


def _given_up(job: Job, now: dt.datetime) -> tuple[State, dt.datetime, str] | None:
    """How a job ends that is not begun again."""
    if job.attempts >= ATTEMPTS:
        why = f"given up: begun {ATTEMPTS} times and never ended; the logs of those who worked on it say why"
        return State.FAILED, now, why
    if job.state is State.WAITING and job.created <= (now - KEPT).timestamp():
        return State.TIMED_OUT, now, f"nobody began it within {KEPT.days} days: no worker ran"
    return None


def anyone_waiting(connection: Connection, now: dt.datetime) -> bool:
    """Whether `take` has something to do: asked every second, so it only reads."""
    return connection.execute(_free(now).limit(1)).first() is not None


def fail(connection: Connection, job: Job, message: str, now: dt.datetime) -> None:
    """End a job that cannot even be begun. Raises StorageError where it is not held any more."""
    mine = sa.and_(jobs.c.number == job.number, _in(OPEN), jobs.c.attempts == job.attempts)
    over = _over(job, State.FAILED, now, message)
    if connection.execute(jobs.update().where(mine).values(**over)).rowcount != 1:
        raise StorageError(f"job {job.job_id} is not held any more")


def _over(job: Job, state: State, now: dt.datetime, message: str) -> dict[str, object]:
    """What a row says once its job is over: whoever wants to know is told now."""
    at = now.timestamp()
    ended = {"state": state.value, "message": message[:LONGEST_MESSAGE], "ended": at, **_FREE}
    return {**ended, "notice_at": at if job.topic else None}


def _free(now: dt.datetime) -> sa.Select[Any]:
    left = sa.and_(jobs.c.state == State.RUNNING.value, jobs.c.until <= now.timestamp())
    return sa.select(*COLUMNS).where(sa.or_(jobs.c.state == State.WAITING.value, left))


def _in(states: Sequence[State]) -> sa.ColumnElement[bool]:
    return jobs.c.state.in_([state.value for state in states])


def of_row(row: sa.Row[Any]) -> Job:
    """A row of COLUMNS."""
    values = row._asdict()
    return Job(**{**values, "state": State(row.state)})


COLUMNS = [column for column in jobs.c if column.name not in {"until", "token", "facts"}]
_FREE: Mapping[str, object] = {"worker": None, "until": None}
