"""How the two networks' words are joined: networks that say what a test wants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from countenance.types import Box, Face, Image, Label, Landmarks, Point
from countenance.vision import Vision, imagenet, zoo
from countenance.vision.centernet import Thing
from countenance.vision.labels import Curve, Labels, curves, icy, shares
from countenance.vision.taxonomy import taxonomy

BOX = Box(0.1, 0.2, 0.3, 0.4)
PICTURE = Image(np.random.default_rng(3).integers(0, 255, (90, 120, 3), np.uint8), b"")


def face(box: Box) -> Face:
    middle = Point(box.left + box.width / 2, box.top + box.height / 2)
    return Face(box, Landmarks(*[middle] * 5), 99.0)


class Says:
    """A Finder, a Classifier and one who finds faces, that say what they are told to."""

    card = zoo.card("centernet-mobilenetv3")

    def __init__(
        self, things: Mapping[str, float], classes: Mapping[str, float], faces: tuple[Face, ...] = ()
    ) -> None:
        self.things = things
        self.classes = classes
        self.faces = faces

    def find(self, image: Image) -> tuple[Thing, ...]:
        return tuple(Thing(kind, BOX, score) for kind, score in self.things.items())

    def detect(self, image: Image) -> tuple[Face, ...]:
        return self.faces

    def classify(self, image: Image) -> np.ndarray:
        left = 1 - sum(self.classes.values())
        chances = np.full(imagenet.CLASSES, left / imagenet.CLASSES, np.float32)
        for name, chance in self.classes.items():
            chances[taxonomy().entries[name].imagenet[0]] += chance
        return chances


def told(
    things: Mapping[str, float] | None = None, classes: Mapping[str, float] | None = None, *faces: Box
) -> dict[str, Label]:
    says = Says(things or {}, classes or {}, tuple(map(face, faces)))
    return {label.name: label for label in Labels(says, says, says).label(PICTURE)}


def animals(labels: Mapping[str, Label]) -> set[str]:
    return {name for name in labels if "Animal" in taxonomy().lineages[name]}


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


IN_THE_BOX, BESIDE_IT = Box(0.15, 0.25, 0.1, 0.1), Box(0.7, 0.2, 0.1, 0.1)


def test_who_has_a_face_is_no_animal() -> None:
    for things, classes in (
        ({"dog": 0.9, "person": 0.3}, {"German Shorthaired Pointer": 0.6}),
        ({"dog": 0.9}, {}),
        ({"cat": 0.9}, {"Labrador Retriever": 0.95}),
        ({"person": 0.1}, {"Tench": 0.9}),
    ):
        assert animals(told(things, classes))
        assert not animals(told(things, classes, IN_THE_BOX))
    assert not animals(told({"person": 0.1}, {"Tench": 0.9}, BESIDE_IT))  # the detector knows no fish
    assert "Person" in told({"person": 0.3, "dog": 0.9}, {}, IN_THE_BOX)
    assert not animals(told({"dog": 0.3}, {}, BESIDE_IT))  # hardly a dog


def test_an_animal_beside_a_face_is_told() -> None:
    labels = told({"dog": 0.9}, {"Labrador Retriever": 0.7, "Egyptian Mau": 0.2}, BESIDE_IT)
    assert {"Labrador Retriever", "Dog", "Mammal", "Animal"} <= animals(labels)
    assert [each.box for each in labels["Dog"].instances] == [BOX]
    assert labels["Animal"].confidence == labels["Dog"].confidence
    assert "Cat" not in labels


def test_a_dog_that_holds_one_of_two_faces_is_none() -> None:
    assert not animals(told({"dog": 0.9}, {}, BESIDE_IT, IN_THE_BOX))


def test_what_the_detector_calls_a_person_is_hardly_an_animal() -> None:
    alone, with_person = told({}, {"Tench": 0.9}), told({"person": 0.8}, {"Tench": 0.9})
    assert alone["Tench"].confidence > 55
    assert "Tench" not in with_person or with_person["Tench"].confidence < 5


def test_an_ape_or_a_monkey_is_nothing() -> None:
    says = Says({}, {})
    for number in range(365, 385):  # ImageNet's primates
        chances = np.full(imagenet.CLASSES, 0.02 / imagenet.CLASSES, np.float32)
        chances[number] += 0.98
        says.classify = lambda image, chances=chances: chances  # type: ignore[method-assign,misc]
        assert not animals({label.name: label for label in Labels(says, says, says).label(PICTURE)})


def test_portraits_show_no_animal(vision: Vision, hopper: Image, collins: Image) -> None:
    for portrait in (hopper, collins):
        labels = {label.name: label for label in vision.label(portrait)}
        assert labels["Person"].confidence > 55
        assert not animals(labels)


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
    labels = Labels(says, says, says).label(PICTURE)
    names = [label.name for label in labels]
    assert names[:3] == ["Car", "Vehicle", "Transportation"]
    assert "Person" in names[3:]
    assert all(0 < label.confidence <= 100 for label in labels)


@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_plain_picture_shows_nothing(level: int) -> None:
    says = Says({"car": 0.9}, {"Volcano": 0.9})
    assert Labels(says, says, says).label(Image(np.full((80, 80, 3), level, np.uint8), b"")) == ()


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
