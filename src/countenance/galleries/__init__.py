"""THE MEMORY: create, enrol, verify (1:1), identify (1:N), forget.

`store` is the rows, `index` the exact search; this file keeps each gallery's index in step with its rows.
A search first reads the gallery's change number, so every process on one database sees every
acknowledged enrolment and removal at its next search.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import numpy as np

from countenance.database import Database
from countenance.galleries import store
from countenance.galleries.index import Index
from countenance.types import Candidate, Embedding, Gallery, Probe

__all__ = ["Galleries", "GalleryGone", "store", "verify"]


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
        self._indexes: dict[tuple[int, str], Index] = {}

    def identify(self, gallery: Gallery, probe: Probe, limit: int, floor: float) -> tuple[Candidate, ...]:
        """The candidates for a probe: at most `limit`, each with a cosine of at least `floor`, best first.

        Exact: ids and order are those of a float64 comparison with every template; ties by FaceId.
        Raises ValueError where the probe's model is not the gallery's, GalleryGone.
        """
        if probe.embedding.model != gallery.model:
            raise ValueError(f"{gallery.collection_id} holds templates of {gallery.model}")
        index = self._current(gallery, len(probe.embedding.vector))
        found = index.search(probe.embedding.vector, limit, floor)
        with self._database.reading() as connection:
            faces = store.by_rows(connection, gallery, [row for row, _ in found])
        return tuple(Candidate(faces[row], score) for row, score in found if row in faces)

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

    def _current(self, gallery: Gallery, dimension: int) -> Index:
        with self._lock:
            index = self._indexes.setdefault((gallery.number, gallery.model), Index(dimension))
        self._update(gallery, index)
        return index

    def _update(self, gallery: Gallery, index: Index) -> None:
        with self._database.reading() as connection:
            state = store.state(connection, gallery.number)
            current = state is not None and state[1] == gallery.model
            if state is not None and current and state[0] > index.change:
                index.update(state[0], *store.changed_since(connection, gallery.number, index.change))
        if not current:
            self.lose(gallery)
            raise GalleryGone(gallery.collection_id)
