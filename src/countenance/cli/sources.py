"""Where `countenance index` finds photos: a folder, the objects under an S3 prefix, or a list in a CSV file.

Each is walked as it is enrolled: what is held of it is a folder's names, a page of keys or a line.
"""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, Protocol

from countenance.aws.objects import Objects, stored
from countenance.cli.manifest import Stamp
from countenance.cli.pictures import Photo
from countenance.cli.pictures import read as read_file
from countenance.errors import AwsError, PhotoError
from countenance.settings import Settings

S3 = "s3://"

COLUMNS = ("path", "external_image_id", "user_id")
"""What a list may say of a photo; it must say the first."""

PATTERNS = {
    "external_image_id": re.compile(r"[a-zA-Z0-9_.\-:]{1,255}"),
    "user_id": re.compile(r"[a-zA-Z0-9_.\-:]{1,128}"),
}
"""Rekognition's model, as the API checks it."""

FAULTS = 10
"""Wrong lines of a list that are told at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """A photo to enrol.

    place: a path or s3://bucket/key. within: what its ExternalImageId is made of. stamp: None where nobody
    looked yet. name: the ExternalImageId that a list asks for. user: the UserId its only face is to be given
    to. fault: why it cannot be read, if that is known already.
    """

    place: str
    within: PurePosixPath
    stamp: Stamp | None = None
    name: str = ""
    user: str = ""
    fault: str = ""


class Source(Protocol):
    """Photos in an order that does not change while nobody changes them."""

    def __iter__(self) -> Iterator[Item]: ...

    def count(self) -> int:
        """How many there are, found out by walking it once more."""
        ...


def source(text: str, settings: Settings) -> Source:
    """What a word of the command line names. Raises PhotoError where it names no photo, and for a list with a
    wrong line: said before anything is made or sent."""
    found = _named(text, settings)
    if next(iter(found), None) is None:
        raise PhotoError(f"{text} names no photo: it is empty, or all in it is hidden")
    return found


def _named(text: str, settings: Settings) -> Source:
    if text.startswith(S3):
        bucket = settings.buckets / text.removeprefix(S3).partition("/")[0]
        if not settings.s3_endpoint and not bucket.is_dir():
            raise PhotoError(
                f"{text}: there is no folder {bucket} that stands for the bucket. For a real one set "
                "`s3_endpoint` in settings.toml"
            )
        return Prefix(text, stored(settings.s3_endpoint, settings.buckets))
    path = Path(text).absolute()
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return Lines(path)
    raise PhotoError(
        f"{text} is none of a folder, a CSV file with a column `path`, or {S3}BUCKET/PREFIX: there is nothing"
    )


def read(place: str, objects: Objects) -> Photo:
    """The photo at a place. Raises PhotoError, or AwsError for an object."""
    if not place.startswith(S3):
        return read_file(Path(place))
    return Photo(Path(place), objects.read(reference(place)))


def stamped(place: str, objects: Objects) -> Stamp:
    """What tells that a photo has not changed. Raises OSError, or AwsError for an object."""
    if place.startswith(S3):
        found = objects.stat(reference(place))
        return Stamp(found.size, found.version)
    return _stamp(Path(place).stat())


def reference(place: str) -> Mapping[str, Any]:
    """s3://bucket/key as an S3Object."""
    bucket, _, key = place.removeprefix(S3).partition("/")
    return {"Bucket": bucket, "Name": key}


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_size, found.st_mtime_ns)


