"""Bytes to an upright RGB Image, within limits.

JPEG and PNG only, told by their first bytes. Of a file only what makes pixels reaches the decoder, so that
no text, profile or thumbnail can upset it; EXIF's orientation is read here. Sizes are read from the header
before a pixel is decoded. Beside the decoder's own buffer only strips and the result are held.

Pillow decodes. OpenCV is a tenth quicker at JPEGs, pixel for pixel the same (31 photos, 22 megapixels:
0.24 s against 0.27 s), but writes "Corrupt JPEG data" to the process's stderr whenever a caller likes.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from countenance.errors import ImageTooLarge, InvalidImageFormat, InvalidParameter, Throttling
from countenance.types import Image, Pixels


@dataclass(frozen=True, slots=True)
class Limits:
    """Sides in pixels. smallest and largest are Rekognition's; working bounds the memory a call holds.

    A picture longer than `working` is shrunk to it: boxes are ratios, so answers stay in its own frame.
    scans: a progressive JPEG has about ten; thousands over a large frame cost hours, a known attack.
    heavy: bytes of the decoder's buffer above which a picture is decoded alone (a plain JPEG or an RGB PNG of
    26 megapixels, a grey or palette PNG of 104).
    """

    smallest: int = 80
    largest: int = 10_000
    working: int = 4_096
    scans: int = 32
    heavy: int = 100 * 2**20


LIMITS: Final = Limits()
_STRIP: Final = 2**20  # pixels converted at once: a few MiB in any mode
_PARTS: Final = 50_000  # chunks or segments: encoders write some thousands at most; each takes Pillow 3 µs
_PACKED: Final = 1_032  # the most bytes that one byte of deflate unpacks to (zlib's own documentation)

# Heavy pictures are decoded one at a time, or a burst would fill memory. One more may wait. A third is told
# to slow down, as AWS SDKs then do by themselves: the server looks with three threads or more (one a core,
# and two), and one that a heavy picture never gets lets small ones through.
_one_heavy = threading.Lock()
_heavy_seats = threading.BoundedSemaphore(2)

# What Pillow raises on bytes that are not the picture they claim to be: the first two nearly always, by
# 240,000 damaged files; the others by its source. MemoryError is not among them: that is this machine's
# trouble, not the caller's.
_DAMAGED = (
    OSError,  # a stream that breaks off or does not unpack
    SyntaxError,  # markers and chunks out of order, wrong checksums, unknown kinds
    ValueError,  # a header, a palette or a transparency of the wrong size
    AssertionError,  # a palette that Pillow believes in and the file does not hold
    EOFError,  # the end where a header or a row should be
    IndexError,  # a header shorter than it says
    KeyError,  # a mode there is no decoder for
    TypeError,  # the end where a marker should be
    struct.error,  # the end inside a number
    zlib.error,  # rows that do not unpack
)
_BROKEN: Final = "the picture is truncated or damaged"

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_DRAWN: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})  # the chunks that make pixels
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG's colour types (PNG 3rd edition, table 8)
_TOLD: Final = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})  # APP1 to 13, 15 and COM; 0 and 14 tell colours
_ALONE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD9), 0xFF})  # stuffing and markers that hold nothing


def decode(data: bytes, *, limits: Limits = LIMITS) -> Image:
    """The picture in `data`, upright.

    Raises InvalidImageFormat (not JPEG or PNG, truncated, damaged), InvalidParameter (a side under 80 px),
    ImageTooLarge (a side over 10,000 px) and Throttling (one heavy picture is being decoded and one waits).
    """
    if data.startswith(b"\xff\xd8\xff"):
        drawn, exif = _jpeg_parts(data)
        pixels = _jpeg(drawn, limits)
    elif data.startswith(_PNG):
        drawn, exif = _png_parts(data)
        pixels = _png(drawn, limits)
    else:
        raise InvalidImageFormat(detail="only JPEG and PNG are read")
    upright = _turn(pixels, _orientation(exif))
    return Image(np.ascontiguousarray(upright), hashlib.sha256(data).digest())


def _jpeg_parts(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG without what it tells of itself, and its EXIF."""
    kept, exif, at = [data[:2]], b"", 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:  # the first scan; from here on it is the decoder's
            return b"".join([*kept, data[at:]]), exif
        if marker in _ALONE:
            at += 1
            continue
        if marker == 0xE1 and not exif and data.startswith(b"Exif\x00\x00", at + 4):
            exif = data[at + 10 : end]
        if marker not in _TOLD:
            kept.append(data[at:end])
        if len(kept) > _PARTS:
            break
        at = end
    raise InvalidImageFormat(detail="the JPEG is truncated or damaged before its first scan")


