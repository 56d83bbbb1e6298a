"""What the senses get right on labelled sets: one function a question, each answering with tables.

The functions run the system as a user has it (detector, choice of face, embedding, the card's calibration)
and choose nothing on the photographs they report on, unless a table says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from countenance.audit import metrics, sets
from countenance.audit.embedding import Choice, Embedder, central, largest
from countenance.audit.impostors import impostors
from countenance.audit.metrics import Estimate, Rate
from countenance.audit.sets import Photo
from countenance.types import Box, Vector
from countenance.vision import Vision
from countenance.vision.calibration import Calibration
from countenance.vision.images import decode

Cell = str | int | float | Rate | Estimate
Progress = Callable[[str, int, int], None]
RATES: Final = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
PERCENTS: Final = (80, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title. note: what a reader must know to read it right. about: an attribute, or nothing."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every question needs. data: the folder of sets. progress: (what, done, of)."""

    data: Path
    embedder: Embedder
    progress: Progress

    @classmethod
    def open(cls, data: Path, cache: Path | None, progress: Progress) -> Bench:
        """With the senses as they are loaded by default. cache: see Embedder."""
        return cls(data, Embedder(Vision.load(), cache), progress)

    def look(self, name: str, photos: Sequence[Photo], choose: Choice) -> tuple[list[Photo], Vector, int]:
        """(photos with a face, their embeddings, how many had none)."""
        paths = [photo.path for photo in photos]
        seen = self.embedder.embed(paths, choose, lambda done, of: self.progress(name, done, of))
        found = [photo for photo, has in zip(photos, seen.found, strict=True) if has]
        return found, seen.vectors[seen.found], len(photos) - len(found)

    def calibration(self, population: str = "adults") -> Calibration:
        return self.embedder.vision.calibration(population)


def lfw(bench: Bench) -> list[Table]:
    """Verification on LFW: the face nearest the centre."""
    photos, vectors, missed = bench.look("lfw", sets.lfw(bench.data), central)
    pairs = sets.lfw_pairs(bench.data)
    clean = sets.cleaned("lfw", photos)
    kept = {photo.path: number for number, photo in enumerate(photos)}
    clean_vectors = vectors[[kept[photo.path] for photo in clean]]
    wrong = sets.label_errors("lfw").wrong
    sound = [pair for pair in pairs if not {pair.first.name, pair.second.name} & wrong]
    return [
        Table(
            "LFW, View 2: accuracy, threshold chosen on the other folds",
            ("pairs", "folds", "accuracy", "95 % interval over folds", "threshold"),
            (
                ("as published", *_folds(pairs, kept, vectors)),
                ("without the wrong labels found", *_folds(sound, kept, vectors)),
            ),
            f"Target .992. Photos without a face: {missed}.",
        ),
        _accepts(photos, vectors, clean, clean_vectors),
        _cost(clean, clean_vectors, bench.calibration()),
    ]


def _folds(pairs: Sequence[sets.Pair], kept: dict[Path, int], vectors: Vector) -> tuple[Cell, ...]:
    pairs = [pair for pair in pairs if pair.first in kept and pair.second in kept]
    one, other = (vectors[[kept[getattr(pair, side)] for pair in pairs]] for side in ("first", "second"))
    scores = (one * other).sum(1)
    results = metrics.folds(
        scores, np.array([pair.same for pair in pairs]), np.array([pair.fold for pair in pairs])
    )
    thresholds, accuracies = (np.array(column) for column in zip(*results, strict=True))
    half = metrics.student(len(results) - 1) * accuracies.std(ddof=1) / math.sqrt(len(results))
    mean = float(accuracies.mean())
    return len(results), mean, f"{mean - half:.4f} to {min(1, mean + half):.4f}", float(thresholds.mean())


def genuine_pairs(photos: Sequence[Photo], vectors: Vector) -> tuple[metrics.Scores, np.ndarray]:
    """(cosines, person) of every two photos of one person."""
    by_person: dict[str, list[int]] = {}
    for number, photo in enumerate(photos):
        by_person.setdefault(photo.person, []).append(number)
    found = [
        (float(vectors[one] @ vectors[other]), person)
        for person, numbers in by_person.items()
        for one, other in itertools.combinations(numbers, 2)
    ]
    scores, people = zip(*found, strict=True)
    return np.array(scores), np.array(people)


def _accepts(photos: list[Photo], vectors: Vector, clean: list[Photo], clean_vectors: Vector) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, who, where, alike in (
        ("all pairs, cleaned", clean, clean_vectors, ()),
        ("all pairs, as published", photos, vectors, ()),
        ("same-sex pairs, cleaned", clean, clean_vectors, ("sex",)),
    ):
        strangers = impostors(who, where, alike=alike, floor=0.2)
        scores, people = genuine_pairs(who, where)
        for rate in RATES:
            threshold = math.nextafter(float(strangers.cosines([rate])[0]), math.inf)
            accepted = metrics.clustered(scores >= threshold, people)
            rows.append((name, strangers.pairs, rate, strangers.errors(threshold), threshold, accepted))
    return Table(
        "LFW, all pairs: true accepts at a false match rate",
        ("pairs", "impostor pairs", "FMR", "errors", "cosine", "true accepts"),
        tuple(rows),
        "Targets: .98 at 1e-3 and .95 at 1e-5, over all pairs, cleaned. Thresholds are LFW's own: its rate"
        " flatters, see Similarity. Cleaned: without the labels found wrong (label_errors.toml).",
    )


