"""What a threshold comes to in a collection: the formulas of ISO/IEC 19795-1, and the worked cases."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from countenance.vision import zoo
from countenance.vision.calibration import RAREST, Calibration, fmr, percent
from countenance.vision.expectation import expectation, fpir, keeping, likelier, odds, posterior, rate_for

CARD = zoo.card("sface-2021dec")
CURVES = CARD.calibrations
STRAIGHT = Calibration("adults", ((0.1, -1.0), (0.4, -4.0)), -4.5, "a test", (1e-5, 1e-4))

rates = st.floats(-7, -0.1).map(lambda log: 10**log)
sizes = st.integers(1, 10**7)
targets = st.floats(1e-6, 0.99)


@given(rates, sizes)
def test_fpir_lies_between_one_comparison_and_the_sum_of_all(rate: float, faces: int) -> None:
    assert rate * (1 - 1e-9) <= fpir(rate, faces) <= min(1, faces * rate * (1 + 1e-9))


@given(rates, sizes, sizes)
def test_more_faces_are_more_false_alarms(rate: float, few: int, more: int) -> None:
    assert fpir(rate, few) <= fpir(rate, few + more)


@given(st.floats(0.001, 0.9), st.integers(1, 60))
def test_fpir_is_the_chance_that_not_every_comparison_is_right(rate: float, faces: int) -> None:
    assert fpir(rate, faces) == pytest.approx(1 - math.prod([1 - rate] * faces))


def test_the_ends_of_fpir() -> None:
    assert fpir(0.5, 0) == fpir(1.0, 0) == 0
    assert fpir(1.0, 1) == 1


@given(targets, sizes)
def test_the_rate_for_a_target_has_it(target: float, faces: int) -> None:
    assert fpir(rate_for(target, faces), faces) == pytest.approx(target)


@given(targets, sizes)
def test_a_threshold_keeps_its_promise_and_is_the_least_that_does(target: float, faces: int) -> None:
    least = keeping(target, faces)
    if least is None:
        assert fpir(RAREST, faces) > target * (1 - 1e-9)
    else:
        assert fpir(fmr(least), faces) <= target * (1 + 1e-9)
        assert fpir(fmr(least - 0.0002), faces) > target


@given(targets, sizes, sizes)
def test_a_larger_collection_asks_for_no_lower_threshold(target: float, few: int, more: int) -> None:
    small, large = keeping(target, few), keeping(target, few + more)
    assume(large is not None)
    assert small is not None
    assert large is not None
    assert small <= large


@given(rates)
def test_a_percent_stands_for_its_rate(rate: float) -> None:
    assert fmr(percent(rate)) == pytest.approx(rate)


def test_an_empty_collection_has_a_threshold_all_the_same() -> None:
    assert keeping(0.001, 0) == keeping(0.001, 1) == pytest.approx(70)


@given(st.floats(0, 100), st.integers(0, 10**7))
def test_what_is_expected_is_the_sum_of_all_comparisons(similarity: float, faces: int) -> None:
    found = expectation(STRAIGHT, similarity, faces)
    assert found.false_candidates == pytest.approx(faces * fmr(similarity))
    assert found.fpir <= found.false_candidates * (1 + 1e-9)
    assert found.extrapolated == (similarity > 85)


def test_the_congress_of_2018() -> None:
    """535 searches among 25,000 faces at 80: two and a half false candidates each; .1 % takes 4e-8."""
    found = expectation(CURVES["adults"], 80, 25_000)
    assert found.false_candidates == pytest.approx(2.5)
    assert found.fpir == pytest.approx(0.918, abs=5e-4)
    assert found.extrapolated
    assert rate_for(28 / 535, 25_000) == pytest.approx(2.15e-6, rel=1e-2)
    assert rate_for(0.001, 25_000) == pytest.approx(4.0e-8, rel=1e-2)
    assert keeping(0.001, 25_000) is None
    assert keeping(0.01, 25_000) == pytest.approx(96.58, abs=0.01)


def test_children_at_the_cosine_that_is_80_for_adults() -> None:
    """Measured: 4.7 % of pairs on one set (docs/numbers.md); the card's curve is the interval's upper end."""
    times = likelier(CURVES["children"], CURVES["adults"], 80)
    assert 465 <= times <= 633
    assert likelier(CURVES["adults"], CURVES["adults"], 80) == pytest.approx(1)


def test_a_curve_goes_on_past_the_scale_for_plans_alone() -> None:
    assert STRAIGHT.continued(1e-8) == pytest.approx(0.8)
    assert STRAIGHT.continued(1e-10) is None
    assert CURVES["adults"].continued(1e-7) == pytest.approx(CURVES["adults"].cosine(99))


@given(st.floats(0.001, 0.999), st.floats(0.01, 1), rates, sizes)
def test_a_posterior_counts_candidates(prior: float, tpr: float, rate: float, faces: int) -> None:
    """Of a million searches, so many list their person, and so many comparisons list another."""
    right = 1e6 * prior * tpr
    wrong = 1e6 * (prior * (faces - 1) + (1 - prior) * faces) * rate
    assert posterior(prior, tpr, rate, faces) == pytest.approx(right / (right + wrong))


def test_the_worked_case_of_the_plan() -> None:
    """Ten of 100,000 listed, 90 % found, one stranger in a thousand: one alert in twelve is right."""
    assert posterior(1e-4, 0.9, 0.001 / 25_000, 25_000) == pytest.approx(0.083, abs=5e-4)


def test_where_nothing_is_listed_nothing_is_right() -> None:
    assert posterior(0.5, 0.9, 1e-4, 0) is None
    assert posterior(0.5, 0.0, 1e-4, 1) == 0


def test_the_cards_pairs_of_one_person() -> None:
    """docs/numbers.md: 1,081 of 1,535 pairs at 80. Children's pairs were not measured."""
    assert CARD.genuine is not None
    adults = CURVES["adults"]
    found = odds(expectation(adults, 80, 1000), 0.5, CARD.genuine, adults.cosine(80))
    assert found.tpr == pytest.approx(1081 / 1535, abs=0.01)
    assert found.measured
    assert not odds(expectation(adults, 99.9, 1000), 0.5, CARD.genuine, adults.cosine(99.9)).measured
    children = CURVES["children"]
    assert not odds(expectation(children, 60, 9), 0.5, CARD.genuine, children.cosine(60)).measured
