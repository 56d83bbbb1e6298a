"""What the shell knows of the photos it enrolled: content -> ExternalImageId -> places; a file a collection.

A photo is its content, so one that was moved, renamed or copied is known again. A line is written before a
photo is sent (`claim`) and completed by the answer (`settle`): after a crash in between, the same photo goes
out under the same ExternalImageId, and the service adds nothing twice.

A place is a path or s3://bucket/key. A name is the ExternalImageId that a list asked for, "" where the shell
makes one itself: the same content may be listed under two names, and is then two photos.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from countenance.errors import HomeError

LONGEST_ID = 255
"""Characters of an ExternalImageId (Rekognition's model; its pattern is below)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS collection (identity TEXT NOT NULL);
CREATE TABLE photos (
    digest TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    external_image_id TEXT NOT NULL,
    faces INTEGER,                 -- NULL until the service answered
    remarks TEXT NOT NULL DEFAULT '',
    image_id TEXT,                 -- the service's, where it enrolled a face
    PRIMARY KEY (digest, name)
) WITHOUT ROWID;
CREATE INDEX photos_by_external ON photos (external_image_id);
CREATE TABLE places (
    number INTEGER PRIMARY KEY,
    place BLOB NOT NULL,           -- bytes: a file's name need not be text
    name TEXT NOT NULL DEFAULT '',
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    UNIQUE (place, name)
);
CREATE INDEX places_by_photo ON places (digest, name);
CREATE TABLE paces (
    began REAL NOT NULL, photos INTEGER NOT NULL, faces INTEGER NOT NULL, seconds REAL NOT NULL
);
"""

_FROM_BEFORE = """
ALTER TABLE photos RENAME TO former;
DROP INDEX paths_by_digest;
{schema}
INSERT INTO photos (digest, external_image_id, faces, remarks)
    SELECT digest, external_image_id, faces, remarks FROM former;
INSERT INTO places (place, digest, size, changed)
    SELECT CAST(path AS BLOB), digest, size, changed FROM paths ORDER BY rowid;
DROP TABLE paths;
DROP TABLE former;
"""

_VERSION = 2
"""1 knew no lists: a content had one name, and a path was text."""


@dataclass(frozen=True, slots=True)
class Known:
    """A photo the service has answered about. faces: enrolled. remarks: why others, or none, were."""

    digest: str
    name: str
    faces: int
    remarks: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells at a glance that a file has not changed: bytes, and nanoseconds of its last change, or a
    number made of an object's ETag."""

    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast photos went. began: epoch seconds of the run."""

    began: float
    photos: int
    faces: int
    seconds: float


def external_image_id(path: Path | PurePosixPath, digest: str) -> str:
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
        self._lay_out()

    def _lay_out(self) -> None:
        """Tables, made anew or of an older manifest's, in one transaction."""
        with self._lock:
            if self._version() == _VERSION:
                return
            self._db.execute("BEGIN IMMEDIATE")
            before = self._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'paths'").fetchone()
            script = _FROM_BEFORE.format(schema=_SCHEMA) if before else _SCHEMA
            for statement in script.split(";\n") if self._version() < _VERSION else ():
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
            self._db.commit()

    def _version(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

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

    def unchanged(self, place: str, name: str, stamp: Stamp) -> Known | None:
        """What is known of the photo at a place, if the file is as it was when it was answered about."""
        return self._known(
            "SELECT digest, name, faces, remarks FROM places JOIN photos USING (digest, name) "
            "WHERE place = ? AND (? = '' OR name = ?) AND size = ? AND changed = ? AND faces IS NOT NULL",
            os.fsencode(place),
            name,
            name,
            stamp.size,
            stamp.changed,
        )

    def known(self, digest: str, name: str = "") -> Known | None:
        """What is known of a content under a name; without one, under any."""
        return self._known(
            "SELECT digest, name, faces, remarks FROM photos "
            "WHERE digest = ? AND (? = '' OR name = ?) AND faces IS NOT NULL ORDER BY name",
            digest,
            name,
            name,
        )

    def claim(self, digest: str, name: str, wanted: str, place: str, stamp: Stamp) -> str:
        """The ExternalImageId to send a content under: the one it was sent under before, else `wanted`.

        It is at a place now; what was there before is not.
        """
        with self._lock, self._db:
            self._db.execute(
                "INSERT INTO photos (digest, name, external_image_id) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (digest, name, wanted),
            )
            self._place(digest, name, place, stamp)
            query = "SELECT external_image_id FROM photos WHERE digest = ? AND name = ?"
            return str(self._db.execute(query, (digest, name)).fetchone()[0])

    def place(self, digest: str, place: str, stamp: Stamp, name: str = "") -> None:
        """A known content is at a place now; what was there before is not."""
        with self._lock, self._db:
            self._place(digest, name, place, stamp)

    def settle(
        self, digest: str, faces: int, remarks: str, *, name: str = "", image_id: str | None = None
    ) -> None:
        """The service answered about a content."""
        self._write(
            "UPDATE photos SET faces = ?, remarks = ?, image_id = ? WHERE digest = ? AND name = ?",
            faces,
            remarks,
            image_id,
            digest,
            name,
        )

    def note_pace(self, pace: Pace) -> None:
        """How fast this run was, for the next one's estimate."""
        self._write(
            "INSERT INTO paces VALUES (?, ?, ?, ?)", pace.began, pace.photos, pace.faces, pace.seconds
        )

    def pace(self) -> Pace | None:
        """How fast the last run was that sent anything worth the name."""
        with self._lock:
            query = "SELECT * FROM paces WHERE photos >= 20 ORDER BY began DESC LIMIT 1"
            row = self._db.execute(query).fetchone()
        return Pace(*row) if row else None

    def path_of(self, external: str, image_id: str | None = None) -> str | None:
        """Where a photo is: the newest of its places that is there, else the newest.

        image_id: the service's, which tells several photos of one ExternalImageId apart.
        """
        with self._lock:
            rows = self._db.execute(
                "SELECT place FROM photos JOIN places USING (digest, name) WHERE external_image_id = ? "
                "AND (? IS NULL OR image_id IS NULL OR image_id = ?) ORDER BY places.number DESC",
                (external, image_id, image_id),
            ).fetchall()
        places = [os.fsdecode(place) for (place,) in rows]
        return next((place for place in places if Path(place).exists()), places[0] if places else None)

    def _place(self, digest: str, name: str, place: str, stamp: Stamp) -> None:
        self._db.execute(
            "INSERT INTO places (place, name, digest, size, changed) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (place, name) DO UPDATE SET "
            "digest = excluded.digest, size = excluded.size, changed = excluded.changed",
            (os.fsencode(place), name, digest, stamp.size, stamp.changed),
        )

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
