"""Clips for tests of logic: coloured squares as in tests.fakes, without loss, so that a colour stays one."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import numpy as np

from tests.fakes import Colour

SIDE = 100
RATE = 10
"""Frames a second: a sampling at five takes every other one."""


def clip(scenes: Sequence[Sequence[Colour]], frames: int = 4, places: int = 2) -> bytes:
    """A Matroska file of scenes, each of so many frames that show one square per colour, each in the place
    that it keeps through the clip."""
    seats = list(dict.fromkeys(colour for people in scenes for colour in people))
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as container:
        video = container.add_stream("ffv1", rate=RATE)
        video.width, video.height, video.pix_fmt = SIDE * places, SIDE, "bgr0"
        for people in scenes:
            pixels = np.full((SIDE, SIDE * places, 3), 255, np.uint8)
            for colour in people:
                place = seats.index(colour)
                size = SIDE // 2 - 2 * place
                left = place * SIDE + 10
                pixels[10 : 10 + size, left : left + size] = colour
            for _ in range(frames):
                container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
    return stream.getvalue()
