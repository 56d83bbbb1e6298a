"""EfficientNet-Lite: which of ImageNet's thousand classes a whole picture would be filed under."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from countenance.types import Image
from countenance.vision import zoo
from countenance.vision.runtime import Session

Array = npt.NDArray[np.float32]

SIDE: Final = 224
"""Pixels a side. It was trained at 260; at 224 it takes three quarters of the time, and tells scenes as well
(docs/numbers-labels.md)."""
CLASSES: Final = 1000


class EfficientNet:
    """A Classifier."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def classify(self, image: Image) -> Array:
        """The probability of each class, (CLASSES,), in the order of their numbers. Raises ModelError.

        The whole picture is looked at, out of shape where it is not square: what lies at its edges counts.
        """
        large = min(image.width, image.height) >= SIDE
        way = cv2.INTER_AREA if large else cv2.INTER_CUBIC
        small = cv2.resize(image.pixels, (SIDE, SIDE), interpolation=way).astype(np.float32)
        probabilities, *_ = self._session.run(((small - 127) / 128).transpose(2, 0, 1)[None])
        return np.asarray(probabilities[0], np.float32)
