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
from countenance.vision.landmarks import Mesh, level
from countenance.vision.runtime import Session, Tensor
from countenance.vision.warp import cut

Array = npt.NDArray[np.float32]

# What the signals stand for, in each network's order, by Rekognition's names: FER2013's order for the one
# (github.com/oarriaga/face_classification, src/utils/datasets.py), FACE_EXPRESSION_LABELS of
# github.com/vladmandic/face-api for the other.
MINI_XCEPTION_KINDS: Final = ("ANGRY", "DISGUSTED", "FEAR", "HAPPY", "SAD", "SURPRISED", "CALM")
FACE_API_KINDS: Final = ("CALM", "HAPPY", "SAD", "ANGRY", "FEAR", "DISGUSTED", "SURPRISED")

# The order of what `joined` gives, and the first network's part in it: it knows faces from the web better,
# the other posed ones. Parts from .70 to .80 are as good on half A of FER2013 and CK+ together.
KINDS: Final = ("HAPPY", "SAD", "ANGRY", "DISGUSTED", "SURPRISED", "CALM", "FEAR")
PART: Final = 0.75

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
        return _averaged(self._session.map(inputs), len(meshes))


class FaceApiExpressions:
    """face-api's expression network. Signals: the logarithms of seven probabilities, FACE_API_KINDS."""

    SIDE: Final = 112

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads, of_pixels=True)

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        """The signals of each face, (faces, 7). Raises ModelError."""
        looks = _looks(image, meshes, self.SIDE, FACE_API_CUTS)
        return _averaged(self._session.map([each[None] for each in looks]), len(meshes))


def joined(mini_xception: Array, face_api: Array) -> Array:
    """What both say together, from the signals of each: (faces, 7) logarithms of weights, in KINDS' order."""
    first = mini_xception[:, [MINI_XCEPTION_KINDS.index(kind) for kind in KINDS]]
    second = face_api[:, [FACE_API_KINDS.index(kind) for kind in KINDS]]
    return np.asarray(PART * first + (1 - PART) * second, np.float32)


def _looks(
    image: Image, meshes: Sequence[Mesh], side: int, cuts: Sequence[tuple[float, float]]
) -> list[Pixels]:
    """What is looked at, face by face: (side, side, 3) each.

    Where a cut leaves the picture its border is carried on: black there costs .08 of balanced accuracy.
    """
    looks = []
    for mesh in meshes:
        for margin, up in cuts:
            face = cut(image.pixels, level(mesh, side, margin, up), side, extended=True)
            looks += [face, face[:, ::-1]]
    return looks


def _averaged(outputs: list[list[Tensor]], faces: int) -> Array:
    """The mean of the logarithms of each face's looks, (faces, 7)."""
    if not faces:
        return np.empty((0, 7), np.float32)
    chances = np.array([output[0].ravel() for output in outputs], np.float32)
    means: Array = np.log(np.maximum(chances, _LEAST)).reshape(faces, -1, 7).mean(1)
    return means
