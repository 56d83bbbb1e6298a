from __future__ import annotations

import numpy as np
import pytest
from tests.parity import photos

from countenance.types import Face, Image
from countenance.vision import Vision, zoo
from countenance.vision.images import decode


@pytest.fixture(scope="session")
def hopper_jpeg() -> bytes:
    """Grace Hopper, 512 x 600."""
    return photos.grace()


@pytest.fixture(scope="session")
def hopper(hopper_jpeg: bytes) -> Image:
    return decode(hopper_jpeg)


@pytest.fixture(scope="session")
def collins() -> Image:
    """Eileen Collins, 512 x 512."""
    return decode(photos.eileen())


@pytest.fixture(scope="session")
def vision() -> Vision:
    """The real senses; their weights are fetched the first time a machine runs the tests."""
    zoo.pull(*zoo.cards())
    return Vision.load()


def altered(pixels: np.ndarray) -> Image:
    """Pixels a test made, as an image."""
    return Image(np.ascontiguousarray(pixels, np.uint8), b"\x00" * 32)


def only(faces: tuple[Face, ...]) -> Face:
    [face] = faces
    return face
