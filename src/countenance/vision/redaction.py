"""Which faces of a photo or clip are to be covered, where in each frame, and what a person should check.

Whatever may be a face is covered unless it is known to be somebody who stays. A clip is read through once
for this: so many frames a second are looked at, with a lower bar and by more looks than elsewhere, and faces
are followed between them. A face is covered from before it is first found until after it is last found, and
between two sightings over all that lies between its two places, so that none flickers into view.
"""

from __future__ import annotations

import itertools
import math
from array import array
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from av.video.frame import VideoFrame

from countenance.errors import VideoError
from countenance.types import Box, Embedding, Face, Image
from countenance.vision import Vision
from countenance.vision.covering import around, widened
from countenance.vision.runtime import default_threads
from countenance.vision.tracking import OVERLAP, Sighting, Track, Tracker
from countenance.vision.video import Clip
from countenance.vision.watching import CHANGED, CUT, LIT, MOST, Grey, resemblance, thumbnail

RATE: Final = 8.0
"""Frames a second that faces are looked for in (docs/redaction.md has what fewer leave uncovered)."""

CANVAS: Final = 1280
"""Side in pixels of the closest look at a frame, as where clips are watched; a photo's is closer."""

FAINT: Final = 25.0
"""Confidence, percent, from which something is followed that may be a face."""

TOLD: Final = 60.0
"""Confidence that covers whatever reaches it once, for as long as it is followed (elsewhere too, a face is
told from here on)."""

LASTING: Final = 3, 40.0
"""Sightings, and the confidence of each, that cover what never reaches TOLD: what lasts is seldom nothing."""

LEAD_MS: Final = 500
"""A face is covered so long before it is first found and after it is last found, within its scene."""

BRIEF_MS: Final = 250
"""The same for what is seen but once or twice, and never surely."""

BRIDGE_MS: Final = 250
"""Between two comparisons that agree, for a face that is followed from one to the other: two looks. What lies
nearer than that without a cut is one movement; nobody takes another's place in it and gives it back."""

LEGIBLE: Final = 32.0
"""Pixels across: a smaller face is not compared with anybody."""

SURE: Final = 80.0
"""Confidence from which a face is compared with somebody, and nobody is asked to check it."""

TURNED: Final = 60.0
"""Degrees from which a face says too little of whose it is."""

BETWEEN: Final = 4
"""Frames between two looks that are looked at, at most, where a face comes or goes between them."""

HELD: Final = 4_000_000
"""Pixels of a frame that waits as it was decoded. A larger one is shrunk first."""

Progress = Callable[[int], None]

_Later = tuple[int, Callable[[], Image]]
"""A frame's time, and how its picture is made."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Whose faces stay, or whose alone are covered. people: one embedding of each photo of theirs.

    known: the cosine from which a face is taken for one of theirs. other: under it, it is somebody else's.
    """

    people: tuple[Embedding, ...]
    keeps: bool
    known: float
    other: float

    def nearest(self, face: Embedding) -> float:
        """The cosine with the photo that a face is most like."""
        return max(float(face.vector @ each.vector) for each in self.people)

    def let(self, nearest: float) -> bool:
        """Whether a face as near as that is not covered."""
        return nearest >= self.known if self.keeps else nearest < self.other


@dataclass(frozen=True, slots=True)
class Mark:
    """A comparison of a face that is followed with those who are named. doubt: the larger, the nearer to the
    other answer; of a face that could not be read beside another, endless."""

    at: int
    stays: bool
    doubt: float = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """A face followed through a clip. first, last: milliseconds between which it is covered."""

    track: Track
    marks: tuple[Mark, ...]
    first: int
    last: int

    def place(self, at: int) -> Box | None:
        """Where the face may be then, without margins; None where it is not followed."""
        seen = self.track.sightings
        if not self.first <= at <= self.last:
            return None
        after = bisect_left(seen, at, key=lambda each: each.timestamp_ms)
        if after == len(seen):
            return _drifting(seen[:-3:-1], at)
        if seen[after].timestamp_ms == at:
            return seen[after].face.box
        if after == 0:
            return _drifting(seen[:2], at)
        return around([seen[after - 1].face.box, seen[after].face.box])

    def stays(self, at: int) -> bool:
        """Whether it is known then that it is not to be covered: it was compared in this very frame, or
        shortly before and shortly after, and not otherwise the time before."""
        after = bisect_left(self.marks, at, key=lambda mark: mark.at)
        around_it = self.marks[max(0, after - 1) : after + 1]
        if not all(mark.stays for mark in around_it):
            return False
        if after < len(self.marks) and self.marks[after].at == at:
            return True
        return len(around_it) == 2 and around_it[1].at - around_it[0].at <= BRIDGE_MS


