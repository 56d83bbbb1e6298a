"""1:N search: SearchFaces, SearchFacesByImage. What comes back are candidates, never "the person"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from countenance.declared import Declared
from countenance.errors import InvalidParameter, ResourceNotFound
from countenance.galleries import GalleryGone, store
from countenance.ledger import Told
from countenance.operations import SIMILARITY, Call, Done, Operation, Request, Tools, always, photos, render
from countenance.operations.enrolment import same_model
from countenance.operations.galleries import SUBJECTS, population, present
from countenance.types import EMPTY, Action, Candidate, Embedding, Gallery, Probe
from countenance.vision.calibration import ADULTS, RAREST, Calibration
from countenance.vision.expectation import Expectation, expectation, fpir, keeping, likelier

MOST = 80
"""Candidates where the call sets no MaxFaces. AWS documents none."""


HAIR = 1e-5
"""Cosine below a threshold's that is still looked at: rounding Similarity may lift it over."""


def search_faces(call: Call, tools: Tools) -> Done:
    """Faces like one that is enrolled; the face itself is left out."""
    gallery, face_id = present(call), call.request["FaceId"]
    same_model(gallery, tools)
    _promised(call, gallery)
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
    _promised(call, gallery)
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


def _settled(asked: Request, gallery: Gallery | None, declared: Declared) -> Request:
    """The threshold that keeps FPIR where the call wants it. 100 where none does: policy is asked all the
    same, so that only who may search learns it."""
    if declared.max_fpir is None:
        return EMPTY
    if "FaceMatchThreshold" in asked:
        raise InvalidParameter(detail="say FaceMatchThreshold or the header x-countenance-max-fpir, not both")
    least = keeping(declared.max_fpir, gallery.size if gallery else 0)
    return {"FaceMatchThreshold": 100.0 if least is None else least}


def _promised(call: Call, gallery: Gallery) -> None:
    """Raises InvalidParameter where no threshold keeps FPIR where the call wants it."""
    target = call.declared.max_fpir
    if target is not None and keeping(target, gallery.size) is None:
        raise InvalidParameter(
            detail=f"no threshold keeps x-countenance-max-fpir {target:g} among {gallery.size} faces: no "
            f"false match rate under {RAREST:g} is claimed, and it comes to {fpir(RAREST, gallery.size):.2g}"
        )


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
    expected = expectation(calibration, call.request["FaceMatchThreshold"], gallery.size)
    warnings = _warnings(tools, calibration, expected)
    tagged = SUBJECTS in gallery.tags
    return Done(
        {**searched, "FaceMatches": matches, "FaceModelVersion": gallery.model},
        Told(
            candidates=len(matches),
            top=matches[0]["Similarity"] if matches else None,
            subjects=subjects,
            further=render.recorded(expected, warnings),
        ),
        notes={
            **render.provenance(gallery.model, calibration),
            **render.expected(expected, warnings, tagged=tagged),
        },
    )


def _warnings(tools: Tools, calibration: Calibration, expected: Expectation) -> Mapping[str, str]:
    """What to beware of, by a word for programs."""
    told = {}
    if calibration.population != ADULTS:
        times = likelier(calibration, tools.vision.calibration(ADULTS), SIMILARITY)
        told[calibration.population] = (
            f"by its curves this model takes them for each other {times:,.0f} times as often as adults, at "
            f"the cosine that is {SIMILARITY:g} for adults; photos years apart were not measured"
        )
    if expected.extrapolated:
        told["extrapolated"] = (
            "fewer than 30 measured false matches stand behind a rate at this threshold; they do up to "
            f"{calibration.measured_percent:.1f}"
        )
    return told


_DEFAULTS = {"FaceMatchThreshold": SIMILARITY, "MaxFaces": MOST}

OPERATIONS = {
    "SearchFaces": Operation(search_faces, always(Action.IDENTIFY), _DEFAULTS, settled=_settled),
    "SearchFacesByImage": Operation(
        search_faces_by_image,
        always(Action.IDENTIFY),
        {**_DEFAULTS, "QualityFilter": "NONE"},
        settled=_settled,
    ),
}
