"""The senses: pixels in, facts out. They know no policy, no gallery and no network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final, Protocol, TypeVar

from countenance.errors import ModelError
from countenance.types import Attribute, Description, Embedding, Face, Image, Label, Text, Trace
from countenance.vision import zoo
from countenance.vision.ages import DlibGender, FaceApiAges
from countenance.vision.attributes import Attributes, Head, Net
from countenance.vision.blendshapes import Blendshapes
from countenance.vision.calibration import ADULTS, Calibration, Genuine
from countenance.vision.centernet import CenterNet
from countenance.vision.expressions import FaceApiExpressions, MiniXception
from countenance.vision.faceres import FaceRes
from countenance.vision.heads import Heads
from countenance.vision.imagenet import EfficientNet
from countenance.vision.labels import Classifier, Finder, Labels
from countenance.vision.landmarks import MediaPipeLandmarks, Mesh
from countenance.vision.mouth import Lips
from countenance.vision.nsfw import OpenNsfw
from countenance.vision.ppocr import LineFinder, LineReader, LineTurner
from countenance.vision.sface import SFace
from countenance.vision.text import PPOCR
from countenance.vision.yunet import SWEPT, YuNet


class Detector(Protocol):
    """Finds faces."""

    card: zoo.Card

    def detect(self, image: Image) -> tuple[Face, ...]:
        """The faces, largest first, a hundred at most."""

    def glance(self, image: Image, *, crowded: bool = False) -> tuple[Face, ...]:
        """The same of a frame of a clip, quicker. crowded: the frame before had small faces."""

    def sweep(self, image: Image, least: float, largest: int = SWEPT[-1]) -> tuple[Face, ...]:
        """All that may be a face, largest first, however many. least: confidence, percent."""


class Landmarker(Protocol):
    """Looks closer at faces that were found."""

    card: zoo.Card

    def meshes(self, image: Image, faces: Sequence[Face]) -> tuple[Mesh, ...]:
        """478 points on each face, in order."""

    def describe(self, image: Image, face: Face, mesh: Mesh) -> Description:
        """Pose, quality and thirty points of a face."""

    def placed(self, image: Image, faces: Sequence[Face]) -> tuple[Face, ...]:
        """The faces with their five points where a closer look puts them, in order."""


class Describer(Protocol):
    """Reads attributes off faces."""

    @property
    def offered(self) -> frozenset[Attribute]:
        """What it can tell."""

    def read(
        self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh], asked: Collection[Attribute]
    ) -> tuple[Mapping[Attribute, Trace], ...]:
        """What of `asked` each face shows, in order."""


class Embedder(Protocol):
    """Places faces in a model's space."""

    card: zoo.Card

    def embed(self, image: Image, faces: Sequence[Face]) -> tuple[Embedding, ...]:
        """One embedding per face, in order."""


class Labeler(Protocol):
    """Says what whole pictures show."""

    @property
    def cards(self) -> tuple[zoo.Card, ...]:
        """The cards of the models it looks with."""

    def label(self, image: Image) -> tuple[Label, ...]:
        """What a picture shows, most probable first."""


class Reader(Protocol):
    """Reads text."""

    @property
    def cards(self) -> tuple[zoo.Card, ...]:
        """Of its networks. The last is the one that reads."""

    def read(self, image: Image) -> Text:
        """The lines, from the top down."""


class Moderator(Protocol):
    """Tells unsafe pictures."""

    card: zoo.Card

    @property
    def names(self) -> tuple[str, ...]:
        """The labels it knows, by Rekognition's names."""

    def judge(self, image: Image) -> Mapping[str, float]:
        """Each of its labels with its confidence, percent."""


Sense = TypeVar("Sense")

