"""A list of photos and what they show: a CSV file, one line a photo, that grows as photos are labelled.

A line is whole or not there: it is written in one go, and a broken last one, of a run that was killed, is cut
off before the list grows again. Any spreadsheet opens it; `search` answers what a photo archive is asked. A
file's name that is no UTF-8 stands there byte for byte, as it does in the folder.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Self

from countenance.cli import pictures, terminal
from countenance.cli.pictures import Photo
from countenance.cli.sources import Folder
from countenance.errors import PhotoError
from countenance.vision.taxonomy import taxonomy

COLUMNS: Final = ("path", "bytes", "modified", "labels", "things")
"""labels: `Dog 97.1; Pet 97.1`, most probable first. things: `Dog 1; Person 3`, how many boxes of each.
modified: nanoseconds since 1970; with `bytes` it tells a photo that was changed since."""

SHOWN: Final = 20
"""Faults that are told of one run; the rest are counted."""

csv.field_size_limit(2**24)  # a photo may have a thousand labels

Labels = Sequence[Mapping[str, Any]]
"""As DetectLabels answers."""


@dataclass(slots=True)
class Run:
    """What a run came to, in photos. other: files that are no pictures."""

    told: int = 0
    known: int = 0
    other: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that shows what was asked. confidence: of the least probable of it, percent."""

    path: str
    confidence: float
    labels: Mapping[str, float]


class Archive:
    """A list, open to grow. Raises PhotoError where the file is no such list."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        if self._path.exists() and self._path.stat().st_size:
            _check(self._path)  # before it is touched
            _mend(self._path)
            self._known = {row["path"]: (row["bytes"], row["modified"]) for row in rows(self._path)}
        else:
            with _opened(self._path, "wb") as file:
                file.write(_encoded(COLUMNS))
        self._file = _opened(self._path, "ab")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def knows(self, path: str, stamp: os.stat_result) -> bool:
        """Whether it holds the photo as it is now."""
        return self._known.get(path) == _stamp(stamp)

    def add(self, path: str, stamp: os.stat_result, labels: Labels) -> None:
        told = "; ".join(f"{each['Name']} {each['Confidence']:.1f}" for each in labels)
        things = "; ".join(f"{each['Name']} {len(each['Instances'])}" for each in labels if each["Instances"])
        self._file.write(_encoded((path, *_stamp(stamp), told, things)))
        self._file.flush()


def fill(archive: Archive, places: Sequence[Path], ask: Callable[[Photo], Labels], threads: int) -> Run:
    """Label every photo at the places that the list does not know, as many at once as there are threads."""
    run = Run()
    waiting = []
    for path, stamp in _files(places):
        if isinstance(stamp, str):
            run.faults.append(f"{path} {stamp}")
        elif archive.knows(str(path), stamp):
            run.known += 1
        else:
            waiting.append((path, stamp))

    def labelled(path: Path) -> Labels | str | None:
        """Its labels; what is wrong with it; None where it is no picture."""
        try:
            photo = pictures.read(path)
            return ask(photo) if pictures.is_picture(photo) else None
        except PhotoError as fault:
            return str(fault)

    with terminal.counting("Labelling") as progress, ThreadPoolExecutor(threads) as pool:
        task = progress.add_task("", total=len(waiting))
        for (path, stamp), told in zip(waiting, pool.map(labelled, [p for p, _ in waiting]), strict=True):
            if told is None:
                run.other += 1
            elif isinstance(told, str):
                run.faults.append(told)
            else:
                archive.add(str(path), stamp, told)
                run.told += 1
            progress.advance(task)
    return run


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a list. Of a photo that was labelled twice, the later comes later. Raises PhotoError.

    A spreadsheet may have saved it, with its own ends of lines and a mark of UTF-8 before the first.
    """
    _check(path)
    with _opened(path, "rb") as raw:
        raw.readline()
        lines = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline=""))
        try:
            for row in filter(None, lines):
                if len(row) != len(COLUMNS):
                    raise PhotoError(
                        f"{path}: line {lines.line_num + 1} has {len(row)} cells, not {len(COLUMNS)}. If it "
                        "is the last, a run was killed as it wrote it: the next with --csv mends that"
                    )
                yield dict(zip(COLUMNS, row, strict=True))
        except csv.Error as fault:
            raise PhotoError(f"{path}: line {lines.line_num + 1}: {fault}") from fault


