"""What becomes of jobs that are over: whoever wants to know is told, what they found is forgotten in time.

What nobody is shown any more is swept away a little at a time: all who write wait for whoever writes.

Functions take the caller's transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.jobs import AT_ONCE, COLUMNS, LEASE, ROOM, Job, State, of_row
from countenance.schema import findings, jobs

BACKOFF = (5, 30, 120, 600, 3600)
"""Seconds until a notification that failed is sent again; the last one from then on."""

NOTICES = 24
"""Times that it is tried: most of a day."""

NOBODY = ""
"""The account of jobs that are forgotten and not yet swept away."""


def to_tell(connection: Connection, now: dt.datetime) -> Job | None:
    """A job whose end is to be told, held back from others for as long as the try may take."""
    due = jobs.c.notice_at <= now.timestamp()
    row = connection.execute(sa.select(*COLUMNS).where(due).order_by(jobs.c.notice_at).limit(1)).first()
    if row is None:
        return None
    later = (now + LEASE).timestamp()
    connection.execute(jobs.update().where(jobs.c.number == row.number).values(notice_at=later))
    return of_row(row)


def anyone_to_tell(connection: Connection, now: dt.datetime) -> bool:
    due = sa.select(jobs.c.number).where(jobs.c.notice_at <= now.timestamp()).limit(1)
    return connection.execute(due).first() is not None


def told(connection: Connection, job: Job, now: dt.datetime, error: str = "") -> None:
    """A try to tell of a job's end is over. error: why it failed; it is tried again, NOTICES times in all."""
    tries = job.noticed + 1
    again = now.timestamp() + BACKOFF[min(tries, len(BACKOFF)) - 1] if error and tries < NOTICES else None
    of = jobs.update().where(jobs.c.number == job.number)
    connection.execute(of.values(noticed=tries, notice_at=again, notice_error=error[:1000]))


def expire(connection: Connection, account: str, before: dt.datetime, limit: int) -> int:
    """Forget jobs that ended before a moment, and what they found; how many. `sweep` removes the rows."""
    over = sa.select(jobs.c.number).where(jobs.c.account == account, jobs.c.ended <= before.timestamp())
    gone = list(connection.execute(over.order_by(jobs.c.number).limit(limit)).scalars())
    nobodys = {"account": NOBODY, "key": "", "asked": b"", "question": b"", "token": None, "notice_at": None}
    of = jobs.update().where(jobs.c.number.in_(gone))
    connection.execute(of.values(**nobodys, message="", facts="", topic="", notice_error=""))
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


def sweep(connection: Connection) -> bool:
    """Remove some of what is shown to nobody any more; whether there may be more."""
    of = findings.c.job == jobs.c.number
    shown = jobs.c.state.in_([State.RUNNING.value, State.SUCCEEDED.value])
    older = sa.and_(of, findings.c.place < jobs.c.decision * ROOM)
    left = (
        sa.and_(jobs.c.account == NOBODY, sa.exists().where(of)),
        sa.and_(sa.not_(shown), sa.exists().where(of)),
        sa.and_(shown, sa.exists().where(older)),
    )
    for condition in left:
        row = connection.execute(sa.select(*COLUMNS).where(condition).limit(1)).first()
        if row is not None:
            job = of_row(row)
            some = sa.select(findings.c.place).where(findings.c.job == job.number)
            if condition is left[-1]:
                some = some.where(findings.c.place < (job.decision or 0) * ROOM)
            places = list(connection.execute(some.order_by(findings.c.place).limit(AT_ONCE)).scalars())
            mine = sa.and_(findings.c.job == job.number, findings.c.place <= places[-1])
            connection.execute(findings.delete().where(mine))
            return True
    connection.execute(jobs.delete().where(jobs.c.account == NOBODY))
    return False
