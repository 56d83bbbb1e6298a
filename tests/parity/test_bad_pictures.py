"""What is no picture, or too small, too large or not what it claims; and every kind that is one."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.parity.photos import encoded, grace, nobody, opened
from tests.parity.wire import (
    LARGEST_IMAGE,
    MIB,
    PARAMETERS,
    Wire,
    assert_refused,
    peak,
)

FORMAT = "Request has invalid image format"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int, rows: int) -> bytes:
    """A PNG that claims a size; rows: how many it really holds, of zeros."""
    row = b"\0" * (1 + 3 * width) if rows else b""  # one of 2^31 pixels is 6 GiB
    packer = zlib.compressobj(9)
    squeezed = b"".join([*(packer.compress(row) for _ in range(rows)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


def claims(photo: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = photo.index(b"\xff\xc0") + 5
    return photo[:at] + struct.pack(">HH", height, width) + photo[at + 4 :]


def of_kind(kind: str, **options: Any) -> bytes:
    return encoded(opened(grace()).resize((128, 150)), kind, **options)


def heic() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0mif1heic" + b"\0" * 200


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"><rect width="9" height="9"/></svg>'

NOT_PICTURES: dict[str, Any] = {
    "text": lambda: b"xx",
    "zeros": lambda: b"\0" * 1000,
    "gif": lambda: of_kind("GIF"),
    "webp": lambda: of_kind("WEBP"),
    "bmp": lambda: of_kind("BMP"),
    "tiff": lambda: of_kind("TIFF"),
    "heic": heic,
    "svg": lambda: SVG,
    "pdf": lambda: of_kind("PDF"),
    "jpeg cut in half": lambda: grace()[: len(grace()) // 2],
    "jpeg without its end": lambda: grace()[: len(grace()) * 9 // 10],
    "jpeg of three bytes": lambda: b"\xff\xd8\xff",
    "jpeg header": lambda: grace()[:200],
    "png cut in half": lambda: of_kind("PNG")[:5000],
    "png signature": lambda: b"\x89PNG\r\n\x1a\n",
    "png with a wrong checksum": lambda: of_kind("PNG").replace(b"IDAT", b"IDAT\0", 1),
    "html before a jpeg": lambda: b"<script>alert(1)</script>" + grace(),
    "zip before a png": lambda: b"PK\x03\x04" + of_kind("PNG"),
    "base64 twice": lambda: base64.b64encode(grace()),
    "a data url": lambda: b"data:image/jpeg;base64," + base64.b64encode(grace()),
}


@pytest.mark.parametrize("name", NOT_PICTURES)
def test_what_is_no_jpeg_or_png(wire: Wire, people: str, name: str) -> None:
    photo = {"Bytes": NOT_PICTURES[name]()}
    for operation, request in (
        ("DetectFaces", {"Image": photo}),
        ("IndexFaces", {"Image": photo, "CollectionId": people}),
        ("CompareFaces", {"SourceImage": {"Bytes": grace()}, "TargetImage": photo}),
    ):
        assert_refused(wire.call(operation, request), "InvalidImageFormatException", FORMAT)


@pytest.mark.parametrize(
    ("width", "height", "photo"),
    [
        (30_000, 30_000, bomb(30_000, 30_000, 1)),
        (10_001, 100, bomb(10_001, 100, 100)),
        (100, 10_001, bomb(100, 10_001, 10_001)),
        (2**31 - 1, 2**31 - 1, bomb(2**31 - 1, 2**31 - 1, 0)),
        (65_535, 65_535, claims(grace(), 65_535, 65_535)),
    ],
    ids=["png 30,000", "png wide", "png high", "png 2^31", "jpeg 65,535"],
)
def test_a_picture_that_claims_too_many_pixels(wire: Wire, width: int, height: int, photo: bytes) -> None:
    before = peak()
    sentence = f"Input image dimensions {width} x {height} exceed maximum dimension size of 10000 pixels"
    assert_refused(wire.call("DetectFaces", {"Image": {"Bytes": photo}}), "ImageTooLargeException", sentence)
    assert peak() - before < 128 * MIB


@pytest.mark.parametrize(
    "photo",
    [claims(grace(), 10_000, 10_000), bomb(10_000, 10_000, 1)],
    ids=["jpeg", "png"],
)
def test_a_picture_that_holds_less_than_it_claims(wire: Wire, photo: bytes) -> None:
    """Decoders fill in what is missing, as browsers do; what it costs is bounded."""
    before = peak()
    reply = wire.call("DetectFaces", {"Image": {"Bytes": photo}})
    assert reply.status == 200 or reply.code == "InvalidImageFormatException"
    assert peak() - before < 768 * MIB


def test_a_png_whose_text_unpacks_to_256_mib(wire: Wire) -> None:
    photo = of_kind("PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * MIB * 256, level=1))
    before = peak()
    reply = wire.call("DetectFaces", {"Image": {"Bytes": photo[:33] + text + photo[33:]}})
    assert reply.status == 200 or reply.code == "InvalidImageFormatException"
    assert peak() - before < 64 * MIB


@pytest.mark.parametrize(("width", "height"), [(79, 80), (80, 79), (1, 1), (79, 10_000), (1, 9000)])
def test_a_picture_that_is_too_small(wire: Wire, width: int, height: int) -> None:
    reply = wire.call("DetectFaces", {"Image": {"Bytes": nobody(width, height)}})
    assert_refused(reply, "InvalidParameterException", PARAMETERS)


def test_the_smallest_and_the_longest_picture(wire: Wire) -> None:
    for width, height in ((80, 80), (10_000, 80), (80, 10_000)):
        assert wire.call("DetectFaces", {"Image": {"Bytes": nobody(width, height)}}).status == 200


def test_bytes_up_to_the_limit(wire: Wire) -> None:
    """Bytes after a JPEG's end belong to no picture and spoil none."""
    photo = grace().ljust(LARGEST_IMAGE, b"\0")
    assert len(wire.call("DetectFaces", {"Image": {"Bytes": photo}}).json["FaceDetails"]) == 1


