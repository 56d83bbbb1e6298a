"""The arithmetic of the measure, against values known from elsewhere and against its own definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.audit import metrics

cosines = st.floats(-1, 1, allow_nan=False, width=32)


def test_wilson_known_value() -> None:
    # audit literature's own example: 5 of 100 is 2.15 % to 11.18 % (Wilson 1927, as in Newcombe 1998)
    rate = metrics.wilson(5, 100)
    assert (rate.low, rate.high) == pytest.approx((0.02154, 0.11175), abs=1e-4)


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_holds_the_rate(events: int, more: int) -> None:
    rate = metrics.wilson(events, events + more)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 2.7764), (9, 2.2622), (30, 2.0423), (1000, 1.9623)])
def test_student_known_values(freedom: int, quantile: float) -> None:
    assert metrics.student(freedom) == pytest.approx(quantile, rel=0.005)


def test_clustered_is_wider_than_wilson_where_people_differ() -> None:
    people = np.repeat(np.arange(50), 40)
    hits = np.isin(people, [1, 2, 3])  # three people give every error
    bunched, naive = metrics.clustered(hits, people), metrics.wilson(int(hits.sum()), len(hits))
    assert bunched.low < naive.low
    assert bunched.high > naive.high


def test_no_error_is_bounded_by_people_not_pairs() -> None:
    people = np.repeat(np.arange(60), 100)
    assert metrics.clustered(np.zeros(6000, bool), people).high == pytest.approx(3 / 60)


def test_dyadic_covers_the_truth_where_wilson_does_not() -> None:
    """Wolves and lambs: people differ in how often they are confused (lognormal .7); 100 draws."""
    first, second = np.triu_indices(120, 1)
    covered = {"dyadic": 0, "naive": 0}
    truth = 0.01 * np.exp(0.49)
    for seed in range(100):
        random = np.random.default_rng(seed)
        wolf = np.exp(random.normal(0, 0.7, 120))
        hits = random.random(len(first)) < np.minimum(0.01 * wolf[first] * wolf[second], 1)
        dyadic = metrics.dyadic(first, second, hits, 120)
        naive = metrics.wilson(int(hits.sum()), len(hits))
        covered["dyadic"] += dyadic.low <= truth <= dyadic.high
        covered["naive"] += naive.low <= truth <= naive.high
    assert covered["dyadic"] >= 85
    assert covered["naive"] < 75


@given(st.lists(cosines, min_size=1, max_size=300), st.floats(0, 1))
def test_threshold_never_accepts_more_than_the_rate(values: list[float], rate: float) -> None:
    impostors = np.array(values)
    threshold = metrics.threshold_at(impostors, rate)
    assert (impostors >= threshold).sum() <= rate * len(impostors)


@given(st.lists(st.tuples(cosines, st.booleans()), min_size=2, max_size=60))
def test_best_threshold_is_best(trials: list[tuple[float, bool]]) -> None:
    scores, same = (np.array(column) for column in zip(*trials, strict=True))
    chosen = ((scores >= metrics.best_threshold(scores, same)) == same).mean()
    every = [((scores >= cut) == same).mean() for cut in [*scores, np.inf]]
    assert chosen == pytest.approx(max(every))


def test_folds_choose_the_threshold_elsewhere() -> None:
    scores = np.array([0.1, 0.9, 0.1, 0.9, 0.6, 0.65])
    same = np.array([False, True, False, True, False, True])
    results = metrics.folds(scores, same, np.array([0, 0, 1, 1, 2, 2]))
    # Folds 0 and 1 put the cut at .5, so the third accepts both of its pairs.
    assert results[2] == (0.5, 0.5)


def test_ranks_and_the_rates_made_of_them() -> None:
    gallery = np.eye(3, dtype=np.float32)
    probes = np.array([[0.9, 0.1, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.4]], np.float32)
    who, enrolled = np.array(["a", "b", "c", "c"]), np.array(["a", "b", "c"])
    assert metrics.ranks(probes, gallery, who, enrolled) == [1, 2, None, 1]
    assert metrics.ranks(probes, gallery, who, enrolled, threshold=0.5) == [1, 2, None, None]
    assert metrics.cmc([1, 2, None, 1], 3) == [0.5, 0.75, 0.75]
    assert metrics.fnir([1, 2, None, 1], 1) == 0.5
    assert metrics.fpir(np.array([0.2, 0.5, 0.7]), 0.5) == pytest.approx(2 / 3)


@given(st.lists(st.one_of(st.none(), st.integers(1, 9)), min_size=1, max_size=40))
def test_cmc_rises(ranks: list[int | None]) -> None:
    curve = metrics.cmc(ranks, 9)
    assert curve == sorted(curve)
    assert curve[-1] == pytest.approx(sum(rank is not None for rank in ranks) / len(ranks))


def test_assign_gives_each_face_once() -> None:
    truth = [(0.0, 0.0, 1.0, 1.0), (2.0, 0.0, 3.0, 1.0)]
    found = [(0.0, 0.0, 1.0, 1.1), (0.0, 0.0, 1.0, 0.9), (5.0, 5.0, 6.0, 6.0)]
    assert metrics.assign(found, truth, 0.4) == [0, None, None]


corners = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.floats(0.01, 1))


@given(corners, corners)
def test_overlap_is_symmetric_and_a_share(one: metrics.Edges, other: metrics.Edges) -> None:
    one, other = ((x, y, x + width, y + height) for x, y, width, height in (one, other))
    assert metrics.overlap(one, other) == pytest.approx(metrics.overlap(other, one))
    assert 0 <= metrics.overlap(one, other) <= 1 + 1e-9
    assert metrics.overlap(one, one) == pytest.approx(1)


def test_tail_finds_the_slope_of_an_exponential() -> None:
    scores = np.random.default_rng(0).exponential(0.05, 400_000)
    slope, intercept = metrics.tail(scores, 1e-1, 1e-4)
    assert slope == pytest.approx(-1 / (0.05 * np.log(10)), rel=0.02)
    assert intercept == pytest.approx(0, abs=0.05)


def test_auc_by_hand() -> None:
    # Of four pairs three are in order and one is a tie: 3.5 of 4.
    scores, truth = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, False, True, True])
    assert metrics.auc(scores, truth) == pytest.approx(3.5 / 4)
    assert np.isnan(metrics.auc(scores, np.ones(4, bool)))


labelled = st.lists(st.tuples(st.integers(-9, 9), st.booleans()), min_size=2, max_size=60).filter(
    lambda trials: len({shown for _, shown in trials}) == 2
)


@given(labelled)
def test_auc_is_of_ranks(trials: list[tuple[int, bool]]) -> None:
    values, truth = (np.array(column) for column in zip(*trials, strict=True))
    scores = values.astype(float)
    area = metrics.auc(scores, truth)
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth] for b in scores[~truth]]
    assert area == pytest.approx(np.mean(pairs))
    assert metrics.auc(np.exp(scores), truth) == pytest.approx(area)
    assert metrics.auc(-scores, truth) == pytest.approx(1 - area)


def test_balanced_accuracy_by_hand() -> None:
    truth, told = np.array(list("aaaabb")), np.array(list("aaabba"))
    assert metrics.recalls(told, truth) == [0.75, 0.5]
    assert metrics.balanced_accuracy(told, truth) == pytest.approx(0.625)
    assert metrics.balanced_accuracy(np.array(["a"] * 6), truth) == 0.5  # saying one thing earns nothing


def test_brier_by_hand() -> None:
    assert metrics.brier(np.array([1.0, 0.5]), np.array([True, False])) == pytest.approx(0.125)


def _faces(count: int, off: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(told probabilities, truth) where what is told is `off` too much."""
    random = np.random.default_rng(seed)
    chances = random.uniform(0, 0.8, count)
    return chances + off, random.random(count) < chances


