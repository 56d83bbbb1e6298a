"""Readers for labelled sets of faces that the user has: a folder holding one folder a set.

The sets are research sets of real people. Nothing of them is in this repository: only figures are.
`lfw` Labeled Faces in the Wild · `celeba-wild` uncropped CelebA · `facemask` crowds with boxes ·
`fairface` and `utkface` faces by sex, race and age · `celeba` faces with forty marks · `ckplus` and `fer2013`
expressions at 48 pixels (docs/numbers.md and docs/models.md say whose they are).
Every reader raises DataError where its set is absent or not laid out as expected.
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree

from countenance.errors import DataError
from countenance.types import Box

FAIRFACE_AGES: Final = {
    "0-2": 1, "3-9": 6, "10-19": 15, "20-29": 25, "30-39": 35,
    "40-49": 45, "50-59": 55, "60-69": 65, "70+": 75,
}  # fmt: skip
UTKFACE_RACES: Final = ("White", "Black", "Asian", "Indian", "other")
EXPRESSIONS: Final = {
    "anger": "ANGRY", "angry": "ANGRY", "disgust": "DISGUSTED", "fear": "FEAR", "happy": "HAPPY",
    "sadness": "SAD", "sad": "SAD", "surprise": "SURPRISED", "neutral": "CALM", "contempt": "contempt",
}  # fmt: skip
"""The sets' folders in Rekognition's words. It has none for contempt, which keeps the set's."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph of one person.

    person: who, as the set says, or the file where it does not. sex: "male", "female" or "" where unknown.
    race: the set's own word, "". age: years, the middle of the set's band, or None. expression: see
    EXPRESSIONS. marks: what the set says the face shows or not, in its own words. box: where the face meant
    is; None: nearest the centre.
    """

    path: Path
    person: str
    sex: str = ""
    race: str = ""
    age: int | None = None
    expression: str = ""
    marks: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))
    box: Box | None = None

    @property
    def band(self) -> str:
        """The age band figures are told by. 10-19 stands alone: it holds children and adults."""
        if self.age is None:
            return ""
        bands = ((3, "0-2"), (10, "3-9"), (20, "10-19"), (40, "20-39"), (60, "40-59"))
        return next((name for limit, name in bands if self.age < limit), "60+")


def half(photo: Photo) -> str:
    """A, where curves are fitted, or B, where they are measured: by the person, else by the file's name."""
    name = photo.path.name
    key = name if photo.person == name.split(".")[0] else photo.person
    return "AB"[int(hashlib.sha256(key.encode()).hexdigest()[0], 16) % 2]


@dataclass(frozen=True, slots=True)
class Pair:
    """A line of LFW's View 2. fold: from 0."""

    first: Path
    second: Path
    same: bool
    fold: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """A photograph with every face's box. sizes: (width, height) of the photograph in pixels."""

    path: Path
    boxes: tuple[Box, ...]
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """Where a set says who is who wrongly, found by looking (label_errors.toml holds the reasons).

    wrong: file names shown under another's name. people: a name, or a file's name up to its first point, to
    the one name kept for that person.
    """

    wrong: frozenset[str]
    people: Mapping[str, str]


@cache
def label_errors(name: str) -> LabelErrors:
    """What is known to be wrong in a set's labels. Empty for a set nobody looked through."""
    text = resources.files("countenance.audit").joinpath("label_errors.toml").read_text("utf-8")
    table = tomllib.loads(text).get(name, {})
    return LabelErrors(
        wrong=frozenset(entry["photo"] for entry in table.get("wrong", [])),
        people={one: entry["names"][0] for entry in table.get("same", []) for one in entry["names"]},
    )


def cleaned(name: str, photos: Sequence[Photo]) -> list[Photo]:
    """The photos without those under a wrong name, and with one name for each person."""
    errors = label_errors(name)
    return [
        replace(photo, person=errors.people.get(photo.person, photo.person))
        for photo in photos
        if photo.path.name not in errors.wrong
    ]


def lfw(data: Path) -> list[Photo]:
    """Labeled Faces in the Wild: identity is the folder; sex by the lists of Afifi and Abdelhamed (2019)."""
    root = _folder(data, "lfw")
    sexes = {
        line.strip().rsplit("_", 1)[0]: sex
        for sex in ("female", "male")
        for line in _text(root / f"gender_{sex}_names.txt").splitlines()
        if line.strip()
    }
    return [
        Photo(path, path.parent.name, sex=sexes.get(path.parent.name, ""))
        for path in sorted((root / "images").glob("*/*.jpg"))
    ]


