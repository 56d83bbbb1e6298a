"""Who appears in photos: Chinese whispers beside scikit-learn's HDBSCAN and scipy's linkages.

python bench/groups.py --data FOLDER --cache FOLDER     (pip install scikit-learn; docs/groups.md)

What a method can be set to is chosen on half A of the people, for the best B-cubed F on both sets together,
and told of half B. Pairs: of two photos in one group, the share that is of one person (precision), and of two
photos of one person the share that is in one group (recall). B-cubed: the same for each photo, so that who
has many photos does not count for more than his photos (Bagga and Baldwin 1998).
"""

# ruff: noqa: PLC0415 - the peers are imported where they are asked
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from countenance.audit import sets
from countenance.audit.bench import Bench
from countenance.audit.embedding import central, largest
from countenance.galleries import groups

THRESHOLDS = tuple(np.arange(60, 91, 2.5))
Labels = np.ndarray


def whispers(vectors: np.ndarray, cosine: float, photos: list[str] | None = None) -> Labels:
    """Ours. photos: with faces that share one, two of them are two people."""
    where = photos or [str(number) for number in range(len(vectors))]
    labels = np.zeros(len(vectors), int)
    for number, group in enumerate(groups.groups(vectors, where, cosine, once=photos is not None)):
        labels[list(group.places)] = number
    return labels


def linkage(method: str) -> Callable[[np.ndarray, float], Labels]:
    def run(vectors: np.ndarray, cosine: float) -> Labels:
        from scipy.cluster import hierarchy
        from scipy.spatial.distance import pdist

        tree = hierarchy.linkage(np.maximum(pdist(vectors.astype(float), "cosine"), 0), method)
        return hierarchy.fcluster(tree, 1 - cosine, "distance")

    return run


def hdbscan(samples: int) -> Callable[[np.ndarray, float], Labels]:
    """It has no threshold. Its noise is everybody alone."""

    def run(vectors: np.ndarray, _cosine: float) -> Labels:
        from sklearn.cluster import HDBSCAN

        exact = vectors.astype(float)
        apart = np.maximum(1 - exact @ exact.T, 0)
        model = HDBSCAN(min_cluster_size=2, min_samples=samples, metric="precomputed", copy=True)
        labels = model.fit(apart).labels_
        alone = labels < 0
        labels[alone] = labels.max() + 1 + np.arange(alone.sum())
        return labels

    return run


METHODS: dict[str, tuple[Callable[[np.ndarray, float], Labels], bool]] = {
    "Chinese whispers (ours)": (whispers, True),
    "average linkage, scipy": (linkage("average"), True),
    "single linkage, scipy": (linkage("single"), True),
    "HDBSCAN, scikit-learn, min_samples 1": (hdbscan(1), False),
    "HDBSCAN, scikit-learn, min_samples 3": (hdbscan(3), False),
}


def scores(labels: Labels, who: np.ndarray) -> tuple[float, float, float, float, float]:
    """Pairs' precision and recall, B-cubed precision, recall and F."""
    _, person = np.unique(who, return_inverse=True)
    _, group = np.unique(labels, return_inverse=True)
    both = person.astype(np.int64) * (group.max() + 1) + group
    shared, theirs, ours = (_sizes(values) for values in (both, person, group))
    pairs = [(sizes - 1).sum() / 2 for sizes in (shared, ours, theirs)]
    precision, recall = (shared / ours).mean(), (shared / theirs).mean()
    f = 2 * precision * recall / (precision + recall)
    return pairs[0] / max(pairs[1], 1e-9), pairs[0] / pairs[2], precision, recall, f


def _sizes(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return count[place]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled sets")
    parser.add_argument("--cache", type=Path, help="where embeddings are kept between runs")
    parser.add_argument("--faces", type=int, default=0, help="time so many made-up faces, four a person")
    options = parser.parse_args()
    bench = Bench.open(options.data, options.cache, lambda *_: None)
    halves: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    for name, photos, choose in (
        ("lfw", sets.cleaned("lfw", sets.lfw(options.data)), central),
        ("celeba-wild", sets.celeba_wild(options.data), largest),
    ):
        found, vectors, _ = bench.look(name, photos, choose)
        halved = np.array([sets.half(photo) for photo in found])
        who = np.array([photo.person for photo in found])
        for half in "AB":
            halves[name, half] = vectors[halved == half], who[halved == half]
    curve = bench.calibration()
    for (name, half), (vectors, who) in halves.items():
        print(f"{name}, half {half}: {len(vectors)} photos of {len(set(who))} people")
    print("\n| method | at | set | pairs: precision | recall | B-cubed: precision | recall | F | s |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    for method, (run, tuned) in METHODS.items():
        best = _fitted(run, halves, curve.cosine) if tuned else None
        for at in dict.fromkeys([best, 80.0] if tuned else [None]):
            for name in ("lfw", "celeba-wild"):
                vectors, who = halves[name, "B"]
                begun = time.perf_counter()
                labels = run(vectors, curve.cosine(at) if at else 0.0)
                took = time.perf_counter() - begun
                told = " | ".join(f"{value:.4f}" for value in scores(labels, who))
                chosen = "" if at is None else f"{at:g}{', chosen on A' if at == best else ''}"
                print(f"| {method} | {chosen} | {name} | {told} | {took:.1f} |", flush=True)
    _together(*halves["lfw", "B"], curve.cosine)
    if options.faces:
        _timed(options.faces, curve.cosine(80))


def _fitted(
    run: Callable[[np.ndarray, float], Labels], halves: dict, cosine: Callable[[float], float]
) -> float:
    """The Similarity with the best mean F on half A."""
    means = [
        np.mean(
            [
                scores(run(vectors, cosine(at)), who)[4]
                for (_, half), (vectors, who) in halves.items()
                if half == "A"
            ]
        )
        for at in THRESHOLDS
    ]
    return float(THRESHOLDS[int(np.argmax(means))])


def _together(vectors: np.ndarray, who: np.ndarray, cosine: Callable[[float], float]) -> None:
    """What it is worth that one person appears once in a photo: four people's faces drawn into each photo."""
    order = np.random.default_rng(0).permutation(len(who))
    photos, shown = np.zeros(len(who), int), [set[str]()]
    for face in order:
        at = next(
            (
                n
                for n in range(max(0, len(shown) - 40), len(shown))
                if len(shown[n]) < 4 and who[face] not in shown[n]
            ),
            len(shown),
        )
        if at == len(shown):
            shown.append(set())
        shown[at].add(who[face])
        photos[face] = at
    names = [str(number) for number in photos]
    print(f"\nfour people a photo, drawn: {len(shown)} photos of lfw's half B\n")
    print("| at | two faces of a photo | pairs: precision | recall | B-cubed F |\n|---|---|---:|---:|---:|")
    for at in (60.0, 70.0, 80.0):
        for said, given in (("may be one person", None), ("are two people", names)):
            precision, recall, *_, f = scores(whispers(vectors, cosine(at), given), who)
            print(f"| {at:g} | {said} | {precision:.4f} | {recall:.4f} | {f:.4f} |")


def _timed(faces: int, cosine: float) -> None:
    random = np.random.default_rng(1)
    centres = np.repeat(random.standard_normal((faces // 4 + 1, 128)), 4, axis=0)[:faces]
    vectors = centres + 0.7 * random.standard_normal(centres.shape)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    begun = time.perf_counter()
    found = groups.groups(vectors, [str(n) for n in range(faces)], cosine, once=True)
    print(f"\n{faces:,} made-up faces: {time.perf_counter() - begun:.1f} s, {len(found):,} groups")


if __name__ == "__main__":
    sys.exit(main())
