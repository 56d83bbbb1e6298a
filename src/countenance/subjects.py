"""Whose entries are whose: the key that leads a person to his own, read by the operator from the home.

No network operation gives a key away. Nothing here changes anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from countenance.errors import HomeError, LedgerError
from countenance.ledger import subject_tag, verification
from countenance.ledger.merkle import leaf_hash
from countenance.ledger.verification import Progress, Snapshots
from countenance.office import reading
from countenance.schema import collections, entries, faces
from countenance.settings import Settings

CHUNK = 4096
"""Entries read in one snapshot; an open one holds back erasure."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One person in one collection. key: 32 bytes. faces: how many of him are enrolled there."""

    account: str
    collection: str
    key: bytes
    faces: int


@dataclass(frozen=True, slots=True)
class Concerned:
    """What concerned a person, as it is written: the entry that names him, and the decision before it where
    it is a call's outcome. The other kind is govern: a rule of retention."""

    decision: dict[str, Any] | None
    entry: dict[str, Any]


def keys(
    settings: Settings, collection: str, *, face_id: str | None = None, external: str | None = None
) -> list[Subject]:
    """The people of a face or an ExternalImageId in a collection: one, unless several accounts have a
    collection of that name. Raises HomeError where there is nobody."""
    where = faces.c.face_id == face_id if external is None else faces.c.external_image_id == external
    named = (
        sa.select(collections.c.number, collections.c.account, verification.raw(faces.c.subject).label("key"))
        .join(faces, faces.c.collection == collections.c.number)
        .where(collections.c.collection_id == collection, where)
        .distinct()
    )
    with reading(settings) as snapshots, snapshots() as connection:
        found = []
        for number, account, key in connection.execute(named).all():
            count = sa.select(sa.func.count()).where(faces.c.collection == number, faces.c.subject == key)
            found.append(
                Subject(account, collection, bytes(key), int(connection.execute(count).scalar_one()))
            )
    if not found:
        raise HomeError(f"nobody of that name is in a collection {collection!r} of this home")
    return found


def own(settings: Settings, key: bytes, progress: Progress | None = None) -> Iterator[Concerned]:
    """What concerned the holder of a key, in the ledger's order: calls, reviews of them, retention.

    progress: told how many entries were looked at, of how many. Raises LedgerError where an entry does not
    hash to its leaf.
    """
    with reading(settings) as snapshots:
        with snapshots() as connection:
            size = int(connection.execute(sa.select(sa.func.count()).select_from(entries)).scalar_one())
        for seq, body in _bodies(snapshots):
            if progress:
                progress(seq + 1, size)
            if b'"subjects"' not in body and b'"candidate"' not in body:
                continue
            entry = json.loads(body)
            decision = entry.get("decision")
            if not _names(entry, key, seq if decision is None else decision):
                continue
            with snapshots() as connection:
                before = None if decision is None else verification.read(connection, decision)
            yield Concerned(before, entry)


def _names(entry: Mapping[str, Any], key: bytes, number: int) -> bool:
    """Whether an entry of call `number` names the holder of a key, or judges him in the call it reviews."""
    if subject_tag(key, number) in entry.get("subjects", ()):
        return True
    return "candidate" in entry and entry["candidate"] == subject_tag(key, entry.get("review", -1))


def _bodies(snapshots: Snapshots) -> Iterator[tuple[int, bytes]]:
    columns = (entries.c.seq, verification.raw(entries.c.body), verification.raw(entries.c.leaf))
    query = sa.select(*columns).order_by(entries.c.seq).limit(CHUNK)
    after = -1
    while True:
        with snapshots() as connection:
            rows = connection.execute(query.where(entries.c.seq > after)).all()
        if not rows:
            return
        for seq, body, leaf in rows:
            if leaf_hash(bytes(body)) != bytes(leaf):
                raise LedgerError(f"entry {seq} was changed: its bytes do not hash to its leaf", seq)
            yield seq, bytes(body)
        after = rows[-1].seq
