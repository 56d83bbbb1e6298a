from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from countenance.types import Box, Embedding, Face, Landmarks, Point
from countenance.vision.tracking import LOST_MS, Portrait, Sighting, Track, Tracker, people

STEP = 200


def seen(at: int, left: float, top: float = 0.4, width: float = 0.1, confidence: float = 95.0) -> Sighting:
    box = Box(left, top, width, width)
    points = Landmarks(*[Point(left, top)] * 5)
    return Sighting(at, Face(box, points, confidence))


def numbers(tracker: Tracker, *frames: Sequence[float], start: int = 0) -> list[tuple[int, ...]]:
    """The tracks of faces at those places, frame by frame."""
    return [
        tracker.add([seen(start + n * STEP, left) for left in places], start + n * STEP)
        for n, places in enumerate(frames)
    ]


def test_a_face_that_stays_is_one_track() -> None:
    tracker = Tracker()
    assert numbers(tracker, [0.3], [0.31], [0.29]) == [(0,), (0,), (0,)]
    [track] = tracker.tracks()
    assert (track.start_ms, track.end_ms, len(track.sightings)) == (0, 400, 3)


def test_two_faces_keep_their_numbers_in_whatever_order_they_are_told() -> None:
    assert numbers(Tracker(), [0.2, 0.6], [0.61, 0.21], [0.22, 0.62]) == [(0, 1), (1, 0), (0, 1)]


def test_a_face_that_moves_is_expected_further_on() -> None:
    """Faster than its width every step; another stands on its way."""
    walked = numbers(Tracker(), [0.1], [0.22], [0.34], [0.46], [0.58])
    assert walked == [(0,)] * 5
    passing = Tracker()
    numbers(passing, [0.1, 0.5], [0.25, 0.5], [0.4, 0.5])
    assert passing.add([seen(600, 0.55), seen(600, 0.5)], 600) == (0, 1)


def test_what_is_hardly_a_face_takes_no_faces_place() -> None:
    """A bowed head's hair, found above the face, when the face has moved up to where the hair was."""
    tracker = Tracker()
    tracker.add([seen(0, 0.5, top=0.50), seen(0, 0.5, top=0.44, confidence=65)], 0)
    assert tracker.add([seen(STEP, 0.5, top=0.45)], STEP) == (0,)


def test_two_that_could_both_be_it_are_new() -> None:
    assert numbers(Tracker(), [0.5], [0.38, 0.62]) == [(0,), (1, 2)]


def test_one_much_larger_is_another() -> None:
    tracker = Tracker()
    tracker.add([seen(0, 0.3)], 0)
    assert tracker.add([seen(STEP, 0.45, width=0.3)], STEP) == (1,)


def test_a_cut_ends_all_tracks() -> None:
    tracker = Tracker()
    tracker.add([seen(0, 0.3)], 0)
    assert tracker.add([seen(STEP, 0.3)], STEP, cut=True) == (1,)


def test_a_face_may_be_missed_for_a_while() -> None:
    assert numbers(Tracker(), [0.3], [], [], [0.3])[-1] == (0,)
    tracker = Tracker()
    tracker.add([seen(0, 0.3)], 0)
    assert tracker.add([seen(LOST_MS + 1, 0.3)], LOST_MS + 1) == (1,)


@pytest.mark.parametrize(("alike", "number"), [(True, 0), (False, 1)])
def test_likeness_decides_where_places_leave_doubt(alike: bool, number: int) -> None:
    asked = []

    def like(place: int, track: int) -> bool:
        asked.append((place, track))
        return alike

    for frames in ([[0.3], [0.5]], [[0.3], [], [0.3]]):  # it jumped; it was missed
        tracker = Tracker(like)
        assert numbers(tracker, *frames)[-1] == (number,)
    tracker = Tracker(like)
    tracker.add([seen(0, 0.3)], 0)
    assert tracker.add([seen(STEP, 0.3)], STEP, doubt=True) == (number,)
    assert set(asked) == {(0, 0)}


def test_likeness_is_not_asked_where_nothing_is_in_doubt() -> None:
    def never(place: int, track: int) -> bool:
        raise AssertionError

    numbers(Tracker(never), [0.3, 0.7], [0.32, 0.7], [0.34, 0.71])


def track(number: int, start: int, confidence: float = 95.0, count: int = 3) -> Track:
    return Track(number, tuple(seen(start + n * STEP, 0.3, confidence=confidence) for n in range(count)))


def portrait(*vector: float, goodness: float = 0.8) -> Portrait:
    unit = np.array(vector, np.float32)
    return Portrait(goodness, Embedding(unit / np.linalg.norm(unit), "fake-1"))


ANNA, BEN = portrait(1, 0, 0), portrait(0, 1, 0)


def joined(portraits: dict[int, list[Portrait]], *tracks: Track, least: float = 0.5) -> list[list[int]]:
    found = people(tracks, portraits, least)
    assert [person.number for person in found] == list(range(len(found)))
    return [[each.number for each in person.appearances] for person in found]


