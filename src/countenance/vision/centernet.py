"""CenterNet: things found in a picture, each as the peak of a map with a box around it.

The network gives, for every cell of four by four pixels and each of COCO's eighty classes, how likely it is
that a thing of the class has its centre there, and how far its edges lie from the cell (Zhou, Wang,
Krähenbühl: Objects as Points, 2019). A cell is a peak where no neighbour is likelier. Its makers stop there;
we also leave out the less likely of two boxes of one class that are nearly the same, which they find twice in
tall or wide things (docs/numbers-labels.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from countenance.types import Box, Image
from countenance.vision import zoo
from countenance.vision.runtime import Session, Tensor

Array = npt.NDArray[np.float32]

SIDE: Final = 512  # pixels a side; the network takes no other
CELL: Final = 4  # pixels
MOST: Final = 100  # peaks, as its makers take
LEAST: Final = 0.01  # score; a thing under it is told by nobody: its Confidence is under a ten-thousandth
OVERLAP: Final = 0.5  # two boxes of a class that share more than this are one thing

CLASSES: Final = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""COCO's, in the order of its numbers."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing found. kind: one of CLASSES. score: the network's, [0, 1], which is no probability."""

    kind: str
    box: Box
    score: float


class CenterNet:
    """A Finder."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads)

    def find(self, image: Image) -> tuple[Thing, ...]:
        """The things, likeliest first, a hundred at most. Raises ModelError."""
        pixels = image.pixels
        while min(pixels.shape[:2]) >= 4 * SIDE:  # sampled directly, a large picture would alias
            pixels = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        small = cv2.resize(pixels, (SIDE, SIDE))  # bilinear, not by areas, as it was trained
        edges, peaks = self._session.run(small[None].astype(np.float32))
        boxes, scores, kinds = decode(edges[0], peaks[0])
        kept = distinct(boxes, scores, kinds)
        rows = zip(boxes[kept].tolist(), scores[kept].tolist(), kinds[kept].tolist(), strict=True)
        return tuple(
            Thing(CLASSES[kind], Box(left, top, right - left, bottom - top), score)
            for (left, top, right, bottom), score, kind in rows
        )


def decode(edges: Tensor, peaks: Tensor, least: float = LEAST) -> tuple[Array, Array, npt.NDArray[np.intp]]:
    """The likeliest peaks, a hundred at most: boxes (N, 4) in ratios, scores, numbers of classes.

    edges: (4, H, W), how far left, up, right and down of a cell's corner the box ends, in pixels. peaks:
    (classes, H, W). Only cells above `least` are looked at: a fortieth of them, for a third of the time.
    """
    kinds, lines, columns = np.nonzero(peaks > least)
    scores = peaks[kinds, lines, columns]
    highest = scores.copy()
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            y = (lines + down).clip(0, peaks.shape[1] - 1)
            x = (columns + right).clip(0, peaks.shape[2] - 1)
            np.maximum(highest, peaks[kinds, y, x], out=highest)
    top = np.flatnonzero(scores >= highest)
    top = top[np.argsort(-scores[top], kind="stable")[:MOST]]
    kinds, lines, columns = kinds[top], lines[top], columns[top]
    left, up, right_, down_ = edges[:, lines, columns]
    x, y = columns * CELL, lines * CELL
    boxes = np.stack([x - left, y - up, x + right_, y + down_], 1).clip(0, SIDE) / SIDE
    return boxes.astype(np.float32), scores[top], kinds


def distinct(boxes: Array, scores: Array, kinds: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Which rows to keep, in order: of boxes of one class that overlap more than OVERLAP, the likeliest."""
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    alive = areas > 0
    kept = []
    for row in np.argsort(-scores, kind="stable"):
        if not alive[row]:
            continue
        kept.append(row)
        sides = np.minimum(boxes[row, 2:], boxes[:, 2:]) - np.maximum(boxes[row, :2], boxes[:, :2])
        shared = sides.clip(0).prod(1)
        alive &= (kinds != kinds[row]) | (shared <= OVERLAP * (areas[row] + areas - shared))
    return np.array(kept, np.intp)