class Folder:
    """Every file below a folder, in order. What is hidden is not meant: previews, rubbish, other systems'."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Item]:
        for found in self._files():
            if isinstance(found, OSError):
                yield Item(found.filename, PurePosixPath(), fault=f"cannot be opened: {found.strerror}")
                continue
            within = PurePosixPath(os.path.relpath(found.path, self._path))
            try:
                yield Item(found.path, within, _stamp(found.stat()))
            except OSError as fault:
                yield Item(found.path, within, fault=f"cannot be read: {fault.strerror}")

    def count(self) -> int:
        return sum(1 for _ in self._files())

    def _files(self) -> Iterator[os.DirEntry[str] | OSError]:
        """Files to read, links that lead nowhere, and the error of each folder that cannot be opened. A pipe
        would keep us waiting; a link to a folder could lead in a circle."""
        folders = [os.fspath(self._path)]
        while folders:
            try:
                with os.scandir(folders.pop()) as listing:
                    found = sorted(listing, key=lambda entry: entry.name)
            except OSError as fault:
                yield fault
                continue
            seen = [entry for entry in found if not entry.name.startswith(".")]
            yield from (entry for entry in seen if entry.is_file() or _leads_nowhere(entry))
            folders += [entry.path for entry in reversed(seen) if entry.is_dir(follow_symlinks=False)]


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not Path(entry.path).exists()


class Prefix:
    """Every object whose key begins with a prefix, in the order of the listing."""

    def __init__(self, address: str, objects: Objects) -> None:
        self._address, self._objects = address, objects
        self._bucket, _, self._prefix = address.removeprefix(S3).partition("/")

    def __iter__(self) -> Iterator[Item]:
        start = self._prefix.rpartition("/")[0]
        empty = True
        try:
            for found in self._objects.list(self._bucket, self._prefix):
                empty = False
                within = PurePosixPath(found.key.removeprefix(start).lstrip("/"))
                stamp = Stamp(found.size, found.version)
                yield Item(f"{S3}{self._bucket}/{found.key}", within, stamp)
        except AwsError as fault:
            raise PhotoError(
                f"{self._address} cannot be listed: {fault.message.rstrip('.')}. `s3_endpoint` in "
                "settings.toml says where buckets are"
            ) from fault
        if empty:
            raise PhotoError(f"no object's key in {self._bucket} begins with {self._prefix!r}")

    def count(self) -> int:
        return sum(1 for _ in self._objects.list(self._bucket, self._prefix))


class Lines:
    """The lines of a CSV file, each a photo. Raises PhotoError that names the wrong ones."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count, faults = 0, []
        for line, row in self._rows():
            self._count += 1
            faults += [f"line {line}: {fault}" for fault in _faults(row)]
            if len(faults) >= FAULTS:
                break
        if faults:
            self._wrong("; ".join(faults[:FAULTS]))

    def __iter__(self) -> Iterator[Item]:
        for _, row in self._rows():
            place = row["path"].strip()
            if place.startswith(S3):
                stamp, fault = None, ""
                within = PurePosixPath(place.removeprefix(S3))
            else:
                path = self._path.parent / place
                within, place = PurePosixPath(place.lstrip("/")), str(path)
                stamp, fault = _look(path)
            yield Item(place, within, stamp, _cell(row, COLUMNS[1]), _cell(row, COLUMNS[2]), fault)

    def count(self) -> int:
        return self._count

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Each line that says something, with its number."""
        try:
            with self._path.open(newline="", encoding="utf-8-sig") as file:
                rows = csv.DictReader(file, strict=True)
                self._check_columns(rows.fieldnames or ())
                for row in rows:
                    yield rows.line_num, row
        except UnicodeDecodeError as fault:
            raise PhotoError(f"{self._path} is not UTF-8 text, so it is no list of photos") from fault
        except csv.Error as fault:
            self._wrong(f"line {rows.reader.line_num}: {fault}")

    def _check_columns(self, names: Any) -> None:
        strange = [name for name in names if name not in COLUMNS]
        if strange or "path" not in names or len(set(names)) < len(names):
            told = f"it has {', '.join(map(repr, names))}" if names else "it is empty"
            self._wrong(
                f"line 1 must name the columns, `path` and if you like {' and '.join(COLUMNS[1:])}; {told}"
            )

    def _wrong(self, what: str) -> NoReturn:
        raise PhotoError(f"{self._path}: {what}")


def _faults(row: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a line. csv puts cells too many under None, and None into those that lack."""
    if None in row:
        yield "more cells than columns; put a path with a comma in it between double quotes"
    if not _cell(row, "path") or "\0" in _cell(row, "path"):
        yield "no path"
    elif _cell(row, "path").startswith(S3) and not reference(_cell(row, "path"))["Name"]:
        yield f"{_cell(row, 'path')!r} is not written {S3}BUCKET/KEY"
    for column, pattern in PATTERNS.items():
        if (word := _cell(row, column)) and not pattern.fullmatch(word):
            yield f"{column} {word!r} may hold only letters, digits, and _ . - : (at most 255, a user's 128)"


def _cell(row: Mapping[str, Any], column: str) -> str:
    return (row.get(column) or "").strip()


def _look(path: Path) -> tuple[Stamp | None, str]:
    try:
        found = path.stat()
    except OSError as fault:
        return None, f"cannot be read: {fault.strerror}"
    if not stat.S_ISREG(found.st_mode):  # a pipe would keep us waiting
        return None, "cannot be read: it is no file"
    return _stamp(found), ""
