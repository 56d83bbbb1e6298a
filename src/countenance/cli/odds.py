"""Of the alerts, how many are right: one bar a threshold, as SVG text or as a PNG of the same shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from countenance.errors import PhotoError

WIDTH, BAR, ROW = 920, 300, 34
LEFT, TOP = 330, 96
"""Where the bars begin: room for a threshold's name beside them, and for the title above."""

INK, PALE, RIGHT, WRONG = "#1c2733", "#5b6b7b", "#1f6f54", "#e3b7a8"
ENLARGED = 2
"""Times the PNG is larger than the SVG's own units, for print and for sharp screens."""


@dataclass(frozen=True, slots=True)
class Odds:
    """name: the threshold. share: of its alerts, how many are right [0, 1]; None without alerts. told: both
    counts in words."""

    name: str
    share: float | None
    told: str


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    width: float
    colour: str


@dataclass(frozen=True, slots=True)
class _Words:
    left: float
    base: float
    text: str
    size: int = 14
    colour: str = INK


def save(title: str, under: Sequence[str], rows: Sequence[Odds], target: Path) -> None:
    """Draw into a file. Raises PhotoError unless it ends in .svg or .png."""
    height = TOP + ROW * len(rows) + 24 + 20 * len(under)
    shapes = _shapes(title, under, rows)
    match target.suffix.lower():
        case ".svg":
            target.write_text(_svg(title, height, shapes), "utf-8")
        case ".png":
            _png(height, shapes).save(target)
        case _:
            raise PhotoError(f"{target} must end in .svg or .png")


def _shapes(title: str, under: Sequence[str], rows: Sequence[Odds]) -> list[_Box | _Words]:
    shapes: list[_Box | _Words] = [
        _Words(24, 34, title, 20),
        _Box(24, 54, 20, RIGHT),
        _Words(52, 69, "alerts to somebody who is listed", colour=PALE),
        _Box(300, 54, 20, WRONG),
        _Words(328, 69, "false alerts", colour=PALE),
    ]
    for number, row in enumerate(rows):
        top = TOP + ROW * number
        shapes.append(_Words(24, top + 15, row.name))
        if row.share is not None:
            shapes += [_Box(LEFT, top, BAR, WRONG), _Box(LEFT, top, BAR * row.share, RIGHT)]
        shapes.append(_Words(LEFT + BAR + 14, top + 15, row.told, colour=PALE))
    foot = TOP + ROW * len(rows) + 20
    shapes += [_Words(24, foot + 20 * number, line, 13, PALE) for number, line in enumerate(under)]
    return shapes


def _svg(title: str, height: int, shapes: Sequence[_Box | _Words]) -> str:
    drawn = [
        f'<rect x="{shape.left:g}" y="{shape.top:g}" width="{shape.width:.2f}" height="20" '
        f'fill="{shape.colour}"/>'
        if isinstance(shape, _Box)
        else f'<text x="{shape.left:g}" y="{shape.base:g}" font-size="{shape.size}" fill="{shape.colour}">'
        f"{escape(shape.text)}</text>"
        for shape in shapes
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="sans-serif">\n<title>{escape(title)}</title>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _png(height: int, shapes: Sequence[_Box | _Words]) -> Image.Image:
    picture = Image.new("RGB", (WIDTH * ENLARGED, height * ENLARGED), "white")
    draw = ImageDraw.Draw(picture)
    for shape in shapes:
        if isinstance(shape, _Words):
            font = ImageFont.load_default(shape.size * ENLARGED)
            place = (shape.left * ENLARGED, shape.base * ENLARGED)
            draw.text(place, shape.text, shape.colour, font, anchor="ls")
        elif shape.width * ENLARGED >= 1:
            left, top = shape.left * ENLARGED, shape.top * ENLARGED
            corners = (left, top, left + shape.width * ENLARGED - 1, top + 20 * ENLARGED - 1)
            draw.rectangle(corners, shape.colour)
    return picture
