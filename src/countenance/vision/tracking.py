"""Which faces of a clip are one face a moment later, and which tracks show one person. Pure.

A Tracker follows faces by where they are: a face goes on where it overlaps its place, or the place it was
moving to; else where it is the only one near. Where that leaves doubt it asks whether the two look alike.
people() then joins tracks by their embeddings, across cuts: whoever leaves and returns keeps a number.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from countenance.types import NO_TRAITS, Attribute, Box, Description, Embedding, Face, Trace, Vector

OVERLAP: Final = 0.3
"""Of two boxes (intersection over union), from which they can be one face a moment later."""

REACH: Final = 2.0
"""Widths that a face may have moved without overlapping: a passer-by close to the camera, in 200 ms."""

GROWTH: Final = 1.5
"""Times that a face may be as wide as before, or the other way round, where it does not overlap."""

SURE: Final = 80.0
"""Percent: whose face never reaches it is nobody. Measured: signs, hands and hair were told as 77 at most."""

SHOWN: Final = 0.25
"""Goodness from which a portrait tells people apart. Measured: from it on the mean portraits of two tracks
of one person have cosines of .61 and more, those of two people .33 and less."""

LOST_MS: Final = 1_000
"""A face not seen for longer begins a new track when it is seen again."""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One face in one frame that was looked at. description: None where nobody asked for one."""

    timestamp_ms: int
    face: Face
    description: Description | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One face followed from frame to frame, in order of time."""

    number: int
    sightings: tuple[Sighting, ...]

    @property
    def start_ms(self) -> int:
        return self.sightings[0].timestamp_ms

    @property
    def end_ms(self) -> int:
        return self.sightings[-1].timestamp_ms


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A face that was looked at closely. goodness: [0, 1], how well it shows who it is.

    traits: what of it lasts (age, gender, hair, glasses), if that was asked for.
    """

    goodness: float
    embedding: Embedding
    traits: Mapping[Attribute, Trace] = field(default_factory=lambda: NO_TRAITS)


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Tracks that show one person, in order of time. number: 0, 1, ... by first sight [Index].

    portraits: of the faces that show them best, the best first; perhaps none. In this process only, never
    stored.
    """

    number: int
    appearances: tuple[Track, ...]
    portraits: tuple[Portrait, ...] = field(default=(), repr=False)

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        """The portraits', the best first."""
        return tuple(each.embedding for each in self.portraits)

    @property
    def traits(self) -> Mapping[Attribute, Trace]:
        """What lasts, as the best portrait shows it."""
        return self.portraits[0].traits if self.portraits else NO_TRAITS

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """Of all tracks, in order of time."""
        return tuple(each for track in self.appearances for each in track.sightings)


Alike = Callable[[int, int], bool]
"""Whether the face at that place of the frame looks like that track's."""


