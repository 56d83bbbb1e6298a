"""What a picture shows: a detector's things and a classifier's classes, joined in one taxonomy.

Each label's evidence is weighed on its own: a detector's best score for it, the classifier's probability of
everything below it, a scene's share among all scenes. Curves fitted on labelled photographs (labels.toml)
make probabilities of these. A label is as probable as its best evidence, and never less than what lies below
it; so a thing that both networks see is said once, with the detector's boxes. Where the detector knows what
animal it is, the classifier, which has no giraffe, does not call it a cheetah as well.

Nobody is to be told as an animal. Where there is a human face, only an animal that the detector sees beside
the faces is told; and the taxonomy has no ape and no monkey.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from countenance.types import Box, Face, Image, Instance, Label
from countenance.vision import imagenet, zoo
from countenance.vision.centernet import Thing
from countenance.vision.taxonomy import Scene, taxonomy

Array = npt.NDArray[np.float32]

LEAST: Final = 0.01  # percent; what is less probable is not told, however little is asked for
_EDGE: Final = 1e-6  # as near to 0 and 1 as a score is taken at its word
_SMALLEST: Final = 0.1  # the least probability of a class that the curve was fitted on; less says nothing
_SURE: Final = 0.8  # the classifier's probability from which it is heard against the detector
_FLAT: Final = (
    3.0  # grey levels: the spread of a plain picture's shrunk pixels, compression and noise included
)
_ANIMAL: Final = "Animal"
_PERSON: Final = "Person"
_BESIDE: Final = 0.5  # the probability of an animal's box from which it is taken to be there, beside a face
_NOWHERE: Final = 0.3  # what speaks for no scene, beside the classifier's whole probability of 1


class Finder(Protocol):
    """Finds things."""

    card: zoo.Card

    def find(self, image: Image) -> tuple[Thing, ...]:
        """The things of a picture, likeliest first. Raises ModelError."""


class Classifier(Protocol):
    """Files a whole picture under classes."""

    card: zoo.Card

    def classify(self, image: Image) -> Array:
        """The probability of each class. Raises ModelError."""


class Faces(Protocol):
    """Finds human faces."""

    def detect(self, image: Image) -> tuple[Face, ...]:
        """The faces of a picture. Raises ModelError."""


@dataclass(frozen=True, slots=True)
class Curve:
    """From a score in [0, 1] to a probability: logistic in the score's log odds.

    labels: whose labels it was fitted on.
    """

    shift: float
    slope: float
    labels: str

    def __call__(self, score: float) -> float:
        kept = min(max(score, _EDGE), 1 - _EDGE)
        return 1 / (1 + math.exp(-self.shift - self.slope * math.log(kept / (1 - kept))))


@cache
def curves() -> Mapping[str, Curve]:
    """The curves of labels.toml: `box` of one thing found, `thing` of the likeliest of its kind, `class` of
    the classifier's probability, `place` of a scene's share, or a scene's name where it has its own."""
    text = resources.files("countenance.vision").joinpath("labels.toml").read_text("utf-8")
    return {name: Curve(**table) for name, table in tomllib.loads(text)["curves"].items()}


class Labels:
    """A Labeler over a finder, a classifier and who finds the faces, beside which few animals are told."""

    def __init__(self, finder: Finder, classifier: Classifier, faces: Faces) -> None:
        self.finder = finder
        self.classifier = classifier
        self.faces = faces

    @property
    def cards(self) -> tuple[zoo.Card, zoo.Card]:
        return self.finder.card, self.classifier.card

    def label(self, image: Image) -> tuple[Label, ...]:
        """What the picture shows, most probable first; of equals, the narrower first. Raises ModelError."""
        if plain(image):
            return ()
        things, masses = self.finder.find(image), _masses(self.classifier.classify(image))
        if faces := self.faces.detect(image):
            things, masses = _beside(faces, things, masses)
        found = _found(things)
        known = curves()
        told = {name: known["thing"](score) for name, score in best(things).items()}
        _settle(told, found, masses)
        seen = dict(told)
        for name, share in shares(masses, seen, icy(image)).items():
            _raise(told, name, known.get(name, known["place"])(share))
        for name, mass in masses.items():
            if mass >= _SMALLEST:
                _raise(told, name, _agreed(name, known["class"](mass), seen))
        return _ordered(told, found)


