"""Fits what a model's cosines mean: the curve from cosine to false match rate that goes on its card.

How rare a false match is follows one shape, stretched and moved: over LFW's same-sex pairs, UTKFace's and
FairFace's alike (docs/numbers.md). So each set of the population speaks for itself down to the lowest rate
that 30 of its pairs back. From there on the shape is LFW's, which has the pairs to show it down to 1e-5,
stretched as UTKFace's adults, the largest set beside it, stretch it. At each rate the set that asks for the
highest cosine decides. People are resampled, and the card takes the upper end of the 95 % interval: a scale
that errs towards calling strangers strangers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.audit.impostors import Impostors
from countenance.audit.metrics import ENOUGH

Array = npt.NDArray[np.float64]

LOG_RATES: Final = np.array([np.log10(0.9), np.log10(0.5), *(-0.5 * half for half in range(1, 11))])
END: Final = (
    -7.0
)  # the scale's end; LFW has over 30 errors down to 5e-6, from 1e-5 on the last decade goes on
STRETCH: Final = (1e-2, 3e-3, 1e-3, 3e-4)  # UTKFace's adults have over 100 errors at each
RESAMPLES: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A population's curve at `rates`.

    rates: log10, falling. middle: cosines as measured. high, low: the ends of their 95 % interval; high goes
    on the card. stretch: of LFW's tail. interval: of the rate at the cosine where `high` has 1e-4.
    measured_to: log10 of the lowest rate on `high` whose cosine 30 impostor errors of the population reach.
    """

    rates: Array
    middle: Array
    low: Array
    high: Array
    stretch: float
    interval: tuple[float, float]
    measured_to: float

    def cosine(self, log_rate: float) -> float:
        """The card's cosine for a rate."""
        return float(np.interp(-log_rate, -self.rates, self.high))


def fit(
    levels: Sequence[Impostors],
    stretched: Impostors,
    shape: Impostors,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Fit:
    """The curve of one population. levels: its sets. stretched: gives the stretch. shape: gives the tail."""
    random = np.random.default_rng(seed)
    middle, stretch = curve(levels, stretched, shape)
    drawn = np.stack([curve(levels, stretched, shape, random)[0] for _ in range(resamples)])
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    rates = np.array([*LOG_RATES, END])
    at80 = float(np.interp(4.0, -rates, high))
    there = [10 ** float(np.interp(at80, each, rates)) for each in drawn]
    interval = float(np.percentile(there, 2.5)), float(np.percentile(there, 97.5))
    together = np.sort(np.concatenate([level.scores[:ENOUGH] for level in levels]))[::-1]
    reached = float(np.interp(together[ENOUGH - 1], high, rates))
    return Fit(rates, middle, low, high, stretch, interval, reached)


def curve(
    levels: Sequence[Impostors],
    stretched: Impostors,
    shape: Impostors,
    random: np.random.Generator | None = None,
) -> tuple[Array, float]:
    """(cosines at LOG_RATES and END, stretch), from everybody or from one draw of the people."""

    def cosines(pairs: Impostors, rates: Sequence[float]) -> Array:
        return pairs.cosines(rates, pairs.draw(random) if random else None).astype(np.float64)

    every = [*STRETCH, *(10**LOG_RATES).tolist()]
    ideal = cosines(shape, every)
    stretch = float(np.polyfit(ideal[: len(STRETCH)], cosines(stretched, STRETCH), 1)[0])
    ideal = stretch * ideal[len(STRETCH) :]
    curves = []
    for level in levels:
        own = cosines(level, every[len(STRETCH) :])
        backed = int((10**LOG_RATES * level.pairs >= ENOUGH).sum())
        curves.append([*own[:backed], *(own[backed - 1] + ideal[backed:] - ideal[backed - 1])])
    highest = np.max(curves, axis=0)
    slope = (highest[-1] - highest[-3]) / (LOG_RATES[-1] - LOG_RATES[-3])
    return np.array([*highest, highest[-1] + slope * (END - LOG_RATES[-1])]), stretch


def part(person: str, parts: int = 2) -> int:
    """Which part of the people somebody belongs to, always the same."""
    return hashlib.sha256(person.encode()).digest()[0] % parts


def toml(population: str, fitted: Fit, source: str) -> str:
    """The lines for the card in zoo.toml."""
    pairs = zip(fitted.high.tolist(), fitted.rates.tolist(), strict=True)
    points = ",\n".join(f"    [{cosine:.4f}, {rate:.4f}]" for cosine, rate in pairs)
    low, high = fitted.interval
    return (
        f"[card.calibration.{population}]\npoints = [\n{points},\n]\n"
        f"measured_to = {fitted.measured_to:.2f}\ninterval = [{low:.1e}, {high:.1e}]\n"
        f'source = "{source}"\n'
    )
