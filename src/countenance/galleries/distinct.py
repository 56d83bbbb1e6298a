"""Who is not whom, as somebody who looked has said: "not this person", which keeps a wrong candidate from
coming back.

A distinction has two ends, each a face, a user or a photo, and means the people behind them: what is said of
one face of a user is said of all. Every function runs in a transaction its caller holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.galleries.rows import chunks
from countenance.schema import distinctions, faces, users
from countenance.types import Gallery

_FACE, _USER, _PHOTO = "face/", "user/", "photo/"

MOST = 100_000
"""Distinctions of one gallery: what people say by hand, and more than any program should."""


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


def said(connection: Connection, gallery: Gallery, one: str, other: str) -> bool:
    """Whether somebody said of these very ends that they are not one person."""
    pair = _pair(gallery, *sorted((one, other)))
    return connection.execute(sa.select(distinctions.c.number).where(pair)).first() is not None


def record(connection: Connection, gallery: Gallery, one: str, other: str, now: dt.datetime) -> None:
    """Keep that two ends are not one person, which nobody said yet."""
    one, other = sorted((one, other))
    row = {"collection": gallery.number, "one": one, "other": other}
    connection.execute(distinctions.insert().values(made=now.timestamp(), **row))


def full(connection: Connection, gallery: Gallery) -> bool:
    """Whether a gallery has as many as it may."""
    mine = sa.select(distinctions.c.number).where(distinctions.c.collection == gallery.number)
    return connection.execute(mine.limit(1).offset(MOST - 1)).first() is not None


def withdraw(connection: Connection, gallery: Gallery, one: str, other: str) -> bool:
    """False where nobody said so."""
    one, other = sorted((one, other))
    return connection.execute(distinctions.delete().where(_pair(gallery, one, other))).rowcount > 0


def page(
    connection: Connection, gallery: Gallery, after: int, limit: int | None
) -> list[tuple[int, str, str, float]]:
    """(row, one end, other end, when as a Unix time) in the order they were said, past row `after`; all of
    them where there is no limit."""
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
    them = set[str]().union(*people(connection, gallery, across).values())
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
    return people(connection, gallery, [end])[end]


def people(connection: Connection, gallery: Gallery, ends: Collection[str]) -> dict[str, set[str]]:
    """`person` of each end. Whose ends are of one person share the set."""
    whose = _whose(connection, gallery, ends)
    into = _last(_walked(connection, whose.values(), up=True))
    last = {end: into.get(number, number) for end, number in whose.items()}
    below = _last(_walked(connection, last.values(), up=False))
    behind = {number: {of_user(number)} for number in last.values()}
    for number, top in below.items():
        behind[top].add(of_user(number))
    for some in chunks(sorted(below)):
        query = sa.select(faces.c.face_id, faces.c.member).where(faces.c.member.in_(some))
        for face_id, member in connection.execute(query):
            behind[below[member]].add(of_face(face_id))
    return {end: behind[last[end]] if end in last else {end} for end in ends}


def merged(connection: Connection, numbers: Iterable[int]) -> set[int]:
    """Users with all who were merged into them, by rows."""
    known = set(numbers)
    return known | set(_walked(connection, known, up=False))


def last(connection: Connection, number: int) -> int:
    """The row of the user with whom all merges of this one ended: itself, where there was none."""
    return _last(_walked(connection, [number], up=True)).get(number, number)


def shown(connection: Connection, ends: Collection[str]) -> dict[str, tuple[str, str]]:
    """What each end is called in an answer: FaceId, UserId or ImageId, and which."""
    told = {end: ("FaceId", end.removeprefix(_FACE)) for end in ends if end.startswith(_FACE)}
    told |= {end: ("ImageId", end.removeprefix(_PHOTO)) for end in ends if end.startswith(_PHOTO)}
    numbers = [int(end.removeprefix(_USER)) for end in ends if end.startswith(_USER)]
    for some in chunks(numbers):
        query = sa.select(users.c.number, users.c.user_id).where(users.c.number.in_(some))
        told |= {of_user(row.number): ("UserId", row.user_id) for row in connection.execute(query)}
    return told


def _whose(connection: Connection, gallery: Gallery, ends: Collection[str]) -> dict[str, int]:
    """The row of the user of each end that is a user, or a user's face."""
    found = {end: int(end.removeprefix(_USER)) for end in ends if end.startswith(_USER)}
    for some in chunks(sorted(face_ids(ends))):
        mine = faces.c.face_id.in_(some) & faces.c.member.is_not(None)
        query = sa.select(faces.c.face_id, faces.c.member).where(faces.c.collection == gallery.number, mine)
        found.update((of_face(face_id), member) for face_id, member in connection.execute(query))
    return found


def _walked(connection: Connection, numbers: Iterable[int], *, up: bool) -> dict[int, int | None]:
    """Users with all whom they were merged into, step by step, or with all who were merged into them: rows,
    and the row that each was merged into. However long that is, it is one question."""
    found: dict[int, int | None] = {}
    edge = sa.select(users.c.number, users.c.merged_into)
    for some in chunks(sorted(set(numbers))):
        step = edge.where(users.c.number.in_(some)).cte("step", recursive=True)
        onwards = users.c.number == step.c.merged_into if up else users.c.merged_into == step.c.number
        step = step.union(edge.where(onwards))
        found.update((number, into) for number, into in connection.execute(sa.select(step)))
    return found


def _last(into: Mapping[int, int | None]) -> dict[int, int]:
    """Of each user the one at the end of all merges. into: whom each was merged into."""
    ends: dict[int, int] = {}
    for number in into:
        way, here = [number], into[number]
        while here is not None and here not in ends:
            way.append(here)
            here = into[here]
        ends.update(dict.fromkeys(way, way[-1] if here is None else ends[here]))
    return ends


def _pair(gallery: Gallery, one: str, other: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        distinctions.c.collection == gallery.number, distinctions.c.one == one, distinctions.c.other == other
    )
