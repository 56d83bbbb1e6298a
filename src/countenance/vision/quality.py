"""Brightness and sharpness of a face, from its pixels alone."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from countenance.types import Box, Image, Quality

_SIDE: Final = 112  # pixels the face is brought to: sharpness then also falls when a face is small
_HALF_SHARP: Final = 6.0


def quality(image: Image, box: Box) -> Quality:
    """Of the pixels inside the box, as far as it lies in the picture.

    brightness: mean luma (ITU-R BT.601), 0 black, 100 white. sharpness: from the mean
    absolute Laplacian of the luma.
    """
    left, top = (max(0, int(edge)) for edge in (box.left * image.width, box.top * image.height))
    right, bottom = (box.left + box.width) * image.width, (box.top + box.height) * image.height
    part = image.pixels[top : max(top + 1, int(bottom)), left : max(left + 1, int(right))]
    if part.size == 0:
        return Quality(0.0, 0.0)
    shrinks = part.shape[0] > _SIDE
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    face = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    edges = float(np.abs(cv2.Laplacian(face, cv2.CV_32F)).mean())
    return Quality(float(grey.mean()) / 2.55, 100 * edges / (edges + _HALF_SHARP))
