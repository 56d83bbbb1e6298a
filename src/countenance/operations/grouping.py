"""Who appears in a collection: GroupFaces, an operation of ours, declared in aws/data.

Everybody is compared with everybody: a search of the whole collection for each one in it. Policy decides it
as a search, and the ledger keeps it as one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from sqlalchemy.engine import Connection

from countenance.errors import InvalidParameter, ResourceNotFound, Throttling
from countenance.galleries import distinct, groups, store
from countenance.galleries.groups import MOST, Group, TooMany
from countenance.ledger import Told
from countenance.operations import SIMILARITY, Call, Done, Operation, Tools, always, figures, render
from countenance.operations.enrolment import same_model
from countenance.operations.galleries import SUBJECTS, population, present
from countenance.types import Action, Enrolled, Gallery, Vector
from countenance.vision.calibration import Calibration
from countenance.vision.expectation import expectation

NAMED = 4096
"""People whom the ledger's entry of a grouping names, each by a tag; more would not fit into an entry."""


Apart = list[tuple[int, int]]
"""Places of two faces."""


def group_faces(call: Call, tools: Tools) -> Done:
    """The collection's faces in groups that may be of one person each. Writes nothing."""
    gallery, asked = present(call), call.request
    same_model(gallery, tools)
    if call.declared.max_fpir is not None:
        raise InvalidParameter(detail="a grouping has no x-countenance-max-fpir: say FaceMatchThreshold")
    faces, vectors, apart = _everybody(gallery, tools)
    calibration = tools.vision.calibration(population(gallery))
    photos = [face.image_id for face in faces]
    try:
        found = groups.groups(
            vectors,
            photos,
            calibration.cosine(asked["FaceMatchThreshold"]),
            once=asked["OncePerImage"],
            apart=apart,
        )
    except TooMany as fault:
        raise InvalidParameter(
            detail=f"{fault}, so that it tells nobody from anybody: ask for a FaceMatchThreshold above "
            f"{asked['FaceMatchThreshold']:g}"
        ) from None
    return _answer(call, tools, calibration, faces, found)


def _everybody(gallery: Gallery, tools: Tools) -> tuple[list[Enrolled], Vector, Apart]:
    """Every face with its vector, in the order of enrolment, and those that are not one person's."""
    with tools.database.reading() as connection:
        rows = store.enrolled(connection, gallery, limit=MOST + 1)
        if len(rows) > MOST:
            raise InvalidParameter(
                detail=f"at most {MOST:,} faces are grouped at once, and {gallery.collection_id} holds "
                f"{gallery.size:,}: divide them over collections"
            )
        state = store.state(connection, gallery.number)
        if state is None:
            raise ResourceNotFound(f"The collection id: {gallery.collection_id} does not exist")
        face_ids, vectors = store.vectors(connection, [row for row, _ in rows], state[0])
        apart = _apart(connection, gallery, face_ids)
    faces = [face for _, face in rows]
    if face_ids != [face.face_id for face in faces]:
        raise Throttling(detail="the collection changed meanwhile")
    return faces, vectors, apart


def _apart(connection: Connection, gallery: Gallery, face_ids: Sequence[str]) -> Apart:
    """What somebody said of faces or users, as places of faces."""
    places = {face_id: place for place, face_id in enumerate(face_ids)}
    pairs: Apart = []
    for _, *ends, _ in distinct.page(connection, gallery, 0, MOST):
        one, other = (
            [
                places[each]
                for each in distinct.face_ids(distinct.person(connection, gallery, end))
                if each in places
            ]
            for end in ends
        )
        pairs += itertools.product(one, other)
    return pairs


def _answer(
    call: Call, tools: Tools, calibration: Calibration, faces: Sequence[Enrolled], found: Sequence[Group]
) -> Done:
    several = [group for group in found if len(group.places) > 1]
    alone = [faces[group.places[0]] for group in found if len(group.places) == 1]
    together = [faces[place] for group in several for place in group.places]
    subjects = list(dict.fromkeys(face.subject for face in together))
    pairs = _pairs(faces, once=call.request["OncePerImage"])
    gallery = present(call)
    expected = expectation(calibration, call.request["FaceMatchThreshold"], pairs)
    whose: render.Whose = "stated" if SUBJECTS in gallery.tags else "untagged"
    warnings = figures.warnings(tools, calibration, expected, whose)
    answer: render.Shape = {
        "Groups": [{"Members": [*_members(group, faces, calibration)]} for group in several],
        "UngroupedFaces": [render.enrolled_face(face) for face in alone],
        "ExpectedFalsePairs": expected.false_candidates,
        "FaceModelVersion": gallery.model,
    }
    told = Told(
        candidates=len(together),
        subjects=subjects[:NAMED],
        further={
            "groups": len(several),
            "pairs": pairs,
            "fmr": f"{expected.rate:.3g}",
            "expected_false_pairs": f"{expected.false_candidates:.4g}",
            **({"warnings": list(warnings)} if warnings else {}),
            **({"people_not_named": left} if (left := len(subjects[NAMED:])) else {}),
        },
    )
    notes = {**render.provenance(gallery.model, calibration), **render.false_pairs(expected, warnings, whose)}
    return Done(answer, told, notes)


def _members(group: Group, faces: Sequence[Enrolled], calibration: Calibration) -> Sequence[render.Shape]:
    return [
        {
            "Face": render.enrolled_face(faces[place]),
            "Similarity": render.similarity(calibration.similarity(cosine)),
        }
        for place, cosine in zip(group.places, group.cosines, strict=True)
    ]


def _pairs(faces: Sequence[Enrolled], *, once: bool) -> int:
    """How many pairs were compared: without those of one photo where they cannot be one person."""
    every = len(faces) * (len(faces) - 1) // 2
    of_one_photo = Counter(face.image_id for face in faces).values()
    return every - once * sum(count * (count - 1) // 2 for count in of_one_photo)


OPERATIONS = {
    "GroupFaces": Operation(
        group_faces,
        always(Action.IDENTIFY),
        {"FaceMatchThreshold": SIMILARITY, "OncePerImage": True},
    ),
}
