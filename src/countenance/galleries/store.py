"""Galleries as rows: what is enrolled, in whose account, in which order. Every function runs in a transaction
its caller holds.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.galleries import distinct, users
from countenance.galleries.index import sound
from countenance.galleries.rows import PIECE, advance, chunks, hold, matrix, written
from countenance.schema import (
    collections,
    distinctions,
    faces,
    regroupings,
    removals,
    renewals,
    tags,
    tokens,
    user_removals,
)
from countenance.schema import users as user_rows
from countenance.types import Box, Enrolled, Gallery, Template, Vector


def create(
    connection: Connection,
    account: str,
    collection_id: str,
    model: str,
    labels: Mapping[str, str],
    now: dt.datetime,
) -> Gallery | None:
    """A new, empty gallery; None where the account has one of that name."""
    if find(connection, account, collection_id):
        return None
    row = {"account": account, "collection_id": collection_id, "model": model, "created": now.timestamp()}
    number = connection.execute(collections.insert().values(change=0, size=0, **row)).inserted_primary_key
    assert number is not None
    tag(connection, number[0], labels)
    return find(connection, account, collection_id)


def find(connection: Connection, account: str, collection_id: str) -> Gallery | None:
    for values in _NAMED.run(connection, account=account, collection_id=collection_id):
        row: Any = _Row(*values)
        return _gallery(row, labels(connection, row.number))
    return None


def page(connection: Connection, account: str, after: int, limit: int) -> list[Gallery]:
    """An account's galleries in the order they were made, past row `after`."""
    query = sa.select(collections).where(collections.c.account == account, collections.c.number > after)
    rows = connection.execute(query.order_by(collections.c.number).limit(limit))
    return [_gallery(row, {}) for row in rows]


def all_of(connection: Connection, account: str) -> list[Gallery]:
    """An account's galleries, with their tags."""
    query = sa.select(collections).where(collections.c.account == account).order_by(collections.c.number)
    return [_gallery(row, labels(connection, row.number)) for row in connection.execute(query).all()]


def delete(connection: Connection, gallery: Gallery) -> None:
    """The gallery and, with it, every template, user, tag and removal."""
    hold(connection, gallery)
    of_users = (regroupings, distinctions, tokens, user_removals, user_rows)
    for table in (renewals, faces, removals, *of_users, tags):
        connection.execute(table.delete().where(table.c.collection == gallery.number))
    connection.execute(collections.delete().where(collections.c.number == gallery.number))


def labels(connection: Connection, number: int) -> dict[str, str]:
    return dict(_TAGS.run(connection, collection=number))


def tag(connection: Connection, number: int, added: Mapping[str, str]) -> None:
    untag(connection, number, added)
    if added:
        rows = [{"collection": number, "key": key, "value": value} for key, value in added.items()]
        connection.execute(tags.insert(), rows)


def untag(connection: Connection, number: int, names: Iterable[str]) -> None:
    connection.execute(tags.delete().where(tags.c.collection == number, tags.c.key.in_(list(names))))


def enrol(
    connection: Connection, gallery: Gallery, templates: Sequence[Template], now: dt.datetime
) -> list[Enrolled]:
    """Enrol templates in the order given and return what stands for each in the gallery.

    The same image, external id and box again is the template that is there already. Raises ValueError
    where a template is not of the gallery's model, or is no vector of unit length.
    """
    if any(template.embedding.model != gallery.model for template in templates):
        raise ValueError(f"{gallery.collection_id} takes templates of {gallery.model}")
    hold(connection, gallery)
    _check(connection, gallery, [template.embedding.vector for template in templates])
    known = _of_images(connection, gallery, {template.image_id for template in templates})
    change = advance(connection, gallery.number)
    keys = _subjects(connection, gallery, {template.external_image_id for template in templates})
    answer, rows = [], []
    for template in templates:
        external = template.external_image_id or ""
        place = (template.image_id, external, _write_box(template.box))
        if place not in known:
            known[place] = Enrolled(
                template.face_id,
                template.image_id,
                template.external_image_id,
                _read_box(place[2]),
                template.confidence,
                template.embedding.model,
                keys.get(external) or secrets.token_bytes(32),
            )
            row = _row(gallery.number, change, template, place)
            rows.append({**row, "subject": known[place].subject, "enrolled": now.timestamp()})
        answer.append(known[place])
    if rows:
        connection.execute(faces.insert(), rows)
        _resize(connection, gallery.number, len(rows))
    return answer


