"""`countenance find`: photos of one missing person against collections, as leads that can be traced."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from countenance import settings as homes
from countenance.aws.declaration import header
from countenance.aws.objects import stored
from countenance.cli import declaring, door, findings, pictures, sheet, sources, terminal
from countenance.cli.leads import Found, Probe, Refused, Search
from countenance.cli.pixels import Pixels
from countenance.client import carry, decision
from countenance.errors import PhotoError

MOST = 50
"""Photos of one person. Each search lists strangers of its own; more photos seldom find more."""

FPIR = header("max_fpir")


@click.command(cls=declaring.Command)
@click.argument(
    "paths", metavar="PHOTO...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@click.option(
    "--collection",
    "-c",
    "collections",
    metavar="NAME",
    multiple=True,
    required=True,
    help="A collection to search. May be repeated.",
)
@terminal.home_option
@terminal.json_option
@sheet.save_option
@sheet.photos_option
@click.option(
    "--threshold",
    type=terminal.PERCENT,
    help="The least Similarity that is listed: 80, unless --max-fpir sets it.",
)
@click.option(
    "--max", "most", type=click.IntRange(1, 4096), default=20, show_default=True, help="Candidates a search."
)
@declaring.options
def find(
    *,
    paths: tuple[Path, ...],
    collections: tuple[str, ...],
    home: Path,
    as_json: bool,
    targets: Sequence[Path],
    places: Path | None,
    threshold: float | None,
    most: int,
    said: Mapping[str, str],
) -> None:
    """Look for one person, of whom there are several PHOTOs, in collections.

    A PHOTO may be a folder of them. Of each photo the largest face is searched for in each collection; every
    search is a call of its own, with its own entry in the ledger. What comes back are leads for a person to
    judge. --max-fpir holds for all searches together.
    """
    files = _photos(paths)
    asked = {"MaxFaces": most, **({} if threshold is None else {"FaceMatchThreshold": threshold})}
    with door.opened(home, said=said) as client:
        probes = [_seen(client, number, path) for number, path in enumerate(files, 1)]
        usable = [probe for probe in probes if not probe.fault]
        names = tuple(dict.fromkeys(collections))
        carry(client, shared(said, len(usable) * len(names)))
        searches, refused = _searched(client, usable, names, asked)
    found = Found(probes, searches, refused)
    settings = homes.load(home)
    pixels = Pixels(settings.manifests, stored(settings.s3_endpoint, settings.buckets), places)
    page = findings.Page(found, said, home, pixels)
    if targets:
        sheet.save(page.blocks(), page.title, targets)
    terminal.print_json(page.facts()) if as_json else page.show()
    if refused or any(probe.fault for probe in probes):
        raise SystemExit(1)


def shared(said: Mapping[str, str], searches: int) -> Mapping[str, str]:
    """What each search says: of a share that may list a stranger, its own part. By Boole's inequality all
    together keep it, though they are of one person. A word that is none goes to the door as it is."""
    try:
        target = float(said.get(FPIR, ""))
    except ValueError:
        return said
    return {**said, FPIR: repr(target / searches)} if searches and math.isfinite(target) else said


def _photos(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those in the folders named. Raises PhotoError for none, or too many."""
    found = [
        Path(place)
        for path in paths
        for place in ([item.place for item in sources.Folder(path)] if path.is_dir() else [path])
    ]
    found = list(dict.fromkeys(found))
    if not found:
        raise PhotoError(f"{paths[0]} holds no photo")
    if len(found) > MOST:
        raise PhotoError(
            f"{len(found)} photos are more than the {MOST} that are taken of one person: name the best"
        )
    return found


def _seen(client: Any, number: int, path: Path) -> Probe:
    """A photo of the person with its faces counted, or why there is nothing to search with."""
    photo = pictures.read(path)
    try:
        answer = client.detect_faces(Image={"Bytes": photo.sent})
    except PhotoError as fault:
        return Probe(number, photo, fault=str(fault))
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] not in pictures.REFUSALS:
            raise
        return Probe(number, photo, fault=refusal.response["Error"]["Message"])
    faces = answer["FaceDetails"]
    if not faces:
        return Probe(number, photo, decision=decision(answer), fault="no face was found in it")
    # SearchFacesByImage takes the largest face by this very rule.
    box = max((face["BoundingBox"] for face in faces), key=lambda box: box["Width"] * box["Height"])
    return Probe(number, photo, len(faces), box, decision(answer))


def _searched(
    client: Any, probes: Sequence[Probe], collections: Sequence[str], asked: Mapping[str, Any]
) -> tuple[list[Search], list[Refused]]:
    """Every photo in every collection. To one that refuses no further photo is sent."""
    searches: list[Search] = []
    refused: list[Refused] = []
    with terminal.counting("Searching") as bar:
        task = bar.add_task("", total=len(probes) * len(collections))
        for collection in collections:
            try:
                for search in _in(client, probes, collection, asked):
                    searches.append(search)
                    bar.advance(task)
            except _NotThere as no:
                refused.append(no.refused)
    return searches, refused


class _NotThere(Exception):
    """refused: which collection, and why."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        super().__init__(refused.message)


def _in(client: Any, probes: Sequence[Probe], collection: str, asked: Mapping[str, Any]) -> Iterator[Search]:
    for probe in probes:
        try:
            answer = client.search_faces_by_image(
                CollectionId=collection, Image={"Bytes": probe.photo.sent}, **asked
            )
        except ClientError as refusal:
            error = refusal.response["Error"]
            if error["Code"] not in {
                "AccessDeniedException",
                "InvalidParameterException",
                "ResourceNotFoundException",
                "ValidationException",
            }:
                raise
            raise _NotThere(
                Refused(collection, probe.number, error["Code"], error["Message"], _entry(refusal))
            ) from None
        yield Search(
            decision(answer),
            probe.number,
            collection,
            answer["FaceModelVersion"],
            answer["Countenance"],
            answer["FaceMatches"],
        )


def _entry(refusal: ClientError) -> int | None:
    try:
        return decision(refusal.response)
    except ValueError:
        return None
