"""Stored video, each a Start... that queues, a job that a worker runs, and a Get... that pages its results:
FaceDetection, FaceSearch, PersonTracking, and FaceTimeline, which is ours.

Every job looks at the same frames: vision.watching.RATE a second, unless a timeline asks otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from countenance.errors import InternalServer, InvalidParameter, VideoError
from countenance.galleries import store
from countenance.ledger import Told
from countenance.operations import (
    SIMILARITY,
    Call,
    Commit,
    Done,
    Operation,
    Request,
    Tools,
    always,
    figures,
    photos,
    queued,
    render,
)
from countenance.operations.galleries import SUBJECTS, population, present
from countenance.operations.searching import Asks, reached, search, searchable
from countenance.results import Finding, Order
from countenance.types import Action, Attribute, Embedding, Enrolled
from countenance.vision import timeline, watching
from countenance.vision.tracking import Person, Sighting
from countenance.vision.video import Clip, ClipFacts, open_clip
from countenance.vision.watching import RATE, Watched

FACES = Asks("FaceMatchThreshold", "MaxFaces", 10)
"""A search of a clip lists at most so many candidates for a person; Rekognition says no number."""

JOINED = SIMILARITY
"""The Similarity at which two tracks of a clip are taken to show one person: one pair of strangers in ten
thousand reaches it, and a clip has few."""

NAMED = 4096
"""Candidates whom one ledger entry names by tags; more would not fit."""

TIMELINE = ("EMOTIONS", "SMILE", "EYES_OPEN", "MOUTH_OPEN")


def detect(call: Call, tools: Tools) -> Commit:
    """Every face of every frame that is looked at, by time, the largest of a frame first."""
    every = call.request["FaceAttributes"] == "ALL"
    asked = photos.asked([call.request["FaceAttributes"]])
    lease = queued.held(call)
    with opened(call, tools) as clip:
        for look in watching.look(tools.vision, clip, asked, meanwhile=lease.tell):
            at = look.frame.timestamp_ms
            lines = [
                _line(at, render.face_detail(face, description, every=every))
                for face, description in zip(look.faces, look.descriptions, strict=True)
            ]
            lease.tell(share(clip.facts, at), lines)
        facts = {"video": metadata(clip.facts), "damaged": clip.damaged}
    return queued.finished(call, facts | _left_out(tools, asked))


def get_detection(call: Call, tools: Tools) -> Done:
    answer, _, facts = queued.page(
        call, tools, "Faces", lambda each: {"Timestamp": each.at, "Face": json.loads(each.body)}
    )
    return Done(answer, notes=notes(call, facts))


def track(call: Call, tools: Tools) -> Commit:
    """Everybody whose face is seen, followed through the clip and known again after a cut."""
    watched = _watch(call, tools, ())
    _tell(call, watched)
    return queued.finished(call, _facts(watched))


def get_tracking(call: Call, tools: Tools) -> Done:
    answer, _, facts = queued.page(call, tools, "Persons", _person)
    return Done(answer, notes=notes(call, facts))


def start_search(call: Call, tools: Tools) -> Commit:
    searchable(call, tools)
    return queued.put_off(call, tools)


def find(call: Call, tools: Tools) -> Commit:
    """Who of the collection may be in the clip: one search for each person in it, by the mean of the faces
    that are seen best."""
    searchable(call, tools)
    watched = _watch(call, tools, ())
    found = _found(call, tools, watched)
    _tell(call, watched)
    facts, told = _matched(call, tools, found)
    return queued.finished(call, _facts(watched) | facts, told)


def get_search(call: Call, tools: Tools) -> Done:
    """Candidates who have left the collection since are left out."""
    matches: dict[str, list[render.Shape]] = {}
    answer, shown, facts = queued.page(call, tools, "Persons", _person)
    if facts:
        matches, subjects = _still(call, tools, facts, {str(each.person) for each in shown})
        for line in answer["Persons"]:
            line["FaceMatches"] = matches.get(str(line["Person"]["Index"]), [])
        answer[figures.MEMBER] = facts["figures"]
        told = Told(candidates=len(subjects), subjects=subjects[:NAMED])
        return Done(answer, told, notes(call, facts))
    return Done(answer, notes=notes(call, facts))


def start_timeline(call: Call, tools: Tools) -> Commit:
    if "CollectionId" in call.request:
        searchable(call, tools)
    return queued.put_off(call, tools)


def follow(call: Call, tools: Tools) -> Commit:
    """What each person's face shows over time. With a collection, also who they may be."""
    asked = photos.asked(call.request["Attributes"])
    watched = _watch(call, tools, asked, call.request["SamplesPerSecond"])
    lines, people = [], []
    for person in watched.people:
        [each] = timeline.as_json([timeline.timeline(person, watched.step_ms, queued.held(call).tell)])
        samples = each.pop("Samples")
        lasting = {render.MEMBERS[name]: render.trait(value) for name, value in person.traits.items()}
        people.append(each | ({"Face": lasting} if lasting else {}))
        lines += [Finding(sample["Timestamp"], json.dumps(sample), each["Index"]) for sample in samples]
    lease = queued.held(call)
    for line in lines:
        lease.tell(found=[line], order=Order.PERSON)
    for line in sorted(lines, key=lambda line: (line.at, line.person)):
        lease.tell(found=[line])
    told = Told()
    facts = _facts(watched) | {"people": people, "step": watched.step_ms} | _left_out(tools, asked)
    if "CollectionId" in call.request:
        searchable(call, tools)
        matched, told = _matched(call, tools, _found(call, tools, watched))
        facts |= matched | {"notes": {**facts["notes"], **matched["notes"]}}
    return queued.finished(call, facts, told)


