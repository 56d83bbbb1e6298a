"""1:N search: SearchFaces, SearchFacesByImage. What comes back are candidates, never "the person"."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from countenance.declared import Declared
from countenance.errors import InvalidParameter, ResourceNotFound
from countenance.galleries import GalleryGone, distinct, store
from countenance.ledger import Told
from countenance.operations import (
    SIMILARITY,
    Call,
    Done,
    Operation,
    Request,
    Tools,
    always,
    figures,
    photos,
    render,
)
from countenance.operations.enrolment import same_model
from countenance.operations.galleries import SUBJECTS, population, present
from countenance.types import EMPTY, Action, Candidate, Embedding, Gallery, Probe
from countenance.vision.calibration import RAREST
from countenance.vision.expectation import fpir, keeping

MOST = 80
"""Candidates where the call sets no MaxFaces. AWS documents none."""


NAMED = 4096
"""People whom the ledger's entry of a search names, each by a tag; more would not fit into an entry."""

HAIR = 1e-5
"""Cosine below a threshold's that is still looked at: rounding Similarity may lift it over."""


class Scored(Protocol):
    """A line of a list with its cosine."""

    @property
    def score(self) -> float: ...


Line = TypeVar("Line", bound=Scored)


@dataclass(frozen=True, slots=True)
class Asks:
    """The members by which a search says how alike and how many. most: where it says no number."""

    threshold: str
    limit: str
    most: int

    @property
    def defaults(self) -> Request:
        return {self.threshold: SIMILARITY, self.limit: self.most}

    def settled(self, asked: Request, gallery: Gallery | None, declared: Declared) -> Request:
        """The threshold that keeps FPIR where the call wants it. 100 where none does: policy is asked all the
        same, so that only who may search learns it."""
        if declared.max_fpir is None:
            return EMPTY
        if self.threshold in asked:
            raise InvalidParameter(
                detail=f"say {self.threshold} or the header x-countenance-max-fpir, not both"
            )
        least = keeping(declared.max_fpir, gallery.size if gallery else 0)
        return {self.threshold: 100.0 if least is None else least}


FACES = Asks("FaceMatchThreshold", "MaxFaces", MOST)


def search_faces(call: Call, tools: Tools) -> Done:
    """Faces like one that is enrolled; the face itself is left out."""
    gallery, face_id = searchable(call, tools), call.request["FaceId"]
    with tools.database.reading() as connection:
        vector = store.vector(connection, gallery, face_id)
        barred = distinct.barred(connection, gallery, distinct.of_face(face_id))
    if vector is None:
        raise InvalidParameter("faceId was not found in the collection.")
    probe = Embedding(vector, gallery.model)
    found = search(call, tools, FACES, tools.galleries.identify, probe, spare=1 + len(barred.faces))
    others = [candidate for candidate in found if candidate.face.face_id != face_id]
    return _answer(call, tools, others, barred, {"SearchedFaceId": face_id})


def search_faces_by_image(call: Call, tools: Tools) -> Done:
    """Faces like the largest one of a photo."""
    gallery = searchable(call, tools)
    image = photos.fetch(call.request["Image"], tools)
    face = photos.largest(image, tools, call.request["QualityFilter"])
    if face is None:
        raise InvalidParameter("There are no faces in the image. Should be at least 1.")
    [probe] = tools.vision.embed(image, [face])
    with tools.database.reading() as connection:
        barred = distinct.barred(connection, gallery, distinct.of_photo(photos.image_id(image)))
    found = search(call, tools, FACES, tools.galleries.identify, probe, spare=len(barred.faces))
    searched = {
        "SearchedFaceBoundingBox": render.bounding_box(face.box),
        "SearchedFaceConfidence": face.confidence,
    }
    return _answer(call, tools, found, barred, searched)


def searchable(call: Call, tools: Tools) -> Gallery:
    """The collection, where a search of it can be done as the call wants it: of the model that runs, and with
    a threshold that keeps FPIR. Raises ResourceNotFound, InvalidParameter."""
    gallery, target = present(call), call.declared.max_fpir
    same_model(gallery, tools)
    if target is not None and keeping(target, gallery.size) is None:
        raise InvalidParameter(
            detail=f"no threshold keeps x-countenance-max-fpir {target:g} among {gallery.size} faces: no "
            f"false match rate under {RAREST:g} is claimed, and it comes to {fpir(RAREST, gallery.size):.2g}"
        )
    return gallery