def lfw_pairs(data: Path) -> list[Pair]:
    """The folds of View 2 that are here, in the official format: n same pairs, then n different, per fold."""
    root = _folder(data, "lfw")
    head, *lines = _text(root / "pairs.txt").splitlines()
    half = int(head.split()[1])
    pairs = []
    for number, line in enumerate(line for line in lines if line.strip()):
        fields = line.split("\t")
        first, second = (fields[0], fields[1]), (fields[-2] if len(fields) == 4 else fields[0], fields[-1])
        places = [root / "images" / who / f"{who}_{int(which):04d}.jpg" for who, which in (first, second)]
        pairs.append(Pair(places[0], places[1], same=len(fields) == 3, fold=number // (2 * half)))
    return pairs


def celeba_wild(data: Path) -> list[Photo]:
    """Uncropped web photos, two to ten a person: identity is the folder."""
    root = _folder(data, "celeba-wild")
    return [Photo(path, path.parent.name) for path in sorted(root.glob("*/*.jpg"))]


def fairface(data: Path) -> list[Photo]:
    """FairFace: one photo a person, with sex, seven races and a band of age."""
    root = _folder(data, "fairface")
    rows = csv.DictReader(_text(root / "labels.csv").splitlines())
    return [
        Photo(
            root / "images" / row["file"],
            person=row["file"],
            sex=row["gender"].lower(),
            race=row["race"],
            age=FAIRFACE_AGES[row["age"]],
        )
        for row in rows
    ]


def utkface(data: Path) -> list[Photo]:
    """UTKFace: age, sex and race from the file name; each photo taken for a person of its own."""
    root = _folder(data, "utkface")
    photos = []
    for path in sorted(root.glob("*.jpg")):
        fields = path.name.split("_")
        if len(fields) == 4:  # a few of the set's names lack a field
            age, sex, race = (int(field) for field in fields[:3])
            photos.append(
                Photo(path, path.name.split(".")[0], ("male", "female")[sex], UTKFACE_RACES[race], age)
            )
    return photos


def celeba(data: Path) -> list[Photo]:
    """CelebA, aligned: forty marks a face. People are not told; their photos are few."""
    root = _folder(data, "celeba")
    rows = csv.DictReader(_text(root / "attributes.csv").splitlines())
    return [
        Photo(
            root / "images" / row["image_id"],
            person=row["image_id"],
            sex="male" if row["Male"] == "1" else "female",
            marks={name: value == "1" for name, value in row.items() if name != "image_id"},
        )
        for row in rows
    ]


def ckplus(data: Path) -> list[Photo]:
    """CK+: expressions acted at 48 pixels, several a person. It has no neutral faces."""
    return [
        Photo(path, path.name.split("_")[0], expression=EXPRESSIONS[path.parent.name])
        for path in sorted(_folder(data, "ckplus").glob("*/*.png"))
    ]


def fer2013(data: Path) -> list[Photo]:
    """FER2013: expressions from the web at 48 pixels; more than a tenth of the labels are wrong."""
    return [
        Photo(path, path.name, expression=EXPRESSIONS[path.parent.name])
        for path in sorted(_folder(data, "fer2013").glob("*/*.jpg"))
    ]


def masks(data: Path) -> list[Photo]:
    """facemask's faces, one Photo a face, by the mark `mask`. Those whose mask sits wrong are left out."""
    root = _folder(data, "facemask")
    photos = []
    for note in sorted((root / "annotations").glob("*.xml")):
        tree = ElementTree.parse(note).getroot()  # noqa: S314 (the user's own folder)
        path = _picture(root / "images", note.stem)
        for found in tree.iter("object"):
            worn = {"with_mask": True, "without_mask": False}.get(found.findtext("name", ""))
            if worn is not None:
                photos.append(Photo(path, path.name, marks={"mask": worn}, box=_boxes(tree, found)[0]))
    return photos


def facemask(data: Path) -> list[Crowd]:
    """Streets and crowds, masked and unmasked, with Pascal VOC boxes."""
    root = _folder(data, "facemask")
    crowds = []
    for note in sorted((root / "annotations").glob("*.xml")):
        tree = ElementTree.parse(note).getroot()  # noqa: S314 (the user's own folder)
        crowds.append(Crowd(_picture(root / "images", note.stem), _boxes(tree, tree), _size(tree)))
    return crowds


def _size(tree: ElementTree.Element) -> tuple[int, int]:
    return int(tree.findtext("size/width", "0")), int(tree.findtext("size/height", "0"))


def _boxes(tree: ElementTree.Element, part: ElementTree.Element) -> tuple[Box, ...]:
    """Those of a part of a Pascal VOC file, all of it or one object."""
    width, height = _size(tree)
    boxes = []
    for found in part.iter("bndbox"):
        left, top, right, bottom = (
            float(found.findtext(edge, "0")) for edge in ("xmin", "ymin", "xmax", "ymax")
        )
        boxes.append(Box(left / width, top / height, (right - left) / width, (bottom - top) / height))
    return tuple(boxes)


def _picture(folder: Path, stem: str) -> Path:
    """The photograph of that name, whatever its kind: some copies of the set were made JPEGs."""
    found = next(iter(folder.glob(f"{stem}.*")), None)
    if found is None:
        raise DataError(f"skipped: there is no photograph {stem} in {folder}")
    return found


def _folder(data: Path, name: str) -> Path:
    folder = data / name
    if not folder.is_dir():
        raise DataError(f"skipped: the set {name} is not in {data}")
    return folder


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as absent:
        raise DataError(f"skipped: {path} is missing") from absent
