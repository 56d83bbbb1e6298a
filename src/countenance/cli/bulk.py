"""`countenance index`: a folder of photos into a collection, several at once, picked up where it was left."""

from __future__ import annotations

import collections
import csv
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from countenance import settings as homes
from countenance.cli import declaring, door, pictures, terminal
from countenance.cli.manifest import Known, Manifest, Stamp, external_image_id
from countenance.errors import PhotoError

WAITING = 4
"""Photos read ahead for each that is being looked at: few, so that Ctrl-C is quick and memory small."""

PATIENCE = 10
"""Server errors in a row after which something other than a photo must be wrong."""

SPOKEN_EVERY = 10.0
"""Seconds between lines of progress where no terminal shows a bar."""


class Fate(StrEnum):
    """What became of a file, or would with --dry-run."""

    ENROLLED = "enrolled"
    FACELESS = "without a face that was enrolled"
    KNOWN = "known already"
    COPY = "copies of photos that were met before"
    UNREADABLE = "could not be read or were refused"
    OTHER = "not pictures"
    NEW = "would be sent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One file's fate. faces: enrolled by this run. remarks: why faces, or the photo, were left out."""

    path: Path
    fate: Fate
    faces: int = 0
    remarks: tuple[str, ...] = ()


@dataclass
class Tally:
    """What a run came to."""

    fates: collections.Counter[Fate] = field(default_factory=collections.Counter)
    faces: int = 0
    refused: int = 0

    def add(self, outcome: Outcome) -> None:
        self.fates[outcome.fate] += 1
        self.faces += outcome.faces
        self.refused += len(outcome.remarks) if outcome.fate in {Fate.ENROLLED, Fate.FACELESS} else 0


@click.command(cls=declaring.Command)
@click.argument("collection")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@terminal.home_option
@terminal.json_option
@click.option("--dry-run", is_flag=True, help="Say what would be done; send and write nothing.")
@click.option(
    "--skipped",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="Write the path of every photo and face that was left out, and why.",
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
    type=click.IntRange(1, 32),
    default=min(8, (os.cpu_count() or 1) + 1),
    show_default=True,
    help="Photos under way at once.",
)
@declaring.options
def index(
    *,
    collection: str,
    folder: Path,
    home: Path,
    as_json: bool,
    dry_run: bool,
    skipped: Path | None,
    quality: str,
    max_faces: int | None,
    again: bool,
    parallel: int,
    said: Mapping[str, str],
) -> None:
    """Enrol every face in FOLDER and the folders in it, in COLLECTION; made if it is missing.

    May be interrupted at any time: the same command goes on where it was. A photo is known by its content,
    so one that was moved is not enrolled twice.
    """
    files = _files(folder.absolute())
    manifests = homes.load(home).manifests
    options = {"QualityFilter": quality, **({"MaxFaces": max_faces} if max_faces else {})}
    started = time.monotonic()
    with door.opened(home, parallel, said) as client:
        identity = _identity(client, collection, create=not dry_run)
        if dry_run:
            opening = Manifest.reading(manifests, collection) if identity else nullcontext()
        else:
            opening = Manifest.opened(manifests, collection, identity or "")
        with opening as manifest:
            run = _Run(client, collection, folder.absolute(), manifest, options, dry_run=dry_run, again=again)
            tally, finished = _through(run, files, parallel, skipped)
    _summary(tally, collection, len(files), time.monotonic() - started, as_json=as_json)
    if not finished:
        click.echo("Interrupted. What was enrolled is kept; the same command goes on from here.", err=True)
        raise SystemExit(130)


