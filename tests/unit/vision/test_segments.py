"""Labels frame by frame become stretches of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.types import Label
from countenance.vision.segments import Segment, Segments


def told(*frames: tuple[int, dict[str, float]]) -> list[Segment]:
    segments = Segments()
    for at, labels in frames:
        segments.add(at, [Label(name, confidence) for name, confidence in labels.items()])
    return segments.all()


def test_a_label_runs_from_its_first_frame_to_its_last() -> None:
    assert told((0, {}), (200, {"Dog": 60.0}), (400, {"Dog": 80.0}), (600, {})) == [
        Segment("Dog", 200, 400, 70.0)
    ]


def test_one_frame_alone_lasts_no_time() -> None:
    assert told((0, {"Dog": 60.0}), (200, {})) == [Segment("Dog", 0, 0, 60.0)]


@pytest.mark.parametrize(("again", "count"), [(400, 1), (500, 1), (501, 2), (600, 2)])
def test_a_short_gap_does_not_end_it(again: int, count: int) -> None:
    frames = [(0, {"Dog": 60.0}), (100, {}), (300, {}), (again, {"Dog": 60.0}), (2000, {})]
    assert len(told(*frames)) == count


def test_a_slow_clip_goes_on_from_frame_to_frame() -> None:
    assert told((0, {"Dog": 60.0}), (4000, {"Dog": 60.0}), (8000, {}), (12_000, {"Dog": 90.0})) == [
        Segment("Dog", 0, 4000, 60.0),
        Segment("Dog", 12_000, 12_000, 90.0),
    ]


def test_by_their_start_and_then_the_most_probable_first() -> None:
    frames = [(0, {"Cat": 60.0}), (200, {"Cat": 60.0, "Ant": 70.0, "Bee": 90.0, "Ape": 70.0})]
    assert [each.name for each in told(*frames)] == ["Cat", "Bee", "Ant", "Ape"]


@given(st.lists(st.tuples(st.integers(1, 3000), st.sets(st.sampled_from("abc"))), max_size=40))
def test_every_sighting_lies_in_one_segment_of_its_label(steps: list[tuple[int, set[str]]]) -> None:
    now, frames = 0, []
    for step, names in steps:
        now += step
        frames.append((now, dict.fromkeys(sorted(names), 50.0)))
    found = told(*frames)
    for at, labels in frames:
        for name in "abc":
            over = [each for each in found if each.name == name and each.start_ms <= at <= each.end_ms]
            assert len(over) == 1 if name in labels else len(over) <= 1
    ends = {(at, name) for at, labels in frames for name in labels}
    assert all({(each.start_ms, each.name), (each.end_ms, each.name)} <= ends for each in found)
