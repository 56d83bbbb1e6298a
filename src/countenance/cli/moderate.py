"""`countenance moderate`: whether photos are unsafe to show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from countenance.cli import declaring, looking, photos, terminal
from countenance.cli.drawing import Mark
from countenance.cli.pictures import Photo

WHOLE = {"Left": 0.0, "Top": 0.0, "Width": 1.0, "Height": 1.0}


@click.command(cls=declaring.Command)
@click.argument("paths", metavar="PHOTO|FOLDER...", nargs=-1, required=True, type=looking.place_argument)
@terminal.home_option
@terminal.json_option
@photos.save_option
@click.option(
    "--min-confidence",
    type=terminal.PERCENT,
    default=50.0,
    show_default=True,
    help="How sure a label must be to be shown.",
)
@declaring.options
def moderate(
    *,
    paths: tuple[Path, ...],
    home: Path,
    as_json: bool,
    save: Path | None,
    min_confidence: float,
    said: Mapping[str, str],
) -> None:
    """Say of each PHOTO, and of those of each FOLDER, whether it looks explicit.

    A lead for a person to judge: on skin and sand it errs. `countenance models pull moderation` fetches the
    weights first.
    """
    looking.look(
        paths,
        home,
        said,
        save,
        asking=lambda client, photo: photos.ask(
            client.detect_moderation_labels, photo, Image={"Bytes": photo.sent}, MinConfidence=min_confidence
        ),
        told=("ModerationLabels", "ModerationModelVersion", "ContentTypes"),
        show=None if as_json else _show,
        marks=lambda answer: [Mark(WHOLE, _words(answer) or "no label", strong=bool(_words(answer)))],
    )


def _words(answer: Mapping[str, Any]) -> str:
    return "\n".join(f"{each['Name']} {each['Confidence']:.1f} %" for each in answer["ModerationLabels"])


def _show(photo: Photo, answer: Mapping[str, Any]) -> None:
    click.echo(f"{click.format_filename(photo.path)}: {', '.join(_words(answer).splitlines()) or 'no label'}")
    lacking = answer["ResponseMetadata"]["HTTPHeaders"].get("x-countenance-not-offered")
    if lacking:
        click.echo(f"  Not looked for: {lacking}.")
