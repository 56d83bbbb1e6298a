from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.unit.vision.conftest import altered, only

from countenance.types import Box, Image, Quality
from countenance.vision import Vision
from countenance.vision.quality import quality

WHOLE = Box(0, 0, 1, 1)


def of(vision: Vision, image: Image, like: Image) -> Quality:
    return quality(image, only(vision.detect(like)).box)


def test_brightness_is_the_share_of_white() -> None:
    for value in (0, 51, 255):
        flat = altered(np.full((100, 100, 3), value))
        found = quality(flat, WHOLE)
        assert found.brightness == pytest.approx(value / 2.55, abs=0.2)
        assert found.sharpness == 0


def test_blur_lowers_sharpness_step_by_step(vision: Vision, hopper: Image) -> None:
    """Sigma of 2, 4 and 8 px is .01, .02 and .05 of the face's width."""
    blurred = [altered(cv2.GaussianBlur(hopper.pixels, (0, 0), sigma)) for sigma in (2, 4, 8)]
    found = [of(vision, image, hopper).sharpness for image in (hopper, *blurred)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 90
    assert found[-1] < 35


def test_few_pixels_are_not_sharp(vision: Vision, hopper: Image) -> None:
    sizes = [(width, width * hopper.height // hopper.width) for width in (512, 240, 120, 60)]
    small = [altered(cv2.resize(hopper.pixels, size, interpolation=cv2.INTER_AREA)) for size in sizes]
    found = [of(vision, image, hopper).sharpness for image in small]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 60 < found[0]


def test_light_changes_brightness_and_hardly_sharpness(vision: Vision, collins: Image) -> None:
    plain = of(vision, collins, collins)
    dim = of(vision, altered((collins.pixels * 0.5).astype(np.uint8)), collins)
    assert dim.brightness == pytest.approx(plain.brightness / 2, rel=0.03)
    assert dim.sharpness == pytest.approx(plain.sharpness, abs=3)


@pytest.mark.parametrize(
    "box",
    [
        Box(-0.3, -0.3, 0.6, 0.6),
        Box(0.8, 0.8, 0.5, 0.5),
        Box(-1, -1, 3, 3),
        Box(2, 2, 1, 1),
        Box(0.5, 0.5, 0, 0),
    ],
)
def test_a_box_beyond_the_frame_counts_what_is_inside(hopper: Image, box: Box) -> None:
    found = quality(hopper, box)
    assert 0 <= found.brightness <= 100
    assert 0 <= found.sharpness <= 100
