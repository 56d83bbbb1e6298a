"""Two public-domain portraits that installed packages carry, and pictures made of them."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image
from skimage import data


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def opened(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo)).convert("RGB")


@functools.cache
def grace() -> bytes:
    """Grace Hopper (US Navy, public domain), JPEG 512 x 600."""
    return (Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").read_bytes()


@functools.cache
def eileen() -> bytes:
    """Eileen Collins (NASA, public domain), PNG 512 x 512."""
    return encoded(Image.fromarray(data.astronaut()))


@functools.cache
def grace_again() -> bytes:
    """Another copy of the first portrait: mirrored, shrunk, compressed hard."""
    picture = opened(grace()).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((400, 469))
    return encoded(picture, "JPEG", quality=60)


@functools.cache
def both() -> bytes:
    """One photo of two people, Grace Hopper's face the larger."""
    picture = Image.new("RGB", (1024, 600), "grey")
    picture.paste(opened(grace()), (0, 0))
    picture.paste(opened(eileen()), (512, 0))
    return encoded(picture)


@functools.cache
def far() -> bytes:
    """One small face, 28 px across."""
    picture = Image.new("RGB", (400, 400), "grey")
    picture.paste(opened(eileen()).resize((160, 160)), (120, 120))
    return encoded(picture)


@functools.cache
def nobody(width: int = 200, height: int = 200) -> bytes:
    """A smooth slope of grey: no face."""
    slope = np.linspace(40, 200, width * height).reshape(height, width)
    return encoded(Image.fromarray(slope.astype(np.uint8)).convert("RGB"))
