"""`countenance text`: what is written in photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from countenance.cli import declaring, looking, photos, terminal
from countenance.cli.drawing import Mark
from countenance.cli.pictures import Photo


@click.command(cls=declaring.Command)
@click.argument("paths", metavar="PHOTO|FOLDER...", nargs=-1, required=True, type=looking.place_argument)
@terminal.home_option
@terminal.json_option
@photos.save_option
@click.option(
    "--min-confidence",
    type=terminal.PERCENT,
    default=80.0,
    show_default=True,
    help="How sure a word must be to be shown.",
)
@declaring.options
def text(
    *,
    paths: tuple[Path, ...],
    home: Path,
    as_json: bool,
    save: Path | None,
    min_confidence: float,
    said: Mapping[str, str],
) -> None:
    """Read what is written in each PHOTO, and in those of each FOLDER.

    `countenance models pull text` fetches the weights first.
    """
    filters = {"WordFilter": {"MinConfidence": min_confidence}}
    looking.look(
        paths,
        home,
        said,
        save,
        asking=lambda client, photo: photos.ask(
            client.detect_text, photo, Image={"Bytes": photo.sent}, Filters=filters
        ),
        told=("TextDetections", "TextModelVersion"),
        show=None if as_json else _show,
        marks=lambda answer: [
            Mark(line["Geometry"]["BoundingBox"], line["DetectedText"]) for line in _lines(answer)
        ],
    )


def _lines(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in answer["TextDetections"] if each["Type"] == "LINE"]


def _show(photo: Photo, answer: Mapping[str, Any]) -> None:
    lines = _lines(answer)
    width, height = photo.size
    click.echo(
        f"{click.format_filename(photo.path)}: {width} x {height}, "
        f"{len(lines) or 'no'} {'line' if len(lines) == 1 else 'lines'}"
    )
    rows = [
        (
            line["DetectedText"],
            line["Confidence"],
            photos.in_pixels(line["Geometry"]["BoundingBox"], width, height),
        )
        for line in lines
    ]
    if rows:
        terminal.print_table(("text", "confidence>", "place"), rows)
    if warning := answer["ResponseMetadata"]["HTTPHeaders"].get("x-countenance-warning"):
        click.echo(f"  {warning}")
