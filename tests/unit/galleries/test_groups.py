"""Groups of vectors whose people are known because they were made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.galleries import groups
from countenance.galleries.groups import TooMany
from countenance.types import Vector


def people(count: int, each: int, spread: float, seed: int = 0) -> Vector:
    """`each` faces of every one of `count` people, person after person: cosines of one person's near
    1 / (1 + spread ** 2), of two people's near 0."""
    random = np.random.default_rng(seed)
    centres = np.repeat(random.standard_normal((count, 128)), each, axis=0)
    vectors = centres + spread * random.standard_normal(centres.shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def apart(vectors: Vector) -> list[str]:
    """Every face in a photo of its own."""
    return [str(number) for number in range(len(vectors))]


def sets(found: list[groups.Group]) -> set[frozenset[int]]:
    return {frozenset(group.places) for group in found}


def test_people_are_told_apart_and_loners_stay_alone() -> None:
    vectors = np.concatenate((people(5, 4, 0.5), people(3, 1, 0.5, seed=1)))
    found = groups.groups(vectors, apart(vectors), 0.5, once=True)
    assert sets(found) == {frozenset(range(4 * n, 4 * n + 4)) for n in range(5)} | {
        frozenset({20}),
        frozenset({21}),
        frozenset({22}),
    }
    assert [len(group.places) for group in found] == [4] * 5 + [1] * 3
    assert [group.cosines for group in found[5:]] == [()] * 3


def test_the_most_typical_face_is_first_with_the_mean_of_its_cosines() -> None:
    vectors = people(1, 6, 0.6)
    [group] = groups.groups(vectors, apart(vectors), 0.3, once=True)
    exact = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    for place, cosine in zip(group.places, group.cosines, strict=True):
        assert cosine == pytest.approx(np.delete(exact[place], place).mean())
    assert list(group.cosines) == sorted(group.cosines, reverse=True)


def test_two_faces_of_one_photo_are_two_people_unless_said_otherwise() -> None:
    """Twins side by side in three photos: without the rule they are one, with it each photo is split."""
    vectors = people(1, 6, 0.3)
    photos = ["a", "a", "b", "b", "c", "c"]
    together = groups.groups(vectors, photos, 0.5, once=False)
    assert sets(together) == {frozenset(range(6))}
    for group in groups.groups(vectors, photos, 0.5, once=True):
        shown = [photos[place] for place in group.places]
        assert len(shown) == len(set(shown))


def test_the_threshold_itself_is_enough() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8]], np.float32)
    assert len(groups.groups(vectors, ["a", "b"], 0.6, once=True)) == 1
    assert len(groups.groups(vectors, ["a", "b"], 0.61, once=True)) == 2


def test_nobody_makes_no_group() -> None:
    assert groups.groups(np.zeros((0, 128), np.float32), [], 0.5, once=True) == []


def test_a_threshold_that_tells_nobody_apart_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_PAIRS", 100)
    vectors = people(40, 1, 0.5)
    with pytest.raises(TooMany, match="more than 100 pairs"):
        groups.groups(vectors, apart(vectors), -1, once=True)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = people(30, 3, 0.9)
    photos = [str(number // 2) for number in range(90)]
    whole = groups.groups(vectors, photos, 0.4, once=True)
    monkeypatch.setattr(groups, "AT_ONCE", 7)
    assert groups.groups(vectors, photos, 0.4, once=True) == whole


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4), st.floats(0.1, 2), st.floats(-0.2, 0.9)
)
def test_whatever_comes_is_divided_and_comes_out_the_same_again(
    seed: int, count: int, each: int, spread: float, least: float
) -> None:
    vectors = people(count, each, spread, seed)
    photos = [str(number % 5) for number in range(len(vectors))]
    found = groups.groups(vectors, photos, least, once=True)
    assert sorted(place for group in found for place in group.places) == list(range(len(vectors)))
    assert found == groups.groups(vectors, photos, least, once=True)
    for group in found:
        shown = [photos[place] for place in group.places]
        assert len(shown) == len(set(shown))
        if len(group.places) > 1:  # nobody is in a group without a neighbour there
            products = vectors[list(group.places)] @ vectors[list(group.places)].T
            np.fill_diagonal(products, -1)
            assert (products.max(axis=1) >= least - 1e-4).sum() >= 2


def test_faces_that_somebody_told_apart_stay_apart() -> None:
    vectors = people(1, 5, 0.3)
    found = groups.groups(vectors, apart(vectors), 0.5, once=True, apart=[(0, 3), (3, 4)])
    assert not any({0, 3} <= set(group.places) or {3, 4} <= set(group.places) for group in found)
    assert sets(groups.groups(vectors, apart(vectors), 0.5, once=True)) == {frozenset(range(5))}
