"""What was covered, and what a person should check: as tables, as CSV and as uncovered pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from PIL import Image as Pillow
from PIL import ImageDraw

from countenance.cli import painted, terminal
from countenance.cli.paper import Card, Cards, Heading, Picture, Text
from countenance.vision.video import open_clip

Shape = Mapping[str, Any]

WHY: Final = {
    "STAYS": "this face stays in view; is it the right one?",
    "FAINT": "may be a face, and is not covered",
    "BEGINS": "a face is covered from here on; was it there before?",
    "ENDS": "a face is not covered any more; is it still there?",
    "GAP": "a face was not found for a while",
    "LOW_CONFIDENCE": "perhaps no face",
    "SMALL": "a small face",
    "PROFILE": "a face from the side",
}
"""What each reason means to whoever looks."""

COLUMNS: Final = (
    *("kind", "file", "from_ms", "to_ms", "covered", "confidence", "reasons"),
    *("left", "top", "width", "height"),
)

SHEET = 60
"""Pictures on one sheet."""

SIDE = 480
"""Pixels of a picture on it."""

AROUND = 1.0
"""Of a face's size, shown around it on each side."""

SHOWN = 20
"""Lines of a table in the shell; the report has all."""


def show(target: Path, told: Shape) -> None:
    """What was done, in a few lines and a table of what to check."""
    if "Photos" in told:
        _show_photos(told["Photos"])
        return
    sound = "with its sound" if told["HasSound"] else "without sound"
    click.echo(
        f"{target}: {told['Frames']} frames written {sound}, {told['CoveredFrames']} of them with something "
        f"covered. Faces followed: {len(told['Tracks'])}; in view at some time: {_in_view(told)}."
    )
    _table("Look at these frames before you publish", map(_check, told["Checks"]))


def _in_view(told: Shape) -> int:
    """How many of those that were followed are not covered all the time."""
    return sum(track["Covered"] != "ALL" for track in told["Tracks"])


def _show_photos(photos: Sequence[Shape]) -> None:
    faces = [face for photo in photos for face in photo.get("Faces", ())]
    written = sum("Faces" in photo for photo in photos)
    covered = sum(face["Covered"] for face in faces)
    click.echo(f"{written} written; {covered} of what may be {len(faces)} faces covered.")
    for photo in photos:
        if "Error" in photo:
            click.echo(f"Error: {photo['Error']}", err=True)
    rows = [
        (photo["Photo"], "a face stays" if not face["Covered"] else "covered", _why(face["Reasons"]))
        for photo in photos
        for face in photo.get("Faces", ())
        if face["Reasons"] or not face["Covered"]
    ]
    if rows:
        terminal.print_table(("photo", "face", "look because"), rows[:SHOWN])
    if len(rows) > SHOWN:
        click.echo(f"and {len(rows) - SHOWN} more: --report has them all.")


def _table(title: str, rows: Any) -> None:
    every = list(rows)
    if every:
        terminal.print_table(("at>", "because"), every[:SHOWN], title)
    if len(every) > SHOWN:
        click.echo(f"and {len(every) - SHOWN} more: --report has them all.")


def _check(check: Shape) -> tuple[str, str]:
    return _clock(check["Timestamp"]), _why(check["Reasons"])


def _why(reasons: Sequence[str]) -> str:
    return "; ".join(WHY[reason] for reason in reasons)


def _clock(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}:{rest / 1000:06.3f}"


def table(told: Shape) -> str:
    """One row a face that was followed, and one a frame to check; of photos, one a face."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(COLUMNS)
    for photo in told.get("Photos", ()):
        for face in photo.get("Faces", ()):
            covered = "ALL" if face["Covered"] else "NONE"
            line = ("face", _inert(photo["Photo"]), "", "", covered, f"{face['Confidence']:.1f}")
            rows.writerow([*line, " ".join(face["Reasons"]), *_sides(face["BoundingBox"])])
        if "Error" in photo:
            rows.writerow(["error", _inert(photo["Photo"]), *[""] * 4, _inert(photo["Error"]), *[""] * 4])
    for track in told.get("Tracks", ()):
        span = track["StartTimestampMillis"], track["EndTimestampMillis"]
        rows.writerow(["track", "", *span, track["Covered"], f"{track['Confidence']:.1f}", *[""] * 5])
    for check in told.get("Checks", ()):
        at, reasons = check["Timestamp"], " ".join(check["Reasons"])
        rows.writerow(["check", "", at, at, "", "", reasons, *_sides(check["BoundingBox"])])
    return stream.getvalue()


def _inert(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _sides(box: Shape) -> list[str]:
    return [f"{box[side]:.4f}" for side in ("Left", "Top", "Width", "Height")]


def sheets(clip: Path, checks: Sequence[Shape], folder: Path) -> None:
    """Pictures of the frames to check, as the clip shows them: uncovered, in a folder for its owner alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_clip(clip) as opened:
        cards = [_card(opened.at(check["Timestamp"]).pixels, check) for check in checks]
    for number, start in enumerate(range(0, len(cards), SHEET), 1):
        title = Heading(f"Look at these frames of {clip.name}", 1)
        shown = Cards(cards[start : start + SHEET])
        place = folder / f"check-{number}.png"
        place.write_bytes(painted.png([title, Text("Faces are not covered here."), shown]))
        place.chmod(0o600)


def _card(pixels: Any, check: Shape) -> Card:
    """What a frame shows around the place in question, the place framed."""
    height, width = pixels.shape[:2]
    box = check["BoundingBox"]
    across, along = box["Width"] * width, box["Height"] * height
    left, top = box["Left"] * width, box["Top"] * height
    side = (1 + 2 * AROUND) * max(across, along)
    corner = left + across / 2 - side / 2, top + along / 2 - side / 2
    picture = Pillow.fromarray(pixels)
    drawn = ImageDraw.Draw(picture)
    drawn.rectangle(
        (left, top, left + across, top + along), outline="#ffd400", width=max(1, round(side / 150))
    )
    cut = picture.crop((round(corner[0]), round(corner[1]), round(corner[0] + side), round(corner[1] + side)))
    stream = io.BytesIO()
    cut.resize((SIDE, SIDE)).save(stream, "JPEG")
    return Card(_clock(check["Timestamp"]), Picture("a frame", stream.getvalue()), [_why(check["Reasons"])])