def plain(image: Image) -> bool:
    """Whether it is of one colour all over, as a lens cap's picture is: it shows nothing."""
    small = cv2.resize(image.pixels, (64, 64), interpolation=cv2.INTER_AREA)
    return float(small.std(axis=(0, 1)).max()) < _FLAT


def _beside(
    faces: Sequence[Face], things: Iterable[Thing], masses: Mapping[str, float]
) -> tuple[tuple[Thing, ...], dict[str, float]]:
    """What is left of both networks' word in a picture of people: of animals, those that are likely there,
    in boxes that hold no face's middle, and what the classifier says of these same ones."""
    likely = curves()["box"]
    left = tuple(
        thing
        for thing in things
        if not _is_animal(kinds()[thing.kind])
        or (likely(thing.score) >= _BESIDE and not any(_holds(thing.box, face.box) for face in faces))
    )
    there = {kinds()[thing.kind] for thing in left if _is_animal(kinds()[thing.kind])}
    lineages = taxonomy().lineages
    return left, {
        name: mass if not _is_animal(name) or lineages[name] & there else 0.0 for name, mass in masses.items()
    }


def _is_animal(name: str) -> bool:
    return _ANIMAL in taxonomy().lineages[name]


def _holds(box: Box, face: Box) -> bool:
    """Whether the face's middle lies in the box."""
    across, down = face.left + face.width / 2, face.top + face.height / 2
    return box.left <= across <= box.left + box.width and box.top <= down <= box.top + box.height


def _settle(told: dict[str, float], found: dict[str, list[Instance]], masses: Mapping[str, float]) -> None:
    """Where both networks know the animals in question and disagree, the classifier says which it is.

    The detector says where an animal is better than which. Only a classifier that is nearly sure is heard:
    it speaks of the whole picture, where there may be two.
    """
    for name in sorted(_of_both()):
        if masses[name] < _SURE:
            continue
        chance = curves()["class"](masses[name])
        for other in sorted(_of_both() & told.keys() - {name}):
            _raise(told, name, math.sqrt(chance * told[other]))
            told[other] *= 1 - chance
            places = found.pop(other, [])
            moved = [Instance(each.box, each.confidence * chance) for each in places]
            left = [Instance(each.box, each.confidence * (1 - chance)) for each in places]
            found[name] = sorted([*found.get(name, ()), *moved], key=lambda each: -each.confidence)
            found[other] = left


def _agreed(name: str, chance: float, seen: Mapping[str, float]) -> float:
    """The chance that a label of the classifier is right, beside what the detector has seen.

    What fills a picture, and is of a kind that the detector knows, it sees as well: then both count alike.
    And another animal than the detector's is most likely that one, misread; or the person.
    """
    lineages = taxonomy().lineages
    kind = [seen.get(each, 0.0) for each in lineages[name] if each in kinds().values()]
    if kind:
        return math.sqrt(chance * max(kind))
    if _is_animal(name):
        others = [
            each
            for each in seen
            if each == _PERSON
            or (_is_animal(each) and name not in lineages[each] and each not in lineages[name])
        ]
        chance *= 1 - max((seen[each] for each in others), default=0.0)
    return chance


def best(things: Iterable[Thing]) -> dict[str, float]:
    """The best score of each label that the detector knows; 0 where it found none is left out."""
    scores: dict[str, float] = {}
    for thing in things:
        _raise(scores, kinds()[thing.kind], thing.score)
    return scores


