"""FaceRes: a face's apparent age and gender, and the features under them, in one look.

A MobileNet that learned to tell people apart, then their ages and genders (Savchenko 2019, HSE-FaceRes).
What its signals mean is not said here: attributes.toml does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.types import Face, Image
from countenance.vision import zoo
from countenance.vision.landmarks import Mesh
from countenance.vision.runtime import Session, Tensor
from countenance.vision.warp import cut

Array = npt.NDArray[np.float32]

SIDE: Final = 224
# Sides of the cut over those of the face's box. From 1.15 to 1.5, square or of the box's shape, the error of
# age and the order of gender scores hardly move (utkface, fairface); 1.0 is worse.
MARGIN: Final = 1.3
MEAN_BGR: Final = np.array([103.939, 116.779, 123.68], np.float32)  # of ImageNet, as Caffe's networks have it

# Where the signals lie in a row: the logit of "male"; the apparent age in years; the features that age and
# gender are read from, one mean over the whole face each; and features of three bands of the face, brow, eyes
# with nose, and mouth, 512 each, from before the network forgets where things are.
MALE: Final = 0
YEARS: Final = 1
FEATURES: Final = slice(2, 1026)
BANDS: Final = slice(1026, 2562)
SIGNALS: Final = 2562

PLACES: Final = "conv_pw_11_relu/clip_by_value"  # the last step of 14 x 14 places, (1, 512, 14, 14)

_LEAST: Final = 1e-7  # as near to 0 and 1 as a probability is taken at its word: logits end at 16
_AGES: Final = np.arange(1, 101, dtype=np.float32)  # what the network's hundred bins stand for


class FaceRes:
    """A Net. Its signals are MALE, YEARS, FEATURES and BANDS; no feature is negative."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:
        """The signals of each face, (faces, SIGNALS). Raises ModelError."""
        cuts = [
            cut(image.pixels, level(image, face, mesh), SIDE, extended=True)
            for face, mesh in zip(faces, meshes, strict=True)
        ]
        inputs = [each[None, ..., ::-1].astype(np.float32) - MEAN_BGR for each in cuts]
        return np.array([_signals(outputs) for outputs in self._session.map(inputs)]).reshape(-1, SIGNALS)


def _signals(outputs: list[Tensor]) -> Array:
    """Outputs, in the order of the network's signature: P(male), the features, P(age) over a hundred bins;
    then the places.

    The age is the mean of all bins: steadier than that of the two likeliest, which its makers take (mean
    absolute error on utkface 5.3 against 5.6 years).
    """
    male, features, ages = (output.ravel() for output in outputs[:3])
    chance = male.clip(_LEAST, 1 - _LEAST).astype(float)
    rows = outputs[3][0].mean(2)[:, :12]  # (512, 12): the last two rows show the neck
    bands = rows.reshape(512, 3, 4).mean(2).T.ravel()
    signals = [np.log(chance / (1 - chance)), [ages @ _AGES], features, bands]
    return np.concatenate(signals).astype(np.float32)


def level(image: Image, face: Face, mesh: Mesh) -> npt.NDArray[np.float64]:
    """(2, 3): the face's box, MARGIN times as wide and high, turned until the eyes are level, as the cut."""
    size = np.array([image.width, image.height])
    box = face.box
    centre = np.array([box.left + box.width / 2, box.top + box.height / 2]) * size
    eyes = mesh.points[263, :2] - mesh.points[33, :2]
    along = eyes / max(float(np.hypot(*eyes)), 1e-9)
    turn = np.array([along, [-along[1], along[0]]])
    scale = SIDE / (np.array([box.width, box.height]) * size * MARGIN)
    linear = scale[:, None] * turn
    return np.column_stack([linear, SIDE / 2 - linear @ centre])
