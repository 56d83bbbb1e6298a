from __future__ import annotations

import hashlib
import io
import random
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import PngImagePlugin

from countenance.errors import AwsError, ImageTooLarge, InvalidImageFormat, InvalidParameter, Throttling
from countenance.vision import images
from countenance.vision.images import Limits, decode

# A picture whose four corners differ, so that every turn and flip can be told.
CORNERS = {"red": (0, 0), "green": (0, -1), "blue": (-1, 0), "white": (-1, -1)}
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def scene(width: int = 160, height: int = 96) -> Pillow.Image:
    pixels = np.zeros((height, width, 3), np.uint8)
    for name, (row, column) in CORNERS.items():
        rows = slice(0, height // 2) if row == 0 else slice(height // 2, None)
        columns = slice(0, width // 2) if column == 0 else slice(width // 2, None)
        pixels[rows, columns] = COLOURS[name]
    return Pillow.fromarray(pixels)


def encoded(picture: Pillow.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def assert_upright(pixels: np.ndarray, tolerance: int = 12) -> None:
    for name, (row, column) in CORNERS.items():
        inside = pixels[20 if row == 0 else -20, 20 if column == 0 else -20]
        assert np.abs(inside.astype(int) - COLOURS[name]).max() <= tolerance, name


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def drawn(width: int, height: int, rows: bytes, *before: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG made by hand. rows: unpacked, each with its filter's byte. before: chunks before the pixels."""
    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", ihdr), *before, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""
    return drawn(width, height, bytes(100))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_orientation_is_applied(orientation: int, order: str, kind: str) -> None:
    turns = {
        1: [],
        2: [Pillow.Transpose.FLIP_LEFT_RIGHT],
        3: [Pillow.Transpose.ROTATE_180],
        4: [Pillow.Transpose.FLIP_TOP_BOTTOM],
        5: [Pillow.Transpose.TRANSPOSE],
        6: [Pillow.Transpose.ROTATE_90],  # stored turned left, shown turned right
        7: [Pillow.Transpose.TRANSVERSE],
        8: [Pillow.Transpose.ROTATE_270],
    }
    stored = scene()
    for turn in turns[orientation]:
        stored = stored.transpose(turn)
    mark = ">" if order == "big" else "<"
    tiff = (b"MM" if order == "big" else b"II") + struct.pack(mark + "HI", 42, 8)
    ifd = struct.pack(mark + "HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    options: dict[str, object] = {"quality": 95} if kind == "JPEG" else {}
    image = decode(encoded(stored, kind, exif=b"Exif\x00\x00" + tiff + ifd, **options))
    assert image.pixels.shape == (96, 160, 3)
    assert_upright(image.pixels)
    assert image.pixels.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    "junk", [b"", b"Exif\x00\x00", b"MM\x00*\xff\xff\xff\xff", b"II*\x00\x08\x00\x00\x00\xff\xff"]
)
def test_junk_metadata_does_not_spoil_a_picture(junk: bytes) -> None:
    assert_upright(decode(encoded(scene(), "JPEG", quality=95, exif=junk)).pixels)


@pytest.mark.parametrize(
    "entries",
    [
        struct.pack("<HHHII", 1, 0x011A, 5, 1, 9_999),  # a resolution that lies outside: Pillow warns of it
        struct.pack("<HHHII", 9, 0x0112, 7, 2**31, 6),  # an orientation of an odd kind, in a cut directory
        struct.pack("<HHHII", 1, 0x0112, 3, 1, 99),  # a ninety-ninth orientation
    ],
)
def test_damaged_exif_neither_raises_nor_warns(entries: bytes) -> None:
    """pytest makes errors of warnings."""
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + entries
    for kind in ("JPEG", "PNG"):
        assert_upright(decode(encoded(scene(), kind, exif=exif)).pixels, tolerance=30)


@pytest.mark.parametrize("name", ["exif", "transparency", "interlace", "gamma", "icc_profile", "bbox"])
@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_text_in_a_png_is_only_text(name: str, kind: str) -> None:
    """Pillow keeps text and what it knows of the picture in one dict, under names the file chooses."""
    text = PngImagePlugin.PngInfo()
    if kind == "iTXt":
        text.add_itxt(name, "hello")
    else:
        text.add_text(name, "hello", zip=kind == "zTXt")
    assert_upright(decode(encoded(scene(), pnginfo=text)).pixels)


def test_a_damaged_animation_shows_the_still_picture() -> None:
    rows = (b"\x00" + b"\xff\x00\x00" * 90) * 90
    for count in (b"", bytes(8), b"\xff" * 8):
        assert (decode(drawn(90, 90, rows, chunk(b"acTL", count))).pixels == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    kind = "JPEG" if mode in {"CMYK", "YCbCr"} else "PNG"
    options: dict[str, object] = {"quality": 98} if kind == "JPEG" else {}
    assert_upright(decode(encoded(scene().convert(mode), kind, **options)).pixels)


def test_a_progressive_jpeg_decodes() -> None:
    assert_upright(decode(encoded(scene(), "JPEG", quality=95, progressive=True)).pixels)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_becomes_three_equal_channels(mode: str) -> None:
    pixels = decode(encoded(scene().convert(mode))).pixels
    assert (pixels == pixels[..., :1]).all()
    assert pixels[-20, -20, 0] == 255
    assert pixels[20, 20, 0] in range(77) or mode == "1"


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    wide = np.linspace(0, 65_535, 100 * 100).reshape(100, 100).astype(np.uint16)
    pixels = decode(encoded(Pillow.fromarray(wide))).pixels
    assert np.abs(pixels[..., 0].astype(int) - wide // 257).max() <= 1
    _, colour = cv2.imencode(".png", np.repeat(wide[..., None], 3, 2))
    assert np.abs(decode(colour.tobytes()).pixels[..., 1].astype(int) - wide // 257).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "P", "RGB"])
def test_what_is_transparent_shows_white(mode: str) -> None:
    clear = Pillow.new("RGBA", (100, 100), (255, 0, 0, 0))
    if mode == "RGBA":
        data = encoded(clear)
    elif mode == "P":
        palette = clear.convert("RGB").convert("P")
        data = encoded(palette, transparency=palette.getpixel((0, 0)))
    else:
        data = encoded(Pillow.new("RGB", (100, 100), (9, 9, 9)), transparency=(9, 9, 9))
    assert (decode(data).pixels == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_strips_leave_no_seam(mode: str) -> None:
    """2.4 megapixels are three strips."""
    ramp = np.add.outer(np.arange(1200), np.arange(2000)) * 255 // 3198
    grey = ramp.astype(np.uint8)
    if mode == "I;16":
        picture, expected = Pillow.fromarray(ramp.astype(np.uint16) * 257), grey
    elif mode == "RGBA":
        picture = Pillow.fromarray(np.dstack([np.zeros((1200, 2000, 3), np.uint8), grey]))
        expected = 255 - grey  # black on white, ever less clear
    else:
        picture, expected = Pillow.fromarray(grey).convert(mode), grey
    pixels = decode(encoded(picture, compress_level=1)).pixels
    assert np.abs(pixels[..., 1].astype(int) - expected).max() <= (8 if mode == "P" else 1)


def test_half_transparent_is_half_white() -> None:
    half = Pillow.new("RGBA", (100, 100), (0, 0, 0, 128))
    assert np.abs(decode(encoded(half)).pixels.astype(int) - 127).max() <= 1


def test_an_animated_png_shows_its_first_frame() -> None:
    frames = [Pillow.new("RGB", (90, 90), colour) for colour in ("red", "blue", "green")]
    data = encoded(frames[0], save_all=True, append_images=frames[1:], duration=100)
    assert isinstance(Pillow.open(io.BytesIO(data)), PngImagePlugin.PngImageFile)
    assert (decode(data).pixels == (255, 0, 0)).all()


def test_the_digest_is_of_the_bytes() -> None:
    data = encoded(scene())
    assert decode(data).digest == hashlib.sha256(data).digest()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "BMP", "TIFF", "ICO", "PPM"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(InvalidImageFormat, match=r"^Request has invalid image format"):
        decode(encoded(scene(), kind))


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"/9j/4AAQ", b"\x00" * 99]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidImageFormat):
        decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_truncation_is_an_error_or_the_whole_picture(kind: str) -> None:
    whole = encoded(scene(), kind)
    expected = decode(whole).pixels
    for length in range(0, len(whole), max(1, len(whole) // 150)):
        try:
            pixels = decode(whole[:length]).pixels
        except InvalidImageFormat:
            continue
        assert (pixels == expected).all(), length  # all pixels were there; only the end mark was cut


def test_a_truncated_photo_is_refused(hopper_jpeg: bytes) -> None:
    for share in (0.05, 0.5, 0.9, 0.99):
        with pytest.raises(InvalidImageFormat, match="truncated"):
            decode(hopper_jpeg[: int(len(hopper_jpeg) * share)])


def test_a_png_that_lacks_rows_is_refused() -> None:
    row = b"\x00" + b"\x09\x08\x07" * 90
    with pytest.raises(InvalidImageFormat, match="fewer rows"):
        decode(drawn(90, 90, row * 89))
    assert (decode(drawn(90, 90, row * 90)).pixels == (9, 8, 7)).all()


def test_a_png_whose_last_row_is_black_is_whole() -> None:
    rows = (b"\x00" + b"\x09\x08\x07" * 90) * 89 + bytes(271)
    assert decode(drawn(90, 90, rows)).pixels[-2:, 0, 0].tolist() == [9, 0]


def test_a_palette_picture_without_palette_is_refused() -> None:
    """Pillow asserts that there is one."""
    with pytest.raises(InvalidImageFormat, match="no palette"):
        decode(drawn(90, 90, (b"\x00" + bytes(range(90))) * 90, colour=3))


def test_a_damaged_jpeg_leaves_stderr_alone(hopper_jpeg: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """libjpeg's own way is to print "Corrupt JPEG data"; whoever sends one would fill the server's log."""
    half = len(hopper_jpeg) // 2
    decode(hopper_jpeg[:half] + b"\xff\xd9")  # an end mark, but too little before it: grey from there on
    for junk in (b"\x00\xff\x33" * 50, b"\xff\xd3" * 9, bytes(range(256)) * 4):
        try:
            decode(hopper_jpeg[:half] + junk + hopper_jpeg[half + len(junk) :])
        except InvalidImageFormat:
            continue
    assert capfd.readouterr() == ("", "")


def seeds() -> list[bytes]:
    """Every kind of picture the decoder knows, small and full of detail."""
    noise = np.random.default_rng(0).integers(0, 255, (90, 100, 3), np.uint8)
    picture = Pillow.fromarray(noise)
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6)
    pngs = [encoded(picture.convert(mode)) for mode in ("RGB", "L", "P", "RGBA", "LA", "1")]
    pngs += [encoded(Pillow.fromarray(noise[..., 0].astype(np.uint16) * 257))]
    pngs += [encoded(picture.convert("P"), transparency=bytes(range(200))), encoded(picture, exif=exif)]
    jpegs = [encoded(picture.convert(mode), "JPEG", exif=exif) for mode in ("RGB", "L", "CMYK")]
    return [*pngs, *jpegs, encoded(picture, "JPEG", progressive=True, exif=exif)]


def mutated(whole: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, most of them early; at times cut. A PNG gets right checksums, to be read on."""
    data = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        place = chance.randrange(2, min(len(data), chance.choice((120, 700, len(data)))))
        data[place] = chance.choice((0, 255, chance.randrange(256)))
    if chance.random() < 0.2:
        del data[chance.randrange(10, len(data)) :]
    if data[:4] != b"\x89PNG":
        return bytes(data)
    fixed, at = data[:8], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        fixed += chunk(bytes(data[at + 4 : at + 8]), bytes(data[at + 8 : at + 8 + size]))
        at += 12 + size
    return bytes(fixed)


def test_thousands_of_damaged_pictures_give_a_picture_or_an_aws_error() -> None:
    """Two hundred thousand have been tried once (other seeds); these run in seconds."""
    chance, whole = random.Random(7), seeds()
    seen = {"picture": 0, "InvalidImageFormatException": 0}
    for _ in range(3_000):
        data = mutated(chance.choice(whole), chance)
        try:
            pixels = decode(data, limits=Limits(largest=1_000)).pixels
        except AwsError as refusal:
            outcome = refusal.code
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3
            outcome = "picture"
        seen[outcome] = seen.get(outcome, 0) + 1
    assert set(seen) <= {
        "picture",
        "InvalidImageFormatException",
        "InvalidParameterException",
        "ImageTooLargeException",
    }
    assert min(seen["picture"], seen["InvalidImageFormatException"]) > 300


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 1199), value=st.integers(0, 255), kind=st.sampled_from(["JPEG", "PNG"]))
def test_a_changed_byte_gives_a_picture_or_an_aws_error(place: int, value: int, kind: str) -> None:
    data = bytearray(encoded(scene(), kind))
    data[place % len(data)] = value
    try:
        image = decode(bytes(data))
    except AwsError as refusal:
        status = refusal.status
    else:
        status = 400 if image.pixels.dtype == np.uint8 else 500
    assert status == 400


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
def test_noise_gives_an_aws_error(noise: bytes, magic: bytes) -> None:
    with pytest.raises(AwsError):
        decode(magic + noise)


@pytest.mark.parametrize(("width", "height"), [(79, 80), (80, 79), (1, 1), (10_000, 79)])
def test_small_pictures_are_refused_with_their_size(width: int, height: int) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        decode(encoded(Pillow.new("RGB", (width, height))))
    sentence, detail = refusal.value.message.split(": ")
    assert sentence == "Request has invalid parameters"
    assert f"{width} x {height}" in detail
    assert "80" in detail


def test_the_smallest_picture_is_taken() -> None:
    assert decode(encoded(Pillow.new("RGB", (80, 80)))).pixels.shape == (80, 80, 3)


def test_a_side_over_ten_thousand_is_refused_in_awss_words() -> None:
    with pytest.raises(ImageTooLarge) as refusal:
        decode(header(10_800, 5_400))
    assert refusal.value.message == (
        "Input image dimensions 10800 x 5400 exceed maximum dimension size of 10000 pixels"
    )


def test_a_bomb_costs_no_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge):
            decode(header(30_000, 30_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_png_too_small_for_what_it_claims_costs_no_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidImageFormat, match="cannot hold"):
            decode(header(10_000, 10_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


MEASURE = """
import re, sys
from countenance.vision.images import decode
def peak():  # not ru_maxrss, which begins at what the process held that started this one
    with open("/proc/self/status") as status:
        return int(re.findall(r"VmHWM:\\s+(\\d+) kB", status.read())[0])
data = sys.stdin.buffer.read()
before = peak()
decode(data)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("side", "colour", "bytes_held"), [(10_000, 3, 1), (6_000, 6, 4)], ids=["palette", "alpha"]
)
def test_beside_the_decoders_buffer_only_strips_are_held(side: int, colour: int, bytes_held: int) -> None:
    """A palette of clear colours once took 1.8 GB, for a file of 95 KiB."""
    palette = (chunk(b"PLTE", bytes(768)), chunk(b"tRNS", bytes(range(256)))) if colour == 3 else ()
    rows = bytes((1 + side * bytes_held) * side)
    data = drawn(side, side, rows, *palette, colour=colour)
    told = subprocess.run([sys.executable, "-c", MEASURE], input=data, capture_output=True, check=True)
    assert int(told.stdout) * 1024 < side * side * bytes_held + 200e6


HEAVY = Limits(heavy=0)  # every picture is a heavy one


def test_a_third_heavy_picture_is_told_to_slow_down_and_small_ones_pass() -> None:
    data = encoded(scene())
    done: list[bytes] = []
    waiters = [
        threading.Thread(target=lambda: done.append(decode(data, limits=HEAVY).digest)) for _ in range(2)
    ]
    with images._one_heavy:  # as if one were being decoded
        for waiter in waiters:
            waiter.start()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if images._heavy_seats.acquire(blocking=False):
                images._heavy_seats.release()
                time.sleep(0.01)
            else:
                break
        with pytest.raises(Throttling, match=r"^Slow down"):
            decode(data, limits=HEAVY)
        assert_upright(decode(data).pixels)
        assert done == []
    for waiter in waiters:
        waiter.join(10)
    assert len(done) == 2
    assert_upright(decode(data, limits=HEAVY).pixels)


def test_a_heavy_picture_that_is_damaged_gives_up_its_seat() -> None:
    data = encoded(scene())
    for _ in range(3):
        with pytest.raises(InvalidImageFormat):
            decode(data[: len(data) // 2], limits=HEAVY)
    assert_upright(decode(data, limits=HEAVY).pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [199, 250, 400, 1001])
def test_a_large_picture_is_shrunk_to_the_working_size(kind: str, side: int) -> None:
    image = decode(encoded(scene(side, side // 2), kind), limits=Limits(working=100, largest=1001))
    assert max(image.width, image.height) == 100
    assert abs(image.height - 50) <= 1
    assert_upright(image.pixels, tolerance=30)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    data = encoded(scene(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(InvalidImageFormat, match="scans"):
        decode(data[:last] + data[last:-2] * 40 + data[-2:])


def test_a_picture_in_a_million_pieces_is_refused_at_once() -> None:
    """Each costs Pillow some Python, and meanwhile nobody else has any."""
    png, jpeg = encoded(scene()), encoded(scene(), "JPEG")
    at = png.index(b"IDAT") - 4
    for data in (
        png[:at] + chunk(b"IDAT", b"") * 1_000_000 + png[at:],
        jpeg[:2] + b"\xff\xdd\x00\x04\x00\x00" * 1_000_000 + jpeg[2:],
    ):
        start = time.process_time()
        with pytest.raises(InvalidImageFormat):
            decode(data)
        assert time.process_time() - start < 1
    assert_upright(decode(png[:at] + chunk(b"IDAT", b"") * 20_000 + png[at:]).pixels)


def test_trailing_bytes_are_ignored(hopper_jpeg: bytes) -> None:
    plain, followed = decode(hopper_jpeg), decode(hopper_jpeg + b"PK\x03\x04 and more")
    assert (plain.pixels == followed.pixels).all()
