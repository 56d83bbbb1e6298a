"""What happened to a gallery's faces, or users, for an index that lives outside this process.

Every method is a transaction of its own: an index that is filled over a network takes its time, and a
reader that stays holds back the erasure of old pages. So a row may change between two of them; whoever
reads asks `since` again until nothing has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance import schema as tables
from countenance.database import Database
from countenance.galleries import store, users
from countenance.types import Vector

Numbers = npt.NDArray[np.int64]


class GalleryGone(LookupError):
    """A gallery was deleted, or changed its model, since it was looked up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Whose vectors an index holds. removed: the column of `marks` that names who has none any more. having:
    the column of `faces` that names who has one. templates: (rows, vectors) of those of some rows that do."""

    name: str
    table: sa.Table
    marks: sa.Table
    removed: sa.Column[int]
    having: sa.Column[int]
    templates: Callable[[Connection, Sequence[int]], tuple[list[int], Vector]]


FACES = Rows(
    "faces", tables.faces, tables.removals, tables.removals.c.face, tables.faces.c.number, store.templates
)
USERS = Rows(
    "users",
    tables.users,
    tables.user_removals,
    tables.user_removals.c.user,
    tables.faces.c.member,
    users.templates,
)


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
        table, marks = self.of.table.c, self.of.marks.c
        newer = sa.select(table.number).where(table.collection == self.number, table.change > change)
        gone = sa.select(self.of.removed).where(marks.collection == self.number, marks.change > change)
        with self.database.reading() as connection:
            now = self._now(connection)
            rows = np.array(connection.execute(newer).scalars().all(), np.int64)
            lost = np.array(connection.execute(gone).scalars().all(), np.int64)
        return Delta(now, np.setdiff1d(rows, lost), lost)

    def vectors(self, numbers: Numbers) -> tuple[Numbers, Vector]:
        """Rows and vectors, ascending, of those that have one now."""
        with self.database.reading() as connection:
            rows, vectors = self.of.templates(connection, numbers.tolist())
        return np.array(rows, np.int64), vectors

    def count(self) -> tuple[int, int]:
        """(change, vectors) as they are now. Raises GalleryGone."""
        having = sa.func.count(self.of.having.distinct())
        query = sa.select(having).where(tables.faces.c.collection == self.number)
        with self.database.reading() as connection:
            return self._now(connection), int(connection.execute(query).scalar_one())

    def _now(self, connection: Connection) -> int:
        state = store.state(connection, self.number)
        if state is None or state[1] != self.model:
            raise GalleryGone(str(self.number))
        return state[0]

    def anchor(self) -> str:
        """The newest entry of the ledger and its hash, by which this database's past is known again."""
        newest = (
            sa.select(tables.entries.c.seq, tables.entries.c.leaf)
            .order_by(tables.entries.c.seq.desc())
            .limit(1)
        )
        with self.database.reading() as connection:
            row = connection.execute(newest).first()
        return "" if row is None else f"{row.seq}:{row.leaf.hex()}"

    def holds(self, anchor: str) -> bool:
        """Whether an entry that was the newest once is in this database's past: it is in no backup that was
        made before, nor in what such a backup went on to become."""
        if not anchor:
            return True
        seq, leaf = anchor.split(":")
        query = sa.select(tables.entries.c.leaf).where(tables.entries.c.seq == int(seq))
        with self.database.reading() as connection:
            found = connection.execute(query).scalar()
        return found is not None and found.hex() == leaf
