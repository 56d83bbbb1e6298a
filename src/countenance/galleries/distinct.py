"""Who is not whom, as somebody who looked has said: "not this person", which keeps a wrong candidate from
coming back.

A distinction has two ends, each a face, a user or a photo, and means the people behind them: what is said of
one face of a user is said of all. Every function runs in a transaction its caller holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.galleries.rows import chunks
from countenance.schema import distinctions, faces, users
from countenance.types import Gallery

_FACE, _USER, _PHOTO = "face/", "user/", "photo/"


def of_face(face_id: str) -> str:
    return _FACE + face_id


def of_user(number: int) -> str:
    return f"{_USER}{number}"


def of_photo(image_id: str) -> str:
    """The face of a photo that a search looks for, by the ImageId: nothing else of it is kept."""
    return _PHOTO + image_id


def photos(ends: Iterable[str]) -> bool:
    """Whether all of them are photos."""
    return all(end.startswith(_PHOTO) for end in ends)


def face_ids(ends: Iterable[str]) -> frozenset[str]:
    """Those of the faces among them."""
    return frozenset(end.removeprefix(_FACE) for end in ends if end.startswith(_FACE))


@dataclass(frozen=True, slots=True)
class Barred:
    """Whom somebody is not: FaceIds, and rows of users."""

    faces: frozenset[str] = frozenset()
    users: frozenset[int] = frozenset()


NOBODY = Barred()


def record(connection: Connection, gallery: Gallery, one: str, other: str, now: dt.datetime) -> bool:
    """Keep that two ends are not one person; False where it is known."""
    one, other = sorted((one, other))
    row = {"collection": gallery.number, "one": one, "other": other}
    if connection.execute(sa.select(distinctions.c.number).where(_pair(gallery, one, other))).first():
        return False
    connection.execute(distinctions.insert().values(made=now.timestamp(), **row))
    return True


def withdraw(connection: Connection, gallery: Gallery, one: str, other: str) -> bool:
    """False where nobody said so."""
    one, other = sorted((one, other))
    return connection.execute(distinctions.delete().where(_pair(gallery, one, other))).rowcount > 0


def page(
    connection: Connection, gallery: Gallery, after: int, limit: int
) -> list[tuple[int, str, str, float]]:
    """(row, one end, other end, when as a Unix time) in the order they were said, past row `after`."""
    query = sa.select(distinctions).where(
        distinctions.c.collection == gallery.number, distinctions.c.number > after
    )
    rows = connection.execute(query.order_by(distinctions.c.number).limit(limit))
    return [(row.number, row.one, row.other, row.made) for row in rows]


def forget(connection: Connection, gallery: Gallery, ends: Sequence[str]) -> None:
    """What was said of ends that are gone."""
    for some in chunks(ends):
        either = distinctions.c.one.in_(some) | distinctions.c.other.in_(some)
        connection.execute(distinctions.delete().where(distinctions.c.collection == gallery.number, either))


def named(connection: Connection, gallery: Gallery, end: str) -> bool:
    """Whether anything was said of this very end."""
    either = (distinctions.c.one == end) | (distinctions.c.other == end)
    here = distinctions.c.collection == gallery.number
    return connection.execute(sa.select(distinctions.c.number).where(here, either)).first() is not None


def barred(connection: Connection, gallery: Gallery, end: str) -> Barred:
    """Everybody whom the person behind an end is not."""
    if not _ANYTHING.run(connection, gallery=gallery.number):
        return NOBODY
    here = distinctions.c.collection == gallery.number
    across = set[str]()
    for some in chunks(sorted(person(connection, gallery, end))):
        for mine, theirs in (
            (distinctions.c.one, distinctions.c.other),
            (distinctions.c.other, distinctions.c.one),
        ):
            across |= set(connection.execute(sa.select(theirs).where(here, mine.in_(some))).scalars())
    them = set[str]().union(*(person(connection, gallery, each) for each in across))
    return Barred(
        face_ids(them),
        frozenset(int(each.removeprefix(_USER)) for each in them if each.startswith(_USER)),
    )


_ANYTHING = Statement(
    sa.select(distinctions.c.number).where(distinctions.c.collection == sa.bindparam("gallery")).limit(1)
)
"""Whether anything was said in a gallery: every search asks."""


def person(connection: Connection, gallery: Gallery, end: str) -> set[str]:
    """Every end behind which the same person stands: a user, all who were merged into it, and their faces."""
    user = _user(connection, gallery, end)
    if user is None:
        return {end}
    chain = merged(connection, [user])
    query = sa.select(faces.c.face_id).where(faces.c.member.in_(sorted(chain)))
    return {end, *map(of_user, chain), *map(of_face, connection.execute(query).scalars())}


def merged(connection: Connection, numbers: Iterable[int]) -> set[int]:
    """Users with all who were merged into them, by rows."""
    known, new = set[int](), set(numbers)
    while new:
        known |= new
        found = set[int]()
        for some in chunks(sorted(new)):
            query = sa.select(users.c.number).where(users.c.merged_into.in_(some))
            found |= set(connection.execute(query).scalars())
        new = found - known
    return known


def shown(connection: Connection, ends: Collection[str]) -> dict[str, tuple[str, str]]:
    """What each end is called in an answer: FaceId, UserId or ImageId, and which."""
    told = {end: ("FaceId", end.removeprefix(_FACE)) for end in ends if end.startswith(_FACE)}
    told |= {end: ("ImageId", end.removeprefix(_PHOTO)) for end in ends if end.startswith(_PHOTO)}
    numbers = [int(end.removeprefix(_USER)) for end in ends if end.startswith(_USER)]
    for some in chunks(numbers):
        query = sa.select(users.c.number, users.c.user_id).where(users.c.number.in_(some))
        told |= {of_user(row.number): ("UserId", row.user_id) for row in connection.execute(query)}
    return told


def _user(connection: Connection, gallery: Gallery, end: str) -> int | None:
    """The row of the user behind an end, at the end of all merges; None where there is none."""
    number: int | None = int(end.removeprefix(_USER)) if end.startswith(_USER) else None
    if end.startswith(_FACE):
        mine = (faces.c.collection == gallery.number) & (faces.c.face_id == end.removeprefix(_FACE))
        number = connection.execute(sa.select(faces.c.member).where(mine)).scalar()
    into = number
    while into is not None:
        number = into
        into = connection.execute(sa.select(users.c.merged_into).where(users.c.number == number)).scalar()
    return number


def _pair(gallery: Gallery, one: str, other: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        distinctions.c.collection == gallery.number, distinctions.c.one == one, distinctions.c.other == other
    )
