"""Queued work with leases: what a Start... call put off, who is at it, what it found, and when that goes.

A worker holds a job by a lease (leases.py). One that dies lets it run out, and the next worker begins anew.
Nothing found is shown before the job has succeeded; what is not to be shown any more is discarded at once and
destroyed later (results.py). Functions take the caller's transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance import results
from countenance.results import Finding, Order
from countenance.schema import jobs

LEASE = dt.timedelta(seconds=60)
"""How long a worker may say nothing: it is gone, or the database has not answered it since."""

ATTEMPTS = 3
"""Times that a job is begun: one that ends its worker each time does not go on doing so."""

KEPT = dt.timedelta(days=7)
"""How long what ended is kept, unless a rule of retention is stricter, and how long a ClientRequestToken
stands for its job (both as Rekognition documents)."""

LONGEST_MESSAGE = 4000
"""Characters of what a job says of its end."""

AT_ONCE = 500
"""Values of one statement."""

BACKOFF = (5, 30, 120, 600, 3600)
"""Seconds until a notification that failed is sent again; the last one from then on."""

NOTICES = 24
"""Times that it is tried: most of a day."""


EVER = dt.datetime.fromtimestamp(0, dt.UTC)


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


def add(connection: Connection, **values: Any) -> int:
    """Queue a job; its number. values: job_id, account, key, operation, asked, question, started, created,
    and perhaps token and topic."""
    inserted = connection.execute(jobs.insert().values(state=State.WAITING.value, **values))
    [number] = inserted.inserted_primary_key or (0,)
    return int(number)


def find(
    connection: Connection,
    account: str,
    job_id: str,
    operation: str | None = None,
    *,
    since: dt.datetime = EVER,
) -> Job | None:
    """An organisation's job. operation: the one that must have started it. since: not one that ended before,
    which is only not forgotten yet."""
    query = sa.select(*_COLUMNS).where(jobs.c.account == account, jobs.c.job_id == job_id, _current(since))
    row = connection.execute(
        query if operation is None else query.where(jobs.c.operation == operation)
    ).first()
    return None if row is None else _job(row)


def facts(connection: Connection, job: Job) -> str | None:
    """What was learned of the clip and belongs to every page, as JSON; None where the job was forgotten."""
    return connection.execute(sa.select(jobs.c.facts).where(jobs.c.number == job.number)).scalar()


def page(
    connection: Connection, account: str, before: int, limit: int, *, since: dt.datetime = EVER
) -> list[Job]:
    """An organisation's jobs, the newest first. before: a number; 0 begins. since: as of `find`."""
    query = sa.select(*_COLUMNS).where(jobs.c.account == account, _current(since))
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


def stored(connection: Connection, account: str) -> int:
    """Bytes that the results of an organisation's jobs take."""
    query = sa.select(sa.func.coalesce(sa.func.sum(jobs.c.size), 0)).where(jobs.c.account == account)
    return int(connection.execute(query).scalar_one())


def cancel(connection: Connection, job: Job, now: dt.datetime) -> bool:
    """End a job that has not ended; whether it had not."""
    return _end(connection, job, State.CANCELLED, now, "cancelled")


def found(
    connection: Connection, job: Job, start: int, limit: int, order: Order = Order.TIME
) -> list[Finding]:
    """What the job's last attempt found past the first `start` lines."""
    if job.decision is None:
        return []
    return results.read(connection, job.decision, start, limit, order)


def expire(connection: Connection, account: str, before: dt.datetime, limit: int) -> int:
    """Forget jobs that ended before a moment, and discard all they found; how many."""
    ended = sa.select(jobs.c.number).where(jobs.c.account == account, jobs.c.ended <= before.timestamp())
    gone = connection.execute(ended.order_by(jobs.c.number).limit(limit)).scalars().all()
    _delete(connection, jobs.c.number.in_(gone))
    return len(gone)


def give_up(connection: Connection, now: dt.datetime) -> list[Job]:
    """End the jobs that were begun ATTEMPTS times and are at work no more; which they were. What their last
    decisions came to is the caller's to record."""
    spent = _free(now).where(jobs.c.attempts >= ATTEMPTS).limit(AT_ONCE)
    given_up = [_job(row) for row in connection.execute(spent)]
    for job in given_up:
        last = job.message or "each time its worker ended, or could write no more, while it was at it"
        _end(connection, job, State.FAILED, now, f"given up after {ATTEMPTS} attempts: {last}")
    return given_up