def _png_parts(data: bytes) -> tuple[bytes, bytes]:
    """A PNG without what it tells of itself, and its EXIF. Of an animated one the still picture is left."""
    kept, exif = [_PNG], b""
    if not data.startswith(b"\x00\x00\x00\rIHDR", 8):
        raise InvalidImageFormat(detail="the PNG's header is damaged")
    for name, at, end in _chunks(data):
        if name in _DRAWN and (name != b"IHDR" or len(kept) == 1):
            kept.append(data[at - 8 : end + 4])
        elif name == b"eXIf":
            exif = data[at:end]
        if len(kept) > _PARTS:
            raise InvalidImageFormat(detail="the PNG is in too many pieces")
    return b"".join(kept), exif


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a PNG: name, and where its content begins and ends."""
    at = len(_PNG)
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        yield name, at + 8, at + 8 + size
        at += 12 + size


def _check(file: Pillow.Image, limits: Limits) -> None:
    width, height = file.size
    if max(width, height) > limits.largest:
        raise ImageTooLarge(
            f"Input image dimensions {width} x {height} exceed maximum dimension size"
            f" of {limits.largest} pixels"
        )
    if min(width, height) < limits.smallest:
        detail = f"the image is {width} x {height} pixels; each side must be at least {limits.smallest}"
        raise InvalidParameter(detail=detail)


def _jpeg(drawn: bytes, limits: Limits) -> Pixels:
    """A JPEG's pixels. From twice the working size on, at half size, which libjpeg does cheaply.

    One that has an end mark but too little before it comes out grey from there on, as in browsers: libjpeg
    counts that a warning and does not tell Pillow.
    """
    with _sound("the header is damaged"):
        file = JpegImageFile(io.BytesIO(drawn))
    _check(file, limits)
    scans = drawn.count(b"\xff\xda")
    if scans > limits.scans:
        raise InvalidImageFormat(detail=f"a JPEG of more than {limits.scans} scans")
    # Several scans: libjpeg keeps every coefficient, two bytes each, until the last has been read.
    coefficients = 2 * file.layers * file.width * file.height if scans > 1 else 0
    if max(file.size) >= 2 * limits.working:
        file.draft(file.mode, (file.width // 2, file.height // 2))
    with _seat(heavy=coefficients + _held(file) > limits.heavy):
        return _pixels(file, limits.working)


def _png(drawn: bytes, limits: Limits) -> Pixels:
    """A PNG's pixels: all of them are in Pillow's buffer before the first can be had."""
    with _sound("the header is damaged"):
        file = PngImageFile(io.BytesIO(drawn))
    _check(file, limits)
    if file.mode == "P" and file.palette is None:
        raise InvalidImageFormat(detail="the PNG has no palette")
    depth, colour, interlaced = drawn[24], drawn[25], drawn[28]
    whole = file.height * (1 + math.ceil(file.width * depth * _CHANNELS[colour] / 8))
    if whole > _PACKED * len(drawn):
        raise InvalidImageFormat(detail="the PNG is truncated: it cannot hold what it claims")
    with _seat(heavy=_held(file) > limits.heavy):
        with _sound(_BROKEN):
            file.load()
        # Rows that are not there come out as zeros, unnoticed by Pillow. Interlaced ones are not looked at.
        last = np.asarray(file.crop((0, file.height - 1, *file.size)))
        if not last.any() and not interlaced and _unpacked(drawn) < whole:
            raise InvalidImageFormat(detail="the PNG is truncated: it holds fewer rows than it claims")
        return _pixels(file, limits.working)


def _held(file: Pillow.Image) -> int:
    """Bytes of Pillow's buffer: colours take four a pixel whether there is an alpha or not."""
    return file.width * file.height * {"1": 1, "L": 1, "P": 1, "I;16": 2}.get(file.mode, 4)


