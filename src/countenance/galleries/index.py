"""Exact search: the whole gallery is compared, the best are ranked as float64 would rank them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from countenance.types import Vector

CHUNK = 32_768
"""Rows scored at once: their scores stay in the processor's cache."""

ROUNDING = 2.0**-23
"""How far a float32 dot product of unit vectors may lie from the float64 one, for each dimension."""


def cosines(vectors: Vector, probe: Vector) -> npt.NDArray[np.float64]:
    """Float64 cosines of unit rows (N, D) with a unit probe (D,).

    Row by row, not by BLAS: equal rows get equal cosines whatever stands beside them, so that FaceId
    decides ties.
    """
    products: npt.NDArray[np.float64] = vectors.astype(np.float64) * probe.astype(np.float64)
    return np.asarray(products.sum(axis=1), np.float64)


class Index:
    """One gallery's templates in memory: a float32 matrix, its row numbers and FaceIds, in no order.

    Derived from the database and told of its changes; knows nothing of it. Safe for threads.
    """

    def __init__(self, dimension: int) -> None:
        self.change = 0
        self._slack = dimension * ROUNDING
        self._lock = threading.Lock()
        self._size = 0
        self._vectors: Vector = np.zeros((0, dimension), np.float32)
        self._rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._ids: npt.NDArray[np.bytes_] = np.zeros(0, "S36")
        self._where: dict[int, int] = {}

    def __len__(self) -> int:
        return self._size

    def update(
        self,
        change: int,
        rows: Sequence[int],
        face_ids: Sequence[str],
        vectors: Sequence[bytes],
        gone: Sequence[int],
    ) -> None:
        """Bring the index to `change`: put these rows, drop those. An older change is ignored."""
        with self._lock:
            if change <= self.change:
                return
            self._reserve(self._size + len(rows))
            for row, face_id, vector in zip(rows, face_ids, vectors, strict=True):
                at = self._where.setdefault(row, self._size)
                self._size = max(self._size, at + 1)
                self._vectors[at] = np.frombuffer(vector, "<f4")
                self._rows[at], self._ids[at] = row, face_id.encode()
            for row in gone:
                self._drop(row)
            self.change = change

    def wipe(self) -> None:
        """Forget everything: no template stays in memory."""
        with self._lock:
            self._vectors[:] = 0
            self._size = 0
            self._where.clear()
            self.change = 0

    def search(self, probe: Vector, limit: int, floor: float) -> list[tuple[int, float]]:
        """The `limit` rows nearest to a probe with a cosine of at least `floor`: (row, cosine), best first.

        probe: float32 (D,), unit length. Equal cosines are ordered by FaceId.
        """
        with self._lock:
            near = self._near(probe, limit, floor)
            exact = cosines(self._vectors[near], probe)
            kept = exact >= floor
            near, exact = near[kept], exact[kept]
            order = np.lexsort((self._ids[near], -exact))[:limit]
            return [(int(self._rows[near[i]]), float(exact[i])) for i in order]

    def _near(self, probe: Vector, limit: int, floor: float) -> npt.NDArray[np.intp]:
        """Every position float64 could place among the best `limit`; a running k-th best prunes chunks."""
        bar = floor - self._slack
        places: list[npt.NDArray[np.intp]] = []
        scores: list[Vector] = []
        for start in range(0, self._size, CHUNK):
            found = self._vectors[start : min(start + CHUNK, self._size)] @ probe
            above = np.flatnonzero(found >= bar)
            places.append(above + start)
            scores.append(found[above])
            if sum(map(len, scores)) > 4 * limit:
                every, at = np.concatenate(scores), np.concatenate(places)
                bar = max(bar, float(np.partition(every, -limit)[-limit]) - 2 * self._slack)
                places, scores = [at[every >= bar]], [every[every >= bar]]
        return np.concatenate(places) if places else np.zeros(0, np.intp)

    def _reserve(self, size: int) -> None:
        if size > len(self._rows):
            room = max(size, 2 * len(self._rows), 64)
            grown = np.zeros((room, self._vectors.shape[1]), np.float32)
            grown[: self._size] = self._vectors[: self._size]
            self._vectors[:] = 0
            self._vectors = grown
            self._rows = np.concatenate([self._rows, np.zeros(room - len(self._rows), np.int64)])
            self._ids = np.concatenate([self._ids, np.zeros(room - len(self._ids), "S36")])

    def _drop(self, row: int) -> None:
        """Swap with the last and wipe: no byte of an erased template stays in memory."""
        at = self._where.pop(row, None)
        if at is None:
            return
        self._size -= 1
        last = self._size
        if at != last:
            self._vectors[at], self._rows[at] = self._vectors[last], self._rows[last]
            self._ids[at] = self._ids[last]
            self._where[int(self._rows[at])] = at
        self._vectors[last] = 0
