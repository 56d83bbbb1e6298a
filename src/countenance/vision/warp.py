"""A face cut out of a picture, turned and scaled: what every network that looks at one face begins with."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from countenance.types import Pixels

Array = npt.NDArray[np.float64]


def similarity(source: Array, target: Array) -> Array:
    """The turn, scale and shift that bring points nearest to others, by least squares.

    source: (N, P, 2) or (P, 2). target: (P, 2). Returns (N, 2, 3) or (2, 3): target = matrix @ (x, y, 1).
    As complex numbers the transform is z -> a z + b, and a has the closed form of a regression slope.
    """
    z, w = source[..., 0] + 1j * source[..., 1], target[..., 0] + 1j * target[..., 1]
    z0, w0 = z.mean(-1, keepdims=True), w.mean(-1, keepdims=True)
    a = ((z - z0).conj() * (w - w0)).sum(-1) / (np.abs(z - z0) ** 2).sum(-1)
    b = w0[..., 0] - a * z0[..., 0]
    rows = [np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)]
    return np.stack(rows, -2)


def cut(pixels: Pixels, matrix: Array, size: int, *, extended: bool = False) -> Pixels:
    """`size` x `size` pixels of the picture under a similarity (2, 3).

    Outside it: black, or, extended, the colours of its border carried on. A face much larger than the cut is
    first shrunk by areas: sampling it directly would alias.
    """
    border = cv2.BORDER_REPLICATE if extended else cv2.BORDER_CONSTANT
    shrink = int(1 / np.hypot(matrix[0, 0], matrix[1, 0]))
    if shrink < 2:
        return cast("Pixels", cv2.warpAffine(pixels, matrix, (size, size), borderMode=border))
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [size, 0, 1], [0, size, 1], [size, size, 1]]) @ inverse.T
    height, width = pixels.shape[:2]
    left, top = np.floor(corners.min(0)).clip(0, [width, height]).astype(int)
    right, bottom = np.ceil(corners.max(0) + 1).clip(0, [width, height]).astype(int)
    columns, rows = (right - left) // shrink, (bottom - top) // shrink
    if columns < 1 or rows < 1:
        return np.zeros((size, size, 3), np.uint8)
    part = pixels[top : top + rows * shrink, left : left + columns * shrink]
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    # A pixel of `small` covers shrink x shrink pixels of the picture, its centre between theirs.
    linear = matrix[:, :2] * shrink
    shift = matrix[:, 2] + matrix[:, :2] @ (np.array([left, top]) + (shrink - 1) / 2)
    return cast(
        "Pixels", cv2.warpAffine(small, np.column_stack([linear, shift]), (size, size), borderMode=border)
    )
