"""What a collection holds: IndexFaces, ListFaces, DeleteFaces, RenewFaces."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from countenance.database import NO_TRACES
from countenance.errors import InvalidParameter
from countenance.galleries import store
from countenance.ledger import Told
from countenance.operations import (
    Call,
    Commit,
    Done,
    Operation,
    Tools,
    always,
    pages,
    photos,
    render,
)
from countenance.operations.galleries import present, still
from countenance.operations.photos import Sighting
from countenance.types import Action, Enrolled, Face, Gallery, Template


def index_faces(call: Call, tools: Tools) -> Commit:
    """Enrol the faces of a photo, largest first. The same photo and ExternalImageId again adds nothing."""
    request, gallery = call.request, present(call)
    same_model(gallery, tools)
    image = photos.fetch(request["Image"], tools)
    names = request["DetectionAttributes"]
    seen = photos.look(image, tools, request["QualityFilter"], photos.asked(names))
    good = [sighting for sighting in seen if not sighting.reasons]
    most = request.get("MaxFaces", len(good))
    refused = [s for s in seen if s.reasons]
    refused += [Sighting(s.face, s.description, ("EXCEEDS_MAX_FACES",)) for s in good[most:]]
    used = good[:most]
    photo, external = photos.image_id(image), request.get("ExternalImageId")
    embeddings = tools.vision.embed(image, [s.face for s in used], [s.description for s in used])
    templates = [
        Template(str(uuid.uuid4()), photo, external, s.face.box, s.face.confidence, embedding)
        for s, embedding in zip(used, embeddings, strict=True)
    ]

    def detail(sighting: Sighting) -> render.Shape:
        return render.face_detail(sighting.face, sighting.description, every="ALL" in names)

    def write(connection: Connection) -> Done:
        current = still(connection, call)
        same_model(current, tools)
        enrolled = store.enrol(connection, current, templates, call.now)
        new = {template.face_id for template in templates} & {face.face_id for face in enrolled}
        records = [
            {"Face": render.enrolled_face(face), "FaceDetail": detail(sighting)}
            for face, sighting in zip(enrolled, used, strict=True)
        ]
        unused = [{"Reasons": list(s.reasons), "FaceDetail": detail(s)} for s in refused]
        answer = {"FaceRecords": records, "FaceModelVersion": gallery.model, "UnindexedFaces": unused}
        told = Told(subjects=[face.subject for face in enrolled], enrolled=len(new))
        return Done(answer, told, render.not_offered(photos.asked(names) - tools.vision.offered))

    return Commit(write)


def list_faces(call: Call, tools: Tools) -> Done:
    """Faces in the order they were enrolled."""
    gallery = present(call)
    start, limit = pages.after(tools.keys, call), pages.limit(call)
    ids, user_id = call.request.get("FaceIds"), call.request.get("UserId")
    with tools.database.reading() as connection:
        found = store.enrolled(connection, gallery, start, limit + 1, ids, user_id)
    shown = found[:limit]
    answer: dict[str, Any] = {
        "Faces": [render.enrolled_face(face) for _, face in shown],
        "FaceModelVersion": gallery.model,
    }
    if len(found) > limit:
        answer["NextToken"] = pages.seal(tools.keys, call, shown[-1][0])
    return Done(answer)


def delete_faces(call: Call, tools: Tools) -> Commit:
    """Delete templates and every byte of them in the database, its log and this process.

    A user's face stays, as in Rekognition: whoever deletes it decides first whether the user goes too.
    """
    gallery = present(call)
    asked = list(dict.fromkeys(call.request["FaceIds"]))

    def write(connection: Connection) -> Done:
        current = still(connection, call)
        rows = store.enrolled(connection, current, limit=len(asked), face_ids=asked)
        known = {face.face_id: face for _, face in rows}
        free = [face_id for face_id, face in known.items() if face.user_id is None]
        subjects = [known[face_id].subject for face_id in free]
        traces = store.traces(connection, current, free)
        gone = store.forget(connection, current, [face_id for face_id in asked if face_id in set(free)])
        failures = [_kept(face_id, known.get(face_id)) for face_id in asked if face_id not in set(gone)]
        return Done(
            {"DeletedFaces": gone, "UnsuccessfulFaceDeletions": failures},
            Told(subjects=subjects, removed=len(gone)),
            traces=traces,
        )

    return Commit(write, erases=True, after=lambda: tools.galleries.refresh(gallery))


def _kept(face_id: str, face: Enrolled | None) -> render.Shape:
    """UnsuccessfulFaceDeletion."""
    if face is None or face.user_id is None:
        return {"FaceId": face_id, "Reasons": ["FACE_NOT_FOUND"]}
    return {"FaceId": face_id, "UserId": face.user_id, "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]}


def renew_faces(call: Call, tools: Tools) -> Commit:
    """Templates of the model that runs now for faces another model enrolled, from their own photo.

    Our operation, declared beside AWS's in aws/data. A face of the photo is the enrolled one whose box it
    shares; the collection changes over once every face has its new template.
    """
    gallery, request = present(call), call.request
    image = photos.fetch(request["Image"], tools)
    with tools.database.reading() as connection:
        known = store.of_photo(connection, gallery, photos.image_id(image), request.get("ExternalImageId"))
    pairs = [] if gallery.model == tools.vision.model else _same_boxes(known, tools.vision.detect(image))
    vectors = {
        enrolled.face_id: embedding.vector
        for (enrolled, _), embedding in zip(
            pairs, tools.vision.embed(image, [face for _, face in pairs]), strict=True
        )
    }

    def write(connection: Connection) -> Done:
        current, runs = still(connection, call), tools.vision.model
        if current.model == runs:
            return Done({"RenewedFaces": [], "RemainingFaces": 0, "FaceModelVersion": runs})
        renewed, left = store.renew(connection, current, runs, vectors)
        model = current.model if left else runs
        answer = {"RenewedFaces": renewed, "RemainingFaces": left, "FaceModelVersion": model}
        return Done(answer, traces=NO_TRACES if left else None)

    return Commit(write, erases=True, after=lambda: tools.galleries.lose(gallery))


def _same_boxes(known: Sequence[Enrolled], seen: Sequence[Face]) -> list[tuple[Enrolled, Face]]:
    """Each enrolled face with the seen one whose box overlaps its own best, by half or more; none twice."""
    pairs, left = [], list(seen)
    for enrolled in known:
        best = max(left, key=lambda face: face.box.overlap(enrolled.box), default=None)
        if best is not None and best.box.overlap(enrolled.box) >= 0.5:
            pairs.append((enrolled, best))
            left.remove(best)
    return pairs


def same_model(gallery: Gallery, tools: Tools) -> None:
    if gallery.model != tools.vision.model:
        raise InvalidParameter(
            detail=f"collection {gallery.collection_id} holds templates of {gallery.model}, and this service "
            f"runs {tools.vision.model}; `countenance reindex` enrols it anew from the original photos"
        )


OPERATIONS = {
    "IndexFaces": Operation(
        index_faces,
        lambda request: (Action.ENROL, *photos.actions(request["DetectionAttributes"])),
        {"QualityFilter": "AUTO", "DetectionAttributes": ["DEFAULT"]},
        attributes=lambda request: photos.asked(request["DetectionAttributes"]),
    ),
    "ListFaces": Operation(list_faces, always(Action.MANAGE)),
    "DeleteFaces": Operation(delete_faces, always(Action.MANAGE)),
    "RenewFaces": Operation(renew_faces, always(Action.ENROL)),
}
