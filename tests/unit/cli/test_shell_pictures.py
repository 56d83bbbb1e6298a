"""Any format to what the API takes, and words drawn into a picture."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from countenance.cli import drawing, pictures
from countenance.cli.drawing import Mark
from countenance.errors import PhotoError
from countenance.vision import images

LYING = 6
"""EXIF: held upright, stored lying."""


def test_what_the_api_takes_is_sent_byte_for_byte(tmp_path: Path, hopper: Pillow.Image) -> None:
    for name in ("a.jpg", "a.png"):
        hopper.save(tmp_path / name)
        assert pictures.read(tmp_path / name).sent == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.avif", "a.bmp", "a.gif", "a.jp2"])
def test_other_formats_arrive_as_the_same_picture(tmp_path: Path, hopper: Pillow.Image, name: str) -> None:
    hopper.save(tmp_path / name)
    photo = pictures.read(tmp_path / name)
    assert pictures.is_picture(photo)
    sent = images.decode(photo.sent)
    assert (sent.width, sent.height) == photo.size == hopper.size
    assert np.abs(sent.pixels.astype(int) - np.asarray(hopper)).mean() < 8  # GIF has 256 colours


def test_heic_is_read() -> None:
    photo = pictures.read(Path(__file__).with_name("hopper.heic"))
    sent = images.decode(photo.sent)
    assert (sent.width, sent.height) == photo.size == (180, 210)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.webp"])
def test_a_turned_photo_stands_upright(tmp_path: Path, hopper: Pillow.Image, name: str) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = LYING
    hopper.transpose(Pillow.Transpose.ROTATE_90).save(tmp_path / name, exif=exif)
    photo = pictures.read(tmp_path / name)
    assert photo.size == hopper.size
    sent = images.decode(photo.sent)
    assert np.abs(sent.pixels.astype(int) - np.asarray(hopper)).mean() < 8
    assert photo.upright(4096).size == hopper.size


def test_a_camera_s_large_jpeg_fits_and_keeps_its_frame(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3000, 4000, 3), np.uint8)  # the worst to compress
    Pillow.fromarray(noise).save(tmp_path / "a.jpg", quality=97)
    assert (tmp_path / "a.jpg").stat().st_size > 12_000_000
    photo = pictures.read(tmp_path / "a.jpg")
    assert len(photo.sent) <= pictures.MOST_BYTES
    assert photo.size == (4000, 3000)
    sent = images.decode(photo.sent)
    assert sent.width * 3 == sent.height * 4


def test_a_picture_of_more_than_ten_thousand_pixels_a_side_is_shrunk(tmp_path: Path) -> None:
    Pillow.new("RGB", (12_000, 600), "teal").save(tmp_path / "wide.png")
    sent = images.decode(pictures.read(tmp_path / "wide.png").sent)
    assert (sent.width, sent.height) == (4096, 205)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("I;16", 65_535, (255, 255, 255)),
        ("I;16", 32_896, (128, 128, 128)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (9, 9, 9, 0), (255, 255, 255)),
    ],
)
def test_every_mode_is_seen_as_people_see_it(
    tmp_path: Path, mode: str, value: int | tuple[int, ...], expected: tuple[int, int, int]
) -> None:
    Pillow.new(mode, (100, 90), value).save(tmp_path / "a.tif")
    seen = pictures.read(tmp_path / "a.tif").upright(4096).getpixel((50, 40))
    assert seen == expected


def test_what_is_no_picture_says_so(tmp_path: Path, hopper: Pillow.Image) -> None:
    (tmp_path / "a.txt").write_text("dear diary")
    photo = pictures.read(tmp_path / "a.txt")
    assert not pictures.is_picture(photo)
    with pytest.raises(PhotoError, match=r"a.txt is not a picture"):
        _ = photo.sent
    hopper.save(tmp_path / "a.webp")
    (tmp_path / "cut.webp").write_bytes((tmp_path / "a.webp").read_bytes()[:5000])
    with pytest.raises(PhotoError, match=r"cut.webp"):
        _ = pictures.read(tmp_path / "cut.webp").sent
    with pytest.raises(PhotoError, match="cannot be read"):
        pictures.read(tmp_path / "absent.jpg")


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    framed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))
    with pytest.raises(PhotoError, match="claims 30000 x 30000 pixels"):
        _ = pictures.read(tmp_path / "bomb.png").upright(4096)


YELLOW, BLACK = (255, 212, 0), (0, 0, 0)


@pytest.mark.parametrize("size", [(80, 80), (640, 480), (4000, 3000), (300, 2000)])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.4, 0.4), (0.8, 0.8), (-0.1, -0.1)])
def test_a_caption_is_legible_and_whole_at_any_size(
    size: tuple[int, int], corner: tuple[float, float]
) -> None:
    mark = Mark(
        {"Left": corner[0], "Top": corner[1], "Width": 0.2, "Height": 0.2}, "albums/spring/IMG_1.jpg 99.9"
    )
    seen = np.asarray(drawing.drawn(Pillow.new("RGB", size, "navy"), [mark]))
    ground = (seen == YELLOW).all(2)
    words = (seen == BLACK).all(2)
    assert max(seen.shape) >= 640
    assert seen.shape[0] * size[0] == pytest.approx(seen.shape[1] * size[1], rel=0.02)
    rows, columns = np.nonzero(words)
    assert np.ptp(rows) >= 6  # letters have a height to read
    assert np.ptp(columns) > 10 * np.ptp(rows) / 3  # and a line of them
    # Every letter stands on the caption's ground, so none was cut off by an edge.
    left, right = columns.min(), columns.max()
    assert left > 0
    assert right < seen.shape[1] - 1
    assert ground[rows.min() : rows.max() + 1, left - 1].any()


def test_boxes_are_where_the_ratios_say() -> None:
    mark = Mark({"Left": 0.25, "Top": 0.5, "Width": 0.5, "Height": 0.25})
    seen = np.asarray(drawing.drawn(Pillow.new("RGB", (800, 600), "navy"), [mark]))
    rows, columns = np.nonzero((seen == YELLOW).all(2))
    assert (rows.min(), rows.max()) == pytest.approx((300, 450), abs=3)
    assert (columns.min(), columns.max()) == pytest.approx((200, 600), abs=3)


def test_an_ending_that_names_no_format_is_said(tmp_path: Path, hopper: Pillow.Image) -> None:
    hopper.save(tmp_path / "a.png")
    with pytest.raises(PhotoError, match=r"must end in \.jpg"):
        drawing.save(pictures.read(tmp_path / "a.png"), [], tmp_path / "out.xyz")
