"""How scores become traits, whatever networks give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import CARD

from countenance.errors import ModelError
from countenance.types import AgeRange, Attribute, Box, Face, Image, Landmarks, Point, Trait
from countenance.vision import attributes
from countenance.vision.attributes import Attributes, Reading, traces
from countenance.vision.landmarks import Mesh
from countenance.vision.zoo import Card

SMILE = Reading(
    attribute=Attribute.SMILE,
    title="Smile",
    intended_use="tests",
    not_for="",
    nets=("fake-1",),
    points=((0.0, 0.1), (1.0, 0.9)),
    smallest=20.0,
    labels="made up",
)


class Echo:
    """A net whose one signal is what it was told, and which counts how often it looks."""

    card: Card = CARD

    def __init__(self, *values: float) -> None:
        self.values = values
        self.looks = 0

    def look(self, image: Image, faces: object, meshes: object) -> attributes.Array:
        self.looks += 1
        return np.array(self.values, np.float32)[:, None]


@pytest.fixture
def only_smile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "readings", lambda: (SMILE,))
    monkeypatch.setattr(attributes, "SCORES", {Attribute.SMILE: lambda signals: signals["fake-1"][:, 0]})


def faces(*widths: float) -> tuple[Image, list[Face]]:
    """Faces so many pixels wide in a picture of 100."""
    image = Image(np.zeros((100, 100, 3), np.uint8), b"")
    place = Point(0.5, 0.5)
    return image, [
        Face(Box(0.1, 0.1, width / 100, width / 100), Landmarks(*[place] * 5), 99.0) for width in widths
    ]


def mesh() -> Mesh:
    return Mesh(np.zeros((478, 3)), 1.0)


def test_a_score_becomes_a_probability_of_what_is_said(only_smile: None) -> None:
    image, seen = faces(40, 40, 40)
    shown = Attributes({"fake-1": Echo(0.0, 0.5, 2.0)}).read(
        image, seen, [mesh()] * 3, frozenset({Attribute.SMILE})
    )
    traits = [face[Attribute.SMILE] for face in shown]
    assert all(isinstance(trait, Trait) for trait in traits)
    assert [(trait.value, round(trait.confidence, 3)) for trait in traits if isinstance(trait, Trait)] == [
        (False, 90.0),
        (True, 50.0),
        (True, 90.0),
    ]


def test_nothing_runs_that_nobody_asked_for(only_smile: None) -> None:
    net = Echo(0.5)
    describer = Attributes({"fake-1": net})
    image, seen = faces(40)
    assert describer.read(image, seen, [mesh()], frozenset()) == ({},)
    assert describer.read(image, seen, [mesh()], frozenset({Attribute.GENDER})) == ({},)
    assert describer.read(image, [], [], frozenset(Attribute)) == ()
    assert net.looks == 0


def test_a_face_too_small_gets_no_answer(only_smile: None) -> None:
    image, seen = faces(19, 21)
    small, large = Attributes({"fake-1": Echo(1.0, 1.0)}).read(
        image, seen, [mesh()] * 2, frozenset({Attribute.SMILE})
    )
    assert dict(small) == {}
    assert Attribute.SMILE in large


def test_what_is_no_number_is_an_error_and_no_answer(only_smile: None) -> None:
    image, seen = faces(40)
    with pytest.raises(ModelError, match="fake-1"):
        Attributes({"fake-1": Echo(float("nan"))}).read(image, seen, [mesh()], frozenset({Attribute.SMILE}))


def test_an_attribute_whose_net_is_not_there_is_not_offered(only_smile: None) -> None:
    assert Attributes({}).offered == frozenset()
    assert Attributes({"fake-1": Echo()}).offered == {Attribute.SMILE}


@given(st.floats(-1e6, 1e6, width=32))
def test_confidence_is_of_what_is_said_and_never_under_half(score: float) -> None:
    chance = attributes.probability(SMILE, score)
    trait, gender = attributes._trait(SMILE, chance), attributes._gender(chance)
    assert 50 <= trait.confidence <= 90
    assert trait.value == (score >= 0.5)
    assert gender.value == ("Male" if trait.value else "Female")
    assert gender.confidence == trait.confidence


@given(st.floats(-1e6, 1e6, width=32))
def test_what_is_rare_is_told_early_with_the_probability_it_has(score: float) -> None:
    chance = attributes.probability(SMILE, score)
    trait = attributes._trait(replace(SMILE, told_from=0.2), chance)
    assert trait.value == (chance >= 0.2)
    assert trait.confidence == pytest.approx(100 * (chance if trait.value else 1 - chance))


def test_years_and_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        attributes,
        "SCORES",
        {
            Attribute.AGE_RANGE: lambda signals: signals["fake-1"][:, 0],
            Attribute.EMOTIONS: lambda signals: signals["fake-1"],
        },
    )
    age = replace(SMILE, attribute=Attribute.AGE_RANGE, points=((0.0, 0.0, 6.0), (50.0, 40.0, 64.0)))
    assert traces(age, {"fake-1": np.array([[25.0]], np.float32)}) == [AgeRange(20, 35)]
    mood = replace(SMILE, attribute=Attribute.EMOTIONS, points=(), kinds=("CALM", "HAPPY"), bias=(0.0, 0.0))
    [[first, second]] = traces(mood, {"fake-1": np.log(np.array([[0.25, 0.75]], np.float32))})  # type: ignore[misc]
    assert (first.kind, round(first.confidence, 3)) == ("HAPPY", 75.0)
    assert (second.kind, round(second.confidence, 3)) == ("CALM", 25.0)


def test_a_card_without_calibration_does_not_load() -> None:
    table = {"id": "SMILE", "title": "Smile", "intended_use": "x", "not_for": "y", "nets": ["fake-1"]}
    with pytest.raises(ModelError, match="no calibration"):
        attributes._reading({**table, "labels": "z"})
    with pytest.raises(ModelError, match="SMILE cannot be read"):
        attributes._reading({**table, "colour": "blue"})
    assert attributes._reading({**table, "off": "nobody knows"}).off


def test_every_attribute_has_a_card_that_says_how_it_is_read_or_why_not() -> None:
    cards = attributes.readings()
    assert {card.attribute for card in cards} == set(Attribute)
    for card in cards:
        assert card.title
        assert card.intended_use
        assert card.not_for
        if not card.off:
            assert card.attribute in attributes.SCORES
            if card.points:
                scores = [row[0] for row in card.points]
                assert scores == sorted(set(scores))
                assert all(
                    row[1] <= after[1] for row, after in zip(card.points, card.points[1:], strict=False)
                )