DETECTORS: Final[Mapping[str, Callable[[zoo.Card, int | None], Detector]]] = {"YuNet": YuNet}
LANDMARKERS: Final[Mapping[str, Callable[[zoo.Card, int | None], Landmarker]]] = {
    "MediaPipeLandmarks": MediaPipeLandmarks
}
EMBEDDERS: Final[Mapping[str, Callable[[zoo.Card, int | None], Embedder]]] = {"SFace": SFace}
NETS: Final[Mapping[str, Callable[[zoo.Card, int | None], Net]]] = {
    "FaceRes": FaceRes,
    "FaceApiAges": FaceApiAges,
    "DlibGender": DlibGender,
    "Blendshapes": Blendshapes,
    "FaceApiExpressions": FaceApiExpressions,
    "MediaPipeLandmarks": Lips,
    "MiniXception": MiniXception,
}
THINGS: Final[Mapping[str, Callable[[zoo.Card, int | None], Finder]]] = {"CenterNet": CenterNet}
CLASSIFIERS: Final[Mapping[str, Callable[[zoo.Card, int | None], Classifier]]] = {
    "EfficientNet": EfficientNet
}
FINDERS: Final[Mapping[str, Callable[[zoo.Card, int | None], LineFinder]]] = {"LineFinder": LineFinder}
TURNERS: Final[Mapping[str, Callable[[zoo.Card, int | None], LineTurner]]] = {"LineTurner": LineTurner}
READERS: Final[Mapping[str, Callable[[zoo.Card, int | None], LineReader]]] = {"LineReader": LineReader}
MODERATORS: Final[Mapping[str, Callable[[zoo.Card, int | None], Moderator]]] = {"OpenNsfw": OpenNsfw}
HEADS: Final[Mapping[str, Callable[[zoo.Card], Head]]] = {"Heads": Heads}


