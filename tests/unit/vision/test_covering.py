"""What is left of a part of a picture that is covered."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.types import Box
from countenance.vision.covering import COLOURS, LEAST, Method, around, cover, widened

SIDES = st.floats(-0.5, 1.2, allow_nan=False)


def noise(height: int = 200, width: int = 300) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("method", Method)
def test_only_what_the_box_holds_changes(method: Method) -> None:
    before, after = noise(), noise()
    cover(after, [Box(0.25, 0.25, 0.5, 0.5)], method)
    inside = np.zeros((200, 300), bool)
    inside[50:150, 75:225] = True
    assert (before[~inside] == after[~inside]).all()
    assert (before[inside] != after[inside]).any(1).mean() > 0.9


def test_a_box_is_one_colour() -> None:
    picture = noise()
    cover(picture, [Box(0.1, 0.1, 0.3, 0.3)], Method.BOX, 16)
    assert np.unique(picture[20:80, 30:120]).tolist() == [16]


@pytest.mark.parametrize("size", [40, 160, 640])
def test_pixelation_leaves_as_many_colours_of_a_large_face_as_of_a_small_one(size: int) -> None:
    picture = noise(size, size)
    cover(picture, [Box(0, 0, 1, 1)], Method.PIXELATE)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= COLOURS**2


def test_two_faces_that_have_the_same_means_are_the_same_once_blurred() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.integers(60, 190, (COLOURS, COLOURS), np.uint8).repeat(20, 0).repeat(20, 1)
    checks = np.indices(blocks.shape).sum(0) % 2 * 40
    one, other = (blocks + checks - 20).astype(np.uint8), (blocks - checks + 20).astype(np.uint8)
    assert (one != other).all()
    for method in (Method.BLUR, Method.PIXELATE):
        first, second = one.copy(), other.copy()
        for picture in (first, second):
            cover(picture, [Box(0, 0, 1, 1)], method)
        assert (first == second).all()


@given(SIDES, SIDES, st.floats(0.001, 1), st.floats(0.001, 1), st.sampled_from(Method))
def test_a_box_anywhere_covers_all_that_is_in_the_picture_of_it(
    left: float, top: float, width: float, height: float, method: Method
) -> None:
    picture = np.full((60, 90), 200, np.uint8)
    cover(picture, [Box(left, top, width, height)], method, 1)
    if method is Method.BOX:
        inside = picture[
            max(0, round(top * 60)) : max(0, int((top + height) * 60)),
            max(0, round(left * 90)) : max(0, int((left + width) * 90)),
        ]
        assert (inside == 1).all()


def test_a_tiny_face_is_covered_all_the_same() -> None:
    picture = np.zeros((100, 100), np.uint8)
    cover(picture, [Box(0.5, 0.5, 0.001, 0.001)], Method.BOX, 1)
    assert picture.sum() >= LEAST**2


def test_margins_and_what_holds_both() -> None:
    assert astuple(widened(Box(0.4, 0.4, 0.2, 0.1), 0.5)) == pytest.approx((0.3, 0.35, 0.4, 0.2))
    held = around([Box(0, 0.5, 0.1, 0.1), Box(0.3, 0.2, 0.1, 0.1)])
    assert astuple(held) == pytest.approx((0, 0.2, 0.4, 0.4))
