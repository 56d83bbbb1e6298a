"""The fit, on embeddings made up so that the truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from countenance.audit.fitting import fit, part, toml
from countenance.audit.impostors import Impostors, impostors
from countenance.audit.sets import Photo
from countenance.vision.calibration import Calibration


def strangers(count: int, dimensions: int, seed: int, floor: float = -1.0) -> Impostors:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    photos = [Photo(Path(str(number)), str(number), sex="female") for number in range(count)]
    return impostors(photos, vectors, floor=floor)


def test_pairs_leave_out_the_same_person_and_unlike_labels() -> None:
    photos = [
        Photo(Path("1"), "ann", sex="female"), Photo(Path("2"), "ann", sex="female"),
        Photo(Path("3"), "eve", sex="female"), Photo(Path("4"), "bob", sex="male"), Photo(Path("5"), "?"),
    ]  # fmt: skip
    pairs = impostors(photos, np.eye(5, dtype=np.float32))
    assert pairs.pairs == 2
    assert {*zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)} == {(0, 2), (1, 2)}


def test_rate_counts_and_cosines_invert_it() -> None:
    pairs = strangers(200, 16, 0)
    for rate in (0.5, 0.1, 0.01):
        cosine = float(pairs.cosines([rate])[0])
        assert pairs.rate(cosine).value == pytest.approx(rate, rel=0.02)
        once = np.ones(200, np.int64)
        assert float(pairs.cosines([rate], once)[0]) == pytest.approx(cosine, abs=1e-3)


def test_a_floor_changes_no_rate_above_it() -> None:
    every, few = strangers(100, 16, 1), strangers(100, 16, 1, floor=0.2)
    assert every.rate(0.3) == few.rate(0.3)
    assert len(few.scores) < len(every.scores)


def test_fit_is_careful_and_makes_a_calibration() -> None:
    """Eighty strangers, the shape from a thousand: the card asks for no less than was measured."""
    population, wide, shape = strangers(80, 20, 2), strangers(400, 20, 3), strangers(1000, 20, 4)
    fitted = fit([population], wide, shape, resamples=40)
    assert fitted.stretch == pytest.approx(1, abs=0.1)
    assert (fitted.high >= fitted.middle).all()
    assert fitted.interval[0] < fitted.interval[1] <= 1.2e-4
    truth = float(strangers(2000, 20, 5, floor=0.5).cosines([1e-4])[0])
    assert truth - 0.02 < fitted.cosine(-4) < truth + 0.15
    points = tuple(zip(fitted.high.tolist(), fitted.rates.tolist(), strict=True))
    calibration = Calibration("adults", points, fitted.measured_to, "made up", fitted.interval)
    assert calibration.similarity(fitted.cosine(-4)) == pytest.approx(80, abs=0.1)
    assert "[card.calibration.adults]" in toml("adults", fitted, "made up")


def test_parts_are_stable_and_even() -> None:
    parts = [part(f"person {number}") for number in range(1000)]
    assert parts == [part(f"person {number}") for number in range(1000)]
    assert 450 < sum(parts) < 550