def _unpacked(drawn: bytes) -> int:
    """Bytes that a PNG's rows come to. Fed 256 bytes at a time, so that no more than 258 KiB are held."""
    unpacker, size = zlib.decompressobj(), 0
    with _sound(_BROKEN):
        for name, start, end in _chunks(drawn):
            if name == b"IDAT":
                for at in range(start, end, 256):
                    size += len(unpacker.decompress(drawn[at : min(at + 256, end)]))
    return size


@contextmanager
def _sound(detail: str) -> Iterator[None]:
    """InvalidImageFormat for what the decoder raises inside."""
    try:
        yield
    except _DAMAGED as damage:
        raise InvalidImageFormat(detail=detail) from damage


@contextmanager
def _seat(*, heavy: bool) -> Iterator[None]:
    """Leave to decode; Throttling where a heavy picture would have to wait behind one that waits."""
    if not heavy:
        yield
        return
    if not _heavy_seats.acquire(blocking=False):
        raise Throttling
    try:
        with _one_heavy:
            yield
    finally:
        _heavy_seats.release()


def _pixels(file: Pillow.Image, working: int) -> Pixels:
    """RGB, at most `working` on a side. By whole numbers in strips, then by the rest."""
    with _sound(_BROKEN):
        file.load()
    shrink = max(1, max(file.size) // working)
    width, height = math.ceil(file.width / shrink), math.ceil(file.height / shrink)
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // (file.width * shrink))
    for top in range(0, height, rows):
        bottom = min(file.height, (top + rows) * shrink)
        strip = file.crop((0, top * shrink, file.width, bottom)) if rows < height else file
        with _sound(_BROKEN):  # a palette or a transparency that does not fit
            strip = _rgb(strip)
            pixels[top : top + rows] = np.asarray(strip.reduce(shrink) if shrink > 1 else strip)
    file.close()  # its buffer, before the last copy is made
    scale = working / max(width, height)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cast("Pixels", cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _rgb(strip: Pillow.Image) -> Pillow.Image:
    """Any mode a JPEG or PNG has: palette, grey, 16-bit, CMYK, alpha (on white)."""
    if strip.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion clips at 255
        wide = np.asarray(strip)
        return Pillow.fromarray((wide.clip(0, 65_535) // 257).astype(np.uint8)).convert("RGB")
    if strip.has_transparency_data:
        clear = strip.convert("RGBA")
        ground = Pillow.new("RGB", clear.size, "white")
        ground.paste(clear, mask=clear)
        return ground
    return strip if strip.mode == "RGB" else strip.convert("RGB")


def _orientation(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none. Unreadable metadata do not spoil a good picture."""
    tiff = exif.removeprefix(b"Exif\x00\x00")  # some writers put JPEG's mark into a PNG too
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == 0x0112 and kind == 3 and 1 <= value <= 8:  # Orientation, a SHORT (EXIF 2.3, 4.6.4)
                return int(value)
    except struct.error:
        return 1
    return 1


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels as people see them. EXIF 5 to 8 are transposed; the rest are flips."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    rows = -1 if orientation in {3, 4, 7, 8} else 1
    columns = -1 if orientation in {2, 3, 6, 7} else 1
    return pixels[::rows, ::columns]