def time_out(connection: Connection, now: dt.datetime) -> int:
    """End the jobs that no worker took for as long as results are kept; how many."""
    before = (now - KEPT).timestamp()
    waiting = sa.and_(jobs.c.state == State.WAITING.value, jobs.c.created <= before)
    left = sa.and_(jobs.c.state == State.RUNNING.value, jobs.c.until <= before)
    query = sa.select(*_COLUMNS).where(sa.or_(waiting, left)).limit(AT_ONCE)
    late = [_job(row) for row in connection.execute(query)]
    for job in late:
        _end(connection, job, State.TIMED_OUT, now, f"no worker took it in {KEPT.days} days")
    return len(late)


def anyone_over(connection: Connection, account: str, before: dt.datetime) -> bool:
    """Whether `expire` has something to do."""
    ended = sa.select(jobs.c.number).where(jobs.c.account == account, jobs.c.ended <= before.timestamp())
    return connection.execute(ended.limit(1)).first() is not None


def drop(connection: Connection, started: Sequence[int]) -> None:
    """Forget the jobs that these decisions let in, running ones too, and discard what they found: what their
    calls said is erased."""
    for first in range(0, len(started), AT_ONCE):
        _delete(connection, jobs.c.started.in_(started[first : first + AT_ONCE]))


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


def take(connection: Connection, worker: str, now: dt.datetime) -> Job | None:
    """A job that waits, or whose worker is gone, held by a lease; None where there is none. Of organisations
    the one comes first whose last turn is longest ago; of its jobs the one that has waited longest.

    One that was begun ATTEMPTS times is not begun again.
    """
    turns = sa.select(jobs.c.account, sa.func.max(jobs.c.begun).label("last")).group_by(jobs.c.account)
    last = turns.subquery()
    free = _free(now).where(jobs.c.attempts < ATTEMPTS).join(last, last.c.account == jobs.c.account)
    first = free.order_by(sa.func.coalesce(last.c.last, 0), jobs.c.number).limit(1)
    if (row := connection.execute(first).first()) is None:
        return None
    held = {
        "state": State.RUNNING.value,
        "attempts": row.attempts + 1,
        "worker": worker,
        "until": (now + LEASE).timestamp(),
        "begun": now.timestamp(),
        "done": 0.0,
    }
    connection.execute(jobs.update().where(jobs.c.number == row.number).values(**held))
    return _job(connection.execute(sa.select(*_COLUMNS).where(jobs.c.number == row.number)).one())


def anyone_waiting(connection: Connection, now: dt.datetime) -> bool:
    """Whether `take` or `give_up` has something to do: asked every second, so it only reads."""
    return connection.execute(_free(now).limit(1)).first() is not None


def _end(connection: Connection, job: Job, state: State, now: dt.datetime, message: str) -> bool:
    """End a job that has not ended, without results; whether it had not."""
    mine = sa.and_(jobs.c.number == job.number, _in(OPEN))
    values = over(job, state, now, message)
    if connection.execute(jobs.update().where(mine).values(**values)).rowcount != 1:
        return False
    results.discard(connection, [job.decision])
    return True


def over(job: Job, state: State, now: dt.datetime, message: str) -> dict[str, object]:
    """What a row says from then on: whoever wants to know is told now."""
    at = now.timestamp()
    ended = {"state": state.value, "message": message[:LONGEST_MESSAGE], "ended": at, **FREE}
    return {**ended, "notice_at": at if job.topic else None}


def _delete(connection: Connection, which: sa.ColumnElement[bool]) -> None:
    results.discard(connection, connection.execute(sa.select(jobs.c.decision).where(which)).scalars())
    connection.execute(jobs.delete().where(which))


def _current(since: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.or_(jobs.c.ended.is_(None), jobs.c.ended > since.timestamp())


def _free(now: dt.datetime) -> sa.Select[Any]:
    """Whoever takes one holds the turn to write, so that nobody takes or renews it meanwhile."""
    due = sa.or_(jobs.c.until.is_(None), jobs.c.until <= now.timestamp())
    return sa.select(*_COLUMNS).where(_in(OPEN), due)


def _in(states: Sequence[State]) -> sa.ColumnElement[bool]:
    return jobs.c.state.in_([state.value for state in states])


def _job(row: sa.Row[Any]) -> Job:
    values = row._asdict()
    return Job(**{**values, "state": State(row.state)})


_COLUMNS = [column for column in jobs.c if column.name not in {"until", "token", "facts", "size"}]
FREE: Mapping[str, object] = {"worker": None, "until": None}
