"""A document in blocks as one picture: for chats and printers that take nothing else."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont, ImageOps

from countenance.cli.paper import Block, Card, Cards, Grid, Heading, Notice, Number, Picture, Text, Verbatim

WIDTH, MARGIN, GAP = 1600, 64, 28
"""Pixels: a page, held upright."""

ABREAST = 5
"""Faces side by side."""

INK, PALE, RULE, PAPER, ALARM = "#1d2125", "#5b656e", "#c9ced3", "#ffffff", "#fbeedd"
TALLEST = 30_000
"""Pixels; half of what a PNG viewer on a phone still opens."""


@dataclass
class _Sheet:
    """A picture that grows downwards. Strokes are kept and drawn at the end, when its height is known."""

    top: float = MARGIN
    strokes: list[Callable[[Pillow.Image, ImageDraw.ImageDraw], None]] = field(default_factory=list)

    def words(self, text: str, left: float, width: float, size: int = 26, colour: str = INK) -> None:
        """A paragraph, wrapped."""
        font = ImageFont.load_default(size)
        for line in _wrapped(text, font, width):
            place = (left, self.top)
            self.strokes.append(
                lambda _, draw, place=place, line=line: draw.text(place, line, colour, font)  # type: ignore[misc]
            )
            self.top += size * 1.35

    def ground(self, top: float, colour: str) -> None:
        """A coloured ground from a height to here, under what is there already."""
        corners = (MARGIN - 16, top - 12, WIDTH - MARGIN + 16, self.top + 10)
        self.strokes.insert(0, lambda _, draw: draw.rectangle(corners, colour))

    def rule(self, colour: str = RULE) -> None:
        line = (MARGIN, self.top, WIDTH - MARGIN, self.top)
        self.strokes.append(lambda _, draw: draw.line(line, colour, 2))
        self.top += 10


def png(blocks: Sequence[Block]) -> bytes:
    """The document. What does not fit into TALLEST is cut off, and the last line says so."""
    sheet = _Sheet()
    for number, block in enumerate(blocks):
        if sheet.top > TALLEST:
            sheet.words(f"{len(blocks) - number} parts are left out: see the HTML.", MARGIN, WIDTH)
            break
        _paint(block, sheet)
    picture = Pillow.new("RGB", (WIDTH, round(sheet.top) + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    for stroke in sheet.strokes:
        stroke(picture, draw)
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _paint(block: Block, sheet: _Sheet) -> None:
    inner = WIDTH - 2 * MARGIN
    match block:
        case Heading(text, level):
            sheet.top += 30 if level > 1 else 0
            sheet.words(text, MARGIN, inner, {1: 52, 2: 38}.get(level, 30))
            sheet.top += 12
        case Text(text) | Verbatim(text):
            sheet.words(text, MARGIN, inner)
            sheet.top += 14
        case Notice(text):
            sheet.top += 14
            start = sheet.top
            sheet.words(text, MARGIN, inner)
            sheet.ground(start, ALARM)
            sheet.top += 26
        case Grid():
            _grid(block, sheet)
        case Cards(cards):
            for start in range(0, len(cards), ABREAST):
                _row(cards[start : start + ABREAST], sheet)
        case _:
            raise TypeError(f"{type(block).__name__} is not painted")


def _grid(grid: Grid, sheet: _Sheet) -> None:
    sheet.words(grid.title, MARGIN, WIDTH - 2 * MARGIN, 30)
    width = (WIDTH - 2 * MARGIN) / max(1, len(grid.columns))
    for number, row in enumerate([grid.columns, *grid.rows]):
        top = bottom = sheet.top
        for column, cell in enumerate(row):
            sheet.top = top
            text = cell.text if isinstance(cell, Number) else cell
            sheet.words(text, MARGIN + column * width, width - 16, 22, INK if number else PALE)
            bottom = max(bottom, sheet.top)
        sheet.top = bottom + 6
        sheet.rule(RULE if number else INK)
    sheet.top += 16


def _row(cards: Sequence[Card], sheet: _Sheet) -> None:
    """Cards side by side, as high as the highest."""
    width = (WIDTH - 2 * MARGIN - GAP * (ABREAST - 1)) / ABREAST
    top = bottom = sheet.top
    for number, card in enumerate(cards):
        left = MARGIN + number * (width + GAP)
        sheet.top = top
        _picture(card.picture, left, round(width), sheet)
        sheet.words(card.title, left, width, 26)
        for line in card.lines:
            sheet.words(line, left, width, 20, PALE)
        for line in card.commands:
            sheet.top += 6
            sheet.words(line, left, width, 17)
        bottom = max(bottom, sheet.top)
    sheet.top = bottom + GAP


def _picture(picture: Picture, left: float, side: int, sheet: _Sheet) -> None:
    place = (round(left), round(sheet.top))
    if picture.jpeg is None:
        corners = (*place, place[0] + side, place[1] + side)
        sheet.strokes.append(lambda _, draw: draw.rectangle(corners, None, RULE, 2))
        sheet.top += 12
        sheet.words(picture.words, left + 14, side - 28, 20, PALE)
        sheet.top = place[1]
    else:
        face = ImageOps.fit(Pillow.open(io.BytesIO(picture.jpeg)), (side, side))
        sheet.strokes.append(lambda whole, _: whole.paste(face, place))
    sheet.top += side + 10


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """Lines that are no wider; a word that is breaks where it must, as paths and FaceIds do."""
    plain = re.sub(r"`([^`]+)`|\*\*(.+?)\*\*", lambda mark: mark[1] or mark[2], text)
    lines = []
    for paragraph in plain.splitlines() or [""]:
        letters = max(4, int(len(paragraph) * width / max(font.getlength(paragraph), 1)))
        while True:
            broken = textwrap.wrap(paragraph, letters, break_on_hyphens=False) or [""]
            if letters <= 4 or all(font.getlength(line) <= width for line in broken):
                break
            letters -= 1
        lines += broken
    return lines
