from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.unit.vision.conftest import altered, only

from countenance.errors import ModelError
from countenance.types import Description, Image
from countenance.vision import Vision, canonical
from countenance.vision.landmarks import NAMED, level


def described(vision: Vision, image: Image) -> Description:
    [description] = vision.describe(image, [only(vision.detect(image))])
    return description


def turned(image: Image, clockwise: float) -> Image:
    matrix = cv2.getRotationMatrix2D((image.width / 2, image.height / 2), -clockwise, 0.8)
    return altered(np.asarray(cv2.warpAffine(image.pixels, matrix, (image.width, image.height))))


def test_the_thirty_names_come_in_rekognitions_order(vision: Vision, hopper: Image) -> None:
    points = described(vision, hopper).points
    assert list(points) == list(NAMED)
    assert len(points) == 30
    assert list(points)[:5] == ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]
    assert list(points)[-5:] == [
        "upperJawlineLeft",
        "midJawlineLeft",
        "chinBottom",
        "midJawlineRight",
        "upperJawlineRight",
    ]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("who", ["hopper", "collins"])
def test_left_is_the_viewers_and_up_is_up(
    vision: Vision, request: pytest.FixtureRequest, who: str, mirrored: bool
) -> None:
    image: Image = request.getfixturevalue(who)
    points = described(vision, altered(image.pixels[:, ::-1]) if mirrored else image).points
    across = [
        ("upperJawlineLeft", "leftEyeBrowLeft", "leftEyeBrowUp", "leftEyeBrowRight", "rightEyeBrowLeft"),
        ("rightEyeBrowLeft", "rightEyeBrowUp", "rightEyeBrowRight", "upperJawlineRight"),
        ("leftEyeLeft", "leftPupil", "leftEyeRight", "nose", "rightEyeLeft", "rightPupil", "rightEyeRight"),
        ("leftEyeLeft", "eyeLeft", "leftEyeRight", "rightEyeLeft", "eyeRight", "rightEyeRight"),
        ("midJawlineLeft", "mouthLeft", "noseLeft", "nose", "noseRight", "mouthRight", "midJawlineRight"),
    ]
    down = [
        ("leftEyeBrowUp", "leftEyeUp", "leftEyeDown", "nose", "mouthUp", "mouthDown", "chinBottom"),
        ("rightEyeBrowUp", "rightEyeUp", "rightEyeDown", "noseRight", "mouthRight", "chinBottom"),
        ("upperJawlineLeft", "midJawlineLeft", "chinBottom"),
    ]
    for names in across:
        x = [points[name].x for name in names if not (name == "noseLeft" and "mouthLeft" in names)]
        assert x == sorted(x), names
    for names in down:
        y = [points[name].y for name in names]
        assert y == sorted(y), names


def test_a_description_spares_the_embedding_a_look(vision: Vision, hopper: Image, collins: Image) -> None:
    for image in (hopper, turned(collins, 30)):
        faces = vision.detect(image)
        [alone], [shared] = (
            vision.embed(image, faces),
            vision.embed(image, faces, vision.describe(image, faces)),
        )
        assert (alone.vector == shared.vector).all()


def test_the_mesh_agrees_with_the_detector(vision: Vision, hopper: Image, collins: Image) -> None:
    for image in (hopper, collins):
        face = only(vision.detect(image))
        points = described(vision, image).points
        marks = face.landmarks
        pairs = [("eyeLeft", marks.eye_left), ("eyeRight", marks.eye_right), ("nose", marks.nose)]
        pairs += [("mouthLeft", marks.mouth_left), ("mouthRight", marks.mouth_right)]
        for name, mark in pairs:
            apart = np.hypot(points[name].x - mark.x, points[name].y - mark.y)
            assert apart < 0.12 * face.box.width, name


@pytest.mark.parametrize("clockwise", [-45, -20, 20, 45])
def test_roll_is_positive_clockwise(vision: Vision, hopper: Image, clockwise: float) -> None:
    straight, leaning = described(vision, hopper).pose, described(vision, turned(hopper, clockwise)).pose
    assert leaning.roll - straight.roll == pytest.approx(clockwise, abs=5)
    assert leaning.yaw == pytest.approx(straight.yaw, abs=8)
    assert leaning.pitch == pytest.approx(straight.pitch, abs=8)


def test_a_mirror_turns_yaw_and_roll_round_and_leaves_pitch(vision: Vision, collins: Image) -> None:
    plain = described(vision, collins).pose
    mirror = described(vision, altered(collins.pixels[:, ::-1])).pose
    assert mirror.yaw == pytest.approx(-plain.yaw, abs=3)
    assert mirror.roll == pytest.approx(-plain.roll, abs=3)
    assert mirror.pitch == pytest.approx(plain.pitch, abs=3)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(30, 0, 0), (0, 20, 0), (0, 0, 25), (-40, -15, 10)])
def test_pose_reads_back_the_rotation_of_the_canonical_face(
    vision: Vision, yaw: float, pitch: float, roll: float
) -> None:
    """The face's own shape, turned: its nose moves right with yaw, up with pitch, its top right with roll."""
    from countenance.vision.landmarks import MediaPipeLandmarks, Mesh  # noqa: PLC0415

    landmarker = vision.landmarker
    assert isinstance(landmarker, MediaPipeLandmarks)
    shape = landmarker._canonical
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), np.sin(c), 0], [-np.sin(c), np.cos(c), 0], [0, 0, 1]])
    points = np.zeros((478, 3))
    points[shape.which] = (shape.places @ (about_y @ about_x @ about_z).T * 12 + [300, -200, 0]) * [1, -1, -1]
    pose = landmarker.pose(Mesh(points, 1.0))
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=0.01)


def test_faces_keep_their_order(vision: Vision, hopper: Image, collins: Image) -> None:
    both = altered(np.hstack([hopper.pixels[:512], collins.pixels]))
    faces = vision.detect(both)
    for face, description in zip(faces, vision.describe(both, faces), strict=True):
        nose = description.points["nose"]
        assert face.box.left < nose.x < face.box.left + face.box.width


def test_nobody_gives_nothing(vision: Vision, hopper: Image) -> None:
    assert vision.describe(hopper, []) == ()


@pytest.mark.parametrize("data", [b"", b"\x0a", b"\x0a\x05hello", b"\xff" * 40, bytes(100)])
def test_a_file_without_the_canonical_face_is_an_error(data: bytes) -> None:
    with pytest.raises(ModelError):
        canonical.parse(data)


@pytest.mark.parametrize("clockwise", [0, 30])
def test_a_levelled_face_fills_the_cut_with_its_eyes_level(
    vision: Vision, collins: Image, clockwise: float
) -> None:
    image = turned(collins, clockwise)
    [mesh] = vision.landmarker.meshes(image, [only(vision.detect(image))])
    matrix = level(mesh, 100)
    points = mesh.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert points[33, 1] == pytest.approx(points[263, 1], abs=1e-6)
    extent = points.max(0) - points.min(0)
    assert extent.max() == pytest.approx(100)
    assert (points.max(0) + points.min(0)) / 2 == pytest.approx(np.array([50, 50]))
    higher = level(mesh, 100, margin=2, up=0.5)
    points = mesh.points[:, :2] @ higher[:, :2].T + higher[:, 2]
    assert (points.max(0) - points.min(0)).max() == pytest.approx(50)
    assert (points.max(0) + points.min(0))[1] / 2 == pytest.approx(50 + extent[1] / 4)