class Tracker:
    """Follows the faces of one clip. alike: asked where faces' places leave doubt; by default they decide."""

    def __init__(self, alike: Alike = lambda _place, _number: True, lost_ms: int = LOST_MS) -> None:
        self._alike = alike
        self._lost_ms = lost_ms
        self._tracks: list[list[Sighting]] = []
        self._followed: list[int] = []
        self._sure: set[int] = set()  # tracks of what was surely a face once
        self._before = 0

    def add(
        self, sightings: Sequence[Sighting], timestamp_ms: int, *, cut: bool = False, doubt: bool = False
    ) -> tuple[int, ...]:
        """The number of the track that each sighting of the next frame belongs to, in order.

        cut: the frame begins a new scene, in which nobody stands where somebody stood. doubt: it may.
        """
        self._followed = [
            number
            for number in self._followed
            if not cut and timestamp_ms - self._tracks[number][-1].timestamp_ms <= self._lost_ms
        ]
        given = self._given(dict(enumerate(sightings)), timestamp_ms, doubt=doubt)
        for place, seen in enumerate(sightings):
            if place not in given:
                given[place] = len(self._tracks)
                self._tracks.append([])
                self._followed.append(given[place])
            self._tracks[given[place]].append(seen)
            if seen.face.confidence >= SURE:
                self._sure.add(given[place])
        self._before = timestamp_ms
        return tuple(given[place] for place in range(len(sightings)))

    def tracks(self) -> tuple[Track, ...]:
        """All tracks so far, by number: in order of their first sighting."""
        return tuple(Track(number, tuple(seen)) for number, seen in enumerate(self._tracks))

    def _given(self, sightings: dict[int, Sighting], timestamp_ms: int, *, doubt: bool) -> dict[int, int]:
        """Track by face. What is surely a face and was comes first.

        Else the hair of a bowed head, found beside the face for a while, would take the face's place.
        """
        places = {number: self._expected(number, timestamp_ms) for number in self._followed}
        surely = {place: seen for place, seen in sightings.items() if seen.face.confidence >= SURE}
        were = {number: boxes for number, boxes in places.items() if number in self._sure}
        given: dict[int, int] = {}
        for faces, tracks in ((surely, were), (sightings, places)):
            for pairs, by_place in ((_overlapping, not doubt), (_only_near, False)):
                left = {place: seen for place, seen in faces.items() if place not in given}
                free = {number: boxes for number, boxes in tracks.items() if number not in given.values()}
                for place, number in pairs(left, free).items():
                    here = self._tracks[number][-1].timestamp_ms == self._before
                    if (by_place and here) or self._alike(place, number):
                        given[place] = number
        return given

    def _expected(self, number: int, timestamp_ms: int) -> tuple[Box, Box]:
        """Where a track's face was last, and where it is now if it moves on as it did."""
        *_, last = track = self._tracks[number][-2:]
        if len(track) < 2:
            return last.face.box, last.face.box
        steps = (timestamp_ms - last.timestamp_ms) / max(1, last.timestamp_ms - track[0].timestamp_ms)
        before, now = track[0].face.box, last.face.box
        moved = Box(
            now.left + steps * (now.left + now.width / 2 - before.left - before.width / 2),
            now.top + steps * (now.top + now.height / 2 - before.top - before.height / 2),
            now.width,
            now.height,
        )
        return now, moved


def _overlapping(sightings: Mapping[int, Sighting], places: Mapping[int, Sequence[Box]]) -> dict[int, int]:
    """Track by face, the largest overlaps first."""
    pairs = [
        (max(box.overlap(seen.face.box) for box in boxes), place, number)
        for place, seen in sightings.items()
        for number, boxes in places.items()
    ]
    given: dict[int, int] = {}
    for overlap, place, number in sorted(pairs, reverse=True):
        if overlap >= OVERLAP and place not in given and number not in given.values():
            given[place] = number
    return given


def _only_near(sightings: Mapping[int, Sighting], places: Mapping[int, Sequence[Box]]) -> dict[int, int]:
    """Track by face, where each is the only one that the other can be."""
    near = [
        (place, number)
        for place, seen in sightings.items()
        for number, boxes in places.items()
        if min(_distance(box, seen.face.box) for box in boxes) <= REACH
        and 1 / GROWTH <= seen.face.box.width / boxes[0].width <= GROWTH
    ]
    faces, tracks = [place for place, _ in near], [number for _, number in near]
    return {place: number for place, number in near if faces.count(place) == tracks.count(number) == 1}


def _distance(one: Box, other: Box) -> float:
    """Between centres, in faces' widths and heights."""
    x = (one.left + one.width / 2 - other.left - other.width / 2) * 2 / (one.width + other.width)
    y = (one.top + one.height / 2 - other.top - other.height / 2) * 2 / (one.height + other.height)
    return math.hypot(x, y)