@pytest.mark.parametrize(("off", "bound"), [(0.0, 0.02), (0.1, 0.006), (0.2, 0.006)])
def test_calibration_error_is_the_known_one(off: float, bound: float) -> None:
    errors = [metrics.calibration_error(*_faces(1000, off, seed)) for seed in range(30)]
    assert np.mean(errors) == pytest.approx(off, abs=bound)


def test_calibration_error_takes_off_what_chance_adds() -> None:
    """Without it 300 right probabilities in 6 bins would seem .05 wrong."""
    chances, truth = np.full(300, 0.5), np.random.default_rng(1).random(300) < 0.5
    plain = abs(truth.mean() - 0.5)
    assert metrics.calibration_error(chances, truth) < plain  # one bin: equal probabilities share it


@given(labelled)
def test_calibration_error_is_a_share(trials: list[tuple[int, bool]]) -> None:
    values, truth = (np.array(column) for column in zip(*trials, strict=True))
    chances = (values + 9) / 18
    error = metrics.calibration_error(chances, truth)
    assert 0 <= error <= 1
    order = np.random.default_rng(0).permutation(len(truth))
    assert metrics.calibration_error(chances[order], truth[order]) == pytest.approx(error)


def test_interval_of_calibration_error_holds_the_truth() -> None:
    held = {0.0: 0, 0.1: 0}
    for off in held:
        for seed in range(10):
            chances, truth = _faces(300, off, seed)
            interval = metrics.bootstrap(
                lambda which, chances=chances, truth=truth: metrics.calibration_error(  # type: ignore[misc]
                    chances[which], truth[which]
                ),
                np.arange(300),
                error=True,
            )
            held[off] += interval.low <= off <= interval.high
    assert min(held.values()) >= 8


def test_bootstrap_draws_people_not_photos() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=20), 30)
    by_person = metrics.bootstrap(lambda which: float(values[which].mean()), np.repeat(np.arange(20), 30))
    by_photo = metrics.bootstrap(lambda which: float(values[which].mean()), np.arange(600))
    assert by_person.value == by_photo.value
    assert by_person.high - by_person.low > 3 * (by_photo.high - by_photo.low)


def test_bootstrap_of_nobody_is_not_a_number() -> None:
    assert np.isnan(metrics.bootstrap(lambda which: 1.0, np.array([])).value)
