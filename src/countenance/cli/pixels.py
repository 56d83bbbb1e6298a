"""The pixels of enrolled faces: the service keeps none, so they are cut from the user's own photos.

A photo is where `countenance index` found it, or below a folder that is named. What is cut is the very photo
that was enrolled: its bytes are compared with the ExternalImageId that the shell gave it, or with the ImageId
that the service made of them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image as Pillow

from countenance.aws.objects import Objects
from countenance.cli import sources
from countenance.cli.manifest import Manifest, external_image_id
from countenance.cli.paper import Picture
from countenance.cli.pictures import WORKING, Photo
from countenance.errors import AwsError, PhotoError

SIDE = 320
"""Pixels of a cut face: sharp at the size of a thumb on a phone."""

AROUND = 0.45
"""Of the face's longer side, what is shown on each side of it: hair, ears and chin help people judge."""

_DIGEST = re.compile(r"(?P<name>.*):(?P<digest>[0-9a-f]{16})")
"""An ExternalImageId as `countenance index` makes them."""


class Pixels:
    """Cuts enrolled faces. photos: a folder to look in beside the places of the manifest."""

    def __init__(self, manifests: Path, objects: Objects, photos: Path | None = None) -> None:
        self._manifests, self._objects, self._photos = manifests, objects, photos

    def names(self, collection: str, faces: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """What each face's photo is called, by FaceId: its path, or its ExternalImageId."""
        return {
            face["FaceId"]: place or face.get("ExternalImageId", "") or "(unnamed)"
            for face, place in self._placed(collection, faces)
        }

    def of(self, collection: str, faces: Iterable[Mapping[str, Any]]) -> dict[str, Picture]:
        """Each face's picture, or why there is none, by FaceId."""
        return {face["FaceId"]: self._picture(face, place) for face, place in self._placed(collection, faces)}

    def _placed(
        self, collection: str, faces: Iterable[Mapping[str, Any]]
    ) -> Iterator[tuple[Mapping[str, Any], str | None]]:
        """Each face with where the manifest says its photo is."""
        with Manifest.reading(self._manifests, collection) as manifest:
            for face in faces:
                external = face.get("ExternalImageId", "")
                yield face, manifest.path_of(external, face["ImageId"]) if manifest and external else None

    def _picture(self, face: Mapping[str, Any], place: str | None) -> Picture:
        why = "No photo is known here for this face. --photos names the folder it was enrolled from."
        for where in filter(None, (place, self._below(face.get("ExternalImageId", "")))):
            try:
                photo = sources.read(where, self._objects)
                if is_of(photo, face):
                    return Picture(f"Face in {where}", cut(photo, face["BoundingBox"]))
                why = f"{where} holds another picture than the one that was enrolled."
            except (PhotoError, AwsError) as fault:
                why = str(fault)
        return Picture(why)

    def _below(self, external: str) -> str | None:
        """The file in the folder that is named as a face's ExternalImageId says."""
        made = _DIGEST.fullmatch(external)
        return self._names.get(made["name"] if made else external)

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """Files below the folder by what they may be called: as `countenance index` does, by path, by name,
        and by name without its ending."""
        names: dict[str, str] = {}
        if self._photos is None:
            return names
        for item in sources.Folder(self._photos):
            within = PurePosixPath(os.path.relpath(item.place, self._photos))
            called = _DIGEST.fullmatch(external_image_id(within, "0" * 16))
            for name in (called["name"] if called else "", str(within), within.name, within.stem):
                names.setdefault(name, item.place)
        return names


def is_of(photo: Photo, face: Mapping[str, Any]) -> bool:
    """Whether a face was enrolled from this very photo."""
    made = _DIGEST.fullmatch(face.get("ExternalImageId", ""))
    if made and photo.digest.startswith(made["digest"]):
        return True
    by_bytes = uuid.UUID(bytes=hashlib.sha256(photo.sent).digest()[:16], version=5)
    return str(by_bytes) == str(face["ImageId"])


def cut(photo: Photo, box: Mapping[str, float]) -> bytes:
    """A square JPEG around a BoundingBox, grey where it leaves the photo. Raises PhotoError."""
    picture = photo.upright(WORKING)
    width, height = box["Width"] * picture.width, box["Height"] * picture.height
    half = max(width, height) * (0.5 + AROUND)
    x = box["Left"] * picture.width + width / 2
    y = box["Top"] * picture.height + height / 2
    square = Pillow.new("RGB", (max(1, round(2 * half)),) * 2, "#d5d9dd")
    square.paste(picture, (round(half - x), round(half - y)))
    stream = io.BytesIO()
    square.resize((SIDE, SIDE), Pillow.Resampling.LANCZOS).save(stream, "JPEG", quality=85)
    return stream.getvalue()
