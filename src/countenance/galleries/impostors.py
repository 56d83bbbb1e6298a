"""Faces of a gallery that labels say show different people, a sample of one face each."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.galleries.rows import SOME, chunks, matrix
from countenance.schema import faces
from countenance.types import Gallery, Vector

MOST = 2000
"""People compared with each other: two million pairs, 32 MB."""

ENOUGH = 20 * MOST
"""Labelled faces looked at to find them; of a larger gallery every so many-th."""


class Labels(StrEnum):
    """What says that two faces are of two people."""

    USERS = "users"
    EXTERNAL = "external-image-ids"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """people: their labels. vectors: float32 (N, D), a face of each. different: bool (N, N), whether two are
    said to be two people."""

    people: tuple[str, ...]
    vectors: Vector
    different: npt.NDArray[np.bool_]


def sample(connection: Connection, gallery: Gallery, labels: Labels) -> Sample:
    """At most MOST people, drawn anew each time, each by a drawn face. Runs in its caller's transaction."""
    label = faces.c.member if labels is Labels.USERS else faces.c.external_image_id
    labelled = label.is_not(None) if labels is Labels.USERS else label != ""
    step = gallery.size // ENOUGH + 1
    start = secrets.randbelow(step)
    query = sa.select(faces.c.number, faces.c.member, label.label("person")).where(
        faces.c.collection == gallery.number, labelled, faces.c.number % step == start
    )
    rows = list(connection.execute(query).all())
    secrets.SystemRandom().shuffle(rows)
    drawn = {row.person: row for row in rows}
    kept = sorted(list(drawn.values())[:MOST], key=lambda row: int(row.number))
    vectors: list[bytes] = []
    for some in chunks([row.number for row in kept]):
        found = sa.select(faces.c.vector).where(faces.c.number.in_(some)).order_by(faces.c.number)
        vectors += connection.execute(found.limit(SOME)).scalars()
    users = np.array([-1 if row.member is None else row.member for row in kept], np.int64)
    one_user = (users[:, None] == users[None]) & (users >= 0)[:, None]  # two names, but said to be one person
    one_user |= np.eye(len(kept), dtype=bool)
    return Sample(tuple(str(row.person) for row in kept), matrix(vectors), ~one_user)
