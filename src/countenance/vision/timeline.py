"""What a person's face shows over time: when it is there, which expression leads, each sample smoothed. Pure.

Smoothing: a value at a sample is the mean of the samples around it, weighted by a Gaussian of their distance
in time (SIGMA_MS), over one interval of presence. So expressions keep their sum of 100, a single odd sample
counts for two fifths, and a change at one moment takes about 400 ms. Angles are not smoothed.

A gap is never filled: a moment is a sample in which the face was seen. Presence runs on over PAUSE_MS without
a sighting (a hand before the face); bands do not.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from countenance.types import Attribute, Box, Description, Pose, Trait
from countenance.vision.tracking import Person, Sighting

SIGMA_MS: Final = 200.0
PAUSE_MS: Final = 500
"""The longest time between two sightings that is still one interval of presence."""

MISSED: Final = 1.5
"""Steps between two sightings from which one was missed: variable frame rates are uneven by less."""

UNCLEAR: Final = "UNKNOWN"
"""Rekognition's word for an expression that is not told: a face turned away, in the dark, or in between."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ms` up to `end_ms`."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch in which one expression leads, or none does. kind: its name, or UNCLEAR.

    confidence: percent, the mean of the likeliest of its samples.
    """

    span: Span
    kind: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample, smoothed. emotions: percent by name, the likeliest first; empty where none was read.

    smile, mouth_open, eyes_open: percent that it is so; None where not read. pose: degrees.
    """

    timestamp_ms: int
    box: Box
    emotions: Mapping[str, float]
    smile: float | None
    mouth_open: float | None
    eyes_open: float | None
    pose: Pose | None

    @property
    def leading(self) -> str:
        """What is likelier than all other expressions together, else UNCLEAR; "" where none was read."""
        kind, percent = next(iter(self.emotions.items()), ("", 100.0))
        return kind if percent > 50 else UNCLEAR


@dataclass(frozen=True, slots=True)
class Timeline:
    """One person's. number: as Person's."""

    number: int
    presence: tuple[Span, ...]
    moments: tuple[Moment, ...]
    bands: tuple[Band, ...]


def timeline(person: Person, step_ms: int, tell: Callable[[], None] = lambda: None) -> Timeline:
    """A person's timeline. step_ms: usually between two frames that were looked at.

    tell: called at each sample; what it raises ends the work.
    """
    intervals = _intervals(person.sightings, max(PAUSE_MS, MISSED * step_ms))
    smoothed = [_smoothed(interval, tell) for interval in intervals]
    return Timeline(
        person.number,
        tuple(Span(each[0].timestamp_ms, each[-1].timestamp_ms + step_ms) for each in intervals),
        tuple(moment for moments in smoothed for moment in moments),
        tuple(band for moments in smoothed for band in _bands(moments, step_ms)),
    )


def as_json(timelines: Sequence[Timeline]) -> list[dict[str, Any]]:
    """One object a person, named and shaped as GetFaceTimeline tells it (the service model documents it)."""
    return [
        {
            "Index": each.number,
            "Presence": [_span(span) for span in each.presence],
            "Bands": [
                {**_span(band.span), "Emotion": band.kind, "Confidence": band.confidence}
                for band in each.bands
            ],
            "Samples": [_sample(moment) for moment in each.moments],
        }
        for each in timelines
    ]


def _intervals(sightings: Sequence[Sighting], longest: float) -> list[list[Sighting]]:
    """Sightings parted where more than `longest` milliseconds lie between two."""
    intervals: list[list[Sighting]] = []
    for seen in sightings:
        if intervals and seen.timestamp_ms - intervals[-1][-1].timestamp_ms <= longest:
            intervals[-1].append(seen)
        else:
            intervals.append([seen])
    return intervals


Near = Sequence[tuple[float, Description]]
"""Descriptions around a moment, each with its weight."""


def _smoothed(interval: Sequence[Sighting], tell: Callable[[], None]) -> list[Moment]:
    """Each sample among those near it: all are in order of time."""
    times = [each.timestamp_ms for each in interval]
    moments = []
    for seen in interval:
        tell()
        first = bisect_left(times, seen.timestamp_ms - 3 * SIGMA_MS)
        moments.append(_moment(seen, interval[first : bisect_right(times, seen.timestamp_ms + 3 * SIGMA_MS)]))
    return moments


def _moment(seen: Sighting, around: Sequence[Sighting]) -> Moment:
    near = [
        (math.exp(-(((each.timestamp_ms - seen.timestamp_ms) / SIGMA_MS) ** 2) / 2), each.description)
        for each in around
        if each.description is not None
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


def _emotions(near: Near) -> dict[str, float]:
    sums: dict[str, float] = {}
    whole = 0.0
    for weight, told in near:
        shown = told.traits.get(Attribute.EMOTIONS)
        if isinstance(shown, tuple):
            whole += weight
            for each in shown:
                sums[each.kind] = sums.get(each.kind, 0.0) + weight * each.confidence
    ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return {kind: total / whole for kind, total in ranked}


def _percent(near: Near, attribute: Attribute) -> float | None:
    """How probable it is that it is so, in the mean."""
    told = [
        (weight, shown.confidence if shown.value else 100 - shown.confidence)
        for weight, description in near
        if isinstance(shown := description.traits.get(attribute), Trait)
    ]
    return sum(weight * each for weight, each in told) / sum(weight for weight, _ in told) if told else None


def _bands(moments: Sequence[Moment], step_ms: int) -> list[Band]:
    """One for each run of samples in which one expression leads. It ends where the next sample begins."""
    bands: list[Band] = []
    held: list[Moment] = []
    for moment, after in zip(moments, [*moments[1:], None], strict=True):
        held.append(moment)
        follows = after is not None and after.timestamp_ms - moment.timestamp_ms <= MISSED * step_ms
        if after is not None and follows and after.leading == moment.leading:
            continue
        end = after.timestamp_ms if after is not None and follows else moment.timestamp_ms + step_ms
        if kind := moment.leading:
            mean = sum(max(each.emotions.values()) for each in held) / len(held)
            bands.append(Band(Span(held[0].timestamp_ms, end), kind, mean))
        held = []
    return bands


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
