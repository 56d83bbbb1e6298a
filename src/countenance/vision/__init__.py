"""The senses: pixels in, facts out. They know no policy, no gallery and no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from countenance.errors import ModelError
from countenance.types import Description, Embedding, Face, Image
from countenance.vision import zoo
from countenance.vision.calibration import ADULTS, Calibration
from countenance.vision.landmarks import MediaPipeLandmarks
from countenance.vision.sface import SFace
from countenance.vision.yunet import YuNet


class Detector(Protocol):
    """Finds faces."""

    card: zoo.Card

    def detect(self, image: Image) -> tuple[Face, ...]:
        """The faces, largest first, a hundred at most."""


class Landmarker(Protocol):
    """Looks closer at faces that were found."""

    card: zoo.Card

    def describe(self, image: Image, faces: Sequence[Face]) -> tuple[Description, ...]:
        """One description per face, in order."""

    def placed(self, image: Image, faces: Sequence[Face]) -> tuple[Face, ...]:
        """The faces with their five points where a closer look puts them, in order."""


class Embedder(Protocol):
    """Places faces in a model's space."""

    card: zoo.Card

    def embed(self, image: Image, faces: Sequence[Face]) -> tuple[Embedding, ...]:
        """One embedding per face, in order."""


Sense = TypeVar("Sense")

DETECTORS: Final[Mapping[str, Callable[[zoo.Card, int | None], Detector]]] = {"YuNet": YuNet}
LANDMARKERS: Final[Mapping[str, Callable[[zoo.Card, int | None], Landmarker]]] = {
    "MediaPipeLandmarks": MediaPipeLandmarks
}
EMBEDDERS: Final[Mapping[str, Callable[[zoo.Card, int | None], Embedder]]] = {"SFace": SFace}


class Vision:
    """The senses of one service. Weights are read at the first use of each; many callers may look at once.

    Every method raises ModelError where weights are missing or a network fails; a face never comes back
    without what was asked for.
    """

    def __init__(self, detector: Detector, landmarker: Landmarker, embedder: Embedder) -> None:
        self.detector = detector
        self.landmarker = landmarker
        self.embedder = embedder

    @classmethod
    def load(
        cls,
        *,
        detector: str = "yunet-2023mar",
        landmarker: str = "mediapipe-face-landmarker",
        embedder: str = "sface-2021dec",
        threads: int | None = None,
        commercial_only: bool = False,
    ) -> Vision:
        """The senses by their cards' ids. threads: processors to use, all by default.

        commercial_only: refuse a card whose licence or training labels close commercial use, by ModelError.
        """

        def named(identity: str) -> zoo.Card:
            return zoo.card(identity, commercial_only=commercial_only)

        return cls(
            _build(DETECTORS, named(detector), threads),
            _build(LANDMARKERS, named(landmarker), threads),
            _build(EMBEDDERS, named(embedder), threads),
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

    def detect(self, image: Image) -> tuple[Face, ...]:
        """The faces, largest first, a hundred at most."""
        return self.detector.detect(image)

    def describe(self, image: Image, faces: Sequence[Face]) -> tuple[Description, ...]:
        """Pose, quality and thirty points of each face, in order."""
        return self.landmarker.describe(image, faces)

    def embed(self, image: Image, faces: Sequence[Face]) -> tuple[Embedding, ...]:
        """Where each face lies in the embedding model's space, in order."""
        return self.embedder.embed(image, self.landmarker.placed(image, faces))

    def calibration(self, population: str = ADULTS) -> Calibration:
        """What the embedding model's cosines mean in a population. Raises ModelError."""
        known = self.embedder.card.calibrations
        if population not in known:
            raise ModelError(
                f"{self.model} has no calibration for {population!r}; it has {', '.join(self.populations)}"
            )
        return known[population]


def _build(
    families: Mapping[str, Callable[[zoo.Card, int | None], Sense]], card: zoo.Card, threads: int | None
) -> Sense:
    if card.family not in families:
        raise ModelError(f"{card.id} is a model to {card.task}; this place takes {', '.join(families)}")
    return families[card.family](card, threads)
