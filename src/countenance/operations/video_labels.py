"""What stored video shows: Start/GetLabelDetection, frame by frame, or in segments.

Each label of each frame is a line, kept in the order of time and in that of names, and so is each segment: a
reading sorts nothing. What the order of names needs is held while the job runs, some 70 bytes a line.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from countenance.leases import Lease, TooMuch
from countenance.ledger import Told
from countenance.operations import Call, Commit, Done, Tools, always, extras, queued, render
from countenance.operations.labels import MOST, Filters, wanted
from countenance.operations.videos import both, metadata, notes, opened, share
from countenance.results import Finding, Order
from countenance.types import Action, Box, Instance, Label
from countenance.vision import watching
from countenance.vision.segments import Segment, Segments

CONFIDENCE: Final = 50.0
"""The least Confidence of a job that names none (Rekognition's, percent; of a photo it is 55)."""

MOST_SEEN: Final = 5_000_000
"""Labels of all frames of a clip: six hours with forty-six a frame. They hold some 350 MB."""

PLACES: Final = 5
"""Decimals of a percent and of a box's numbers that are kept: a hundredth of a pixel of 1,000."""


USUALLY: Final = {"SortBy": "TIMESTAMP", "AggregateBy": "TIMESTAMPS"}
"""How a reading that does not say is told (Rekognition's)."""


@dataclass(frozen=True, slots=True)
class _Column:
    """All lines of one label, without the objects that Python would make of them. ends: where each one's text
    does."""

    times: array[int] = field(default_factory=lambda: array("q"))
    confidences: array[float] = field(default_factory=lambda: array("d"))
    ends: array[int] = field(default_factory=lambda: array("q"))
    text: bytearray = field(default_factory=bytearray)


class _Names:
    """The lines of a clip, to be read by name and then the most probable first."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._columns)

    def add(self, label: Label, line: Finding) -> None:
        """Raises TooMuch."""
        self._count += 1
        if self._count > MOST_SEEN:
            raise TooMuch(
                f"it found more than {MOST_SEEN:,} labels: start it with a higher MinConfidence, with "
                "filters, or for a shorter clip"
            )
        column = self._columns.setdefault(label.name, _Column())
        column.times.append(line.at)
        column.confidences.append(round(label.confidence, PLACES))
        column.text.extend(line.body.encode())
        column.ends.append(len(column.text))

    def lines(self) -> Iterator[Finding]:
        for _, column in sorted(self._columns.items()):
            chances, ends = column.confidences, column.ends
            for row in sorted(range(len(ends)), key=lambda row: -chances[row]):
                start = ends[row - 1] if row else 0
                yield Finding(column.times[row], column.text[start : ends[row]].decode())


def start(call: Call, tools: Tools) -> Commit:
    """Queue a clip, where there are weights to label it with."""
    _needed(call, tools)
    return queued.put_off(call, tools)


def _needed(call: Call, tools: Tools) -> None:
    labeler = tools.vision.labeler
    extras.needed(call, "labels", labeler.cards if labeler else ())


def detect(call: Call, tools: Tools) -> Commit:
    """What each frame that is looked at shows, the most probable first, and from when to when."""
    _needed(call, tools)  # a worker's own machine may lack them
    request, lease = call.request, queued.held(call)
    filters = Filters.of(request.get("Settings", {}).get("GeneralLabels", {}))
    names, segments = _Names(), Segments()
    with opened(call, tools) as clip:
        for at, seen in watching.label(tools.vision, clip, meanwhile=lease.tell):
            labels = wanted(seen, filters, request["MinConfidence"], MOST)
            lines = [_line(at, label) for label in labels]
            for label, line in zip(labels, lines, strict=True):
                names.add(label, line)
            segments.add(at, labels)
            lease.tell(share(clip.facts, at), lines)
        facts = {"video": metadata(clip.facts), "damaged": clip.damaged}
    for line in names.lines():
        lease.tell(found=[line], order=Order.NAME)
    _tell(lease, segments.all())
    facts |= {"model": tools.vision.label_model, "notes": dict(render.unknown_filters(filters.unknown))}
    return queued.finished(call, facts, Told(further={"labels": len(names)}))


def _tell(lease: Lease, segments: Sequence[Segment]) -> None:
    """Segments by their start, and by name, the most probable first."""
    for each in segments:
        lease.tell(found=[_stretch(each)], order=Order.SEGMENTS)
    for each in sorted(segments, key=lambda each: (each.name, -each.confidence)):
        lease.tell(found=[_stretch(each)], order=Order.SEGMENTS_BY_NAME)


def _line(at: int, label: Label) -> Finding:
    boxes = [
        [round(each, PLACES) for each in (box.left, box.top, box.width, box.height, instance.confidence)]
        for instance in label.instances
        for box in (instance.box,)
    ]
    return _finding(at, [label.name, round(label.confidence, PLACES), boxes])


def _stretch(segment: Segment) -> Finding:
    return _finding(segment.start_ms, [segment.name, round(segment.confidence, PLACES), segment.end_ms])


def _finding(at: int, told: Sequence[Any]) -> Finding:
    return Finding(at, json.dumps(told, separators=(",", ":")))


def get(call: Call, tools: Tools) -> Done:
    """Labels by time or by name, of frames or of segments."""
    asked = {name: call.request.get(name, usual) for name, usual in USUALLY.items()}
    line = _segment if asked["AggregateBy"] == "SEGMENTS" else _label
    answer, _, facts = queued.page(call, tools, "Labels", line)
    answer["GetRequestMetadata"] = asked
    if facts:
        answer["LabelModelVersion"] = facts["model"]
    return Done(answer, notes=notes(call, facts))


def _label(found: Finding) -> render.Shape:
    """LabelDetection of one frame."""
    name, confidence, boxes = json.loads(found.body)
    instances = tuple(Instance(Box(*box), chance) for *box, chance in boxes)
    return {"Timestamp": found.at, "Label": render.label(Label(name, confidence, instances))}


def _segment(found: Finding) -> render.Shape:
    """LabelDetection of one segment: of boxes nothing is told, as in Rekognition."""
    name, confidence, end = json.loads(found.body)
    label = render.label(Label(name, confidence))
    del label["Instances"]
    return {
        "Timestamp": found.at,
        "Label": label,
        "StartTimestampMillis": found.at,
        "EndTimestampMillis": end,
        "DurationMillis": end - found.at,
    }


OPERATIONS = both(
    "LabelDetection",
    start,
    detect,
    get,
    actions=always(Action.LABEL),
    defaults={"MinConfidence": CONFIDENCE, "Features": ["GENERAL_LABELS"]},
)