def people(
    tracks: Sequence[Track],
    portraits: Mapping[int, Sequence[Portrait]],
    least: float,
    tell: Callable[[], None] = lambda: None,
) -> list[Person]:
    """Tracks joined to people, by first sight: the two groups most alike first, and again.

    A track without a portrait from SHOWN on is joined to nobody. One whose face never reaches SURE is no
    person: a sign, a hand.

    portraits: of each track, by its number. least: the cosine (over 0) of two groups' mean embeddings from
    which they are one person, unless they are seen at one time. tell: called at each step; what it raises
    ends the work.
    """
    sure = [track for track in tracks if any(each.face.confidence >= SURE for each in track.sightings)]
    groups = _Groups(sure, portraits, least)
    while (pair := groups.closest()) is not None:
        groups.join(*pair)
        tell()
    found = sorted(
        [sorted(group.tracks, key=lambda track: track.start_ms) for group in groups.alive.values()],
        key=lambda each: each[0].number,
    )
    return [Person(number, tuple(each), _best(each, portraits)) for number, each in enumerate(found)]


def _best(tracks: Sequence[Track], portraits: Mapping[int, Sequence[Portrait]]) -> tuple[Portrait, ...]:
    every = [each for track in tracks for each in portraits.get(track.number, ())]
    return tuple(sorted(every, key=lambda portrait: -portrait.goodness))


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """likeness: the sum of good portraits by their goodness; None where there is none.

    times: a bit for each stretch of time in which one of the tracks is followed.
    """

    tracks: tuple[Track, ...]
    likeness: Vector | None
    times: int


class _Groups:
    """Groups of tracks by number, and which two are to be joined next.

    Each group that can be joined knows the nearest of those that were there when it last asked. One that came
    later knows of it. So the nearest pair of all is at hand, and no step compares all pairs.
    """

    def __init__(
        self, tracks: Sequence[Track], portraits: Mapping[int, Sequence[Portrait]], least: float
    ) -> None:
        self.alive: dict[int, _Group] = {}
        self._least = max(least, 1e-6)  # under it lie those who are gone
        self._count = 0
        self._directions: Vector | None = None  # a row for each group there ever was; of those gone, zeros
        self._nearest: list[tuple[float, int, int]] = []  # (cosine turned around, one, other)
        self._most = 2 * len(tracks)
        instants = sorted({at for track in tracks for at in (track.start_ms, track.end_ms)})
        place = {at: number for number, at in enumerate(instants)}
        for track in tracks:
            first, last = place[track.start_ms], place[track.end_ms]
            likeness = _likeness(portraits.get(track.number, ()))
            self._add(_Group((track,), likeness, (1 << last + 1) - (1 << first)))

    def closest(self) -> tuple[int, int] | None:
        """The two groups most alike that can be one person; None where no two are."""
        while self._nearest:
            _, one, other = heapq.heappop(self._nearest)
            if one in self.alive and other in self.alive:
                return one, other
            if one in self.alive:
                self._ask(one)
        return None

    def join(self, one: int, other: int) -> None:
        first, second = self.alive.pop(one), self.alive.pop(other)
        assert first.likeness is not None
        assert second.likeness is not None
        assert self._directions is not None
        self._directions[[one, other]] = 0
        likeness = first.likeness + second.likeness
        self._add(_Group((*first.tracks, *second.tracks), likeness, first.times | second.times))

    def _add(self, group: _Group) -> None:
        number, self._count = self._count, self._count + 1
        self.alive[number] = group
        if group.likeness is None:
            return
        if self._directions is None:
            self._directions = np.zeros((self._most, len(group.likeness)), np.float32)
        self._directions[number] = group.likeness / max(float(np.linalg.norm(group.likeness)), 1e-9)
        self._ask(number)

    def _ask(self, number: int) -> None:
        """Which group is nearest to one, of those that were there before."""
        assert self._directions is not None
        cosines = self._directions[: self._count] @ self._directions[number]
        cosines[number] = 0
        while cosines[other := int(cosines.argmax())] >= self._least:
            if not self.alive[number].times & self.alive[other].times:
                heapq.heappush(self._nearest, (-float(cosines[other]), number, other))
                return
            cosines[other] = 0


def _likeness(portraits: Sequence[Portrait]) -> Vector | None:
    good = [each.goodness * each.embedding.vector for each in portraits if each.goodness >= SHOWN]
    return np.asarray(np.sum(good, axis=0), np.float32) if good else None
