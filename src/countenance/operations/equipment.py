"""Masks that people in a photo wear, nothing kept: DetectProtectiveEquipment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from countenance.errors import InvalidParameter
from countenance.operations import Call, Done, Operation, Tools, always, photos, render
from countenance.types import Action, Attribute, Box, Face, Image, Instance, Trait
from countenance.vision import Vision

MOST: Final = 15
"""People who are told, as in Rekognition: those whom the detector is surest of."""

LEAST: Final = 50.0
"""The confidence, percent, from which a person is told (Rekognition's)."""

NOT_OFFERED: Final = ("HAND_COVER", "HEAD_COVER")
"""Kinds of equipment that no model here knows."""

MASK: Final = Attribute.FACE_OCCLUDED


@dataclass(frozen=True, slots=True)
class Person:
    """A person with the face that lies in the person's box, if one was found, and whether a mask covers it.

    mask: None where there is no face, or one too small to tell.
    """

    found: Instance
    face: Face | None = None
    mask: Trait | None = None

    def worn(self, least: float) -> bool | None:
        """Whether a mask is worn, where all that says so is as sure as `least`; None where it is not."""
        if self.face is None or self.mask is None:
            return None
        sure = min(self.found.confidence, self.face.confidence, self.mask.confidence)
        return self.mask.value if sure >= least else None


def detect_protective_equipment(call: Call, tools: Tools) -> Done:
    """The people in a photo, and of each the mask before the face, if one is worn.

    Of hands and heads nothing is told: a header says so, and where they are asked for in the summary nobody
    is said to wear all of it.
    """
    if MASK not in tools.vision.offered or tools.vision.labeler is None:
        raise InvalidParameter(
            detail=f"{call.operation} is not offered here: what tells masks is not for commercial use, and "
            "this home is commercial_only"
        )
    summary = call.request.get("SummarizationAttributes")
    if summary is not None and not summary["RequiredEquipmentTypes"]:
        raise InvalidParameter(detail="SummarizationAttributes.RequiredEquipmentTypes names nothing")
    people = look(photos.fetch(call.request["Image"], tools), tools.vision)
    answer: dict[str, Any] = {
        "ProtectiveEquipmentModelVersion": f"{tools.vision.label_model}+celeba-heads",
        "Persons": [_told(number, person) for number, person in enumerate(people)],
    }
    if summary is not None:
        answer["Summary"] = _summary(people, summary)
    return Done(answer, notes=render.not_offered(NOT_OFFERED))


def look(image: Image, vision: Vision) -> list[Person]:
    """The people in a picture, surest first."""
    boxes = [each for label in vision.label(image) if label.name == "Person" for each in label.instances]
    sure = sorted((each for each in boxes if each.confidence >= LEAST), key=lambda each: -each.confidence)
    people = [Person(each) for each in sure[:MOST]]
    if not people:
        return []
    faces = vision.detect(image)
    shown = [face for face in faces if owner(face.box, [person.found.box for person in people]) is not None]
    for face, described in zip(shown, vision.describe(image, shown, (MASK,)), strict=True):
        number = owner(face.box, [person.found.box for person in people])
        mask = described.traits.get(MASK)
        if number is not None and people[number].face is None:  # the largest comes first
            trait = mask if isinstance(mask, Trait) else None
            people[number] = Person(people[number].found, face, trait)
    return people


def owner(face: Box, people: Sequence[Box]) -> int | None:
    """Whose face it is: of the boxes that hold its middle, the one whose top's middle is nearest."""
    x, y = face.left + face.width / 2, face.top + face.height / 2
    away = {
        number: abs(box.left + box.width / 2 - x) + abs(box.top - y)
        for number, box in enumerate(people)
        if box.left <= x <= box.left + box.width and box.top <= y <= box.top + box.height
    }
    return min(away, key=lambda number: away[number]) if away else None


def _told(number: int, person: Person) -> render.Shape:
    parts = []
    if person.face is not None:
        worn = person.mask is not None and person.mask.value
        parts.append(
            {
                "Name": "FACE",
                "Confidence": person.face.confidence,
                "EquipmentDetections": [_cover(person.face, person.mask)] if worn else [],
            }
        )
    return {
        "Id": number,
        "BoundingBox": render.bounding_box(person.found.box),
        "Confidence": person.found.confidence,
        "BodyParts": parts,
    }


def _cover(face: Face, mask: Trait | None) -> render.Shape:
    """A mask. Its box is the face's below the eyes: it is not found as a thing of its own. What is told is a
    mask that covers nose or mouth, so whether it covers is told with the same confidence."""
    assert mask is not None
    eyes = (face.landmarks.eye_left.y + face.landmarks.eye_right.y) / 2
    top = min(max(eyes, face.box.top), face.box.top + face.box.height)
    box = Box(face.box.left, top, face.box.width, face.box.top + face.box.height - top)
    return {
        "Type": "FACE_COVER",
        "BoundingBox": render.bounding_box(box),
        "Confidence": mask.confidence,
        "CoversBodyPart": {"Value": True, "Confidence": mask.confidence},
    }


def _summary(people: Sequence[Person], asked: Mapping[str, Any]) -> render.Shape:
    """Everybody in one of three lists. Who is to wear what cannot be told here is in the last."""
    least = max(LEAST, asked["MinConfidence"])
    untold = set(asked["RequiredEquipmentTypes"]) - {"FACE_COVER"}
    lists: dict[bool | None, list[int]] = {True: [], False: [], None: []}
    for number, person in enumerate(people):
        worn = person.worn(least)
        lists[None if worn and untold else worn].append(number)
    if "FACE_COVER" not in asked["RequiredEquipmentTypes"]:
        lists = {True: [], False: [], None: list(range(len(people)))}
    return {
        "PersonsWithRequiredEquipment": lists[True],
        "PersonsWithoutRequiredEquipment": lists[False],
        "PersonsIndeterminate": lists[None],
    }


OPERATIONS = {
    "DetectProtectiveEquipment": Operation(
        detect_protective_equipment,
        always(Action.DETECT, Action.DESCRIBE, Action.LABEL),
        attributes=lambda _request: frozenset({MASK}),
    )
}
