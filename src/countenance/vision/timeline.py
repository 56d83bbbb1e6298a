"""What a person's face shows over time, smoothed, with gaps as gaps; as JSON, CSV rows and WebVTT. Pure.

Smoothing: at each sample the mean of the samples around it, weighted by a Gaussian of their distance in time
(SIGMA_MS), over samples of the same interval of presence only. Percentages of expressions keep their sum of
100. A gap is never filled: where nobody was seen there is no value.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from countenance.types import Attribute, Box, Description, Expression, Pose, Trait
from countenance.vision.tracking import Person, Sighting

SIGMA_MS: Final = 200.0
GAP_STEPS: Final = 1.5
"""Steps between two sightings beyond which there is a gap."""
COLUMNS: Final = (
    *("person", "timestamp_ms", "emotion", "confidence", "smile", "mouth_open", "eyes_open"),
    *("yaw", "pitch", "roll", "left", "top", "width", "height"),
)
"""Of the CSV. Percent, degrees, and ratios of the frame's sides."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ms` up to `end_ms`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch in which one expression leads. confidence: percent, the mean of its samples."""

    span: Span
    kind: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Moment:
    """One smoothed sample. emotions: percent by kind, the likeliest first; empty where none was read.

    smile, mouth_open: percent that it is so; None where not read. pose: degrees.
    """

    timestamp_ms: int
    box: Box
    emotions: Mapping[str, float]
    smile: float | None
    mouth_open: float | None
    eyes_open: float | None
    pose: Pose | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """One person's. number: as Person's. name: what a candidate's face is called, None for nobody's."""

    number: int
    name: str | None
    presence: tuple[Span, ...]
    moments: tuple[Moment, ...]
    bands: tuple[Band, ...]

    @property
    def title(self) -> str:
        """The name, or "person 1" and so on."""
        return self.name or f"person {self.number + 1}"


def timeline(person: Person, step_ms: int, name: str | None = None) -> Timeline:
    """A person's timeline. step_ms: between two frames that were looked at."""
    runs = _runs(person.sightings, step_ms)
    moments = [_moments(run) for run in runs]
    return Timeline(
        person.number,
        name,
        tuple(Span(run[0].timestamp_ms, run[-1].timestamp_ms + step_ms) for run in runs),
        tuple(moment for run in moments for moment in run),
        tuple(band for run in moments for band in _bands(run, step_ms)),
    )


def as_json(timelines: Sequence[Timeline]) -> list[dict[str, Any]]:
    """One object a person, with AWS's kind of names."""
    return [
        {
            "Index": each.number,
            **({"Name": each.name} if each.name else {}),
            "Presence": [_span(span) for span in each.presence],
            "Bands": [
                {**_span(band.span), "Emotion": band.kind, "Confidence": band.confidence}
                for band in each.bands
            ],
            "Samples": [_sample(moment) for moment in each.moments],
        }
        for each in timelines
    ]


