"""From labels frame by frame to stretches of time in which each is seen without a break. Pure.

A segment runs from the first to the last frame that shows the label. It goes on from one frame that was
looked at to the next, and over frames that miss the label (a turn, a blink of the network) while no more than
PAUSE_MS lie between two that show it, as a person's presence does. So what one frame alone shows lasts 0 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from countenance.types import Label
from countenance.vision.timeline import PAUSE_MS


@dataclass(frozen=True, slots=True)
class Segment:
    """confidence: percent, the mean of the frames that show the label."""

    name: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(slots=True)
class _Running:
    start_ms: int
    end_ms: int
    total: float
    frames: int


class Segments:
    """Takes frames in order; holds one running segment a label, and those that are over."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._over: list[Segment] = []
        self._before = 0  # the frame before, in milliseconds

    def add(self, timestamp_ms: int, labels: Sequence[Label]) -> None:
        """What the next frame shows; nothing, maybe."""
        for label in labels:
            running = self._running.get(label.name)
            if running is not None and running.end_ms < min(self._before, timestamp_ms - PAUSE_MS):
                self._end(label.name)
                running = None
            if running is None:
                running = self._running[label.name] = _Running(timestamp_ms, timestamp_ms, 0.0, 0)
            running.end_ms = timestamp_ms
            running.total += label.confidence
            running.frames += 1
        self._before = timestamp_ms

    def all(self) -> list[Segment]:
        """Every segment, by its start; of one moment the most probable first. Ends those that run."""
        for name in list(self._running):
            self._end(name)
        return sorted(self._over, key=lambda each: (each.start_ms, -each.confidence, each.name))

    def _end(self, name: str) -> None:
        run = self._running.pop(name)
        self._over.append(Segment(name, run.start_ms, run.end_ms, run.total / run.frames))
