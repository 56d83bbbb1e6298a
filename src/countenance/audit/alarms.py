"""Is FPIR what independent comparisons would make of FMR? LFW's people, searched among each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from countenance.audit import sets
from countenance.audit.bench import Bench, Cell, Table
from countenance.audit.embedding import central
from countenance.audit.metrics import Estimate
from countenance.types import Vector
from countenance.vision.expectation import fpir

GALLERIES: Final = (100, 500, 2000)
RATES: Final = (1e-2, 1e-3, 1e-4, 1e-5)
SPLITS: Final = 40


def alarms(bench: Bench) -> list[Table]:
    """FPIR at the thresholds of some false match rates, counted and by the formula."""
    every = sets.cleaned("lfw", sets.lfw(bench.data))
    people = {photo.person: photo for photo in reversed(every)}
    _, vectors, _ = bench.look("lfw", list(people.values()), central)
    scores = vectors @ vectors.T
    pairs = np.sort(scores[np.triu_indices(len(scores), 1)])[::-1]
    rows: list[tuple[Cell, ...]] = []
    for faces in GALLERIES:
        for rate in RATES:
            threshold = float(pairs[int(rate * len(pairs))])
            rates = np.array(list(counted(scores, faces, threshold)))
            low, high = np.percentile(rates, (2.5, 97.5))
            whole = Estimate(float(rates.mean()), float(low), float(high))
            rows.append((faces, rate, threshold, fpir(rate, faces), whole))
    return [
        Table(
            "LFW, cleaned, one photo a person: searches for people who are not enrolled that list anybody",
            ("faces", "FMR", "cosine", "FPIR by 1 - (1 - FMR)^N", "FPIR counted"),
            tuple(rows),
            f"{len(scores):,} people; thresholds have their FMR over all {len(pairs):,} pairs of any sex."
            f" Counted: mean over {SPLITS} draws of who is enrolled, everybody else searched; the interval is"
            " that of the draws.",
        )
    ]


def counted(scores: Vector, faces: int, threshold: float) -> Iterator[float]:
    """FPIR for each draw of who is enrolled."""
    random = np.random.default_rng(0)
    for _ in range(SPLITS):
        order = random.permutation(len(scores))
        best = scores[np.ix_(order[faces:], order[:faces])].max(axis=1)
        yield float((best >= threshold).mean())