def _drifting(nearest: Sequence[Sighting], at: int) -> Box:
    """Where a face was before it is seen, or is after: its place, and what it reaches at its speed, up to its
    own size away."""
    box = nearest[0].face.box
    if len(nearest) < 2:
        return box
    other, between = nearest[1].face.box, nearest[1].timestamp_ms - nearest[0].timestamp_ms
    steps = (at - nearest[0].timestamp_ms) / between
    if abs(between) > LEAD_MS:
        return box
    x = steps * (other.left + other.width / 2 - box.left - box.width / 2)
    y = steps * (other.top + other.height / 2 - box.top - box.height / 2)
    x, y = (min(max(by, -side), side) for by, side in ((x, box.width), (y, box.height)))
    return around([box, Box(box.left + x, box.top + y, box.width, box.height)])


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is covered of a clip. frames: the times of all of them (ms). hints: what may be a face still, by
    the time of its frame. cuts: times of frames that begin a scene."""

    frames: Sequence[int]
    trails: tuple[Trail, ...]
    hints: tuple[tuple[int, Face], ...]
    cuts: tuple[int, ...]
    width: int
    _by_second: Mapping[int, Sequence[Trail]] = field(repr=False)

    def at(self, moment: int) -> list[Box]:
        """What is covered in the frame of that time, margins included."""
        places = [
            each.place(moment) for each in self._by_second.get(moment // 1000, ()) if not each.stays(moment)
        ]
        return [widened(place) for place in places if place is not None]


def survey(vision: Vision, clip: Clip, chosen: Chosen | None, progress: Progress, rate: float = RATE) -> Plan:
    """Read a clip through and find what is to be covered.

    chosen: whose faces stay or alone are covered; None covers everybody. rate: frames a second looked at.
    Raises VideoError for a damaged clip or one with too many faces to hold, ModelError, and what `progress`
    raises.
    """
    following = _Following(vision, chosen)
    frames, seen = array("q"), 0
    for look in _looks(vision, clip, frames, rate):
        following.add(look)
        seen += len(look.faces)
        if seen > MOST:
            raise VideoError(f"more than {MOST:,} faces; nothing is written: redact parts of the clip")
        progress(look.at)
    trails, hints = [], []
    for track in following.tracker.tracks():
        if covers(track):
            trails.append(following.trail(track))
        else:
            hints += [(each.timestamp_ms, each.face) for each in track.sightings]
    by_second = defaultdict(list)
    for trail in trails:
        for second in range(trail.first // 1000, trail.last // 1000 + 1):
            by_second[second].append(trail)
    width = min(clip.facts.width, clip.working)
    return Plan(
        frames,
        tuple(trails),
        tuple(hints),
        tuple(following.times[cut] for cut in following.cuts),
        width,
        by_second,
    )


def covers(track: Track) -> bool:
    """Whether what was followed is taken for a face."""
    often, least = LASTING
    told = [each.face.confidence for each in track.sightings]
    return max(told) >= TOLD or sum(each >= least for each in told) >= often


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    at: int
    image: Image
    faces: tuple[Face, ...]
    thumbnail: Grey


def _looks(vision: Vision, clip: Clip, frames: array[int], rate: float) -> Iterator[_Look]:
    """Looks at so many frames a second, in order, several at once; and where a face comes, goes or leaps
    between two of them, at those between. frames: gets the time of every frame."""

    def look(at: int, picture: Callable[[], Image]) -> _Look:
        image = picture()
        return _Look(at, image, vision.sweep(image, FAINT, CANVAS), thumbnail(image))

    threads, before = default_threads(), None
    with ThreadPoolExecutor(threads, thread_name_prefix="looking") as pool:
        waiting: deque[tuple[Sequence[_Later], Future[_Look]]] = deque()
        for later in itertools.chain(_later(clip, frames, rate), [()] * (2 * threads)):
            if later:
                waiting.append((later[:-1], pool.submit(look, *later[-1])))
            if waiting and (not later or len(waiting) >= 2 * threads):
                between, soon = waiting.popleft()
                now = soon.result()
                if before is not None and not _settled(before, now.faces):
                    yield from pool.map(lambda each: look(*each), between)
                before = now.faces
                yield now


def _later(clip: Clip, frames: array[int], rate: float) -> Iterator[Sequence[_Later]]:
    """Frames to be looked at, each behind those since the one before, of which some are left out where there
    are many. The first frame of every shot is one, however short the shot."""
    taken, since = -1, list[_Later]()
    before: Grey | None = None
    for at, frame in clip.every():
        whole(clip, at)
        frames.append(max(0, round(at * 1000)))
        since.append((frames[-1], _picture(clip, frame)))
        instant = int((frames[-1] - frames[0]) * rate / 1000 + 1e-6)
        glimpse = _glimpse(frame)
        begins = before is not None and resemblance(before, glimpse) < CHANGED
        before = glimpse
        if instant > taken or begins:
            taken = instant
            yield since[-1:] if len(since) < 2 else [*since[: -1 : -(-len(since) // BETWEEN)], since[-1]]
            since = []
        elif len(since) > 2 * BETWEEN:
            del since[::2]
    whole(clip, frames[-1] / 1000)
    if since:
        yield since


def _glimpse(frame: VideoFrame) -> Grey:
    """As thumbnail(), of a frame as it is stored: a third of a millisecond at 1080p."""
    small = frame.reformat(width=32, height=18, format="gray", interpolation="AREA").to_ndarray()
    grey = small.astype(np.float32)
    return np.asarray(grey - grey.mean())


def _picture(clip: Clip, frame: VideoFrame) -> Callable[[], Image]:
    """A frame's picture, made when it is asked for; of a large frame now, for what is kept to be small."""
    if frame.width * frame.height <= HELD:
        return lambda: clip.upright(frame)
    image = clip.upright(frame)
    return lambda: image


