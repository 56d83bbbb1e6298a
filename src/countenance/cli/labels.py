"""`countenance labels`: what photos show; of a folder, a list to search."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from countenance.cli import archive, declaring, door, drawing, pictures, terminal
from countenance.cli.archive import Archive
from countenance.cli.drawing import Mark
from countenance.cli.photos import ask, facts_of
from countenance.cli.pictures import Photo
from countenance.errors import PhotoError


@click.command(cls=declaring.Command)
@click.argument(
    "places", metavar="PLACE...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@terminal.home_option
@terminal.json_option
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jpg",
    help="Write the photo with the boxes of what was found drawn in.",
)
@click.option(
    "--csv",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="LIST.csv",
    help="Write a list, one line a photo, of photos and whole folders. What it holds already is not asked "
    "for again, so that a run that was stopped goes on.",
)
@click.option("--find", "words", metavar="WORDS", help="Search a list that --csv wrote: 'dog outdoors'.")
@click.option(
    "--min-confidence",
    type=terminal.PERCENT,
    default=55.0,
    show_default=True,
    help="How probable a label must be.",
)
@click.option("--max", "most", type=click.IntRange(1, 1000), default=1000, help="The most labels of a photo.")
@click.option("--properties", is_flag=True, help="Tell colours, brightness, sharpness and contrast as well.")
@declaring.options
def labels(
    *,
    places: tuple[Path, ...],
    home: Path,
    as_json: bool,
    save: Path | None,
    target: Path | None,
    words: str | None,
    min_confidence: float,
    most: int,
    properties: bool,
    said: Mapping[str, str],
) -> None:
    """Say what each PLACE shows: a photo, or with --csv a folder of them; with --find a list to search."""
    if words is not None:
        _find(places, words, min_confidence, as_json=as_json)
        return
    if save and (len(places) > 1 or target):
        raise PhotoError("--save draws into one photo; name just one, without --csv")
    asked: dict[str, Any] = {"MinConfidence": min_confidence, "MaxLabels": most}
    if properties:
        asked["Features"] = ["GENERAL_LABELS", "IMAGE_PROPERTIES"]
    if target:
        _write(places, target, asked, home, said)
        return
    if folders := [place for place in places if place.is_dir()]:
        raise PhotoError(f"{folders[0]} is a folder: say with --csv LIST.csv where its list is to be written")
    _tell(places, asked, home, said, save, as_json=as_json)


def _tell(
    places: Sequence[Path],
    asked: Mapping[str, Any],
    home: Path,
    said: Mapping[str, str],
    save: Path | None,
    *,
    as_json: bool,
) -> None:
    """A table, or JSON, of each photo."""
    told, faults = [], 0
    with door.opened(home, said=said) as client:
        for place in places:
            try:
                photo = pictures.read(place)
                answer = _labels(client, photo, asked)
            except PhotoError as fault:  # the next may well be good
                click.echo(f"Error: {fault}", err=True)
                told.append({"photo": str(place), "error": str(fault)})
                faults += 1
                continue
            members = {name: answer[name] for name in ("Labels", "ImageProperties") if name in answer}
            told.append(facts_of(photo, answer, **members))
            if not as_json:
                _show(photo, answer)
            if save:
                drawing.save(photo, _marks(answer["Labels"]), save)
    if as_json:
        terminal.print_json(told)
    if faults:
        raise SystemExit(1)


def _labels(client: Any, photo: Photo, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    return ask(client.detect_labels, photo, Image={"Bytes": photo.sent}, **asked)


def _show(photo: Photo, answer: Mapping[str, Any]) -> None:
    width, height = photo.size
    click.echo(
        f"{click.format_filename(photo.path)}: {width} x {height}, {len(answer['Labels']) or 'no'} labels"
    )
    rows = [
        (
            label["Name"],
            label["Confidence"],
            len(label["Instances"]) or "",
            ", ".join(parent["Name"] for parent in label["Parents"]),
            label["Categories"][0]["Name"],
        )
        for label in answer["Labels"]
    ]
    if rows:
        terminal.print_table(("label", "confidence>", "found>", "a kind of", "category"), rows)
    if properties := answer.get("ImageProperties"):
        quality = ", ".join(f"{name.lower()} {value:.0f}" for name, value in properties["Quality"].items())
        colours = ", ".join(
            f"{each['CSSColor']} {each['PixelPercent']:.0f} %" for each in properties["DominantColors"][:5]
        )
        click.echo(f"  {quality}; {colours}")


def _marks(told: Sequence[Mapping[str, Any]]) -> list[Mark]:
    return [
        Mark(each["BoundingBox"], f"{label['Name']} {each['Confidence']:.0f}")
        for label in told
        for each in label["Instances"]
    ]


def _write(
    places: Sequence[Path], target: Path, asked: Mapping[str, Any], home: Path, said: Mapping[str, str]
) -> None:
    """The list, photo by photo; a photo at fault is told and left out, so that another run tries it again."""
    threads = os.cpu_count() or 1
    with Archive(target) as list_, door.opened(home, parallel=threads, said=said) as client:
        run = archive.fill(list_, places, lambda photo: _labels(client, photo, asked)["Labels"], threads)
    click.echo(
        f"{target}: {run.told} photos labelled, {run.known} known already, {run.other} files that are no "
        f"pictures, {len(run.faults)} left out."
    )
    for fault in run.faults[: archive.SHOWN]:
        click.echo(f"  {fault}", err=True)
    if run.faults:
        raise SystemExit(1)


def _find(places: Sequence[Path], words: str, least: float, *, as_json: bool) -> None:
    hits = sorted(
        (hit for place in places for hit in archive.search(place, words, least)),
        key=lambda hit: (-hit.confidence, hit.path),
    )
    if as_json:
        terminal.print_json([{"photo": hit.path, **hit.labels} for hit in hits])
        return
    for hit in hits:
        click.echo(os.fsencode(hit.path))  # as it is in the folder, UTF-8 or not
    click.echo(f"{len(hits) or 'No'} {'photo' if len(hits) == 1 else 'photos'}.", err=True)
