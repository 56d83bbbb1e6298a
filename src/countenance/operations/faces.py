"""Faces of one call, nothing kept: DetectFaces, CompareFaces."""

from __future__ import annotations

from countenance import galleries
from countenance.errors import InvalidParameter
from countenance.ledger import Told
from countenance.operations import SIMILARITY, Call, Done, Operation, Tools, always, figures, photos, render
from countenance.types import Action


def detect_faces(call: Call, tools: Tools) -> Done:
    """Every face of a photo, largest first, at most the hundred largest."""
    image = photos.fetch(call.request["Image"], tools)
    names = call.request["Attributes"]
    asked, every = photos.asked(names), "ALL" in names
    seen = photos.look(image, tools, attributes=asked)
    details = [render.face_detail(s.face, s.description, every=every) for s in seen]
    return Done({"FaceDetails": details}, notes=render.not_offered(asked - tools.vision.offered))


def compare_faces(call: Call, tools: Tools) -> Done:
    """The largest face of the source against every face of the target."""
    request = call.request
    source, target = (photos.fetch(request[name], tools) for name in ("SourceImage", "TargetImage"))
    face = photos.largest(source, tools, request["QualityFilter"])
    seen = [s for s in photos.look(target, tools, request["QualityFilter"]) if not s.reasons]
    if face is None or not seen:
        missing = "SourceImage" if face is None else "TargetImage"
        raise InvalidParameter(detail=f"no face was found in {missing}")
    [probe] = tools.vision.embed(source, [face])
    calibration = tools.vision.calibration()
    matched: list[render.Shape] = []
    unmatched: list[render.Shape] = []
    others = tools.vision.embed(target, [s.face for s in seen], [s.description for s in seen])
    for sighting, other in zip(seen, others, strict=True):
        similarity = render.similarity(calibration.similarity(galleries.verify(probe, other)))
        shape = render.face_detail(sighting.face, sighting.description)
        if similarity >= request["SimilarityThreshold"]:
            matched.append({"Similarity": similarity, "Face": shape})
        else:
            unmatched.append(shape)
    matched.sort(key=lambda line: -line["Similarity"])
    answer = {
        "SourceImageFace": {
            "BoundingBox": render.bounding_box(face.box),
            "Confidence": face.confidence,
        },
        "FaceMatches": matched,
        "UnmatchedFaces": unmatched,
    }
    top = matched[0]["Similarity"] if matched else None
    told = figures.of(call, tools, calibration, request["SimilarityThreshold"], len(others), "assumed")
    return Done(
        {**answer, figures.MEMBER: told.member},
        Told(candidates=len(matched), top=top, further=told.recorded),
        told.notes,
    )


OPERATIONS = {
    # Pose, quality, box and landmarks are detection.
    "DetectFaces": Operation(
        detect_faces,
        lambda request: (Action.DETECT, *photos.actions(request["Attributes"])),
        {"Attributes": ["DEFAULT"]},
        attributes=lambda request: photos.asked(request["Attributes"]),
    ),
    "CompareFaces": Operation(
        compare_faces,
        always(Action.VERIFY),
        {"SimilarityThreshold": SIMILARITY, "QualityFilter": "NONE"},
        threshold=lambda request: request["SimilarityThreshold"],
    ),
}
