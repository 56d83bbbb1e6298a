"""Two small networks that second FaceRes on age and gender. Each is a Net.

They learned from other pictures than FaceRes, so they fail on other faces: attributes.toml joins their
signals with its. Alone each is worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.types import Face, Image
from countenance.vision import zoo
from countenance.vision.landmarks import Mesh, level
from countenance.vision.runtime import Session
from countenance.vision.warp import cut

Array = npt.NDArray[np.float32]

# Where FaceApiAges' signals lie in a row: the logit of "male", the apparent age in years.
MALE: Final = 0
YEARS: Final = 1


class FaceApiAges:
    """face-api's age and gender network. Signals: MALE and YEARS.

    It is shown the mesh's extent, eyes level, and that mirrored; the signals are the means of both. Its
    makers show it a box: it then errs by 7.9 years on fairface and 5.2 on utkface, by 7.0 and 4.8 cut by
    the mesh, by 6.7 and 4.7 with the mirrored look.
    """

    SIDE: Final = 112

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads, of_pixels=True)

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        """The signals of each face, (faces, 2). Raises ModelError."""
        cuts = [cut(image.pixels, level(mesh, self.SIDE), self.SIDE, extended=True) for mesh in meshes]
        looks = [look[None] for each in cuts for look in (each, np.ascontiguousarray(each[:, ::-1]))]
        rows = [(male - female, years) for [[years]], [[male, female]] in self._session.map(looks)]
        means: Array = np.array(rows, np.float32).reshape(-1, 2, 2).mean(1)
        return means


class DlibGender:
    """dlib's gender network. Signal: the logit of "male".

    It is shown the mesh's extent, eyes level: the further the cut reaches beyond it, the worse (area under
    the curve on fairface's adults .935; .91 at 1.1 times the extent, .83 at 1.3).
    """

    SIDE: Final = 32
    MEAN_RGB: Final = np.array([122.782, 117.001, 104.298], np.float32)  # dlib's input_rgb_image

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        """The signal of each face, (faces, 1). Raises ModelError."""
        cuts = [cut(image.pixels, level(mesh, self.SIDE), self.SIDE, extended=True) for mesh in meshes]
        inputs = [((each - self.MEAN_RGB) / np.float32(256)).transpose(2, 0, 1)[None] for each in cuts]
        chances = np.array([outputs[0].ravel() for outputs in self._session.map(inputs)], float).reshape(
            -1, 2
        )
        female, male = chances.clip(1e-7, 1).T  # logits end at 16, as FaceRes's do
        logits: Array = np.log(male / female).astype(np.float32)[:, None]
        return logits
