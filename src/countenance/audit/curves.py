"""Fits what the scores of attributes mean, on half A: the lines for vision/attributes.toml.

Needs scikit-learn, which nothing else here does: pip install 'countenance[bench]'.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.audit import metrics
from countenance.audit.attributes import TRUTHS, Sample
from countenance.errors import DataError
from countenance.types import Attribute
from countenance.vision import attributes
from countenance.vision.attributes import Reading

try:
    from scipy.optimize import minimize
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression
except ImportError as absent:
    raise DataError(
        "fitting needs scikit-learn, which Countenance does not install by itself:"
        " pip install 'countenance[bench]'"
    ) from absent

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Points = list[tuple[float, ...]]

MOST: Final = 12  # points of a curve
LIGHT: Final = 0.02  # of the faces: the least a point stands for
SURE: Final = (0.005, 0.995)  # the most that a few hundred faces can back
FOLDS: Final = 5
COVERED: Final = 0.83  # of half A: asked is .80 on faces that the range was not fitted on
WIDEST: Final = 21.5  # years on the mean: asked is 22
WINDOW: Final = 0.15  # of the faces, by weight, that a range is cut from
SHARES: Final = {"fer2013": 0.7, "ckplus": 0.3}  # faces from the web count for more than actors' of the set
CLEARLY: Final = 0.01  # of calibration error: by less, a dozen points are not better than two numbers
_SHARES: Final = (0.005, 0.02, 0.05, 0.12, 0.25, 0.4, 0.6, 0.75, 0.88, 0.95, 0.98, 0.995)


def toml(samples: Mapping[str, Sample], heads: Set[str]) -> str:
    """The curves of every attribute whose networks and faces are here, to paste into attributes.toml.

    heads: cards of weights that learned half A's own faces, on which they seem surer than they are: what
    is read off them is fitted by bench/heads.py, on faces that each fit has not seen.
    """
    halves = {name: sample.half("A") for name, sample in samples.items()}
    parts = []
    for reading in attributes.readings():
        known = [halves[name] for name in _sets(reading.attribute) if name in halves]
        known = [sample for sample in known if sample.signals.keys() >= set(reading.nets)]
        if not heads.isdisjoint(reading.nets):
            parts.append(f"# {reading.attribute}: by bench/heads.py")
        elif reading.nets and reading.attribute in attributes.SCORES and known:
            parts.append(f"# {reading.attribute}\n{_FITS.get(reading.attribute, _yes_or_no)(reading, known)}")
    return "\n".join(parts)


def _sets(attribute: Attribute) -> tuple[str, ...]:
    special = {Attribute.AGE_RANGE: ("utkface", "fairface"), Attribute.EMOTIONS: ("ckplus", "fer2013")}
    return special.get(attribute) or TRUTHS.get(attribute, (None, ()))[1]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores beside the truth. weights: what each face counts. fold: from 0, by person."""

    scores: Array
    truth: npt.NDArray[np.generic]
    weights: Array
    fold: npt.NDArray[np.int_]

    def part(self, keep: Mask) -> Scored:
        return Scored(self.scores[keep], self.truth[keep], self.weights[keep], self.fold[keep])


def scored(reading: Reading, sample: Sample, truth: Callable[[int], object]) -> Scored:
    """A set's faces that can be read and of which `truth`, by their place, is known; all together weigh 1."""
    every = np.asarray(attributes.SCORES[reading.attribute](sample.signals), float)
    places = [
        place
        for place, seen in enumerate(sample.faces)
        if truth(place) is not None and seen.face.box.width * seen.size[0] >= reading.smallest
    ]
    people = [sample.faces[place].photo.person for place in places]
    _, person = np.unique(people, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(person))[person] % FOLDS
    weights = np.full(len(places), 1 / max(1, len(places)))
    return Scored(every[places], np.array([truth(place) for place in places]), weights, fold)


def joined(parts: Sequence[Scored]) -> Scored:
    return Scored(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.fold for part in parts]),
    )


def _yes_or_no(reading: Reading, samples: Sequence[Sample]) -> str:
    holds = TRUTHS[reading.attribute][0]
    faces = joined(
        [
            scored(reading, each, lambda place, each=each: holds(each.faces[place].photo))  # type: ignore[misc]
            for each in samples
        ]
    )
    points, kind, errors = curve(faces)
    said = ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
    return f"# {kind}; calibration error inside half A, by {FOLDS} folds: {said}\n{_lines(points, 4)}"


def curve(faces: Scored) -> tuple[Points, str, dict[str, float]]:
    """(points, which fit won, the calibration error of each on folds it was not fitted on).

    Platt's two numbers carry over to other sets better than a dozen points: steps have to be clearly right.
    """
    truth = faces.truth.astype(bool)
    errors = {name: metrics.calibration_error(apart(faces, fit), truth) for name, fit in _CURVES.items()}
    best = "isotonic" if errors["isotonic"] < errors["platt"] - CLEARLY else "platt"
    return _CURVES[best](faces), best, errors


