"""MediaPipe's face landmarker: 478 points on a face, from them Rekognition's thirty and the head's pose."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.types import Description, Face, Image, Landmarks, Point, Pose
from countenance.vision import canonical, zoo
from countenance.vision.quality import quality
from countenance.vision.runtime import Session
from countenance.vision.warp import cut

Array = npt.NDArray[np.float64]

SIDE: Final = 256
MARGIN: Final = 1.5  # side of the cut over the longer side of the face (MediaPipe's face_landmarker graph)

# Rekognition's names in its order; left and right are the viewer's. MediaPipe's mesh numbers, averaged where
# several: github.com/google-ai-edge/mediapipe, face_landmarks_connections.py and its drawing of the mesh.
NAMED: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "eyeLeft": (33, 133, 159, 145),
        "eyeRight": (362, 263, 386, 374),
        "mouthLeft": (61,),
        "mouthRight": (291,),
        "nose": (1,),
        "leftEyeBrowLeft": (70, 46),
        "leftEyeBrowRight": (107, 55),
        "leftEyeBrowUp": (105,),
        "rightEyeBrowLeft": (336, 285),
        "rightEyeBrowRight": (300, 276),
        "rightEyeBrowUp": (334,),
        "leftEyeLeft": (33,),
        "leftEyeRight": (133,),
        "leftEyeUp": (159,),
        "leftEyeDown": (145,),
        "rightEyeLeft": (362,),
        "rightEyeRight": (263,),
        "rightEyeUp": (386,),
        "rightEyeDown": (374,),
        "noseLeft": (129,),
        "noseRight": (358,),
        "mouthUp": (0,),
        "mouthDown": (17,),
        "leftPupil": (468,),
        "rightPupil": (473,),
        "upperJawlineLeft": (234,),
        "midJawlineLeft": (172,),
        "chinBottom": (152,),
        "midJawlineRight": (397,),
        "upperJawlineRight": (454,),
    }
)

# types.Landmarks' order
FIVE: Final = {name: NAMED[name] for name in ("eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight")}


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """478 points (x, y, z) in pixels of the image, z away from the camera.

    presence: [0, 1]. before: the look that showed where to look for this one, if there was one.
    """

    points: Array
    presence: float
    before: Mesh | None = None


class MediaPipeLandmarks:
    """A Landmarker."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: self._member("face_landmarks_detector.tflite"), threads)

    def describe(self, image: Image, face: Face, mesh: Mesh) -> Description:
        """Pose, quality and thirty points of a face."""
        points = named(mesh, image)
        return Description(
            self.pose(mesh), quality(image, face.box), points, _five(mesh.before or mesh, image)
        )

    def placed(self, image: Image, faces: Sequence[Face]) -> tuple[Face, ...]:
        """The faces with five points from one look at each: embeddings of faces aligned by them are steadier.

        Measured on 359 web photos of 40 people (celeba-wild): rank-1 .931 against .912 by the detector's own
        points, true accepts at a false match rate of 1e-4 .881 against .822. A second look adds nothing.
        """
        meshes = self._look(image, [_where(face, image) for face in faces])
        return tuple(
            replace(face, landmarks=_five(mesh, image)) for face, mesh in zip(faces, meshes, strict=True)
        )

    def meshes(self, image: Image, faces: Sequence[Face]) -> tuple[Mesh, ...]:
        """One mesh per face: a look where the detector points, another where that look's points do.

        Raises ModelError.
        """
        first = self._look(image, [_where(face, image) for face in faces])
        second = self._look(image, [_around(mesh) for mesh in first])
        return tuple(replace(mesh, before=before) for mesh, before in zip(second, first, strict=True))

    def pose(self, mesh: Mesh) -> Pose:
        """Which way the head points (types.Pose has the signs)."""
        turn = self._canonical.rotation(mesh.points)
        forward, up = turn[:, 2], turn[:, 1]
        return Pose(
            yaw=float(np.degrees(np.arctan2(forward[0], forward[2]))),
            pitch=float(np.degrees(np.arcsin(np.clip(forward[1], -1, 1)))),
            roll=float(-np.degrees(np.arctan2(turn[1, 0], up[1]))),
        )

    def _look(self, image: Image, matrices: Sequence[Array]) -> tuple[Mesh, ...]:
        cuts = [
            cut(image.pixels, matrix, SIDE).astype(np.float32)[None] / np.float32(255) for matrix in matrices
        ]
        outputs = self._session.map(cuts)
        return tuple(_mesh(each, matrix) for each, matrix in zip(outputs, matrices, strict=True))

    def _member(self, name: str) -> bytes:
        """The card's file is a zip of networks; they are read without unpacking it to disk."""
        with zipfile.ZipFile(io.BytesIO(zoo.load(self.card))) as task:
            return task.read(name)

    @cached_property
    def _canonical(self) -> canonical.CanonicalFace:
        return canonical.parse(self._member("geometry_pipeline_metadata_landmarks.binarypb"))


