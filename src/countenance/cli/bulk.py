"""`countenance index`: photos into a collection, many at once, picked up where it was left.

They come from a folder, an S3 prefix or a list (`sources`), are read and sent by threads here or by a
cluster's workers (`cluster`), and pass one desk in between (`enrolling`).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from countenance import settings as homes
from countenance.aws.objects import stored
from countenance.cli import declaring, door, enrolling, progress, sheet, sources, terminal
from countenance.cli.enrolling import Desk, Fate, Outcome, Work
from countenance.cli.manifest import Manifest, Pace
from countenance.cli.progress import Run
from countenance.cli.sources import Item, Source
from countenance.settings import Settings

INCOMPLETE = 3
"""Exit status where photos could not be read or were refused, and all else was done."""

WAITING = 4
"""Photos read ahead for each that is being looked at: few, so that Ctrl-C is quick and memory small."""


@click.command(cls=declaring.Command)
@click.argument("collection")
@click.argument("photos", metavar="FOLDER|s3://BUCKET/PREFIX|LIST.csv")
@terminal.home_option
@terminal.json_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and how long; send and write nothing.")
@click.option(
    "--first",
    "most",
    type=click.IntRange(1),
    metavar="N",
    help="Send only the first N that are new, then say how long the rest would take.",
)
@click.option(
    "--report",
    "--skipped",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    callback=sheet.foldered,
    help="Write every photo and face that was left out, and why.",
)
@click.option(
    "--quality",
    type=click.Choice(["NONE", "AUTO", "LOW", "MEDIUM", "HIGH"]),
    default="AUTO",
    show_default=True,
    help="How good a face must be to be enrolled.",
)
@click.option("--max-faces", type=click.IntRange(1, 100), help="Enrol only so many of the largest faces.")
@click.option("--again", is_flag=True, help="Send known photos again, say after faces were deleted.")
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    help="Photos under way at once: cores + 2 unless set. In a cluster, on each thread of a worker: 2.",
)
@click.option("--cluster", metavar="tcp://HOST:PORT", help="Have the workers of this Dask scheduler do it.")
@click.option(
    "--server",
    "servers",
    metavar="URL",
    multiple=True,
    help="Where the cluster's workers send photos, if not to the server of this home. May be repeated.",
)
@declaring.options
def index(
    *,
    collection: str,
    photos: str,
    home: Path,
    as_json: bool,
    dry_run: bool,
    most: int | None,
    report: Path | None,
    quality: str,
    max_faces: int | None,
    again: bool,
    parallel: int | None,
    cluster: str | None,
    servers: tuple[str, ...],
    said: Mapping[str, str],
) -> None:
    """Enrol every face in a FOLDER and the folders in it, in the objects under an S3 PREFIX, or in the photos
    of a LIST, in COLLECTION; made if it is missing.

    May be interrupted at any time: the same command goes on where it was. A photo is known by its content,
    so one that was moved is not enrolled twice. The columns of a LIST are `path` and, if you like,
    `external_image_id` and `user_id`, whose user the photo's only face is given to. The exit status is 3
    where photos could not be read or were refused.
    """
    settings = homes.load(home)
    found = sources.source(photos, settings)
    options = {"QualityFilter": quality, **({"MaxFaces": max_faces} if max_faces else {})}
    across = None
    if cluster and not dry_run:
        from countenance.cli import cluster as dask  # noqa: PLC0415 - an extra that few install

        across = dask.opened(cluster, settings, servers)
    elif servers:
        raise click.UsageError("--server is for the workers of a --cluster, and --dry-run sends nothing.")
    parallel = parallel or (2 if across else min(48, len(os.sched_getaffinity(0)) + 2))
    work = Work(collection, options, said, parallel)
    with (
        door.opened(home, parallel, said, across.notice if across else None) as client,
        _manifest(client, settings.manifests, collection, dry_run=dry_run) as manifest,
    ):
        desk = Desk(manifest, dry_run=dry_run, again=again, most=most)
        outcomes = (
            across.outcomes(desk, found, work) if across else _outcomes(desk, found, work, client, settings)
        )
        run, before = _followed(outcomes, found, report, desk, manifest)
    progress.summarise(run, collection, before, as_json=as_json)
    _leave(run)


def _followed(
    outcomes: Generator[Outcome, None, None],
    found: Source,
    report: Path | None,
    desk: Desk,
    manifest: Manifest | None,
) -> tuple[Run, Pace | None]:
    """What a run comes to, and how fast one before it was; how fast this one was is noted."""
    before = manifest.pace() if manifest else None
    run = progress.follow(outcomes, found, report, desk)
    if manifest and (pace := run.tally.pace(desk.began)):
        manifest.note_pace(pace)
        run = replace(run, pace=pace)
    return run, before


def _leave(run: Run) -> None:
    """With the status that says what the run came to."""
    if not run.finished:
        click.echo("Interrupted. What was enrolled is kept; the same command goes on from here.", err=True)
        raise SystemExit(130)
    if run.tally.fates[Fate.UNREADABLE]:
        raise SystemExit(INCOMPLETE)


@contextmanager
def _manifest(client: Any, folder: Path, collection: str, *, dry_run: bool) -> Iterator[Manifest | None]:
    """What is known of a collection's photos; None where --dry-run asks about one that is missing."""
    identity = _identity(client, collection, create=not dry_run)
    if identity is None:
        yield None
    elif dry_run:
        with Manifest.reading(folder, collection) as manifest:
            yield manifest
    else:
        with Manifest.opened(folder, collection, identity) as manifest:
            yield manifest


def _identity(client: Any, collection: str, *, create: bool) -> str | None:
    """What tells the collection from an earlier one of its name; made where it is missing."""
    try:
        found = client.describe_collection(CollectionId=collection)
    except client.exceptions.ResourceNotFoundException:
        if not create:
            click.echo(f"The collection {collection} is missing and would be made.", err=True)
            return None
        client.create_collection(CollectionId=collection)
        click.echo(f"Made the collection {collection}.", err=True)
        found = client.describe_collection(CollectionId=collection)
    return f"{found['CollectionARN']} {found['CreationTimestamp'].timestamp():.3f}"


def _outcomes(
    desk: Desk, source: Source, work: Work, client: Any, settings: Settings
) -> Generator[Outcome, None, None]:
    """Several photos at once, as they are done. Whatever ends it, those under way are finished first."""
    objects = stored(settings.s3_endpoint, settings.buckets)

    def photo(item: Item) -> Outcome:
        seen, read = enrolling.look(item, objects)
        order = (desk.known(seen.item) if item.stamp is None else None) or desk.decide(seen)
        if isinstance(order, Outcome):
            return order
        assert read is not None  # what was not read is not ordered
        return desk.settle(order, enrolling.send(client, work, order, read))

    waiting: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(work.parallel, thread_name_prefix="index") as threads:
        try:
            for item in source:
                if known := desk.known(item):
                    yield known
                    continue
                waiting.add(threads.submit(photo, item))
                if len(waiting) >= work.parallel * WAITING:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                if desk.full:
                    break
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in waiting:
                future.cancel()
