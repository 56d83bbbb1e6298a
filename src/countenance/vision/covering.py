"""How a face is taken out of a picture: by one colour, or so few that nobody is known by them.

BOX leaves nothing of what it covers. BLUR and PIXELATE keep COLOURS by COLOURS mean colours of it, however
large the face is. Weaker forms of both are known to be undone or to be recognised by networks trained for it
(docs/redaction.md), and of a face that moves many frames tell more than one: only BOX is sure.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from countenance.types import Box, Pixels

COLOURS: Final = 4
"""Mean colours a side that blur and pixelation keep of what they cover, a face with its margins."""

MARGIN: Final = 0.3
"""Of a face's width and height, covered on each side: hair, ears and chin, and the detector's jitter."""

LEAST: Final = 8
"""Pixels a side that are covered at least."""


class Method(StrEnum):
    BOX = "BOX"
    BLUR = "BLUR"
    PIXELATE = "PIXELATE"


def widened(box: Box, margin: float = MARGIN) -> Box:
    """A box with a margin in its own widths and heights on each side."""
    return Box(
        box.left - margin * box.width,
        box.top - margin * box.height,
        box.width * (1 + 2 * margin),
        box.height * (1 + 2 * margin),
    )


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that holds all of them."""
    every = list(boxes)
    left, top = min(each.left for each in every), min(each.top for each in every)
    right = max(each.left + each.width for each in every)
    bottom = max(each.top + each.height for each in every)
    return Box(left, top, right - left, bottom - top)


def cover(picture: Pixels, boxes: Iterable[Box], method: Method, colour: int = 0) -> None:
    """Take out what the boxes hold, margins included, in place.

    picture: (H, W) or (H, W, 3). colour: of BOX, in each channel.
    """
    rectangles = [found for box in boxes if (found := _pixels(box, picture)) is not None]
    for left, top, right, bottom in rectangles:
        part = picture[top:bottom, left:right]
        part[...] = colour if method is Method.BOX else _coarse(part, method)


def _pixels(box: Box, picture: Pixels) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom, never less than the box; None off the picture."""
    height, width = picture.shape[:2]
    least = LEAST / 2
    middle, centre = (box.left + box.width / 2) * width, (box.top + box.height / 2) * height
    across, along = max(least, box.width * width / 2), max(least, box.height * height / 2)
    left, right = int(max(0, middle - across)), int(min(width, np.ceil(middle + across)))
    top, bottom = int(max(0, centre - along)), int(min(height, np.ceil(centre + along)))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _coarse(part: Pixels, method: Method) -> Pixels:
    """COLOURS by COLOURS means of a region, as squares or running into each other."""
    height, width = part.shape[:2]
    few = cv2.resize(part, (min(COLOURS, width), min(COLOURS, height)), interpolation=cv2.INTER_AREA)
    smooth = cv2.INTER_NEAREST if method is Method.PIXELATE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(few, (width, height), interpolation=smooth), np.uint8)
