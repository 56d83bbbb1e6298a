"""Gender, age and expression, measured by group: what is inferred about people, and for whom it is worse.

Race is a group that errors are counted by. It is never told of a face, and no network here knows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from countenance.audit import metrics
from countenance.audit.attributes import ADULT, Sample, Told, told
from countenance.audit.bench import Cell, Table
from countenance.audit.faces import Seen
from countenance.audit.metrics import ENOUGH, Estimate
from countenance.types import AgeRange, Attribute

Array = npt.NDArray[np.float64]

LABELS: Final = (
    "UTKFace's age, sex and race were estimated by a machine and checked by hand: they say how a face looked"
    " to others, and an error may be the label's. Race is a group to count errors by, and never an output."
)
SMALL: Final = "too small"
SURE: Final = 100  # faces a group needs for its interval to be held to what was asked


def gender(samples: Mapping[str, Sample]) -> list[Table]:
    """Accuracy of adults' gender: in each set by sex, then in UTKFace by race, sex and age."""
    tables = [_sexes(samples)] if samples else []
    if "utkface" in samples:
        answers = told(samples["utkface"].half("B"), Attribute.GENDER)
        tables += [
            _right("Gender by race and sex: utkface, half B, 20 years and over", answers, ("race", "sex")),
            _right("Gender by race, sex and age: utkface, half B", answers, ("race", "sex", "band")),
        ]
    return tables


def _sexes(samples: Mapping[str, Sample]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in ("utkface", "fairface", "celeba", "lfw"):
        if name in samples:
            answers = told(samples[name].half("B"), Attribute.GENDER)
            for sex in ("", "female", "male"):
                part = answers.group(lambda seen, sex=sex: sex in {"", seen.photo.sex})  # type: ignore[misc]
                rows.append((name, sex or "all", _accuracy(part)))
    return Table(
        "Gender: told as the set says, half B",
        ("set", "labelled", "right"),
        tuple(rows),
        f"Of people of {ADULT} years and over where the set tells ages (utkface, fairface).",
        Attribute.GENDER,
    )


def _accuracy(answers: Told) -> metrics.Rate:
    return metrics.wilson(int((answers.yes == answers.truth).sum()), len(answers.truth))


def _right(title: str, answers: Told, fields: Sequence[str]) -> Table:
    rows = []
    for group, inside in groups(answers.faces, fields):
        rate = _accuracy(answers.group(inside))
        rows.append((*group, rate, SMALL if rate.trials < ENOUGH else ""))
    return Table(
        title, (*(_WORDS[field] for field in fields), "right", "note"), tuple(rows), LABELS, Attribute.GENDER
    )


_WORDS: Final = {"race": "race", "sex": "labelled", "band": "years"}


def groups(
    faces: Sequence[Seen], fields: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], Callable[[Seen], bool]]]:
    """Every combination of the photos' fields that occurs, and what is inside it; ages in order."""

    def names(seen: Seen) -> tuple[str, ...]:
        return tuple(str(getattr(seen.photo, field)) for field in fields)

    def place(group: tuple[str, ...]) -> tuple[object, ...]:
        return tuple(int(name.split("-")[0].rstrip("+")) if name[:1].isdigit() else name for name in group)

    for group in sorted({names(seen) for seen in faces}, key=place):
        yield group, lambda seen, group=group: names(seen) == group  # type: ignore[misc]


@dataclass(frozen=True, slots=True, eq=False)
class Ages:
    """Age ranges beside the true ages, in years."""

    faces: list[Seen]
    true: Array
    low: Array
    high: Array

    @property
    def off(self) -> Array:
        """How far the middle of each range is from the true age."""
        return np.asarray(np.abs((self.low + self.high) / 2 - self.true))

    @property
    def holds(self) -> npt.NDArray[np.bool_]:
        return np.asarray((self.low <= self.true) & (self.true <= self.high))

    def group(self, inside: Callable[[Seen], bool]) -> Ages:
        keep = np.array([inside(seen) for seen in self.faces], bool)
        faces = [seen for seen, kept in zip(self.faces, keep, strict=True) if kept]
        return Ages(faces, self.true[keep], self.low[keep], self.high[keep])

    def figures(self) -> tuple[Estimate, metrics.Rate, Estimate]:
        """(mean absolute error, share of ranges that hold the true age, mean width)."""
        places = np.arange(len(self.true))
        return (
            metrics.bootstrap(lambda which: float(self.off[which].mean()), places),
            metrics.wilson(int(self.holds.sum()), len(self.true)),
            metrics.bootstrap(lambda which: float((self.high - self.low)[which].mean()), places),
        )


def ages(sample: Sample) -> Ages:
    """What is told of faces whose age the set tells; a band counts as its middle."""
    both = [
        (seen, traces[Attribute.AGE_RANGE])
        for seen, traces in zip(sample.faces, sample.told, strict=True)
        if seen.photo.age is not None and Attribute.AGE_RANGE in traces
    ]
    ranges = [trace for _, trace in both if isinstance(trace, AgeRange)]
    return Ages(
        [seen for seen, _ in both],
        np.array([float(seen.photo.age or 0) for seen, _ in both]),
        np.array([float(each.low) for each in ranges]),
        np.array([float(each.high) for each in ranges]),
    )


