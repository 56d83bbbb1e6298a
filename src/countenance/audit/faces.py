"""The faces of labelled sets: found once, seen by every network once, and kept where the user allows it.

A photo's face is the one nearest the centre, or the one that lies where the set's box does. Pictures smaller
than the wire takes (two sets have 48 pixels) go the same road; one that shows no face so is enlarged, and
where that does not help either the whole picture is taken for the face.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from countenance.audit import metrics
from countenance.audit.embedding import central
from countenance.audit.sets import Photo
from countenance.types import Attribute, Box, Face, Image, Landmarks, Point, Trace
from countenance.vision import Detector, Landmarker, Vision, images, warp
from countenance.vision.attributes import Attributes, Net, Signals
from countenance.vision.images import decode
from countenance.vision.landmarks import Mesh
from countenance.vision.zoo import Card

Array = npt.NDArray[np.float32]
Result = TypeVar("Result")
Progress = Callable[[str, int, int], None]

LEAST: Final = 0.4  # intersection over union that makes a found face the one that a set's box means
ENLARGING: Final = 4
# Where the five points lie in pictures of 48 pixels: the mean of the faces found in half A of fer2013.
WHOLE: Final = Face(
    Box(0.0, 0.0, 1.0, 1.0),
    Landmarks(Point(0.32, 0.38), Point(0.67, 0.37), Point(0.5, 0.59), Point(0.36, 0.76), Point(0.65, 0.75)),
    confidence=0.0,
)
WAYS: Final = ("found", "enlarged", "whole")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A photo's face. size: of the picture, (width, height) pixels. way: one of WAYS, how it was found."""

    photo: Photo
    face: Face
    mesh: Mesh
    size: tuple[int, int]
    way: str

    @property
    def frame(self) -> Image:
        """A picture of that size, black: enough for what looks at its size alone."""
        width, height = self.size
        return Image(np.broadcast_to(np.uint8(0), (height, width, 3)), b"")


class Looker:
    """Runs detector, mesh and networks over sets.

    cache: a folder to keep faces' points and signals in between runs, None to keep none. They are biometric
    data: the folder is the user's to guard and delete. Keys hold weights' digests, code and photographs.
    """

    def __init__(self, vision: Vision, describer: Attributes, cache: Path | None, progress: Progress) -> None:
        self.vision = vision
        self.describer = describer
        self._cache = cache
        self._progress = progress

    @classmethod
    def open(cls, cache: Path | None, progress: Progress) -> Looker:
        """With the senses as they are loaded by default."""
        vision = Vision.load()
        assert isinstance(vision.describer, Attributes)
        return cls(vision, vision.describer, cache, progress)

    def faces(self, name: str, photos: Sequence[Photo]) -> list[Seen]:
        """The face of each photo that shows one, in order."""
        scenes = [list(group) for _, group in itertools.groupby(photos, key=lambda photo: photo.path)]
        rules = "".join(inspect.getsource(rule) for rule in (Looker._detected, _chosen, _row)).encode()
        senses = _version(self.vision.detector), _version(self.vision.landmarker)
        key = _digest(*senses, rules, *(_label(photo) for photo in photos))
        rows = self._kept(f"{name}-faces-{key}", lambda: np.concatenate(list(self._found(name, scenes))))
        return [seen for photo, row in zip(photos, rows, strict=True) if (seen := _seen(photo, row))]

    def signals(self, name: str, faces: Sequence[Seen]) -> Signals:
        """What every network, and every head on one, says of each face."""
        where = [_label(seen.photo) + str(seen.face).encode() + seen.mesh.points.tobytes() for seen in faces]
        nets = {
            identity: self._kept(
                f"{name}-{identity}-{_digest(_version(net), *where)}",
                lambda net=net: np.concatenate(list(self._looked(name, net, faces))),  # type: ignore[misc]
            )
            for identity, net in self.describer.nets.items()
        }
        heads = self.describer.heads
        return nets | {identity: head.read(nets[head.source]) for identity, head in heads.items()}

    def _found(self, name: str, scenes: Sequence[list[Photo]]) -> Iterator[Array]:
        return self._counted(f"{name}: faces", self._scene, scenes)

    def _scene(self, photos: list[Photo]) -> Array:
        """A row a photo of one picture; zeros where its face was not found."""
        image = _decode(photos[0].path)
        faces, way = self._detected(image)
        chosen = _chosen(photos, faces)
        there = [face for face in chosen if face]
        meshes = iter(self.vision.landmarker.meshes(image, there))
        return np.stack([_row(image, face, next(meshes), way) if face else _NOBODY for face in chosen])

    def _detected(self, image: Image) -> tuple[Sequence[Face], str]:
        """The picture's faces and how they were found: the one rule for pictures under the wire's minimum."""
        faces = self.vision.detect(image)
        if faces or max(image.width, image.height) >= images.LIMITS.smallest:
            return faces, "found"
        larger = cv2.resize(image.pixels, None, fx=ENLARGING, fy=ENLARGING, interpolation=cv2.INTER_CUBIC)
        faces = self.vision.detect(dataclasses.replace(image, pixels=larger))
        return (faces, "enlarged") if faces else ((WHOLE,), "whole")

    def _looked(self, name: str, net: Net, faces: Sequence[Seen]) -> Iterator[Array]:
        scenes = [list(group) for _, group in itertools.groupby(faces, key=lambda seen: seen.photo.path)]

        def look(scene: list[Seen]) -> Array:
            image = _decode(scene[0].photo.path)
            return net.look(image, [seen.face for seen in scene], [seen.mesh for seen in scene])

        return self._counted(f"{name}: {net.card.id}", look, scenes)

    def _counted(
        self, what: str, work: Callable[[Result], Array], items: Sequence[Result]
    ) -> Iterator[Array]:
        with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
            for done, result in enumerate(pool.map(work, items), start=1):
                self._progress(what, done, len(items))
                yield result

    def _kept(self, name: str, make: Callable[[], Array]) -> Array:
        if self._cache is None:
            return make()
        kept = self._cache / f"{name}.npy"
        if not kept.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._cache, suffix=".part", delete=False) as part:
                np.save(part, make())
            Path(part.name).replace(kept)  # whole or not at all, also when the run is stopped
        return np.asarray(np.load(kept), np.float32)


