"""MediaPipe's blendshapes: how far each of 52 movements of a face has gone, read off its mesh."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.types import Face, Image
from countenance.vision import zoo
from countenance.vision.landmarks import Mesh
from countenance.vision.runtime import Session

Array = npt.NDArray[np.float32]

# The mesh points the network takes, in its order: github.com/google-ai-edge/mediapipe,
# mediapipe/tasks/cc/vision/face_landmarker/face_blendshapes_graph.cc, kLandmarksSubsetIdxs.
POINTS: Final = (
    *(0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67),
    *(70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146),
    *(148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181),
    *(185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293),
    *(295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361),
    *(362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398),
    *(400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477),
)

# The movements in the network's order (kBlendshapeNames of the same file). Left and right are the subject's.
NAMES: Final = (
    *("_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight"),
    *("eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft"),
    *("eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight"),
    *("eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose"),
    *("mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft"),
    *("mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker"),
    *("mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft"),
    *("mouthUpperUpRight", "noseSneerLeft", "noseSneerRight"),
)

SMILES: Final = (NAMES.index("mouthSmileLeft"), NAMES.index("mouthSmileRight"))
BLINKS: Final = (NAMES.index("eyeBlinkLeft"), NAMES.index("eyeBlinkRight"))


class Blendshapes:
    """A Net. Its signals are NAMES, each in [0, 1]."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, self._network, threads)

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        """The signals of each mesh, (faces, 52). Raises ModelError."""
        inputs = [mesh.points[None, POINTS, :2].astype(np.float32) for mesh in meshes]
        return np.array([outputs[0].ravel() for outputs in self._session.map(inputs)]).reshape(-1, len(NAMES))

    def _network(self) -> bytes:
        """The card's file is the landmarker's too: a zip of networks."""
        [task] = zoo.verify(self.card)
        with zipfile.ZipFile(io.BytesIO(task)) as networks:
            return networks.read("face_blendshapes.tflite")