def of_photo(connection: Connection, gallery: Gallery, image_id: str, external: str | None) -> list[Enrolled]:
    """The faces enrolled from a photo: by its ExternalImageId where one is given, else by its ImageId."""
    same = faces.c.image_id == image_id if external is None else faces.c.external_image_id == external
    where = (faces.c.collection == gallery.number) & same
    return [face for _, face in _select(connection, gallery.model, where, None)]


def renew(
    connection: Connection, gallery: Gallery, model: str, vectors: Mapping[str, Vector]
) -> tuple[list[str], int]:
    """Keep another model's vectors, by FaceId, aside for a gallery: the FaceIds that are there to keep one
    for, and how many faces still lack one.

    At none the gallery changes over: every template is replaced, under the same FaceIds.
    """
    hold(connection, gallery)
    numbers = rows_of(connection, gallery, list(vectors))
    for face_id, number in numbers.items():
        row = {"face": number, "collection": gallery.number, "model": model}
        connection.execute(renewals.delete().where(renewals.c.face == number))
        connection.execute(renewals.insert().values(vector=written(vectors[face_id]), **row))
    here = faces.c.collection == gallery.number
    new_vector = sa.select(renewals.c.vector).where(
        renewals.c.face == faces.c.number, renewals.c.model == model
    )
    lacking = sa.select(sa.func.count()).select_from(faces).where(here, ~new_vector.exists())
    if left := int(connection.execute(lacking).scalar_one()):
        return list(numbers), left
    change = advance(connection, gallery.number)
    connection.execute(faces.update().where(here).values(vector=new_vector.scalar_subquery(), change=change))
    named = user_rows.c.collection == gallery.number  # their vectors are others too
    connection.execute(user_rows.update().where(named).values(change=change))
    connection.execute(renewals.delete().where(renewals.c.collection == gallery.number))
    owner = collections.c.number == gallery.number
    connection.execute(collections.update().where(owner).values(model=model))
    return list(numbers), 0


def forget(connection: Connection, gallery: Gallery, face_ids: Sequence[str]) -> list[str]:
    """Delete templates, and what was made of them or said of them; the FaceIds that were there, in the order
    given."""
    hold(connection, gallery)
    rows = rows_of(connection, gallery, face_ids)
    if rows:
        change = advance(connection, gallery.number)
        concerned = users.of_faces(connection, list(rows.values()))
        for gone in chunks(list(rows.values())):
            connection.execute(renewals.delete().where(renewals.c.face.in_(gone)))
            connection.execute(faces.delete().where(faces.c.number.in_(gone)))
        marks = [{"collection": gallery.number, "change": change, "face": number} for number in rows.values()]
        connection.execute(removals.insert(), marks)
        distinct.forget(connection, gallery, [distinct.of_face(face_id) for face_id in rows])
        users.bereft(connection, gallery, concerned)
        _resize(connection, gallery.number, -len(rows))
    return [face_id for face_id in dict.fromkeys(face_ids) if face_id in rows]


def enrolled(
    connection: Connection,
    gallery: Gallery,
    after: int = 0,
    limit: int = 1000,
    face_ids: Sequence[str] | None = None,
    user_id: str | None = None,
) -> list[tuple[int, Enrolled]]:
    """(row, face) in enrolment order past row `after`; only `face_ids` or a user's where they are given."""
    where = (faces.c.collection == gallery.number) & (faces.c.number > after)
    if user_id is not None:
        where &= user_rows.c.user_id == user_id
    if face_ids is None:
        return _select(connection, gallery.model, where, limit)
    found: list[tuple[int, Enrolled]] = []
    for some in chunks(list(dict.fromkeys(face_ids))):
        found += _select(connection, gallery.model, where & faces.c.face_id.in_(some), limit)
    return sorted(found, key=lambda pair: pair[0])[:limit]


