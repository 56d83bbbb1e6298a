"""Which frames of a covered clip a person should look at: those where a face is likeliest in view. Pure.

Each has its reasons. Faces that stay are listed in any case. Then what the detector half saw and is not
covered comes first, then faces that are no longer covered although nothing explains where they went, then
faces that were followed on weak grounds. Of a frame that is listed, all that is in view is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final

from countenance.types import Box, Face
from countenance.vision.redaction import SURE, Plan, Trail

SHARE: Final = 0.02
"""Of all frames that are listed, at most; of a clip of fewer than fifty, one. Faces that stay come on top."""

APART_MS: Final = 250
"""Between two frames that are listed for one place: what one shows, so does the other."""

LONG_MS: Final = 400
"""A face that is followed across so long a time unseen may have gone elsewhere."""

SMALL: Final = 20.0
"""Pixels across, in a frame of the size that was looked at."""

EDGE: Final = 0.02
"""Of a frame's side: a face so near it leaves or enters the picture."""

PROFILE: Final = 0.15
"""Of a face's width: where the nose is less far inside the outermost eye, the face is in profile."""


class Reason(StrEnum):
    STAYS = "STAYS"
    FAINT = "FAINT"
    BEGINS = "BEGINS"
    ENDS = "ENDS"
    GAP = "GAP"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    SMALL = "SMALL"
    PROFILE = "PROFILE"


WEIGHTS: Final = {
    Reason.STAYS: 2.0,
    Reason.FAINT: 1.0,
    Reason.ENDS: 0.5,
    Reason.BEGINS: 0.5,
    Reason.GAP: 0.3,
    Reason.LOW_CONFIDENCE: 0.3,
    Reason.PROFILE: 0.25,
    Reason.SMALL: 0.2,
}
"""How likely each means a face in view, against the others: what is not covered before what is."""


@dataclass(frozen=True, slots=True)
class Check:
    """A place to look at. at: its frame's time, milliseconds. weight: how much it matters."""

    at: int
    box: Box
    reasons: tuple[Reason, ...]
    weight: float


def checks(plan: Plan) -> list[Check]:
    """What a person should look at, in order of time: every place of the frames that are listed."""
    most = max(1, int(SHARE * len(plan.frames)))
    candidates = sorted(_candidates(plan), key=lambda check: (-check.weight, check.at))
    staying = [moment for trail in plan.trails for moment in _shown(trail)]
    listed: dict[int, list[Check]] = {}
    for each in candidates:
        near = (other for at, others in listed.items() if abs(each.at - at) < APART_MS for other in others)
        if each.at in listed:
            listed[each.at].append(each)
        elif len(listed) < most and not any(each.box.overlap(other.box) > 0 for other in near):
            listed[each.at] = [each]
    frames = {*listed, *staying}
    places = [each for each in candidates if each.at in frames]
    places += [each for at in frames for each in _staying(plan, at)]
    merged: dict[tuple[int, Box], Check] = {}
    for each in sorted(places, key=lambda check: (check.at, -check.weight)):
        first = merged.setdefault((each.at, each.box), each)
        if first is not each:
            merged[each.at, each.box] = replace(first, reasons=(*first.reasons, *each.reasons))
    return list(merged.values())


def _shown(trail: Trail) -> set[int]:
    """When a face that stays is to be looked at: first and last in view, and where it was most in doubt."""
    shown = [mark for mark in trail.marks if trail.stays(mark.at)]
    if not shown:
        return set()
    return {shown[0].at, shown[-1].at, max(shown, key=lambda mark: mark.doubt).at}


def _staying(plan: Plan, at: int) -> Iterator[Check]:
    for trail in plan.trails:
        place = trail.place(at)
        if place is not None and trail.stays(at):
            yield Check(at, place, (Reason.STAYS,), WEIGHTS[Reason.STAYS])


def _candidates(plan: Plan) -> Iterator[Check]:
    for at, face in plan.hints:
        if not _hidden(plan, at, face.box):
            yield Check(at, face.box, (Reason.FAINT,), WEIGHTS[Reason.FAINT] * face.confidence / 100)
    for trail in plan.trails:
        yield from _ends(plan, trail)
        yield from _weak(plan, trail)


def _ends(plan: Plan, trail: Trail) -> Iterator[Check]:
    """The frames in which a face is not covered yet, and no longer, unless a cut or the frame's edge says
    why."""
    first, last = trail.track.sightings[0], trail.track.sightings[-1]
    place = bisect_left(plan.frames, trail.first) - 1
    after = bisect_left(plan.frames, trail.last + 1)
    for number, seen, reason in ((place, first, Reason.BEGINS), (after, last, Reason.ENDS)):
        if not 0 <= number < len(plan.frames) or _leaves(seen.face.box):
            continue
        at = plan.frames[number]
        between = sorted((at, seen.timestamp_ms))
        if any(between[0] < cut <= between[1] for cut in plan.cuts) or _hidden(plan, at, seen.face.box):
            continue
        yield Check(at, seen.face.box, (reason,), WEIGHTS[reason] * seen.face.confidence / 100)


def _weak(plan: Plan, trail: Trail) -> Iterator[Check]:
    """The frame in which a face was seen least, and why it was."""
    seen = trail.track.sightings
    surest = max(each.face.confidence for each in seen)
    if surest < SURE:
        least = min(seen, key=lambda each: each.face.confidence)
        weight = WEIGHTS[Reason.LOW_CONFIDENCE] * (1 - surest / 100)
        yield Check(least.timestamp_ms, least.face.box, (Reason.LOW_CONFIDENCE,), weight)
    for one, other in pairwise(seen):
        if other.timestamp_ms - one.timestamp_ms > LONG_MS:
            middle = bisect_left(plan.frames, (one.timestamp_ms + other.timestamp_ms) // 2)
            yield Check(plan.frames[middle], one.face.box, (Reason.GAP,), WEIGHTS[Reason.GAP])
    smallest = min(seen, key=lambda each: each.face.box.width)
    if smallest.face.box.width * plan.width < SMALL:
        yield Check(smallest.timestamp_ms, smallest.face.box, (Reason.SMALL,), WEIGHTS[Reason.SMALL])
    averted = next((each for each in seen if in_profile(each.face)), None)
    if averted is not None:
        weight = WEIGHTS[Reason.PROFILE] * (1.5 - averted.face.confidence / 100)
        yield Check(averted.timestamp_ms, averted.face.box, (Reason.PROFILE,), weight)


def in_profile(face: Face) -> bool:
    """Whether a detector's five points tell of a face that is turned away: the nose is beside both eyes."""
    points = face.landmarks
    eyes = sorted((points.eye_left.x, points.eye_right.x))
    inside = PROFILE * face.box.width
    return not eyes[0] + inside / 2 < points.nose.x < eyes[1] - inside / 2


def _leaves(box: Box) -> bool:
    right, bottom = box.left + box.width, box.top + box.height
    return box.left < EDGE or box.top < EDGE or right > 1 - EDGE or bottom > 1 - EDGE


def _hidden(plan: Plan, at: int, box: Box) -> bool:
    """Whether the middle of a place is covered."""
    x, y = box.left + box.width / 2, box.top + box.height / 2
    return any(
        each.left <= x <= each.left + each.width and each.top <= y <= each.top + each.height
        for each in plan.at(at)
    )
