"""Trains the linear heads on FaceRes' features: eyeglasses, beard, moustache, face mask, hat.

pip install -e . && python bench/heads.py --data DIR --out src/countenance/vision/heads.npz [--cache DIR]

Weights are fitted on half A of `celeba` (its labels) and of `facemask`: each face as it is and made harder,
and with a mask painted on (painting.py). How strongly they are held back is chosen by five-fold
cross-validation inside half A, and the curves are fitted on the scores of that: no curve sees a score of a
face that its head has learned from. Half B is measured, nothing more. --cache keeps features between runs,
also where the code that finds and cuts faces has changed: empty it then. They are biometric data of the sets'
people, to be guarded and deleted.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from painting import harder, paint_mask, portrait, shrunk

from countenance.audit import metrics, sets
from countenance.audit.faces import Looker, Seen
from countenance.types import Image
from countenance.vision import Vision, heads, zoo
from countenance.vision.faceres import FaceRes
from countenance.vision.images import decode
from countenance.vision.landmarks import Mesh

SEED: Final = 20
FOLDS: Final = 5
COMPONENTS: Final = 400  # principal ones that a head may use
STRENGTHS: Final = (0.01, 0.03, 0.1, 0.3, 1.0)
SPREAD: Final = 0.1  # of the mean feature's deviation, added to each: no faint feature is blown up
PAINTED: Final = 0.3  # what a painted face counts beside a photographed one
WIDTHS: Final = (16, 24, 32, 48)  # of a face in pixels, to see how small is too small
CHANCES: Final = (0.002, 0.01, 0.03, 0.08, 0.2, 0.5, 0.8, 0.92, 0.97, 0.99, 0.995)  # where a curve has points

READERS: Final = {
    "celeba": sets.celeba,
    "facemask": sets.masks,
    "fairface": sets.fairface,
    "utkface": sets.utkface,
}
Painter = Callable[[Image, Mesh, np.random.Generator], Image]
PAINTERS: Final[Mapping[str, Painter]] = {"mask": paint_mask}
VIEWS: Final = {
    "celeba": {"plain": 1, "harder": 2, "mask": 1},
    "facemask": {"plain": 1, "harder": 3},
}
"""How often each face of half A is learned from in each way."""


@dataclass(frozen=True)
class Rows:
    """One row a view. x: features (n, F). face: which of `faces`. way: one of VIEWS'."""

    x: np.ndarray
    face: np.ndarray
    way: np.ndarray


@dataclass(frozen=True)
class Head:
    """A trained one. score = x @ weights + bias; chance = logistic(slope * score + offset).

    threshold: the chance from which on it is said, where it is as likely as not among as many who show it as
    do not (and as many of each set), so that both kinds of error weigh the same. held_out: AUC inside half A.
    """

    weights: np.ndarray
    bias: float
    strength: float
    slope: float
    offset: float
    threshold: float
    held_out: float

    def score(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ self.weights + self.bias)

    def chance(self, score: np.ndarray) -> np.ndarray:
        """By the curve's points, as it is used."""
        places, chances = zip(*self.points, strict=True)
        return np.interp(score, places, chances)

    @property
    def points(self) -> list[tuple[float, float]]:
        return [(round(float((np.log(p / (1 - p)) - self.offset) / self.slope), 2), p) for p in CHANCES]


class Student:
    """Sees faces as the service does."""

    def __init__(self, data: Path, kept: Path | None) -> None:
        self._looker = Looker(Vision.load(threads=1), {}, kept, lambda *_: None)
        self._net = FaceRes(zoo.card("faceres-deep"), 1)
        self._data = data
        self._kept = kept
        self._faces: dict[str, list[Seen]] = {}

    def faces(self, name: str) -> list[Seen]:
        """Those of a set, found once."""
        if name not in self._faces:
            self._faces[name] = self._looker.faces(name, READERS[name](self._data))
        return self._faces[name]

    def see(self, name: str, which: Sequence[int], way: str, times: int = 1) -> Rows:
        """The faces `which` of a set, `times` times each."""
        faces = self.faces(name)
        what = f"{name} {way} {times} {[(i, faces[i].photo.path.name) for i in which]}"
        name_kept = f"heads-{hashlib.sha256(what.encode()).hexdigest()[:16]}.npy"
        kept = self._kept / name_kept if self._kept else None
        if kept and kept.exists():
            x = np.load(kept)
        else:
            random = np.random.default_rng([SEED, *what.encode()[:40]])
            x = np.concatenate([self._view(faces[i], way, random) for _ in range(times) for i in which])
            if kept:
                np.save(kept, x)
        print(f"{name}: {len(x)} x {way}", file=sys.stderr)
        return Rows(x, np.tile(np.array(which, int), times), np.full(len(x), way))

    def _view(self, seen: Seen, way: str, random: np.random.Generator) -> np.ndarray:
        image, face, mesh = _decode(seen.photo.path), seen.face, seen.mesh
        if way != "plain":
            image, face, mesh = portrait(image, face, mesh)
        if way in PAINTERS:
            image = PAINTERS[way](image, mesh, random)
        if way.isdigit():
            image = shrunk(image, int(way))
        elif way != "plain":
            image, face, mesh = harder(image, face, mesh, random)
        return self._net.look(image, [face], [mesh])[:, heads.FEATURES]


