"""From a request's `Image` to faces worth using: fetch, decode, detect, filter by quality."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from countenance.errors import InvalidParameter
from countenance.operations import Tools
from countenance.types import Action, Attribute, Description, Face, Image, told_by
from countenance.vision import images


@dataclass(frozen=True, slots=True)
class Bar:
    """The least a face must show to pass a quality filter. Levels rise; AUTO is LOW, as indexing wants.

    confidence: percent. pixels: the box's longer side in the upright photo. brightness, sharpness:
    [0, 100] as types.Quality. turn: the most yaw or pitch, in degrees.
    """

    confidence: float
    pixels: float
    brightness: float
    sharpness: float
    turn: float

    def reasons(self, image: Image, face: Face, description: Description) -> tuple[str, ...]:
        """Rekognition's reasons why the face does not pass; none if it does."""
        longer = max(face.box.width * image.width, face.box.height * image.height)
        pose, quality = description.pose, description.quality
        tests = {
            "LOW_CONFIDENCE": face.confidence < self.confidence,
            "SMALL_BOUNDING_BOX": longer < self.pixels,
            "LOW_BRIGHTNESS": quality.brightness < self.brightness,
            "LOW_SHARPNESS": quality.sharpness < self.sharpness,
            "EXTREME_POSE": max(abs(pose.yaw), abs(pose.pitch)) > self.turn,
        }
        return tuple(reason for reason, fails in tests.items() if fails)


# `python bench/quality.py` prints how many faces of a set each level passes (docs/numbers-speed.md).
BARS: Mapping[str, Bar | None] = {
    "NONE": None,
    "AUTO": Bar(confidence=65, pixels=24, brightness=10, sharpness=10, turn=75),
    "LOW": Bar(confidence=65, pixels=24, brightness=10, sharpness=10, turn=75),
    "MEDIUM": Bar(confidence=80, pixels=48, brightness=20, sharpness=40, turn=50),
    "HIGH": Bar(confidence=88, pixels=80, brightness=30, sharpness=65, turn=35),
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face with its description and the reasons, if any, that keep it from being used."""

    face: Face
    description: Description
    reasons: tuple[str, ...] = ()


def fetch(reference: Mapping[str, Any], tools: Tools) -> Image:
    """The photo a request's `Image` member names: its bytes, or an object in a bucket.

    Raises InvalidParameter where it names none or both, and what images.decode and Objects.read raise.
    """
    match dict(reference):
        case {"Bytes": bytes(inline), **rest} if "S3Object" not in rest:
            return images.decode(inline)
        case {"S3Object": dict(stored), **rest} if "Bytes" not in rest:
            return images.decode(tools.objects.read(stored))
        case _:
            raise InvalidParameter(detail="Image needs either Bytes or S3Object")


def asked(names: Collection[str]) -> frozenset[Attribute]:
    """What a request's list of attributes asks for: ALL is every one, DEFAULT none."""
    return frozenset(each for each in Attribute if "ALL" in names or each in names)


def actions(names: Collection[str]) -> tuple[Action, ...]:
    """What telling those attributes does to a person."""
    return tuple(action for action in (Action.DESCRIBE, Action.INFER) if asked(names) & told_by(action))


def image_id(image: Image) -> str:
    """The same for the same bytes: a UUID made of the SHA-256 of the photo."""
    return str(uuid.UUID(bytes=image.digest[:16], version=5))


def look(
    image: Image, tools: Tools, level: str = "NONE", attributes: Collection[Attribute] = ()
) -> list[Sighting]:
    """Every face, largest first, with the attributes asked for and what the quality filter has against it."""
    faces = tools.vision.detect(image)
    described = tools.vision.describe(image, faces, attributes)
    bar = BARS[level]
    return [
        Sighting(face, description, bar.reasons(image, face, description) if bar else ())
        for face, description in zip(faces, described, strict=True)
    ]


def largest(image: Image, tools: Tools, level: str = "NONE") -> Face | None:
    """The largest face that passes the filter; a filter of NONE costs no description."""
    faces: Sequence[Face]
    if level == "NONE":
        faces = tools.vision.detect(image)
    else:
        faces = [seen.face for seen in look(image, tools, level) if not seen.reasons]
    return faces[0] if faces else None
