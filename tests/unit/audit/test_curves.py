"""Curves, fitted to scores whose meaning is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from countenance.audit import curves
from countenance.audit.curves import Scored
from countenance.errors import DataError


def faces(scores: np.ndarray, truth: np.ndarray) -> Scored:
    count = len(truth)
    return Scored(scores, truth, np.full(count, 1 / count), np.arange(count) % curves.FOLDS)


def shown(scores: np.ndarray) -> np.ndarray:
    """The chance that a score means: not logistic, so that there is something to choose."""
    return np.where(scores < 0, 0.1, np.where(scores < 1, 0.1 + 0.7 * scores, 0.8))


@pytest.mark.parametrize("fit", [curves.platt, curves.isotonic])
def test_curves_rise_inside_their_bounds(fit: object) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=2000)
    truth = random.random(2000) < shown(scores)
    points = fit(faces(scores, truth))  # type: ignore[operator]
    places, chances = (np.array(column) for column in zip(*points, strict=True))
    assert 2 <= len(points) <= curves.MOST
    assert (np.diff(places) > 0).all()
    assert (np.diff(chances) >= 0).all()
    assert curves.SURE[0] <= chances.min()
    assert chances.max() <= curves.SURE[1]


def test_the_better_fit_is_chosen() -> None:
    random = np.random.default_rng(1)
    scores = random.uniform(-3, 4, 4000)
    stepped = faces(scores, random.random(4000) < shown(scores))
    points, kind, errors = curves.curve(stepped)
    assert kind == "isotonic"
    assert errors["isotonic"] < errors["platt"]
    assert np.abs(curves.read(points, scores) - shown(scores)).mean() < 0.04
    smooth = faces(scores, random.random(4000) < 1 / (1 + np.exp(-2 * scores)))
    assert np.abs(curves.read(curves.platt(smooth), scores) - 1 / (1 + np.exp(-2 * scores))).mean() < 0.02


def test_a_score_that_falls_is_refused() -> None:
    scores = np.linspace(-1, 1, 200)
    with pytest.raises(DataError, match="falls where it should rise"):
        curves.platt(faces(scores, scores < 0))


def test_age_ranges_hold_what_they_should_on_other_faces() -> None:
    random = np.random.default_rng(2)

    def drawn(count: int) -> Scored:
        ages = random.uniform(1, 80, count).round()
        return faces(ages + random.normal(0, 2 + ages / 12, count), ages)

    (points, inside, width), other = curves.ages([drawn(600), drawn(600)]), drawn(4000)
    assert len(points) <= curves.MOST
    held = curves._held(points, other) / 4000
    assert held == pytest.approx(curves.COVERED, abs=0.05)
    assert min(inside) >= curves.COVERED
    assert width <= curves.WIDEST
    _, low, high = (np.array(column) for column in zip(*points, strict=True))
    assert (low >= 0).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert high[-1] - low[-1] > high[0] - low[0]  # the old are harder to tell


def test_sharpness_and_bias_are_found() -> None:
    """Networks twice too sure, which see the third kind too often."""
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, (6000, 3))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    kind = np.array([random.choice(3, p=row) for row in chances])
    scores = 2 * logits + [0, 0, 1.5]
    scores -= np.log(np.exp(scores).sum(1, keepdims=True))
    named = np.array(list("abc"))[kind]
    lacking = faces(scores, named).part(kind != 2)  # a set without the third kind says nothing of it
    bias, sharpness = curves.softmax([faces(scores, named), lacking], list("abc"))
    assert sharpness == pytest.approx(0.5, abs=0.03)
    assert bias[2] - bias[0] == pytest.approx(-1.5, abs=0.2)
    assert bias.sum() == pytest.approx(0)
