"""YuNet: faces and five points on each, found by looking once, and closer where that may have missed some.

Each look fits the picture on a canvas (small pictures are enlarged, large ones shrunk) and runs the network.
The output follows OpenCV's FaceDetectorYN: per stride 8, 16 and 32 and cell, score = sqrt(cls * obj), a box
as an offset and the logarithm of a size, five points as offsets.

Recall falls for faces under 32 pixels on the canvas and for faces that fill it; enlarging beyond about twice
gains nothing (the card has figures). So small pictures get a small canvas; one where the first look found
none or small faces is looked at again about twice as large, at most 1920 pixels long; and where that still
shows small faces in a larger picture, so are its quarters.
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
CANVASES: Final = (384, 640, 1024, 1920)  # long sides, pixels
GLANCES: Final = (384, 640, 1024, 1280)  # of frames of a clip (docs/decisions/0019-video.md)
THUMBNAIL: Final = 400  # longest side, pixels, up to which the first look takes the smallest canvas
ENLARGED: Final = 1.8  # the closer look's canvas is at least so much longer than the picture, if there is one
SMALL: Final = 32.0  # pixels across on the canvas: beside faces under it, others may have been missed
LARGE: Final = (
    300.0  # pixels across on a closer look's canvas: it finds all up to 500, larger ones it may miss
)
OVERLAPPING: Final = 0.125  # of a picture's side that its quarters share
MOST: Final = 100  # faces, the largest, as in Rekognition; a sweep tells of all
SWEPT: Final = (384, 640, 1280, 1920)  # canvases of a sweep
BRIGHTENED: Final = (256, 384, 640)  # and of its looks at a brightened picture
# The square root of brightness. Measured on a dim audience, out of focus: of the faces that CenterFace finds
# one look finds 61 %, the looks of a sweep 95 % (docs/decisions/0020-redaction.md).
BRIGHTENING: Final = (255 * np.sqrt(np.arange(256) / 255)).astype(np.uint8)
_STRIDES: Final = (8, 16, 32)
STEP: Final = _STRIDES[-1]  # sides of a canvas are multiples of it


class YuNet:
    """A Detector. Rows inside are (left, top, right, bottom, 5 x (x, y), score) in pixels of the image."""

    def __init__(self, card: zoo.Card, threads: int | None = None) -> None:
        self.card = card
        self._session = Session(card.id, lambda: zoo.load(card), threads, of_pixels=True)

    def detect(self, image: Image) -> tuple[Face, ...]:
        """The faces, largest first, a hundred at most. Raises ModelError."""
        longest = max(image.width, image.height)
        first, closer = _sides(longest, CANVASES)
        rows = self._look(image.pixels, first)
        small = _widths(rows) * first / longest < SMALL
        if closer > first and (small.any() or not len(rows)):
            rows = _joined(rows[~small], self._look(image.pixels, closer))
            small = _widths(rows) * closer / longest < SMALL
            if longest > 1.5 * closer and small.any():
                rows = _joined(rows[~small], self._quarters(image.pixels, closer))
        return _faces(rows, image)[:MOST]

    def sweep(self, image: Image, least: float, largest: int = SWEPT[-1]) -> tuple[Face, ...]:
        """All that may be a face, by many looks, some of them brightened; largest first, however many.

        least: confidence, percent; detect() tells from 60. largest: of the canvases to look on; a picture
        that is much larger is looked at in quarters too. Raises ModelError.
        """
        bright = cv2.LUT(image.pixels, BRIGHTENING)
        looks = [self._look(image.pixels, size, least / 100) for size in SWEPT if size <= largest]
        looks += [self._look(bright, size, least / 100) for size in BRIGHTENED]
        if max(image.width, image.height) > 1.5 * largest:
            looks.append(self._quarters(image.pixels, largest, least / 100))
        rows = suppress(np.concatenate(looks), OVERLAP)
        return _faces(rows, image)

    def glance(self, image: Image, *, crowded: bool = False) -> tuple[Face, ...]:
        """detect() for a frame of a clip: on smaller canvases, and never at quarters. Raises ModelError.

        crowded: where the closer look enlarges nothing, it comes first, and is the only one unless it sees
        nobody or a large face.
        """
        longest = max(image.width, image.height)
        first, closer = _sides(longest, GLANCES)
        near = self._look(image.pixels, closer, snug=True) if crowded and first < closer <= longest else None
        if near is not None and 0 < _widths(near).max(initial=0) * closer / longest < LARGE:
            return _faces(near, image)[:MOST]
        rows = self._look(image.pixels, first, snug=True)
        small = _widths(rows) * first / longest < SMALL
        if near is None and closer > first and (small.any() or not len(rows)):
            near = self._look(image.pixels, closer, snug=True)
        return _faces(rows if near is None else _joined(rows[~small], near), image)[:MOST]

    def _look(self, pixels: Pixels, longest: int, least: float = THRESHOLD, *, snug: bool = False) -> Array:
        """The faces on one canvas of that long side, best first, in pixels of the picture."""
        scale = longest / max(pixels.shape[:2])
        canvas = fit(pixels, scale, longest, snug=snug)
        rows = suppress(decode(self._session.run(canvas), canvas.shape[2], least), OVERLAP)
        rows[:, :-1] /= scale
        return rows

    def _quarters(self, pixels: Pixels, longest: int, least: float = THRESHOLD) -> Array:
        """The faces in the picture's four overlapping quarters. One cut by an inner edge is left out."""
        height, width = pixels.shape[:2]
        rows, columns = (round(side * (1 + OVERLAPPING) / 2) for side in (height, width))
        found = []
        for top in (0, height - rows):
            for left in (0, width - columns):
                part = self._look(pixels[top : top + rows, left : left + columns], longest, least)
                part[:, :-1] += np.tile([left, top], 7)
                inner_x = columns if left == 0 else width - columns
                inner_y = rows if top == 0 else height - rows
                cut = (part[:, 0] < inner_x) & (part[:, 2] > inner_x)
                cut |= (part[:, 1] < inner_y) & (part[:, 3] > inner_y)
                found.append(part[~cut])
        return np.concatenate(found)


