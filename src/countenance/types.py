"""The nouns every floor shares: frozen data, units in the docstrings, no behaviour beyond arithmetic.

Words follow ISO/IEC 2382-37 (probe, template, gallery, candidate) and, where the API has one,
Amazon Rekognition's (docs/glossary.md holds both side by side).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]

EMPTY: Mapping[str, str] = MappingProxyType({})
NO_TRAITS: Mapping[Attribute, Trace] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A photograph as people see it: upright RGB.

    pixels: uint8, shape (H, W, 3), RGB, orientation already applied.
    digest: SHA-256 of the bytes it was decoded from (32 bytes); empty for a frame of a clip.
    """

    pixels: Pixels
    digest: bytes

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in ratios of the upright image [BoundingBox].

    A face that leaves the frame has edges below 0 or above 1, as in Rekognition.
    """

    left: float
    top: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height

    def overlap(self, other: Box) -> float:
        """Intersection over union, [0, 1]."""
        width = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        height = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        shared = max(width, 0.0) * max(height, 0.0)
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the upright image, in ratios of its width and height."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The five points a detector gives; left and right are the viewer's, as in Rekognition."""

    eye_left: Point
    eye_right: Point
    nose: Point
    mouth_left: Point
    mouth_right: Point


@dataclass(frozen=True, slots=True)
class Face:
    """What detection knows. confidence: percent [0, 100] that the box holds a face."""

    box: Box
    landmarks: Landmarks
    confidence: float


@dataclass(frozen=True, slots=True)
class Instance:
    """One thing of a kind, and where. confidence: percent, how probable it is that the box holds one."""

    box: Box
    confidence: float


@dataclass(frozen=True, slots=True)
class Label:
    """What a picture shows, by a name of the taxonomy. confidence: percent, how probable that is.

    instances: where, likeliest first; none of what is told of the whole picture.
    """

    name: str
    confidence: float
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True)
class Pose:
    """Head rotation in degrees [-180, 180], Rekognition's signs.

    yaw: positive when the face turns to the viewer's right. pitch: positive when it looks up.
    roll: positive when the head tilts clockwise as the viewer sees it.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Brightness and sharpness of the face's pixels, each [0, 100] (docs/how-it-works.md)."""

    brightness: float
    sharpness: float


class Attribute(StrEnum):
    """What a face can be asked for beyond DEFAULT, by Rekognition's names."""

    AGE_RANGE = "AGE_RANGE"
    BEARD = "BEARD"
    EMOTIONS = "EMOTIONS"
    EYE_DIRECTION = "EYE_DIRECTION"
    EYEGLASSES = "EYEGLASSES"
    EYES_OPEN = "EYES_OPEN"
    FACE_OCCLUDED = "FACE_OCCLUDED"
    GENDER = "GENDER"
    MOUTH_OPEN = "MOUTH_OPEN"
    MUSTACHE = "MUSTACHE"
    SMILE = "SMILE"
    SUNGLASSES = "SUNGLASSES"


INFERRED = frozenset({Attribute.AGE_RANGE, Attribute.EMOTIONS, Attribute.GENDER})
"""What is inferred about a person. The other attributes describe what a face shows."""


@dataclass(frozen=True, slots=True)
class Trait:
    """Whether a face shows something. confidence: percent [0, 100], how probable `value` is.

    What is rare is told before it is likelier than not, so that it is not overlooked: confidence is then
    under 50 (attributes.toml, told_from).
    """

    value: bool
    confidence: float


@dataclass(frozen=True, slots=True)
class Gender:
    """How a face would be read by the people who labelled the calibration's set; not who somebody is.

    value: "Male" or "Female", the API's words. confidence: percent [50, 100].
    """

    value: str
    confidence: float


@dataclass(frozen=True, slots=True)
class AgeRange:
    """Years that hold the true age as often as the attribute's card states."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Expression:
    """What a face's expression would be called, not what somebody feels.

    kind: Rekognition's name (HAPPY, CALM, ...). confidence: percent; a face's expressions sum to 100.
    """

    kind: str
    confidence: float


Trace = Trait | Gender | AgeRange | tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """What a closer look at one face tells.

    points: the thirty landmarks Rekognition names, by that name, in its order. traits: of the attributes
    that were asked for, those that a card backs and this face lets be read. placed: the five points that the
    face is aligned by for its embedding.
    """

    pose: Pose
    quality: Quality
    points: Mapping[str, Point]
    placed: Landmarks
    traits: Mapping[Attribute, Trace] = field(default_factory=lambda: NO_TRAITS)


@dataclass(frozen=True, slots=True)
class Word:
    """What stands between two spaces. confidence: percent [0, 100]. corners: where its first letter begins
    above, then clockwise."""

    text: str
    confidence: float
    corners: tuple[Point, Point, Point, Point]

    @property
    def box(self) -> Box:
        """The rectangle around its corners, level."""
        return around(self.corners)


@dataclass(frozen=True, slots=True)
class Line:
    """Words in a row. confidence and corners as a Word's."""

    text: str
    confidence: float
    corners: tuple[Point, Point, Point, Point]
    words: tuple[Word, ...]

    @property
    def box(self) -> Box:
        """The rectangle around its corners, level."""
        return around(self.corners)


