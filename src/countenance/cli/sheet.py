"""A contact sheet in a file: HTML, a picture or Markdown, by the file's ending. For its owner alone, as it
shows faces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from countenance.cli import painted, paper
from countenance.cli.paper import Block
from countenance.errors import PhotoError

WRITERS: Mapping[str, Callable[[Sequence[Block], str], bytes]] = {
    ".html": lambda blocks, title: paper.html(blocks, title).encode(),
    ".md": lambda blocks, _title: paper.markdown(blocks).encode(),
    ".png": lambda blocks, _title: painted.png(blocks),
}


def foldered(_context: click.Context, _option: click.Parameter, target: Path | None) -> Path | None:
    """Said before anything is sent, not after."""
    if target is not None and not target.parent.is_dir():
        raise PhotoError(f"{target} cannot be written: there is no folder {target.parent}")
    return target


def _endings(context: click.Context, option: click.Parameter, targets: Sequence[Path]) -> Sequence[Path]:
    for target in targets:
        if target.suffix.lower() not in WRITERS:
            raise PhotoError(f"{target} must end in {' or '.join(sorted(WRITERS))}")
        foldered(context, option, target)
    return targets


save_option = click.option(
    "--save",
    "targets",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="SHEET.html|.png|.md",
    multiple=True,
    callback=_endings,
    help="Write a contact sheet with the faces. May be repeated.",
)
photos_option = click.option(
    "--photos",
    "places",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Where the enrolled photos are, if not where `countenance index` found them.",
)


def save(blocks: Sequence[Block], title: str, targets: Sequence[Path]) -> None:
    for target in targets:
        target.touch(mode=0o600)
        target.chmod(0o600)  # also where an earlier sheet, or another file, was there
        target.write_bytes(WRITERS[target.suffix.lower()](blocks, title))
        click.echo(f"Wrote {target}.", err=True)


def review(home: Path, default: Path, decision: int, face: Mapping[str, Any]) -> str:
    """The command that records what somebody found who looked at a face; its verdict is to be changed."""
    where = "" if home == default else f" --home {home}"
    return f"countenance review {decision} {face['FaceId']} undecided --by NAME{where}"


REVIEW = (
    "Compare each face with the photos yourself, best with a second person who does not know what you found. "
    "The command under a face records what you found: write `confirmed` or `wrong` in it instead of "
    "`undecided`, and your name. Reports count it; a later review of the same face counts instead."
)
