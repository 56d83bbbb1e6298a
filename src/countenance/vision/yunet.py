"""YuNet: faces and five points on each, found by looking once, and closer where that may have missed some.

Each look fits the picture on a canvas (small pictures are enlarged, large ones shrunk) and runs the network.
The output follows OpenCV's FaceDetectorYN: per stride 8, 16 and 32 and cell, score = sqrt(cls * obj), a box
as an offset and the logarithm of a size, five points as offsets.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from countenance.types import Box, Face, Image, Landmarks, Pixels, Point
from countenance.vision import zoo
from countenance.vision.runtime import Session, Tensor

Array = npt.NDArray[np.float32]

THRESHOLD: Final = 0.6
OVERLAP: Final = 0.3  # two boxes that share more than this are one face (OpenCV's default)
FIRST: Final = 640  # long side of the canvas, pixels
CLOSER: Final = 1280
SMALL: Final = 32.0  # pixels on the first canvas: under it, others may have been missed
MOST: Final = 100  # faces, the largest, as in Rekognition
_STRIDES: Final = (8, 16, 32)


class YuNet:
    """A Detector. Rows inside are (left, top, right, bottom, 5 x (x, y), score) in pixels of the image."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def detect(self, image: Image) -> tuple[Face, ...]:
        """The faces, largest first, a hundred at most. Raises ModelError."""
        rows, scale = self._look(image.pixels, FIRST)
        if scale < 1 and (not len(rows) or _widths(rows).min() * scale < SMALL):
            closer, _ = self._look(image.pixels, CLOSER)
            rows = suppress(np.concatenate([rows, closer]), OVERLAP)
        order = np.argsort(-_areas(rows), kind="stable")[:MOST]
        return tuple(_face(row, image) for row in rows[order].tolist())

    def _look(self, pixels: Pixels, longest: int) -> tuple[Array, float]:
        """(rows, canvas pixels per image pixel)."""
        height, width = pixels.shape[:2]
        scale = longest / max(height, width)
        canvas = fit(pixels, scale, longest)
        rows = decode(self._session.run(canvas), canvas.shape[2], canvas.shape[3])
        rows = suppress(rows[rows[:, -1] >= THRESHOLD], OVERLAP)
        rows[:, :-1] /= scale
        return rows, scale


def fit(pixels: Pixels, scale: float, longest: int) -> Tensor:
    """The picture scaled on a black canvas, 1 x 3 x H x W, BGR. The short side is 3/4 or all of the long one.

    Three canvas shapes a size, not one a picture: each shape is compiled once.
    """
    height, width = pixels.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    short = longest * 3 // 4
    rows, columns = (short if side <= short else longest for side in small.shape[:2])
    canvas = np.zeros((1, 3, rows, columns), np.float32)
    canvas[0, :, : small.shape[0], : small.shape[1]] = small[..., ::-1].transpose(2, 0, 1)
    return canvas


def decode(outputs: list[Tensor], height: int, width: int) -> Array:
    """The network's twelve outputs (cls, obj, bbox, kps, each at three strides) as one row per cell."""
    found = []
    for level, stride in enumerate(_STRIDES):
        cls, obj, bbox, kps = (outputs[level + 3 * part][0] for part in range(4))
        columns, lines = width // stride, height // stride
        cell = np.stack(np.meshgrid(np.arange(columns), np.arange(lines)), -1).reshape(-1, 2)
        centre = (cell + bbox[:, :2]) * stride
        half = np.exp(bbox[:, 2:]) * (stride / 2)
        points = (kps.reshape(-1, 5, 2) + cell[:, None]) * stride
        score = np.sqrt(cls.clip(0, 1) * obj.clip(0, 1))
        found.append(np.concatenate([centre - half, centre + half, points.reshape(-1, 10), score], 1))
    return np.concatenate(found).astype(np.float32)


def suppress(rows: Array, overlap: float) -> Array:
    """The best row of every group that overlaps more than `overlap` (intersection over union), best first."""
    rows = rows[np.argsort(-rows[:, -1], kind="stable")]
    areas = _areas(rows)
    kept: list[int] = []
    alive = np.ones(len(rows), bool)
    for index in range(len(rows)):
        if not alive[index]:
            continue
        kept.append(index)
        corner = np.minimum(rows[index, 2:4], rows[:, 2:4]) - np.maximum(rows[index, :2], rows[:, :2])
        shared = corner.clip(0).prod(1)
        alive &= shared <= overlap * (areas[index] + areas - shared)
    return rows[kept]


def _areas(rows: Array) -> Array:
    width, height = (rows[:, 2:4] - rows[:, :2]).T
    return np.asarray(width * height)


def _widths(rows: Array) -> Array:
    return rows[:, 2] - rows[:, 0]


def _face(row: list[float], image: Image) -> Face:
    left, top, right, bottom, *points, score = row
    width, height = image.width, image.height
    box = Box(left / width, top / height, (right - left) / width, (bottom - top) / height)
    places = [Point(x / width, y / height) for x, y in zip(points[::2], points[1::2], strict=True)]
    return Face(box, Landmarks(*places), confidence=min(100.0, 100 * score))
