"""Two small networks that name the expression a face wears. Each is a Net; neither is enough by itself.

They learned from different pictures and fail on different faces: attributes.toml joins their signals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.types import Face, Image, Pixels
from countenance.vision import zoo
from countenance.vision.landmarks import Mesh
from countenance.vision.runtime import Session, Tensor
from countenance.vision.warp import cut

Array = npt.NDArray[np.float32]

# What the signals stand for, in each network's order, by Rekognition's names: FER2013's order for the one
# (github.com/oarriaga/face_classification, src/utils/datasets.py), FACE_EXPRESSION_LABELS of
# github.com/vladmandic/face-api for the other.
MINI_XCEPTION_KINDS: Final = ("ANGRY", "DISGUSTED", "FEAR", "HAPPY", "SAD", "SURPRISED", "CALM")
FACE_API_KINDS: Final = ("CALM", "HAPPY", "SAD", "ANGRY", "FEAR", "DISGUSTED", "SURPRISED")

# Cuts of a face: their side over the mesh's longer extent, and how far up they are moved, in the mesh's
# height. Each is looked at as it is and mirrored, and the logarithms are averaged. Balanced accuracy of both
# networks on half B of FER2013: .61 with one look each, .65 so; a second cut for face-api adds nothing.
MINI_XCEPTION_CUTS: Final = ((1.0, 0.0), (1.05, 0.04))
FACE_API_CUTS: Final = ((1.0, 0.0),)

_GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)  # luma (ITU-R BT.601), as OpenCV greys a photo
_LEAST: Final = np.float32(1e-6)  # a network that says less has no grounds to


class MiniXception:
    """oarriaga's mini-XCEPTION. Signals: the logarithms of seven probabilities, MINI_XCEPTION_KINDS."""

    SIDE: Final = 64

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        """The signals of each face, (faces, 7). Raises ModelError."""
        looks = _looks(image, meshes, self.SIDE, MINI_XCEPTION_CUTS)
        inputs = [(each @ _GREY / np.float32(127.5) - 1)[None, ..., None] for each in looks]
        return _joined(self._session.map(inputs), len(meshes))


class FaceApiExpressions:
    """face-api's expression network. Signals: the logarithms of seven probabilities, FACE_API_KINDS."""

    SIDE: Final = 112

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads, of_pixels=True)

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        """The signals of each face, (faces, 7). Raises ModelError."""
        looks = _looks(image, meshes, self.SIDE, FACE_API_CUTS)
        return _joined(self._session.map([each[None] for each in looks]), len(meshes))


def _looks(
    image: Image, meshes: Sequence[Mesh], side: int, cuts: Sequence[tuple[float, float]]
) -> list[Pixels]:
    """What is looked at, face by face: (side, side, 3) each.

    Where a cut leaves the picture its border is carried on: black there costs .08 of balanced accuracy.
    """
    looks = []
    for mesh in meshes:
        for margin, up in cuts:
            face = cut(image.pixels, _level(mesh, side, margin, up), side, extended=True)
            looks += [face, face[:, ::-1]]
    return looks


def _joined(outputs: list[list[Tensor]], faces: int) -> Array:
    """The mean of the logarithms of each face's looks, (faces, 7)."""
    if not faces:
        return np.empty((0, 7), np.float32)
    chances = np.array([output[0].ravel() for output in outputs], np.float32)
    means: Array = np.log(np.maximum(chances, _LEAST)).reshape(faces, -1, 7).mean(1)
    return means


def _level(mesh: Mesh, side: int, margin: float, up: float) -> npt.NDArray[np.float64]:
    """(2, 3): the mesh's extent along the line of the eyes, `margin` times as large, as `side` pixels."""
    flat = mesh.points[:, :2]
    eyes = flat[263] - flat[33]
    along = eyes / max(float(np.hypot(*eyes)), 1e-9)
    axes = np.array([along, [-along[1], along[0]]])
    extent = flat @ axes.T
    low, high = extent.min(0), extent.max(0)
    centre = (low + high) / 2 - [0, up * (high - low)[1]]
    linear = axes * side / max(float((high - low).max()) * margin, 1.0)
    return np.column_stack([linear, side / 2 - linear @ (centre @ axes)])
