"""What a face shows, read from networks' signals by calibrated readings (attributes.toml).

A network gives signals, a reading makes one score of them, and a curve fitted on labelled faces says what
the score means. No curve, no answer: an attribute whose card has none is not offered, and a face too small
for an attribute gets none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from countenance.errors import ModelError
from countenance.types import (
    AgeRange,
    Attribute,
    Expression,
    Face,
    Gender,
    Image,
    Trace,
    Trait,
)
from countenance.vision import ages, blendshapes, expressions, faceres, heads, zoo
from countenance.vision.landmarks import Mesh

Array = npt.NDArray[np.float32]
Signals = Mapping[str, Array]
"""By card, the signals of each face: (faces, signals)."""


class Net(Protocol):
    """A network that looks at faces."""

    card: zoo.Card

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:
        """Its signals, (faces, signals). Raises ModelError."""


class Head(Protocol):
    """What is read of another network's signals, with weights of its own. source: that network's card."""

    card: zoo.Card
    source: str

    def read(self, signals: Array) -> Array:
        """Its signals, (faces, signals), of the source's. Raises ModelError."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An attribute's card: how it is read, what its score means and for whom it fails.

    nets: cards whose signals it needs, nets' and heads'. points: rows of score and what it means: a
    probability in [0, 1], or, of AGE_RANGE, the years that hold the true age. kinds, bias, sharpness: of
    EMOTIONS, the softmax of sharpness * (log probability + bias). told_from: the probability from which a
    trait is said to be shown, below .5 where it is rare and would be overlooked. off: why it is not offered;
    empty where it is. smallest: the least width of a face in pixels. labels: whose labels the curve was
    fitted on.
    """

    attribute: Attribute
    title: str
    intended_use: str
    not_for: str
    off: str = ""
    nets: tuple[str, ...] = ()
    points: tuple[tuple[float, ...], ...] = ()
    kinds: tuple[str, ...] = ()
    bias: tuple[float, ...] = ()
    sharpness: float = 1.0
    told_from: float = 0.5
    smallest: float = 0.0
    labels: str = ""

    @property
    def meaning(self) -> tuple[object, ...]:
        """What turns signals into answers: a change of it makes figures measured before it stale."""
        return (self.nets, self.points, self.kinds, self.bias, self.sharpness, self.told_from, self.smallest)


class Attributes:
    """A Describer over the nets and heads it is handed, by their cards. offered: what it can tell."""

    def __init__(self, nets: Mapping[str, Net], heads: Mapping[str, Head] = MappingProxyType({})) -> None:
        self.nets = nets
        self.heads = {name: head for name, head in heads.items() if head.source in nets}
        here = {*self.nets, *self.heads}
        self.readings = {
            reading.attribute: reading
            for reading in readings()
            if not reading.off and here.issuperset(reading.nets)
        }

    @property
    def offered(self) -> frozenset[Attribute]:
        return frozenset(self.readings)

    def read(
        self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh], asked: Collection[Attribute]
    ) -> tuple[Mapping[Attribute, Trace], ...]:
        """For each face, in order, what of `asked` is offered and can be read. Each net runs once, if needed.

        Raises ModelError where a net fails or gives what is no number.
        """
        wanted = [self.readings[attribute] for attribute in Attribute if attribute in self.readings]
        wanted = [reading for reading in wanted if reading.attribute in asked]
        if not wanted or not faces:
            return tuple(MappingProxyType({}) for _ in faces)
        signals = self.signals(image, faces, meshes, {net for reading in wanted for net in reading.nets})
        read = {reading.attribute: traces(reading, signals) for reading in wanted}
        return tuple(
            MappingProxyType(
                {
                    reading.attribute: read[reading.attribute][place]
                    for reading in wanted
                    if face.box.width * image.width >= reading.smallest
                }
            )
            for place, face in enumerate(faces)
        )

    def signals(
        self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh], needed: Collection[str]
    ) -> Signals:
        """What the nets and heads of those cards give, each run once. Raises ModelError."""
        heads = {name: head for name, head in self.heads.items() if name in needed}
        nets = sorted({name for name in needed if name in self.nets} | {h.source for h in heads.values()})
        found = {name: self.nets[name].look(image, faces, meshes) for name in nets}
        found |= {name: head.read(found[head.source]) for name, head in heads.items()}
        for name, values in found.items():
            if not np.isfinite(values).all():
                raise ModelError(f"{name} gave what is no number")
        return found


def traces(reading: Reading, signals: Signals) -> list[Trace]:
    """What each face shows of one attribute."""
    scores = SCORES[reading.attribute](signals)
    match reading.attribute:
        case Attribute.EMOTIONS:
            return [_expressions(reading, row) for row in scores]
        case Attribute.AGE_RANGE:
            return [_years(reading, float(score)) for score in scores]
        case Attribute.GENDER:
            return [_gender(probability(reading, float(score))) for score in scores]
        case _:
            return [_trait(reading, probability(reading, float(score))) for score in scores]


def probability(reading: Reading, score: float) -> float:
    """What a score means, in [0, 1], by the reading's curve; beyond its ends, what its ends mean."""
    scores, chances = zip(*reading.points, strict=True)
    return float(np.interp(score, scores, chances))


