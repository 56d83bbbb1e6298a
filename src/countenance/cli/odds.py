"""Of the alerts, how many are right: one bar a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from countenance.cli import canvas
from countenance.cli.canvas import PALE, Bar, Shape, Words

WIDTH, BAR, THICK, ROW = 920, 300, 20, 34
LEFT, TOP = 330, 96
"""Where the bars begin: room for a threshold's name beside them, and for the title above."""

RIGHT, WRONG = "#1f6f54", "#e3b7a8"


@dataclass(frozen=True, slots=True)
class Odds:
    """name: the threshold. share: of its alerts, how many are right [0, 1]; None without alerts. told: both
    counts in words."""

    name: str
    share: float | None
    told: str


def save(title: str, under: Sequence[str], rows: Sequence[Odds], target: Path) -> None:
    """Draw into a file. Raises PhotoError unless it ends in .svg or .png."""
    height = TOP + ROW * len(rows) + 24 + 20 * len(under)
    canvas.save(title, (WIDTH, height), _shapes(title, under, rows), target)


def _shapes(title: str, under: Sequence[str], rows: Sequence[Odds]) -> list[Shape]:
    shapes: list[Shape] = [
        Words(24, 34, title, 20),
        Bar(24, 54, 20, THICK, RIGHT),
        Words(52, 69, "alerts to somebody who is listed", colour=PALE),
        Bar(300, 54, 20, THICK, WRONG),
        Words(328, 69, "false alerts", colour=PALE),
    ]
    for number, row in enumerate(rows):
        top = TOP + ROW * number
        shapes.append(Words(24, top + 15, row.name))
        if row.share is not None:
            shapes.append(Bar(LEFT, top, BAR, THICK, WRONG))
            shapes.append(Bar(LEFT, top, BAR * row.share, THICK, RIGHT))
        shapes.append(Words(LEFT + BAR + 14, top + 15, row.told, colour=PALE))
    foot = TOP + ROW * len(rows) + 20
    shapes += [Words(24, foot + 20 * number, line, 13, PALE) for number, line in enumerate(under)]
    return shapes
