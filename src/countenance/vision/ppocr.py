"""PP-OCR's three networks: where lines of text are, which of them stand on their head, and what they say.

The steps between the networks follow RapidOCR 3.10 (Apache-2.0), whose package carries the weights. They are
written here, on the house's own runtime, because the package brings nine others, downloads what it misses and
runs its networks with threads of its own (docs/decisions/0021-text-and-moderation.md). A line's corners are
(4, 2), in pixels of the picture: where its first letter begins above, then clockwise.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import onnx

from countenance.types import Pixels
from countenance.vision import zoo
from countenance.vision.runtime import Session, Tensor

Array = npt.NDArray[np.float32]

CANVASES: Final = (640, 1024, 1408, 1920)  # long sides, pixels
LARGEST: Final = 1920 * 1440  # pixels of a canvas: the network holds 360 bytes for each
STRIDE: Final = 32  # pixels: the sides of a canvas are multiples of it
INK: Final = 0.3  # a pixel is of text from here on (RapidOCR, thresh)
SURE: Final = 0.5  # the mean over a line's rectangle from here on (RapidOCR, box_thresh)
GROWN: Final = 1.6  # the network marks a line's core; its area over its outline, so many times, is the rest
LEAST: Final = 3.0  # pixels of the canvas: a core thinner than that is a speck
MOST: Final = 1000  # outlines looked at
LINES: Final = 250  # lines that are told, the largest: a page of print has sixty
AT_ONCE: Final = 8  # lines read before their answers are made text: an answer has 75 KB for each STEP
WIDTH: Final = (
    40_000  # pixels of all lines of a picture as they are read: 300 words, of which 100 can be told
)
AGAIN: Final = 10_000  # pixels of those that are read the other way up as well
HEIGHT: Final = 48  # pixels, of a line as the other two networks take it
TURNED: Final = 192  # pixels: the width at which a line's direction is told
UPRIGHT: Final = 1.5  # a rectangle so many times as high as wide is a line that runs up or down
WIDEST: Final = 4096  # pixels: 85 times as wide as high; what is longer is squeezed
STEP: Final = 8  # pixels of a line's width for each column of the reader's answer


class LineFinder:
    """Finds lines of text, in one picture at a time: a second one beside it would hold another gigabyte."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:  # noqa: ARG002
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads=1, any_shape=True)

    def find(self, pixels: Pixels) -> list[Array]:
        """The corners of each line, the largest first. Raises ModelError."""
        canvas = _fit(pixels)
        [heat] = self._session.run(canvas)
        grown = np.array(np.divide(pixels.shape[1::-1], canvas.shape[:1:-1]), np.float32)
        return [corners * grown for corners in _rectangles(heat[0, 0])]


class LineTurner:
    """Tells lines that stand on their head."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def upside_down(self, lines: Sequence[Pixels]) -> list[float]:
        """Of each line, how likely it is to stand on its head, [0, 1]. Raises ModelError."""
        inputs = []
        for line in lines:
            width = min(TURNED, max(1, round(HEIGHT * line.shape[1] / line.shape[0])))
            inputs.append(_normal(line, width, TURNED))
        return [float(output[0][0, 1]) for output in self._session.map(inputs)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a line says. chances: of each character, [0, 1]. places: of each, its middle over the width."""

    text: str
    chances: tuple[float, ...]
    places: tuple[float, ...]

    @property
    def chance(self) -> float:
        """The mean over all characters, [0, 1]; 0 where there is none."""
        return min(1.0, sum(self.chances) / len(self.chances)) if self.chances else 0.0


class LineReader:
    """Reads lines of text."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads, any_shape=True)

    def read(self, lines: Sequence[Pixels]) -> list[Reading]:
        """What each line says. Raises ModelError."""
        told = []
        for first in range(0, len(lines), AT_ONCE):
            inputs = [_normal(line, _width(line)) for line in lines[first : first + AT_ONCE]]
            outputs = self._session.map(inputs)
            told += [
                self._reading(columns[0], each.shape[3])
                for (columns,), each in zip(outputs, inputs, strict=True)
            ]
        return told

    def _reading(self, columns: Tensor, width: int) -> Reading:
        """The likeliest sign of each column; one that repeats its neighbour's, and the blank, say nothing."""
        signs = columns.argmax(1)
        told = signs != 0
        told[1:] &= signs[1:] != signs[:-1]
        at = np.nonzero(told)[0]
        return Reading(
            "".join(self._alphabet[sign] for sign in signs[at]),
            tuple(columns[at, signs[at]].tolist()),
            tuple(((at + 0.5) * STEP / width).clip(0, 1).tolist()),
        )

    @cached_property
    def _alphabet(self) -> tuple[str, ...]:
        """The signs by number; 0 is the blank, the last is the space."""
        told = onnx.load_model(io.BytesIO(zoo.load(self.card)), load_external_data=False).metadata_props
        [signs] = [entry.value.splitlines() for entry in told if entry.key == "character"]
        return ("", *signs, " ")


