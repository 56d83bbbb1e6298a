"""What every storage keeps to: each database with each index, in two hands that know nothing of each other.

A pair is a database (`database_url`) and an index (`INDEXES`); a further index adds its name and how galleries
are searched with it. Two Databases stand for two processes where that suffices; `tests.door.kills` and
`tests.processes` bring real ones.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from countenance import office
from countenance import settings as homes
from countenance.database import Database
from countenance.errors import LedgerError
from countenance.galleries import Galleries, GalleryGone, rows, store
from countenance.ledger import Ledger, Written, checkpoint
from countenance.ledger.merkle import leaf_hash, verify_inclusion
from countenance.schema import collections, faces
from countenance.types import Box, Embedding, Enrolled, Gallery, OrganisationKind, Probe, Template, Vector
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, picture

ACCOUNT = "111122223333"
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "countenance.example/storage"

INDEXES: dict[str, Callable[[Database], Galleries]] = {"exact": Galleries}


@dataclasses.dataclass(frozen=True)
class Hand:
    """One process's hold on the storage."""

    database: Database
    ledger: Ledger
    galleries: Galleries

    @classmethod
    def on(cls, url: str, index: str) -> Hand:
        database, ledger = Database(url), Ledger(KEY, ORIGIN)
        database.keep(ledger)
        return cls(database, ledger, INDEXES[index](database))

    def gallery(self) -> Gallery:
        with self.database.reading() as connection:
            found = store.find(connection, ACCOUNT, "people")
        assert found is not None
        return found

    def enrol(self, *templates: Template) -> list[Enrolled]:
        return self.late(lambda c: store.enrol(c, self.gallery(), templates, NOW), enrolled=len(templates))

    def forget(self, *face_ids: str) -> list[str]:
        gone = self.late(lambda c: store.forget(c, self.gallery(), face_ids), removed=len(face_ids))
        assert self.database.scrub()
        self.galleries.refresh(self.gallery())
        return gone

    def late[T](self, work: Callable[[Connection], T], **said: object) -> T:
        """Work in a gallery and its entry, as the gate commits them."""

        def write(connection: Connection) -> T:
            result = work(connection)
            self.database.take_turn(connection)
            self.ledger.append(connection, {"v": 1, "kind": "decision", **said})
            return result

        return self.database.write(write, late=True)

    def found(self, vector: Vector, limit: int = 5, floor: float = 0.9) -> list[str]:
        probe = Probe(Embedding(vector, self.gallery().model))
        return [
            candidate.face.face_id
            for candidate in self.galleries.identify(self.gallery(), probe, limit, floor)
        ]