def _decode(path: Path, known: dict[Path, Image] = {}) -> Image:  # noqa: B006 (one picture, many faces)
    if path not in known:
        known.clear()
        known[path] = decode(path.read_bytes())
    return known[path]


def labels(name: str, seen: Seen) -> dict[str, bool]:
    """What the sets say. CelebA's people, photographed before 2015, wear no masks; the painted do."""
    marks = seen.photo.marks
    if name == "facemask":
        return {"mask": marks["mask"]}
    named = {"eyeglasses": "Eyeglasses", "mustache": "Mustache", "hat": "Wearing_Hat"}
    return {
        **{head: marks[mark] for head, mark in named.items()},
        "beard": not marks["No_Beard"],
        "mask": False,
    }


def lesson(head: str, name: str, faces: Sequence[Seen], rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """(whether each row shows it, what it counts) of one set's rows; 0 where nobody knows."""
    truth = [labels(name, seen).get(head) for seen in faces]
    known = np.array([each is not None for each in truth])[rows.face]
    shown = np.array([bool(each) for each in truth])[rows.face]
    weight = known * np.where(np.isin(rows.way, list(PAINTERS)), PAINTED, 1.0)
    shown[rows.way == head] = True
    if head in {"beard", "mustache"}:  # under a mask nobody can tell, and it must not say so
        weight[(rows.way == "mask") & shown] = 0
    return shown, weight


def logistic(x: np.ndarray, shown: np.ndarray, weight: np.ndarray, strength: float) -> np.ndarray:
    """Weights and bias of a logistic regression held back by strength / 2 * |weights|^2 (Newton's steps)."""
    x = np.column_stack([x, np.ones(len(x))])
    held = np.append(np.full(x.shape[1] - 1, strength), 1e-6)
    found = np.zeros(x.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-(x @ found).clip(-30, 30)))
        slope = x.T @ (weight * (chance - shown)) + held * found
        curve = (x * (weight * chance * (1 - chance))[:, None]).T @ x + np.diag(held)
        step = np.linalg.solve(curve, slope)
        found -= step * min(1.0, 3 / np.abs(step).max())
        if np.abs(step).max() < 1e-6:
            break
    return found


