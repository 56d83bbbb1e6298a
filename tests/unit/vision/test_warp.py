from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.vision.sface import TEMPLATE
from countenance.vision.warp import cut, similarity

angles = st.floats(-3.1, 3.1)
scales = st.floats(0.05, 20)
shifts = st.floats(-500, 500)


def transform(angle: float, scale: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


@given(angles, scales, shifts, shifts)
def test_a_similarity_is_recovered(angle: float, scale: float, x: float, y: float) -> None:
    matrix = transform(angle, scale, x, y)
    found = similarity(TEMPLATE, apply(matrix, TEMPLATE))
    np.testing.assert_allclose(found, matrix, rtol=1e-6, atol=1e-6)


def test_no_other_similarity_comes_nearer() -> None:
    random = np.random.default_rng(3)
    points = TEMPLATE + random.normal(0, 4, TEMPLATE.shape)
    best = similarity(points, TEMPLATE)
    error = np.square(apply(best, points) - TEMPLATE).sum()
    for _ in range(200):
        other = best + np.array([[1, 0, 0], [0, 1, 0]]) * random.normal(0, 0.01)
        other[:, 2] += random.normal(0, 0.5, 2)
        assert np.square(apply(other, points) - TEMPLATE).sum() >= error


def test_many_at_once_are_each_as_alone() -> None:
    many = TEMPLATE + np.random.default_rng(1).normal(0, 3, (7, 5, 2))
    together = similarity(many, TEMPLATE)
    for points, matrix in zip(many, together, strict=True):
        np.testing.assert_allclose(similarity(points, TEMPLATE), matrix)


@pytest.mark.parametrize("scale", [2.0, 0.9, 0.5, 0.24, 0.1])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_spot_lands_where_the_matrix_says(scale: float, angle: float) -> None:
    picture = np.zeros((900, 1200, 3), np.uint8)
    centre = np.array([520.0, 410.0])
    cv2.circle(picture, (520, 410), max(2, round(8 / scale)), (255, 255, 255), -1)
    linear = transform(angle, scale, 0, 0)[:, :2]
    matrix = np.column_stack([linear, np.array([70.0, 40.0]) - linear @ centre])
    shown = cut(picture, matrix, 112)[..., 0].astype(float)
    rows, columns = np.mgrid[:112, :112]
    found = (columns * shown).sum() / shown.sum(), (rows * shown).sum() / shown.sum()
    assert found == pytest.approx((70, 40), abs=0.3)


def test_fine_stripes_do_not_alias() -> None:
    stripes = np.zeros((1000, 1000, 3), np.uint8)
    stripes[:, ::2] = 255
    shown = cut(stripes, np.array([[0.109, 0, 0], [0, 0.109, 0]]), 100)
    assert (
        np.ptp(shown[5:-5, 5:-5].astype(int)) < 30
    )  # evenly grey: sampled directly it would be black and white


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_outside_the_picture_is_black(scale: float) -> None:
    white = np.full((400, 400, 3), 255, np.uint8)
    away = np.array([[scale, 0, -5000.0], [0, scale, -5000.0]])
    assert not cut(white, away, 50).any()
    edge = np.array([[scale, 0, 25.0], [0, scale, 0.0]])
    assert not cut(white, edge, 50)[:, :20].any()
    assert (cut(white, edge, 50)[5:30, 30:45] == 255).all()
