from __future__ import annotations

import itertools
import time
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.unit.vision.test_tracking import seen

from countenance.types import Attribute, Description, Expression, Pose, Quality, Trait
from countenance.vision.timeline import UNCLEAR, Span, as_json, timeline
from countenance.vision.tracking import Person, Sighting, Track

STEP = 200


def shown(at: int, smile: Trait | None = None, **emotions: float) -> Sighting:
    plain = seen(at, 0.3)
    traits: dict[Attribute, object] = {}
    if emotions:
        traits[Attribute.EMOTIONS] = tuple(Expression(kind, percent) for kind, percent in emotions.items())
    if smile:
        traits[Attribute.SMILE] = smile
    told = Description(
        Pose(10.0, 0.0, 0.0),
        Quality(50.0, 50.0),
        MappingProxyType({}),
        plain.face.landmarks,
        traits,  # type: ignore[arg-type]
    )
    return Sighting(at, plain.face, told)


def person(*sightings: Sighting) -> Person:
    return Person(0, (Track(0, sightings),))


def happy(at: int, percent: float) -> Sighting:
    return shown(at, HAPPY=percent, CALM=100 - percent)


def test_presence_ends_where_the_face_is_not_seen_for_long() -> None:
    line = timeline(person(*(happy(at, 90) for at in (0, 200, 400, 2000, 2200))), STEP)
    assert line.presence == (Span(0, 600), Span(2000, 2400))


def test_presence_goes_on_over_a_short_pause_and_bands_do_not() -> None:
    line = timeline(person(*(happy(at, 90) for at in (0, 200, 600, 800))), STEP)
    assert line.presence == (Span(0, 1000),)
    assert [band.span for band in line.bands] == [Span(0, 400), Span(600, 1000)]
    assert [moment.timestamp_ms for moment in line.moments] == [0, 200, 600, 800]


def test_a_change_makes_a_band_of_each() -> None:
    line = timeline(person(*(happy(at, 5 if at < 1000 else 95) for at in range(0, 2000, STEP))), STEP)
    assert [(band.kind, band.span) for band in line.bands] == [
        ("CALM", Span(0, 1000)),
        ("HAPPY", Span(1000, 2000)),
    ]
    assert all(80 < band.confidence < 95 for band in line.bands)


def test_one_odd_sample_is_smoothed_away() -> None:
    line = timeline(person(*(happy(at, 95 if at == 1000 else 5) for at in range(0, 2200, STEP))), STEP)
    assert [band.kind for band in line.bands] == ["CALM"]


def test_nothing_is_smoothed_across_a_gap() -> None:
    line = timeline(person(happy(0, 0), happy(200, 0), happy(1000, 100), happy(1200, 100)), STEP)
    assert [moment.emotions["HAPPY"] for moment in line.moments] == [0, 0, 100, 100]


def test_without_a_clear_lead_nothing_is_told() -> None:
    [band] = timeline(person(shown(0, ANGRY=45.0, SAD=40.0, CALM=15.0)), STEP).bands
    assert (band.kind, band.confidence) == (UNCLEAR, 45.0)


def test_what_was_not_read_is_absent() -> None:
    line = timeline(person(seen(0, 0.3), seen(200, 0.3)), STEP)
    assert line.bands == ()
    [first, _] = line.moments
    assert (first.emotions, first.smile, first.mouth_open, first.eyes_open, first.pose) == (
        {},
        None,
        None,
        None,
        None,
    )
    [told] = as_json([line])
    assert told["Samples"][0].keys() == {"Timestamp", "BoundingBox", "Emotions"}
    assert told["Presence"] == [{"StartTimestampMillis": 0, "EndTimestampMillis": 400}]


def test_a_trait_is_how_probable_it_is() -> None:
    line = timeline(person(shown(0, Trait(value=False, confidence=90.0))), STEP)
    assert line.moments[0].smile == pytest.approx(10.0)


def test_weights() -> None:
    """The sample itself weighs 1, its neighbours e^-1/2, theirs e^-2, the third e^-9/2."""
    line = timeline(person(*(happy(at, 100 if at == 1000 else 0) for at in range(0, 2200, STEP))), STEP)
    whole = 1 + 2 * (2.718281828**-0.5 + 2.718281828**-2 + 2.718281828**-4.5)
    assert line.moments[5].emotions["HAPPY"] == pytest.approx(100 / whole)


percents = some.floats(0, 100)


@given(some.lists(some.tuples(some.integers(1, 1500), percents, percents), min_size=1, max_size=40))
def test_whatever_is_seen(samples: list[tuple[int, float, float]]) -> None:
    at, sightings = 0, []
    for pause, one, two in samples:
        at += pause
        whole = one + two or 1.0
        sightings.append(
            shown(at, HAPPY=100 * one / whole, SAD=100 * two / whole) if one + two else seen(at, 0.3)
        )
    line = timeline(person(*sightings), STEP)
    assert [moment.timestamp_ms for moment in line.moments] == [each.timestamp_ms for each in sightings]
    for moment in line.moments:
        assert not moment.emotions or sum(moment.emotions.values()) == pytest.approx(100)
    for spans in (line.presence, tuple(band.span for band in line.bands)):
        assert all(span.start_ms < span.end_ms for span in spans)
        assert all(before.end_ms <= after.start_ms for before, after in itertools.pairwise(spans))
    assert all(
        any(span.start_ms <= seen.timestamp_ms < span.end_ms for span in line.presence) for seen in sightings
    )


def test_json_names_what_the_service_model_names() -> None:
    [told] = as_json([timeline(person(happy(0, 90.0)), STEP)])
    assert told["Index"] == 0
    assert told["Bands"] == [
        {"StartTimestampMillis": 0, "EndTimestampMillis": 200, "Emotion": "HAPPY", "Confidence": 90.0}
    ]
    [sample] = told["Samples"]
    assert sample["Emotions"] == [{"Type": "HAPPY", "Confidence": 90.0}, {"Type": "CALM", "Confidence": 10.0}]
    assert sample["Pose"] == {"Yaw": 10.0, "Pitch": 0.0, "Roll": 0.0}


def test_each_sample_is_told_and_may_be_the_last() -> None:
    told: list[int] = []
    clip = person(*[happy(at, 90) for at in range(0, 2000, 200)])
    timeline(clip, 200, lambda: told.append(1))
    assert len(told) == 10

    def enough() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        timeline(clip, 200, enough)


def test_a_long_presence_takes_no_longer_a_sample() -> None:
    """Looking at a whole interval for each of its samples, this took minutes."""
    begun = time.process_time()
    line = timeline(person(*[happy(at, 90) for at in range(0, 6_000_000, 200)]), 200)
    assert len(line.moments) == 30_000
    assert time.process_time() - begun < 20