def as_csv(timelines: Sequence[Timeline]) -> str:
    """One row a person and sample."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(COLUMNS)
    for each in timelines:
        for moment in each.moments:
            rows.writerow([_plain(each.title), *_cells(moment)])
    return stream.getvalue()


def as_webvtt(timelines: Sequence[Timeline]) -> str:
    """One cue a band: "person 1: happy 93 %"; one a presence where no expression was read."""
    cues = []
    for each in timelines:
        spans = {band.span: f": {band.kind.lower()} {band.confidence:.0f} %" for band in each.bands}
        if not each.bands:
            spans = dict.fromkeys(each.presence, "")
        cues += [(span.start_ms, span.end_ms, _cue(each.title) + text) for span, text in spans.items()]
    blocks = [f"{_clock(start)} --> {_clock(end)}\n{text}\n" for start, end, text in sorted(cues)]
    return "\n".join(["WEBVTT\n", *blocks])


def _runs(sightings: Sequence[Sighting], step_ms: int) -> list[list[Sighting]]:
    """Sightings without a gap between them."""
    runs: list[list[Sighting]] = []
    for seen in sightings:
        if runs and seen.timestamp_ms - runs[-1][-1].timestamp_ms <= GAP_STEPS * step_ms:
            runs[-1].append(seen)
        else:
            runs.append([seen])
    return runs


def _moments(run: Sequence[Sighting]) -> list[Moment]:
    return [_moment(run, place) for place in range(len(run))]


def _moment(run: Sequence[Sighting], place: int) -> Moment:
    seen = run[place]
    near = [
        (math.exp(-(((each.timestamp_ms - seen.timestamp_ms) / SIGMA_MS) ** 2) / 2), each.description)
        for each in run
        if each.description is not None and abs(each.timestamp_ms - seen.timestamp_ms) <= 3 * SIGMA_MS
    ]
    return Moment(
        seen.timestamp_ms,
        seen.face.box,
        _emotions(near),
        _percent(near, Attribute.SMILE),
        _percent(near, Attribute.MOUTH_OPEN),
        _percent(near, Attribute.EYES_OPEN),
        seen.description.pose if seen.description else None,
    )


Near = Sequence[tuple[float, Description]]


def _emotions(near: Near) -> dict[str, float]:
    sums: dict[str, float] = {}
    whole = 0.0
    for weight, told in near:
        shown = told.traits.get(Attribute.EMOTIONS)
        if isinstance(shown, tuple):
            whole += weight
            for each in shown:
                assert isinstance(each, Expression)
                sums[each.kind] = sums.get(each.kind, 0.0) + weight * each.confidence
    ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return {kind: total / whole for kind, total in ranked}


def _percent(near: Near, attribute: Attribute) -> float | None:
    """How probable it is that it is so, in the mean."""
    sure = [
        (weight, shown.confidence if shown.value else 100 - shown.confidence)
        for weight, told in near
        if isinstance(shown := told.traits.get(attribute), Trait)
    ]
    return sum(weight * each for weight, each in sure) / sum(weight for weight, _ in sure) if sure else None


def _bands(run: Sequence[Moment], step_ms: int) -> list[Band]:
    bands: list[Band] = []
    held: list[Moment] = []
    for moment in [*run, None]:
        if held and (moment is None or _leading(moment) != _leading(held[0])):
            kind = _leading(held[0])
            end = held[-1].timestamp_ms + step_ms if moment is None else moment.timestamp_ms
            if kind:
                mean = sum(each.emotions[kind] for each in held) / len(held)
                bands.append(Band(Span(held[0].timestamp_ms, end), kind, mean))
            held = []
        if moment is not None:
            held.append(moment)
    return bands


def _leading(moment: Moment) -> str:
    return next(iter(moment.emotions), "")


def _span(span: Span) -> dict[str, int]:
    return {"StartTimestampMillis": span.start_ms, "EndTimestampMillis": span.end_ms}


def _sample(moment: Moment) -> dict[str, Any]:
    box = moment.box
    told: dict[str, Any] = {
        "Timestamp": moment.timestamp_ms,
        "BoundingBox": {"Left": box.left, "Top": box.top, "Width": box.width, "Height": box.height},
        "Emotions": [{"Type": kind, "Confidence": percent} for kind, percent in moment.emotions.items()],
    }
    shown = {"Smile": moment.smile, "MouthOpen": moment.mouth_open, "EyesOpen": moment.eyes_open}
    told |= {name: percent for name, percent in shown.items() if percent is not None}
    if moment.pose is not None:
        told["Pose"] = {"Yaw": moment.pose.yaw, "Pitch": moment.pose.pitch, "Roll": moment.pose.roll}
    return told


def _cells(moment: Moment) -> list[object]:
    kind = _leading(moment)
    pose, box = moment.pose, moment.box
    angles = [pose.yaw, pose.pitch, pose.roll] if pose else [None] * 3
    percents = [moment.emotions.get(kind), moment.smile, moment.mouth_open, moment.eyes_open]
    ratios = [round(each, 4) for each in (box.left, box.top, box.width, box.height)]
    first, *others = [None if each is None else round(each, 1) for each in [*percents, *angles]]
    return [moment.timestamp_ms, kind, first, *others, *ratios]


def _plain(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name


def _cue(name: str) -> str:
    """A name as WebVTT writes it."""
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
