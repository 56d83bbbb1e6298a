"""What jobs found: lines, LINES of them to a page, compressed, in the order or orders they are read in.

They belong to the decision under which a worker found them. Nothing here says who may read them (jobs.py).
What nobody may read any more is *discarded* in the transaction that says so, and its bytes go afterwards, a
slice at a time: a job may have found a gigabyte, and everybody's writes wait for a transaction.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Database
from countenance.schema import discarded, findings

LINES = 250
"""Lines of a page. zlib looks back 32 KiB, some fifty lines: more would not shrink further."""

SLICE = 16
"""Pages that one transaction destroys: a few megabytes."""

_MANY = 500
"""Decisions of one statement."""


class Order(IntEnum):
    """What lines are sorted by. Segments are lines of their own."""

    TIME = 0
    PERSON = 1
    NAME = 2
    SEGMENTS = 3
    SEGMENTS_BY_NAME = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a job's results. at: milliseconds into the clip. body: JSON on one line. person: whose; 0
    where nobody asked."""

    at: int
    body: str
    person: int = 0


def pack(lines: Sequence[Finding]) -> bytes:
    """A page."""
    written = [f"{each.at}\t{each.person}\t{each.body}" for each in lines]
    assert not any("\n" in line for line in written)
    return zlib.compress("\n".join(written).encode(), 1)  # a tenth larger than by 6, in a quarter of the time


def _unpack(page: bytes) -> list[Finding]:
    split = (line.split("\t", 2) for line in zlib.decompress(page).decode().split("\n"))
    return [Finding(int(at), body, int(person)) for at, person, body in split]


def keep(connection: Connection, decision: int, page: int, body: bytes, order: Order = Order.TIME) -> None:
    """Store a page that `pack` made. page: its number; each but the last of an order has LINES lines."""
    values = {"decision": decision, "by_person": int(order), "page": page, "body": body}
    connection.execute(findings.insert().values(**values))


def read(
    connection: Connection, decision: int, start: int, limit: int, order: Order = Order.TIME
) -> list[Finding]:
    """Lines past the first `start`, `limit` of them at most."""
    first, last = start // LINES, (start + limit - 1) // LINES
    query = sa.select(findings.c.body).where(
        findings.c.decision == decision,
        findings.c.by_person == int(order),
        findings.c.page.between(first, last),
    )
    lines = [
        line
        for body in connection.execute(query.order_by(findings.c.page)).scalars()
        for line in _unpack(bytes(body))
    ]
    skipped = start - first * LINES
    return lines[skipped : skipped + limit]


def discard(connection: Connection, decisions: Iterable[int | None]) -> None:
    """What was found under these is to go; None is no decision. Nobody may write under one any more."""
    gone = sorted({decision for decision in decisions if decision is not None})
    for first in range(0, len(gone), _MANY):
        some = gone[first : first + _MANY]
        noted = sa.select(discarded.c.decision).where(discarded.c.decision.in_(some))
        known = set(connection.execute(noted).scalars())
        if new := [{"decision": decision} for decision in some if decision not in known]:
            connection.execute(discarded.insert(), new)


def sweep(database: Database) -> int:
    """Destroy what is discarded, each slice in a transaction of its own; how many it took. Raises
    StorageError."""
    with database.reading() as connection:
        if connection.execute(sa.select(discarded.c.decision).limit(1)).first() is None:
            return 0
    slices = 0
    while database.write(_slice):
        slices += 1
    return slices


def _slice(connection: Connection) -> bool:
    decision = connection.execute(sa.select(discarded.c.decision).limit(1)).scalar()
    if decision is None:
        return False
    own = findings.c.decision == decision
    order = (findings.c.by_person, findings.c.page)
    first = connection.execute(sa.select(*order).where(own).order_by(*order).limit(1)).first()
    if first is None:
        connection.execute(discarded.delete().where(discarded.c.decision == decision))
    else:
        pages = sa.and_(findings.c.by_person == first.by_person, findings.c.page < first.page + SLICE)
        connection.execute(findings.delete().where(own, pages))
    return True