def evened(shown: np.ndarray, weight: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Weights with half of the sum for those that show it, and in each half as much for every set."""
    result = np.zeros(len(weight))
    for side in (True, False):
        parts = [(shown == side) & (groups == group) & (weight > 0) for group in np.unique(groups)]
        parts = [part for part in parts if part.any()]
        for part in parts:
            result[part] = weight[part] / weight[part].sum() / (2 * len(parts))
    return result


class Basis:
    """Features centred, evened out and turned to their principal components, for speed."""

    def __init__(self, x: np.ndarray) -> None:
        self.mean = x.mean(0)
        spread = x.std(0)
        self.scale = spread + SPREAD * spread.mean()
        self.scale *= np.sqrt(x.shape[1] / 1024)
        z = (x - self.mean) / self.scale
        values, vectors = np.linalg.eigh(z.T @ z)
        self.turn = vectors[:, np.argsort(-values)[:COMPONENTS]]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray((x - self.mean) / self.scale @ self.turn)

    def unturned(self, found: np.ndarray) -> tuple[np.ndarray, float]:
        weights = self.turn @ found[:-1] / self.scale
        return weights, float(found[-1] - self.mean @ weights)


def train(
    basis: Basis, x: np.ndarray, shown: np.ndarray, weight: np.ndarray, parts: Mapping[str, np.ndarray]
) -> Head:
    """x: components of every row of half A. parts: fold, group (set) and plain, one entry a row each."""
    fold, group, plain = parts["fold"], parts["group"], parts["plain"] & (weight > 0)
    tested = (weight > 0) & parts["real"]
    tries = {}
    for strength in STRENGTHS:
        held_out = np.zeros(len(x))
        for number in range(FOLDS):
            learn = (fold != number) & (weight > 0)
            found = logistic(
                x[learn], shown[learn], evened(shown[learn], weight[learn], group[learn]), strength
            )
            held_out[fold == number] = x[fold == number] @ found[:-1] + found[-1]
        tries[strength] = metrics.auc(held_out[tested], shown[tested]), held_out
    # Of equals to the third decimal the stronger.
    strength = max(tries, key=lambda each: (round(tries[each][0], 3), each))
    area, scores = tries[strength]
    learn = weight > 0
    weights, bias = basis.unturned(
        logistic(x[learn], shown[learn], evened(shown[learn], weight[learn], group[learn]), strength)
    )
    slope, offset = logistic(scores[plain, None], shown[plain], np.ones(int(plain.sum())), 1e-3)
    even = logistic(
        scores[tested, None], shown[tested], evened(shown[tested], weight[tested], group[tested]), 1e-6
    )
    weights = np.round(weights, 5)  # so that the file does not hang on how a processor rounds
    head = Head(weights, round(bias, 4), strength, float(slope), float(offset), 0.5, area)
    return replace(head, threshold=round(float(head.chance(-even[1] / even[0])), 3))


def rounded_file(trained: Mapping[str, Head]) -> bytes:
    """The same bytes for the same numbers: numpy dates what it zips 1980."""
    file = io.BytesIO()
    rows = [trained[name] for name in heads.NAMES]
    np.savez(
        file,
        weights=np.array([each.weights for each in rows], np.float32),
        bias=np.array([each.bias for each in rows], np.float32),
    )
    return file.getvalue()


@dataclass(frozen=True)
class Told:
    """What one head says of faces whose label is known."""

    chance: np.ndarray
    shown: np.ndarray
    seen: Sequence[Seen]


def measured(told: Told, threshold: float) -> str:
    """AUC, balanced accuracy and calibration error with their intervals, people drawn again."""
    people = np.array([seen.photo.person for seen in told.seen])

    def balanced(rows: np.ndarray) -> float:
        return metrics.balanced_accuracy(told.chance[rows] >= threshold, told.shown[rows])

    def off(rows: np.ndarray) -> float:
        return metrics.calibration_error(told.chance[rows], told.shown[rows])

    area = metrics.auc(told.chance, told.shown)
    right = metrics.bootstrap(balanced, people)
    wrong = metrics.bootstrap(off, people, error=True)
    missed, false = (
        1 - (told.chance[told.shown] >= threshold).mean(),
        (told.chance[~told.shown] >= threshold).mean(),
    )
    return (
        f"n {len(people)} ({told.shown.sum()} shown), AUC {area:.3f},"
        f" balanced accuracy {right.value:.3f} [{right.low:.3f}, {right.high:.3f}], missed {missed:.3f},"
        f" false {false:.3f}, calibration error {wrong.value:.3f} [{wrong.low:.3f}, {wrong.high:.3f}]"
    )


def told(student: Student, head: str, trained: Head, name: str, rows: Rows) -> Told:
    shown, weight = lesson(head, name, student.faces(name), rows)
    use = weight > 0
    chance = trained.chance(trained.score(rows.x[use].astype(float)))
    return Told(chance, shown[use], [student.faces(name)[i] for i in rows.face[use]])


def part(whole: Told, wanted: Callable[[Seen], bool]) -> Told:
    use = np.array([wanted(seen) for seen in whole.seen])
    seen = [each for each, used in zip(whole.seen, use, strict=True) if used]
    return Told(whole.chance[use], whole.shown[use], seen)


GROUPS: Final[Mapping[str, Callable[[Seen], bool]]] = {
    "men": lambda seen: seen.photo.sex == "male",
    "women": lambda seen: seen.photo.sex == "female",
    "young": lambda seen: seen.photo.marks["Young"],
    "not young": lambda seen: not seen.photo.marks["Young"],
}


def report(student: Student, trained: Mapping[str, Head], half: Mapping[str, list[int]]) -> None:
    """Half B, as it is and made harder, and what the heads say of faces whose label nobody knows."""
    ways = ("plain", "harder")
    rows = {(name, way): student.see(name, half[name], way) for name in VIEWS for way in ways}
    for head, each in trained.items():
        print(f"\n## {head}: strength {each.strength}, AUC held out of half A {each.held_out:.3f}")
        print(f"points = {[list(point) for point in each.points]}")
        print(f"said from a chance of {each.threshold:.3f} on")
        name = "facemask" if head == "mask" else "celeba"
        for way in ways:
            whole = told(student, head, each, name, rows[name, way])
            print(f"{name} {way}: {measured(whole, each.threshold)}")
            print(f"{name} {way}, said from .5 on: {measured(whole, 0.5)}")
        for other in ("plain", "harder", "mask") if head == "mask" else ():
            seen = student.see("celeba", half["celeba"], other)
            print(f"celeba {other}: said of {(each.chance(each.score(seen.x)) >= each.threshold).mean():.3f}")
        whole = told(student, head, each, "celeba", rows["celeba", "plain"])
        for group, wanted in GROUPS.items():
            print(f"  {group}: {errors(part(whole, wanted), each.threshold)}")
    small(student, trained, half["celeba"])
    unlabelled(student, trained)


def small(student: Student, trained: Mapping[str, Head], half: Sequence[int]) -> None:
    """How small is too small: all that wear glasses or a moustache and every fourth other face, shrunk."""
    known = [labels("celeba", seen) for seen in student.faces("celeba")]
    few = [
        i for place, i in enumerate(half) if known[i]["eyeglasses"] or known[i]["mustache"] or place % 4 == 0
    ]
    print(f"\n## celeba, {len(few)} faces shrunk to a width in pixels: balanced accuracy")
    for width in WIDTHS:
        rows = student.see("celeba", few, str(width))
        for head in ("eyeglasses", "beard", "mustache", "hat"):
            whole = told(student, head, trained[head], "celeba", rows)
            right = metrics.balanced_accuracy(whole.chance >= trained[head].threshold, whole.shown)
            print(f"{width}: {head} {right:.3f}")


def errors(few: Told, threshold: float) -> str:
    said = few.chance >= threshold
    missed, false = int((~said & few.shown).sum()), int((said & ~few.shown).sum())
    return f"missed {missed} of {few.shown.sum()}, false {false} of {(~few.shown).sum()}"


def unlabelled(student: Student, trained: Mapping[str, Head]) -> None:
    """How often each head speaks, by race and sex, in sets that do not say who wears what."""
    for name in ("fairface", "utkface"):
        faces = student.faces(name)
        seen = student.see(name, range(len(faces)), "plain")
        print(f"\n## {name}: share said of, {', '.join(trained)}; n")
        groups = np.array([f"{each.photo.race} {each.photo.sex}" for each in faces])
        said = np.array([each.chance(each.score(seen.x)) >= each.threshold for each in trained.values()])
        for group in ("", *np.unique(groups)):
            use = groups == group if group else groups != group
            print(
                f"{group or 'all'}: {' '.join(f'{rate:.3f}' for rate in said[:, use].mean(1))}; {use.sum()}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    choice = parser.parse_args()
    student = Student(choice.data, choice.cache)
    halves = {
        side: {
            name: [i for i, seen in enumerate(student.faces(name)) if sets.half(seen.photo) == side]
            for name in VIEWS
        }
        for side in "AB"
    }
    trained = learned(student, halves["A"])
    file = rounded_file(trained)
    choice.out.write_bytes(file)
    print(f"{choice.out}: {len(file)} bytes, sha256 {hashlib.sha256(file).hexdigest()}")
    report(student, trained, halves["B"])


def learned(student: Student, half: Mapping[str, list[int]]) -> dict[str, Head]:
    """Every head, from half A's views."""
    views = [
        (name, student.see(name, half[name], way, times))
        for name, ways in VIEWS.items()
        for way, times in ways.items()
    ]
    x = np.concatenate([rows.x for _, rows in views]).astype(float)
    way = np.concatenate([rows.way for _, rows in views])
    group = np.concatenate([np.full(len(rows.way), name) for name, rows in views])
    files = [[seen.photo.path.name for seen in student.faces(name)] for name in VIEWS]
    folds = dict(zip(VIEWS, ([_fold(file) for file in each] for each in files), strict=True))
    parts = {
        "fold": np.concatenate([np.array(folds[name])[rows.face] for name, rows in views]),
        "group": group,
        "plain": way == "plain",
        "real": np.isin(way, ["plain", "harder"]),
    }
    basis = Basis(x)
    turned = basis(x)
    trained = {}
    for head in heads.NAMES:
        lessons = [lesson(head, name, student.faces(name), rows) for name, rows in views]
        shown, weight = (np.concatenate(each) for each in zip(*lessons, strict=True))
        trained[head] = train(basis, turned, shown, weight, parts)
        print(f"{head}: {trained[head].strength} {trained[head].held_out:.4f}", file=sys.stderr)
    return trained


def _fold(name: str) -> int:
    """Of a photo: all of a crowd's faces and all views of a face are in one."""
    return int(hashlib.sha256(f"fold {name}".encode()).hexdigest()[:8], 16) % FOLDS


if __name__ == "__main__":
    main()
