"""Exact search: every template is compared by a small code first; what the code cannot rule out is named.

A template x and a probe y are stood for by codes xh and yh of whole numbers from -127 to 127, times a step.

    <x, y> = <xh, yh> + <x - xh, y> + <xh, y - yh>,   so   |<x, y> - <xh, yh>| <= |x - xh| |y| + |xh| |y - yh|

by Cauchy and Schwarz. Who lies further than that below the threshold, or than twice that below the k-th
best, is none of the candidates. The few that are left (docs/numbers-speed.md) are compared in float64 with
the vectors in the database, so that the answer is the float64 ranking, ids and order.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from countenance.galleries import kernel
from countenance.galleries.kernel import Codes
from countenance.types import Vector

Numbers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

REACH = 6.0
"""The first step is made for components up to REACH / sqrt(D): of 1e8 normal ones none is expected beyond."""

TOP = 127
"""The largest code: -128 is left out, so that a code can be negated."""

ROUNDING = 1e-6
"""What float arithmetic may add to a bound: norms are summed in float64 of float32 numbers (2**-24 each)."""

MOST = 2.0**30
"""No score is as large."""

UNIT = 1e-3
"""How far from 1 a template's length may lie: float32 rounding is 1e-6, a vector that was never normalised
is off by far more."""

TOGETHER = 64
"""Probes compared in one pass over the codes."""

FIRST = 256
"""Codes compared before the others: they raise the bars for all that follow."""

PART = 250_000
"""Codes that are worth a thread of their own: some milliseconds' work."""

HOLES = 8
"""Once one in HOLES places is empty, the others move together."""

AT_ONCE = 65_536
"""Templates coded at once."""


def cosines(vectors: Vector, probe: Vector) -> Doubles:
    """Float64 cosines of unit rows (N, D) with a unit probe (D,).

    Row by row, not by BLAS: equal rows get equal cosines whatever stands beside them, so that FaceId
    decides ties.
    """
    products: Doubles = vectors.astype(np.float64) * probe.astype(np.float64)
    return np.asarray(products.sum(axis=1), np.float64)


def ranked(
    ids: Sequence[str], vectors: Vector, probe: Vector, limit: int, floor: float
) -> list[tuple[int, float]]:
    """(place, cosine) of the best `limit` with a cosine of at least `floor`; equal ones by id, in ASCII."""
    if not len(ids):
        return []
    exact = cosines(vectors, probe)
    order = np.lexsort((np.array(ids, "S"), -exact))
    kept = order[exact[order] >= floor][:limit]
    return [(int(place), float(exact[place])) for place in kept]


def processors() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sound(vectors: Vector) -> None:
    """Raises ValueError unless every row is finite and of unit length, to UNIT."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if not (np.abs(lengths - 1) <= UNIT).all():  # false for NaN too
        raise ValueError("a template must be finite and of unit length")


@dataclass(frozen=True, slots=True)
class Near:
    """Whom the codes cannot rule out: rows of the database, ascending, as of a change of the gallery."""

    rows: Numbers
    change: int


@dataclass(slots=True, eq=False)
class _Batch:
    """Probes (P) on their way through the codes, and who reaches their bars.

    units: the cosine that a score of 1 stands for. slacks: how far in scores a true one may lie from its
    code's. bars: the least score that is still looked at.
    """

    codes: Codes
    limits: Numbers
    units: Doubles
    slacks: Doubles
    bars: Doubles
    held: list[tuple[Numbers, Numbers, Doubles]] = field(default_factory=list)
    count: int = 0
    full: int = 0

    def take(self, places: Numbers, which: Numbers, scores: Doubles) -> None:
        """More places, the probe each is for, and its score. Bars rise whenever they have doubled."""
        self.held.append((places, which, scores))
        self.count += len(places)
        if self.count > self.full:
            self.raise_bars()
            self.full = 2 * self.count + int(self.limits.sum())

    def raise_bars(self) -> None:
        """To what the best so far rule out; let go of what no longer reaches them."""
        if not self.held:
            return
        places, which, scores = map(np.concatenate, zip(*self.held, strict=True))
        order = np.lexsort((-scores, which))
        starts = np.searchsorted(which[order], np.arange(len(self.bars) + 1))
        full = np.flatnonzero(np.diff(starts) >= self.limits)
        least = scores[order[starts[full] + self.limits[full] - 1]]
        self.bars[full] = np.maximum(self.bars[full], least - 2 * self.slacks[full])
        kept = scores >= self.bars[which]
        self.held = [(places[kept], which[kept], scores[kept])]
        self.count = int(kept.sum())

    def part(self) -> _Batch:
        """The same probes with bars of their own, for a thread."""
        return dataclasses.replace(self, bars=self.bars.copy(), held=[], count=0, full=0)

    def join(self, parts: Iterable[_Batch]) -> None:
        """Take over what threads held. None of them let go of anybody whom all together would keep: their
        bars rose by what they saw, which is less."""
        for part in parts:
            self.held += part.held

    def of(self, probe: int) -> Numbers:
        """The places that are left for one of the probes, ascending."""
        found = [places[which == probe] for places, which, _ in self.held]
        return np.concatenate(found) if found else np.zeros(0, np.int64)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A probe that waits for a pass over the codes, and what the pass found."""

    probe: Vector
    limit: int
    floor: float
    near: Near | None = None


