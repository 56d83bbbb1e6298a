"""The log published as a folder: C2SP tlog-tiles as static files, for any web host and anybody's verifier.

    checkpoint              the newest head, with the signatures of witnesses where there are any
    log.pub                 the log's verifier keys, oldest first
    tile/<level>/<index>    hashes; tile/entries/<index> the entries (`tiles` says more)
    checkpoints/<size>      heads that are kept for good

Tiles are made from the entries alone, and nothing is published under a head that they do not lead to. What
is published never changes: an export only adds, and its head comes last, once the rest is on the disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countenance.errors import LedgerError
from countenance.ledger import checkpoint, tiles
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.merkle import EMPTY_ROOT, leaf_hash
from countenance.ledger.tiles import ENTRIES, WIDTH, Level
from countenance.ledger.verification import Progress, Snapshots, raw
from countenance.schema import entries

CHECKPOINT = "checkpoint"
KEYS = "log.pub"
KEPT = "checkpoints"

CHUNK = 16 * WIDTH
"""Entries read in one snapshot."""


@dataclass(frozen=True, slots=True)
class Log:
    """What a log is known by: its name and its verifier keys, oldest first."""

    origin: str
    keys: tuple[Ed25519PublicKey, ...]

    def head(self, note: object) -> Checkpoint:
        """The head that one of its keys signed. Raises LedgerError."""
        return checkpoint.verify_any(note, self.origin, reversed(self.keys))[0]

    def lines(self) -> str:
        """The keys as `log.pub` holds them."""
        return "".join(f"{checkpoint.verifier_key(self.origin, key)}\n" for key in self.keys)


@dataclass(frozen=True, slots=True)
class Published:
    """What an export did: how many entries the folder held before, and holds now, under which root."""

    before: int
    size: int
    root: bytes


def export(
    folder: Path,
    log: Log,
    note: str,
    snapshots: Snapshots,
    kept: Mapping[int, str],
    *,
    with_entries: bool = True,
    progress: Progress | None = None,
) -> Published:
    """Bring a folder, empty or of an earlier export, up to a signed head of the log in the database.

    kept: notes by size that are published beside it. with_entries: whether the entries are, or only their
    hashes. Raises LedgerError, and leaves what was published before, where an entry stored is not what was
    signed, or the folder is another log's, longer, or was changed.
    """
    head = log.head(note)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        target = _Folder(folder)
        before = _published(target, log)
        _check_extends(before, head, target, with_entries=with_entries)
        grown = _grow(target, before.size, head.size, snapshots, progress, with_entries=with_entries)
        if grown != head.root:
            raise LedgerError(
                f"the entries stored do not lead to the checkpoint of size {head.size}: nothing came of it; "
                "`countenance ledger verify` says which is bad"
            )
        _keep(target, log, head, kept)
        target.write(KEYS, log.lines().encode())
        target.settle()
        target.write(CHECKPOINT, note.encode())
        target.settle()
        target.drop_partial(before.size, head.size)
    return Published(before.size, head.size, head.root)


def fetcher(folder: Path) -> tiles.Fetch:
    """Reads the tiles of an exported folder. Raises LedgerError where one is missing."""
    return _Folder(folder).fetch


def published_entries(folder: Path, size: int) -> Iterator[bytes]:
    """The first `size` entries of an exported folder, as they lie there: nothing is verified.

    Raises LedgerError where they are missing, or were left out of the export.
    """
    fetch = fetcher(folder)
    if size and not _Folder(folder).has_entries():
        raise LedgerError(f"{folder} was published without its entries: only who has them can count")
    for index in range(-(-size // WIDTH)):
        wide = tiles.width(ENTRIES, index, size)
        bodies = tiles.unbundle(fetch(ENTRIES, index, wide))
        if len(bodies) < wide:
            raise LedgerError(f"{tiles.path(ENTRIES, index)} holds {len(bodies)} entries of {wide}")
        yield from bodies[:wide]


class _Folder:
    """Files that appear whole or not at all, and are on the disk once `settle` returned."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: list[Path] = []

    def write(self, name: str, content: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.write_bytes(content)
        draft.replace(path)
        self._written.append(path)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def fetch(self, level: Level, index: int, wide: int) -> bytes:
        """A tile of at least this width: the full one serves, where the partial one was dropped for it."""
        for name in (tiles.path(level, index, wide), tiles.path(level, index)):
            if (content := self.read(name)) is not None:
                return content
        raise LedgerError(f"{self._root / tiles.path(level, index, wide)} is missing")

    def has_entries(self) -> bool:
        return (self._root / "tile" / ENTRIES).is_dir()

    def settle(self) -> None:
        """Have the disk hold what was written: the files, then the folders that name them."""
        folders = {parent for path in self._written for parent in path.parents if self._within(parent)}
        for path in (*self._written, *sorted(folders, reverse=True)):
            file = os.open(path, os.O_RDONLY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        self._written.clear()

    def drop_partial(self, since: int, size: int) -> None:
        """Remove the partial tiles whose full ones are there by now (C2SP allows it)."""
        for level, index, wide in list(tiles.tiles(size, since)):
            if wide == WIDTH:
                shutil.rmtree(self._root / f"{tiles.path(level, index)}.p", ignore_errors=True)
                if level == 0:
                    shutil.rmtree(self._root / f"{tiles.path(ENTRIES, index)}.p", ignore_errors=True)

    def _within(self, path: Path) -> bool:
        return path == self._root or self._root in path.parents


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One export at a time on a folder; the next one waits."""
    file = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _published(target: _Folder, log: Log) -> Checkpoint:
    """The head the folder has. Raises LedgerError where it is not this log's, or the tiles do not fit it."""
    note = target.read(CHECKPOINT)
    if note is None:
        return Checkpoint(log.origin, 0, EMPTY_ROOT)
    try:
        head = log.head(note.decode())
        if tiles.tree(target.fetch, head.size).root() != head.root:
            raise LedgerError("its tiles do not lead to its checkpoint")
    except (LedgerError, UnicodeDecodeError) as fault:
        raise LedgerError(f"what this folder holds is not this log as it was published ({fault})") from fault
    return head


def _check_extends(before: Checkpoint, head: Checkpoint, target: _Folder, *, with_entries: bool) -> None:
    if before.size > head.size:
        raise LedgerError(
            f"this folder holds {before.size} entries and the ledger {head.size}: the home was put back, or "
            "the folder was exported from a later copy of it"
        )
    if before.size and with_entries != target.has_entries():
        raise LedgerError(
            "this folder was exported without entries: give a new one to publish them"
            if with_entries
            else "this folder was exported with entries, and does not go on without them"
        )


def _grow(
    target: _Folder,
    since: int,
    size: int,
    snapshots: Snapshots,
    progress: Progress | None,
    *,
    with_entries: bool,
) -> bytes:
    """Write the tiles by which the log grew; the root they lead to, read back from the files."""
    for first, bodies in _stored(snapshots, since - since % WIDTH, size):
        index, row = first // WIDTH, [leaf_hash(body) for body in bodies]
        if known := tiles.width(0, index, since):
            _check_same(first, row, tiles.hashes(target.fetch(0, index, known), known))
        target.write(tiles.path(0, index, len(row)), b"".join(row))
        if with_entries:
            target.write(tiles.path(ENTRIES, index, len(row)), tiles.bundle(bodies))
        if progress:
            progress(first + len(row), size)
    for level, index, wide in tiles.tiles(size, since):
        if level:
            known = tiles.width(level, index, since)
            content = target.fetch(level, index, known)[: known * tiles.HASH] if known else b""
            below = range(index * WIDTH + known, index * WIDTH + wide)
            content += b"".join(
                tiles.summit(tiles.hashes(target.fetch(level - 1, tile, WIDTH), WIDTH)) for tile in below
            )
            target.write(tiles.path(level, index, wide), content)
    return tiles.tree(target.fetch, size).root()


def _check_same(first: int, row: Sequence[bytes], published: Sequence[bytes]) -> None:
    for number, (now, before) in enumerate(zip(row, published, strict=False), first):
        if now != before:
            raise LedgerError(f"entry {number} is not the one that was published before", number)


def _stored(snapshots: Snapshots, first: int, size: int) -> Iterator[tuple[int, list[bytes]]]:
    """The entries from `first` on, by the bundle, each with the number of its first.

    Raises LedgerError where one is missing or does not hash to its leaf.
    """
    columns = sa.select(entries.c.seq, raw(entries.c.body), raw(entries.c.leaf)).order_by(entries.c.seq)
    for start in range(first, size, CHUNK):
        end = min(start + CHUNK, size)
        with snapshots() as connection:
            rows = connection.execute(columns.where(entries.c.seq.between(start, end - 1))).all()
        bodies = []
        for number, (seq, body, leaf) in zip(range(start, end), rows, strict=False):
            if seq != number or not isinstance(body, bytes) or leaf_hash(body) != leaf:
                raise LedgerError(f"entry {number} is missing, or was changed", number)
            bodies.append(body)
        if len(bodies) < end - start:
            raise LedgerError(f"entry {start + len(bodies)} is missing", start + len(bodies))
        for at in range(0, len(bodies), WIDTH):
            yield start + at, bodies[at : at + WIDTH]


def _keep(target: _Folder, log: Log, head: Checkpoint, kept: Mapping[int, str]) -> None:
    """Publish the heads that are kept for good. Raises LedgerError where one is not of this log's tree."""
    tree = tiles.tree(target.fetch, head.size)
    for size, note in sorted(kept.items()):
        name, content = f"{KEPT}/{size}", note.encode()
        if size > head.size or target.read(name) == content:
            continue
        known = log.head(note)
        if known.size != size or known.root != tree.root(size):
            raise LedgerError(f"the checkpoint stored for size {size} is not of this log's entries")
        target.write(name, content)