def _check(path: Path) -> None:
    with _opened(path, "rb") as file:
        first = file.readline(1024).removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")
    if first != ",".join(COLUMNS).encode():
        raise PhotoError(f"{path} is no list of labels: its first line is not {','.join(COLUMNS)}")


def search(path: Path, words: str, least: float) -> list[Hit]:
    """The photos of a list that show all that the words name, each with at least so much confidence.

    Words are names of labels, or their aliases, in any case: `dog outdoors`, `golden retriever beach`. A
    label of several words is found before one of its words. Raises PhotoError for a word that names no label.
    """
    if path.is_dir():
        raise PhotoError(f"{path} is a folder; --find searches a list that --csv wrote")
    asked = _named(words, _names())
    photos = {row["path"]: _told(row["labels"], path) for row in rows(path)}
    hits = []
    for photo, told in photos.items():
        shown = {name: told[name] for name in asked if told.get(name, -1.0) >= least}
        if len(shown) == len(set(asked)):
            hits.append(Hit(photo, min(shown.values()), shown))
    return sorted(hits, key=lambda hit: (-hit.confidence, hit.path))


def _named(words: str, names: Mapping[str, str]) -> list[str]:
    """The labels that the words name, the longest first at each place."""
    left = words.casefold().replace(",", " ").split()
    if not left:
        raise PhotoError("--find needs a word: the name of a label")
    found = []
    while left:
        for count in range(len(left), 0, -1):
            name = names.get(" ".join(left[:count]))
            if name is not None:
                found.append(name)
                left = left[count:]
                break
        else:
            near = terminal.meant(left[0], [*names, *names.values()])
            raise PhotoError(f"no label is called {left[0]!r}{near}; docs/labels-list.md has all")
    return found


def _names() -> Mapping[str, str]:
    """Every label by its name and by its aliases, in small letters. A name beats another's alias."""
    entries = taxonomy().entries
    aliases = {alias.casefold(): name for name, entry in entries.items() for alias in entry.aliases}
    return aliases | {name.casefold(): name for name in entries}


def _told(cell: str, path: Path) -> dict[str, float]:
    """`Dog 97.1; Pet 97.1` as numbers."""
    pairs = (each.rpartition(" ") for each in cell.split("; ") if each)
    try:
        return {name: float(confidence) for name, _, confidence in pairs}
    except ValueError as fault:
        raise PhotoError(f"{path}: {cell[:40]!r} is not written `Dog 97.1; Pet 97.1`") from fault


def _files(places: Sequence[Path]) -> Iterator[tuple[Path, os.stat_result | str]]:
    """Every file, and what tells that it was not changed, or what is wrong with it."""
    for place in places:
        found = (
            ((Path(item.place), item.fault) for item in Folder(place.absolute()))
            if place.is_dir()
            else [(place.absolute(), "")]
        )
        for path, fault in found:
            try:
                yield path, fault or path.stat()
            except OSError as gone:
                yield path, f"cannot be read: {gone.strerror}"


def _opened(path: Path, mode: Literal["rb", "ab", "wb"]) -> BinaryIO:
    try:
        return path.open(mode)
    except OSError as fault:
        raise PhotoError(f"{path} cannot be opened: {fault.strerror}") from fault


def _mend(path: Path) -> None:
    """Cut off a line that a killed run left half written."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        back = min(size, 2**20)
        file.seek(size - back)
        end = file.read().rfind(b"\n")
        file.truncate(size - back + end + 1)


def _stamp(found: os.stat_result) -> tuple[str, str]:
    return str(found.st_size), str(found.st_mtime_ns)


def _encoded(cells: Iterable[str]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue().encode("utf-8", "surrogateescape")
