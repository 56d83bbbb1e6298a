"""A clip looked at through the senses: every face of every sampled frame, followed, described and told apart.

What a person's face shows is read at every sample; who it is like, and what does not change within a minute
(age, gender, hair, glasses), is read off a track's best faces only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from statistics import median
from typing import Final

from countenance.types import Attribute, Embedding
from countenance.vision import Vision
from countenance.vision.tracking import Person, Sighting, Tracker, people
from countenance.vision.video import Clip, ClipFacts

RATE: Final = 5.0
"""Frames a second that are looked at unless somebody asks for more or fewer."""

Progress = Callable[[int], None]
"""Told the timestamp_ms reached; what it raises ends the watching (a cancelled job, say)."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What was seen of a clip. frames: timestamps (ms) of all frames looked at. step_ms: usually between two.

    damaged: packets and frames that could not be decoded.
    """

    facts: ClipFacts
    people: tuple[Person, ...]
    frames: tuple[int, ...]
    damaged: int

    @property
    def step_ms(self) -> int:
        """Milliseconds from a frame that was looked at to the next, usually."""
        steps = [after - before for before, after in zip(self.frames, self.frames[1:], strict=False)]
        return round(median(steps)) if steps else 1000


def watch(
    vision: Vision,
    clip: Clip,
    asked: Collection[Attribute] | None = (),
    *,
    rate: float = RATE,
    least: float | None = None,
    progress: Progress = lambda _: None,
) -> Watched:
    """Everybody seen in a clip, by first sight.

    asked: attributes to read of each face; None for no description at all. least: the cosine at which two
    tracks are joined to one person; None leaves every track a person of its own and embeds nobody.
    Raises ModelError, and what `progress` raises.
    """
    tracker, times = Tracker(), []
    embeddings: dict[int, list[Embedding]] = {}
    for frame in clip.frames(rate):
        faces = vision.detect(frame.image)
        told = vision.describe(frame.image, faces, asked) if asked is not None else [None] * len(faces)
        seen = [Sighting(frame.timestamp_ms, face, each) for face, each in zip(faces, told, strict=True)]
        numbers = tracker.add(frame.timestamp_ms, seen)
        if least is not None:
            for number, embedding in zip(numbers, vision.embed(frame.image, faces), strict=True):
                embeddings.setdefault(number, []).append(embedding)
        times.append(frame.timestamp_ms)
        progress(frame.timestamp_ms)
    found = people(tracker.tracks(), embeddings, 2.0 if least is None else least)
    return Watched(clip.facts, tuple(found), tuple(times), clip.damaged)
