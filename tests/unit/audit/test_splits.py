"""Curves fitted on half of the people, on embeddings made up so that the truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from countenance.audit import splits
from countenance.audit.genuine import _lines
from countenance.audit.sets import Photo
from countenance.audit.similarity import Sets
from countenance.types import Vector


def strangers(name: str, count: int, seed: int) -> tuple[list[Photo], Vector]:
    """Adults of one sex in twenty dimensions, two photos of everybody."""
    people = np.random.default_rng(seed).normal(size=(count, 20)).astype(np.float32)
    photos = [Photo(Path(f"{name}-{n}"), f"{name} {n // 2}", sex="female", age=40) for n in range(2 * count)]
    vectors = np.repeat(people, 2, axis=0)
    return photos, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def known() -> Sets:
    sizes = {"lfw": 700, "utkface": 400, "fairface": 80}
    return Sets({name: strangers(name, size, size) for name, size in sizes.items()}, {})


def test_a_curve_holds_for_strangers_of_the_same_kind(known: Sets) -> None:
    counts = [each for seed in range(3) for each in splits.counted(known, seed)]
    measured = [each for each in counts if (each.way, each.rate) == (splits.MEASURED, 1e-3)]
    assert {each.set for each in measured} == {"lfw", "utkface"}
    assert all(0.6 < each.ratio < 1.6 for each in measured)
    assert all(each.meant > 30 for each in measured)


def test_the_cards_way_errs_towards_strangers(known: Sets) -> None:
    counts = list(splits.counted(known, 0))
    by = {(each.way, each.set, each.rate): each.errors for each in counts}
    assert all(by[splits.CARD, name, 1e-3] < by[splits.MEASURED, name, 1e-3] for name in ("lfw", "utkface"))


def test_nobody_is_on_both_sides_and_splits_differ(known: Sets) -> None:
    photos, _ = known.faces["lfw"]
    one, other = (splits._sides(photos, seed) for seed in (0, 1))
    assert one == splits._sides(photos, 0) != other
    assert sum(one.values()) == 350
    assert one.keys() == {photo.person for photo in photos}


def test_the_table_has_a_row_for_every_claim(known: Sets) -> None:
    counts = [each for seed in range(2) for each in splits.counted(known, seed)]
    rows = [splits._row(each) for each in splits._grouped(counts)]
    assert len(rows) == 12
    assert rows[0][:3] == ("as measured", "lfw", 1e-3)
    assert rows[0][-1] == "2 of 2"


def test_the_cards_lines_stop_where_fewer_than_thirty_pairs_reach() -> None:
    scores = np.array([0.93] * 29 + [0.52] * 71)
    lines = _lines(scores, np.arange(100) % 7)
    assert "[0.50, 1.0000]" in lines
    assert "[0.55," not in lines
    assert "one of 7 adults" in lines
    assert "100 pairs" in lines
