"""SFace: a face as 128 numbers of unit length. Faces of one person lie near each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from countenance.errors import ModelError
from countenance.types import Embedding, Face, Image
from countenance.vision import zoo
from countenance.vision.runtime import Session, Tensor
from countenance.vision.warp import cut, similarity

SIDE: Final = 112
# Where eyes, nose and mouth corners belong, in pixels of the cut: the ArcFace template (Deng et al. 2019).
TEMPLATE: Final = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


class SFace:
    """An Embedder."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads, of_pixels=True)

    def embed(self, image: Image, faces: Sequence[Face]) -> tuple[Embedding, ...]:
        """One embedding per face, in order. Raises ModelError."""
        if not faces:
            return ()
        matrices = similarity(np.array([_points(face, image) for face in faces]), TEMPLATE)
        cuts = [cut(image.pixels, matrix, SIDE)[None] for matrix in matrices]
        return tuple(self._embedding(outputs[0].ravel()) for outputs in self._session.map(cuts))

    def _embedding(self, raw: Tensor) -> Embedding:
        length = float(np.linalg.norm(raw))
        if not np.isfinite(length) or length == 0:
            raise ModelError(f"{self.card.id} gave an embedding without a direction")
        return Embedding((raw / length).astype(np.float32), self.card.id)


def _points(face: Face, image: Image) -> list[tuple[float, float]]:
    marks = face.landmarks
    places = (marks.eye_left, marks.eye_right, marks.nose, marks.mouth_left, marks.mouth_right)
    return [(point.x * image.width, point.y * image.height) for point in places]
