"""Senses for tests of logic: a picture is coloured squares on white, and a colour is a person.

No model runs. `picture()` paints, FakeVision finds: one face per colour, the same colour always the same
embedding, two colours nearly orthogonal ones.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from PIL import Image as Pillow

from countenance.types import (
    Attribute,
    Box,
    Description,
    Embedding,
    Face,
    Image,
    Instance,
    Label,
    Landmarks,
    Line,
    Point,
    Pose,
    Quality,
    Text,
    Trace,
    Trait,
    Word,
)
from countenance.vision import Vision
from countenance.vision.calibration import Calibration, Genuine
from countenance.vision.landmarks import NAMED, Mesh
from countenance.vision.zoo import Card

Colour = tuple[int, int, int]
RED: Colour = (200, 0, 0)
GREEN: Colour = (0, 200, 0)
BLUE: Colour = (0, 0, 200)

ADULTS = Calibration(
    "adults", ((0.0, -0.3), (0.4, -4.0)), measured_to=-4.0, source="made up", interval=(1e-4, 1e-4)
)
CHILDREN = Calibration(
    "children", ((0.2, -0.3), (0.6, -4.0)), measured_to=-3.0, source="made up", interval=(1e-4, 1e-4)
)
CARD = Card(
    id="fake-1",
    title="Coloured squares",
    family="Fake",
    task="embed",
    files=(),
    conversion="none",
    licence="Apache-2.0",
    licence_source="this repository",
    training="nothing",
    commercial=True,
    commercial_reason="nothing was trained",
    paper="",
    input="",
    intended_use="tests",
    not_for="anything else",
    carrier=None,
    dimensions=64,
    calibrations=MappingProxyType({"adults": ADULTS, "children": CHILDREN}),
    genuine=Genuine(((0.0, 1.0), (0.4, 0.8), (0.8, 0.4)), "made up"),
)


def picture(*people: Colour, side: int = 100) -> bytes:
    """A PNG of one square per colour, the first the largest, each on its own white ground."""
    pixels = np.full((side, side * max(1, len(people)), 3), 255, np.uint8)
    for place, colour in enumerate(people):
        size = side // 2 - 2 * place
        left = place * side + 10
        pixels[10 : 10 + size, left : left + size] = colour
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class FakeVision(Vision):
    """The senses over coloured squares."""

    def __init__(self) -> None:
        senses = FakeSenses()
        super().__init__(
            senses,
            senses,
            senses,
            senses,
            reader=FakeReader(),
            moderator=FakeModerator(),
            labeler=senses,
        )


class FakeReader:
    """On every picture stands one word, all over it."""

    cards = (CARD,)

    def read(self, image: Image) -> Text:
        corners = Point(0.0, 0.0), Point(1.0, 0.0), Point(1.0, 1.0), Point(0.0, 1.0)
        return Text((Line("word", 90.0, corners, (Word("word", 90.0, corners),)),))


class FakeModerator:
    """Every picture is a little violent."""

    card = CARD
    names = ("Violence",)

    def judge(self, image: Image) -> Mapping[str, float]:
        return MappingProxyType({"Violence": 60.0})


class FakeSenses:
    """Detector, landmarker, embedder, describer and labeler in one. Everybody smiles; more it cannot tell."""

    card = CARD
    offered = frozenset({Attribute.SMILE})

    def detect(self, image: Image) -> tuple[Face, ...]:
        # One number a pixel: numpy sorts rows of three forty times as slowly.
        numbers = np.unique(image.pixels.reshape(-1, 3) @ np.array([1 << 16, 1 << 8, 1], np.uint32))
        colours = (numbers[:, None] >> np.array([16, 8, 0], np.uint32)).astype(np.uint8)
        faces = [_face(image, colour) for colour in colours if colour.min() < 255]
        return tuple(sorted(faces, key=lambda face: -face.box.area)[:100])

    def sweep(self, image: Image, least: float, largest: int = 0) -> tuple[Face, ...]:
        return self.detect(image)

    def glance(self, image: Image, *, crowded: bool = False) -> tuple[Face, ...]:
        return self.detect(image)

    def meshes(self, image: Image, faces: Sequence[Face]) -> tuple[Mesh, ...]:
        return tuple(Mesh(np.zeros((478, 3)), 1.0) for _ in faces)

    def describe(self, image: Image, face: Face, mesh: Mesh) -> Description:
        return Description(
            pose=Pose(yaw=1.0, pitch=2.0, roll=3.0),
            quality=Quality(brightness=60.0, sharpness=70.0),
            points=MappingProxyType(dict.fromkeys(NAMED, _centre(face.box))),
            placed=face.landmarks,
        )

    def read(
        self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh], asked: Collection[Attribute]
    ) -> tuple[Mapping[Attribute, Trace], ...]:
        shown = {each: Trait(True, 90.0) for each in self.offered.intersection(asked)}
        return tuple(MappingProxyType(shown) for _ in faces)

    @property
    def cards(self) -> tuple[Card, ...]:
        return (CARD,)

    def label(self, image: Image) -> tuple[Label, ...]:
        """A square is a person; a picture without any is of a beach."""
        people = tuple(Instance(face.box, face.confidence) for face in self.detect(image))
        if not people:
            return Label("Beach", 80.0), Label("Nature", 80.0), Label("Outdoors", 80.0)
        return (Label("Person", people[0].confidence, people),)

    def placed(self, image: Image, faces: Sequence[Face]) -> tuple[Face, ...]:
        return tuple(faces)

    def embed(self, image: Image, faces: Sequence[Face]) -> tuple[Embedding, ...]:
        return tuple(Embedding(_direction(image, _centre(face.box)), CARD.id) for face in faces)


def _face(image: Image, colour: np.ndarray) -> Face:
    rows, columns = np.nonzero((image.pixels == colour).all(2))
    box = Box(
        left=float(columns.min()) / image.width,
        top=float(rows.min()) / image.height,
        width=float(np.ptp(columns) + 1) / image.width,
        height=float(np.ptp(rows) + 1) / image.height,
    )
    return Face(box, Landmarks(*[_centre(box)] * 5), confidence=99.0)


def _centre(box: Box) -> Point:
    return Point(box.left + box.width / 2, box.top + box.height / 2)


def _direction(image: Image, place: Point) -> np.ndarray:
    colour = image.pixels[int(place.y * image.height), int(place.x * image.width)]
    vector = np.random.default_rng(colour.tolist()).standard_normal(CARD.dimensions).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