def breadth(corners: Array) -> int:
    """Of a line, in pixels, as it is read."""
    along, across = (float(np.linalg.norm(corners[end] - corners[0])) for end in (1, 3))
    if across >= UPRIGHT * along:
        along, across = across, along
    return min(WIDEST, max(STEP, round(HEIGHT * along / max(across, 1.0))))


def cut(pixels: Pixels, corners: Array) -> tuple[Pixels, Array]:
    """A line, level, and its corners from where it begins if it does not stand on its head."""
    width, height = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0])
    if height >= UPRIGHT * width:
        corners = np.roll(corners, -1, axis=0)  # what runs up begins at the left's foot, what runs down above
        width, height = height, width
    size = max(1, round(float(width))), max(1, round(float(height)))
    onto = np.array([[0, 0], [size[0], 0], [0, size[1]]], np.float32)
    turn = cv2.getAffineTransform(np.ascontiguousarray(corners[[0, 1, 3]]), onto)
    line = cv2.warpAffine(pixels, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(line, np.uint8), corners


def _fit(pixels: Pixels) -> Tensor:
    """The picture scaled to a canvas, 1 x 3 x H x W: at most twice as large, its shape kept but for the
    stride."""
    height, width = pixels.shape[:2]
    longest = max(height, width)
    canvas = next((size for size in CANVASES if size >= longest), CANVASES[-1])
    scale = min(canvas / longest, math.sqrt(LARGEST / (width * height)), 2.0)
    size = [STRIDE * max(1, round(side * scale / STRIDE)) for side in (width, height)]
    sampling = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return _turned(cv2.resize(pixels, size, interpolation=sampling))[None]


def _rectangles(heat: Tensor) -> list[Array]:
    """The corners of each line on the canvas: rectangles around what is marked, grown by what is not."""
    marked = cv2.dilate((heat > INK).astype(np.uint8), np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(marked, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline in outlines[:MOST]:
        middle, (width, height), angle = cv2.minAreaRect(outline)
        if min(width, height) < LEAST or _mean(heat, cv2.boxPoints((middle, (width, height), angle))) < SURE:
            continue
        more = GROWN * width * height / (width + height)  # twice the distance that the outline moves out
        size = width + more, height + more
        found.append((size[0] * size[1], _ordered(cv2.boxPoints((middle, size, angle)))))
    return [corners for _, corners in sorted(found, key=lambda each: -each[0])[:LINES]]


def _mean(heat: Tensor, corners: Array) -> float:
    """Over a rectangle."""
    left, top = np.floor(corners.min(0)).astype(int).clip(0)
    right, bottom = np.ceil(corners.max(0)).astype(int) + 1
    part = heat[top:bottom, left:right]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [(corners - [left, top]).astype(np.int32)], 1)
    return float(cv2.mean(part, inside)[0])


def _ordered(corners: Array) -> Array:
    """Top left, top right, bottom right, bottom left."""
    across = corners[np.argsort(corners[:, 0], kind="stable")]
    left = across[:2][np.argsort(across[:2, 1], kind="stable")]
    right = across[2:][np.argsort(across[2:, 1], kind="stable")]
    return np.array([left[0], right[0], right[1], left[1]], np.float32)


def _width(line: Pixels) -> int:
    """Of a line when it is HEIGHT high."""
    return min(WIDEST, max(STEP, round(HEIGHT * int(line.shape[1]) / int(line.shape[0]))))


def _normal(line: Pixels, width: int, canvas: int = 0) -> Tensor:
    """A line HEIGHT high and `width` wide, from -1 to 1, at the left of a canvas of nought."""
    shrinks = line.shape[0] > HEIGHT
    sized = cv2.resize(line, (width, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    tensor = np.zeros((1, 3, HEIGHT, max(width, canvas)), np.float32)
    tensor[0, :, :, :width] = _turned(sized)
    return tensor


def _turned(pixels: Pixels) -> Tensor:
    """3 x H x W, BGR, from -1 to 1."""
    return (pixels[..., ::-1].transpose(2, 0, 1).astype(np.float32) - 127.5) / 127.5