def _settled(before: Sequence[Face], now: Sequence[Face]) -> bool:
    """Whether each face of two looks that is told as one is in the other nearly where it was."""
    return all(
        any(face.box.overlap(other.box) >= OVERLAP for other in others)
        for faces, others in ((before, now), (now, before))
        for face in faces
        if face.confidence >= TOLD
    )


def whole(clip: Clip, seconds: object) -> None:
    """Raises VideoError once something of a clip could not be decoded: what was on it nobody knows."""
    if clip.damaged:
        raise VideoError(
            f"the clip is damaged at about {float(seconds):.1f} s; "  # type: ignore[arg-type]
            "what cannot be seen cannot be covered, so nothing is written"
        )


class _Following:
    """Follows what may be faces, and asks of those that are legible whether they stay."""

    def __init__(self, vision: Vision, chosen: Chosen | None) -> None:
        self._vision = vision
        self._chosen = chosen
        self.tracker = Tracker()
        self.marks: dict[int, list[Mark]] = defaultdict(list)
        self.cuts: list[int] = []
        self.times: list[int] = []
        self._before: Grey | None = None

    def add(self, look: _Look) -> None:
        same = 1.0 if self._before is None else resemblance(self._before, look.thumbnail)
        self._before = look.thumbnail
        if same < CUT:
            self.cuts.append(len(self.times))
        self.times.append(look.at)
        seen = [Sighting(look.at, face) for face in look.faces]
        numbers = self.tracker.add(seen, look.at, cut=same < CUT)
        if self._chosen is not None:
            self._compare(look, numbers, self._chosen)

    def trail(self, track: Track) -> Trail:
        """A track with its lead on both sides, as far as its scene goes: a cut lies between two looks."""
        surest = max(each.face.confidence for each in track.sightings)
        lead = LEAD_MS if surest >= SURE or len(track.sightings) >= LASTING[0] else BRIEF_MS
        first, last = track.start_ms - lead, track.end_ms + lead
        for cut in self.cuts:
            if self.times[cut] <= track.start_ms:
                first = max(first, self.times[cut - 1])
            else:
                last = min(last, self.times[cut])
                break
        return Trail(track, tuple(self.marks[track.number]), first, last)

    def _compare(self, look: _Look, numbers: Sequence[int], chosen: Chosen) -> None:
        """A mark of each face that can be read. One that cannot, beside another, may be anybody: it is no
        longer known who is followed."""
        answers = judged(self._vision, look.image, look.faces, chosen)
        for place, (face, nearest) in enumerate(zip(look.faces, answers, strict=True)):
            marks = self.marks[numbers[place]]
            others = (other for rank, other in enumerate(look.faces) if rank != place)
            if nearest is not None:
                doubt = -nearest if chosen.keeps else nearest
                marks.append(Mark(look.at, chosen.let(nearest), doubt))
            elif any(_touch(face.box, other.box) for other in others):
                marks.append(Mark(look.at, stays=False))


def judged(vision: Vision, image: Image, faces: Sequence[Face], chosen: Chosen) -> list[float | None]:
    """The cosine of each face with whoever is named and most like it; None where it is too small, dark or
    turned to tell."""
    plain = [face for face in faces if face.confidence >= SURE and face.box.width * image.width >= LEGIBLE]
    described = vision.describe(image, plain)
    legible = [
        (face, told)
        for face, told in zip(plain, described, strict=True)
        if told.quality.brightness >= LIT and max(abs(told.pose.yaw), abs(told.pose.pitch)) <= TURNED
    ]
    embedded = vision.embed(image, [face for face, _ in legible], [told for _, told in legible])
    known = {id(face): chosen.nearest(each) for (face, _), each in zip(legible, embedded, strict=True)}
    return [known.get(id(face)) for face in faces]


def _touch(one: Box, other: Box) -> bool:
    """Whether two faces are so near that one may be followed as the other."""
    return widened(one).overlap(widened(other)) > 0


def in_photo(vision: Vision, image: Image, chosen: Chosen | None) -> list[tuple[Face, bool]]:
    """What may be a face in a photo, largest first, and whether it is covered. Raises ModelError."""
    sure = vision.detect(image)
    faint = vision.sweep(image, LASTING[1])
    faces = [*sure, *(face for face in faint if all(face.box.overlap(each.box) < 0.3 for each in sure))]
    faces.sort(key=lambda face: -face.box.area)
    if chosen is None:
        return [(face, True) for face in faces]
    answers = judged(vision, image, faces, chosen)
    return [(face, near is None or not chosen.let(near)) for face, near in zip(faces, answers, strict=True)]
