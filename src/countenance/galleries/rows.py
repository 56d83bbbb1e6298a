"""What the tables of a gallery have in common: a change number for every write, vectors as bytes, and lists
cut to what one statement takes. Every function runs in a transaction its caller holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.schema import collections
from countenance.types import Gallery, Vector

T = TypeVar("T")

SOME = 500
"""Values in one IN list: below the 999 variables an old SQLite allows."""

PIECE = 20_000
"""Templates read at a time by an index that is loaded: 10 MB of 128 dimensions."""


def advance(connection: Connection, number: int) -> int:
    """A gallery's next change number; the update holds its row, so that changes commit in order."""
    mine = collections.c.number == number
    connection.execute(collections.update().where(mine).values(change=collections.c.change + 1))
    return int(connection.execute(sa.select(collections.c.change).where(mine)).scalar_one())


def hold(connection: Connection, gallery: Gallery) -> None:
    """Let no other process change a gallery until this transaction ends: what is read from here on is what is
    there then. (SQLite lets nobody else write anyway.)"""
    _HOLD.run(connection, gallery=gallery.number)


def hold_all(connection: Connection, account: str) -> None:
    """`hold` every gallery of an account, in an order that everybody keeps to."""
    own = sa.select(collections.c.number).where(collections.c.account == account)
    connection.execute(own.order_by(collections.c.number).with_for_update())


_HOLD = Statement(
    sa.select(collections.c.number).where(collections.c.number == sa.bindparam("gallery")).with_for_update()
)


def written(vector: Vector) -> bytes:
    return np.ascontiguousarray(vector, "<f4").tobytes()


def matrix(rows: Sequence[bytes]) -> Vector:
    """(N, D). Raises ValueError where they are of different length."""
    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), -1 if rows else 0)


def chunks(values: Sequence[T]) -> Iterable[Sequence[T]]:
    for start in range(0, len(values), SOME):
        yield values[start : start + SOME]
