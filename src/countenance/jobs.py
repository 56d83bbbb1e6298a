"""Queued work with leases: what a Start... call put off, who is at it, what it found, and when that goes.

A worker holds a job by a lease that it renews while it works. One that dies lets the lease run out, and the
next worker begins anew: what the dead one found so far is dropped, and should it only have been slow, it can
write nothing more. So every job has its results once. Nothing found is shown before the job has succeeded.

Functions take the caller's transaction; `Lease` begins its own.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping, Sequence
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

LONGEST_MESSAGE = 4000
"""Characters of what a job says of its end."""

AT_ONCE = 500
"""Findings of one transaction: others write in between."""

BACKOFF = (5, 30, 120, 600, 3600)
"""Seconds until a notification that failed is sent again; the last one from then on."""

NOTICES = 24
"""Times that it is tried: most of a day."""


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
    decision: of its last attempt. done: the share of the work, [0, 1]. facts: what was learned of the clip
    and belongs to every page, as JSON. topic: whom to tell of its end; noticed: how often that was tried;
    notice_error: why it failed last.
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
    facts: str
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
    query = sa.select(*_COLUMNS).where(jobs.c.account == account, jobs.c.job_id == job_id)
    row = connection.execute(
        query if operation is None else query.where(jobs.c.operation == operation)
    ).first()
    return None if row is None else _job(row)


def page(connection: Connection, account: str, before: int, limit: int) -> list[Job]:
    """An organisation's jobs, the newest first. before: a number; 0 begins."""
    query = sa.select(*_COLUMNS).where(jobs.c.account == account)
    query = query.where(jobs.c.number < before) if before else query
    return [_job(row) for row in connection.execute(query.order_by(jobs.c.number.desc()).limit(limit))]


def with_token(
    connection: Connection, account: str, operation: str, token: str, now: dt.datetime
) -> Job | None:
    """The job that a ClientRequestToken stands for."""
    query = sa.select(*_COLUMNS).where(
        jobs.c.account == account,
        jobs.c.operation == operation,
        jobs.c.token == token,
        jobs.c.created > (now - KEPT).timestamp(),
    )
    row = connection.execute(query).first()
    return None if row is None else _job(row)


def unfinished(connection: Connection, account: str) -> int:
    """How many jobs of an organisation wait or run."""
    query = sa.select(sa.func.count()).where(jobs.c.account == account, _in(OPEN))
    return int(connection.execute(query).scalar_one())


def cancel(connection: Connection, job: Job, now: dt.datetime) -> bool:
    """End a job that has not ended; whether it had not."""
    mine = sa.and_(jobs.c.number == job.number, _in(OPEN))
    over = _over(job, State.CANCELLED, now, "cancelled")
    if connection.execute(jobs.update().where(mine).values(**over)).rowcount != 1:
        return False
    _forget(connection, job)
    return True


def results(
    connection: Connection, job: Job, start: int, limit: int, *, by_person: bool = False
) -> list[Finding]:
    """Findings of a job past the first `start`, by time, or by person and time."""
    order = (findings.c.person, findings.c.place) if by_person else (findings.c.place,)
    query = sa.select(findings.c.at, findings.c.body, findings.c.person)
    query = query.where(findings.c.job == job.number).order_by(*order).offset(start).limit(limit)
    return [Finding(*row) for row in connection.execute(query)]


def expire(connection: Connection, account: str, before: dt.datetime, limit: int) -> int:
    """Forget jobs that ended before a moment, with all they found; how many."""
    over = sa.select(jobs.c.number).where(jobs.c.account == account, jobs.c.ended <= before.timestamp())
    gone = list(connection.execute(over.order_by(jobs.c.number).limit(limit)).scalars())
    connection.execute(jobs.delete().where(jobs.c.number.in_(gone)))
    return len(gone)


def anyone_over(connection: Connection, account: str, before: dt.datetime) -> bool:
    """Whether `expire` has something to do."""
    over = sa.select(jobs.c.number).where(jobs.c.account == account, jobs.c.ended <= before.timestamp())
    return connection.execute(over.limit(1)).first() is not None


def drop(connection: Connection, started: Sequence[int]) -> None:
    """Forget the jobs that these decisions let in, running ones too: what their calls said is erased."""
    for first in range(0, len(started), AT_ONCE):
        some = jobs.c.started.in_(started[first : first + AT_ONCE])
        connection.execute(jobs.delete().where(some))


