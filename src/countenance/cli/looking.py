"""What commands that look at photos one by one share: photos and folders in, progress, faults told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from countenance.cli import door, drawing, photos, pictures, terminal
from countenance.cli.drawing import Mark
from countenance.cli.pictures import Photo
from countenance.cli.sources import Folder
from countenance.errors import PhotoError

Answer = Mapping[str, Any]

place_argument = click.Path(path_type=Path, exists=True)


def look(
    places: Sequence[Path],
    home: Path,
    said: Mapping[str, str],
    save: Path | None,
    *,
    asking: Callable[[Any, Photo], Answer],
    told: Sequence[str],
    show: Callable[[Photo, Answer], None] | None,
    marks: Callable[[Answer], Sequence[Mark]] = lambda _answer: (),
) -> None:
    """Ask of every photo and show the answer, or print all as JSON where `show` is None.

    asking: the call, by a client. told: the answer's members that JSON tells. marks: what is drawn into
    `save`. Raises PhotoError where several photos would be drawn into one; SystemExit where one could not be
    read, after the others.
    """
    paths = list(_paths(places))
    if save and len(paths) != 1:
        raise PhotoError("--save draws into one photo; name just one")
    found, faults = [], 0
    with door.opened(home, said=said) as client, terminal.counting("Looking") as progress:
        task = progress.add_task("", total=len(paths))
        for path in paths:
            try:
                photo = pictures.read(path)
                if path not in places and not pictures.is_picture(photo):
                    continue
                answer = asking(client, photo)
                found.append(photos.facts_of(photo, answer, **{name: answer[name] for name in told}))
            except PhotoError as fault:  # the next may well be good
                click.echo(f"Error: {fault}", err=True)
                found.append({"photo": str(path), "error": str(fault)})
                faults += 1
                continue
            finally:
                progress.advance(task)
            if show:
                show(photo, answer)
            if save:
                drawing.save(photo, marks(answer), save)
    if not show:
        terminal.print_json(found)
    if faults:
        raise SystemExit(1)


def _paths(places: Sequence[Path]) -> Iterator[Path]:
    """The photos named, and the files below the folders named; what is no picture there is passed over."""
    for place in places:
        if not place.is_dir():
            yield place
            continue
        yield from (Path(item.place) for item in Folder(place))
