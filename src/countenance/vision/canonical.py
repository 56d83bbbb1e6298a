"""MediaPipe's canonical face: the 3-D shape that pose is measured against, read from face_landmarker.task.

geometry_pipeline_metadata_landmarks.binarypb is a protocol buffer (mediapipe's
face_geometry.proto.GeometryPipelineMetadata). Two of its parts are needed, and they are told by shape alone:
the mesh's vertex buffer of 468 x (x, y, z, u, v) and the weighted list of points that do not move with the
expression (the procrustes landmark basis).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from countenance.errors import ModelError

Array = npt.NDArray[np.float64]

_VERTICES = 468
_BUFFER = _VERTICES * 5 * 4  # bytes


@dataclass(frozen=True, slots=True, eq=False)
class CanonicalFace:
    """places: (K, 3), centimetres, x to the viewer's right, y up, z towards the viewer.

    which: (K,) indices into the 478 landmarks. weights: (K,), summing to 1.
    """

    places: Array
    which: npt.NDArray[np.int64]
    weights: Array

    def rotation(self, landmarks: Array) -> Array:
        """The rotation (3, 3) from the canonical face to this one, by weighted least squares (Kabsch 1976).

        landmarks: (478, 3) in pixels of the image, x right, y down, z away from the camera.
        """
        seen = landmarks[self.which] * [1, -1, -1]
        weights = self.weights[:, None]
        there = seen - (weights * seen).sum(0)
        here = self.places - (weights * self.places).sum(0)
        u, _, v = np.linalg.svd((there * weights).T @ here)
        upright = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
        return np.asarray(u @ upright @ v)


def parse(data: bytes) -> CanonicalFace:
    """The canonical face. Raises ModelError where the parts are not there."""
    vertices: Array | None = None
    basis: list[tuple[int, float]] = []
    for _, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        floats = b"".join(part for wire, part in _fields(value) if wire == 5 and isinstance(part, bytes))
        packed = [part for _, part in _fields(value) if isinstance(part, bytes) and len(part) == _BUFFER]
        buffer = packed[0] if packed else floats
        if len(buffer) == _BUFFER:
            vertices = np.frombuffer(buffer, np.float32).reshape(_VERTICES, 5)[:, :3].astype(float)
        elif len(floats) == 4:  # { landmark_id: varint, absent if 0; weight: float }
            index = [part for wire, part in _fields(value) if wire == 0 and isinstance(part, int)]
            basis.append((index[0] if index else 0, float(np.frombuffer(floats, np.float32)[0])))
    if vertices is None or not basis:
        raise ModelError("the face landmarker's file holds no canonical face")
    which = np.array([index for index, _ in basis])
    weights = np.array([weight for _, weight in basis])
    return CanonicalFace(vertices[which], which, weights / weights.sum())


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(wire type, value) of a message's fields; ends quietly where the bytes are no message."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            number, place = _varint(data, place)
            yield wire, number
            continue
        if wire == 2:
            length, place = _varint(data, place)
        elif wire in {1, 5}:
            length = 8 if wire == 1 else 4
        else:
            return
        yield wire, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(data):
        byte = data[place]
        place += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return number, place
