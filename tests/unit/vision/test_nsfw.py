"""Unsafe pictures, as far as harmless ones can test it.

The references are what the weights' own package gives, in ONNX Runtime 1.32, for the same pixels.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.vision.conftest import altered

from countenance.errors import ModelError
from countenance.types import Image
from countenance.vision import Vision
from countenance.vision.nsfw import prepared


def explicit(vision: Vision, image: Image) -> float:
    [(name, confidence)] = vision.moderate(image).items()
    assert name == "Explicit"
    return confidence


def test_portraits_are_as_likely_explicit_as_the_makers_recipe_says(
    vision: Vision, hopper: Image, collins: Image
) -> None:
    assert explicit(vision, hopper) == pytest.approx(0.0148, abs=0.02)
    assert explicit(vision, collins) == pytest.approx(3.1702, abs=0.02)
    assert explicit(vision, altered(np.full((400, 400, 3), 128))) == pytest.approx(19.7584, abs=0.02)
    assert explicit(vision, altered(np.full((400, 400, 3), 255))) == pytest.approx(1.4107, abs=0.02)


def test_the_whole_picture_is_squeezed_and_its_middle_looked_at() -> None:
    pixels = np.zeros((100, 300, 3), np.uint8)
    pixels[:, 150:] = (255, 0, 0)
    [array] = prepared(pixels)
    assert array.shape == (224, 224, 3)
    assert array[:, :100, 2].mean() == pytest.approx(-123, abs=2)  # red is last
    assert array[:, 124:, 2].mean() == pytest.approx(255 - 123, abs=3)


def test_a_service_without_a_moderator_says_so(vision: Vision) -> None:
    without = Vision(vision.detector, vision.landmarker, vision.embedder, vision.describer)
    with pytest.raises(ModelError, match="no model here tells unsafe pictures"):
        without.moderate(Image(np.zeros((80, 80, 3), np.uint8), b""))