def _trait(reading: Reading, chance: float) -> Trait:
    shown = chance >= reading.told_from
    return Trait(shown, 100 * (chance if shown else 1 - chance))


def _gender(male: float) -> Gender:
    return Gender("Male" if male >= 0.5 else "Female", 100 * max(male, 1 - male))


def _years(reading: Reading, score: float) -> AgeRange:
    scores, low, high = zip(*reading.points, strict=True)
    return AgeRange(round(np.interp(score, scores, low)), round(np.interp(score, scores, high)))


def _expressions(reading: Reading, logs: Array) -> tuple[Expression, ...]:
    logits = reading.sharpness * (logs + np.array(reading.bias))
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    order = np.argsort(-chances, kind="stable")
    return tuple(Expression(reading.kinds[kind], float(100 * chances[kind])) for kind in order)


def _gender_score(signals: Signals) -> Array:
    """FaceRes leads, the others second it: they fail on other faces (docs/models.md has each alone)."""
    leading, seconding = signals["faceres-deep"][:, faceres.MALE], signals["face-api-ages"][:, ages.MALE]
    return np.asarray(leading + 0.25 * seconding + 0.25 * signals["dlib-gender"][:, 0])


def _age_score(signals: Signals) -> Array:
    return np.asarray(
        (signals["faceres-deep"][:, faceres.YEARS] + signals["face-api-ages"][:, ages.YEARS]) / 2
    )


def _emotion_scores(signals: Signals) -> Array:
    return expressions.joined(signals["mini-xception-fer2013"], signals["face-api-expressions"])


def _mean(signals: Signals, movements: Sequence[int]) -> Array:
    return np.asarray(signals["mediapipe-blendshapes"][:, list(movements)].mean(1))


def _head(name: str) -> Callable[[Signals], Array]:
    place = heads.NAMES.index(name)
    return lambda signals: signals["celeba-heads"][:, place]


SCORES: Final[Mapping[Attribute, Callable[[Signals], Array]]] = MappingProxyType(
    {
        Attribute.AGE_RANGE: _age_score,
        Attribute.GENDER: _gender_score,
        Attribute.EMOTIONS: _emotion_scores,
        Attribute.SMILE: lambda signals: _mean(signals, blendshapes.SMILES),
        Attribute.EYES_OPEN: lambda signals: 1 - _mean(signals, blendshapes.BLINKS),
        Attribute.MOUTH_OPEN: lambda signals: signals["mediapipe-face-landmarker"][:, 0],
        Attribute.EYEGLASSES: _head("eyeglasses"),
        Attribute.BEARD: _head("beard"),
        Attribute.MUSTACHE: _head("mustache"),
        Attribute.FACE_OCCLUDED: _head("mask"),
    }
)
"""One score a face from the nets' signals: (faces,), or (faces, kinds) of EMOTIONS."""


@cache
def readings() -> tuple[Reading, ...]:
    """Every attribute's card, in attributes.toml's order.

    Raises ModelError where one says neither how it is read nor why it is not.
    """
    text = resources.files("countenance.vision").joinpath("attributes.toml").read_text("utf-8")
    return tuple(_reading(table) for table in tomllib.loads(text)["attribute"])


def _reading(table: dict[str, Any]) -> Reading:
    name = table.pop("id", "an attribute without id")
    try:
        rest: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        reading = Reading(
            attribute=Attribute(name),
            points=tuple(tuple(float(number) for number in row) for row in rest.pop("points", ())),
            **rest,
        )
    except (TypeError, ValueError) as wrong:
        raise ModelError(f"the card of {name} cannot be read: {wrong}") from wrong
    if not reading.off and not (reading.nets and reading.labels and (reading.points or reading.bias)):
        raise ModelError(f"{name} does not load: its card has no nets, no calibration or no labels")
    return reading
