from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.unit.vision.conftest import altered, only

from countenance.errors import ModelError
from countenance.types import Image
from countenance.vision import Vision, faceapi, zoo
from countenance.vision.ages import MALE, YEARS, Array, DlibGender, FaceApiAges
from countenance.vision.attributes import Net
from countenance.vision.landmarks import level


@pytest.fixture(scope="module")
def ages(vision: Vision) -> FaceApiAges:
    return FaceApiAges(zoo.card("face-api-ages"), threads=1)


@pytest.fixture(scope="module")
def gender(vision: Vision) -> DlibGender:
    return DlibGender(zoo.card("dlib-gender"), threads=1)


def seen(net: Net, vision: Vision, image: Image) -> Array:
    faces = [only(vision.detect(image))]
    signals: Array = net.look(image, faces, vision.landmarker.meshes(image, faces))[0]
    return signals


def test_the_portraits_look_their_ages(
    ages: FaceApiAges, vision: Vision, hopper: Image, collins: Image
) -> None:
    """Grace Hopper was 77 or so in her portrait, Eileen Collins 41 or so in hers."""
    assert seen(ages, vision, hopper)[YEARS] > 50
    assert 25 < seen(ages, vision, collins)[YEARS] < 50


def test_the_portraits_read_as_women(
    ages: FaceApiAges, gender: DlibGender, vision: Vision, collins: Image
) -> None:
    assert seen(ages, vision, collins)[MALE] < 0
    assert seen(gender, vision, collins)[0] < 0


@pytest.mark.parametrize("degrees", [-40, 40])
def test_a_tilted_head_changes_little(
    ages: FaceApiAges, gender: DlibGender, vision: Vision, collins: Image, degrees: float
) -> None:
    height, width = collins.pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
    tilted = altered(np.asarray(cv2.warpAffine(collins.pixels, matrix, (width, height))))
    assert abs(seen(ages, vision, tilted)[YEARS] - seen(ages, vision, collins)[YEARS]) < 6
    assert seen(gender, vision, tilted)[0] < 0


def test_a_mirrored_face_gives_the_same_signals(ages: FaceApiAges, vision: Vision, collins: Image) -> None:
    faces = [only(vision.detect(collins))]
    [mesh] = vision.landmarker.meshes(collins, faces)
    pixel = 1 / np.hypot(*level(mesh, FaceApiAges.SIDE)[:, 0])  # of the cut, in the photo's: mirrored, its
    points = mesh.points * [-1, 1, 1] + [collins.width - 1 + pixel, 0, 0]  # grid lies one further
    points[[33, 263]] = points[[263, 33]]  # the eyes' outer corners, by which the cut is turned
    mirrored = altered(collins.pixels[:, ::-1])
    [there] = ages.look(mirrored, faces, [replace(mesh, points=points)])
    [here] = ages.look(collins, faces, [mesh])
    np.testing.assert_allclose(there, here, atol=0.3)


def test_no_faces_give_no_rows(ages: FaceApiAges, gender: DlibGender, hopper: Image) -> None:
    assert ages.look(hopper, [], []).shape == (0, 2)
    assert gender.look(hopper, [], []).shape == (0, 1)


def test_rows_come_in_the_order_of_the_faces(
    ages: FaceApiAges, gender: DlibGender, vision: Vision, hopper: Image, collins: Image
) -> None:
    height = min(hopper.height, collins.height)
    both = altered(np.hstack([hopper.pixels[:height], collins.pixels[:height]]))
    faces = sorted(vision.detect(both), key=lambda face: face.box.left)
    meshes = vision.landmarker.meshes(both, faces)
    nets: tuple[Net, ...] = (ages, gender)
    for net in nets:
        signals = net.look(both, faces, meshes)
        assert len(signals) == 2
        assert abs(signals[0] - signals[1]).max() > 0.5
        np.testing.assert_allclose(net.look(both, faces, meshes[::-1]), signals[::-1], atol=1e-4)


def test_weights_of_another_length_are_refused() -> None:
    manifest, weights = zoo.verify(zoo.card("face-api-ages"))
    with pytest.raises(ModelError, match="weights for ages"):
        faceapi.ages_to_onnx(manifest, weights[:-1])
    with pytest.raises(ModelError, match="weights for ages"):
        faceapi.ages_to_onnx(json.dumps([{"weights": []}]).encode(), b"")
