"""Photographs to embeddings, on every processor. Kept in memory, or in a folder the user names."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from countenance.types import Face, Image, Vector
from countenance.vision import Vision
from countenance.vision.images import decode

Choice = Callable[[Sequence[Face]], Face]
Progress = Callable[[int, int], None]


def largest(faces: Sequence[Face]) -> Face:
    """The largest face, as Rekognition searches with."""
    return max(faces, key=lambda face: face.box.area)


def central(faces: Sequence[Face]) -> Face:
    """The face nearest the centre: the one LFW, FairFace and UTKFace mean."""
    return min(
        faces,
        key=lambda face: (
            (face.box.left + face.box.width / 2 - 0.5) ** 2 + (face.box.top + face.box.height / 2 - 0.5) ** 2
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """vectors: float32 (n, D), unit length, zeros where no face was found. found: bool (n,)."""

    vectors: Vector
    found: np.ndarray


class Embedder:
    """Runs the senses over many photographs.

    cache: a folder to keep embeddings in between runs, None to keep none. They are biometric data: the
    folder is the user's to guard and delete. The key holds the weights' digests, the senses' own code, the
    choice of face and the photograph's bytes, so that a changed detector never meets an old answer.
    """

    def __init__(self, vision: Vision, cache: Path | None = None) -> None:
        self.vision = vision
        self._cache = cache
        self._system = system(vision)

    def embed(self, paths: Sequence[Path], choose: Choice, progress: Progress | None = None) -> Embedded:
        """One embedding a photograph, in order. Raises ModelError, and DataError's kin for a bad picture."""
        report = progress or (lambda *_: None)
        vectors = []
        with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
            for done, vector in enumerate(pool.map(self._one, paths, itertools.repeat(choose)), start=1):
                vectors.append(vector)
                report(done, len(paths))
        stacked = np.stack(vectors).astype(np.float32)
        return Embedded(stacked, np.linalg.norm(stacked, axis=1) > 0.5)

    def _one(self, path: Path, choose: Choice) -> Vector:
        data = path.read_bytes()
        if self._cache is None:
            return self._look(decode(data), choose)
        key = hashlib.sha256(self._system + choose.__name__.encode() + data).hexdigest()
        kept = self._cache / key[:2] / f"{key}.npy"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".part", delete=False) as part:
                np.save(part, self._look(decode(data), choose))
            Path(part.name).replace(kept)  # whole or not at all, also when the run is stopped
        return np.asarray(np.load(kept), np.float32)

    def _look(self, image: Image, choose: Choice) -> Vector:
        faces = self.vision.detect(image)
        if not faces:
            return np.zeros(self.vision.embedder.card.dimensions, np.float32)
        return self.vision.embed(image, [choose(faces)])[0].vector


# What an embedding does not pass through: changing these keeps the embeddings.
_BESIDE = frozenset({"calibration.py", "expectation.py", "quality.py", "canonical.py", "zoo.py"})


def system(vision: Vision) -> bytes:
    """A digest (32 bytes) of what gives the figures: the weights in use and the senses' code."""
    digest = hashlib.sha256("".join(file.sha256 for card in vision.cards for file in card.files).encode())
    for file in sorted(resources.files("countenance.vision").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py") and file.name not in _BESIDE:
            digest.update(file.read_bytes())
    return digest.digest()