def test_two_pictures_up_to_the_limit(wire: Wire) -> None:
    photo = {"Bytes": grace().ljust(LARGEST_IMAGE, b"\0")}
    reply = wire.call("CompareFaces", {"SourceImage": photo, "TargetImage": photo})
    assert len(reply.json["FaceMatches"]) == 1


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _wide_grey() -> bytes:
    grey = np.asarray(opened(grace()).convert("L"), np.uint16) * 257
    return encoded(Image.fromarray(grey))


def _transparent() -> bytes:
    picture = opened(grace()).convert("RGBA")
    picture.putalpha(250)
    return encoded(picture)


def _animated() -> bytes:
    frames = [opened(grace()), opened(nobody(512, 600))]
    return encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])


PICTURES: dict[str, Any] = {
    "cmyk jpeg": lambda: encoded(opened(grace()).convert("CMYK"), "JPEG"),
    "grey jpeg": lambda: encoded(opened(grace()).convert("L"), "JPEG"),
    "progressive jpeg": lambda: encoded(opened(grace()), "JPEG", progressive=True),
    "jpeg without subsampling": lambda: encoded(opened(grace()), "JPEG", subsampling=0),
    "jpeg and a zip": lambda: grace() + b"PK\x05\x06" + b"\0" * 18,
    "jpeg and html": lambda: grace() + b"<script>alert(1)</script>",
    "16-bit grey png": _wide_grey,
    "grey png": lambda: encoded(opened(grace()).convert("L")),
    "png with alpha": _transparent,
    "palette png": lambda: encoded(opened(grace()).convert("P", palette=Image.Palette.ADAPTIVE)),
    "animated png": _animated,
    **{
        f"exif {orientation}": lambda orientation=orientation, turn=turn: encoded(
            opened(grace()).transpose(turn), "JPEG", exif=_exif(orientation)
        )
        for orientation, turn in (
            (2, Image.Transpose.FLIP_LEFT_RIGHT),
            (3, Image.Transpose.ROTATE_180),
            (4, Image.Transpose.FLIP_TOP_BOTTOM),
            (5, Image.Transpose.TRANSPOSE),
            (6, Image.Transpose.ROTATE_90),
            (7, Image.Transpose.TRANSVERSE),
            (8, Image.Transpose.ROTATE_270),
        )
    },
}


@pytest.fixture(scope="module")
def plain(wire: Wire) -> Mapping[str, float]:
    """Where the face is in the picture as it is."""
    [face] = wire.call("DetectFaces", {"Image": {"Bytes": grace()}}).json["FaceDetails"]
    box: Mapping[str, float] = face["BoundingBox"]
    return box


@pytest.mark.parametrize("name", PICTURES)
def test_every_kind_of_jpeg_and_png(wire: Wire, plain: Mapping[str, float], name: str) -> None:
    [face] = wire.call("DetectFaces", {"Image": {"Bytes": PICTURES[name]()}}).json["FaceDetails"]
    assert face["BoundingBox"] == pytest.approx(plain, abs=0.03)


@pytest.mark.filterwarnings("ignore:.*EXIF data:UserWarning")  # Pillow says so too
@pytest.mark.parametrize(
    "exif",
    [_exif(0), _exif(9), b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + b"\xff" * 40],
    ids=["0", "9", "empty", "leads away", "nonsense"],
)
def test_metadata_that_are_damaged_do_not_spoil_a_picture(
    wire: Wire, plain: Mapping[str, float], exif: Image.Exif | bytes
) -> None:
    photo = encoded(opened(grace()), "JPEG", exif=exif)
    [face] = wire.call("DetectFaces", {"Image": {"Bytes": photo}}).json["FaceDetails"]
    assert face["BoundingBox"] == pytest.approx(plain, abs=0.03)
