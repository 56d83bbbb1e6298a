"""Every pair of two different people in a set of embedded photographs: how often they look alike.

Pairs share people, so a person drawn twice draws all their pairs twice: intervals come from resampling
people (the vertex bootstrap) or from the dyadic-robust variance, never from the number of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from countenance.audit import metrics
from countenance.audit.sets import Photo
from countenance.types import Vector


@dataclass(frozen=True, slots=True, eq=False)
class Impostors:
    """Pairs of different people, best first.

    scores: cosines, falling. first, second: a photograph's number, one entry a pair. person: a person's
    number, one entry a photograph. allowed: float32 (photographs, photographs), 1 where two were compared.
    Pairs under the floor they were gathered with are counted but not listed.
    """

    scores: npt.NDArray[np.float32]
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    person: npt.NDArray[np.int64]
    allowed: npt.NDArray[np.float32]

    @property
    def people(self) -> int:
        return int(self.person.max(initial=-1)) + 1

    @property
    def pairs(self) -> int:
        return int(self.allowed.sum(dtype=np.float64) / 2)

    def errors(self, threshold: float) -> int:
        """How many pairs are accepted at a cosine."""
        return int(np.searchsorted(-self.scores, -threshold, side="right"))

    def rate(self, threshold: float) -> metrics.Rate:
        """The false match rate at a cosine, with the interval that respects shared people."""
        hits = self.errors(threshold)
        one, other = self.person[self.first[:hits]], self.person[self.second[:hits]]
        count = self.people
        events_of = np.bincount(one, minlength=count) + np.bincount(other, minlength=count)
        trials_of = np.bincount(self.person, weights=self.allowed.sum(1, dtype=np.float64), minlength=count)
        keys = np.minimum(one, other) * count + np.maximum(one, other)
        repeats = np.unique(keys, return_counts=True)[1]
        return metrics.from_counts(hits, self.pairs, events_of, trials_of, repeats)

    def cosines(self, rates: Sequence[float], draw: npt.NDArray[np.int64] | None = None) -> Vector:
        """The cosine that has each false match rate. draw: how often each person comes, once by default."""
        if draw is None:
            spots = [min(len(self.scores) - 1, int(rate * self.pairs)) for rate in rates]
            return self.scores[spots]
        times = draw[self.person].astype(np.float32)
        weights = np.cumsum(times[self.first] * times[self.second], dtype=np.float64)
        total = float(times @ (self.allowed @ times)) / 2
        spots = [int(np.searchsorted(weights, rate * total, side="right")) for rate in rates]
        return self.scores[np.minimum(spots, len(self.scores) - 1)]

    def draw(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """As many people as there are, with replacement: how often each came."""
        return np.bincount(random.integers(0, self.people, self.people), minlength=self.people)


def impostors(
    photos: Sequence[Photo], vectors: Vector, *, alike: Sequence[str] = ("sex",), floor: float = -1.0
) -> Impostors:
    """The pairs of different people who are alike in the named labels (an unknown label is like nothing).

    vectors: (n, D), unit length, one a photo. floor: pairs under this cosine are counted but not listed.
    """
    _, person = np.unique([photo.person for photo in photos], return_inverse=True)
    allowed = person[:, None] != person[None]
    for label in alike:
        values = np.array([getattr(photo, label) for photo in photos])
        allowed &= (values[:, None] == values[None]) & (values != "")[:, None]
    scores = vectors @ vectors.T
    first, second = np.nonzero(np.triu(allowed & (scores >= floor), 1))
    found = scores[first, second]
    order = np.argsort(-found, kind="stable")
    return Impostors(found[order], first[order], second[order], person, allowed.astype(np.float32))