def apart(faces: Scored, fit: Callable[[Scored], Points]) -> Array:
    """What each score means by a curve fitted on other people."""
    chances = np.zeros(len(faces.truth))
    for fold in range(FOLDS):
        out = faces.fold == fold
        chances[out] = read(fit(faces.part(~out)), faces.scores[out])
    return chances


def read(points: Points, scores: Array) -> Array:
    """What scores mean by a curve, as attributes.py reads it."""
    places, chances = (np.array(column) for column in zip(*points, strict=True))
    return np.asarray(np.interp(scores, places, chances))


def platt(faces: Scored) -> Points:
    """A logistic curve (Platt 1999), by the points where it reaches some shares."""
    middle, spread = faces.scores.mean(), max(float(faces.scores.std()), 1e-9)
    model = LogisticRegression(C=1e4)
    model.fit((faces.scores[:, None] - middle) / spread, faces.truth, faces.weights * len(faces.weights))
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        raise DataError("a score falls where it should rise: the reading is wrong, and nothing was fitted")
    shares = np.array(_SHARES)
    places = middle + spread * (np.log(shares / (1 - shares)) - shift) / slope
    return list(zip(places.tolist(), shares.tolist(), strict=True))


def isotonic(faces: Scored) -> Points:
    """The best rising steps (Zadrozny and Elkan 2002), their middles joined, simplified to a dozen points."""
    model = IsotonicRegression(out_of_bounds="clip")
    level = model.fit_transform(faces.scores, faces.truth.astype(float), sample_weight=faces.weights)
    steps = []
    for height in np.unique(level):
        inside = level == height
        weight = faces.weights[inside]
        steps.append(
            (float(np.average(faces.scores[inside], weights=weight)), float(height), float(weight.sum()))
        )
    light = LIGHT * float(faces.weights.sum())
    while len(steps) > 2 and (len(steps) > MOST or min(step[2] for step in steps) < light):
        costs = [_cost(one, other, light) for one, other in itertools.pairwise(steps)]
        place = int(np.argmin(costs))
        steps[place : place + 2] = [_merged(*steps[place : place + 2])]
    return [(score, float(np.clip(chance, *SURE))) for score, chance, _ in steps]


Step = tuple[float, float, float]  # score, chance, weight


def _cost(one: Step, other: Step, light: float) -> float:
    """What joining two steps loses in squares; less than nothing where one is too light to be believed."""
    loss = (other[1] - one[1]) ** 2 * one[2] * other[2] / (one[2] + other[2])
    return loss - 1 if min(one[2], other[2]) < light else loss


def _merged(one: Step, other: Step) -> Step:
    weight = one[2] + other[2]
    return (
        (one[0] * one[2] + other[0] * other[2]) / weight,
        (one[1] * one[2] + other[1] * other[2]) / weight,
        weight,
    )


_CURVES: Final[Mapping[str, Callable[[Scored], Points]]] = {"platt": platt, "isotonic": isotonic}


def _age(reading: Reading, samples: Sequence[Sample]) -> str:
    parts = [
        scored(reading, each, lambda place, each=each: each.faces[place].photo.age)  # type: ignore[misc]
        for each in samples
    ]
    points, held, width = ages(parts)
    said = ", ".join(f"{each.name} {share:.2f}" for each, share in zip(samples, held, strict=True))
    words = f"# holds the age inside half A, by {FOLDS} folds: {said}; {width:.1f} years wide"
    return f"{words}\n{_lines(points, 1)}"


def ages(parts: Sequence[Scored]) -> tuple[Points, list[float], float]:
    """(per score the years that hold the true age, how often they do in each set, their mean width).

    Around each of a dozen scores the ages of the nearest faces are cut at both tails, every set weighing the
    same; of the ways to share the tails the one with the narrowest ranges is taken. Then all ranges are
    stretched until COVERED of the ages lie inside in every set, over folds that the ranges were not made on
    (conformal prediction, Vovk et al. 2005), or until they are WIDEST.
    """
    faces = joined(parts)
    under = min((0.3, 0.4, 0.5, 0.6, 0.7), key=lambda share: _width(_ranges(faces, share, 1.0), faces))
    rests = [joined([part.part(part.fold != fold) for part in parts]) for fold in range(FOLDS)]
    held, width = [0.0], 0.0
    for stretch in np.arange(0.8, 2.5, 0.02).tolist():
        points = [_ranges(rest, under, stretch) for rest in rests]
        now = [
            sum(_held(points[fold], part.part(part.fold == fold)) for fold in range(FOLDS)) / len(part.truth)
            for part in parts
        ]
        wider = _width(_ranges(faces, under, stretch), faces)
        if width and wider > WIDEST:
            break
        held, width, chosen = now, wider, stretch
        if min(held) >= COVERED:
            break
    return _ranges(faces, under, chosen), held, width


