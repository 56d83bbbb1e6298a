"""How the two networks' words are joined: networks that say what a test wants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from countenance.types import Box, Image, Label
from countenance.vision import imagenet, zoo
from countenance.vision.centernet import Thing
from countenance.vision.labels import Curve, Labels, curves, icy, shares
from countenance.vision.taxonomy import taxonomy

BOX = Box(0.1, 0.2, 0.3, 0.4)
PICTURE = Image(np.random.default_rng(3).integers(0, 255, (90, 120, 3), np.uint8), b"")


class Says:
    """A Finder and a Classifier that say what they are told to."""

    card = zoo.card("centernet-mobilenetv3")

    def __init__(self, things: Mapping[str, float], classes: Mapping[str, float]) -> None:
        self.things = things
        self.classes = classes

    def find(self, image: Image) -> tuple[Thing, ...]:
        return tuple(Thing(kind, BOX, score) for kind, score in self.things.items())

    def classify(self, image: Image) -> np.ndarray:
        left = 1 - sum(self.classes.values())
        chances = np.full(imagenet.CLASSES, left / imagenet.CLASSES, np.float32)
        for name, chance in self.classes.items():
            chances[taxonomy().entries[name].imagenet[0]] += chance
        return chances


def told(
    things: Mapping[str, float] | None = None, classes: Mapping[str, float] | None = None
) -> dict[str, Label]:
    says = Says(things or {}, classes or {})
    return {label.name: label for label in Labels(says, says).label(PICTURE)}


def test_a_thing_is_told_with_its_box_and_what_it_is_a_kind_of() -> None:
    labels = told({"car": 0.6})
    assert labels["Car"].confidence > 90
    assert [each.box for each in labels["Car"].instances] == [BOX]
    assert labels["Vehicle"].confidence == labels["Transportation"].confidence == labels["Car"].confidence
    assert labels["Vehicle"].instances == ()


def test_what_both_see_is_said_once() -> None:
    labels = told({"dog": 0.5}, {"Labrador Retriever": 0.9})
    assert labels["Labrador Retriever"].confidence > 55
    assert labels["Dog"].confidence >= labels["Labrador Retriever"].confidence
    assert len(labels["Dog"].instances) == 1


def test_what_the_detector_knows_and_does_not_see_is_not_believed() -> None:
    assert "Sports Car" not in told({}, {"Sports Car": 0.95})
    assert told({}, {"Volcano": 0.95})["Volcano"].confidence > 55  # it has no word for that


def test_another_animal_is_the_detectors_misread() -> None:
    labels = told({"giraffe": 0.9}, {"Cheetah": 0.9})
    assert labels["Giraffe"].confidence > 95
    assert "Cheetah" not in labels or labels["Cheetah"].confidence < 5


def test_a_classifier_that_is_sure_says_which_animal_it_is() -> None:
    labels = told({"dog": 0.5}, {"Egyptian Mau": 0.95})
    assert labels["Cat"].confidence > 70 > labels["Dog"].confidence
    assert [each.box for each in labels["Cat"].instances] == [BOX]


def test_scenes_come_of_many_classes_together() -> None:
    labels = told({}, {"Beach": 0.3, "Sandbar": 0.2, "Breakwater": 0.2, "Lighthouse": 0.1})
    assert labels["Sea"].confidence > 55
    assert labels["Nature"].confidence == labels["Sea"].confidence


def test_shares_are_parts_of_a_whole() -> None:
    names = taxonomy().entries
    none = dict.fromkeys(names, 0.0)
    assert set(shares(none, {}, 1.0).values()) == {0.0}
    some = shares({**none, "Stove": 0.5, "Mountain": 0.4}, {"Oven": 0.9}, 1.0)
    assert some["Kitchen"] > some["Glacier"] > some["Forest"] == 0
    assert sum(some.values()) < 1
    assert shares({**none, "Mountain": 0.4}, {}, 0.0)["Glacier"] == 0


def test_most_probable_first_and_of_equals_the_narrower() -> None:
    says = Says({"car": 0.6, "person": 0.3}, {})
    labels = Labels(says, says).label(PICTURE)
    names = [label.name for label in labels]
    assert names[:3] == ["Car", "Vehicle", "Transportation"]
    assert "Person" in names[3:]
    assert all(0 < label.confidence <= 100 for label in labels)


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_plain_picture_shows_nothing(level: int) -> None:
    says = Says({"car": 0.9}, {"Volcano": 0.9})
    assert Labels(says, says).label(Image(np.full((80, 80, 3), level, np.uint8), b"")) == ()


def test_ice_is_bright_and_white_or_pale_blue() -> None:
    def of(*colour: int) -> float:
        return icy(Image(np.full((90, 90, 3), colour, np.uint8), b""))

    assert of(240, 245, 250) == of(150, 190, 230) == 1
    assert of(40, 90, 30) == of(120, 80, 40) == of(60, 60, 60) == 0


def test_a_curve_rises_from_nothing_to_certainty() -> None:
    for curve in curves().values():
        assert [curve(0), curve(1)] == pytest.approx([0, 1], abs=0.02)
        assert curve.labels
    assert Curve(0, 1, "")(0.3) == pytest.approx(0.3)
