"""Linear heads: what FaceRes' features say of spectacles, facial hair, a mask and a hat.

The network runs once for age and gender; what is asked here costs one small product of matrices. The weights
were fitted by bench/heads.py on CelebA's labels, which are for non-commercial research: the card says so, and
a commercial-only home goes without.
"""

from __future__ import annotations

import io
import zipfile
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.errors import ModelError
from countenance.vision import faceres, zoo

Array = npt.NDArray[np.float32]

NAMES: Final = ("eyeglasses", "beard", "mustache", "mask", "hat")
"""The heads in the order of the file's rows. "mask": one that covers nose or mouth."""
FEATURES: Final = slice(faceres.FEATURES.start, faceres.BANDS.stop)
_SHAPE: Final = (len(NAMES), faceres.SIGNALS - faceres.FEATURES.start)


class Heads:
    """A Head; the card's file holds `weights` (heads, features) and `bias` (heads,)."""

    source = "faceres-deep"

    def __init__(self, card: zoo.Card) -> None:
        self.card = card

    def read(self, signals: Array) -> Array:
        """A score a face and head, (faces, heads), from FaceRes' signals. Above is more likely; no unit.

        Raises ModelError where the file is missing or is not the one on the card.
        """
        weights, bias = self._fitted
        return np.asarray(signals[:, FEATURES] @ weights.T + bias, np.float32)

    @cached_property
    def _fitted(self) -> tuple[Array, Array]:
        (file,) = zoo.verify(self.card)
        try:
            with np.load(io.BytesIO(file), allow_pickle=False) as arrays:
                weights, bias = arrays["weights"], arrays["bias"]
        except (KeyError, ValueError, zipfile.BadZipFile) as odd:
            raise ModelError(f"{self.card.id} cannot be read: {odd}") from odd
        if weights.shape != _SHAPE or bias.shape != _SHAPE[:1]:
            raise ModelError(f"{self.card.id} has weights of {weights.shape} where {_SHAPE} are needed")
        return weights.astype(np.float32), bias.astype(np.float32)
