"""What is told of faces, measured on labelled ones: how often it is right, how sure it is, whom it fails.

Everything is taken from what users are told (the describer's answers), on half B of each set; the curves
behind the answers were fitted on half A (curves.py). What was asked of each figure is issue 3's list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.audit import metrics, sets
from countenance.audit.bench import Cell, Table
from countenance.audit.faces import Looker, Seen, served
from countenance.audit.metrics import ENOUGH, Estimate
from countenance.audit.sets import Photo
from countenance.errors import DataError
from countenance.types import Attribute, Gender, Trace, Trait
from countenance.vision.attributes import Signals

Mask = npt.NDArray[np.bool_]
Truth = Callable[[Photo], bool | None]

ADULT: Final = 20  # years: gender is measured from here on


def lfw_people(data: Path) -> list[Photo]:
    """One photo, the first, of each person in LFW's folds whose sex the lists tell."""
    pairs = sets.lfw_pairs(data)
    people = {path.parent.name for pair in pairs for path in (pair.first, pair.second)}
    first = {photo.person: photo for photo in reversed(sets.lfw(data))}
    return [photo for name, photo in sorted(first.items()) if name in people and photo.sex]


READERS: Final[Mapping[str, Callable[[Path], list[Photo]]]] = MappingProxyType(
    {
        "celeba": sets.celeba,
        "utkface": sets.utkface,
        "fairface": sets.fairface,
        "lfw": lfw_people,
        "ckplus": sets.ckplus,
        "fer2013": sets.fer2013,
        "facemask": sets.masks,
    }
)


def _mark(name: str) -> Truth:
    return lambda photo: photo.marks.get(name)


def _beard(photo: Photo) -> bool | None:
    return None if "No_Beard" not in photo.marks else not photo.marks["No_Beard"]


def _male(photo: Photo) -> bool | None:
    """Of adults, and of people whose age the set does not tell."""
    known = photo.sex and (photo.age is None or photo.age >= ADULT)
    return photo.sex == "male" if known else None


TRUTHS: Final[Mapping[Attribute, tuple[Truth, tuple[str, ...]]]] = MappingProxyType(
    {
        Attribute.SMILE: (_mark("Smiling"), ("celeba",)),
        Attribute.MOUTH_OPEN: (_mark("Mouth_Slightly_Open"), ("celeba",)),
        Attribute.EYEGLASSES: (_mark("Eyeglasses"), ("celeba",)),
        Attribute.BEARD: (_beard, ("celeba",)),
        Attribute.MUSTACHE: (_mark("Mustache"), ("celeba",)),
        Attribute.FACE_OCCLUDED: (_mark("mask"), ("facemask",)),
        Attribute.GENDER: (_male, ("utkface", "fairface", "celeba", "lfw")),
    }
)
"""What each yes-or-no attribute should say of a photo (None: not known), and the sets that tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A set's faces, what the networks said of them and what a user is told. photos: how many there were."""

    name: str
    faces: list[Seen]
    signals: Signals
    told: list[Mapping[Attribute, Trace]]
    photos: int

    def half(self, which: str) -> Sample:
        """Half A, to fit on, or half B, to report on."""
        places = [number for number, seen in enumerate(self.faces) if sets.half(seen.photo) == which]
        return Sample(
            self.name,
            [self.faces[place] for place in places],
            {net: rows[places] for net, rows in self.signals.items()},
            [self.told[place] for place in places],
            len(places),
        )


