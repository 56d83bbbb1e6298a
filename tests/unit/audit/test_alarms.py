"""FPIR by counting: right where the answer is known, and the formula's where comparisons are independent."""

from __future__ import annotations

import numpy as np
import pytest

from countenance.audit.alarms import SPLITS, counted
from countenance.vision.expectation import fpir


def test_the_ends() -> None:
    scores = np.zeros((20, 20), np.float32)
    assert list(counted(scores, 5, 0.1)) == [0.0] * SPLITS
    assert list(counted(scores, 5, 0.0)) == [1.0] * SPLITS


def test_one_who_looks_like_everybody_is_one_alarm_for_each_search() -> None:
    """A wolf among ten: enrolled he alarms everybody, searched himself he is one alarm of five."""
    scores = np.zeros((10, 10), np.float32)
    scores[0], scores[:, 0] = 1, 1
    assert set(counted(scores, 5, 0.5)) == {1.0, 0.2}


def test_independent_comparisons_have_the_formulas_rate() -> None:
    random = np.random.default_rng(7)
    scores = random.random((400, 400)).astype(np.float32)
    found = np.mean(list(counted(scores, 100, 0.995)))
    assert found == pytest.approx(fpir(0.005, 100), abs=0.02)
