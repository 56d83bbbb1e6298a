"""Cosine <-> false match rate <-> Similarity percent. Pure.

Similarity is one fixed scale for every embedding model, because clients hard-code 80, 90 and 99:

    80 = a false match rate of 1e-4 per comparison    90 = 1e-5    95 = 1e-6    99 = 1e-7

log-linear in the rate between these, and below 80 by the same ten percent a decade (70 = 1e-3, 60 = 1e-2).
A card's curve says which cosine has which rate in a stated population. Past its last point the curve is
continued along its last segment until 99; above that Similarity is linear in cosine up to 100 at cosine 1,
below its first point linear down to 0 at cosine -1. So the map is strictly increasing on [-1, 1].
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from countenance.errors import ModelError

# Whose scale holds where nothing says whom a collection shows.
ADULTS: Final = "adults"

# (log10 FMR, Similarity), rarest last. The design's scale; 40 = every comparison is a false match.
SCALE: Final = ((0.0, 40.0), (-4.0, 80.0), (-5.0, 90.0), (-6.0, 95.0), (-7.0, 99.0))

RAREST: Final = 10 ** SCALE[-1][0]
"""The rarest false match rate that is claimed."""


def _percent(log_fmr: float) -> float:
    rarity, percents = [-rate for rate, _ in SCALE], [percent for _, percent in SCALE]
    return float(np.interp(-log_fmr, rarity, percents))


@dataclass(frozen=True)
class Calibration:
    """What one model's cosines mean in one population.

    points: (cosine, log10 FMR), cosines rising, rates falling, at least two. measured_to: the lowest log10
    FMR backed by at least 30 impostor errors. source: which pairs, how many, which command. interval: the
    95 % interval of the FMR at Similarity 80, as two rates.
    """

    population: str
    points: tuple[tuple[float, float], ...]
    measured_to: float
    source: str
    interval: tuple[float, float]
    _cosines: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _percents: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        falling = all(a < c and b > d for (a, b), (c, d) in itertools.pairwise(self.points))
        inside = all(cosine > -1 and rate <= 0 for cosine, rate in self.points[:1])
        if len(self.points) < 2 or not (falling and inside) or self.points[0][1] <= SCALE[-1][0]:
            raise ModelError(
                f"the calibration for {self.population} is not a curve: it needs two or more points,"
                " cosines above -1 and rising, log10 rates at most 0 and falling, the first above -7"
            )
        curve = _to_the_end(self.points)
        if curve[-1][0] >= 1:
            raise ModelError(
                f"the calibration for {self.population} reaches a rate of 1e-7 only beyond cosine 1"
            )
        object.__setattr__(self, "_cosines", (-1.0, *(cosine for cosine, _ in curve), 1.0))
        object.__setattr__(self, "_percents", (0.0, *(_percent(rate) for _, rate in curve), 100.0))

    def similarity(self, cosine: float) -> float:
        """Percent [0, 100] of a cosine [-1, 1]."""
        return float(np.interp(cosine, self._cosines, self._percents))

    def cosine(self, similarity: float) -> float:
        """The cosine [-1, 1] of a percent [0, 100]; the exact inverse of similarity()."""
        return float(np.interp(similarity, self._percents, self._cosines))

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits of a SHA-256 over the curve: another curve has another."""
        return hashlib.sha256(json.dumps(self.points).encode()).hexdigest()[:16]

    @property
    def measured_percent(self) -> float:
        """The percent up to which at least 30 measured impostor errors stand behind the scale."""
        return round(_percent(self.measured_to), 6)  # a sum of floats is no 74.3

    def continued(self, rate: float) -> float | None:
        """The cosine where the curve's last segment, continued past the scale's end, has a rate; None where
        that is 1 or more. For plans alone: nobody measured it and no answer claims it."""
        (before, above), (last, log_rate) = self.points[-2:]
        cosine = last + (math.log10(rate) - log_rate) * (last - before) / (log_rate - above)
        return cosine if cosine < 1 else None

    def extrapolated(self, similarity: float) -> bool:
        """Whether fewer than 30 measured impostor errors stand behind this percent."""
        return similarity > self.measured_percent


@dataclass(frozen=True)
class Genuine:
    """How often two photos of one person reach a cosine: a comparison's true positive rate.

    points: (cosine, share [0, 1]), cosines rising, shares falling. The last is backed by at least 30 pairs.
    source: which pairs, how many, which command.
    """

    points: tuple[tuple[float, float], ...]
    source: str

    def __post_init__(self) -> None:
        falling = all(a < c and b >= d for (a, b), (c, d) in itertools.pairwise(self.points))
        if (
            not self.points
            or not falling
            or not all(-1 < c < 1 and 0 <= share <= 1 for c, share in self.points)
        ):
            raise ModelError("the shares of genuine pairs are no curve: cosines must rise and shares fall")

    def share(self, cosine: float) -> float:
        """[0, 1]; beyond the curve's ends towards 1 at cosine -1 and 0 at cosine 1."""
        cosines, shares = zip((-1.0, 1.0), *self.points, (1.0, 0.0), strict=True)
        return float(np.interp(cosine, cosines, shares))

    def measured(self, cosine: float) -> bool:
        """Whether at least 30 pairs reached it."""
        return cosine <= self.points[-1][0]


def _to_the_end(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """The curve continued along its last segment to the scale's end, with a point where the scale bends."""
    end = SCALE[-1][0]
    (before, above), (last, rate) = points[-2:]
    far = last + (end - 1 - rate) * (last - before) / (rate - above)
    line = [*points, (far, end - 1)] if rate > end else list(points)
    cosines, rates = [cosine for cosine, _ in line], [-rate for _, rate in line]
    bends = [(float(np.interp(-rate, rates, cosines)), rate) for rate, _ in SCALE if rate < points[0][1]]
    return sorted({point for point in line if point[1] > end} | set(bends))


def fmr(similarity: float) -> float:
    """The false match rate a percent [0, 100] stands for, in [1e-7, 1]: no rarer rate is claimed."""
    percents, rates = [percent for _, percent in SCALE], [rate for rate, _ in SCALE]
    return float(10 ** np.interp(similarity, percents, rates))


def percent(rate: float) -> float:
    """The percent [40, 99] that stands for a false match rate (0, 1]; 99 for any rarer than 1e-7."""
    return _percent(math.log10(rate))