def _told(points: Points, scores: Array) -> tuple[Array, Array]:
    """(low, high) of each score, in whole years, as attributes.py tells them."""
    places, low, high = (np.array(column) for column in zip(*points, strict=True))
    return np.round(np.interp(scores, places, low)), np.round(np.interp(scores, places, high))


def _held(points: Points, faces: Scored) -> int:
    low, high = _told(points, faces.scores)
    true = faces.truth.astype(float)
    return int(((low <= true) & (true <= high)).sum())


def _width(points: Points, faces: Scored) -> float:
    low, high = _told(points, faces.scores)
    return float(np.average(high - low, weights=faces.weights))


def _ranges(faces: Scored, under: float, stretch: float) -> Points:
    """(score, low, high) at a dozen scores. under: the lower tail's part of what is left out."""
    order = np.argsort(faces.scores, kind="stable")
    scores, true, weights = faces.scores[order], faces.truth[order].astype(float), faces.weights[order]
    rows = []
    for centre in np.linspace(scores[5], scores[-6], MOST).tolist():
        near = np.argsort(np.abs(scores - centre), kind="stable")
        enough = int(np.searchsorted(np.cumsum(weights[near]), weights.sum() * WINDOW))
        near = near[: max(20, enough)]
        moved = true[near] + (centre - scores[near])  # ages follow scores one to one inside a window
        shares = np.array([under * (1 - COVERED), 0.5, 1 - (1 - under) * (1 - COVERED)])
        low, middle, high = np.quantile(moved, shares, weights=weights[near], method="inverted_cdf")
        rows.append((centre, middle - stretch * (middle - low), middle + stretch * (high - middle)))
    ends = [_smooth(np.array([row[side] for row in rows])) for side in (1, 2)]
    return [
        (float(row[0]), max(0.0, float(low)), max(float(low) + 1, float(high)))
        for row, low, high in zip(rows, *ends, strict=True)
    ]


def _smooth(ends: Array) -> Array:
    """Averaged with its neighbours, then never falling."""
    padded = np.pad(ends, 1, mode="edge")
    padded[[0, -1]] = 2 * ends[[0, -1]] - ends[[1, -2]]
    averaged = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray(IsotonicRegression().fit_transform(np.arange(len(ends)), averaged))


def _emotions(reading: Reading, samples: Sequence[Sample]) -> str:
    def known(sample: Sample) -> Callable[[int], object]:
        return lambda place: kind if (kind := sample.faces[place].photo.expression) in reading.kinds else None

    parts = [_by_kind(scored(reading, each, known(each)), SHARES[each.name]) for each in samples]
    bias, sharpness = softmax(parts, reading.kinds)
    return f"bias = [{', '.join(f'{value:.3f}' for value in bias)}]\nsharpness = {sharpness:.3f}"


def _by_kind(faces: Scored, share: float) -> Scored:
    """Each kind of the set weighs the same, all together `share`."""
    _, kind, count = np.unique(faces.truth, return_inverse=True, return_counts=True)
    return replace(faces, weights=share / (count[kind] * len(count)))


def softmax(parts: Sequence[Scored], kinds: Sequence[str]) -> tuple[Array, float]:
    """The bias of each kind and the sharpness under which the truth is likeliest.

    A set's truth is one of the kinds it has: that CK+ shows no neutral face must not make CALM rare.
    """
    faces = joined(parts)
    place = np.array([kinds.index(str(kind)) for kind in faces.truth])
    one = np.eye(len(kinds))[place]
    weights = faces.weights / faces.weights.sum()
    there = np.concatenate([np.tile(np.isin(kinds, part.truth), (len(part.truth), 1)) for part in parts])

    def loss(values: Array) -> tuple[float, Array]:
        logits = np.where(there, values[0] * faces.scores + values[1:], -np.inf)
        logits = logits - logits.max(1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        slope = weights[:, None] * (np.exp(logs) - one)
        likely = -float((weights * logs[np.arange(len(place)), place]).sum())
        return likely, np.array([(slope * faces.scores).sum(), *slope.sum(0)])

    found = minimize(loss, np.array([1.0, *np.zeros(len(kinds))]), jac=True, method="BFGS")
    sharpness = float(found.x[0])
    bias = found.x[1:] / sharpness
    return np.asarray(bias - bias.mean()), sharpness


_FITS: Final[Mapping[Attribute, Callable[[Reading, Sequence[Sample]], str]]] = {
    Attribute.AGE_RANGE: _age,
    Attribute.EMOTIONS: _emotions,
}


def _lines(points: Points, places: int) -> str:
    rows = "\n".join(f"    [{', '.join(f'{number:.{places}f}' for number in row)}]," for row in points)
    return f"points = [\n{rows}\n]"
