"""Users: CreateUser, ListUsers, DeleteUser, and the faces that show them: AssociateFaces, DisassociateFaces.

A user is somebody of whom several faces are known; the one vector made of them is what is searched
(`user_search`). A face is one user's at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from countenance.database import Traces
from countenance.errors import Conflict, ResourceNotFound, ServiceQuotaExceeded
from countenance.galleries import concerned, distinct, store, users
from countenance.galleries.index import cosines
from countenance.ledger import Told
from countenance.operations import Call, Commit, Done, Operation, Tools, always, pages, render, tokens
from countenance.operations.enrolment import same_model
from countenance.operations.galleries import ONCE, population, present, still
from countenance.types import Action, Enrolled, Gallery, User

MATCH = 75.0
"""The Similarity to a user's vector that a further face needs where the call says none (Rekognition's)."""

MOST = 500
"""Users on a page (Rekognition's limit)."""


def named(connection: Connection, gallery: Gallery, user_id: str) -> User:
    """Raises ResourceNotFound."""
    user = users.find(connection, gallery, user_id)
    if user is None:
        raise ResourceNotFound(f"The user id: {user_id} does not exist")
    return user


def create_user(call: Call, tools: Tools) -> Commit:
    present(call)

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        if tokens.before(connection, call, tools.keys) is None:
            created(connection, gallery, call.request["UserId"], call)
            tokens.keep(connection, call, tools.keys, [])
        return Done({})

    return Commit(write)


def created(connection: Connection, gallery: Gallery, user_id: str, call: Call) -> User:
    """Raises Conflict where the name is in use, or is that of one who was merged, which may be undone;
    ServiceQuotaExceeded where the collection has as many users as it may."""
    if gallery.users >= users.MOST:
        raise ServiceQuotaExceeded(f"A collection has at most {users.MOST} users")
    user = users.create(connection, gallery, user_id, call.now)
    if user is None:
        taken = "" if users.find(connection, gallery, user_id) else ": it was merged into another"
        raise Conflict(f"A User with the same Id already exists within the collection: {user_id}{taken}")
    return user


def list_users(call: Call, tools: Tools) -> Done:
    """Users in the order they were made."""
    gallery = present(call)
    start, limit = pages.after(tools.keys, call), pages.limit(call, MOST)
    with tools.database.reading() as connection:
        found = users.page(connection, gallery, start, limit + 1)
    answer: dict[str, Any] = {"Users": [render.user(user) for user in found[:limit]]}
    if len(found) > limit:
        answer["NextToken"] = pages.seal(tools.keys, call, found[limit - 1].number)
    return Done(answer)


def delete_user(call: Call, tools: Tools) -> Commit:
    """The user is gone, the name without a trace; the faces stay, as nobody's."""
    gallery = present(call)

    def write(connection: Connection) -> Done:
        current = still(connection, call)
        if tokens.before(connection, call, tools.keys) is not None:
            return Done({})
        user = named(connection, current, call.request["UserId"])
        faces = users.faces_of(connection, current, [user.number]).get(user.number, {})
        subjects = concerned.subjects(connection, current, list(faces))
        names = users.names(connection, current, [user.number])
        users.delete(connection, current, [user.number])
        tokens.keep(connection, call, tools.keys, [])
        return Done({}, Told(subjects=subjects), traces=Traces(texts=names))

    return Commit(write, erases=True, after=lambda: tools.galleries.refresh(gallery))


@dataclass(frozen=True, slots=True)
class _End:
    """What came of one FaceId of a call. reason: why it was left as it was, MOVED or KEPT. confidence: its
    Similarity to the user, percent, where that was the reason."""

    reason: str
    confidence: float | None = None


MOVED, KEPT = "", "-"
"""The face changed hands, as asked; it had before, which the answer does not mention."""


def associate_faces(call: Call, tools: Tools) -> Commit:
    """Faces become a user's where they are alike enough and nobody else's."""
    same_model(present(call), tools)

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        same_model(gallery, tools)
        user = named(connection, gallery, call.request["UserId"])
        asked = _Asked.of(connection, gallery, call)
        ends = _before(connection, call, tools)
        if ends is None:
            ends = _joining(connection, tools, gallery, user, asked, call.request["UserMatchThreshold"])
            users.move(connection, gallery, asked.rows(ends), user)
            tokens.keep(connection, call, tools.keys, [[end.reason, end.confidence] for end in ends])
        moved = asked.moved(ends)
        answer = {
            "AssociatedFaces": [{"FaceId": face_id} for face_id in moved],
            "UnsuccessfulFaceAssociations": asked.failures(ends),
            "UserStatus": render.user(named(connection, gallery, user.user_id))["UserStatus"],
        }
        return Done(answer, Told(subjects=asked.subjects(ends), further={"associated": len(moved)}))

    return Commit(write)


def disassociate_faces(call: Call, tools: Tools) -> Commit:
    """Faces are nobody's again."""
    gallery = present(call)

    def write(connection: Connection) -> Done:
        current = still(connection, call)
        user = named(connection, current, call.request["UserId"])
        asked = _Asked.of(connection, current, call)
        ends = _before(connection, call, tools)
        if ends is None:
            ends = [_leaving(asked.known.get(face_id), user) for face_id in asked.face_ids]
            users.move(connection, current, asked.rows(ends), None)
            tokens.keep(connection, call, tools.keys, [[end.reason, end.confidence] for end in ends])
        moved = asked.moved(ends)
        answer = {
            "DisassociatedFaces": [{"FaceId": face_id} for face_id in moved],
            "UnsuccessfulFaceDisassociations": asked.failures(ends),
            "UserStatus": render.user(named(connection, current, user.user_id))["UserStatus"],
        }
        told = Told(subjects=asked.subjects(ends), further={"disassociated": len(moved)})
        return Done(answer, told)

    return Commit(write, after=lambda: tools.galleries.refresh(gallery))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The faces that a call names. known: by FaceId, with their rows, as they were before the call."""

    face_ids: Sequence[str]
    known: Mapping[str, tuple[int, Enrolled]]

    @classmethod
    def of(cls, connection: Connection, gallery: Gallery, call: Call) -> _Asked:
        face_ids = list(dict.fromkeys(call.request["FaceIds"]))
        rows = store.enrolled(connection, gallery, limit=len(face_ids), face_ids=face_ids)
        return cls(face_ids, {face.face_id: (number, face) for number, face in rows})

    def moved(self, ends: Sequence[_End]) -> list[str]:
        return [face_id for face_id, end in zip(self.face_ids, ends, strict=True) if end.reason == MOVED]

    def rows(self, ends: Sequence[_End]) -> list[int]:
        return [self.known[face_id][0] for face_id in self.moved(ends)]

    def subjects(self, ends: Sequence[_End]) -> list[bytes]:
        return [self.known[face_id][1].subject for face_id in self.moved(ends) if face_id in self.known]

    def failures(self, ends: Sequence[_End]) -> list[render.Shape]:
        """Of each face that was left as it was, why; and whose it is, where that is why."""
        failures: list[render.Shape] = []
        for face_id, end in zip(self.face_ids, ends, strict=True):
            if end.reason not in (MOVED, KEPT):
                _, face = self.known.get(face_id, (0, None))
                failure: render.Shape = {"FaceId": face_id, "Reasons": [end.reason]}
                if end.reason == "ASSOCIATED_TO_A_DIFFERENT_USER" and face and face.user_id:
                    failure["UserId"] = face.user_id
                if end.confidence is not None:
                    failure["Confidence"] = end.confidence
                failures.append(failure)
        return failures


def _before(connection: Connection, call: Call, tools: Tools) -> list[_End] | None:
    kept = tokens.before(connection, call, tools.keys)
    return None if kept is None else [_End(reason, confidence) for reason, confidence in kept]


def _leaving(known: tuple[int, Enrolled] | None, user: User) -> _End:
    if known is None:
        return _End("FACE_NOT_FOUND")
    _, face = known
    if face.user_id is None:
        return _End(KEPT)
    return _End(MOVED if face.user_id == user.user_id else "ASSOCIATED_TO_A_DIFFERENT_USER")


def _joining(
    connection: Connection, tools: Tools, gallery: Gallery, user: User, asked: _Asked, least: float
) -> list[_End]:
    """What comes of each face, in order. A face is compared with the vector that the user had before the
    call; there is none while the user has no face.

    Raises ServiceQuotaExceeded where the user has room for none.
    """
    alike = _similarities(connection, tools, gallery, user, asked)
    own = [face for _, face in store.enrolled(connection, gallery, user_id=user.user_id)]
    joined, ends = {face.face_id: face.image_id for face in own}, []
    for face_id in asked.face_ids:
        _, face = asked.known.get(face_id, (0, None))
        similarity = alike.get(face_id, 100.0)
        if face is None:
            end = _End("FACE_NOT_FOUND")
        elif face.user_id is not None:
            end = _End(KEPT if face.user_id == user.user_id else "ASSOCIATED_TO_A_DIFFERENT_USER")
        elif reason := _against(connection, gallery, user, face, joined):
            end = _End(reason)
        elif similarity < least:
            end = _End("LOW_MATCH_CONFIDENCE", similarity)
        elif len(joined) >= users.MOST_FACES:
            end = _End("EXCEEDS_MAX_FACES")
        else:
            end = _End(MOVED)
            joined[face_id] = face.image_id
        ends.append(end)
    if len(own) >= users.MOST_FACES and any(end.reason == "EXCEEDS_MAX_FACES" for end in ends):
        raise ServiceQuotaExceeded(
            f"A user has at most {users.MOST_FACES} faces, and {user.user_id} has them"
        )
    return ends


def _against(
    connection: Connection, gallery: Gallery, user: User, face: Enrolled, joined: Mapping[str, str]
) -> str | None:
    """What somebody has said that keeps a face from a user. joined: the user's FaceIds, with their photos."""
    barred = distinct.barred(connection, gallery, distinct.of_face(face.face_id))
    if user.number in barred.users or not barred.faces.isdisjoint(joined):
        return "NOT_THIS_PERSON"
    if gallery.tags.get(ONCE) == "true" and face.image_id in joined.values():
        return "ANOTHER_FACE_OF_THIS_PHOTO"
    return None


def _similarities(
    connection: Connection, tools: Tools, gallery: Gallery, user: User, asked: _Asked
) -> dict[str, float]:
    """Of the faces that are there, how like the user's vector, percent; nothing while there is no vector."""
    vector = users.vector(connection, gallery, user)
    if vector is None or not asked.known:
        return {}
    rows = sorted(number for number, _ in asked.known.values())
    face_ids, vectors = store.vectors(connection, rows, gallery.change)
    calibration = tools.vision.calibration(population(gallery))
    return {
        face_id: render.similarity(calibration.similarity(float(cosine)))
        for face_id, cosine in zip(face_ids, cosines(vectors, vector), strict=True)
    }


OPERATIONS = {
    "CreateUser": Operation(create_user, always(Action.MANAGE)),
    "ListUsers": Operation(list_users, always(Action.MANAGE)),
    "DeleteUser": Operation(delete_user, always(Action.MANAGE)),
    "AssociateFaces": Operation(
        associate_faces,
        always(Action.ENROL, Action.VERIFY),
        {"UserMatchThreshold": MATCH},
        threshold=lambda request: request["UserMatchThreshold"],
    ),
    "DisassociateFaces": Operation(disassociate_faces, always(Action.MANAGE)),
}