def look(data: Path, looker: Looker) -> dict[str, Sample]:
    """Every set that is here, seen by every network. Raises DataError where none is."""
    samples = {}
    for name, read in READERS.items():
        try:
            photos = read(data)
        except DataError:
            continue
        faces = looker.faces(name, photos)
        signals = looker.signals(name, faces)
        told = served(looker.describer, faces, signals, Attribute)
        samples[name] = Sample(name, faces, signals, told, len(photos))
    if not samples:
        raise DataError(f"skipped: none of the sets {', '.join(READERS)} is in {data}")
    return samples


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Answers beside the truth. chances: that it is shown, as told. yes: whether it was told so."""

    faces: list[Seen]
    truth: Mask
    chances: npt.NDArray[np.float64]
    yes: Mask
    unread: int

    def group(self, inside: Callable[[Seen], bool]) -> Told:
        keep = np.array([inside(seen) for seen in self.faces], bool)
        faces = [seen for seen, kept in zip(self.faces, keep, strict=True) if kept]
        return Told(faces, self.truth[keep], self.chances[keep], self.yes[keep], 0)

    @property
    def people(self) -> npt.NDArray[np.generic]:
        return np.array([seen.photo.person for seen in self.faces])


def told(sample: Sample, attribute: Attribute) -> Told:
    """A yes-or-no attribute on the faces of which the set says what is so."""
    truth = TRUTHS[attribute][0]
    known = [number for number, seen in enumerate(sample.faces) if truth(seen.photo) is not None]
    read = [number for number in known if attribute in sample.told[number]]
    answers = [_answer(sample.told[number][attribute]) for number in read]
    faces = [sample.faces[number] for number in read]
    return Told(
        faces,
        np.array([truth(seen.photo) for seen in faces], bool),
        np.array([chance for _, chance in answers]),
        np.array([yes for yes, _ in answers], bool),
        len(known) - len(read),
    )


def _answer(trace: Trace) -> tuple[bool, float]:
    """(whether it is told, the probability told that it is shown)."""
    match trace:
        case Trait(value, confidence):
            yes = value
        case Gender(value, confidence):
            yes = value == "Male"
        case _:
            raise TypeError(f"{trace} is neither yes nor no")
    return yes, confidence / 100 if yes else 1 - confidence / 100


def traits(samples: Mapping[str, Sample], offered: Iterable[Attribute]) -> list[Table]:
    """A table of each yes-or-no attribute: whether it is told right, and whether it is as sure as it says."""
    tables = []
    for attribute in offered:
        known = [samples[name] for name in TRUTHS.get(attribute, (None, ()))[1] if name in samples]
        rows = [(each.name, *_row(told(each.half("B"), attribute))) for each in known]
        if rows:
            tables.append(Table(f"{attribute}: half B", _COLUMNS, tuple(rows), _NOTE, attribute))
    return tables


_COLUMNS: Final = (
    "set", "faces", "show it", "too small to read", "AUC", "balanced accuracy", "calibration error",
    "Brier score",
)  # fmt: skip
_NOTE: Final = (
    "Balanced accuracy: the mean of the shares told right of faces that show it and of those that do not."
    " Calibration error: how far told probabilities lie from how often it is so, by bins of equal mass."
)


def _row(answers: Told) -> tuple[Cell, ...]:
    truth, chances, people = answers.truth, answers.chances, answers.people
    both = bool(truth.any() and not truth.all())
    return (
        len(truth),
        int(truth.sum()),
        answers.unread,
        metrics.auc(chances, truth),
        balanced(answers) if both else "one kind only",
        metrics.bootstrap(
            lambda which: metrics.calibration_error(chances[which], truth[which]), people, error=True
        ),
        metrics.brier(chances, truth),
    )


def balanced(answers: Told) -> Estimate:
    return metrics.bootstrap(
        lambda which: metrics.balanced_accuracy(answers.yes[which], answers.truth[which]), answers.people
    )


def by_group(samples: Mapping[str, Sample], offered: Iterable[Attribute]) -> list[Table]:
    """Whom the yes-or-no attributes fail: by gender and age where CelebA tells, masks by the face's size."""
    tables = []
    for attribute in offered:
        name, groups = ("facemask", _SIZES) if attribute is Attribute.FACE_OCCLUDED else ("celeba", _CELEBA)
        if attribute is Attribute.GENDER or attribute not in TRUTHS or name not in samples:
            continue
        answers = told(samples[name].half("B"), attribute)
        rows = [(group, *_errors(answers.group(inside))) for group, inside in groups.items()]
        tables.append(
            Table(
                f"{attribute} by group: {name}, half B",
                (
                    "group",
                    "faces",
                    "told, of those that show it",
                    "told, of those that do not",
                    "balanced accuracy",
                    "note",
                ),
                tuple(rows),
                about=attribute,
            )
        )
    return tables


def _errors(answers: Told) -> tuple[Cell, ...]:
    rates = [
        metrics.clustered(answers.yes[answers.truth == shown], answers.people[answers.truth == shown])
        for shown in (True, False)
    ]
    few = [rate.trials < ENOUGH for rate in rates]
    notes = ("", "few that do not", "few that show it", "few")
    both = all(rate.trials for rate in rates)
    accuracy = (rates[0].value + 1 - rates[1].value) / 2 if both else "one kind only"
    return len(answers.faces), *rates, accuracy, notes[2 * few[0] + few[1]]


def _celeba(sex: str, *, young: bool | None = None) -> Callable[[Seen], bool]:
    return lambda seen: seen.photo.sex == sex and young in {None, seen.photo.marks["Young"]}


def _wide(low: float, high: float) -> Callable[[Seen], bool]:
    return lambda seen: low <= seen.face.box.width * seen.size[0] < high


_CELEBA: Final = {
    "women": _celeba("female"),
    "men": _celeba("male"),
    "women, young": _celeba("female", young=True),
    "women, not young": _celeba("female", young=False),
    "men, young": _celeba("male", young=True),
    "men, not young": _celeba("male", young=False),
}
_SIZES: Final = {
    "under 16 pixels across": _wide(0, 16),
    "16 to 24": _wide(16, 24),
    "24 to 40": _wide(24, 40),
    "40 and up": _wide(40, 1e9),
}


def found(samples: Mapping[str, Sample]) -> Table:
    """How many photos of each set showed a face, and by which road."""
    rows: list[tuple[Cell, ...]] = []
    for sample in samples.values():
        ways = [seen.way for seen in sample.faces]
        halves = [len(sample.half(which).faces) for which in "AB"]
        counts = [ways.count(way) for way in ("found", "enlarged", "whole")]
        rows.append((sample.name, sample.photos, *counts, sample.photos - len(ways), *halves))
    return Table(
        "The faces measured",
        (
            "set",
            "labelled faces",
            "found",
            "found enlarged",
            "whole picture taken",
            "missed",
            "half A",
            "half B",
        ),
        tuple(rows),
        "Only pictures under 80 pixels, which the wire refuses, are enlarged, or taken whole where that does"
        " not help. Halves: by SHA-256 of the person where the set tells, else of the file's name.",
    )
