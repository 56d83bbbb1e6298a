"""Merges and splits of users, kept so that each can be undone to the last byte.

A user who was merged is kept without a face, under the name and with what was said of it, until that is
undone. What was moved stands face by face, so that an erased face leaves nothing here either. Every function
runs in a transaction that its caller holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.galleries import distinct, users
from countenance.schema import faces, regrouped, regroupings
from countenance.schema import users as user_rows
from countenance.types import Gallery, User


class Kind(StrEnum):
    MERGE = "MERGE"
    SPLIT = "SPLIT"


@dataclass(frozen=True, slots=True)
class Regrouping:
    """Faces that went from one user to another.

    source, target: their names. face_ids: those not erased since. made: when, as a Unix time.
    """

    number: int
    kind: Kind
    source: str
    target: str
    face_ids: tuple[str, ...]
    made: float


def merge(connection: Connection, gallery: Gallery, source: User, target: User, now: dt.datetime) -> int:
    """All faces of one user become another's; the number under which that is kept."""
    rows = sa.select(faces.c.number).where(faces.c.member == source.number)
    number = _keep(connection, gallery, Kind.MERGE, source, target, now)
    _move(connection, gallery, number, list(connection.execute(rows).scalars()), target)
    _into(connection, source.number, target.number)
    users.count(connection, gallery, -1)
    return number


def split(
    connection: Connection,
    gallery: Gallery,
    source: User,
    target: User,
    face_numbers: Sequence[int],
    now: dt.datetime,
) -> int:
    """Some faces of one user become those of a new one."""
    number = _keep(connection, gallery, Kind.SPLIT, source, target, now)
    _move(connection, gallery, number, face_numbers, target)
    return number


def find(connection: Connection, gallery: Gallery, number: int) -> Regrouping | None:
    found = page(connection, gallery, number - 1, 1)
    return found[0] if found and found[0].number == number else None


def page(connection: Connection, gallery: Gallery, after: int, limit: int) -> list[Regrouping]:
    """What can be undone, in the order it was done, past row `after`."""
    source, target = user_rows.alias(), user_rows.alias()
    query = (
        sa.select(regroupings, source.c.user_id.label("of"), target.c.user_id.label("to"))
        .join(source, source.c.number == regroupings.c.source)
        .join(target, target.c.number == regroupings.c.target)
        .where(regroupings.c.collection == gallery.number, regroupings.c.number > after)
    )
    found = []
    for row in connection.execute(query.order_by(regroupings.c.number).limit(limit)).all():
        ids = tuple(face_id for _, face_id, _ in _moved(connection, row.number))
        found.append(Regrouping(row.number, Kind(row.kind), row.of, row.to, ids, row.made))
    return found


def undo(connection: Connection, gallery: Gallery, regrouping: Regrouping) -> str | None:
    """Put everything back as it was: the faces that are left, the users and their names. Or, with nothing
    changed, why that cannot be, for a person to read."""
    row = connection.execute(sa.select(regroupings).where(regroupings.c.number == regrouping.number)).one()
    moved = _moved(connection, regrouping.number)
    known = users.by_rows(connection, gallery, [row.source, row.target])
    source, target = known[row.source], known[row.target]
    if why := _stuck(connection, gallery, regrouping, source, target):
        return why
    connection.execute(regroupings.delete().where(regroupings.c.number == regrouping.number))
    if regrouping.kind is Kind.MERGE:
        _into(connection, source.number, None)
        users.count(connection, gallery, 1)
    users.move(connection, gallery, [number for number, _, _ in moved], source)
    if regrouping.kind is Kind.SPLIT:
        users.delete(connection, gallery, [target.number])
    return None


def _stuck(
    connection: Connection, gallery: Gallery, regrouping: Regrouping, source: User, target: User
) -> str | None:
    """What was done since, and has to be undone first."""
    moved = _moved(connection, regrouping.number)
    if gone := [face_id for _, face_id, member in moved if member != target.number]:
        return f"face {gone[0]} is not {target.user_id}'s any more: undo first what was done since"
    ends = [source, target] if regrouping.kind is Kind.SPLIT else [target]
    for user in ends:
        if users.find(connection, gallery, user.user_id) is None:
            return f"{user.user_id} was merged into another since: undo that first"
    if regrouping.kind is Kind.MERGE:
        return None
    if source.faces + len(moved) > users.MOST_FACES:
        return f"{source.user_id} would have more than {users.MOST_FACES} faces"
    return _more(connection, gallery, regrouping, source, target)


def _more(
    connection: Connection, gallery: Gallery, regrouping: Regrouping, source: User, target: User
) -> str | None:
    """What there is of a user who was split off beside the faces of then: with the user it would be lost."""
    either = (regroupings.c.source == target.number) | (regroupings.c.target == target.number)
    others = connection.execute(
        sa.select(regroupings.c.number).where(either, regroupings.c.number != regrouping.number)
    )
    if other := others.scalar():
        return f"{target.user_id} is part of regrouping {other}: undo that first"
    if target.faces != len(regrouping.face_ids):
        return f"{target.user_id} has got further faces since: disassociate them first"
    if distinct.named(connection, gallery, distinct.of_user(target.number)) or (
        source.number in distinct.barred(connection, gallery, distinct.of_user(target.number)).users
    ):
        return f"somebody said since who {target.user_id} is not: withdraw that first"
    return None


def _keep(
    connection: Connection, gallery: Gallery, kind: Kind, source: User, target: User, now: dt.datetime
) -> int:
    row = {"collection": gallery.number, "kind": kind.value, "made": now.timestamp()}
    made = connection.execute(
        regroupings.insert().values(source=source.number, target=target.number, **row)
    ).inserted_primary_key
    assert made is not None
    return int(made[0])


def _move(
    connection: Connection, gallery: Gallery, number: int, face_numbers: Sequence[int], target: User
) -> None:
    if face_numbers:
        rows = [{"regrouping": number, "face": face} for face in face_numbers]
        connection.execute(regrouped.insert(), rows)
    users.move(connection, gallery, face_numbers, target)


def _moved(connection: Connection, number: int) -> list[tuple[int, str, int | None]]:
    """(row, FaceId, whose it is now) of the faces of a regrouping that were not erased since."""
    query = sa.select(faces.c.number, faces.c.face_id, faces.c.member).join(
        regrouped, regrouped.c.face == faces.c.number
    )
    rows = connection.execute(query.where(regrouped.c.regrouping == number).order_by(faces.c.number))
    return [(row.number, row.face_id, row.member) for row in rows]


def _into(connection: Connection, source: int, target: int | None) -> None:
    connection.execute(user_rows.update().where(user_rows.c.number == source).values(merged_into=target))
