"""THE MEMORY: create, enrol, verify (1:1), identify (1:N), forget.

`store` is the rows, `index` the exact search; this file keeps each gallery's index in step with its rows.
A search first reads the gallery's change number, so every process on one database sees every
acknowledged enrolment and removal at its next search. Vectors are in the database alone: memory holds
their codes (docs/decisions/0012-exact-search.md).
"""

from __future__ import annotations

import threading
from contextlib import suppress

import numpy as np

from countenance.database import Database
from countenance.galleries import kernel, store
from countenance.galleries.index import Index, ranked
from countenance.types import Candidate, Embedding, Gallery, Probe, Vector

__all__ = ["Galleries", "GalleryGone", "store", "verify"]

PATIENCE = 5
"""Times that a search is begun again, because someone it found is gone, before the index is read anew."""


def verify(one: Embedding, other: Embedding) -> float:
    """Cosine [-1, 1] of two embeddings of one model. Raises ValueError where the models differ."""
    if one.model != other.model:
        raise ValueError(f"an embedding of {one.model} cannot be compared with one of {other.model}")
    return float(np.dot(one.vector.astype(np.float64), other.vector.astype(np.float64)))


class GalleryGone(LookupError):
    """A gallery was deleted, or changed its model, since it was looked up."""


class Galleries:
    """Search over the galleries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._kernel = kernel.best()
        self._indexes: dict[tuple[int, str], Index] = {}

    def identify(self, gallery: Gallery, probe: Probe, limit: int, floor: float) -> tuple[Candidate, ...]:
        """The candidates for a probe: at most `limit`, each with a cosine of at least `floor`, best first.

        Exact: ids and order are those of a float64 comparison with every template; ties by FaceId.
        Raises ValueError where the probe's model is not the gallery's, GalleryGone.
        """
        if probe.embedding.model != gallery.model:
            raise ValueError(f"{gallery.collection_id} holds templates of {gallery.model}")
        tries = 0
        while (found := self._found(gallery, probe.embedding.vector, limit, floor)) is None:
            tries += 1
            if tries % PATIENCE == 0:
                self.lose(gallery)  # the rows are others than the index was told of: a backup put back, say
        return found

    def _found(
        self, gallery: Gallery, probe: Vector, limit: int, floor: float
    ) -> tuple[Candidate, ...] | None:
        """The candidates; None where one that the codes left was deleted, or the gallery lost, meanwhile."""
        index, change = self._current(gallery)
        near = index.near(probe, limit, floor)
        with self._database.reading() as connection:
            face_ids, vectors = store.vectors(connection, near.rows.tolist(), near.change)
            if near.change < change or len(face_ids) < len(near.rows):
                return None
            best = ranked(face_ids, vectors, probe, limit, floor)
            rows = [int(near.rows[place]) for place, _ in best]
            faces = store.by_rows(connection, gallery, rows)
        return tuple(Candidate(faces[row], score) for row, (_, score) in zip(rows, best, strict=True))

    def refresh(self, gallery: Gallery) -> None:
        """Bring a gallery's index up to date now: what was deleted leaves memory."""
        with self._lock:
            index = self._indexes.get((gallery.number, gallery.model))
        if index is not None:
            with suppress(GalleryGone):
                self._update(gallery, index)

    def lose(self, gallery: Gallery) -> None:
        """Let go of every index of a gallery that is gone or changed its model, and wipe it."""
        with self._lock:
            gone = [key for key in self._indexes if key[0] == gallery.number]
            indexes = [self._indexes.pop(key) for key in gone]
        for index in indexes:
            index.wipe()

    def _current(self, gallery: Gallery) -> tuple[Index, int]:
        """The gallery's index, and the change that it has at least."""
        with self._lock:
            index = self._indexes.setdefault((gallery.number, gallery.model), Index(self._kernel))
        return index, self._update(gallery, index)

    def _update(self, gallery: Gallery, index: Index) -> int:
        with self._database.reading() as connection:
            state = store.state(connection, gallery.number)
            if state is not None and state[1] == gallery.model:
                if state[0] > index.change:
                    index.update(
                        state[0], lambda since: store.changed_since(connection, gallery.number, since)
                    )
                return state[0]
        self.lose(gallery)
        raise GalleryGone(gallery.collection_id)