def get_timeline(call: Call, tools: Tools) -> Done:
    """Samples by time, or by person and time; who there is and when, on the first page."""
    answer, _, facts = queued.page(
        call, tools, "Samples", lambda each: {"Index": each.person, **json.loads(each.body)}
    )
    told = Told()
    if facts and "NextToken" not in call.request:
        answer |= {"People": facts["people"], "StepMillis": facts["step"]}
        if "matches" in facts:
            matches, subjects = _still(call, tools, facts, {str(each["Index"]) for each in facts["people"]})
            answer["People"] = [
                {**each, "FaceMatches": matches.get(str(each["Index"]), [])} for each in facts["people"]
            ]
            answer[figures.MEMBER] = facts["figures"]
            told = Told(candidates=len(subjects), subjects=subjects[:NAMED])
    return Done(answer, told, notes(call, facts))


@contextmanager
def opened(call: Call, tools: Tools) -> Iterator[Clip]:
    """The clip a job is about. Raises InvalidParameter for one that cannot be read, and what Objects.open
    does; Halted while it is fetched."""
    lease = queued.held(call)
    try:
        with (
            tools.objects.open(call.request["Video"]["S3Object"], lambda _size: lease.tell()) as file,
            # The file may have no name any more: what this process has open is found by its number.
            open_clip(Path(f"/dev/fd/{file.fileno()}")) as clip,
        ):
            yield clip
    except VideoError as fault:
        raise InvalidParameter(f"Unsupported codec/format: {fault}") from fault
    except OSError as fault:
        raise InternalServer(detail=f"the clip cannot be fetched: {fault.strerror}") from fault


def _watch(
    call: Call, tools: Tools, asked: Sequence[Attribute] | frozenset[Attribute], rate: float = RATE
) -> Watched:
    lease = queued.held(call)
    calibration = tools.vision.calibration(population(call.gallery)) if call.gallery else None
    calibration = calibration or tools.vision.calibration()
    with opened(call, tools) as clip:
        return watching.watch(
            tools.vision,
            clip,
            asked,
            rate=rate,
            least=calibration.cosine(JOINED),
            progress=lambda at: lease.tell(share(clip.facts, at)),
        )


def share(facts: ClipFacts, at: int) -> float | None:
    """How far the work has come; None where the file does not say how long it is."""
    return at / facts.duration_ms if facts.duration_ms else None