Changes = tuple[Iterable[tuple[Sequence[int], Vector]], Sequence[int]]
"""What an index lacks: (rows, their vectors) to put, piece by piece, and rows to drop."""


class Index:
    """One gallery's codes in memory, in the order of their rows in the database.

    Derived from the database and told of its changes; knows nothing of it. 137 bytes a template of 128
    dimensions. Safe for threads: probes that come at once are compared in one pass.
    """

    def __init__(self, compare: kernel.Kernel | None = None) -> None:
        self.change = 0
        self._kernel = compare or kernel.best()
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._clear()

    def __len__(self) -> int:
        return int(self._alive[: self._size].sum())

    @property
    def nbytes(self) -> int:
        """The memory it holds, of which some may not be touched yet."""
        return self._codes.nbytes + self._rows.nbytes + self._alive.nbytes

    def update(self, change: int, since: Callable[[int], Changes]) -> None:
        """Bring the index to `change` by what `since` its own tells. An older change is ignored.

        What fails half-way is put again by the next. Raises ValueError for a vector that is none.
        """
        with self._lock:
            if change <= self.change:
                return
            put, gone = since(self.change)
            for rows, vectors in put:
                for start in range(0, len(rows), AT_ONCE):
                    some = slice(start, start + AT_ONCE)
                    self._put(np.asarray(rows[some], np.int64), vectors[some])
            self._drop(np.asarray(gone, np.int64))
            self.change = change

    def wipe(self) -> None:
        """Forget everything: no template stays in memory."""
        with self._lock:
            self._codes[:] = 0
            self._clear()
            self.change = 0

    def near(self, probe: Vector, limit: int, floor: float) -> Near:
        """Every row that float64 could place among the `limit` best with a cosine of at least `floor`.

        probe: float32 (D,), of unit length. Raises ValueError where it is not, or of another dimension.
        """
        return self.near_all(probe[None], limit, floor)[0]

    def near_all(self, probes: Vector, limit: int, floor: float) -> list[Near]:
        """The same for each of several probes, (P, D)."""
        sound(probes)
        mine = [_Waiting(probe, limit, floor) for probe in probes]
        self._waiting.extend(mine)
        with self._lock:  # whoever gets it takes along all who wait
            self._same(probes.shape[1])
            while left := [each for each in mine if each.near is None]:
                batch = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
                fitting = [each for each in batch if len(each.probe) == probes.shape[1]]
                self._pass(fitting or left[:TOGETHER])
        return [each.near for each in mine if each.near is not None]

    def _pass(self, batch: Sequence[_Waiting]) -> None:
        if not self._size:
            for waiting in batch:
                waiting.near = Near(np.zeros(0, np.int64), self.change)
            return
        asked = self._asked(batch)
        first, by = min(FIRST, self._size), self._kernel(asked.codes)
        self._compare(asked, 0, first, by)
        asked.raise_bars()
        parts = self._parts(first)
        if len(parts) > 1:
            with ThreadPoolExecutor(len(parts)) as pool:
                asked.join(pool.map(lambda part: self._compare(asked.part(), *part), parts))
        else:
            self._compare(asked, first, self._size, by)
        asked.raise_bars()
        for number, waiting in enumerate(batch):
            waiting.near = Near(self._rows[asked.of(number)], self.change)

    def _parts(self, first: int) -> list[tuple[int, int]]:
        """From and to which place each thread compares: one a processor, where there is enough to do."""
        count = min(processors(), (self._size - first) // PART)
        ends = np.linspace(first, self._size, max(count, 1) + 1).astype(int).tolist()
        return list(itertools.pairwise(ends))

    def _compare(
        self, asked: _Batch, start: int, end: int, by: tuple[int, kernel.Compare] | None = None
    ) -> _Batch:
        """Take from the places from `start` to `end` who reaches the bars. by: of the kernel; a thread has
        its own, for it may hold room that it writes to."""
        at_once, compare = by or self._kernel(asked.codes)
        for at in range(start, end, at_once):
            scores = compare(self._codes[at : min(at + at_once, end)])
            reached = np.greater_equal(scores, np.ceil(asked.bars).astype(scores.dtype))
            places, which = np.divmod(np.flatnonzero(reached), len(asked.bars))
            alive = self._alive[places + at]
            places, which = places[alive], which[alive]
            if len(places):
                asked.take(places + at, which, scores[places, which].astype(np.float64))
        return asked

    def _asked(self, batch: Sequence[_Waiting]) -> _Batch:
        probes = np.stack([waiting.probe for waiting in batch]).astype(np.float64)
        steps = np.abs(probes).max(axis=1, keepdims=True) / TOP
        codes = np.rint(probes / steps)
        off = np.linalg.norm(probes - codes * steps, axis=1)
        bounds = self._off * np.linalg.norm(probes, axis=1) + self._longest * off + ROUNDING
        units = self._step * steps[:, 0]
        floors = np.array([waiting.floor for waiting in batch])
        return _Batch(
            codes.astype(np.int8),
            np.array([waiting.limit for waiting in batch]),
            units,
            bounds / units,
            np.clip((floors - bounds) / units, -MOST, MOST),
        )

    def _clear(self) -> None:
        self._codes: Codes = np.zeros((0, 0), np.int8)
        self._rows: Numbers = np.zeros(0, np.int64)
        self._alive: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._size = self._holes = 0
        self._step = self._off = self._longest = 0.0  # of the codes: |x - xh| and |xh| at most

    def _same(self, dimension: int) -> None:
        if self._size and dimension != self._codes.shape[1]:
            raise ValueError(
                f"the gallery's templates have {self._codes.shape[1]} dimensions, not {dimension}"
            )

    def _put(self, rows: Numbers, vectors: Vector) -> None:
        sound(vectors)
        self._same(vectors.shape[1])
        if not self._size:
            self._clear()
            self._codes = np.zeros((0, vectors.shape[1]), np.int8)
            self._step = min(1.0, REACH / math.sqrt(vectors.shape[1])) / TOP
        peak = float(np.abs(vectors).max())
        if peak > self._step * TOP:
            self._widen(max(peak, min(1.0, 1.25 * peak)) / TOP)
        codes, off = self._coded(vectors)
        self._off = max(self._off, off)
        at = np.searchsorted(self._rows[: self._size], rows)
        known = at < self._size
        known[known] = self._rows[at[known]] == rows[known]
        self._holes -= int((~self._alive[at[known]]).sum())
        self._codes[at[known]], self._alive[at[known]] = codes[known], True
        self._append(rows[~known], codes[~known])

    def _append(self, rows: Numbers, codes: Codes) -> None:
        if self._size + len(rows) > len(self._rows):
            self._arrange(np.arange(self._size), max(self._size + len(rows), self._size * 3 // 2, 64))
        end = slice(self._size, self._size + len(rows))
        self._rows[end], self._codes[end], self._alive[end] = rows, codes, True
        self._size = end.stop
        if (np.diff(self._rows[max(end.start - 1, 0) : end.stop]) <= 0).any():
            self._arrange(np.argsort(self._rows[: self._size]), len(self._rows))

    def _drop(self, rows: Numbers) -> None:
        """Overwrite with zeros: no byte of an erased template stays in memory."""
        at = np.searchsorted(self._rows[: self._size], rows)
        at = at[at < self._size]
        at = at[np.isin(self._rows[at], rows) & self._alive[at]]
        self._codes[at], self._alive[at] = 0, False
        self._holes += len(at)
        if self._holes * HOLES > self._size:
            self._arrange(np.flatnonzero(self._alive[: self._size]), len(self._rows))

    def _arrange(self, order: Numbers, room: int) -> None:
        """Move the places `order` names, in that order, to new memory, and wipe the old."""
        codes = np.zeros((room, self._codes.shape[1]), np.int8)
        np.take(self._codes, order, axis=0, out=codes[: len(order)], mode="clip")  # "raise" would copy first
        self._codes[:] = 0
        self._codes = codes
        self._rows = np.concatenate([self._rows[order], np.zeros(room - len(order), np.int64)])
        self._alive = np.concatenate([self._alive[order], np.zeros(room - len(order), np.bool_)])
        self._size, self._holes = len(order), len(order) - int(self._alive.sum())

    def _coded(self, vectors: Vector) -> tuple[Codes, float]:
        """Codes, and how far the worst lies from its vector."""
        whole = np.rint(vectors / np.float32(self._step))
        near = whole * np.float32(self._step)
        off = _longest(vectors - near)
        self._longest = max(self._longest, _longest(near))
        return whole.astype(np.int8), off

    def _widen(self, step: float) -> None:
        """Code anew with a longer step, from the codes: bounds add up, and the next start begins afresh."""
        old, self._step, self._longest, worst = self._step, step, 0.0, 0.0
        for start in range(0, self._size, AT_ONCE):
            some = slice(start, min(start + AT_ONCE, self._size))
            self._codes[some], off = self._coded(self._codes[some] * np.float32(old))
            worst = max(worst, off)
        self._off += worst


def _longest(vectors: Vector) -> float:
    return math.sqrt(float(np.einsum("ij,ij->i", vectors, vectors).max(initial=0.0)))