def by_rows(connection: Connection, gallery: Gallery, numbers: Sequence[int]) -> dict[int, Enrolled]:
    """Faces by row; rows that are gone are left out."""
    found: list[tuple[int, Enrolled]] = []
    for some in chunks(numbers):
        found += _faces(connection.execute(_BY_ROWS, {"numbers": some}), gallery.model)
    return dict(found)


def vector(connection: Connection, gallery: Gallery, face_id: str) -> Vector | None:
    found = _VECTOR.run(connection, collection=gallery.number, face_id=face_id)
    return np.frombuffer(found[0][0], "<f4") if found else None


def state(connection: Connection, number: int) -> tuple[int, str] | None:
    """(change, model) of a gallery; None where it is gone."""
    found = _STATE.run(connection, number=number)
    return (found[0][0], found[0][1]) if found else None


def models(connection: Connection) -> dict[int, str]:
    """The model of every gallery, by its number."""
    rows = connection.execute(sa.select(collections.c.number, collections.c.model))
    return {row.number: row.model for row in rows}


def vectors(connection: Connection, numbers: Sequence[int], change: int) -> tuple[list[str], Vector]:
    """(FaceIds, vectors) of rows, ascending, as of a change: without what is gone or was replaced since."""
    found: list[Any] = []
    for some in chunks(numbers):
        found += connection.execute(_VECTORS, {"numbers": some, "change": change}).all()
    return [row.face_id for row in found], matrix([row.vector for row in found])


def templates(connection: Connection, numbers: Sequence[int]) -> tuple[list[int], Vector]:
    """(rows, vectors) of those rows that are there, ascending."""
    found: list[Any] = []
    query = sa.select(faces.c.number, faces.c.vector).order_by(faces.c.number)
    for some in chunks(sorted(numbers)):
        found += connection.execute(query.where(faces.c.number.in_(some))).all()
    return [row.number for row in found], matrix([row.vector for row in found])


def changed_since(
    connection: Connection, number: int, change: int
) -> tuple[Iterator[tuple[list[int], Vector]], list[int]]:
    """What an index that stands at `change` lacks: rows and vectors to put, in pieces, and rows to drop."""
    query = sa.select(faces.c.number, faces.c.vector).execution_options(yield_per=PIECE)
    newer = query.where(faces.c.collection == number, faces.c.change > change).order_by(faces.c.number)
    gone = sa.select(removals.c.face).where(removals.c.collection == number, removals.c.change > change)
    dropped = list(connection.execute(gone).scalars())
    pieces = connection.execute(newer).partitions()
    put = (([row.number for row in rows], matrix([row.vector for row in rows])) for rows in pieces)
    return put, dropped


def _check(connection: Connection, gallery: Gallery, added: Sequence[Vector]) -> None:
    """Raises ValueError for what is no template: one such in a gallery would shut it to every search."""
    query = sa.select(faces.c.vector).where(faces.c.collection == gallery.number).limit(1)
    one = connection.execute(query).scalar()
    for each in added:
        sound(each[None])
        if one is not None and len(each) != len(one) // 4:
            raise ValueError(f"templates here have {len(one) // 4} dimensions, not {len(each)}")


def rows_of(connection: Connection, gallery: Gallery, face_ids: Sequence[str]) -> dict[str, int]:
    """Rows by FaceId, of those that are there."""
    found = {}
    query = sa.select(faces.c.number, faces.c.face_id).where(faces.c.collection == gallery.number)
    for some in chunks(face_ids):
        rows = connection.execute(query.where(faces.c.face_id.in_(some)))
        found.update({row.face_id: row.number for row in rows})
    return found


def _resize(connection: Connection, number: int, by: int) -> None:
    update = collections.update().where(collections.c.number == number)
    connection.execute(update.values(size=collections.c.size + by))


