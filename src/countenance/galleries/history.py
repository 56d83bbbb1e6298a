"""What happened to a gallery's faces, or users, for an index that lives outside this process.

Every method is a transaction of its own: an index that is filled over a network takes its time, and a
reader that stays holds back the erasure of old pages. So a row may change between two of them; whoever
reads asks `since` again until nothing has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Database
from countenance.galleries import store
from countenance.galleries.rows import chunks, matrix
from countenance.schema import entries, faces, removals, user_removals, users
from countenance.types import Vector

Numbers = npt.NDArray[np.int64]


class GalleryGone(LookupError):
    """A gallery was deleted, or changed its model, since it was looked up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Whose vectors an index holds. removed: the column that names who has none any more."""

    name: str
    table: sa.Table
    marks: sa.Table
    removed: sa.Column[int]


FACES = Rows("faces", faces, removals, removals.c.face)
USERS = Rows("users", users, user_removals, user_removals.c.user)


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed since. change: where the gallery stands. rows: to put, ascending. gone: to drop."""

    change: int
    rows: Numbers
    gone: Numbers


@dataclass(frozen=True, slots=True)
class History:
    """One gallery's, as long as it is of one model."""

    database: Database
    number: int
    model: str
    of: Rows = FACES

    def since(self, change: int) -> Delta:
        """Whose vectors came or were replaced, and who lost theirs, since a change. Raises GalleryGone."""
        newer = sa.select(self.of.table.c.number).where(self._here, self.of.table.c.change > change)
        marks = self.of.marks.c
        gone = sa.select(self.of.removed).where(marks.collection == self.number, marks.change > change)
        with self.database.reading() as connection:
            now = self._now(connection)
            return Delta(
                now,
                np.array(connection.execute(newer).scalars().all(), np.int64),
                np.array(connection.execute(gone).scalars().all(), np.int64),
            )

    def vectors(self, numbers: Numbers) -> tuple[Numbers, Vector]:
        """Rows and vectors, ascending, of those that have one now."""
        table = self.of.table.c
        query = sa.select(table.number, table.vector).order_by(table.number)
        found: list[Any] = []
        with self.database.reading() as connection:
            for some in chunks(np.sort(numbers).tolist()):
                here = table.number.in_(some) & table.vector.is_not(None)
                found += connection.execute(query.where(here)).all()
        return np.array([row.number for row in found], np.int64), matrix([row.vector for row in found])

    def count(self) -> tuple[int, int]:
        """(change, vectors) as they are now. Raises GalleryGone."""
        query = sa.select(sa.func.count()).select_from(self.of.table).where(self._here)
        with self.database.reading() as connection:
            return self._now(connection), int(connection.execute(query).scalar_one())

    @property
    def _here(self) -> sa.ColumnElement[bool]:
        return (self.of.table.c.collection == self.number) & self.of.table.c.vector.is_not(None)

    def _now(self, connection: Connection) -> int:
        state = store.state(connection, self.number)
        if state is None or state[1] != self.model:
            raise GalleryGone(str(self.number))
        return state[0]

    def anchor(self) -> str:
        """The newest entry of the ledger and its hash, by which this database's past is known again."""
        newest = sa.select(entries.c.seq, entries.c.leaf).order_by(entries.c.seq.desc()).limit(1)
        with self.database.reading() as connection:
            row = connection.execute(newest).first()
        return "" if row is None else f"{row.seq}:{row.leaf.hex()}"

    def holds(self, anchor: str) -> bool:
        """Whether an entry that was the newest once is in this database's past: it is in no backup that was
        made before, nor in what such a backup went on to become."""
        if not anchor:
            return True
        seq, leaf = anchor.split(":")
        query = sa.select(entries.c.leaf).where(entries.c.seq == int(seq))
        with self.database.reading() as connection:
            found = connection.execute(query).scalar()
        return found is not None and found.hex() == leaf
