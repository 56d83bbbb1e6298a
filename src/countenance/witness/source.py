"""The files of a log that is published (C2SP tlog-tiles), in a folder or behind a URL."""

from __future__ import annotations

from pathlib import Path

from countenance.errors import LedgerError
from countenance.ledger import tiles
from countenance.ledger.submission import fetched

LARGEST = 1024 * 1024
"""Bytes of one file: a full tile has 8,192, a checkpoint with many signatures less than a MiB."""


class Source:
    """A log's prefix: a folder, or an http(s) URL. What is read is not verified."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.rstrip("/")
        self._remote = prefix.startswith(("http://", "https://"))

    def __str__(self) -> str:
        return self._prefix

    def text(self, name: str) -> str:
        """A file that has to be there. Raises LedgerError."""
        content = self._read(name)
        if content is None:
            raise LedgerError(f"{self._prefix}/{name} is not there")
        try:
            return content.decode()
        except UnicodeDecodeError as fault:
            raise LedgerError(f"{self._prefix}/{name} is not text") from fault

    def tile(self, level: tiles.Level, index: int, wide: int) -> bytes:
        """A tile. The full one serves, where the partial one was dropped for it. Raises LedgerError."""
        for name in dict.fromkeys((tiles.path(level, index, wide), tiles.path(level, index))):
            if (content := self._read(name)) is not None:
                return content
        raise LedgerError(f"{self._prefix}/{tiles.path(level, index, wide)} is not there")

    def _read(self, name: str) -> bytes | None:
        where = f"{self._prefix}/{name}"
        if not self._remote:
            try:
                return Path(where).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        try:
            status, _, content = fetched(where, LARGEST)
        except OSError as fault:
            raise LedgerError(f"{where} does not answer: {fault}") from fault
        if status in {404, 410}:
            return None
        if status != 200:
            raise LedgerError(f"{where} answers with status {status}")
        return content
