"""1:N search: SearchFaces, SearchFacesByImage. What comes back are candidates, never "the person"."""

from __future__ import annotations

from collections.abc import Sequence

from countenance.errors import InvalidParameter, ResourceNotFound
from countenance.galleries import GalleryGone, store
from countenance.ledger import Told
from countenance.operations import SIMILARITY, Call, Done, Operation, Tools, always, photos, render
from countenance.operations.enrolment import same_model
from countenance.operations.galleries import population, present
from countenance.types import Action, Candidate, Embedding, Gallery, Probe

MOST = 80
"""Candidates where the call sets no MaxFaces. AWS documents none."""


HAIR = 1e-5
"""Cosine below a threshold's that is still looked at: rounding Similarity may lift it over."""


def search_faces(call: Call, tools: Tools) -> Done:
    """Faces like one that is enrolled; the face itself is left out."""
    gallery, face_id = present(call), call.request["FaceId"]
    same_model(gallery, tools)
    with tools.database.reading() as connection:
        vector = store.vector(connection, gallery, face_id)
    if vector is None:
        raise InvalidParameter("faceId was not found in the collection.")
    found = _identify(call, tools, gallery, Embedding(vector, gallery.model), one_more=True)
    others = [candidate for candidate in found if candidate.face.face_id != face_id]
    return _answer(call, tools, gallery, others, {"SearchedFaceId": face_id})


def search_faces_by_image(call: Call, tools: Tools) -> Done:
    """Faces like the largest one of a photo."""
    gallery = present(call)
    same_model(gallery, tools)
    image = photos.fetch(call.request["Image"], tools)
    face = photos.largest(image, tools, call.request["QualityFilter"])
    if face is None:
        raise InvalidParameter("There are no faces in the image. Should be at least 1.")
    [probe] = tools.vision.embed(image, [face])
    found = _identify(call, tools, gallery, probe)
    searched = {
        "SearchedFaceBoundingBox": render.bounding_box(face.box),
        "SearchedFaceConfidence": face.confidence,
    }
    return _answer(call, tools, gallery, found, searched)


def _identify(
    call: Call, tools: Tools, gallery: Gallery, probe: Embedding, *, one_more: bool = False
) -> Sequence[Candidate]:
    calibration = tools.vision.calibration(population(gallery))
    floor = calibration.cosine(call.request["FaceMatchThreshold"]) - HAIR
    try:
        return tools.galleries.identify(gallery, Probe(probe), call.request["MaxFaces"] + one_more, floor)
    except GalleryGone:  # an empty list would be a false "nobody"
        raise ResourceNotFound(f"The collection id: {gallery.collection_id} does not exist") from None


def _answer(
    call: Call,
    tools: Tools,
    gallery: Gallery,
    found: Sequence[Candidate],
    searched: render.Shape,
) -> Done:
    calibration = tools.vision.calibration(population(gallery))
    matches: list[render.Shape] = []
    subjects: list[bytes] = []
    for candidate in found[: call.request["MaxFaces"]]:
        similarity = render.similarity(calibration.similarity(candidate.score))
        if similarity >= call.request["FaceMatchThreshold"]:
            matches.append({"Similarity": similarity, "Face": render.enrolled_face(candidate.face)})
            subjects.append(candidate.face.subject)
    return Done(
        {**searched, "FaceMatches": matches, "FaceModelVersion": gallery.model},
        Told(candidates=len(matches), top=matches[0]["Similarity"] if matches else None, subjects=subjects),
        notes=render.provenance(gallery.model, calibration),
    )


_DEFAULTS = {"FaceMatchThreshold": SIMILARITY, "MaxFaces": MOST}

OPERATIONS = {
    "SearchFaces": Operation(search_faces, always(Action.IDENTIFY), _DEFAULTS),
    "SearchFacesByImage": Operation(
        search_faces_by_image, always(Action.IDENTIFY), {**_DEFAULTS, "QualityFilter": "NONE"}
    ),
}