def named(mesh: Mesh, image: Image, names: Mapping[str, tuple[int, ...]] = NAMED) -> Mapping[str, Point]:
    """Rekognition's thirty points, or those in `names`, in order."""
    places = _averages(tuple(names.values())) @ mesh.points[:, :2] / [image.width, image.height]
    return MappingProxyType({name: Point(x, y) for name, (x, y) in zip(names, places.tolist(), strict=True)})


@cache
def _averages(groups: tuple[tuple[int, ...], ...]) -> Array:
    """The matrix (groups, 478) that averages the mesh's points by groups: one product for all of them."""
    weights = np.zeros((len(groups), 478))
    for row, group in zip(weights, groups, strict=True):
        row[list(group)] = 1 / len(group)
    return weights


def _five(mesh: Mesh, image: Image) -> Landmarks:
    return Landmarks(*named(mesh, image, FIVE).values())


def _mesh(outputs: list[npt.NDArray[np.float32]], matrix: Array) -> Mesh:
    """Outputs: the points in pixels of the cut, the logit of presence, and the tongue's, not used."""
    points = outputs[0].reshape(478, 3).astype(float)
    linear = matrix[:, :2]
    flat = (points[:, :2] - matrix[:, 2]) @ np.linalg.inv(linear).T
    depth = points[:, 2:] / np.hypot(linear[0, 0], linear[1, 0])
    presence = 1 / (1 + np.exp(-float(outputs[1].item())))
    return Mesh(np.concatenate([flat, depth], 1), presence)


def _where(face: Face, image: Image) -> Array:
    """The cut's matrix from a detected face: centred on its box, its eyes level."""
    size = np.array([image.width, image.height])
    marks, box = face.landmarks, face.box
    eyes = (np.array([marks.eye_right.x, marks.eye_right.y]) - [marks.eye_left.x, marks.eye_left.y]) * size
    centre = np.array([box.left + box.width / 2, box.top + box.height / 2]) * size
    return _square(centre, max(box.width * image.width, box.height * image.height), eyes)


def _around(mesh: Mesh) -> Array:
    """The cut's matrix from a mesh: centred on its extent along the line of the eyes' outer corners."""
    flat = mesh.points[:, :2]
    eyes = flat[263] - flat[33]
    along = eyes / max(float(np.hypot(*eyes)), 1e-9)
    axes = np.array([along, [-along[1], along[0]]])
    extent = flat @ axes.T
    low, high = extent.min(0), extent.max(0)
    return _square((low + high) / 2 @ axes, float((high - low).max()), eyes)


def level(mesh: Mesh, side: int, margin: float = 1.0, up: float = 0.0) -> Array:
    """(2, 3): the face with its eyes level, filling `side` x `side` pixels: `margin` times the mesh's extent.

    up: how far the cut is moved up the face, in the mesh's height.
    """
    flat = mesh.points[:, :2]
    eyes = flat[263] - flat[33]
    along = eyes / max(float(np.hypot(*eyes)), 1e-9)
    axes = np.array([along, [-along[1], along[0]]])
    extent = flat @ axes.T
    low, high = extent.min(0), extent.max(0)
    centre = (low + high) / 2 - [0, up * (high - low)[1]]
    linear = axes * side / max(float((high - low).max()) * margin, 1.0)
    return np.column_stack([linear, side / 2 - linear @ (centre @ axes)])


def _square(centre: Array, side: float, eyes: Array) -> Array:
    """(2, 3): turns the vector `eyes` level and fits MARGIN times `side` around `centre` into the cut."""
    angle = np.arctan2(eyes[1], eyes[0])
    scale = SIDE / max(side * MARGIN, 1.0)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([linear, SIDE / 2 - linear @ centre])