class _Recorded:
    """A Net that says again what it said of one face."""

    def __init__(self, card: Card, signals: Array) -> None:
        self.card = card
        self._signals = signals

    def look(self, image: Image, faces: Sequence[Face], meshes: Sequence[Mesh]) -> Array:  # noqa: ARG002
        return self._signals


def served(
    describer: Attributes, faces: Sequence[Seen], signals: Signals, asked: Iterable[Attribute]
) -> list[Mapping[Attribute, Trace]]:
    """What a user is told of each face: the describer's own words over what the networks said of it."""
    told: list[Mapping[Attribute, Trace]] = []
    wanted = frozenset(asked)
    for place, seen in enumerate(faces):
        said = {
            key: _Recorded(net.card, signals[key][place : place + 1]) for key, net in describer.nets.items()
        }
        told += Attributes(said, describer.heads).read(seen.frame, [seen.face], [seen.mesh], wanted)
    return told


def _chosen(photos: Sequence[Photo], faces: Sequence[Face]) -> list[Face | None]:
    """Each photo's face among those of their picture."""
    boxes = [photo.box for photo in photos if photo.box]
    if not boxes:
        return [central(faces) if faces else None for _ in photos]
    best = sorted(faces, key=lambda face: -face.confidence)
    taken = metrics.assign([_edges(face.box) for face in best], [_edges(box) for box in boxes], LEAST)
    mates = {mate: face for face, mate in zip(best, taken, strict=True) if mate is not None}
    return [mates.get(number) for number in range(len(photos))]


def _edges(box: Box) -> metrics.Edges:
    return box.left, box.top, box.left + box.width, box.top + box.height


def _decode(path: Path) -> Image:
    return decode(path.read_bytes(), limits=dataclasses.replace(images.LIMITS, smallest=1))


_MARKS: Final = ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right")
_HEAD: Final = 3 + 4 + 10 + 2  # way, size, box, five points, confidence, presence
_NOBODY: Final = np.zeros(_HEAD + 478 * 3, np.float32)


def _row(image: Image, face: Face, mesh: Mesh, way: str) -> Array:
    points = [getattr(face.landmarks, mark) for mark in _MARKS]
    places = [value for point in points for value in (point.x, point.y)]
    head = [1 + WAYS.index(way), image.width, image.height, *dataclasses.astuple(face.box), *places]
    return np.concatenate([[*head, face.confidence, mesh.presence], mesh.points.ravel()]).astype(np.float32)


def _seen(photo: Photo, row: Array) -> Seen | None:
    way, width, height, *rest = row[:_HEAD].tolist()
    if not way:
        return None
    places = [Point(x, y) for x, y in zip(rest[4:14:2], rest[5:14:2], strict=True)]
    face = Face(Box(*rest[:4]), Landmarks(*places), rest[14])
    mesh = Mesh(row[_HEAD:].reshape(478, 3).astype(float), rest[15])
    return Seen(photo, face, mesh, (int(width), int(height)), WAYS[int(way) - 1])


def _label(photo: Photo) -> bytes:
    """What a photo's face depends on, short of its bytes, which a set does not change."""
    return f"{photo.path.parent.name}/{photo.path.name} {photo.path.stat().st_size} {photo.box}".encode()


def _version(sense: Detector | Landmarker | Net) -> bytes:
    """A network's weights and the code that cuts faces for it; the runtime changes no figure."""
    modules = [sys.modules[type(sense).__module__], warp, images]
    code = [inspect.getsource(module) for module in modules]
    return "".join([*(file.sha256 for file in sense.card.files), *code]).encode()


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
