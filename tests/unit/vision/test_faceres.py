from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from tests.unit.vision.conftest import altered, only

from countenance.types import Image
from countenance.vision import Vision, zoo
from countenance.vision.faceres import BANDS, FEATURES, MALE, PLACES, SIGNALS, YEARS, Array, FaceRes


@pytest.fixture(scope="module")
def faceres(vision: Vision) -> FaceRes:
    return FaceRes(zoo.card("faceres-deep"), threads=1)


def seen(faceres: FaceRes, vision: Vision, image: Image) -> Array:
    faces = [only(vision.detect(image))]
    signals: Array = faceres.look(image, faces, vision.landmarker.meshes(image, faces))[0]
    return signals


def turned(pixels: np.ndarray, degrees: float) -> Image:
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
    return altered(cv2.warpAffine(pixels, matrix, (width, height)))


def test_the_portraits_look_their_ages_and_read_as_women(
    faceres: FaceRes, vision: Vision, hopper: Image, collins: Image
) -> None:
    """Grace Hopper was 77 or so in her portrait, Eileen Collins 41 or so in hers."""
    older, younger = seen(faceres, vision, hopper), seen(faceres, vision, collins)
    assert 60 < older[YEARS] < 90
    assert 25 < younger[YEARS] < 50
    assert younger[MALE] < 0


def test_features_are_1024_numbers_of_which_none_is_negative(
    faceres: FaceRes, vision: Vision, collins: Image
) -> None:
    features = seen(faceres, vision, collins)[FEATURES]
    assert features.shape == (1024,)
    assert features.dtype == np.float32
    assert (features >= 0).all()
    assert features.std() > 0


def test_bands_know_where_things_are(faceres: FaceRes, vision: Vision, collins: Image) -> None:
    """A bar over the mouth changes the lowest band most; one over the brow, the highest."""
    face = only(vision.detect(collins))
    meshes = vision.landmarker.meshes(collins, [face])
    plain = faceres.look(collins, [face], meshes)[0, BANDS].reshape(3, 512)
    points = meshes[0].points[:, :2].astype(int)

    def changed(top: int, bottom: int) -> np.ndarray:
        pixels = collins.pixels.copy()
        pixels[points[top, 1] : points[bottom, 1], points[234, 0] : points[454, 0]] = 0
        bands = faceres.look(altered(pixels), [face], meshes)[0, BANDS].reshape(3, 512)
        return np.asarray(abs(bands - plain).mean(1))

    assert changed(2, 152).argmax() == 2  # from under the nose to the chin
    assert changed(10, 9).argmax() == 0  # from the hairline to between the brows


def test_the_conversion_gives_the_places_the_bands_are_means_of() -> None:
    names = [output.name for output in onnx.load_from_string(zoo.load(zoo.card("faceres-deep"))).graph.output]
    assert names[3:] == [PLACES]


@pytest.mark.parametrize("degrees", [-40, 40])
def test_a_tilted_head_changes_little(
    faceres: FaceRes, vision: Vision, collins: Image, degrees: float
) -> None:
    upright, tilted = seen(faceres, vision, collins), seen(faceres, vision, turned(collins.pixels, degrees))
    assert abs(tilted[YEARS] - upright[YEARS]) < 6
    assert tilted[MALE] < 0
    assert np.corrcoef(tilted[FEATURES], upright[FEATURES])[0, 1] > 0.8


def test_faces_come_back_in_order(faceres: FaceRes, vision: Vision, hopper: Image, collins: Image) -> None:
    height = min(hopper.height, collins.height)
    both = altered(np.hstack([hopper.pixels[:height], collins.pixels[:height]]))
    faces = sorted(vision.detect(both), key=lambda face: face.box.left)
    assert len(faces) == 2
    signals = faceres.look(both, faces, vision.landmarker.meshes(both, faces))
    back = faceres.look(both, faces[::-1], vision.landmarker.meshes(both, faces[::-1]))
    assert signals.shape == (2, SIGNALS)
    assert signals[0, YEARS] > signals[1, YEARS] + 10
    np.testing.assert_allclose(back[::-1], signals, atol=1e-3)


def test_no_faces_give_no_rows(faceres: FaceRes, hopper: Image) -> None:
    assert faceres.look(hopper, [], []).shape == (0, SIGNALS)


def test_a_face_over_the_edge_is_still_read(faceres: FaceRes, vision: Vision, collins: Image) -> None:
    face = only(vision.detect(collins))
    [mesh] = vision.landmarker.meshes(collins, [face])
    wide = replace(face, box=replace(face.box, left=-0.1, top=-0.1))
    assert np.isfinite(faceres.look(collins, [wide], [mesh])).all()
