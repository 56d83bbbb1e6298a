""" "Not this person": CreateDistinction, ListDistinctions, DeleteDistinction, operations of ours in aws/data.

What somebody who looked has said once keeps a wrong candidate from coming back, and two people from becoming
one. Searches tell how many it kept out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from countenance.errors import Conflict, InvalidParameter, ResourceNotFound, ServiceQuotaExceeded
from countenance.galleries import concerned, distinct, store
from countenance.ledger import Told
from countenance.operations import Call, Commit, Done, Operation, Tools, always, pages
from countenance.operations.galleries import present, still
from countenance.operations.users import named
from countenance.types import Action, Gallery

MOST = 500
"""Distinctions on a page, as of users."""


def create_distinction(call: Call, tools: Tools) -> Commit:
    """Two ends are not one person. To say it again changes nothing."""
    present(call)

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        one, other = _ends(connection, gallery, call)
        same = distinct.person(connection, gallery, one)
        if other in same:
            raise Conflict("Both are one user here: DisassociateFaces or SplitUser first")
        if not distinct.said(connection, gallery, one, other):
            if distinct.full(connection, gallery):
                raise ServiceQuotaExceeded(f"A collection has at most {distinct.MOST} distinctions")
            distinct.record(connection, gallery, one, other, call.now)
        return Done({}, Told(subjects=_subjects(connection, gallery, one, other)))

    return Commit(write)


def list_distinctions(call: Call, tools: Tools) -> Done:
    """In the order they were said."""
    gallery = present(call)
    start, limit = pages.after(tools.keys, call), pages.limit(call, MOST)
    with tools.database.reading() as connection:
        found = distinct.page(connection, gallery, start, limit + 1)
        names = distinct.shown(connection, {end for _, one, other, _ in found for end in (one, other)})
    answer: dict[str, Any] = {
        "Distinctions": [
            {
                "One": dict([names[one]]),
                "Other": dict([names[other]]),
                "CreationTimestamp": dt.datetime.fromtimestamp(made, dt.UTC),
            }
            for _, one, other, made in found[:limit]
        ]
    }
    if len(found) > limit:
        answer["NextToken"] = pages.seal(tools.keys, call, found[limit - 1][0])
    return Done(answer)


def delete_distinction(call: Call, tools: Tools) -> Commit:
    """Withdraw what was said of these very ends."""
    present(call)

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        one, other = _ends(connection, gallery, call)
        if not distinct.withdraw(connection, gallery, one, other):
            raise ResourceNotFound(
                "Nobody said that these are not one person: ListDistinctions shows what was"
            )
        return Done({}, Told(subjects=_subjects(connection, gallery, one, other)))

    return Commit(write)


def _ends(connection: Connection, gallery: Gallery, call: Call) -> tuple[str, str]:
    """Raises InvalidParameter where an end names none or two, or a face that is not there; ResourceNotFound
    for a user."""
    one, other = (_end(connection, gallery, call.request[member]) for member in ("One", "Other"))
    if one == other:
        raise InvalidParameter(detail="One and Other are the same")
    if distinct.photos({one, other}):
        raise InvalidParameter(detail="One or Other must be a face or a user of the collection")
    return one, other


def _end(connection: Connection, gallery: Gallery, end: Mapping[str, str]) -> str:
    match dict(end):
        case {"FaceId": face_id, **rest} if not rest:
            if not store.enrolled(connection, gallery, face_ids=[face_id]):
                raise InvalidParameter("faceId was not found in the collection.")
            return distinct.of_face(face_id)
        case {"UserId": user_id, **rest} if not rest:
            return distinct.of_user(named(connection, gallery, user_id).number)
        case {"ImageId": image_id, **rest} if not rest:
            return distinct.of_photo(image_id)
        case _:
            raise InvalidParameter(detail="One and Other each name a FaceId, a UserId or an ImageId")


def _subjects(connection: Connection, gallery: Gallery, *ends: str) -> list[bytes]:
    people = [distinct.person(connection, gallery, end) for end in ends]
    return concerned.subjects(connection, gallery, sorted(distinct.face_ids(set[str]().union(*people))))


OPERATIONS = {
    "CreateDistinction": Operation(create_distinction, always(Action.MANAGE)),
    "ListDistinctions": Operation(list_distinctions, always(Action.MANAGE)),
    "DeleteDistinction": Operation(delete_distinction, always(Action.MANAGE)),
}