def _subjects(connection: Connection, gallery: Gallery, externals: Iterable[str | None]) -> dict[str, bytes]:
    """A key for each ExternalImageId: that of its faces, if there are any. Who has none is one of his own."""
    keys = {}
    for external in filter(None, externals):
        query = sa.select(faces.c.subject).where(
            faces.c.collection == gallery.number, faces.c.external_image_id == external
        )
        keys[external] = connection.execute(query.limit(1)).scalar() or secrets.token_bytes(32)
    return keys


def _of_images(
    connection: Connection, gallery: Gallery, image_ids: Iterable[str]
) -> dict[tuple[str, str, str], Enrolled]:
    known = {}
    here = faces.c.collection == gallery.number
    for some in chunks(list(image_ids)):
        for _, face in _select(connection, gallery.model, here & faces.c.image_id.in_(some), None):
            known[face.image_id, face.external_image_id or "", _write_box(face.box)] = face
    return known


def _select(
    connection: Connection, model: str, where: sa.ColumnElement[bool], limit: int | None
) -> list[tuple[int, Enrolled]]:
    return _faces(connection.execute(_ENROLLED.where(where).limit(limit)), model)


def _faces(rows: Iterable[sa.Row[Any]], model: str) -> list[tuple[int, Enrolled]]:
    return [
        (
            row.number,
            Enrolled(
                row.face_id,
                row.image_id,
                row.external_image_id or None,
                _read_box(row.box),
                row.confidence,
                model,
                row.subject,
                row.user_id,
            ),
        )
        for row in rows
    ]


def _row(
    number: int, change: int, template: Template, place: tuple[str, str, str]
) -> dict[str, int | float | str | bytes]:
    image_id, external, box = place
    return {
        "collection": number,
        "change": change,
        "face_id": template.face_id,
        "image_id": image_id,
        "external_image_id": external,
        "box": box,
        "confidence": template.confidence,
        "vector": written(template.embedding.vector),
    }


def _gallery(row: Any, tagged: Mapping[str, str]) -> Gallery:
    return Gallery(
        number=row.number,
        account=row.account,
        collection_id=row.collection_id,
        model=row.model,
        created=dt.datetime.fromtimestamp(row.created, dt.UTC),
        change=row.change,
        size=row.size,
        tags=tagged,
        users=row.users,
    )


def _write_box(box: Box) -> str:
    """Four ratios to a millionth: the same image gives the same text."""
    return " ".join(f"{value:.6f}" for value in (box.left, box.top, box.width, box.height))


def _read_box(text: str) -> Box:
    left, top, width, height = map(float, text.split())
    return Box(left, top, width, height)


# Made once: to make such a statement anew at every search costs more than to run it.
_Row = namedtuple("_Row", [column.name for column in collections.c])  # type: ignore[misc]
_NAMED = Statement(
    sa.select(collections).where(
        collections.c.account == sa.bindparam("account"),
        collections.c.collection_id == sa.bindparam("collection_id"),
    )
)
_TAGS = Statement(
    sa.select(tags.c.key, tags.c.value)
    .where(tags.c.collection == sa.bindparam("collection"))
    .order_by(tags.c.key)
)
_STATE = Statement(
    sa.select(collections.c.change, collections.c.model).where(collections.c.number == sa.bindparam("number"))
)
_VECTOR = Statement(
    sa.select(faces.c.vector).where(
        faces.c.collection == sa.bindparam("collection"), faces.c.face_id == sa.bindparam("face_id")
    )
)
_NUMBERED = faces.c.number.in_(sa.bindparam("numbers", expanding=True))
_VECTORS = (
    sa.select(faces.c.face_id, faces.c.vector)
    .where(_NUMBERED, faces.c.change <= sa.bindparam("change"))
    .order_by(faces.c.number)
)
_ENROLLED = (
    sa.select(
        faces.c.number,
        faces.c.face_id,
        faces.c.image_id,
        faces.c.external_image_id,
        faces.c.box,
        faces.c.confidence,
        faces.c.subject,
        user_rows.c.user_id,
    )
    .outerjoin(user_rows, user_rows.c.number == faces.c.member)
    .order_by(faces.c.number)
)
_BY_ROWS = _ENROLLED.where(_NUMBERED)
