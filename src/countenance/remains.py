"""What SQLite leaves of a deleted row in its file, and whether any of it is there.

`secure_delete` overwrites a row where it lies. But when SQLite moves rows from page to page, it leaves their
old copies in the gap of the page they come from, and no later deletion knows of those. Measured: of 5,433
secrets deleted from tables like ours 2 were left so (SQLite 3.40.1). Only rewriting the file removes them.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

PIECE = 8
"""Bytes that are looked for at once. Whatever is left of a secret, 15 bytes or more of it are found."""

_TABLES, _INDEXES = {5: 12, 13: 8}, {2: 12, 10: 8}
"""The kinds of pages that hold rows, with the length of their headers (SQLite file format, 1.6)."""

_HEADER = struct.Struct(">BHHH")
"""Of a page: its kind, the first free block, how many rows it holds, and where they begin."""

_CHUNK = 4096
"""Pages read at a time."""


def left(file: Path, secrets: Iterable[bytes], texts: Iterable[str] = ()) -> bool:
    """Whether anything of these is in the gaps of a SQLite file whose write-ahead log is empty.

    secrets: random bytes that no index holds, of which any piece tells. texts: looked for whole.
    """
    pieces = [
        secret[at : at + PIECE] for secret in secrets for at in range(0, len(secret) - PIECE + 1, PIECE)
    ]
    wanted = np.unique(np.frombuffer(b"".join(p for p in pieces if len(set(p)) > 2), "<u8"))
    whole = [text.encode() for text in texts if text]
    for tables, indexes in _gaps(file):
        if _holds(tables, wanted) or any(text in tables or text in indexes for text in whole):
            return True
    return False


def _holds(gaps: bytes, wanted: npt.NDArray[np.uint64]) -> bool:
    """Whether one of the pieces begins at any byte."""
    if not len(wanted):
        return False
    for offset in range(min(PIECE, max(0, len(gaps) - PIECE + 1))):
        seen = np.frombuffer(gaps, "<u8", count=(len(gaps) - offset) // PIECE, offset=offset)
        at = np.minimum(np.searchsorted(wanted, seen), len(wanted) - 1)
        if (wanted[at] == seen).any():
            return True
    return False


def _gaps(file: Path) -> Iterator[tuple[bytes, bytes]]:
    """What lies between a page's list of rows and its rows, for many pages at a time: tables, indexes."""
    with _read_elsewhere(file) as stream:
        some = stream.read(100)  # the file's own header
        size = int.from_bytes(some[16:18], "big")
        size = 65536 if size == 1 else size
        first, some = 100, some and some + stream.read(size * _CHUNK - 100)
        while some:
            tables, indexes = [], []
            for start in range(0, len(some), size):
                kind, _, rows, begin = _HEADER.unpack_from(some, start + first)
                if header := _TABLES.get(kind):
                    tables.append(some[start + first + header + 2 * rows : start + (begin or size)])
                elif header := _INDEXES.get(kind):
                    indexes.append(some[start + first + header + 2 * rows : start + (begin or size)])
                first = 0
            yield _joined(tables), _joined(indexes)
            some = stream.read(size * _CHUNK)


@contextmanager
def _read_elsewhere(file: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, read by another process.

    To open and close it here would drop every lock that SQLite holds on it in this process, and a process
    that came next would take the database for nobody's (sqlite.org/howtocorrupt.html, 2.2). Raises OSError.
    """
    with subprocess.Popen(["cat", "--", str(file)], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        yield reader.stdout
        if not reader.stdout.read(1) and reader.wait():
            raise OSError(f"{file} could not be read")


def _joined(gaps: Iterable[bytes]) -> bytes:
    return b"\0".join(filter(None, (gap.strip(b"\0") for gap in gaps)))