def test_who_returns_is_the_same_person() -> None:
    told = joined({0: [ANNA], 1: [BEN], 2: [ANNA]}, track(0, 0), track(1, 1000), track(2, 2000))
    assert told == [[0, 2], [1]]


def test_two_in_one_frame_are_two_people_however_alike() -> None:
    assert joined({0: [ANNA], 1: [ANNA]}, track(0, 0), track(1, 200)) == [[0], [1]]


def test_two_groups_that_overlap_anywhere_are_not_joined() -> None:
    """1 is like both, which are seen together."""
    near = portrait(0.95, 0.05, 0)
    told = joined({0: [ANNA], 1: [ANNA], 2: [near]}, track(0, 0), track(1, 1000), track(2, 0))
    assert told == [[0, 1], [2]]


def test_the_most_alike_are_joined_first() -> None:
    between = portrait(0.8, 0.6, 0)
    told = joined(
        {0: [ANNA], 1: [between], 2: [portrait(0.75, 0.66, 0)]},
        *(track(n, 1000 * n) for n in range(3)),
        least=0.9,
    )
    assert told == [[0], [1, 2]]


def test_faces_seen_badly_are_joined_to_nobody() -> None:
    bad = portrait(1, 0, 0, goodness=0.2)
    assert joined({0: [bad], 1: [bad], 2: []}, track(0, 0), track(1, 1000), track(2, 2000)) == [[0], [1], [2]]


def test_a_face_never_surely_seen_is_nobody() -> None:
    assert joined({}, track(0, 0, confidence=79.0), track(1, 1000)) == [[1]]


def test_a_person_has_all_sightings_in_order_and_the_best_portrait_first() -> None:
    better = portrait(1, 0.1, 0, goodness=0.9)
    [person] = people([track(0, 0), track(1, 1000)], {0: [ANNA], 1: [better]}, 0.5)
    assert [each.timestamp_ms for each in person.sightings] == [0, 200, 400, 1000, 1200, 1400]
    assert person.portraits == (better, ANNA)
    assert person.embeddings[0] is better.embedding


def test_many_tracks() -> None:
    random = np.random.default_rng(0)
    centres = random.standard_normal((20, 64))
    tracks = [track(number, number * 1000) for number in range(400)]
    portraits = {
        number: [portrait(*(centres[number % 20] + 0.3 * random.standard_normal(64)))]
        for number in range(400)
    }
    found = people(tracks, portraits, 0.5)
    assert [{each.number % 20 for each in person.appearances} for person in found] == [{n} for n in range(20)]


def test_a_star_of_a_thousand_shots_is_one_person_soon() -> None:
    """Comparing every pair after each joining, this took minutes; and nobody was told meanwhile."""
    random = np.random.default_rng(0)
    shots = {number: [portrait(1, *random.normal(0, 0.1, 7))] for number in range(1000)}
    told: list[int] = []
    begun = time.process_time()
    found = people([track(number, number * 1000) for number in shots], shots, 0.5, lambda: told.append(1))
    assert time.process_time() - begun < 10
    assert [len(each.appearances) for each in found] == [1000]
    assert len(told) == 999


@given(
    some.lists(
        some.tuples(
            some.integers(0, 20),
            some.tuples(*[some.floats(-1, 1)] * 3).filter(lambda vector: np.linalg.norm(vector) > 0.1),
        ),
        max_size=12,
    )
)
def test_who_is_joined_first_is_as_if_all_pairs_were_compared(
    tracks: list[tuple[int, tuple[float, float, float]]],
) -> None:
    """Against the plain way: each time the two nearest groups of all that may be joined."""
    least = 0.3
    shots = [track(number, start * 200) for number, (start, _) in enumerate(tracks)]
    portraits = {number: [portrait(*vector)] for number, (_, vector) in enumerate(tracks)}
    groups = [([one], portraits[one.number][0].embedding.vector * 0.8) for one in shots]
    while True:
        near = [
            (float(one[1] @ other[1]) / float(np.linalg.norm(one[1]) * np.linalg.norm(other[1])), one, other)
            for one, other in itertools.combinations(groups, 2)
            if np.linalg.norm(one[1]) > 1e-6
            and np.linalg.norm(other[1]) > 1e-6
            and not any(a.start_ms <= b.end_ms and b.start_ms <= a.end_ms for a in one[0] for b in other[0])
        ]
        near.sort(key=lambda each: -each[0])
        assume(all(abs(one[0] - other[0]) > 1e-4 for one, other in itertools.pairwise(near)))
        assume(all(abs(each[0] - least) > 1e-4 for each in near))
        if not near or near[0][0] < least:
            break
        _, one, other = near[0]
        groups = [each for each in groups if each is not one and each is not other]
        groups.append(([*one[0], *other[0]], one[1] + other[1]))
    expected = sorted(sorted(each.number for each in group) for group, _ in groups)
    assert sorted(map(sorted, joined(portraits, *shots, least=least))) == expected