class Vision:
    """The senses of one service. Weights are read at the first use of each; many callers may look at once.

    Every method raises ModelError where weights are missing or a network fails; a face never comes back
    without what was asked for. reader, moderator: None where
    nothing here reads text or tells unsafe pictures.
    """

    def __init__(
        self,
        detector: Detector,
        landmarker: Landmarker,
        embedder: Embedder,
        describer: Describer,
        *,
        reader: Reader | None = None,
        moderator: Moderator | None = None,
        labeler: Labeler | None = None,
    ) -> None:
        self.detector = detector
        self.landmarker = landmarker
        self.embedder = embedder
        self.describer = describer
        self.reader = reader
        self.moderator = moderator
        self.labeler = labeler

    @classmethod
    def load(
        cls,
        *,
        detector: str = "yunet-2023mar",
        landmarker: str = "mediapipe-face-landmarker",
        embedder: str = "sface-2021dec",
        finder: str = "centernet-mobilenetv3",
        classifier: str = "efficientnet-lite2",
        threads: int | None = None,
        commercial_only: bool = False,
    ) -> Vision:
        """The senses by their cards' ids. threads: processors to use, all by default.

        commercial_only: refuse a card whose licence or training labels close commercial use, by ModelError;
        where labels need one, there is no labeler.
        """

        def named(identity: str) -> zoo.Card:
            return zoo.card(identity, commercial_only=commercial_only)

        offered = zoo.offered(commercial_only=commercial_only)
        faces = _build(DETECTORS, named(detector), threads)
        return cls(
            faces,
            _build(LANDMARKERS, named(landmarker), threads),
            _build(EMBEDDERS, named(embedder), threads),
            Attributes(
                {card.id: NETS[card.family](card, threads) for card in offered if card.family in NETS},
                {card.id: HEADS[card.family](card) for card in offered if card.family in HEADS},
            ),
            reader=PPOCR(
                _build(FINDERS, named("ppocr-v6-small-det"), threads),
                _build(TURNERS, named("ppocr-v2-cls"), threads),
                _build(READERS, named("ppocr-v6-small-rec"), threads),
            ),
            moderator=_build(MODERATORS, named("open-nsfw"), threads),
            labeler=Labels(
                _build(THINGS, zoo.card(finder), threads),
                _build(CLASSIFIERS, zoo.card(classifier), threads),
                faces,
            )
            if {finder, classifier} <= {card.id for card in offered}
            else None,
        )

    @property
    def cards(self) -> tuple[zoo.Card, ...]:
        """The cards of the models in use."""
        return self.detector.card, self.landmarker.card, self.embedder.card

    @property
    def model(self) -> str:
        """The embedding model's id: what Rekognition calls FaceModelVersion."""
        return self.embedder.card.id

    @property
    def populations(self) -> tuple[str, ...]:
        """Whom the embedding model is calibrated for."""
        return tuple(self.embedder.card.calibrations)

    @property
    def offered(self) -> frozenset[Attribute]:
        """The attributes that a calibrated card backs."""
        return self.describer.offered

    def detect(self, image: Image) -> tuple[Face, ...]:
        """The faces, largest first, a hundred at most."""
        return self.detector.detect(image)

    def glance(self, image: Image, *, crowded: bool = False) -> tuple[Face, ...]:
        """The faces of a frame of a clip, largest first, a hundred at most: quicker, without the smallest.

        crowded: the frame before had small faces.
        """
        return self.detector.glance(image, crowded=crowded)

    def sweep(self, image: Image, least: float, largest: int = SWEPT[-1]) -> tuple[Face, ...]:
        """All that may be a face, by many looks, largest first, however many.

        least: confidence, percent; under 60 much is told that is none. largest: side in
        pixels of the closest look; less is quicker and misses small ones.
        """
        return self.detector.sweep(image, least, largest)

    def describe(
        self, image: Image, faces: Sequence[Face], asked: Collection[Attribute] = ()
    ) -> tuple[Description, ...]:
        """Pose, quality, thirty points and the attributes asked for of each face, in order.

        No attribute's network runs unless it is asked for.
        """
        meshes = self.landmarker.meshes(image, faces)
        traits = self.describer.read(image, faces, meshes, asked)
        return tuple(
            replace(self.landmarker.describe(image, face, mesh), traits=shown)
            for face, mesh, shown in zip(faces, meshes, traits, strict=True)
        )

    def label(self, image: Image) -> tuple[Label, ...]:
        """What the picture shows, most probable first: names of the taxonomy."""
        return self._labeler.label(image)

    def embed(
        self, image: Image, faces: Sequence[Face], described: Sequence[Description] | None = None
    ) -> tuple[Embedding, ...]:
        """Where each face lies in the embedding model's space, in order.

        described: what describe() told of the same faces. It spares a look at each and changes no embedding.
        """
        if described is None:
            placed = self.landmarker.placed(image, faces)
        else:
            pairs = zip(faces, described, strict=True)
            placed = tuple(replace(face, landmarks=known.placed) for face, known in pairs)
        return self.embedder.embed(image, placed)

    def read(self, image: Image) -> Text:
        """The lines of text in a picture, from the top down."""
        if self.reader is None:
            raise ModelError("no model here reads text")
        return self.reader.read(image)

    def moderate(self, image: Image) -> Mapping[str, float]:
        """What of unsafe content can be told, by Rekognition's names, each with its confidence in percent."""
        if self.moderator is None:
            raise ModelError("no model here tells unsafe pictures")
        return self.moderator.judge(image)

    @cached_property
    def label_model(self) -> str:
        """What Rekognition calls LabelModelVersion: the ids of the cards that labels come of."""
        return "+".join(card.id for card in self._labeler.cards)

    @property
    def _labeler(self) -> Labeler:
        if self.labeler is None:
            raise ModelError("no model here labels pictures")
        return self.labeler

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the weights that find, place and compare faces, as their cards name them."""
        cards = (self.detector.card, self.landmarker.card, self.embedder.card)
        files = [f"{card.id} {file.sha256}" for card in cards for file in card.files]
        return hashlib.sha256("\n".join(files).encode()).hexdigest()

    def calibration(self, population: str = ADULTS) -> Calibration:
        """What the embedding model's cosines mean in a population. Raises ModelError."""
        known = self.embedder.card.calibrations
        if population not in known:
            raise ModelError(
                f"{self.model} has no calibration for {population!r}; it has {', '.join(self.populations)}"
            )
        return known[population]

    @property
    def genuine(self) -> Genuine:
        """How often the embedding model knows a person again. Raises ModelError."""
        if self.embedder.card.genuine is None:
            raise ModelError(f"the card of {self.model} does not say how often it knows a person again")
        return self.embedder.card.genuine


def _build(
    families: Mapping[str, Callable[[zoo.Card, int | None], Sense]], card: zoo.Card, threads: int | None
) -> Sense:
    if card.family not in families:
        raise ModelError(f"{card.id} is a model to {card.task}; this place takes {', '.join(families)}")
    return families[card.family](card, threads)
