"""THE MEMORY: create, enrol, verify (1:1), identify (1:N), forget.

`store` is the rows, `index` the exact search; this file keeps each gallery's index in step with its rows.
A search first reads the gallery's change number, so every process on one database sees every
acknowledged enrolment and removal at its next search.
"""

from __future__ import annotations

import threading

import numpy as np

from countenance.database import Database
from countenance.galleries import store
from countenance.galleries.index import Index
from countenance.types import Candidate, Embedding, Gallery, Probe

__all__ = ["Galleries", "store", "verify"]


def verify(one: Embedding, other: Embedding) -> float:
    """Cosine [-1, 1] of two embeddings of one model. Raises ValueError where the models differ."""
    if one.model != other.model:
        raise ValueError(f"an embedding of {one.model} cannot be compared with one of {other.model}")
    return float(np.dot(one.vector.astype(np.float64), other.vector.astype(np.float64)))


class Galleries:
    """Search over the galleries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._indexes: dict[tuple[int, str], Index] = {}

    def identify(self, gallery: Gallery, probe: Probe, limit: int, floor: float) -> tuple[Candidate, ...]:
        """The candidates for a probe: at most `limit`, each with a cosine of at least `floor`, best first.

        Exact: ids and order are those of a float64 comparison with every template; ties by FaceId.
        Raises ValueError where the probe's model is not the gallery's.
        """
        if probe.embedding.model != gallery.model:
            raise ValueError(f"{gallery.collection_id} holds templates of {gallery.model}")
        index = self._current(gallery, len(probe.embedding.vector))
        found = index.search(probe.embedding.vector, limit, floor)
        with self._database.reading() as connection:
            faces = store.by_rows(connection, gallery, [row for row, _ in found])
        return tuple(Candidate(faces[row], score) for row, score in found if row in faces)

    def _current(self, gallery: Gallery, dimension: int) -> Index:
        with self._lock:
            index = self._indexes.setdefault((gallery.number, gallery.model), Index(dimension))
        with self._database.reading() as connection:
            state = store.state(connection, gallery.number)
            if state is None or state[1] != gallery.model:
                self.lose(gallery)
                return Index(dimension)
            if state[0] > index.change:
                news = store.changed_since(connection, gallery.number, index.change)
                index.update(state[0], *news)
        return index

    def lose(self, gallery: Gallery) -> None:
        """Let go of the index of a gallery that is gone, or was enrolled anew with another model."""
        with self._lock:
            self._indexes.pop((gallery.number, gallery.model), None)