class _Run:
    """What is done with each file. Threads share it."""

    def __init__(
        self,
        client: Any,
        collection: str,
        folder: Path,
        manifest: Manifest | None,
        options: dict[str, Any],
        *,
        dry_run: bool,
        again: bool,
    ) -> None:
        self._client, self._collection, self._folder = client, collection, folder
        self._manifest, self._options = manifest, options
        self._dry_run, self._again = dry_run, again
        self._met: set[str] = set()
        self._lock = threading.Lock()
        self._failures = 0

    def file(self, path: Path) -> Outcome:
        """Read, recognise, send. Raises ClientError where no further photo would fare better."""
        try:
            found = path.stat()
        except OSError as fault:
            return Outcome(path, Fate.UNREADABLE, remarks=(fault.strerror or str(fault),))
        stamp = Stamp(found.st_size, found.st_mtime_ns)
        if self._manifest and not self._again and (known := self._manifest.unchanged(path, stamp)):
            with self._lock:
                copy = known.digest in self._met
                self._met.add(known.digest)
            return _recognised(path, known, copy=copy)
        try:
            photo = pictures.read(path)
            if not pictures.is_picture(photo):
                return Outcome(path, Fate.OTHER)
            return self._photo(photo, stamp)
        except PhotoError as fault:
            return Outcome(path, Fate.UNREADABLE, remarks=(str(fault),))

    def _photo(self, photo: pictures.Photo, stamp: Stamp) -> Outcome:
        with self._lock:
            copy = photo.digest in self._met
            self._met.add(photo.digest)
        known = self._manifest.known(photo.digest) if self._manifest and not self._again else None
        if self._dry_run or self._manifest is None:
            fate = Fate.COPY if copy else Fate.KNOWN if known else Fate.NEW
            return Outcome(photo.path, fate)
        wanted = external_image_id(photo.path.relative_to(self._folder), photo.digest)
        external = self._manifest.claim(photo.digest, wanted)
        self._manifest.place(photo.path, photo.digest, stamp)
        if known:
            return _recognised(photo.path, known, copy=copy)
        if copy:  # under way in another thread, which will say what came of it
            return Outcome(photo.path, Fate.COPY)
        return self._sent(photo, external, self._manifest)

    def _sent(self, photo: pictures.Photo, external: str, manifest: Manifest) -> Outcome:
        try:
            answer = self._client.index_faces(
                CollectionId=self._collection,
                Image={"Bytes": photo.sent},
                ExternalImageId=external,
                **self._options,
            )
        except ClientError as refusal:
            return self._refused(photo, refusal)
        self._failures = 0
        faces = len(answer["FaceRecords"])
        remarks = tuple(f"face refused: {', '.join(f['Reasons'])}" for f in answer["UnindexedFaces"])
        if not faces and not remarks:
            remarks = ("no face found",)
        manifest.settle(photo.digest, faces, "\n".join(remarks))
        return Outcome(photo.path, Fate.ENROLLED if faces else Fate.FACELESS, faces, remarks)

    def _refused(self, photo: pictures.Photo, refusal: ClientError) -> Outcome:
        """The photo's own fault: it is skipped. Anybody else's: the run ends, for all would fare so."""
        error = refusal.response["Error"]
        self._failures += error["Code"] == "InternalServerError"
        if error["Code"] not in {*pictures.REFUSALS, "InternalServerError"} or self._failures >= PATIENCE:
            raise refusal
        with self._lock:  # it may work next time, or as another file
            self._met.discard(photo.digest)
        return Outcome(photo.path, Fate.UNREADABLE, remarks=(f"{error['Code']}: {error['Message']}",))


def _recognised(path: Path, known: Known, *, copy: bool) -> Outcome:
    """Known already. What was left out then is still left out, and is said again."""
    remarks = tuple(filter(None, known.remarks.split("\n")))
    return Outcome(path, Fate.COPY if copy else Fate.KNOWN, remarks=remarks)


def _files(folder: Path) -> list[Path]:
    """Every file below a folder, in order. What is hidden is not meant: previews, rubbish, other systems'."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(parent, name) for name in sorted(names) if not name.startswith(".")]
    return [path for path in found if _regular(path)]


def _regular(path: Path) -> bool:
    """A file to read, or one that is gone again, which is said later. A pipe would keep us waiting."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True


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


def _through(run: _Run, files: list[Path], parallel: int, skipped: Path | None) -> tuple[Tally, bool]:
    """Every file; whether it came to the end."""
    tally = Tally()
    with _listed(skipped) as write, _shown(len(files), tally) as show:
        try:
            for outcome in _outcomes(run, files, parallel):
                tally.add(outcome)
                for remark in outcome.remarks:
                    write(outcome.path, remark)
                show()
        except KeyboardInterrupt:
            return tally, False
    return tally, True


def _outcomes(run: _Run, files: list[Path], parallel: int) -> Iterator[Outcome]:
    """Several files at once, as they are done. Whatever ends it, those under way are finished first."""
    left = iter(files)
    with ThreadPoolExecutor(parallel, thread_name_prefix="index") as threads:
        waiting = {threads.submit(run.file, path) for path in islice(left, parallel * WAITING)}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting |= {threads.submit(run.file, path) for path in islice(left, len(done))}
                for future in done:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _listed(target: Path | None) -> Iterator[Any]:
    """A function that notes what was left out, in a CSV file if one is wanted."""
    if target is None:
        yield lambda _path, _reason: None
        return
    with target.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "reason"))
        yield lambda path, reason: rows.writerow((path, reason))


@contextmanager
def _shown(total: int, tally: Tally) -> Iterator[Any]:
    """A function to call after each file: it moves a bar or, without a terminal, says a line now and then."""
    with terminal.counting("Indexing") as progress:
        task = progress.add_task("", total=total)
        spoken = begun = time.monotonic()

        def show() -> None:
            nonlocal spoken
            done, now = tally.fates.total(), time.monotonic()
            progress.update(task, completed=done, description=f"{tally.faces} faces")
            if progress.disable and now - spoken >= SPOKEN_EVERY:
                spoken, rest = now, (now - begun) / done * (total - done)
                click.echo(f"{done} of {total} files, {tally.faces} faces, {rest:.0f} s left", err=True)

        yield show


def _summary(tally: Tally, collection: str, files: int, seconds: float, *, as_json: bool) -> None:
    facts = {fate.name.lower(): tally.fates[fate] for fate in Fate}
    if as_json:
        terminal.print_json(
            {
                "collection": collection,
                "files": files,
                **facts,
                "faces": tally.faces,
                "faces_refused": tally.refused,
                "seconds": round(seconds, 1),
            }
        )
        return
    rows: list[tuple[object, ...]] = [(tally.fates[fate], fate.value) for fate in Fate if tally.fates[fate]]
    rows += [(tally.faces, "faces enrolled"), (tally.refused, "faces refused, or photos without one")]
    terminal.print_table((f"{files}>", f"files for {collection}, {seconds:.1f} s"), rows)
