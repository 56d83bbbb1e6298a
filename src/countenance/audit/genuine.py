"""How often two photos of one person reach a threshold: the share of the right ones that a search finds."""

from __future__ import annotations

from typing import Final

import numpy as np

from countenance.audit import metrics, sets
from countenance.audit.bench import Bench, Cell, Table, genuine_pairs
from countenance.audit.embedding import central, largest
from countenance.audit.metrics import ENOUGH

SHOWN: Final = (60, 70, 80, 90, 95, 99)
STEP: Final = 0.05


def genuine(bench: Bench) -> tuple[list[Table], str]:
    """True accepts by Similarity, and the lines for the card: those of the set where fewer are found."""
    wild = bench.look("celeba-wild", sets.celeba_wild(bench.data), largest)
    lfw = bench.look("lfw", sets.cleaned("lfw", sets.lfw(bench.data)), central)
    rows: list[tuple[Cell, ...]] = []
    for name, (photos, vectors, _) in (("celeba-wild", wild), ("lfw", lfw)):
        scores, people = genuine_pairs(photos, vectors)
        for percent in SHOWN:
            cosine = bench.calibration().cosine(percent)
            rows.append((name, percent, cosine, metrics.clustered(scores >= cosine, people)))
    table = Table(
        "Two photos of one person: how many pairs reach a Similarity",
        ("set", "Similarity", "cosine", "true accepts"),
        tuple(rows),
        "Every two photos of one person. celeba-wild, where fewer do, is on the card. How many years lie"
        " between two photos the sets do not say.",
    )
    return [table], _lines(*genuine_pairs(wild[0], wild[1]))


def _lines(scores: metrics.Scores, people: np.ndarray) -> str:
    points = []
    for number in range(int(1 / STEP)):
        cosine = number * STEP
        reached = int((scores >= cosine).sum())
        if reached < ENOUGH:
            break
        points.append(f"    [{cosine:.2f}, {reached / len(scores):.4f}],\n")
    return (
        f"[card.genuine]\npoints = [\n{''.join(points)}]\n"
        f'source = "Every two photos of one of {len(np.unique(people))} adults in celeba-wild, uncropped web '
        f'photos, each by its largest face: {len(scores):,} pairs. countenance bench genuine --data DIR"\n'
    )
