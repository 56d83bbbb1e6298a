"""The arithmetic of the measure: rates of error, their intervals, thresholds, ranks. Pure numpy.

A score is a cosine; a comparison counts as accepted at `score >= threshold`. Genuine: two photos of one
person. Impostor: photos of two. FMR false match rate, FNMR false non-match rate, TAR = 1 - FNMR,
FPIR / FNIR their kin in a search (ISO/IEC 19795-1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating]
Indices = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]

NORMAL: Final = NormalDist()
ENOUGH: Final = 30  # errors that put the true rate within 30 % of the measured one (the rule of 30)


@dataclass(frozen=True, slots=True)
class Rate:
    """events in trials, with a 95 % interval [low, high] for the rate behind them."""

    events: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.events / self.trials if self.trials else math.nan


def wilson(events: int, trials: int) -> Rate:
    """For trials that are independent, one a person (Wilson 1927)."""
    if not trials:
        return Rate(0, 0, 0.0, 1.0)
    z = NORMAL.inv_cdf(0.975)
    share, widen = events / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / widen
    half = z / widen * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if events == 0 else max(0.0, middle - half)
    high = 1.0 if events == trials else min(1.0, middle + half)
    return Rate(events, trials, low, high)


def clustered(hits: Mask, people: npt.NDArray[np.generic]) -> Rate:
    """For trials that come in bunches, several a person: logit, robust variance, Student's t.

    hits, people: one entry a trial. In simulation it covers 93 to 96 % where Wilson's covers 67 %.
    """
    _, person = np.unique(people, return_inverse=True)
    events, trials, count = int(hits.sum()), len(hits), int(person.max(initial=-1)) + 1
    if events in {0, trials} or count < 3:
        return _few(events, trials, count)
    share = events / trials
    per_person = np.bincount(person, weights=hits - share)
    variance = float((per_person**2).sum()) * count / (count - 1) / trials**2
    return _logit(events, trials, variance, count)


def dyadic(first: Indices, second: Indices, hits: Mask, people: int) -> Rate:
    """For pairs that share people: every pair moves with all others of its two members.

    first, second: who is in each trial, as numbers from 0. hits: whether it was accepted. people: how many
    there are. Logit with the dyadic-robust variance (Fafchamps and Gubert 2007; Aronow et al. 2015), which in
    simulation covers 90 to 96 % where Wilson's covers 84.
    """
    events, trials = int(hits.sum()), len(hits)
    trials_of = np.bincount(first, minlength=people) + np.bincount(second, minlength=people)
    one, other = first[hits], second[hits]
    events_of = np.bincount(one, minlength=people) + np.bincount(other, minlength=people)
    pairs = np.unique(np.stack([np.minimum(one, other), np.maximum(one, other)]), axis=1, return_counts=True)
    return from_counts(events, trials, events_of, trials_of, pairs[1])


def from_counts(events: int, trials: int, events_of: Indices, trials_of: Indices, repeats: Indices) -> Rate:
    """dyadic() from its sums: events and trials in all and of each person, events of each pair of people."""
    present = int((trials_of > 0).sum())
    if events in {0, trials} or present < 3:
        return _few(events, trials, present)
    share = events / trials
    of_person = float(((events_of - share * trials_of) ** 2).sum())
    # A pair's own square was counted once for each of its two members; one without an event adds share**2.
    of_pair = float((repeats.astype(float) ** 2).sum()) - 2 * share * events + share**2 * trials
    variance = max(of_person - of_pair, float(events)) / trials**2
    return _logit(events, trials, variance, present)


def _few(events: int, trials: int, people: int) -> Rate:
    """No error, or nothing but: the rule of three, over people and not over trials."""
    bound = min(1.0, 3 / people) if people else 1.0
    if people < 3 or not trials:
        return Rate(events, trials, 0.0, 1.0)
    return Rate(events, trials, 0.0, bound) if events == 0 else Rate(events, trials, 1 - bound, 1.0)


def _logit(events: int, trials: int, variance: float, people: int) -> Rate:
    share = events / trials
    spread = math.sqrt(variance) / (share * (1 - share)) * student(people - 1)
    middle = math.log(share / (1 - share))
    return Rate(events, trials, 1 / (1 + math.exp(spread - middle)), 1 / (1 + math.exp(-spread - middle)))


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t. Cornish-Fisher (Abramowitz and Stegun 26.7.5): to 1 % from 3 on."""
    z: float = NORMAL.inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def threshold_at(impostors: Scores, rate: float) -> float:
    """The smallest threshold that accepts at most `rate` of the impostor scores; ties stay out."""
    allowed = math.floor(rate * len(impostors))
    if allowed >= len(impostors):
        return float(impostors.min())
    kept_out = float(np.partition(impostors, len(impostors) - 1 - allowed)[len(impostors) - 1 - allowed])
    return math.nextafter(kept_out, math.inf)


