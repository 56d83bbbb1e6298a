"""The list of labels holds together."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from countenance.aws.model import service_model
from countenance.vision import centernet, imagenet
from countenance.vision.taxonomy import taxonomy

KNOWN = taxonomy()
# Words of what no label may tell: race, religion, health, sexuality.
SENSITIVE = re.compile(
    r"church|mosque|temple|synagogue|altar|stupa|monaster|vestment|prayer|totem|cross\b|christ|muslim|jewish|"
    r"hindu|buddh|wheelchair|crutch|stretcher|syringe|stethoscope|bandage|\bpills?\b|neck brace|medic|disab|"
    r"pregnan|asian|african american|black person|white person|ethnic|racial|gay|lesbian|queer|"
    r"bridegroom|bride|\bman\b|\bwoman\b|\bboy\b|\bgirl\b|\bmale\b|\bfemale\b",
    re.IGNORECASE,
)


def test_every_class_of_the_detector_has_one_label() -> None:
    named = Counter(entry.coco for entry in KNOWN.entries.values() if entry.coco)
    assert named == Counter(centernet.CLASSES)


def test_every_class_of_the_classifier_has_one_label_or_is_folded() -> None:
    named = Counter(number for entry in KNOWN.entries.values() for number in entry.imagenet)
    assert max(named.values()) == 1
    left = set(range(imagenet.CLASSES)) - named.keys()
    assert left < set(KNOWN.folded)
    assert all(0 <= number < imagenet.CLASSES for number in KNOWN.folded)


def test_nothing_is_its_own_ancestor() -> None:
    for name in KNOWN.entries:
        assert name not in KNOWN.ancestors(name)


def test_no_label_tells_what_must_not_be_told() -> None:
    for entry in KNOWN.entries.values():
        if entry.category == "Animals and Pets":  # some elephants are Asian
            continue
        for text in (entry.name, entry.category, *entry.aliases):
            assert not SENSITIVE.search(text), text


def test_every_name_can_be_a_filter() -> None:
    shape = service_model("rekognition")["shapes"]["GeneralLabelsFilterValue"]
    for entry in KNOWN.entries.values():
        for text in (entry.name, entry.category):
            assert len(text) <= shape["max"]
            assert re.fullmatch(shape["pattern"], text)


def test_meanings_are_wordnets_numbers_and_no_two_alike() -> None:
    meanings = [entry.synset for entry in KNOWN.entries.values() if entry.synset]
    assert all(re.fullmatch(r"n\d{8}", each) for each in meanings)
    assert max(Counter(meanings).values()) == 1
    assert [entry.name for entry in KNOWN.entries.values() if not entry.synset] == ["Stop Sign"]


@pytest.mark.parametrize(
    ("name", "above"),
    [
        ("Labrador Retriever", ("Retriever", "Dog", "Canine", "Pet", "Mammal", "Animal")),
        ("Sports Car", ("Car", "Vehicle", "Transportation")),
        ("Sea", ("Water", "Nature", "Outdoors")),
        ("Person", ()),
    ],
)
def test_ancestors_nearest_first(name: str, above: tuple[str, ...]) -> None:
    assert KNOWN.ancestors(name) == above


def test_no_label_is_an_ape_or_a_monkey() -> None:
    primates = set(range(365, 385))  # of ImageNet's thousand classes
    assert primates <= set(KNOWN.folded)
    assert not primates & {number for entry in KNOWN.entries.values() for number in entry.imagenet}
    word = re.compile(
        r"\b(ape|primate|monkey|baboon|gorilla|chimpanzee|orangutan|gibbon|macaque|lemur)s?\b", re.IGNORECASE
    )
    for entry in KNOWN.entries.values():
        assert not any(word.search(text) for text in (entry.name, *entry.aliases))
