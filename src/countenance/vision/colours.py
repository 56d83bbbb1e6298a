"""The colours, brightness, sharpness and contrast of a picture and of parts of it.

What Rekognition measures here is not published. Ours: colours are clusters in CIELAB, where distances are
about as people see them; brightness and contrast are of the luma; sharpness is fine detail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ImageColor

from countenance.types import Box, Image

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SIDE: Final = 80  # pixels of the picture's longer side while colours are counted
DETAIL: Final = 512  # of its longer side while sharpness is measured: phones' noise is gone, detail is not
CLUSTERS: Final = 20  # as many colours as a caller may ask for
NEAR: Final = 9.0  # CIELAB units within which two clusters are one colour: about four just-seen steps
FEWEST: Final = 0.005  # the least share of the pixels that makes a colour
CENTRE: Final = 0.6  # of each side: the foreground where nothing was found
_TURNS: Final = 8  # of k-means; clusters of photos move little after five

SIMPLE: Final[Mapping[str, str]] = {
    "black": "#000000", "white": "#ffffff", "grey": "#808080", "red": "#d01010", "orange": "#f58010",
    "yellow": "#f0e020", "green": "#208a20", "blue": "#2040c0", "purple": "#702090", "pink": "#ff90b0",
    "brown": "#704020", "beige": "#e0d0b0",
}  # fmt: skip
"""Twelve plain names and a colour for each. Rekognition has twelve as well; which, is not published."""


@dataclass(frozen=True, slots=True)
class Colour:
    """red, green, blue: [0, 255]. css: the nearest of CSS's named colours. simple: the nearest of SIMPLE.

    percent: of the pixels looked at, [0, 100].
    """

    red: int
    green: int
    blue: int
    css: str
    simple: str
    percent: float

    @property
    def hex(self) -> str:
        return f"{self.red:02x}{self.green:02x}{self.blue:02x}"


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture or a part of it looks. brightness, sharpness, contrast: each [0, 100].

    colours: the commonest first, CLUSTERS at most.
    """

    brightness: float
    sharpness: float
    contrast: float
    colours: tuple[Colour, ...]


@dataclass(frozen=True, slots=True)
class Looks:
    """The whole picture, what is in front and what is behind."""

    whole: Look
    foreground: Look
    background: Look


class Painted:
    """A picture's colours, counted once for all its parts."""

    def __init__(self, image: Image) -> None:
        self._small = _shrunk(image, SIDE)
        self._fine = _shrunk(image, DETAIL)
        lab = _lab(self._small.reshape(-1, 3))
        self._nearest = _nearest(lab, _clusters(lab)).reshape(self._small.shape[:2])

    def looks(self, things: Iterable[Box]) -> Looks:
        """things: where things were found; their boxes are the foreground.

        Where none was, or they leave no background, the middle of the picture stands in front of its edges.
        """
        front = self._inside(things)
        if not front.any() or front.mean() > 0.95:
            edge = (1 - CENTRE) / 2
            front = self._inside([Box(edge, edge, CENTRE, CENTRE)])
        return Looks(self._look(np.ones_like(front)), self._look(front), self._look(~front))

    def inside(self, box: Box) -> tuple[Colour, ...]:
        """The colours of what a box holds, the commonest first; none where it holds no pixel."""
        return self._colours(self._inside([box]))

    def _inside(self, boxes: Iterable[Box]) -> Mask:
        """Which pixels of the small picture lie in any box."""
        mask: Mask = np.zeros(self._small.shape[:2], bool)
        height, width = self._small.shape[:2]
        for box in boxes:
            top, left = (int(max(0.0, edge) * side) for edge, side in ((box.top, height), (box.left, width)))
            bottom, right = (box.top + box.height) * height, (box.left + box.width) * width
            mask[top : max(math.ceil(bottom), 0), left : max(math.ceil(right), 0)] = True
        return mask

    def _look(self, mask: Mask) -> Look:
        """sharpness: the spread of the Laplacian, where 25 grey steps are 63 and 75 are 95."""
        grey = cv2.cvtColor(self._small, cv2.COLOR_RGB2GRAY)[mask].astype(float)
        fine = cv2.cvtColor(self._fine, cv2.COLOR_RGB2GRAY)
        where = cv2.resize(mask.astype(np.uint8), fine.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        detail = float(cv2.Laplacian(fine, cv2.CV_32F)[where].std())
        return Look(
            brightness=float(grey.mean()) / 2.55,
            sharpness=100 * float(1 - np.exp(-detail / 25)),
            contrast=min(100.0, float(grey.std()) / 1.275),
            colours=self._colours(mask),
        )

    def _colours(self, mask: Mask) -> tuple[Colour, ...]:
        pixels, numbers = self._small[mask], self._nearest[mask]
        told = []
        for number in np.unique(numbers):
            members = pixels[numbers == number]
            if len(members) >= FEWEST * len(pixels):
                told.append(_named(members.mean(0), 100 * len(members) / len(pixels)))
        return tuple(sorted(told, key=lambda each: (-each.percent, each.hex)))


def _shrunk(image: Image, side: int) -> npt.NDArray[np.uint8]:
    scale = min(1.0, side / max(image.width, image.height))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return np.asarray(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA))


def _clusters(lab: Array) -> Array:
    """The colours' centres: k-means from colours far from each other, those then nearly alike made one."""
    centres = lab.mean(0, keepdims=True)
    distance = _distances(lab, centres)[:, 0]
    while len(centres) < CLUSTERS and distance.max() >= NEAR**2:
        centres = np.concatenate([centres, lab[[int(distance.argmax())]]])
        distance = np.minimum(distance, _distances(lab, centres[-1:])[:, 0])
    for _ in range(_TURNS):
        nearest = _nearest(lab, centres)
        centres = np.stack([lab[nearest == number].mean(0) for number in np.unique(nearest)])
    apart: list[Array] = []
    for centre in centres:
        if all(((centre - other) ** 2).sum() >= NEAR**2 for other in apart):
            apart.append(centre)
    return np.stack(apart)


def _distances(lab: Array, centres: Array) -> Array:
    """Squared, (N, centres)."""
    squares = (lab**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * lab @ centres.T
    return np.asarray(squares.clip(0))


def _nearest(lab: Array, centres: Array) -> npt.NDArray[np.intp]:
    return np.asarray(_distances(lab, centres).argmin(1))


def _lab(pixels: npt.NDArray[np.uint8]) -> Array:
    """(N, 3) sRGB as CIELAB, L in [0, 100]."""
    return np.asarray(cv2.cvtColor(pixels[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0])


def _named(mean: npt.NDArray[np.floating], percent: float) -> Colour:
    red, green, blue = (round(each) for each in mean.tolist())
    place = _lab(np.array([[red, green, blue]], np.uint8))
    css, simple = (names[int(_nearest(place, labs)[0])] for names, labs in (_css(), _simple()))
    return Colour(red, green, blue, css, simple, percent)


@cache
def _css() -> tuple[tuple[str, ...], Array]:
    """CSS's 140 colours, each once: where two names are one colour, the first of the alphabet."""
    names = {ImageColor.getrgb(name): name for name in sorted(ImageColor.colormap, reverse=True)}
    return tuple(names.values()), _lab(np.array(list(names), np.uint8))


@cache
def _simple() -> tuple[tuple[str, ...], Array]:
    return tuple(SIMPLE), _lab(np.array([ImageColor.getrgb(each) for each in SIMPLE.values()], np.uint8))