def fit(pixels: Pixels, scale: float, longest: int, *, snug: bool = False) -> Pixels:
    """The picture scaled on a black canvas, 1 x H x W x 3, BGR. The short side is 3/4 or all of the long one.

    Three canvas shapes a size, not one a picture: each shape is compiled once. All frames of a clip have one
    shape, so theirs is `snug`: for 16:9 a quarter less to look at. Large pictures are halved before they are
    sampled: areas of other ratios take OpenCV ten times as long (12 megapixels: 56 ms).
    """
    while scale <= 0.5 and min(pixels.shape[:2]) > 1:
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = cv2.resize(pixels[: 2 * half[1], : 2 * half[0]], half, interpolation=cv2.INTER_AREA)
        scale *= 2
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    short = longest * 3 // 4
    if snug:
        rows, columns = (-(-side // STEP) * STEP for side in small.shape[:2])
    else:
        rows, columns = (short if side <= short else longest for side in small.shape[:2])
    canvas = np.zeros((1, rows, columns, 3), np.uint8)
    cv2.cvtColor(small, cv2.COLOR_RGB2BGR, dst=canvas[0, : small.shape[0], : small.shape[1]])
    return canvas


def decode(outputs: list[Tensor], width: int, least: float = THRESHOLD) -> Array:
    """The network's twelve outputs (cls, obj, bbox, kps, each at three strides) as one row per likely cell.

    width: of the canvas, pixels. least: the score, [0, 1], of a likely cell. Cells are numbered line by line.
    """
    found = []
    for level, stride in enumerate(_STRIDES):
        cls, obj, bbox, kps = (outputs[level + 3 * part][0] for part in range(4))
        score = np.sqrt(cls.clip(0, 1) * obj.clip(0, 1))
        likely = np.flatnonzero(score >= least)
        line, column = np.divmod(likely, width // stride)
        cell = np.stack([column, line], 1)
        centre = (cell + bbox[likely, :2]) * stride
        half = np.exp(bbox[likely, 2:]) * (stride / 2)
        points = (kps[likely].reshape(-1, 5, 2) + cell[:, None]) * stride
        found.append(np.concatenate([centre - half, centre + half, points.reshape(-1, 10), score[likely]], 1))
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


def _sides(longest: int, canvases: tuple[int, ...]) -> tuple[int, int]:
    """Of the first look's canvas and the closer one's, for a picture of that longer side in pixels."""
    closer = next((size for size in canvases if size >= ENLARGED * longest), canvases[-1])
    return canvases[0 if longest <= THUMBNAIL else 1], closer


def _areas(rows: Array) -> Array:
    width, height = (rows[:, 2:4] - rows[:, :2]).T
    return np.asarray(width * height)


def _widths(rows: Array) -> Array:
    """In pixels of the picture."""
    return rows[:, 2] - rows[:, 0]


def _joined(rows: Array, closer: Array) -> Array:
    """The faces of a look, its small ones left out (their boxes are rough), and of a closer look."""
    return suppress(np.concatenate([rows, closer]), OVERLAP)


def _faces(rows: Array, image: Image) -> tuple[Face, ...]:
    order = np.argsort(-_areas(rows), kind="stable")
    return tuple(_face(row, image) for row in rows[order].tolist())


def _face(row: list[float], image: Image) -> Face:
    left, top, right, bottom, *points, score = row
    width, height = image.width, image.height
    box = Box(left / width, top / height, (right - left) / width, (bottom - top) / height)
    places = [Point(x / width, y / height) for x, y in zip(points[::2], points[1::2], strict=True)]
    return Face(box, Landmarks(*places), confidence=min(100.0, 100 * score))