def age(samples: Mapping[str, Sample]) -> list[Table]:
    """Error of the range's middle, how often the range holds the age, and its width: by set and by group."""
    measures = ("faces", "years off", "range holds the age", "mean width, years")
    known = {name: ages(samples[name].half("B")) for name in ("utkface", "fairface") if name in samples}
    rows: list[tuple[Cell, ...]] = [(name, len(each.faces), *each.figures()) for name, each in known.items()]
    tables = [
        Table(
            "AgeRange: half B",
            ("set", *measures),
            tuple(rows),
            "Years off: mean distance of the range's middle from the age. FairFace tells bands of ten years,"
            " of which the middle stands for the age: part of the error there is the band's.",
            Attribute.AGE_RANGE,
        )
    ]
    if "utkface" in known:
        for title, fields in _AGE_GROUPS.items():
            rows = [
                (*group, *_few(known["utkface"].group(inside)))
                for group, inside in groups(known["utkface"].faces, fields)
            ]
            columns = (*(_WORDS[field] for field in fields), *measures, "note")
            tables.append(Table(title, columns, tuple(rows), LABELS, Attribute.AGE_RANGE))
    return tables


_AGE_GROUPS: Final = {
    "AgeRange by age: utkface, half B": ("band",),
    "AgeRange by race, sex and age: utkface, half B": ("race", "sex", "band"),
}


def _few(part: Ages) -> tuple[Cell, ...]:
    return len(part.faces), *part.figures(), SMALL if len(part.faces) < ENOUGH else ""


@dataclass(frozen=True, slots=True, eq=False)
class Expressions:
    """What is told of expressions, most probable first, beside what the set calls them."""

    people: npt.NDArray[np.generic]
    truth: npt.NDArray[np.generic]
    top: npt.NDArray[np.generic]
    chances: dict[str, Array]

    def balanced(self) -> Estimate:
        return metrics.bootstrap(
            lambda which: metrics.balanced_accuracy(self.top[which], self.truth[which]), self.people
        )

    def sure(self) -> Estimate:
        """Calibration error of the first kind told."""
        first = np.max(list(self.chances.values()), axis=0)
        right = self.top == self.truth
        return metrics.bootstrap(
            lambda which: metrics.calibration_error(first[which], right[which]), self.people, error=True
        )

    def each(self) -> Estimate:
        """Mean calibration error over the kinds, each as a question of its own."""
        return metrics.bootstrap(
            lambda which: float(
                np.mean([
                    metrics.calibration_error(chance[which], self.truth[which] == kind)
                    for kind, chance in self.chances.items()
                ])
            ),
            self.people,
            error=True,
        )  # fmt: skip


def expressions(sample: Sample, *, contempt: bool = False) -> Expressions:
    """Faces that read as one of Rekognition's kinds; with `contempt` those that have none instead."""
    both = [
        (seen, traces[Attribute.EMOTIONS])
        for seen, traces in zip(sample.faces, sample.told, strict=True)
        if seen.photo.expression and (seen.photo.expression == "contempt") == contempt
        if Attribute.EMOTIONS in traces
    ]
    rows = [trace for _, trace in both if isinstance(trace, tuple)]
    kinds = sorted({each.kind for row in rows for each in row})
    chances = [{each.kind: each.confidence / 100 for each in row} for row in rows]
    return Expressions(
        np.array([seen.photo.person for seen, _ in both]),
        np.array([seen.photo.expression for seen, _ in both]),
        np.array([row[0].kind for row in rows]),
        {kind: np.array([chance[kind] for chance in chances]) for kind in kinds},
    )


def emotions(samples: Mapping[str, Sample]) -> list[Table]:
    """Balanced accuracy, calibration and each kind's recall, on posed faces and on faces from the web."""
    known = {name: samples[name].half("B") for name in ("ckplus", "fer2013") if name in samples}
    read = {name: expressions(each) for name, each in known.items()}
    rows: list[tuple[Cell, ...]] = [
        (name, len(each.truth), each.balanced(), each.sure(), each.each()) for name, each in read.items()
    ]
    columns = ("set", "faces", "balanced accuracy", "calibration error of the first", "of every kind, mean")
    note = (
        "A face counts as told right where the kind told first is the set's. CK+ has no neutral faces, so"
        " CALM is always wrong there. " + (_contempt(known["ckplus"]) if "ckplus" in known else "")
    )
    tables = [Table("Emotions: half B", columns, tuple(rows), note, Attribute.EMOTIONS)]
    kinds: list[tuple[Cell, ...]] = []
    for name, each in read.items():
        for kind in np.unique(each.truth).tolist():
            inside = each.truth == kind
            rate = metrics.clustered(each.top[inside] == kind, each.people[inside])
            wrong = Counter(each.top[inside][each.top[inside] != kind].tolist()).most_common(1)
            kinds.append((name, kind, rate, ", ".join(f"{what} ({n})" for what, n in wrong) or "nothing"))
    title = "Emotions by kind: half B"
    return [
        *tables,
        Table(title, ("set", "kind", "told", "else mostly told"), tuple(kinds), about=Attribute.EMOTIONS),
    ]


def _contempt(sample: Sample) -> str:
    faces = expressions(sample, contempt=True)
    called = Counter(faces.top.tolist()).most_common(3)
    return (
        f"Rekognition has no word for contempt: CK+'s {len(faces.top)} such faces of half B are left out, and"
        f" were told as {', '.join(f'{kind} ({n})' for kind, n in called)}."
    )


TABLES: Final[Mapping[Attribute, Callable[[Mapping[str, Sample]], list[Table]]]] = {
    Attribute.GENDER: gender,
    Attribute.AGE_RANGE: age,
    Attribute.EMOTIONS: emotions,
}
