"""Brightness and sharpness of a face, from its pixels alone."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from countenance.types import Box, Image, Quality

_SIDE: Final = 112  # pixels a side the face is brought to: a face of few pixels is then a blurred one

# Mean absolute Laplacian over standard deviation of the luma; dividing makes it blind to light and contrast.
# Measured on 64 faces of CelebA's web photos (median; blur: Gaussian, sigma in face widths):
#   as they are .26 | 80 px wide .15 | 40 px .10 | 20 px .06 | blur .01 .11 | .02 .06 | .03 .05 | .08 .03
_BLURRED: Final = 0.03  # nothing left: sharpness 0
_SCALE: Final = 0.06  # one step of the exponential: 80 px wide is 86, 40 px 69, 20 px 39, blur .03 28


def quality(image: Image, box: Box) -> Quality:
    """Of the pixels inside the box, as far as it lies in the picture.

    brightness: mean luma (ITU-R BT.601), 0 black, 100 white. sharpness: fine detail against contrast.
    """
    left, top = (max(0, int(edge)) for edge in (box.left * image.width, box.top * image.height))
    right, bottom = (box.left + box.width) * image.width, (box.top + box.height) * image.height
    part = image.pixels[top : max(top + 1, int(bottom)), left : max(left + 1, int(right))]
    if part.size == 0:
        return Quality(0.0, 0.0)
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    way = cv2.INTER_AREA if part.shape[0] > _SIDE else cv2.INTER_LINEAR
    face = cv2.resize(grey, (_SIDE, _SIDE), interpolation=way)
    detail = float(np.abs(cv2.Laplacian(face, cv2.CV_32F)).mean()) / max(float(face.std()), 1.0)
    sharpness = 1 - np.exp(-max(detail - _BLURRED, 0.0) / _SCALE)
    return Quality(brightness=float(grey.mean()) / 2.55, sharpness=float(100 * sharpness))