def to_tell(connection: Connection, now: dt.datetime) -> Job | None:
    """A job whose end is to be told, held back from others for as long as the try may take."""
    due = jobs.c.notice_at <= now.timestamp()
    row = connection.execute(sa.select(*_COLUMNS).where(due).order_by(jobs.c.notice_at).limit(1)).first()
    if row is None:
        return None
    later = (now + LEASE).timestamp()
    connection.execute(jobs.update().where(jobs.c.number == row.number).values(notice_at=later))
    return _job(row)


def anyone_to_tell(connection: Connection, now: dt.datetime) -> bool:
    due = sa.select(jobs.c.number).where(jobs.c.notice_at <= now.timestamp()).limit(1)
    return connection.execute(due).first() is not None


def told(connection: Connection, job: Job, now: dt.datetime, error: str = "") -> None:
    """A try to tell of a job's end is over. error: why it failed; it is tried again, NOTICES times in all."""
    tries = job.noticed + 1
    again = now.timestamp() + BACKOFF[min(tries, len(BACKOFF)) - 1] if error and tries < NOTICES else None
    of = jobs.update().where(jobs.c.number == job.number)
    connection.execute(of.values(noticed=tries, notice_at=again, notice_error=error[:1000]))


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
        self._places = 0
        self._logged = 0.0

    def tell(self, share: float | None = None, found: Sequence[Finding] = ()) -> None:
        """The work has come so far, [0, 1], and this was found beside what was told before.

        To be called every second or so; it writes seldomer. Raises Halted where the work must not go on.
        """
        now = self._clock()
        self._found += found
        if self._stopping():
            raise Stopped
        if now >= self._over:
            raise Overdue
        if now >= self._renew or len(self._found) >= AT_ONCE:
            self._database.write(lambda connection: self._renewed(connection, now, share))
            self._renew = now + RENEWED
            self._places += len(self._found)
            self._found = []

    def began(self, connection: Connection, decision: int) -> None:
        """The decision that lets this attempt work is written. Drops what an earlier one found."""
        self._change(connection, decision=decision)
        _forget(connection, self.job)

    def ended(self, connection: Connection, state: State, message: str = "", facts: str = "") -> None:
        """The job is over, with all that was told, in this transaction; or it waits again."""
        if state is State.WAITING:
            free = {"state": state.value, "attempts": self.job.attempts - 1, "done": 0.0, **_FREE}
            self._change(connection, **free)
        else:
            whole = {"done": 1.0} if state is State.SUCCEEDED else {}
            over = _over(self.job, state, self._clock(), message)
            self._change(connection, facts=facts, **over, **whole)
        if state is State.SUCCEEDED:
            self._keep_found(connection)
        else:
            _forget(connection, self.job)

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
            for place, each in enumerate(self._found, start=self._places)
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
    """The job that has waited longest, or whose worker is gone, held by a lease; None where there is none.

    One that was begun ATTEMPTS times is not begun again.
    """
    while (row := connection.execute(_free(now).order_by(jobs.c.number).limit(1)).first()) is not None:
        job = _job(row)
        held = {
            "state": State.RUNNING.value,
            "attempts": job.attempts + 1,
            "worker": worker,
            "until": (now + LEASE).timestamp(),
            "begun": now.timestamp(),
            "done": 0.0,
        }
        of = jobs.update().where(jobs.c.number == job.number, jobs.c.attempts == job.attempts)
        if job.attempts >= ATTEMPTS:
            why = f"given up: {ATTEMPTS} workers ended while they were at it"
            connection.execute(of.values(**_over(job, State.FAILED, now, why)))
            _forget(connection, job)
        elif connection.execute(of.values(**held)).rowcount == 1:
            taken = sa.select(*_COLUMNS).where(jobs.c.number == job.number)
            return _job(connection.execute(taken).one())
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


def _forget(connection: Connection, job: Job) -> None:
    connection.execute(findings.delete().where(findings.c.job == job.number))


def _free(now: dt.datetime) -> sa.Select[Any]:
    left = sa.and_(jobs.c.state == State.RUNNING.value, jobs.c.until <= now.timestamp())
    return sa.select(*_COLUMNS).where(sa.or_(jobs.c.state == State.WAITING.value, left))


def _in(states: Sequence[State]) -> sa.ColumnElement[bool]:
    return jobs.c.state.in_([state.value for state in states])


def _job(row: sa.Row[Any]) -> Job:
    values = row._asdict()
    return Job(**{**values, "state": State(row.state)})


_COLUMNS = [column for column in jobs.c if column.name not in {"until", "token"}]
_FREE: Mapping[str, object] = {"worker": None, "until": None}