@dataclass(frozen=True, slots=True)
class Text:
    """What is written in a picture. unread: lines that were found and, being too many, not read."""

    lines: tuple[Line, ...]
    unread: int = 0


def around(points: Collection[Point]) -> Box:
    """The smallest Box that holds the points."""
    left, top = min(point.x for point in points), min(point.y for point in points)
    right, bottom = max(point.x for point in points), max(point.y for point in points)
    return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Where a face lies in a model's space. vector: float32 (D,), unit length. model: the card's id."""

    vector: Vector
    model: str


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A face to enrol or enrolled: its embedding under a FaceId. The embedding never leaves the service.

    face_id, image_id: lower-case UUIDs. confidence: percent [0, 100].
    """

    face_id: str
    image_id: str
    external_image_id: str | None
    box: Box
    confidence: float
    embedding: Embedding


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """The embedding a call searches with. Never stored."""

    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a gallery tells of a template: everything but the embedding [Face].

    subject: the key (32 bytes) by which this person's entries in the ledger are found. Never in an answer.
    user_id: the user whose face it is said to be.
    """

    face_id: str
    image_id: str
    external_image_id: str | None
    box: Box
    confidence: float
    model: str
    subject: bytes = field(repr=False)
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom several faces of a gallery are said to show [User]. faces: how many.

    number: the row in the database.
    """

    number: int
    user_id: str
    faces: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A line in a list, never "the person" [FaceMatch]. score: cosine [-1, 1]."""

    face: Enrolled
    score: float


@dataclass(frozen=True, slots=True)
class UserCandidate:
    """A user in a list, never "the person" [UserMatch]. score: cosine [-1, 1]."""

    user: User
    score: float


@dataclass(frozen=True, slots=True)
class Gallery:
    """Templates of one model, owned by one organisation [Collection].

    number: the row in the database. change: goes up with every enrolment and removal. size: how many
    templates. users: how many users.
    """

    number: int
    account: str
    collection_id: str
    model: str
    created: dt.datetime
    change: int
    size: int
    tags: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    users: int = 0


class OrganisationKind(StrEnum):
    """Who the operator says holds a key. Closed: a rule may depend on it."""

    BUSINESS = "business"
    NGO = "ngo"
    RESEARCH = "research"
    MEDIA = "media"
    ARCHIVE = "archive"
    PUBLIC_AGENCY = "public-agency"
    INDIVIDUAL = "individual"
    AUDITOR = "auditor"
    POLICE = "police"
    FEDERAL_LAW_ENFORCEMENT = "federal-law-enforcement"


LAW_ENFORCEMENT = frozenset({OrganisationKind.POLICE, OrganisationKind.FEDERAL_LAW_ENFORCEMENT})


class Action(StrEnum):
    """What a call does to people, the unit policy decides on."""

    DETECT = "detect"
    DESCRIBE = "describe"
    INFER = "infer"
    VERIFY = "verify"
    ENROL = "enrol"
    IDENTIFY = "identify"
    WATCH = "watch"
    LABEL = "label"
    MANAGE = "manage"
    GOVERN = "govern"


def told_by(action: Action) -> frozenset[Attribute]:
    """The attributes that an action tells: INFER what is inferred, DESCRIBE the rest, others none."""
    if action is Action.INFER:
        return INFERRED
    return frozenset(Attribute) - INFERRED if action is Action.DESCRIBE else frozenset()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed the call, as the operator registered them.

    account: 12 digits. key: the access key id. place: a nested place code such as "US-CA". purpose: what
    a call is for that does not say, None where the credential has no default. purposes: what its calls may
    be for, the default included. groups: what rules call the organisation by name for. policy_owner:
    whether the key may open what a tag had shut.
    """

    account: str
    organisation: str
    kind: OrganisationKind
    place: str
    purpose: str | None
    key: str
    purposes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    policy_owner: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rule's no. quote: the words it rests on. since: its first day, None for always."""

    rule: str
    quote: str
    source: str
    since: dt.date | None
    advice: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy said. rules: ids of the rules that decided; errors: why an engine could not answer.

    pack: SHA-256 (hex) over every rule, entity and schema byte in force. refusals: what the rules that
    refused rest on, and what turns each. advice: what concerns the whole call beside that. missing: what
    would take the call out of the reach of one of them, and it does not say: fields of Declared, and tags.
    """

    allowed: bool
    rules: tuple[str, ...]
    errors: tuple[str, ...]
    pack: str
    advice: str = ""
    source: str = ""
    refusals: tuple[Refusal, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The two ledger entries of one call: their sequence numbers and leaf hashes (32 bytes each)."""

    decision: int
    decision_leaf: bytes
    outcome: int
    outcome_leaf: bytes
