"""Users as rows: people, each with the faces that are said to show them.

The vector by which a user is found is made of the faces' whenever it is needed, and never written: what holds
for the faces' own, that nothing of them is left, holds for it too. Every function runs in a transaction that
its caller holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.galleries import distinct
from countenance.galleries.rows import PIECE, advance, chunks, matrix
from countenance.schema import collections, faces, regrouped, regroupings, user_removals, users
from countenance.types import Gallery, User, Vector

MOST_FACES = 100
"""Faces of one user (Rekognition's limit)."""

MOST = 20_000_000
"""Users of one collection (Rekognition's largest)."""

LEAST = 1e-3
"""A sum shorter than this points nowhere: of faces opposite to each other, for whom the first one stands."""


def template(vectors: Vector) -> Vector:
    """The one vector (D,) that stands for the faces (N, D) of a person."""
    return np.asarray(means(vectors, [0])[0], np.float32)


def means(vectors: Vector, starts: Sequence[int]) -> Vector:
    """The same for several people: (P, D). vectors: the faces, person by person. starts: the first of each.

    The mean, made a unit long again. Why the mean: docs/users.md, `python bench/users.py`.
    """
    exact = vectors.astype(np.float64)
    sums = np.add.reduceat(exact, starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    first = exact[np.asarray(starts)]
    made = np.where(lengths < LEAST, first, sums / np.maximum(lengths, LEAST))
    return np.asarray(made, np.float32)


def create(connection: Connection, gallery: Gallery, user_id: str, now: dt.datetime) -> User | None:
    """A user without faces; None where there is one of that name, or one of it was merged into another."""
    same = (users.c.collection == gallery.number) & (users.c.user_id == user_id)
    if connection.execute(sa.select(users.c.number).where(same)).first():
        return None
    row = {"collection": gallery.number, "user_id": user_id, "created": now.timestamp()}
    made = connection.execute(users.insert().values(change=0, **row)).inserted_primary_key
    assert made is not None
    count(connection, gallery, 1)
    return User(made[0], user_id, 0)


def find(connection: Connection, gallery: Gallery, user_id: str) -> User | None:
    found = _select(connection, _here(gallery) & (users.c.user_id == user_id), None)
    return found[0] if found else None


def become(connection: Connection, gallery: Gallery, user_id: str) -> User | None:
    """The user of that name; where it was merged into another, that one: they are said to be one person."""
    query = sa.select(users.c.number).where(users.c.collection == gallery.number, users.c.user_id == user_id)
    number = connection.execute(query).scalar()
    if number is None:
        return None
    found = _select(connection, users.c.number == distinct.last(connection, number), None)
    return found[0] if found else None


def page(connection: Connection, gallery: Gallery, after: int, limit: int) -> list[User]:
    """A gallery's users in the order they were made, past row `after`."""
    return _select(connection, _here(gallery) & (users.c.number > after), limit)


def by_rows(connection: Connection, _gallery: Gallery, numbers: Sequence[int]) -> dict[int, User]:
    """Users by row; rows that are gone are left out."""
    found: list[User] = []
    for some in chunks(numbers):
        found += _select(connection, users.c.number.in_(some), None)
    return {user.number: user for user in found}


def delete(connection: Connection, gallery: Gallery, numbers: Collection[int]) -> None:
    """Users and whatever names them: what they were merged from, what can be undone, who they are not. Their
    faces stay, as nobody's."""
    change = advance(connection, gallery.number)
    every = sorted(distinct.merged(connection, numbers))
    known = _select(connection, users.c.number.in_(every) & users.c.merged_into.is_(None), None)
    for some in chunks(every):
        connection.execute(faces.update().where(faces.c.member.in_(some)).values(member=None))
        undone = regroupings.c.source.in_(some) | regroupings.c.target.in_(some)
        connection.execute(regroupings.delete().where(undone))
        connection.execute(users.delete().where(users.c.number.in_(some)))
    distinct.forget(connection, gallery, [distinct.of_user(number) for number in every])
    _mark(connection, gallery, change, every)
    count(connection, gallery, -len(known))


def move(connection: Connection, gallery: Gallery, face_numbers: Sequence[int], to: User | None) -> None:
    """Faces become a user's, or nobody's."""
    concerned = {to.number} if to else set[int]()
    for some in chunks(face_numbers):
        these = faces.c.number.in_(some)
        concerned |= set(connection.execute(sa.select(faces.c.member).where(these)).scalars())
        connection.execute(faces.update().where(these).values(member=to.number if to else None))
    _changed(connection, gallery, concerned - {None})


def of_faces(connection: Connection, face_numbers: Sequence[int]) -> set[int]:
    """The users whose faces these are."""
    found: set[int] = set()
    for some in chunks(face_numbers):
        query = sa.select(faces.c.member).where(faces.c.number.in_(some), faces.c.member.is_not(None))
        found |= set(connection.execute(query.distinct()).scalars())
    return found


def bereft(connection: Connection, gallery: Gallery, numbers: Collection[int]) -> None:
    """After faces of these users were erased: who has none left goes as well, and so does the name of one who
    was merged into them and of whom no face is left."""
    having = set(_grouped(connection, numbers))
    kept = sa.select(regroupings.c.source).join(regrouped, regrouped.c.regrouping == regroupings.c.number)
    empty = set(numbers) - having
    for some in chunks(sorted(numbers)):
        lost = sa.select(users.c.number).where(users.c.merged_into.in_(some), users.c.number.not_in(kept))
        empty |= set(connection.execute(lost).scalars())
    if empty:
        delete(connection, gallery, empty)
    _changed(connection, gallery, having)


def faces_of(
    connection: Connection, gallery: Gallery, numbers: Sequence[int]
) -> dict[int, dict[str, Vector]]:
    """The faces of users: FaceIds with their vectors, by the user's row, in the order of the faces' rows."""
    found: dict[int, dict[str, Vector]] = {}
    query = sa.select(faces.c.member, faces.c.face_id, faces.c.vector).order_by(faces.c.number)
    for some in chunks(numbers):
        here = (faces.c.member.in_(some)) & (faces.c.collection == gallery.number)
        for row in connection.execute(query.where(here)):
            found.setdefault(row.member, {})[row.face_id] = np.frombuffer(row.vector, "<f4")
    return found


def vector(connection: Connection, gallery: Gallery, user: User) -> Vector | None:
    """None while the user has no face."""
    own = faces_of(connection, gallery, [user.number]).get(user.number)
    return None if own is None else template(np.stack(list(own.values())))


def vectors(connection: Connection, numbers: Sequence[int], change: int) -> tuple[list[str], Vector]:
    """(UserIds, vectors) of rows, ascending, as of a change: without who is gone or has other faces since."""
    found: dict[int, str] = {}
    query = sa.select(users.c.number, users.c.user_id).order_by(users.c.number)
    for some in chunks(numbers):
        of_then = users.c.number.in_(some) & (users.c.change <= change)
        found.update((number, name) for number, name in connection.execute(query.where(of_then)))
    rows, made = templates(connection, list(found))
    return [found[row] for row in rows], made


def changed_since(
    connection: Connection, number: int, change: int
) -> tuple[Iterator[tuple[list[int], Vector]], list[int]]:
    """What an index that stands at `change` lacks: rows and vectors to put, in pieces, and rows to drop."""
    newer = sa.select(users.c.number).where(users.c.collection == number, users.c.change > change)
    rows = list(connection.execute(newer.order_by(users.c.number)).scalars())
    gone = sa.select(user_removals.c.user).where(
        user_removals.c.collection == number, user_removals.c.change > change
    )
    dropped = list(connection.execute(gone).scalars())
    pieces = (templates(connection, rows[start : start + PIECE]) for start in range(0, len(rows), PIECE))
    return (piece for piece in pieces if piece[0]), dropped


def names(connection: Connection, gallery: Gallery, numbers: Collection[int] | None) -> list[str]:
    """What users are called, and all who were merged into them; None: all of a gallery."""
    query = sa.select(users.c.user_id).where(users.c.collection == gallery.number)
    if numbers is None:
        return list(connection.execute(query).scalars())
    every = sorted(distinct.merged(connection, numbers))
    known = [connection.execute(query.where(users.c.number.in_(some))).scalars() for some in chunks(every)]
    return [name for some in known for name in some]


def count(connection: Connection, gallery: Gallery, by: int) -> None:
    """So many users more."""
    update = collections.update().where(collections.c.number == gallery.number)
    connection.execute(update.values(users=collections.c.users + by))


def templates(connection: Connection, numbers: Sequence[int]) -> tuple[list[int], Vector]:
    """(rows, vectors) of those users who have a face. The same faces, the same bytes: they go in order."""
    rows: list[int] = []
    made: list[Vector] = []
    query = sa.select(faces.c.member, faces.c.vector).order_by(faces.c.member, faces.c.number)
    for some in chunks(numbers):
        found = connection.execute(query.where(faces.c.member.in_(some))).all()
        if found:
            members, starts = np.unique([member for member, _ in found], return_index=True)
            rows += members.tolist()
            made.append(means(matrix([vector for _, vector in found]), starts.tolist()))
    return rows, np.concatenate(made) if made else matrix([])


def _changed(connection: Connection, gallery: Gallery, numbers: Collection[int]) -> None:
    """These users have other faces from here on, or none."""
    if not numbers:
        return
    change = advance(connection, gallery.number)
    having = _grouped(connection, numbers)
    for some in chunks(sorted(numbers)):
        connection.execute(users.update().where(users.c.number.in_(some)).values(change=change))
        connection.execute(user_removals.delete().where(user_removals.c.user.in_(some)))
    _mark(connection, gallery, change, [number for number in sorted(numbers) if number not in having])


def _here(gallery: Gallery) -> sa.ColumnElement[bool]:
    return (users.c.collection == gallery.number) & users.c.merged_into.is_(None)


def _select(connection: Connection, where: sa.ColumnElement[bool], limit: int | None) -> list[User]:
    query = sa.select(users.c.number, users.c.user_id).where(where).order_by(users.c.number).limit(limit)
    rows = connection.execute(query).all()
    counts = _grouped(connection, [row.number for row in rows])
    return [User(row.number, row.user_id, counts.get(row.number, 0)) for row in rows]


def _grouped(connection: Connection, numbers: Iterable[int]) -> Mapping[int, int]:
    """How many faces each has; who has none is left out."""
    counts: dict[int, int] = {}
    for some in chunks(sorted(numbers)):
        query = sa.select(faces.c.member, sa.func.count()).where(faces.c.member.in_(some))
        counts.update((member, count) for member, count in connection.execute(query.group_by(faces.c.member)))
    return counts


def _mark(connection: Connection, gallery: Gallery, change: int, numbers: Iterable[int]) -> None:
    """These have no face from this change on."""
    marks = [{"collection": gallery.number, "change": change, "user": number} for number in numbers]
    if marks:
        connection.execute(user_removals.insert(), marks)
