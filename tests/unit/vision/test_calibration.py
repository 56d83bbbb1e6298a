from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from countenance.errors import ModelError
from countenance.vision.calibration import Calibration, fmr


def curve(points: tuple[tuple[float, float], ...], measured_to: float = -4.0) -> Calibration:
    return Calibration("adults", points, measured_to, "a test", (1e-5, 1e-4))


# Through every anchor of the scale: the rate falls a decade per .1 of cosine from 1e-1 at .1.
STRAIGHT = curve(((0.1, -1.0), (0.4, -4.0)))
FULL = curve(((0.0, -0.2), (0.2, -1.5), (0.45, -4.0), (0.5, -4.7), (0.6, -7.5)))


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    """Curves as steep as models' are: at least twelve decades over a cosine of 1."""
    points = [(draw(st.floats(-0.5, 0.2)), draw(st.floats(-5, 0)))]
    for _ in range(draw(st.integers(1, 5))):
        cosine, rate = points[-1]
        points.append((cosine + draw(st.floats(0.02, 0.1)), rate - draw(st.floats(1.2, 3))))
    return curve(tuple(points))


@pytest.mark.parametrize(
    ("percent", "rate"), [(60, 1e-2), (70, 1e-3), (80, 1e-4), (90, 1e-5), (95, 1e-6), (99, 1e-7)]
)
def test_the_scale_is_the_designs(percent: float, rate: float) -> None:
    assert fmr(percent) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("cosine", "percent"), [(0.1, 50), (0.4, 80), (0.5, 90), (0.55, 92.5), (0.6, 95), (0.7, 99)]
)
def test_a_straight_curve_meets_the_anchors(cosine: float, percent: float) -> None:
    assert STRAIGHT.similarity(cosine) == pytest.approx(percent)
    assert STRAIGHT.cosine(percent) == pytest.approx(cosine)


def test_the_ends_are_where_cosines_end() -> None:
    for each in (STRAIGHT, FULL):
        assert each.similarity(-1) == 0
        assert each.similarity(1) == 100
        assert each.cosine(0) == -1
        assert each.cosine(100) == 1


def test_between_points_the_rate_is_log_linear() -> None:
    half = FULL.similarity((0.45 + 0.5) / 2)
    assert math.log10(fmr(half)) == pytest.approx((-4.0 - 4.7) / 2)


def test_no_rate_under_one_in_ten_million_is_claimed() -> None:
    assert fmr(99.9) == fmr(100) == pytest.approx(1e-7)
    assert fmr(0) == fmr(40) == 1


@given(calibrations(), st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_cosine_is_a_higher_similarity(calibration: Calibration, a: float, b: float) -> None:
    assume(a + 1e-9 < b)
    assert 0 <= calibration.similarity(a) < calibration.similarity(b) <= 100


@given(calibrations(), st.floats(-1, 1), st.floats(0, 100))
def test_the_two_maps_are_inverses(calibration: Calibration, cosine: float, percent: float) -> None:
    assert calibration.cosine(calibration.similarity(cosine)) == pytest.approx(cosine, abs=1e-9)
    assert calibration.similarity(calibration.cosine(percent)) == pytest.approx(percent, abs=1e-9)


@given(calibrations())
def test_every_point_gets_its_rate(calibration: Calibration) -> None:
    for cosine, rate in calibration.points:
        if rate >= -7:
            assert math.log10(fmr(calibration.similarity(cosine))) == pytest.approx(rate, abs=1e-9)


def test_past_what_was_measured_is_extrapolated() -> None:
    measured = curve(STRAIGHT.points, measured_to=-4.5)
    assert not measured.extrapolated(85)
    assert measured.extrapolated(85.1)


@pytest.mark.parametrize(
    "points",
    [
        (),
        ((0.1, -1.0),),
        ((0.1, -1.0), (0.1, -2.0)),
        ((0.2, -1.0), (0.1, -2.0)),
        ((0.1, -2.0), (0.2, -1.0)),
        ((0.1, 0.5), (0.4, -4.0)),
        ((-1.0, -1.0), (0.4, -4.0)),
        ((0.1, -1.0), (0.9, -1.1)),  # 1e-7 only beyond cosine 1
    ],
)
def test_what_is_no_curve_is_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ModelError, match="adults"):
        curve(points)