def _cost(clean: list[Photo], vectors: Vector, calibration: Calibration) -> Table:
    scores, people = genuine_pairs(clean, vectors)
    strangers = impostors(clean, vectors, floor=0.2)
    rows = []
    for percent in PERCENTS:
        threshold = calibration.cosine(percent)
        accepted = metrics.clustered(scores >= threshold, people)
        rows.append((percent, threshold, accepted, strangers.rate(threshold)))
    return Table(
        "LFW, cleaned: what a client's threshold costs",
        ("Similarity", "cosine", "true accepts", "same-sex FMR on LFW"),
        tuple(rows),
        "80 is what an unmodified client asks for by default. Calibration: adults.",
    )


def wild(bench: Bench) -> list[Table]:
    """Identification in celeba-wild: the first photo of each person enrolled, the rest searched."""
    photos = sets.celeba_wild(bench.data)
    found, vectors, missed = bench.look("celeba-wild", photos, largest)
    number = {photo.path: row for row, photo in enumerate(found)}
    first = {photo.person: photo for photo in reversed(photos)}
    enrolled = [photo for photo in first.values() if photo.path in number]
    probes = [photo for photo in photos if photo.path != first[photo.person].path]
    nothing = np.zeros(vectors.shape[1], np.float32)
    searched = np.stack([vectors[number[p.path]] if p.path in number else nothing for p in probes])
    gallery = vectors[[number[photo.path] for photo in enrolled]]
    who, names = (np.array([photo.person for photo in part_]) for part_ in (probes, enrolled))
    others = np.where(who[:, None] != names[None], searched @ gallery.T, -1.0).max(1)
    rows = []
    for percent in (0, *PERCENTS):
        threshold = bench.calibration().cosine(percent)
        ranks = metrics.ranks(searched, gallery, who, names, threshold)
        one, five = (
            metrics.clustered(np.array([rank is not None and rank <= most for rank in ranks]), who)
            for most in (1, 5)
        )
        rows.append((percent, threshold, one, five, metrics.clustered(others >= threshold, who)))
    unseen = sum(photo.path not in number for photo in probes)
    return [
        Table(
            f"celeba-wild: {len(enrolled)} of {len(first)} people enrolled by their first photo,"
            f" {len(probes)} searches with the largest face",
            ("Similarity at least", "cosine", "rank 1", "rank 5", "searches that would return a stranger"),
            tuple(rows),
            f"Target: rank 1 at 0 of .915. Photos without a face: {missed}, {unseen} of them searches, which"
            " count as misses. A stranger: somebody else in the gallery, the person's own template aside."
            " A few photos hold a second person, larger than the one meant.",
        )
    ]


def crowd(bench: Bench) -> list[Table]:
    """Detection in crowds: recall and precision at IoU .4 by the size of the face."""
    crowds = sets.facemask(bench.data)
    truths: list[tuple[float, bool, str]] = []
    founds: list[tuple[float, bool, str]] = []
    for done, scene in enumerate(crowds, start=1):
        image = decode(scene.path.read_bytes())
        faces = bench.embedder.vision.detect(image)
        order = sorted(faces, key=lambda face: -face.confidence)
        taken = metrics.assign(
            [_edges(face.box) for face in order], [_edges(box) for box in scene.boxes], 0.4
        )
        used = set(taken) - {None}
        height = image.height
        for number, box in enumerate(scene.boxes):
            truths.append((box.height * height, number in used, scene.path.name))
        for face, mate in zip(order, taken, strict=True):
            founds.append((face.box.height * height, mate is not None, scene.path.name))
        bench.progress("facemask", done, len(crowds))
    bands = ((0, 12), (12, 16), (16, 24), (24, 32), (32, 64), (64, math.inf), (0, math.inf))
    rows: list[tuple[Cell, ...]] = []
    for low, high in bands:
        name = (
            "all" if (low, high) == bands[-1] else f"{low} to {high}" if high < math.inf else f"{low} and up"
        )
        rows.append((name, *(_share(which, low, high) for which in (truths, founds))))
    return [
        Table(
            f"facemask: {len(crowds)} photos, faces found at IoU .4",
            ("face height, pixels", "recall", "precision"),
            tuple(rows),
            "Recall by the labelled height, precision by the found one. Intervals over photos. What the set's"
            " labellers left out counts as found wrongly.",
        )
    ]


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.left + box.width, box.top + box.height


def _share(which: list[tuple[float, bool, str]], low: float, high: float) -> Rate:
    inside = [(right, photo) for size, right, photo in which if low <= size < high]
    return metrics.clustered(
        np.array([right for right, _ in inside], bool), np.array([photo for _, photo in inside])
    )
