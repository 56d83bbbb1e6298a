"""A timeline drawn: a row for each person, a bar where they are seen, bands in the colours of expressions.

Nobody's face is in it unless the caller hands pictures in: a silhouette, or the initials of who it may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from PIL import Image

from countenance.cli import canvas
from countenance.cli.canvas import PALE, Bar, Disc, Picture, Shape, Words
from countenance.cli.timelines import title

COLOURS: Final = {
    "HAPPY": "#e8a317",
    "CALM": "#4f9d86",
    "SURPRISED": "#8d6bbf",
    "SAD": "#3f72af",
    "ANGRY": "#b83b3b",
    "FEAR": "#5a4a78",
    "DISGUSTED": "#7b7f32",
    "CONFUSED": "#c2698c",
    "UNKNOWN": "#c9d0d6",
}
"""Of every name the API has for an expression."""

NAMES: Final = {"UNKNOWN": "unclear"}

WIDTH, ROW, SIDE = 1_000, 64, 44
LEFT, SPAN, TOP = 210, 760, 84
"""Where time begins, how long it is drawn, and where the first row stands."""

GROUND, SHADE, PRESENT, GRID = "#eef1f4", "#aab5c0", "#7d8b98", "#e3e8ec"
MOST: Final = 60
"""People drawn, by the time they are seen; the others are counted below."""


def save(
    heading: str,
    people: Sequence[Mapping[str, Any]],
    duration_ms: int,
    target: Path,
    pictures: Mapping[int, Image.Image] | None = None,
) -> None:
    """Draw People as GetFaceTimeline tells them into a file.

    pictures: of whom a face is to be shown, by Index. Raises PhotoError unless it ends in .svg or .png.
    """
    drawn = sorted(sorted(people, key=_seen, reverse=True)[:MOST], key=lambda each: int(each["Index"]))
    end = max([duration_ms, 1, *(span["EndTimestampMillis"] for each in drawn for span in each["Presence"])])
    bottom = TOP + ROW * max(1, len(drawn))
    shapes = [Words(24, 34, heading, 20), *_key(drawn), *_axis(end, bottom)]
    for number, person in enumerate(drawn):
        shapes += _row(person, TOP + ROW * number, SPAN / end, (pictures or {}).get(person["Index"]))
    if not people:
        shapes.append(Words(LEFT, TOP + 36, "nobody was seen", colour=PALE))
    if left := len(people) - len(drawn):
        shapes.append(Words(24, bottom + 44, f"and {left} more, seen for less time", 13, PALE))
    canvas.save(heading, (WIDTH, bottom + (60 if left else 40)), shapes, target)


def _seen(person: Mapping[str, Any]) -> int:
    """Milliseconds."""
    return sum(span["EndTimestampMillis"] - span["StartTimestampMillis"] for span in person["Presence"])


def _row(person: Mapping[str, Any], top: float, scale: float, picture: Image.Image | None) -> list[Shape]:
    shapes: list[Shape] = [*_likeness(person, top + 8, picture), Words(82, top + 35, _short(title(person)))]
    shapes += [_bar(span, top + 42, 5, scale, PRESENT) for span in person["Presence"]]
    shapes += [
        _bar(band, top + 14, 26, scale, _faded(COLOURS[band["Emotion"]], band["Confidence"]))
        for band in person["Bands"]
    ]
    return shapes


def _bar(span: Mapping[str, Any], top: float, height: float, scale: float, colour: str) -> Bar:
    start, end = span["StartTimestampMillis"], span["EndTimestampMillis"]
    return Bar(LEFT + start * scale, top, max(1.0, (end - start) * scale), height, colour)


def _likeness(person: Mapping[str, Any], top: float, picture: Image.Image | None) -> list[Shape]:
    """A picture if there is one, else the initials of a name, else a silhouette."""
    if picture is not None:
        return [Picture(24, top, SIDE, picture)]
    tile = Bar(24, top, SIDE, SIDE, GROUND)
    if (name := title(person)).endswith("?"):
        initials = "".join(word[0] for word in name.replace("_", " ").split())[:2].upper()
        return [tile, Words(24 + SIDE / 2, top + 29, initials, 18, PALE, middle=True)]
    shoulders = Disc(24 + 5, top + 27, SIDE - 10, 34, SHADE)
    below = Bar(24, top + SIDE, SIDE, 20, "white")
    return [tile, shoulders, below, Disc(24 + 13, top + 7, 18, 20, SHADE)]


def _key(people: Sequence[Mapping[str, Any]]) -> list[Shape]:
    shown = {band["Emotion"] for each in people for band in each["Bands"]}
    shapes: list[Shape] = []
    left = float(LEFT)
    for kind in [kind for kind in COLOURS if kind in shown]:
        name = NAMES.get(kind, kind.lower())
        shapes += [Bar(left, 52, 14, 14, COLOURS[kind]), Words(left + 20, 64, name, 13, PALE)]
        left += 44 + 7 * len(name)
    return [*shapes, Bar(left, 57, 14, 5, PRESENT), Words(left + 20, 64, "seen", 13, PALE)]


def _axis(end: int, bottom: float) -> list[Shape]:
    """A line at each round time, at most ten."""
    step = next((each for each in _STEPS if end / each <= 10), _STEPS[-1])
    shapes: list[Shape] = []
    for at in range(0, end + 1, step):
        left = LEFT + at * SPAN / end
        shapes.append(Bar(left, TOP, 1, bottom - TOP, GRID))
        shapes.append(Words(left, bottom + 20, _clock(at, step), 12, PALE, middle=True))
    return shapes


_STEPS: Final = (
    100,
    200,
    500,
    *(1_000 * each for each in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)),
)


def _clock(milliseconds: int, step: int) -> str:
    seconds = milliseconds / 1000
    if step < 1_000:
        return f"{seconds:.1f} s"
    if step < 60_000:
        return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
    return f"{seconds // 3600:.0f}:{seconds // 60 % 60:02.0f} h"


def _faded(colour: str, confidence: float) -> str:
    """Paler, the less sure: 100 % is the colour, 0 % a third of it on white."""
    share = 1 / 3 + 2 / 3 * min(max(confidence, 0.0), 100.0) / 100
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * share):02x}" for part in parts)


def _short(name: str) -> str:
    return name if len(name) <= 15 else f"{name[:14]}…"
