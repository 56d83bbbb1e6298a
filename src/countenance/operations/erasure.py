"""EraseSubject: everything of one person goes, template and key, and what calls about him said in private."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from countenance import jobs, results
from countenance.database import Traces, together
from countenance.errors import InvalidParameter
from countenance.galleries import concerned, rows, store, users
from countenance.ledger import Told, erasure
from countenance.ledger.entry import Value
from countenance.ledger.erasure import Private
from countenance.operations import Call, Commit, Done, Operation, Request, Tools, always
from countenance.operations.galleries import present
from countenance.policy.retention import Kept
from countenance.types import EMPTY, Action, Gallery, OrganisationKind, User

LONGEST = 60_000
"""Characters of an entry that tell whom it concerned, of the 65,535 that it may have."""


@dataclass(frozen=True, slots=True)
class _Person:
    """Whom a call names. faces: FaceIds with their galleries. users: those of a UserId that it says, with
    theirs. subjects: the keys that lead to his entries."""

    faces: tuple[tuple[Gallery, list[str]], ...]
    users: tuple[tuple[Gallery, User], ...]
    subjects: tuple[bytes, ...]


def erase_subject(call: Call, tools: Tools) -> Commit:
    """Our operation, declared beside AWS's in aws/data.

    Which private records concern him is looked up before the transaction, and inside it only among the calls
    that ended since.
    """
    request, account = call.request, call.caller.account
    if sum(name in request for name in ("FaceId", "ExternalImageId", "UserId")) != 1:
        raise InvalidParameter(
            detail="name the person by FaceId, by ExternalImageId or by UserId, by one of them"
        )
    if "CollectionId" in request:
        present(call)
    with tools.database.reading() as connection:
        before = _named(connection, call)
        size = tools.ledger.size(connection)
        known = erasure.concerning(connection, before.subjects, account)
    touched: list[Gallery] = []

    def write(connection: Connection) -> Done:
        rows.hold_all(connection, account)
        person = _named(connection, call)
        if person.subjects == before.subjects:
            private = known + erasure.concerning(connection, person.subjects, account, since=size)
        else:
            private = erasure.concerning(connection, person.subjects, account)
        kept = {each.decision: until for each in private if (until := _kept(tools, call, each))}
        decisions = [each.decision for each in private if each.decision not in kept]
        for decision, until in kept.items():
            erasure.condemn(connection, decision, until.until, until.rule)
        traces = [concerned.traces(connection, *faces) for faces in person.faces]
        traces.append(Traces((*person.subjects, *erasure.traces(connection, decisions))))
        answer: list[Mapping[str, str]] = []
        removed: list[Value] = []
        for gallery, user in person.users:
            traces.append(Traces(texts=users.names(connection, gallery, [user.number])))
            users.delete(connection, gallery, [user.number])
        for gallery, face_ids in person.faces:
            gone = store.forget(connection, gallery, face_ids)
            removed.append([gallery.collection_id, len(gone)])
            answer += [{"CollectionId": gallery.collection_id, "FaceId": face_id} for face_id in gone]
        touched.extend(gallery for gallery, _ in person.faces)
        shredded = tools.vault.shred(connection, decisions)
        tools.database.take_turn(connection)  # before jobs' rows, as whoever renews or takes one
        jobs.drop(connection, decisions)
        last = max(kept.values(), key=lambda each: each.until, default=None)
        return Done(
            {
                "ErasedFaces": answer,
                "ShreddedRecords": shredded,
                "KeptRecords": len(kept),
                **({"KeptBy": last.rule, "KeptUntil": last.day.isoformat()} if last else {}),
            },
            Told(
                subjects=person.subjects,
                removed=len(answer),
                further={
                    **({} if "CollectionId" in request else {"removed_from": removed}),
                    **({"shredded": shredded} if shredded else {}),
                    **(
                        {"kept": len(kept), "kept_by": last.rule, "kept_until": last.day.isoformat()}
                        if last
                        else {}
                    ),
                },
            ),
            traces=together(traces),
        )

    def after() -> None:
        for gallery in touched:
            tools.galleries.refresh(gallery)
        results.sweep(tools.database)  # of the jobs that went, before files are searched for traces

    return Commit(write, erases=True, after=after)


def _named(connection: Connection, call: Call) -> _Person:
    known = _users(connection, call)
    faces = _of_users(connection, known) if "UserId" in call.request else _faces(connection, call)
    subjects = [
        key for gallery, face_ids in faces for key in concerned.subjects(connection, gallery, face_ids)
    ]
    person = _Person(faces, known, tuple(dict.fromkeys(subjects)))
    if _length(person) > LONGEST:
        raise InvalidParameter(
            detail=f"{len(subjects):,} faces in {len(faces):,} collections are more than one entry of the "
            "ledger can tell of: say a CollectionId, one after the other"
        )
    return person


def _faces(connection: Connection, call: Call) -> tuple[tuple[Gallery, list[str]], ...]:
    request, account = call.request, call.caller.account
    found = concerned.of_person(
        connection,
        account,
        request.get("CollectionId"),
        face_id=request.get("FaceId"),
        external=request.get("ExternalImageId"),
    )
    faces = []
    for collection_id, face_ids in found.items():
        gallery = store.find(connection, account, collection_id)
        assert gallery is not None  # its faces were just read
        faces.append((gallery, face_ids))
    return tuple(faces)


def _users(connection: Connection, call: Call) -> tuple[tuple[Gallery, User], ...]:
    """Users of the name that a call says, or whom they were merged into. One may have no face."""
    if "UserId" not in call.request:
        return ()
    galleries = [call.gallery] if call.gallery else store.all_of(connection, call.caller.account)
    found = [(gallery, users.become(connection, gallery, call.request["UserId"])) for gallery in galleries]
    return tuple((gallery, user) for gallery, user in found if user)


def _of_users(
    connection: Connection, known: tuple[tuple[Gallery, User], ...]
) -> tuple[tuple[Gallery, list[str]], ...]:
    rows = [(gallery, store.enrolled(connection, gallery, user_id=user.user_id)) for gallery, user in known]
    return tuple((gallery, [face.face_id for _, face in own]) for gallery, own in rows if own)


def _length(person: _Person) -> int:
    """Characters that the entry takes to tell of a person: tags, and collections with a count."""
    return 14 * len(person.subjects) + sum(len(gallery.collection_id) + 12 for gallery, _ in person.faces)


def _kept(tools: Tools, call: Call, private: Private) -> Kept | None:
    """Whether a rule keeps a record though its subject is erased: one that binds its caller there."""
    kind = OrganisationKind(private.kind)
    return tools.retention.kept(kind, private.place, private.written, call.now)


def _private(request: Request) -> Mapping[str, str]:
    return {"reason": request["Reason"]} if "Reason" in request else EMPTY


OPERATIONS = {"EraseSubject": Operation(erase_subject, always(Action.MANAGE), private=_private)}
