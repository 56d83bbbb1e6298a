"""A few shapes drawn into a file: as SVG text, or as a PNG of the same."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from countenance.errors import PhotoError

INK, PALE = "#1c2733", "#5b6b7b"
"""Colours of what is read first, and of what explains it."""

ENLARGED = 2
"""Times the PNG is larger than the SVG's own units, for print and for sharp screens."""


@dataclass(frozen=True, slots=True)
class Bar:
    left: float
    top: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Disc:
    """An ellipse in its rectangle."""

    left: float
    top: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Words:
    """A line of text. base: where its letters stand. middle: whether `left` is its middle."""

    left: float
    base: float
    text: str
    size: int = 14
    colour: str = INK
    middle: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture, scaled to a square."""

    left: float
    top: float
    side: float
    picture: Image.Image


Shape = Bar | Disc | Words | Picture


def save(title: str, size: tuple[int, int], shapes: Sequence[Shape], target: Path) -> None:
    """Draw into a file, later shapes over earlier ones. size: width and height, in the shapes' units.

    Raises PhotoError unless the target ends in .svg or .png.
    """
    match target.suffix.lower():
        case ".svg":
            target.write_text(_svg(title, size, shapes), "utf-8")
        case ".png":
            _png(size, shapes).save(target)
        case _:
            raise PhotoError(f"{target} must end in .svg or .png")


def _svg(title: str, size: tuple[int, int], shapes: Sequence[Shape]) -> str:
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-family="sans-serif">\n<title>{escape(title)}</title>\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(map(_element, shapes))
        + "\n</svg>\n"
    )


def _element(shape: Shape) -> str:
    match shape:
        case Bar():
            return (
                f'<rect x="{shape.left:g}" y="{shape.top:g}" width="{shape.width:.2f}" '
                f'height="{shape.height:g}" fill="{shape.colour}"/>'
            )
        case Disc():
            across, down = shape.width / 2, shape.height / 2
            return (
                f'<ellipse cx="{shape.left + across:g}" cy="{shape.top + down:g}" rx="{across:g}" '
                f'ry="{down:g}" fill="{shape.colour}"/>'
            )
        case Words():
            anchor = ' text-anchor="middle"' if shape.middle else ""
            return (
                f'<text x="{shape.left:g}" y="{shape.base:g}" font-size="{shape.size}" '
                f'fill="{shape.colour}"{anchor}>{escape(shape.text)}</text>'
            )
        case Picture():
            stream = io.BytesIO()
            shape.picture.convert("RGB").save(stream, "JPEG", quality=85)
            return (
                f'<image x="{shape.left:g}" y="{shape.top:g}" width="{shape.side:g}" '
                f'height="{shape.side:g}" preserveAspectRatio="none" '
                f'href="data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"/>'
            )


def _png(size: tuple[int, int], shapes: Sequence[Shape]) -> Image.Image:
    picture = Image.new("RGB", (size[0] * ENLARGED, size[1] * ENLARGED), "white")
    draw = ImageDraw.Draw(picture)
    for shape in shapes:
        match shape:
            case Bar() | Disc():
                left, top = shape.left * ENLARGED, shape.top * ENLARGED
                corners = (left, top, left + shape.width * ENLARGED - 1, top + shape.height * ENLARGED - 1)
                if corners[2] >= corners[0]:  # narrower than a pixel is not to be seen
                    (draw.rectangle if isinstance(shape, Bar) else draw.ellipse)(corners, shape.colour)
            case Words():
                font = ImageFont.load_default(shape.size * ENLARGED)
                place = (shape.left * ENLARGED, shape.base * ENLARGED)
                draw.text(place, shape.text, shape.colour, font, anchor="ms" if shape.middle else "ls")
            case Picture():
                side = round(shape.side * ENLARGED)
                place = round(shape.left * ENLARGED), round(shape.top * ENLARGED)
                picture.paste(shape.picture.convert("RGB").resize((side, side)), place)
    return picture