def best_threshold(scores: Scores, same: Mask) -> float:
    """The threshold of highest accuracy, midway between the scores around it; the middle one of equals."""
    order = np.argsort(scores, kind="stable")
    ranked, genuine = scores[order].astype(float), same[order]
    # Right answers where the first k are refused: their impostors, and the genuine of the rest.
    right = np.concatenate([[0], np.cumsum(~genuine)]) + genuine.sum()
    right[1:] -= np.cumsum(genuine)
    cuts = np.concatenate([[ranked[0] - 1], (ranked[1:] + ranked[:-1]) / 2, [ranked[-1] + 1]])
    possible = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    best = np.flatnonzero(possible & (right == right[possible].max()))
    return float(cuts[best[len(best) // 2]])


def folds(scores: Scores, same: Mask, fold: Indices) -> list[tuple[float, float]]:
    """(threshold, accuracy) of each fold, the threshold chosen on the others."""
    results = []
    for held in np.unique(fold):
        out = fold == held
        threshold = best_threshold(scores[~out], same[~out])
        results.append((threshold, float(((scores[out] >= threshold) == same[out]).mean())))
    return results


def cmc(ranks: Sequence[int | None], longest: int) -> list[float]:
    """The share of searches whose person is among the first 1, 2 ... `longest`. None: not in the list."""
    found = np.array([longest + 1 if rank is None else rank for rank in ranks])
    return [float((found <= rank).mean()) for rank in range(1, longest + 1)]


def ranks(probes: Scores, gallery: Scores, who: npt.NDArray[np.generic], enrolled: npt.NDArray[np.generic],
          threshold: float = -1.0) -> list[int | None]:  # fmt: skip
    """Where each probe's own person stands in its list, from 1. None: not enrolled, or under the threshold.

    probes (n, D), gallery (m, D): unit length; a probe of zeros (no face found) finds nobody.
    """
    scores = probes @ gallery.T
    result: list[int | None] = []
    for row, person, probe in zip(scores, who, probes, strict=True):
        mine = row[enrolled == person]
        if not len(mine) or not probe.any() or mine.max() < threshold:
            result.append(None)
        else:
            result.append(1 + int((row[enrolled != person] > mine.max()).sum()))
    return result


def fpir(best: Scores, threshold: float) -> float:
    """Searches of people not enrolled that return anybody. best: each search's highest score."""
    return float((best >= threshold).mean())


def fnir(ranks_at_threshold: Sequence[int | None], longest: int = 1) -> float:
    """Searches of enrolled people that miss them among the first `longest`."""
    return 1 - cmc(ranks_at_threshold, longest)[-1]


Edges = tuple[float, float, float, float]


def assign(found: Sequence[Edges], truth: Sequence[Edges], least: float) -> list[int | None]:
    """For each found rectangle, best first, the true one it shares most with and nobody before took.

    Edges: left, top, right, bottom. least: intersection over union.
    """
    free = dict(enumerate(truth))
    taken: list[int | None] = []
    for one in found:
        shared = {number: overlap(one, other) for number, other in free.items()}
        best = max(shared, key=shared.__getitem__, default=None)
        if best is not None and shared[best] >= least:
            del free[best]
            taken.append(best)
        else:
            taken.append(None)
    return taken


def overlap(one: Edges, other: Edges) -> float:
    """Intersection over union of two rectangles."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((edges[2] - edges[0]) * (edges[3] - edges[1]) for edges in (one, other))
    return width * height / (areas - width * height)


def tail(impostors: Scores, high: float, low: float) -> tuple[float, float]:
    """(slope, intercept) of log10 FMR against cosine where the FMR lies between `high` and `low`.

    Maximum likelihood of an exponential tail: beyond the threshold of `high`, scores up to that of `low`
    are an exponential cut at both ends, so that the few worst pairs, where wrong labels live, weigh nothing.
    """
    start, end = threshold_at(impostors, high), threshold_at(impostors, low)
    inside = impostors[(impostors >= start) & (impostors < end)] - start
    width, mean = end - start, float(inside.mean())
    steep, flat = 1e4, 1e-6
    for _ in range(200):  # bisection: the mean falls as the rate rises
        rate = math.sqrt(steep * flat)
        here = 1 / rate - width / math.expm1(min(700.0, rate * width))
        steep, flat = (rate, flat) if here < mean else (steep, rate)
    slope = -math.sqrt(steep * flat) / math.log(10)
    return slope, math.log10(high) - slope * start


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval [low, high]."""

    value: float
    low: float
    high: float


def auc(scores: Scores, truth: Mask) -> float:
    """How often a face that shows it scores above one that does not; ties count half (Mann and Whitney)."""
    if truth.all() or not truth.any():
        return math.nan
    values, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # the middle of a tie's ranks
    shown = int(truth.sum())
    return float(
        (rank[place][truth].sum() - shown * (shown + 1) / 2) / (shown * (len(values[place]) - shown))
    )


def recalls(told: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> list[float]:
    """Of each kind that `truth` holds, in order, the share told right."""
    return [float((told[truth == kind] == kind).mean()) for kind in np.unique(truth)]


def balanced_accuracy(told: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> float:
    """The mean of the shares told right of each kind."""
    return float(np.mean(recalls(told, truth)))


def brier(chances: Scores, truth: Mask) -> float:
    """Mean squared distance of probabilities from what was so: 0 best, .25 a coin's."""
    return float(((chances - truth) ** 2).mean())


BINS: Final = 10
IN_BIN: Final = 50  # fewer bins where they would hold fewer


def calibration_error(chances: Scores, truth: Mask) -> float:
    """How far probabilities lie from how often it was so, over bins of equal mass; without what chance adds.

    Ten bins, fewer where they would hold under fifty; equal probabilities share one. A bin of finite size
    seems wrong even where every probability is right, so as much is taken off as the normal error of the
    bins' shares adds to what was measured (Kumar, Liang and Ma 2019). At least 0; a little high for few.
    """
    bins = max(2, min(BINS, len(truth) // IN_BIN))
    order = np.argsort(chances, kind="stable")
    ranked, right = chances[order], truth[order].astype(float)
    cuts = np.unique(np.searchsorted(ranked, ranked[np.arange(1, bins) * len(ranked) // bins]))
    starts = np.array([0, *(cut for cut in cuts if cut > 0)])
    sizes = np.diff([*starts, len(ranked)])
    share = np.add.reduceat(right, starts) / sizes
    gaps = np.abs(share - np.add.reduceat(ranked, starts) / sizes)
    errors = np.sqrt(share * (1 - share) / sizes)
    expected = [_folded(gap, error) for gap, error in zip(gaps.tolist(), errors.tolist(), strict=True)]
    return max(0.0, float(((2 * gaps - expected) * sizes).sum() / len(ranked)))


def _folded(mean: float, spread: float) -> float:
    """The mean of a normal variable's absolute value (Leone, Nelson and Nottingham 1961)."""
    if spread == 0:
        return mean
    ratio = mean / spread
    return 2 * spread * NORMAL.pdf(ratio) + mean * math.erf(ratio / math.sqrt(2))


RESAMPLES: Final = 500


def bootstrap(
    figure: Callable[[Indices], float],
    people: npt.NDArray[np.generic],
    *,
    error: bool = False,
    seed: int = 0,
) -> Estimate:
    """A figure with the interval of drawing people again, each with all their trials (Efron).

    figure: of the trials at the places it is handed. people: one entry a trial. error: of a figure that every
    draw makes larger, the draws mirrored about the figure are the interval's lower end, and at least 0.
    """
    if not len(people):
        return Estimate(math.nan, math.nan, math.nan)
    random = np.random.default_rng(seed)
    _, person = np.unique(people, return_inverse=True)
    order, sizes = np.argsort(person, kind="stable"), np.bincount(person)
    trials = np.split(order, np.cumsum(sizes)[:-1])
    value = figure(np.arange(len(people)))
    drawn = [
        figure(np.concatenate([trials[who] for who in random.integers(0, len(trials), len(trials))]))
        for _ in range(RESAMPLES)
    ]
    low, high = (float(end) for end in np.nanpercentile(drawn, (2.5, 97.5)))
    return Estimate(value, max(0.0, min(low, 2 * value - high)) if error else low, high)
