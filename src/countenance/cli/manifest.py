"""What the shell knows of the photos it enrolled: content -> ExternalImageId -> paths, one file a collection.

A photo is its content, so one that was moved, renamed or copied is known again. A line is written before a
photo is sent (`claim`) and completed by the answer (`settle`): after a crash in between, the same photo goes
out under the same ExternalImageId, and the service adds nothing twice.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from countenance.errors import HomeError

LONGEST_ID = 255
"""Characters of an ExternalImageId (Rekognition's model; its pattern is below)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS collection (identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS photos (
    digest TEXT PRIMARY KEY,
    external_image_id TEXT NOT NULL UNIQUE,
    faces INTEGER,                 -- NULL until the service answered
    remarks TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS paths (
    path TEXT PRIMARY KEY,
    digest TEXT NOT NULL REFERENCES photos,
    size INTEGER NOT NULL,
    changed INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS paths_by_digest ON paths (digest);
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A photo the service has answered about. faces: enrolled. remarks: why others, or none, were."""

    digest: str
    faces: int
    remarks: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells at a glance that a file has not changed: bytes, and nanoseconds of its last change."""

    size: int
    changed: int


def external_image_id(path: Path, digest: str) -> str:
    """A name for a photo that reads like its path and cannot collide: the end is the content's digest."""
    readable = ":".join(re.sub(r"[^a-zA-Z0-9_.\-]+", "_", part) for part in path.parts)
    ending = f":{digest[:16]}"
    return readable[-(LONGEST_ID - len(ending)) :] + ending


class Manifest:
    """The manifest of one collection. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, check_same_thread=False, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")  # what a power cut takes is sent again, harmlessly
        self._db.executescript(_SCHEMA)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, collection: str, identity: str) -> Iterator[Manifest]:
        """The manifest of a collection. identity: tells it from an earlier one of the same name.

        A manifest of an earlier one is put aside, for it says what is enrolled no longer.
        """
        path = _file(folder, collection)
        manifest = cls(path)
        try:
            before = manifest._db.execute("SELECT identity FROM collection").fetchone()
            if before and before[0] != identity:
                manifest.close()
                path.replace(path.with_suffix(".former"))
                manifest, before = cls(path), None
            if not before:
                manifest._write("INSERT INTO collection VALUES (?)", identity)
            yield manifest
        finally:
            manifest.close()

    @classmethod
    @contextmanager
    def reading(cls, folder: Path, collection: str) -> Iterator[Manifest | None]:
        """The manifest of a collection to look into; None where nothing was enrolled by the shell."""
        path = _file(folder, collection)
        if not path.exists():
            yield None
            return
        manifest = cls(path)
        try:
            yield manifest
        finally:
            manifest.close()

    def close(self) -> None:
        self._db.close()

    def unchanged(self, path: Path, stamp: Stamp) -> Known | None:
        """What is known of the photo at a path, if the file is as it was when it was answered about."""
        return self._known(
            "SELECT digest, faces, remarks FROM photos NATURAL JOIN paths "
            "WHERE path = ? AND size = ? AND changed = ? AND faces IS NOT NULL",
            str(path),
            stamp.size,
            stamp.changed,
        )

    def known(self, digest: str) -> Known | None:
        """What is known of a content."""
        return self._known(
            "SELECT digest, faces, remarks FROM photos WHERE digest = ? AND faces IS NOT NULL", digest
        )

    def claim(self, digest: str, wanted: str) -> str:
        """The ExternalImageId to send a content under: the one it was sent under before, else `wanted`."""
        with self._lock:
            self._write(
                "INSERT INTO photos (digest, external_image_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
                digest,
                wanted,
            )
            row = self._db.execute("SELECT external_image_id FROM photos WHERE digest = ?", (digest,))
            return str(row.fetchone()[0])

    def settle(self, digest: str, faces: int, remarks: str) -> None:
        """The service answered about a content."""
        self._write("UPDATE photos SET faces = ?, remarks = ? WHERE digest = ?", faces, remarks, digest)

    def place(self, path: Path, digest: str, stamp: Stamp) -> None:
        """A content is at a path now; what was there before is not."""
        self._write(
            "INSERT INTO paths VALUES (?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
            "digest = excluded.digest, size = excluded.size, changed = excluded.changed",
            str(path),
            digest,
            stamp.size,
            stamp.changed,
        )

    def path_of(self, external: str) -> str | None:
        """Where a photo is: the newest of its paths that is there, else the newest."""
        with self._lock:
            rows = self._db.execute(
                "SELECT path FROM photos NATURAL JOIN paths WHERE external_image_id = ? "
                "ORDER BY paths.rowid DESC",
                (external,),
            ).fetchall()
        paths = [str(path) for (path,) in rows]
        return next((path for path in paths if Path(path).exists()), paths[0] if paths else None)

    def _known(self, query: str, *values: object) -> Known | None:
        with self._lock:
            row = self._db.execute(query, values).fetchone()
        return Known(*row) if row else None

    def _write(self, statement: str, *values: object) -> None:
        with self._lock, self._db:
            self._db.execute(statement, values)


def _file(folder: Path, collection: str) -> Path:
    if not re.fullmatch(r"[a-zA-Z0-9_.\-]{1,255}", collection):
        raise HomeError(
            f"{collection!r} cannot be a collection's name: letters, digits, '_', '.' and '-', at most 255"
        )
    return folder / f"{collection}.manifest"
