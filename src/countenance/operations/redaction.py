"""Faces taken out of photos and stored video: RedactFaces, and Start/GetFaceRedaction. All are ours.

Whatever may be a face is covered; with Keep, unless it is known to be one of theirs; with Only, unless it is
known to be somebody else's. Naming people compares faces, and policy decides it as that.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from countenance.errors import InternalServer, InvalidParameter, VideoError
from countenance.ledger import Told
from countenance.operations import (
    SIMILARITY,
    Call,
    Commit,
    Done,
    Operation,
    Request,
    Tools,
    photos,
    queued,
    render,
)
from countenance.operations.videos import metadata, notes, share
from countenance.results import Finding
from countenance.types import Action, Embedding, Face, Image
from countenance.vision import images, redaction
from countenance.vision.checking import SMALL, Check, Reason, checks, in_profile
from countenance.vision.covering import Method, cover, widened
from countenance.vision.filming import Written, film, form
from countenance.vision.redaction import SURE, Chosen, Plan, Trail
from countenance.vision.video import open_clip

OTHERS = 41.0
"""Similarity under which a face is known to be somebody else's, unless a call says otherwise. By the card's
figures (genuine, adults) 1.0 in a hundred pairs of photos of one person lie under it, and 79 in a hundred
pairs of different people of one sex do not: they are covered too. At 50 it is 5.5 and 10 (docs/redaction.md).
"""

SURVEYED = 0.6
"""Of the work on a clip, finding faces; the rest is writing."""

QUALITY = 92
"""Of a JPEG that is written."""


def redact_faces(call: Call, tools: Tools) -> Done:
    """A photo without its faces, made anew of its pixels: nothing else of the file goes over."""
    image = photos.fetch(call.request["Image"], tools)
    chosen = _chosen(call, tools, lambda each: photos.fetch(each, tools))
    found = redaction.in_photo(tools.vision, image, chosen)
    pixels = image.pixels.copy()
    cover(pixels, [widened(face.box) for face, covered in found if covered], Method(call.request["Method"]))
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, call.request["Format"], quality=QUALITY)
    faces = [
        {
            "BoundingBox": render.bounding_box(face.box),
            "Confidence": face.confidence,
            "Covered": covered,
            "Reasons": _doubts(image, face),
        }
        for face, covered in found
    ]
    told = Told() if chosen is None else Told(candidates=sum(not covered for _, covered in found))
    return Done({"RedactedImage": stream.getvalue(), "Faces": faces}, told)


def _doubts(image: Image, face: Face) -> list[str]:
    """Why a person should look at a face of a photo."""
    tests = {
        Reason.LOW_CONFIDENCE: face.confidence < SURE,
        Reason.SMALL: face.box.width * image.width < SMALL,
        Reason.PROFILE: in_profile(face),
    }
    return [reason.value for reason, holds in tests.items() if holds]


def start(call: Call, tools: Tools) -> Commit:
    """Queue a clip, if there is where to write it and whom it names."""
    source, target = call.request["Video"].get("S3Object", {}), call.request["Output"]
    _form(target)
    if (source.get("Bucket"), source.get("Name")) == (target.get("Bucket"), target.get("Name")):
        raise InvalidParameter(detail="Output is the very object that Video names; name another")
    _named(call)
    work = queued.put_off(call, tools)
    with tools.database.reading() as connection:
        known = queued.before(connection, call, tools)
    if known is None:
        with _disk(), tools.objects.draft(target):
            pass
    return work


def redact(call: Call, tools: Tools) -> Commit:
    """Read the clip through, then write it anew, covered. The object is there once all of it is and all has
    been told: whoever cancels before has none, and what another put there meanwhile stays."""
    request, lease = call.request, queued.held(call)
    chosen = _chosen(call, tools, lambda each: images.decode(tools.objects.read(each)))
    try:
        with (
            _disk(),
            tools.objects.open(request["Video"]["S3Object"], lambda _size: lease.tell()) as file,
            tools.objects.draft(request["Output"]) as draft,
        ):
            path = Path(f"/dev/fd/{file.fileno()}")
            with open_clip(path) as clip:
                facts = clip.facts
                plan = redaction.survey(
                    tools.vision,
                    clip,
                    chosen,
                    lambda at: lease.tell(_part(0.0, SURVEYED, share(facts, at))),
                )
            written = film(
                path,
                plan,
                draft.file,
                _form(request["Output"]),
                Method(request["Method"]),
                sound=request["KeepSound"],
                progress=lambda at: lease.tell(_part(SURVEYED, 1.0, share(facts, at))),
            )
            for line in _lines(plan):
                lease.tell(found=[line])
            stays = sum(any(mark.stays for mark in trail.marks) for trail in plan.trails)
            told = Told() if chosen is None else Told(candidates=stays)
            summary = {"video": metadata(facts), **_summary(plan, written)}
            lease.tell(1.0)
            lease.ready(json.dumps(summary))
            draft.publish()
    except VideoError as fault:
        raise InvalidParameter(f"Unsupported codec/format: {fault}") from fault
    return queued.finished(call, summary, told)


def get(call: Call, tools: Tools) -> Done:
    """Faces that were followed, by time; what was written and what to check, on the first page."""
    answer, _, facts = queued.page(
        call, tools, "Tracks", lambda each: {"Index": each.person, **json.loads(each.body)}
    )
    answer["Output"] = call.request["Output"]
    if facts and "NextToken" not in call.request:
        answer |= {name: facts[name] for name in ("Frames", "CoveredFrames", "HasSound", "Checks")}
    return Done(answer, notes=notes(call, facts))


@contextmanager
def _disk() -> Any:
    """InternalServer for what a disk refuses inside."""
    try:
        yield
    except OSError as fault:
        raise InternalServer(detail=f"the clip cannot be read or written: {fault.strerror}") from fault


def _form(target: Mapping[str, Any]) -> Any:
    try:
        return form(target.get("Name", ""))
    except VideoError as fault:
        raise InvalidParameter(detail=f"Output: {fault}") from fault


def _part(begin: float, end: float, done: float | None) -> float | None:
    return None if done is None else begin + (end - begin) * min(1.0, done)


def _named(call: Call) -> Sequence[Mapping[str, Any]]:
    """Photos of whom the call names. Raises InvalidParameter where it names people both ways."""
    if "Keep" in call.request and "Only" in call.request:
        raise InvalidParameter(detail="Keep names who stays and Only who goes; a call has one of them")
    photos_of: Sequence[Mapping[str, Any]] = call.request.get("Keep") or call.request.get("Only") or ()
    return photos_of


def _chosen(call: Call, tools: Tools, read: Any) -> Chosen | None:
    """Who stays, or who alone goes; None where the call names nobody. read: a photo of what names one.

    Raises InvalidParameter for a photo without a face.
    """
    people: list[Embedding] = []
    for number, named in enumerate(_named(call), 1):
        image = read(named)
        face = photos.largest(image, tools)
        if face is None:
            raise InvalidParameter(detail=f"photo {number} of whom to keep or cover shows no face")
        people += tools.vision.embed(image, [face])
    if not people:
        return None
    at = tools.vision.calibration().cosine(call.request["SimilarityThreshold"])
    return Chosen(tuple(people), keeps="Keep" in call.request, known=at, other=at)


def _lines(plan: Plan) -> list[Finding]:
    """A line for each face that was followed, by time."""
    lines = [
        Finding(max(0, each.first), json.dumps(_line(plan, each)), each.track.number) for each in plan.trails
    ]
    return sorted(lines, key=lambda line: (line.at, line.person))


def _line(plan: Plan, trail: Trail) -> render.Shape:
    seen = trail.track.sightings
    widths = [each.face.box.width * plan.width for each in seen]
    stays = {trail.stays(each.timestamp_ms) for each in seen}
    return {
        "StartTimestampMillis": max(0, trail.first),
        "EndTimestampMillis": min(trail.last, plan.frames[-1]),
        "Sightings": len(seen),
        "Confidence": max(each.face.confidence for each in seen),
        "LowestConfidence": min(each.face.confidence for each in seen),
        "SmallestWidth": round(min(widths), 1),
        "Covered": {frozenset({True}): "NONE", frozenset({False}): "ALL"}.get(frozenset(stays), "PART"),
    }


def _summary(plan: Plan, written: Written) -> dict[str, Any]:
    return {
        "Frames": written.frames,
        "CoveredFrames": written.covered,
        "HasSound": written.sound,
        "Checks": [_check(each) for each in checks(plan)],
    }


def _check(check: Check) -> render.Shape:
    return {
        "Timestamp": check.at,
        "BoundingBox": render.bounding_box(check.box),
        "Reasons": [reason.value for reason in check.reasons],
    }


def _actions(request: Request) -> tuple[Action, ...]:
    return (Action.DETECT, *([Action.VERIFY] if {"Keep", "Only"} & set(request) else []))


def _threshold(request: Request) -> float | None:
    return request["SimilarityThreshold"] if {"Keep", "Only"} & set(request) else None


def _settled(asked: Request, _gallery: object, _declared: object) -> Request:
    """The threshold of a call that names none, on the safe side of whom it names."""
    return {
        "SimilarityThreshold": asked.get("SimilarityThreshold", OTHERS if "Only" in asked else SIMILARITY)
    }


_DEFAULTS = {"Method": Method.BOX.value, "SimilarityThreshold": SIMILARITY}

OPERATIONS = {
    "RedactFaces": Operation(
        redact_faces,
        _actions,
        {**_DEFAULTS, "Format": "JPEG"},
        threshold=_threshold,
        settled=_settled,
    ),
    "StartFaceRedaction": Operation(
        start,
        _actions,
        {**_DEFAULTS, "KeepSound": False},
        threshold=_threshold,
        settled=_settled,
        job=redact,
    ),
    "GetFaceRedaction": Operation(
        get,
        _actions,
        {**_DEFAULTS, "KeepSound": False},
        threshold=_threshold,
        reads="StartFaceRedaction",
    ),
}
