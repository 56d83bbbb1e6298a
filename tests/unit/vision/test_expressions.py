from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.unit.vision.conftest import altered, only

from countenance.errors import ModelError
from countenance.types import Box, Face, Image, Landmarks, Point
from countenance.vision import Vision, faceapi, zoo
from countenance.vision.blendshapes import BLINKS, NAMES, POINTS, SMILES, Blendshapes
from countenance.vision.expressions import (
    FACE_API_KINDS,
    KINDS,
    MINI_XCEPTION_KINDS,
    Array,
    FaceApiExpressions,
    MiniXception,
    joined,
)
from countenance.vision.mouth import Lips


@pytest.fixture(scope="module")
def nets(vision: Vision) -> tuple[MiniXception, FaceApiExpressions, Blendshapes, Lips]:
    return (
        MiniXception(zoo.card("mini-xception-fer2013"), 1),
        FaceApiExpressions(zoo.card("face-api-expressions"), 1),
        Blendshapes(zoo.card("mediapipe-blendshapes"), 1),
        Lips(vision.landmarker.card, 1),
    )


Nets = tuple[MiniXception, FaceApiExpressions, Blendshapes, Lips]


def looked(nets: Nets, vision: Vision, image: Image, face: Face | None = None) -> list[Array]:
    faces = [face or only(vision.detect(image))]
    meshes = vision.landmarker.meshes(image, faces)
    return [net.look(image, faces, meshes)[0] for net in nets]


def turned(image: Image, degrees: float) -> Image:
    matrix = cv2.getRotationMatrix2D((image.width / 2, image.height / 2), degrees, 0.8)
    return altered(np.asarray(cv2.warpAffine(image.pixels, matrix, (image.width, image.height))))


def test_collins_smiles_with_parted_lips(nets: Nets, vision: Vision, collins: Image) -> None:
    mini, other, shapes, lips = looked(nets, vision, collins)
    assert MINI_XCEPTION_KINDS[int(mini.argmax())] == "HAPPY"
    assert FACE_API_KINDS[int(other.argmax())] == "HAPPY"
    assert shapes[list(SMILES)].mean() > 0.6
    assert lips[0] > 0.05


def test_hopper_does_not(nets: Nets, vision: Vision, hopper: Image) -> None:
    mini, other, shapes, lips = looked(nets, vision, hopper)
    together = joined(mini[None], other[None])[0]
    assert KINDS[int(together.argmax())] == "CALM"
    assert shapes[list(SMILES)].mean() < 0.3
    assert lips[0] < 0.01


def test_eyes_of_both_portraits_are_open(nets: Nets, vision: Vision, collins: Image, hopper: Image) -> None:
    for image in (collins, hopper):
        assert looked(nets, vision, image)[2][list(BLINKS)].max() < 0.5


def test_a_tilted_head_wears_the_same_expression(nets: Nets, vision: Vision, collins: Image) -> None:
    mini, other, shapes, lips = looked(nets, vision, turned(collins, 35))
    assert KINDS[int(joined(mini[None], other[None])[0].argmax())] == "HAPPY"
    assert shapes[list(SMILES)].mean() > 0.6
    assert lips[0] > 0.05


def test_a_mirrored_face_changes_sides_and_nothing_else(nets: Nets, vision: Vision, collins: Image) -> None:
    plain = looked(nets, vision, collins)
    mirrored = looked(nets, vision, altered(collins.pixels[:, ::-1]))
    for one, other in zip(plain[:2], mirrored[:2], strict=True):
        assert one.argmax() == other.argmax()
    assert mirrored[3][0] == pytest.approx(plain[3][0], abs=0.01)
    assert mirrored[2][list(SMILES)].mean() == pytest.approx(plain[2][list(SMILES)].mean(), abs=0.1)


def test_joining_keeps_each_kind_in_its_place() -> None:
    for kind in KINDS:
        mini = np.array([[0.0 if each == kind else -9.0 for each in MINI_XCEPTION_KINDS]], np.float32)
        other = np.array([[0.0 if each == kind else -9.0 for each in FACE_API_KINDS]], np.float32)
        together = joined(mini, other)
        assert KINDS[int(together[0].argmax())] == kind
        assert together.max() == 0
    assert joined(np.empty((0, 7), np.float32), np.empty((0, 7), np.float32)).shape == (0, 7)


def test_blendshapes_are_named_once_and_read_known_points() -> None:
    assert len(set(NAMES)) == len(NAMES) == 52
    assert len(set(POINTS)) == len(POINTS) == 146
    assert list(POINTS) == sorted(POINTS)
    assert POINTS[-1] == 477
    lefts = {name.removesuffix("Left") for name in NAMES if name.endswith("Left")}
    assert lefts == {name.removesuffix("Right") for name in NAMES if name.endswith("Right")}


def drawn() -> Image:
    pixels = np.full((300, 300, 3), 250, np.uint8)
    cv2.circle(pixels, (150, 150), 110, (20, 20, 20), 4)
    for x in (110, 190):
        cv2.circle(pixels, (x, 120), 12, (20, 20, 20), -1)
    cv2.ellipse(pixels, (150, 180), (55, 35), 0, 0, 180, (20, 20, 20), 5)
    return altered(pixels)


def boxed(left: float, top: float, width: float, height: float) -> Face:
    def at(x: float, y: float) -> Point:
        return Point(left + x * width, top + y * height)

    marks = Landmarks(at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.78), at(0.65, 0.78))
    return Face(Box(left, top, width, height), marks, 50.0)


@pytest.mark.parametrize(
    ("which", "face"),
    [
        ("tiny", boxed(0.2, 0.1, 0.6, 0.8)),
        ("black", boxed(0.3, 0.3, 0.4, 0.4)),
        ("drawn", boxed(0.13, 0.13, 0.74, 0.74)),
        ("cut", boxed(-0.6, 0.2, 0.9, 0.9)),
        ("outside", boxed(1.5, 1.5, 0.4, 0.4)),
        ("all", boxed(-2.0, -2.0, 5.0, 5.0)),
    ],
)
def test_what_is_hardly_a_face_gives_finite_numbers(
    nets: Nets, vision: Vision, collins: Image, which: str, face: Face
) -> None:
    found = only(vision.detect(collins)).box
    x, y = int(found.left * 512), int(found.top * 512)
    close = collins.pixels[y : y + int(found.height * 512), x : x + int(found.width * 512)]
    pictures = {
        "tiny": altered(np.asarray(cv2.resize(close, (15, 15), interpolation=cv2.INTER_AREA))),
        "black": altered(np.zeros((200, 200, 3))),
        "drawn": drawn(),
    }
    for signals in looked(nets, vision, pictures.get(which, collins), face):
        assert np.isfinite(signals).all()
        assert signals.dtype == np.float32


def test_weights_that_do_not_fit_are_refused() -> None:
    manifest, weights = zoo.verify(zoo.card("face-api-expressions"))
    with pytest.raises(ModelError, match="not face-api's expression weights"):
        faceapi.to_onnx(manifest, weights[:-4])
    with pytest.raises(ModelError, match="not face-api's expression weights"):
        faceapi.to_onnx(manifest, weights + b"\0")
    with pytest.raises(ModelError, match="not face-api's expression weights"):
        faceapi.to_onnx(b"[]", weights)
    with pytest.raises(ModelError, match="not face-api's expression weights"):
        faceapi.to_onnx(b"{", weights)