def search(
    call: Call,
    tools: Tools,
    asks: Asks,
    identify: Callable[[Gallery, Probe, int, float], Sequence[Line]],
    probe: Embedding,
    *,
    spare: int = 0,
) -> Sequence[Line]:
    """The best candidates; spare: so many more than asked for, because some will be left out."""
    gallery = present(call)
    floor = tools.vision.calibration(population(gallery)).cosine(call.request[asks.threshold]) - HAIR
    try:
        return identify(gallery, Probe(probe), call.request[asks.limit] + spare, floor)
    except GalleryGone:  # an empty list would be a false "nobody"
        raise ResourceNotFound(f"The collection id: {gallery.collection_id} does not exist") from None


def reached(call: Call, tools: Tools, asks: Asks, found: Sequence[Line]) -> list[tuple[Line, float]]:
    """Candidates that reach the threshold, each with its Similarity."""
    calibration = tools.vision.calibration(population(present(call)))
    lines = [(line, render.similarity(calibration.similarity(line.score))) for line in found]
    return [(line, similarity) for line, similarity in lines if similarity >= call.request[asks.threshold]]


def told(  # noqa: PLR0913 - each is a part of the answer
    call: Call,
    tools: Tools,
    asks: Asks,
    answer: render.Shape,
    *,
    similarities: Sequence[float],
    subjects: Sequence[bytes],
    kept_out: int,
    notes: Mapping[str, str] = EMPTY,
) -> Done:
    """A search's answer with its figures. subjects: the keys of whom it lists. kept_out: how many it would
    list if nobody had said that they are not this person."""
    gallery = present(call)
    stated: render.Whose = "stated" if SUBJECTS in gallery.tags else "untagged"
    calibration = tools.vision.calibration(population(gallery))
    of = figures.of(call, tools, calibration, call.request[asks.threshold], gallery.size, stated)
    return Done(
        {**answer, "FaceModelVersion": gallery.model, figures.MEMBER: of.member},
        Told(
            candidates=len(similarities),
            top=similarities[0] if similarities else None,
            subjects=subjects[:NAMED],
            further={
                **of.recorded,
                **({"kept_out": kept_out} if kept_out else {}),
                **({"people_not_named": left} if (left := len(subjects[NAMED:])) else {}),
            },
        ),
        {**of.notes, **notes, **({"x-countenance-kept-out": str(kept_out)} if kept_out else {})},
    )


def _answer(
    call: Call,
    tools: Tools,
    found: Sequence[Candidate],
    barred: distinct.Barred,
    searched: render.Shape,
) -> Done:
    lines, kept_out = apart(reached(call, tools, FACES, found), barred.faces, lambda line: line.face.face_id)
    lines = lines[: call.request["MaxFaces"]]
    matches = [{"Similarity": score, "Face": render.enrolled_face(line.face)} for line, score in lines]
    return told(
        call,
        tools,
        FACES,
        {**searched, "FaceMatches": matches},
        similarities=[score for _, score in lines],
        subjects=[line.face.subject for line, _ in lines],
        kept_out=kept_out,
    )


def apart(
    lines: Sequence[tuple[Line, float]], barred: Container[object], key: Callable[[Line], object]
) -> tuple[list[tuple[Line, float]], int]:
    """Lines without those who are known not to be this person, and how many these were."""
    kept = [pair for pair in lines if key(pair[0]) not in barred]
    return kept, len(lines) - len(kept)


OPERATIONS = {
    "SearchFaces": Operation(search_faces, always(Action.IDENTIFY), FACES.defaults, settled=FACES.settled),
    "SearchFacesByImage": Operation(
        search_faces_by_image,
        always(Action.IDENTIFY),
        {**FACES.defaults, "QualityFilter": "NONE"},
        settled=FACES.settled,
    ),
}