def _line(at: int, shape: render.Shape, person: int = 0) -> Finding:
    return Finding(at, json.dumps(shape, separators=(",", ":")), person)


def _tell(call: Call, watched: Watched) -> None:
    """Every face seen, by person and time, and by time and person."""
    lease = queued.held(call)
    for person in watched.people:
        for each in person.sightings:
            line = _line(each.timestamp_ms, _face(each), person.number)
            lease.tell(found=[line], order=Order.PERSON)
    seen = [
        (each.timestamp_ms, person.number, each) for person in watched.people for each in person.sightings
    ]
    for at, number, sighting in sorted(seen, key=lambda each: each[:2]):
        lease.tell(found=[_line(at, _face(sighting), number)])


def _face(sighting: Sighting) -> render.Shape:
    """FaceDetail as DEFAULT asks for it. The five landmarks are the detector's: nobody looks closer at every
    sample of a person."""
    face, told = sighting.face, sighting.description
    shape: render.Shape = {
        "BoundingBox": render.bounding_box(face.box),
        "Landmarks": render.detected(face.landmarks),
        "Confidence": face.confidence,
    }
    if told is not None:
        shape |= {"Pose": render.pose(told.pose), "Quality": render.quality(told.quality)}
    return shape


def _person(found: Finding) -> dict[str, Any]:
    """PersonDetail without the box of a body, which nothing here looks for."""
    return {"Timestamp": found.at, "Person": {"Index": found.person, "Face": json.loads(found.body)}}


def _facts(watched: Watched) -> dict[str, Any]:
    return {"video": metadata(watched.facts), "damaged": watched.damaged}


def metadata(facts: ClipFacts) -> render.Shape:
    """VideoMetadata. What the file does not say is left out."""
    shape: render.Shape = {
        "Codec": facts.codec,
        "Format": facts.format,
        "FrameRate": facts.frame_rate,
        "FrameHeight": facts.height,
        "FrameWidth": facts.width,
    }
    if facts.duration_ms:
        shape["DurationMillis"] = facts.duration_ms
    if facts.color_range:
        shape["ColorRange"] = facts.color_range
    return shape


def _left_out(tools: Tools, asked: frozenset[Attribute]) -> dict[str, Any]:
    """What was asked for and no model here backs, for the headers of every page."""
    return {"notes": dict(render.not_offered(asked - tools.vision.offered))}


def _found(call: Call, tools: Tools, watched: Watched) -> dict[int, list[tuple[Enrolled, float]]]:
    """Everybody's candidates, by number."""
    found = {}
    for person in watched.people:
        queued.held(call).tell()
        found[person.number] = _candidates(call, tools, person)
    return found


def _candidates(call: Call, tools: Tools, person: Person) -> list[tuple[Enrolled, float]]:
    """Who of the collection a person may be, with the Similarity, best first. Each portrait counts for as
    much as it shows."""
    if not person.portraits:
        return []
    vectors = [each.embedding.vector for each in person.portraits]
    mean = np.average(vectors, axis=0, weights=[max(each.goodness, 1e-3) for each in person.portraits])
    model = person.portraits[0].embedding.model
    probe = Embedding(np.asarray(mean / np.linalg.norm(mean), np.float32), model)
    found = search(call, tools, FACES, tools.galleries.identify, probe)
    return [(line.face, similarity) for line, similarity in reached(call, tools, FACES, found)]


def _matched(
    call: Call, tools: Tools, found: Mapping[int, Sequence[tuple[Enrolled, float]]]
) -> tuple[dict[str, Any], Told]:
    """Candidates as facts of the job and for the ledger. They are kept by row: who leaves the collection, or
    is erased, is in no results from then on."""
    gallery = present(call)
    faces = [face for lines in found.values() for face, _ in lines]
    with tools.database.reading() as connection:
        ids = [face.face_id for face in faces]
        rows = {
            face.face_id: row
            for row, face in store.enrolled(connection, gallery, limit=len(ids), face_ids=ids)
        }
    matches = {
        str(number): [[rows[face.face_id], similarity] for face, similarity in lines if face.face_id in rows]
        for number, lines in found.items()
    }
    stated: render.Whose = "stated" if SUBJECTS in gallery.tags else "untagged"
    calibration = tools.vision.calibration(population(gallery))
    of = figures.of(call, tools, calibration, call.request[FACES.threshold], gallery.size, stated)
    tops = [lines[0][1] for lines in found.values() if lines]
    subjects = list(dict.fromkeys(face.subject for face in faces))
    told = Told(
        candidates=len(faces),
        top=max(tops, default=None),
        subjects=subjects[:NAMED],
        further={**of.recorded, "searches": len(found)},
    )
    facts = {"gallery": gallery.number, "matches": matches, "figures": of.member, "notes": dict(of.notes)}
    return facts, told