def shares(masses: Mapping[str, float], things: Mapping[str, float], ice: float) -> dict[str, float]:
    """How much of what speaks for any scene speaks for each.

    masses: the classifier's probability of each label. things: the detector's. ice: see `icy`. What speaks
    for none counts as well, so that a close view of a thing has no scene.
    """
    weights = {scene.name: _weight(scene, masses, things, ice) for scene in taxonomy().scenes}
    whole = sum(weights.values()) + _NOWHERE
    return {name: weight / whole for name, weight in weights.items()}


def _weight(scene: Scene, masses: Mapping[str, float], things: Mapping[str, float], ice: float) -> float:
    weight = sum(masses[name] * part for name, part in scene.shown_by.items())
    weight += sum(things.get(name, 0.0) * part for name, part in scene.things.items())
    if scene.ground == "ice":
        weight += ice * sum(masses[name] * part for name, part in scene.shared.items())
    return weight


def icy(image: Image) -> float:
    """How much of the lower two thirds looks like snow or ice, [0, 1]: bright, and white or pale blue.

    A third of such pixels is as much as mountains in summer show (scenes, half A: median .21, glaciers .63);
    from there on it rises to 1 at half of them.
    """
    small = cv2.resize(image.pixels, (64, 64), interpolation=cv2.INTER_AREA)[64 // 3 :]
    hue, saturation, value = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2HSV))
    white = (saturation < 64) & (value > 140)
    pale = (hue > 80) & (hue < 125) & (saturation < 153) & (value > 128)
    share = float((white | pale).mean())
    return min(max((share - 0.3) / 0.2, 0.0), 1.0)


def _found(things: Iterable[Thing]) -> dict[str, list[Instance]]:
    """Where each label's things are, likeliest first."""
    places: dict[str, list[Instance]] = {}
    for thing in things:
        confidence = 100 * curves()["box"](thing.score)
        if confidence >= LEAST:
            places.setdefault(kinds()[thing.kind], []).append(Instance(thing.box, confidence))
    return places


@cache
def kinds() -> Mapping[str, str]:
    """The label of each of the detector's classes."""
    return {entry.coco: name for name, entry in taxonomy().entries.items() if entry.coco}


@cache
def _of_both() -> frozenset[str]:
    """The animals that both networks know."""
    known, named = taxonomy(), set(kinds().values())
    lines = (known.lineages[entry.name] for entry in known.entries.values() if entry.imagenet)
    return frozenset(name for line in lines if _ANIMAL in line for name in line & named)


@cache
def _below() -> tuple[tuple[str, ...], Array, Array]:
    """Labels; which of the classifier's classes each stands for or has below it, (labels, classes); and what
    share of all classes that is, (labels,)."""
    names = tuple(taxonomy().entries)
    rows = np.zeros((len(names), imagenet.CLASSES), np.float32)
    place = {name: row for row, name in enumerate(names)}
    for name, entry in taxonomy().entries.items():
        for above in taxonomy().lineages[name]:
            rows[place[above], list(entry.imagenet)] = 1
    return names, rows, rows.mean(1)


def _masses(classes: Array) -> dict[str, float]:
    """The classifier's probability of each label: that of everything below it, beyond what a label of so many
    classes would be given for a picture of nothing (four classes in ten are animals)."""
    names, rows, chance = _below()
    beyond = (rows @ classes - chance) / (1 - chance)
    return dict(zip(names, beyond.clip(0, 1).tolist(), strict=True))


def _raise(told: dict[str, float], name: str, probability: float) -> None:
    told[name] = max(told.get(name, 0.0), probability)


def _ordered(told: dict[str, float], found: Mapping[str, list[Instance]]) -> tuple[Label, ...]:
    known = taxonomy()
    for name in list(told):
        for above in known.ancestors(name):
            _raise(told, above, told[name])
    depth = {name: len(known.ancestors(name)) for name in told}
    order = sorted(told, key=lambda name: (-round(told[name], 6), -depth[name], name))
    return tuple(
        Label(name, 100 * told[name], tuple(found.get(name, ())))
        for name in order
        if 100 * told[name] >= LEAST
    )
