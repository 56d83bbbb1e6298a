"""Boxes and words drawn into a photo, legible whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from countenance.cli.pictures import Photo
from countenance.errors import PhotoError

LARGEST, SMALLEST = 4_096, 640
"""Pixels of the drawn picture's longer side: a large one is shrunk, a small one enlarged for words to fit."""

STRONG, WEAK = "#ffd400", "#9aa5b1"
"""A face that is spoken of, and one that is only there: yellow on black reads on skin, sky and paper."""


CLOSE = 1 / 12
"""Of the picture's longer side: a face at least so wide has room for a caption of several lines."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A face to draw. box: AWS's BoundingBox, in ratios. words: its caption, perhaps none.

    Of several lines a face in a crowd gets the first: more would cover its neighbours.
    """

    box: Mapping[str, float]
    words: str = ""
    strong: bool = True


def save(photo: Photo, marks: Sequence[Mark], target: Path) -> None:
    """Write the photo with its marks. Raises PhotoError where the target's ending names no format."""
    picture = drawn(photo.upright(LARGEST), marks)
    try:
        picture.save(target, quality=92)
    except ValueError as fault:
        raise PhotoError(f"{target} must end in .jpg, .png or another format that can be written") from fault


def drawn(picture: Pillow.Image, marks: Sequence[Mark]) -> Pillow.Image:
    """A copy of an upright RGB picture with every mark in it; captions over boxes, so none is crossed out."""
    longest = max(picture.size)
    grow = max(1.0, SMALLEST / longest)
    copy = picture.resize((round(picture.width * grow), round(picture.height * grow)))
    draw = ImageDraw.Draw(copy)
    line = max(2, round(max(copy.size) / 400))
    for mark in marks:
        draw.rectangle(_corners(mark, copy), outline=STRONG if mark.strong else WEAK, width=line)
    for mark in marks:
        if mark.words:
            _caption(draw, copy, mark, line)
    return copy


def _corners(mark: Mark, picture: Pillow.Image) -> tuple[float, float, float, float]:
    left, top = mark.box["Left"] * picture.width, mark.box["Top"] * picture.height
    right = left + mark.box["Width"] * picture.width
    return left, top, right, top + mark.box["Height"] * picture.height


def _caption(draw: ImageDraw.ImageDraw, picture: Pillow.Image, mark: Mark, line: int) -> None:
    """Words on a ground of their own: above the box, or below it where there is no room."""
    left, top, right, bottom = _corners(mark, picture)
    longest = max(picture.size)
    # A crowd's captions shrink with its faces; one portrait's do not fill the picture.
    size = min(max((right - left) / 5, longest / 70, 11), longest / 28)
    lines = mark.words.splitlines() if right - left >= longest * CLOSE else mark.words.splitlines()[:1]
    if len(lines) > 1:
        size = max(size * 0.75, 11)
    font = ImageFont.load_default(size)
    width = max(draw.textlength(each, font) for each in lines)
    if width > picture.width - 2 * line:
        font = ImageFont.load_default(max(9, size * (picture.width - 2 * line) / width))
        width = max(draw.textlength(each, font) for each in lines)
    ascent, descent = font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (11, 3)
    height, pad = (ascent + descent) * len(lines), max(2, line)
    x = min(max(left, 0), max(0, picture.width - width - 2 * pad))
    y = top - height - pad if top - height - pad >= 0 else min(bottom + pad, picture.height - height)
    draw.rectangle((x, y, x + width + 2 * pad, y + height), fill=STRONG if mark.strong else WEAK)
    for number, each in enumerate(lines):
        draw.text((x + pad, y + number * (ascent + descent)), each, fill="black", font=font)
