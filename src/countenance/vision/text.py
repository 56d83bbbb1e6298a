"""Text in pictures: lines of it and their words, each with where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.types import Image, Line, Pixels, Point, Text, Word
from countenance.vision import zoo
from countenance.vision.ppocr import AGAIN, WIDTH, LineFinder, LineReader, LineTurner, Reading, breadth, cut

Array = npt.NDArray[np.float32]

LEAST: Final = (
    0.5  # a line whose signs are less likely on average is taken for no text (RapidOCR, text_score)
)
TURNED: Final = 0.5  # from this chance on a line is taken to stand on its head
LONE: Final = 0.5  # of the picture: a lone sign that takes more is a thing (4 of 4 among coco's 80 photos)
DOUBTED: Final = 0.9  # a line whose signs are less likely is read the other way up as well


class PPOCR:
    """A Reader. finder, turner, reader: the three networks, in the order in which they run."""

    def __init__(self, finder: LineFinder, turner: LineTurner, reader: LineReader) -> None:
        self.finder = finder
        self.turner = turner
        self.reader = reader

    @property
    def cards(self) -> tuple[zoo.Card, ...]:
        """In the order in which they run."""
        return self.finder.card, self.turner.card, self.reader.card

    def read(self, image: Image) -> Text:
        """The lines, from the top down; what stands side by side, from the left. Raises ModelError.

        As many from the top as WIDTH has room for, so that no picture keeps a processor for minutes.
        """
        found = sorted(self.finder.find(image.pixels), key=lambda corners: float(corners[:, 1].mean()))
        kept = [found[number] for number in _within(WIDTH, found)]
        level = [cut(image.pixels, corners) for corners in kept]
        turned = self.turner.upside_down([line for line, _ in level])
        cuts = [_over(*each) if down >= TURNED else each for each, down in zip(level, turned, strict=True)]
        told = self.reader.read([line for line, _ in cuts])
        doubted = [number for number, reading in enumerate(told) if reading.chance < DOUBTED]
        doubted = [doubted[number] for number in _within(AGAIN, [kept[number] for number in doubted])]
        others = [_over(*cuts[number]) for number in doubted]
        for number, other, reading in zip(
            doubted, others, self.reader.read([line for line, _ in others]), strict=True
        ):
            if reading.chance > told[number].chance:
                cuts[number], told[number] = other, reading
        lines = [_line(image, corners, reading) for (_, corners), reading in zip(cuts, told, strict=True)]
        return Text(tuple(_in_order(list(filter(_is_text, lines)))), len(found) - len(kept))


def _within(room: int, lines: Sequence[Array]) -> range:
    """The first lines that together are no wider, by number."""
    widths = np.cumsum([breadth(corners) for corners in lines])
    return range(int(np.searchsorted(widths, room, side="right")))


def _is_text(line: Line) -> bool:
    lone = len(line.text) == 1 and line.box.area > LONE
    return bool(line.words) and line.confidence >= 100 * LEAST and not lone


def _over(line: Pixels, corners: Array) -> tuple[Pixels, Array]:
    """The line the other way up, with its corners."""
    return line[::-1, ::-1], np.roll(corners, -2, axis=0)


def _line(image: Image, corners: Array, reading: Reading) -> Line:
    """The line with its words: what stands between spaces."""
    along = corners[1] - corners[0]
    words, spans = [], _between_spaces(reading.text)
    for (first, last), edges in zip(spans, _edges(reading.places, spans), strict=True):
        begin, end = (along * share for share in edges)
        around = np.array([corners[0] + begin, corners[0] + end, corners[3] + end, corners[3] + begin])
        chances = reading.chances[first:last]
        words.append(Word(reading.text[first:last], _percent(chances), _points(image, around)))
    text = " ".join(word.text for word in words)
    signs = [chance for sign, chance in zip(reading.text, reading.chances, strict=True) if not sign.isspace()]
    return Line(text, _percent(signs), _points(image, corners), tuple(words))


def _between_spaces(text: str) -> list[tuple[int, int]]:
    """Where each word begins and where it is over."""
    edges = [n for n, sign in enumerate(text) if sign.isspace()]
    pairs = zip([-1, *edges], [*edges, len(text)], strict=True)
    return [(before + 1, after) for before, after in pairs if after > before + 1]


def _edges(places: Sequence[float], spans: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Where words begin and end, over their line's width.

    A word reaches half a sign beyond the middles of its first and last, or to the line's ends. Where two
    would overlap, they meet in the middle.
    """
    usual = 1 / max(1, len(places))
    reach = [
        (places[last - 1] - places[first]) / (last - first - 1) / 2 if last - first > 1 else usual / 2
        for first, last in spans
    ]
    begins = [places[first] - half for (first, _), half in zip(spans, reach, strict=True)]
    ends = [places[last - 1] + half for (_, last), half in zip(spans, reach, strict=True)]
    for n in range(1, len(spans)):
        if begins[n] < ends[n - 1]:
            begins[n] = ends[n - 1] = (begins[n] + ends[n - 1]) / 2
    return list(zip([0.0, *begins[1:]], [*ends[:-1], 1.0], strict=True)) if spans else []


def _percent(chances: Sequence[float]) -> float:
    return min(100.0, 100 * float(np.mean(chances))) if chances else 0.0


def _points(image: Image, corners: Array) -> tuple[Point, Point, Point, Point]:
    """In ratios, none beyond the picture's edges: what was grown may be."""
    ratios = (corners / [image.width, image.height]).clip(0, 1).tolist()
    first, second, third, fourth = (Point(*each) for each in ratios)
    return first, second, third, fourth


def _in_order(lines: list[Line]) -> list[Line]:
    """Rows from the top down; what shares a row, from the left."""
    left = sorted(lines, key=_middle)
    ordered: list[Line] = []
    while left:
        reach = left[0].box.height / 2
        row = [line for line in left if _middle(line) - _middle(left[0]) < reach]
        ordered += sorted(row, key=lambda line: line.box.left)
        left = left[len(row) :]
    return ordered


def _middle(line: Line) -> float:
    return line.box.top + line.box.height / 2
