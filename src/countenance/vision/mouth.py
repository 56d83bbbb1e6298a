"""How far the lips are apart, measured on the face's mesh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.types import Face, Image
from countenance.vision import zoo
from countenance.vision.landmarks import Mesh

Array = npt.NDArray[np.float32]

# Mesh numbers of the lips' inner edges, in the middle and left and right of it, and of the forehead's top and
# the chin: github.com/google-ai-edge/mediapipe, face_landmarks_connections.py.
UPPER: Final = (13, 82, 312)
LOWER: Final = (14, 87, 317)
FOREHEAD: Final = 10
CHIN: Final = 152


class Lips:
    """A Net that needs no network of its own: its card is the landmarker's.

    One signal: the gap between the lips over the face's height. The height is taken in space, that of a
    nodding head not being shorter.
    """

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:  # noqa: ARG002
        self.card = card

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        """The signal of each mesh, (faces, 1)."""
        return np.array([[_gap(mesh)] for mesh in meshes], np.float32).reshape(-1, 1)


def _gap(mesh: Mesh) -> float:
    points = mesh.points
    apart = points[list(UPPER), :2] - points[list(LOWER), :2]
    height = float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    return float(np.hypot(*apart.T).mean()) / max(height, 1.0)
