"""Whom a call concerns: the keys to people's entries in the ledger, all faces of a person, and what must be
left nowhere once they are gone. Every function runs in a transaction its caller holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Traces
from countenance.galleries import store, users
from countenance.galleries.rows import chunks
from countenance.schema import collections, faces, renewals
from countenance.types import Gallery


def subjects(connection: Connection, gallery: Gallery, face_ids: Sequence[str]) -> list[bytes]:
    """The keys by which the people of these faces are found in the ledger, of those that are there."""
    found: list[bytes] = []
    for some in chunks(list(dict.fromkeys(face_ids))):
        query = sa.select(faces.c.subject).where(
            faces.c.collection == gallery.number, faces.c.face_id.in_(some)
        )
        found += connection.execute(query).scalars()
    return found


def of_person(
    connection: Connection,
    account: str,
    collection_id: str | None,
    *,
    face_id: str | None = None,
    external: str | None = None,
) -> dict[str, list[str]]:
    """The FaceIds of a person by CollectionId, in an account's galleries or in one.

    face_id: also the other faces of its ExternalImageId and of its user in its gallery. external: an
    ExternalImageId.
    """
    own = collections.c.account == account
    if collection_id is not None:
        own &= collections.c.collection_id == collection_id
    if face_id is not None:
        face = faces.alias()
        same = (face.c.face_id == face_id) & (face.c.collection == faces.c.collection)
        one = (faces.c.face_id == face_id) | (
            (faces.c.external_image_id != "") & (faces.c.external_image_id == face.c.external_image_id)
        )
        one |= faces.c.member == face.c.member
        query = sa.select(collections.c.collection_id, faces.c.face_id).where(own, same, one)
    else:
        query = sa.select(collections.c.collection_id, faces.c.face_id).where(
            own, faces.c.external_image_id == external
        )
    found: dict[str, list[str]] = {}
    for row in connection.execute(
        query.where(faces.c.collection == collections.c.number).order_by(faces.c.number)
    ):
        found.setdefault(row.collection_id, []).append(row.face_id)
    return found


def enrolled_by(connection: Connection, gallery: Gallery, before: dt.datetime, limit: int) -> list[str]:
    """The FaceIds that were enrolled until then, the first first."""
    query = sa.select(faces.c.face_id).where(
        faces.c.collection == gallery.number, faces.c.enrolled <= before.timestamp()
    )
    return list(connection.execute(query.order_by(faces.c.enrolled).limit(limit)).scalars())


MANY, FEW = 1000, 20
"""Faces whose traces are looked for: after the deletion of more than MANY the file is rewritten at once. And
names: those of more than FEW are not looked for, only the faces are."""


def traces(connection: Connection, gallery: Gallery, face_ids: Sequence[str] | None = None) -> Traces | None:
    """What must be left nowhere once these faces, or all of a gallery, are gone; None for more than MANY."""
    count = gallery.size if face_ids is None else len(face_ids)
    if count > MANY:
        return None
    query = sa.select(faces.c.vector, faces.c.subject, faces.c.external_image_id).where(
        faces.c.collection == gallery.number
    )
    renewed = (
        sa.select(renewals.c.vector)
        .join(faces, faces.c.number == renewals.c.face)
        .where(faces.c.collection == gallery.number)
    )
    rows: list[Any] = []
    secrets: set[bytes] = set()
    for some in [None] if face_ids is None else chunks(face_ids):
        these = sa.true() if some is None else faces.c.face_id.in_(some)
        rows += connection.execute(query.where(these)).all()
        secrets |= set(connection.execute(renewed.where(these)).scalars())  # computed anew, not yet in use
    names = {row.external_image_id for row in rows} - {""}
    concerned = (
        None
        if face_ids is None
        else users.of_faces(connection, list(store.rows_of(connection, gallery, face_ids).values()))
    )
    names |= set(users.names(connection, gallery, concerned))
    return Traces(
        secrets=tuple(secrets.union(*((row.vector, row.subject) for row in rows))),
        texts=tuple(names) if len(names) <= FEW else (),
    )
