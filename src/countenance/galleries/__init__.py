"""THE MEMORY: create, enrol, verify (1:1), identify (1:N), forget.

`store` is the rows of galleries and faces, `users` those of people, `distinct` who is not whom, `index` the
exact search; this file keeps each gallery's indexes, of faces and of users, in step with their rows.
A search first reads the gallery's change number, so every process on one database sees every
acknowledged enrolment and removal at its next search. Vectors are in the database alone: memory holds
their codes (docs/decisions/0012-exact-search.md), or Milvus a copy that is never believed (docs/milvus.md);
either way the answers are the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

import numpy as np
from sqlalchemy.engine import Connection

from countenance.database import Database
from countenance.galleries import distinct, kernel, regroupings, store, users
from countenance.galleries.history import FACES, USERS, GalleryGone, History
from countenance.galleries.index import Changes, Index, Near, ranked
from countenance.galleries.milvus import Milvus
from countenance.galleries.remote import RemoteIndex
from countenance.types import Candidate, Embedding, Gallery, Probe, UserCandidate, Vector

__all__ = [
    "AnyIndex",
    "Galleries",
    "GalleryGone",
    "Milvus",
    "distinct",
    "regroupings",
    "store",
    "users",
    "verify",
]

T_co = TypeVar("T_co", covariant=True)

ABANDONED = 3600.0
"""Seconds after which a collection in Milvus that no alias leads to is none that somebody is just making."""

PATIENCE = 5
"""Times that a search is begun again, because someone it found is gone, before the index is read anew."""


def verify(one: Embedding, other: Embedding) -> float:
    """Cosine [-1, 1] of two embeddings of one model. Raises ValueError where the models differ."""
    if one.model != other.model:
        raise ValueError(f"an embedding of {one.model} cannot be compared with one of {other.model}")
    return float(np.dot(one.vector.astype(np.float64), other.vector.astype(np.float64)))


class _Rows(Protocol[T_co]):
    """`store` or `users`: how the rows are read whose vectors an index holds. Either module is one."""

    __name__: str

    def changed_since(self, connection: Connection, number: int, change: int) -> Changes: ...

    def vectors(
        self, connection: Connection, numbers: Sequence[int], change: int
    ) -> tuple[list[str], Vector]: ...

    def by_rows(
        self, connection: Connection, gallery: Gallery, numbers: Sequence[int]
    ) -> Mapping[int, T_co]: ...


_ALL: tuple[_Rows[object], ...] = (store, users)
_HISTORIES = {store.__name__: FACES, users.__name__: USERS}


class AnyIndex(Protocol):
    """Where a search looks first: `Index` in memory, or `RemoteIndex`. It may err on the side of too many."""

    @property
    def change(self) -> int:
        """The change of the gallery that it has at least."""

    def near(self, probe: Vector, limit: int, floor: float) -> Near:
        """Every row that float64 could place among the `limit` best with a cosine of at least `floor`."""

    def wipe(self) -> None:
        """Forget everything."""


class Galleries:
    """Search over the galleries of one database. milvus: where the indexes are, if not in memory.

    What asks Milvus raises IndexFault where it does not answer.
    """

    def __init__(self, database: Database, milvus: Milvus | None = None) -> None:
        self._database = database
        self._milvus = milvus
        self._lock = threading.Lock()
        self._kernel = kernel.best()
        self._indexes: dict[tuple[int, str, str], AnyIndex] = {}

    def identify(self, gallery: Gallery, probe: Probe, limit: int, floor: float) -> tuple[Candidate, ...]:
        """The candidates for a probe: at most `limit`, each with a cosine of at least `floor`, best first.

        Exact: ids and order are those of a float64 comparison with every template; ties by FaceId.
        Raises ValueError where the probe's model is not the gallery's, GalleryGone.
        """
        return tuple(
            Candidate(face, score) for face, score in self._best(store, gallery, probe, limit, floor)
        )

    def identify_user(
        self, gallery: Gallery, probe: Probe, limit: int, floor: float
    ) -> tuple[UserCandidate, ...]:
        """The same among users, each by the one vector that is made of the faces; ties by UserId."""
        return tuple(
            UserCandidate(user, score) for user, score in self._best(users, gallery, probe, limit, floor)
        )

    def _best(
        self, rows: _Rows[T_co], gallery: Gallery, probe: Probe, limit: int, floor: float
    ) -> list[tuple[T_co, float]]:
        if probe.embedding.model != gallery.model:
            raise ValueError(f"{gallery.collection_id} holds templates of {gallery.model}")
        tries = 0
        while (found := self._found(rows, gallery, probe.embedding.vector, limit, floor)) is None:
            tries += 1
            if tries % PATIENCE == 0:
                self.lose(gallery)  # the rows are others than the index was told of: a backup put back, say
        return found

    def _found(
        self, rows: _Rows[T_co], gallery: Gallery, probe: Vector, limit: int, floor: float
    ) -> list[tuple[T_co, float]] | None:
        """The candidates; None where one that the codes left was deleted, or the gallery lost, meanwhile."""
        index, change = self._current(rows, gallery)
        near = index.near(probe, limit, floor)
        with self._database.reading() as connection:
            ids, vectors = rows.vectors(connection, near.rows.tolist(), near.change)
            if near.change < change or len(ids) < len(near.rows):
                return None
            best = ranked(ids, vectors, probe, limit, floor)
            numbers = [int(near.rows[place]) for place, _ in best]
            known = rows.by_rows(connection, gallery, numbers)
        return [(known[number], score) for number, (_, score) in zip(numbers, best, strict=True)]

    def refresh(self, gallery: Gallery) -> None:
        """Bring a gallery's indexes up to date now: what was deleted leaves them."""
        for rows in _ALL:
            with self._lock:
                index = self._indexes.get((gallery.number, gallery.model, rows.__name__))
            if index is None and self._milvus is not None:
                remote = RemoteIndex(self._milvus, self._history(rows, gallery))
                index = remote if remote.stands() else None  # another process may have made it
            if index is not None:
                with suppress(GalleryGone):
                    self._update(rows, gallery, index)

    def lose(self, gallery: Gallery) -> None:
        """Let go of every index of a gallery that is gone or changed its model, and wipe it."""
        with self._lock:
            gone = [key for key in self._indexes if key[0] == gallery.number]
            indexes = [self._indexes.pop(key) for key in gone]
        if self._milvus is not None:  # another process may have made one
            indexes += [RemoteIndex(self._milvus, self._history(rows, gallery)) for rows in _ALL]
        for index in indexes:
            index.wipe()

    def tidy(self) -> Iterator[str]:
        """Bring the indexes in Milvus up to date, also those that nobody searches, and drop those of
        galleries that are no more; what was done, in words. Indexes in memory need none."""
        if self._milvus is None:
            return
        with self._database.reading() as connection:
            models = store.models(connection)
        living = {
            self._milvus.alias(number, model, of.name): History(self._database, number, model, of)
            for number, model in models.items()
            for of in _HISTORIES.values()
        }
        for alias, made in self._milvus.collections():
            if alias not in living:
                self._milvus.unlead(alias)
                self._milvus.drop(made.name)
                yield f"{made.name}: dropped with the collection it was of"
            elif self._milvus.resolve(alias) == made.name:
                with suppress(GalleryGone):
                    yield from (
                        f"{alias}: {done}" for done in RemoteIndex(self._milvus, living[alias]).tidy()
                    )
            elif made.made < time.time() - ABANDONED:
                self._milvus.drop(made.name)
                yield f"{made.name}: dropped, another is in its place"

    def _current(self, rows: _Rows[T_co], gallery: Gallery) -> tuple[AnyIndex, int]:
        """The gallery's index, and the change that it has at least."""
        key = (gallery.number, gallery.model, rows.__name__)
        with self._lock:
            if key not in self._indexes:
                self._indexes[key] = (
                    Index(self._kernel)
                    if self._milvus is None
                    else RemoteIndex(self._milvus, self._history(rows, gallery))
                )
            index = self._indexes[key]
        return index, self._update(rows, gallery, index)

    def _history(self, rows: _Rows[T_co], gallery: Gallery) -> History:
        return History(self._database, gallery.number, gallery.model, _HISTORIES[rows.__name__])

    def _update(self, rows: _Rows[T_co], gallery: Gallery, index: AnyIndex) -> int:
        try:
            with self._database.reading() as connection:
                state = store.state(connection, gallery.number)
                if state is None or state[1] != gallery.model:
                    raise GalleryGone(gallery.collection_id)
                if isinstance(index, Index) and state[0] > index.change:
                    index.update(
                        state[0], lambda since: rows.changed_since(connection, gallery.number, since)
                    )
            if isinstance(index, RemoteIndex):
                index.follow(state[0])  # outside the transaction: a network takes its time
        except GalleryGone:
            self.lose(gallery)
            raise
        return state[0]
