"""Several photos of one person: does putting searches together beat one photo, and by which rule?

python bench/probes.py --data FOLDER --cache FOLDER     (docs/missing-people.md)

Everybody of a half of the people, of both sets, is enrolled by one photo; who has more photos is searched for
by one to five of the others, several draws a person. A search for somebody who is not enrolled is the same
one without the person's own template. Thresholds that keep FPIR at a hundredth are chosen on half A and
told of half B, with the FPIR they come to there; at Similarity 80 nothing is chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from countenance.audit import sets
from countenance.audit.bench import Bench
from countenance.audit.embedding import central, largest

Rule = Callable[[np.ndarray], np.ndarray]

RULES: Mapping[str, Rule] = {
    "one photo": lambda scores: scores[0],
    "best of any (ours)": lambda scores: scores.max(axis=0),
    "mean of cosines": lambda scores: scores.mean(axis=0),
}
"""(photos, enrolled) cosines to one score for each who is enrolled."""

DRAWS = 8
TARGET = 0.01
COUNTED_AT = 65.0
"""A Similarity at which a search of so few lists enough strangers to count."""


@dataclass(frozen=True)
class Runs:
    """Of each run: the score of the person, the best stranger's, and strangers at or over COUNTED_AT, by the
    rule. singles: the same strangers by each photo for itself, added up."""

    mates: np.ndarray
    others: np.ndarray
    strangers: np.ndarray
    singles: np.ndarray


def runs(
    vectors: np.ndarray, who: np.ndarray, searched: set[str], photos: int, rule: Rule, floor: float
) -> Runs:
    people, first = np.unique(who, return_index=True)
    gallery = vectors[first]
    random = np.random.default_rng(0)
    found = []
    for place, person in enumerate(people):
        others = np.setdiff1d(np.flatnonzero(who == person), first[place : place + 1])
        if person not in searched or len(others) < photos:
            continue
        for _ in range(DRAWS):
            scores = vectors[random.choice(others, photos, replace=False)] @ gallery.T
            fused, apart = rule(scores), np.arange(len(people)) != place
            singles = (scores[:, apart] >= floor).sum()
            found.append((fused[place], fused[apart].max(), (fused[apart] >= floor).sum(), singles))
    return Runs(*map(np.array, zip(*found, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled sets")
    parser.add_argument("--cache", type=Path, help="where embeddings are kept between runs")
    options = parser.parse_args()
    bench = Bench.open(options.data, options.cache, lambda *_: None)
    curve = bench.calibration()
    halves: dict[str, tuple[np.ndarray, np.ndarray, dict[str, set[str]]]] = {}
    looked = {
        "lfw": bench.look("lfw", sets.cleaned("lfw", sets.lfw(options.data)), central),
        "celeba-wild": bench.look("celeba-wild", sets.celeba_wild(options.data), largest),
    }
    for half in "AB":
        mine = {
            name: [number for number, photo in enumerate(found) if sets.half(photo) == half]
            for name, (found, _, _) in looked.items()
        }
        who = [looked[name][0][number].person for name in looked for number in mine[name]]
        vectors = np.concatenate([looked[name][1][mine[name]] for name in looked])
        named = {name: {looked[name][0][number].person for number in mine[name]} for name in looked}
        halves[half] = vectors, np.array(who), named
        print(f"half {half}: {len(set(who)):,} people enrolled by one photo each")
    print(
        "\n| set | photos | searches | rule | FPIR at A's threshold | TPIR there | TPIR at 80 | FPIR at 80 "
        "| strangers, of their sum |"
    )
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|")
    for name in looked:
        for photos in (1, 2, 3, 5):
            for called, rule in RULES.items():
                if photos == 1 and called != "one photo":
                    continue
                one, other = (
                    runs(*halves[half][:2], halves[half][2][name], photos, rule, curve.cosine(COUNTED_AT))
                    for half in "AB"
                )
                print(_row(name, photos, called, one, other, curve.cosine(80)), flush=True)


def _row(name: str, photos: int, called: str, one: Runs, other: Runs, at: float) -> str:
    """A: `one`, B: `other`."""
    least = float(np.quantile(one.others, 1 - TARGET))
    share = "" if called == "one photo" else f"{other.strangers.sum() / max(1, other.singles.sum()):.2f}"
    cells = (
        name,
        str(photos),
        f"{len(other.mates):,}",
        called,
        f"{(other.others > least).mean():.3f}",
        f"{((other.mates > least) & (other.mates > other.others)).mean():.3f}",
        f"{((other.mates >= at) & (other.mates > other.others)).mean():.3f}",
        f"{(other.others >= at).mean():.4f}",
        share,
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
