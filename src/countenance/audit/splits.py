"""Does a curve hold for people it was not fitted to? Fitted on half of the people, counted on the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from countenance.audit.bench import Bench, Cell, Table
from countenance.audit.fitting import END, LOG_RATES, curve, fit
from countenance.audit.impostors import Impostors
from countenance.audit.sets import Photo
from countenance.audit.similarity import Sets, adult

SPLITS: Final = 20
RATES: Final = (1e-3, 1e-4, 1e-5)
RESAMPLES: Final = 100
"""Draws of the people in each split, for the upper end of the interval: the card's own fit has 200."""

MEASURED, CARD = "as measured", "as on the card"


@dataclass(frozen=True, slots=True)
class Counted:
    """errors: false matches counted where `meant` were meant, among people not used to fit."""

    way: str
    set: str
    rate: float
    errors: int
    meant: float

    @property
    def ratio(self) -> float:
        return self.errors / self.meant


def splits(bench: Bench) -> list[Table]:
    """How far what is counted lies from what was meant, over random halves of the people."""
    known, counts = Sets.load(bench), list[Counted]()
    for number in range(SPLITS):
        counts += counted(known, number)
        bench.progress("splits", number + 1, SPLITS)
    return [
        Table(
            f"Fitted on half of the people, counted on the others: {SPLITS} splits",
            ("curve", "counted on", "FMR meant", "errors meant a split", "counted / meant", "within 2 x"),
            tuple(_row(each) for each in _grouped(counts)),
            f"Counted / meant: median [least, most]. {MEASURED.capitalize()}: the middle of a set's own"
            " curve, for utkface's adults with lfw's tail beyond 30 errors."
            f" {CARD.capitalize()}: the higher of two sets, upper end of the 95 % interval ({RESAMPLES}"
            " draws), which is to stay under 1 and not to be near it. Where five errors are meant, two or"
            " nine come by chance alone.",
        )
    ]


def counted(known: Sets, seed: int) -> Iterator[Counted]:
    """One split: every curve on the people of the other half."""
    sides = {name: _sides(photos, seed) for name, (photos, _) in known.faces.items()}

    def pairs(name: str, side: int, floor: float = -1.0) -> Impostors:
        def keep(photo: Photo) -> bool:
            return sides[name][photo.person] == side and (name == "lfw" or adult(photo))

        return known.pairs(name, keep, floor=floor)

    lfw, utkface, fairface = (pairs("lfw", 0, 0.2), pairs("utkface", 0), pairs("fairface", 0))
    others = {"lfw": pairs("lfw", 1, 0.2), "utkface": pairs("utkface", 1)}
    own = {
        "lfw": curve([lfw], lfw, lfw)[0],
        "utkface": curve([utkface], utkface, lfw)[0],
    }
    card = fit([fairface, utkface], utkface, lfw, seed=seed, resamples=RESAMPLES)
    rates = [*LOG_RATES, END]
    for name, rest in others.items():
        for rate in RATES:
            middle = float(np.interp(-np.log10(rate), -np.array(rates), own[name]))
            for way, cosine in ((MEASURED, middle), (CARD, card.cosine(np.log10(rate)))):
                yield Counted(way, name, rate, rest.errors(cosine), rate * rest.pairs)


def _sides(photos: Sequence[Photo], seed: int) -> Mapping[str, int]:
    """Which half of its set each person is in."""
    people = sorted({photo.person for photo in photos})
    drawn = np.random.default_rng(seed).permutation(len(people)) % 2
    return dict(zip(people, drawn.tolist(), strict=True))


def _grouped(counts: Sequence[Counted]) -> Iterator[list[Counted]]:
    for key in dict.fromkeys((each.way, each.set, each.rate) for each in counts):
        yield [each for each in counts if (each.way, each.set, each.rate) == key]


def _row(counts: Sequence[Counted]) -> tuple[Cell, ...]:
    ratios = [each.ratio for each in counts]
    low, middle, high = (float(each) for each in np.percentile(ratios, (0, 50, 100)))
    within = sum(0.5 <= ratio <= 2 for ratio in ratios)
    meant = float(np.mean([each.meant for each in counts]))
    first = counts[0]
    span = f"{middle:.2f} [{low:.2f}, {high:.2f}]"
    return first.way, first.set, first.rate, round(meant, 1), span, f"{within} of {len(ratios)}"
