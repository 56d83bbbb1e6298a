from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from tests.unit.vision.conftest import altered, only

from countenance.errors import ModelError
from countenance.types import Image, Vector
from countenance.vision import Vision
from countenance.vision.images import decode
from countenance.vision.sface import SFace


def embedded(vision: Vision, image: Image) -> Vector:
    [embedding] = vision.embed(image, [only(vision.detect(image))])
    return embedding.vector


def compressed(pixels: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "JPEG", quality=25)
    return decode(stream.getvalue()).pixels


def turned(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 20, 1.0)
    return np.asarray(cv2.warpAffine(pixels, matrix, (width, height)))


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mirrored": lambda p: p[:, ::-1],
    "dimmed": lambda p: (p * 0.4).astype(np.uint8),
    "grey": lambda p: np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[..., None], 3, 2),
    "small": lambda p: np.asarray(
        cv2.resize(p, (160, 160 * p.shape[0] // p.shape[1]), interpolation=cv2.INTER_AREA)
    ),
    "large": lambda p: np.asarray(cv2.resize(p, None, fx=4, fy=4)),
    "cropped": lambda p: p[60:420, 100:420],
    "compressed": compressed,
    "turned": turned,
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_an_altered_portrait_stays_the_same_person(
    vision: Vision, hopper: Image, collins: Image, name: str
) -> None:
    reference = embedded(vision, hopper)
    copy = embedded(vision, altered(ALTERATIONS[name](hopper.pixels)))
    other = embedded(vision, collins)
    calibration = vision.calibration()
    assert calibration.similarity(float(reference @ copy)) > 90
    assert calibration.similarity(float(other @ copy)) < 70


def test_an_embedding_is_a_unit_vector_of_the_cards_dimensions(vision: Vision, hopper: Image) -> None:
    [embedding] = vision.embed(hopper, vision.detect(hopper))
    assert embedding.vector.dtype == np.float32
    assert embedding.vector.shape == (vision.embedder.card.dimensions,)
    assert np.linalg.norm(embedding.vector) == pytest.approx(1, abs=1e-6)
    assert embedding.model == vision.model == "sface-2021dec"


def test_many_faces_are_each_as_alone_and_in_order(vision: Vision, hopper: Image, collins: Image) -> None:
    both = altered(np.hstack([hopper.pixels[:512], collins.pixels]))
    faces = vision.detect(both)
    assert len(faces) == 2
    together = vision.embed(both, faces)
    for face, embedding in zip(faces, together, strict=True):
        [alone] = vision.embed(both, [face])
        np.testing.assert_allclose(alone.vector, embedding.vector, atol=1e-6)
    backwards = vision.embed(both, faces[::-1])
    np.testing.assert_allclose(backwards[0].vector, together[1].vector, atol=1e-6)
    assert float(together[0].vector @ embedded(vision, hopper)) > 0.9


def test_one_picture_gives_one_embedding_every_time(vision: Vision, hopper: Image) -> None:
    first = embedded(vision, hopper)
    second = embedded(Vision.load(threads=1), hopper)
    assert float(first @ second) == pytest.approx(1, abs=1e-5)


def test_nobody_gives_nothing(vision: Vision, hopper: Image) -> None:
    assert vision.embed(hopper, []) == ()


def test_an_embedding_without_direction_is_an_error(
    vision: Vision, hopper: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = SFace(vision.embedder.card)
    monkeypatch.setattr(broken._session, "map", lambda cuts: [[np.zeros((1, 128), np.float32)]])
    with pytest.raises(ModelError, match="direction"):
        broken.embed(hopper, vision.detect(hopper))
