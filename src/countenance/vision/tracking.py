"""Faces of one frame told to be those of the frame before, and tracks that are joined across cuts. Pure.

A Tracker follows faces by where they are; people() then joins tracks that show one person by their
embeddings: whoever leaves and returns keeps a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from countenance.types import Description, Embedding, Face

OVERLAP: Final = 0.3
"""Of two boxes, above which they can be one face a moment later."""

LOST_MS: Final = 1_000
"""A face not seen for so long begins a new track when it is seen again."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Tracks that show one person, in order of time. number: 0, 1, ... by first sight [Index].

    embeddings: of the faces seen best, the best first; perhaps none. In this process only, never stored.
    """

    number: int
    appearances: tuple[Track, ...]
    embeddings: tuple[Embedding, ...] = field(default=(), repr=False)

    @property
    def sightings(self) -> tuple[Sighting, ...]:
        """Of all tracks, in order of time."""
        return tuple(each for track in self.appearances for each in track.sightings)


class Tracker:
    """Follows the faces of one clip."""

    def __init__(self, lost_ms: int = LOST_MS) -> None:
        self._lost_ms = lost_ms
        self._tracks: list[list[Sighting]] = []
        self._followed: list[int] = []

    def add(self, timestamp_ms: int, sightings: Sequence[Sighting], *, cut: bool = False) -> tuple[int, ...]:
        """The number of the track that each sighting of the next frame belongs to, in order.

        cut: whether the frame begins a new scene, in which nobody stands where somebody stood.
        """
        self._followed = [
            number
            for number in self._followed
            if not cut and timestamp_ms - self._tracks[number][-1].timestamp_ms <= self._lost_ms
        ]
        pairs = [
            (seen.face.box.overlap(self._tracks[number][-1].face.box), place, number)
            for place, seen in enumerate(sightings)
            for number in self._followed
        ]
        given: dict[int, int] = {}
        for overlap, place, number in sorted(pairs, reverse=True):
            if overlap >= OVERLAP and place not in given and number not in given.values():
                given[place] = number
        for place, seen in enumerate(sightings):
            if place not in given:
                given[place] = len(self._tracks)
                self._tracks.append([])
                self._followed.append(given[place])
            self._tracks[given[place]].append(seen)
        return tuple(given[place] for place in range(len(sightings)))

    def tracks(self) -> tuple[Track, ...]:
        """All tracks so far, by number: in order of their first sighting."""
        return tuple(Track(number, tuple(seen)) for number, seen in enumerate(self._tracks))


def people(
    tracks: Sequence[Track], embeddings: Mapping[int, Sequence[Embedding]], least: float
) -> list[Person]:
    """Tracks joined to people, by first sight.

    embeddings: of each track's best faces, by its number. least: the cosine at which two tracks that are
    never seen at one time are one person.
    """
    groups: list[list[Track]] = []
    for track in tracks:
        mine = _mean(embeddings.get(track.number, ()))
        scores = [
            (
                _cosine(mine, _mean([each for other in group for each in embeddings.get(other.number, ())])),
                place,
            )
            for place, group in enumerate(groups)
            if not any(_together(track, other) for other in group)
        ]
        score, place = max(scores, default=(-1.0, 0))
        if score >= least:
            groups[place].append(track)
        else:
            groups.append([track])
    return [
        Person(
            number, tuple(group), tuple(each for track in group for each in embeddings.get(track.number, ()))
        )
        for number, group in enumerate(groups)
    ]


def _together(one: Track, other: Track) -> bool:
    """Whether both are seen in one frame: then they are two people."""
    seen = {each.timestamp_ms for each in one.sightings}
    return any(each.timestamp_ms in seen for each in other.sightings)


def _mean(embeddings: Sequence[Embedding]) -> np.ndarray | None:
    if not embeddings:
        return None
    mean = np.mean([each.vector for each in embeddings], axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9))


def _cosine(one: np.ndarray | None, other: np.ndarray | None) -> float:
    return -1.0 if one is None or other is None else float(one @ other)