def _still(
    call: Call, tools: Tools, facts: Mapping[str, Any], shown: set[str]
) -> tuple[dict[str, list[render.Shape]], list[bytes]]:
    """The candidates of some people who are in the collection still; the keys of whom that lists."""
    if call.gallery is None or call.gallery.number != facts["gallery"]:
        return {}, []
    matches = {number: lines for number, lines in facts["matches"].items() if number in shown}
    wanted = list({row for lines in matches.values() for row, _ in lines})
    with tools.database.reading() as connection:
        known = store.by_rows(connection, call.gallery, wanted)
    shapes = {
        number: [
            {"Similarity": similarity, "Face": render.enrolled_face(known[row])}
            for row, similarity in lines
            if row in known
        ]
        for number, lines in matches.items()
    }
    return shapes, [face.subject for face in known.values()]


def notes(call: Call, facts: Mapping[str, Any]) -> Mapping[str, str]:
    """What AWS's shapes have no member for: how far the work is, the decision it is done under, which reviews
    name, and what of the clip could not be read."""
    job = queued.the_job(call)
    told = f"{job.state.value}; progress={job.done:.2f}; attempts={job.attempts}"
    told += "" if job.decision is None else f"; decision={job.decision}"
    notes = {"x-countenance-job": told}
    if facts.get("damaged"):
        notes["x-countenance-damaged"] = str(facts["damaged"])
    return {**facts.get("notes", {}), **notes}


def _detects(request: Request) -> tuple[Action, ...]:
    return (Action.DETECT, *photos.actions([request.get("FaceAttributes", "DEFAULT")]))


def _follows(request: Request) -> tuple[Action, ...]:
    named = (Action.IDENTIFY,) if "CollectionId" in request else ()
    return (Action.DETECT, *photos.actions(request["Attributes"]), *named)


def both(
    name: str,
    start: Callable[[Call, Tools], Commit],
    job: Callable[[Call, Tools], Commit],
    get: Callable[[Call, Tools], Done],
    **how: Any,
) -> dict[str, Operation]:
    """Start... and Get... of one kind of job: policy is asked the same of both."""
    return {
        f"Start{name}": Operation(start, job=job, **how),
        f"Get{name}": Operation(
            get, reads=f"Start{name}", **{k: v for k, v in how.items() if k != "settled"}
        ),
    }


OPERATIONS = {
    **both(
        "FaceDetection",
        queued.put_off,
        detect,
        get_detection,
        actions=_detects,
        defaults={"FaceAttributes": "DEFAULT"},
        attributes=lambda request: photos.asked([request["FaceAttributes"]]),
    ),
    **both("PersonTracking", queued.put_off, track, get_tracking, actions=always(Action.DETECT)),
    **both(
        "FaceSearch",
        start_search,
        find,
        get_search,
        actions=always(Action.IDENTIFY),
        defaults=FACES.defaults,
        settled=FACES.settled,
    ),
    **both(
        "FaceTimeline",
        start_timeline,
        follow,
        get_timeline,
        actions=_follows,
        defaults={**FACES.defaults, "Attributes": list(TIMELINE), "SamplesPerSecond": RATE},
        settled=FACES.settled,
        threshold=lambda request: request["FaceMatchThreshold"] if "CollectionId" in request else None,
        attributes=lambda request: photos.asked(request["Attributes"]),
    ),
}
