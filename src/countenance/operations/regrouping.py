"""MergeUsers, SplitUser, ListRegroupings, UndoRegrouping: operations of ours, declared in aws/data.

Whoever sees that two users are one person, or one user two people, says so once; the ledger keeps that it was
said, and it can be taken back exactly.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy.engine import Connection

from countenance.errors import Conflict, InvalidParameter, ResourceNotFound, ServiceQuotaExceeded
from countenance.galleries import distinct, regroupings, store, users
from countenance.ledger import Told
from countenance.operations import Call, Commit, Done, Operation, Tools, always, pages, render, tokens
from countenance.operations.galleries import ONCE, present, still
from countenance.operations.users import created, named
from countenance.types import Action, Enrolled, Gallery, User

MOST = 500
"""Regroupings on a page, as of users."""


def merge_users(call: Call, tools: Tools) -> Commit:
    """All faces of MergedUserId become UserId's; the other name is kept for the undo, and shows nowhere."""
    present(call)

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        number, subjects, moved = tokens.before(connection, call, tools.keys), list[bytes](), 0
        if number is None:
            user = named(connection, gallery, call.request["UserId"])
            merged = named(connection, gallery, call.request["MergedUserId"])
            faces = _mergeable(connection, gallery, user, merged)
            subjects, moved = [face.subject for face in faces], len(faces)
            number = regroupings.merge(connection, gallery, merged, user, call.now)
            tokens.keep(connection, call, tools.keys, number)
        told = Told(subjects=subjects, further={"regrouping": number, "moved": moved})
        return Done(_answer(connection, gallery, call.request["UserId"], number), told)

    return Commit(write)


def split_user(call: Call, tools: Tools) -> Commit:
    """Some faces of UserId become those of a new user."""
    present(call)
    asked = list(dict.fromkeys(call.request["FaceIds"]))

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        number, subjects = tokens.before(connection, call, tools.keys), list[bytes]()
        if number is None:
            user = named(connection, gallery, call.request["UserId"])
            rows = store.enrolled(connection, gallery, face_ids=asked, user_id=user.user_id)
            if missing := set(asked) - {face.face_id for _, face in rows}:
                raise InvalidParameter(detail=f"face {min(missing)} is not {user.user_id}'s")
            new = created(connection, gallery, call.request["NewUserId"], call)
            subjects = [face.subject for _, face in rows]
            of = [row for row, _ in rows]
            number = regroupings.split(connection, gallery, user, new, of, call.now)
            tokens.keep(connection, call, tools.keys, number)
        told = Told(subjects=subjects, further={"regrouping": number, "moved": len(subjects)})
        return Done(_answer(connection, gallery, call.request["UserId"], number), told)

    return Commit(write)


def list_regroupings(call: Call, tools: Tools) -> Done:
    """What can be undone, in the order it was done."""
    gallery = present(call)
    start, limit = pages.after(tools.keys, call), pages.limit(call, MOST)
    with tools.database.reading() as connection:
        found = regroupings.page(connection, gallery, start, limit + 1)
    answer: dict[str, Any] = {"Regroupings": [_shape(each) for each in found[:limit]]}
    if len(found) > limit:
        answer["NextToken"] = pages.seal(tools.keys, call, found[limit - 1].number)
    return Done(answer)


def undo_regrouping(call: Call, tools: Tools) -> Commit:
    """All is as it was before a merge or a split, down to the vectors. What was erased since stays so."""
    present(call)
    number = call.request["Regrouping"]

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        regrouping = regroupings.find(connection, gallery, number)
        if regrouping is None:
            raise ResourceNotFound(f"The regrouping: {number} does not exist, or was undone")
        if why := regroupings.undo(connection, gallery, regrouping):
            raise Conflict(f"Regrouping {number} cannot be undone: {why}")
        subjects = store.subjects(connection, gallery, regrouping.face_ids)
        told = Told(subjects=subjects, further={"undone": number, "moved": len(regrouping.face_ids)})
        return Done({"Undone": _shape(regrouping)}, told)

    return Commit(write)


def _mergeable(connection: Connection, gallery: Gallery, user: User, merged: User) -> list[Enrolled]:
    """The faces that would move. Raises InvalidParameter, Conflict or ServiceQuotaExceeded where they may
    not."""
    if user.number == merged.number:
        raise InvalidParameter(detail="UserId and MergedUserId are the same user")
    if merged.number in distinct.barred(connection, gallery, distinct.of_user(user.number)).users:
        raise Conflict(
            f"Somebody said that {merged.user_id} is not {user.user_id}: DeleteDistinction withdraws it"
        )
    theirs, own = (
        [face for _, face in store.enrolled(connection, gallery, user_id=each.user_id)]
        for each in (merged, user)
    )
    if len(theirs) + len(own) > users.MOST_FACES:
        raise ServiceQuotaExceeded(f"A user has at most {users.MOST_FACES} faces")
    twice = {face.image_id for face in theirs} & {face.image_id for face in own}
    if gallery.tags.get(ONCE) == "true" and twice:
        raise Conflict(f"Both have a face of photo {min(twice)}, and the collection's tag {ONCE} is true")
    return theirs


def _answer(connection: Connection, gallery: Gallery, user_id: str, number: int) -> render.Shape:
    user = users.find(connection, gallery, user_id)
    status = render.user(user)["UserStatus"] if user else "CREATED"
    return {"Regrouping": number, "UserStatus": status}


def _shape(regrouping: regroupings.Regrouping) -> render.Shape:
    return {
        "Regrouping": regrouping.number,
        "Kind": regrouping.kind.value,
        "FromUserId": regrouping.source,
        "ToUserId": regrouping.target,
        "FaceIds": list(regrouping.face_ids),
        "CreationTimestamp": dt.datetime.fromtimestamp(regrouping.made, dt.UTC),
    }


OPERATIONS = {
    "MergeUsers": Operation(merge_users, always(Action.ENROL)),
    "SplitUser": Operation(split_user, always(Action.ENROL)),
    "ListRegroupings": Operation(list_regroupings, always(Action.MANAGE)),
    "UndoRegrouping": Operation(undo_regrouping, always(Action.ENROL)),
}
