"""Yahoo's open_nsfw: how likely a picture is pornographic."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image as Pillow

from countenance.types import Image, Pixels
from countenance.vision import zoo
from countenance.vision.runtime import Session, Tensor

EXPLICIT: Final = "Explicit"
"""What Rekognition calls it (its taxonomy, version 7)."""

SIDE: Final = 224
SCALED: Final = 256  # pixels that the whole picture is squeezed to; the edges are then cut off
MEAN_BGR: Final = np.array([104, 117, 123], np.float32)  # of its training pictures (classify_nsfw.py)
QUALITY: Final = 75  # of the JPEG that its makers' recipe makes on the way: Pillow's default


class OpenNsfw:
    """A Moderator with one label."""

    names = (EXPLICIT,)

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def judge(self, image: Image) -> Mapping[str, float]:
        """The label and its probability in percent. Raises ModelError."""
        [chances] = self._session.run(prepared(image.pixels))
        return MappingProxyType({EXPLICIT: 100 * float(chances[0, 1])})


def prepared(pixels: Pixels) -> Tensor:
    """The picture as the network was trained on: scaled, once through a JPEG, its middle, BGR less the means.

    1 x SIDE x SIDE x 3. The JPEG is its makers' recipe: the network has never seen a picture without.
    """
    scaled = Pillow.fromarray(pixels).resize((SCALED, SCALED), Pillow.Resampling.BILINEAR)
    stream = io.BytesIO()
    scaled.save(stream, "JPEG", quality=QUALITY)
    edge = (SCALED - SIDE) // 2
    middle = np.asarray(Pillow.open(stream).convert("RGB"))[edge : edge + SIDE, edge : edge + SIDE]
    return (middle[None, ..., ::-1] - MEAN_BGR).astype(np.float32)
