"""A photo of any format as the API takes it: JPEG or PNG, 5 MiB, 10,000 pixels a side.

What the API takes as it is, is sent as it is. Anything else is decoded here, turned upright and sent as a
JPEG; boxes are ratios of the upright frame, so answers are about the original all the same.
"""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pi_heif
from PIL import Image as Pillow
from PIL import ImageOps

from countenance.errors import PhotoError

MOST_BYTES = 5 * 1024 * 1024
LONGEST = 10_000
"""Rekognition's limits for an image that travels in the request (its "Guidelines and quotas" page)."""

WORKING = 4_096
"""Pixels a re-encoded photo's longer side may keep: the service shrinks a longer one to this itself."""

MOST_PIXELS = 300_000_000
"""A gigabyte of RGB. The largest phone sensors make 200 million."""

REFUSALS = frozenset({"InvalidImageFormatException", "ImageTooLargeException", "InvalidParameterException"})
"""What the service says about one photo; the next may well be good."""

QUALITIES = (95, 90, 85, 75)

pi_heif.register_heif_opener()
Pillow.MAX_IMAGE_PIXELS = None  # `_open` has its own bound, an error without a warning before it

# What Pillow and its plug-ins raise on bytes that are not the picture they claim to be.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error)


@dataclass(frozen=True)
class Photo:
    """A file and its bytes. Raises PhotoError where it has to be decoded and cannot be."""

    path: Path
    original: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes: what a photo is known by, wherever it is moved."""
        return hashlib.sha256(self.original).hexdigest()

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture, in pixels."""
        with _open(self) as picture:
            width, height = picture.size
            return (height, width) if _lies(picture) else (width, height)

    @cached_property
    def sent(self) -> bytes:
        """What the API is given."""
        with _open(self) as picture:
            small = len(self.original) <= MOST_BYTES and max(picture.size) <= LONGEST
            if small and picture.format in {"JPEG", "PNG"}:
                return self.original
            picture.draft("RGB", (WORKING, WORKING))  # a JPEG is decoded at half or a quarter, cheaply
        return encoded(self.upright(WORKING))

    def upright(self, longest: int) -> Pillow.Image:
        """The picture as people see it, RGB, shrunk where its longer side is above `longest`."""
        with _open(self) as picture:
            picture.draft("RGB", (longest, longest))
            try:
                turned = _rgb(ImageOps.exif_transpose(picture))
                turned.thumbnail((longest, longest), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
                return turned
            except _DAMAGED as damage:
                raise PhotoError(f"{self.path} is damaged or cut off: {damage}") from damage


def read(path: Path) -> Photo:
    """The photo in a file. Raises PhotoError where there is no file to read."""
    try:
        return Photo(path, path.read_bytes())
    except OSError as fault:
        raise PhotoError(f"{path} cannot be read: {fault.strerror}") from fault


def is_picture(photo: Photo) -> bool:
    """Whether Pillow knows the file's format by its first bytes."""
    try:
        Pillow.open(io.BytesIO(photo.original)).close()
    except _DAMAGED:
        return False
    return True


def _open(photo: Photo) -> Pillow.Image:
    try:
        picture = Pillow.open(io.BytesIO(photo.original))
    except _DAMAGED as damage:
        raise PhotoError(f"{photo.path} is not a picture in a format that is known here") from damage
    if picture.width * picture.height > MOST_PIXELS:
        raise PhotoError(
            f"{photo.path} claims {picture.width} x {picture.height} pixels; {MOST_PIXELS:,} are read at most"
        )
    return picture


def _lies(picture: Pillow.Image) -> bool:
    """Whether EXIF says that the picture lies on its side (orientations 5 to 8) and `size` does not know."""
    if picture.format == "TIFF":  # Pillow turns these itself, and gives the turned size from the start
        return False
    try:
        return picture.getexif().get(0x0112, 1) in {5, 6, 7, 8}
    except _DAMAGED:
        return False


def _rgb(picture: Pillow.Image) -> Pillow.Image:
    """Any mode as RGB: deep greys scaled to eight bits, transparency on white."""
    if picture.mode.startswith(("I", "F")):
        deep = np.asarray(picture, np.float64)
        white = 65_535 if picture.mode.startswith("I;16") else max(float(deep.max()), 1e-9)
        picture = Pillow.fromarray((deep.clip(0) * (255 / white)).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def encoded(picture: Pillow.Image) -> bytes:
    """The best JPEG that fits. Noise at 4,096 pixels may need a smaller picture."""
    while True:
        for quality in QUALITIES:
            stream = io.BytesIO()
            picture.save(stream, "JPEG", quality=quality)
            if stream.tell() <= MOST_BYTES:
                return stream.getvalue()
        picture = picture.reduce(2)
