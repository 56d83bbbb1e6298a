"""What Similarity comes to: how often strangers look alike, by group, and the fit of the scale itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from countenance.audit import metrics, sets
from countenance.audit.bench import PERCENTS, Bench, Cell, Table
from countenance.audit.embedding import central
from countenance.audit.fitting import Fit, fit, part, toml
from countenance.audit.impostors import Impostors, impostors
from countenance.audit.sets import Photo
from countenance.types import Vector
from countenance.vision.calibration import Calibration

ADULT: Final = 20  # FairFace's band 10-19 holds both, so adults begin at 20
CHILD: Final = 10  # from 10 to 19 faces are confused little more often than adults' (bench similarity)


@dataclass(frozen=True, slots=True)
class Sets:
    """The three sets calibration reads, cleaned: photos with a face and their embeddings, by set."""

    faces: dict[str, tuple[list[Photo], Vector]]
    missed: dict[str, tuple[int, int]]

    @classmethod
    def load(cls, bench: Bench) -> Sets:
        faces, missed = {}, {}
        for name, read in (("fairface", sets.fairface), ("utkface", sets.utkface), ("lfw", sets.lfw)):
            photos = sets.cleaned(name, read(bench.data))
            found, vectors, none = bench.look(name, photos, central)
            faces[name], missed[name] = (found, vectors), (none, len(photos))
        return cls(faces, missed)

    def pairs(
        self, name: str, keep: Callable[[Photo], bool], alike: Sequence[str] = ("sex",), floor: float = -1.0
    ) -> Impostors:
        photos, vectors = self.faces[name]
        numbers = [number for number, photo in enumerate(photos) if keep(photo)]
        return impostors([photos[number] for number in numbers], vectors[numbers], alike=alike, floor=floor)

    def population(self, name: str, half: int | None = None) -> tuple[Fit, dict[str, Impostors]]:
        """(the fit of adults or children, the sets it stands on), from everybody or one half of them."""

        def keep(photo: Photo) -> bool:
            return half is None or part(photo.person) == half

        adults = {
            each: self.pairs(each, lambda photo: keep(photo) and adult(photo))
            for each in ("fairface", "utkface")
        }
        own = adults if name == "adults" else {
            each: self.pairs(each, lambda photo: keep(photo) and _child(photo)) for each in adults
        }  # fmt: skip
        shape = self.pairs("lfw", keep, floor=0.2)
        return fit(list(own.values()), adults["utkface"], shape), {**own, "lfw": shape}


def adult(photo: Photo) -> bool:
    return photo.age is not None and photo.age >= ADULT


def _child(photo: Photo) -> bool:
    return photo.age is not None and photo.age < CHILD


def similarity(bench: Bench) -> list[Table]:
    """What 80, 90 and 99 come to in each group, children first, by the card's calibrations."""
    known = Sets.load(bench)
    adults, children = bench.calibration("adults"), bench.calibration("children")
    return [
        _groups(known, children, "children", _young()),
        _groups(known, adults, "adults", [*_young(), *_grown(known)]),
        Table(
            "Faces not found",
            ("set", "photos without a face"),
            tuple((name, metrics.wilson(none, of)) for name, (none, of) in known.missed.items()),
        ),
    ]


@dataclass(frozen=True, slots=True)
class Group:
    """People compared with each other. alike: the labels a pair must share; sex, race, band, age: who."""

    set: str
    title: str
    alike: tuple[str, ...] = ("sex",)
    ages: tuple[int, int] = (0, 200)  # from, under
    sex: str = ""
    race: str = ""

    def holds(self, photo: Photo) -> bool:
        aged = photo.age is None or self.ages[0] <= photo.age < self.ages[1]
        return aged and self.sex in {"", photo.sex} and self.race in {"", photo.race}


def _young() -> list[Group]:
    return [
        group
        for name in ("fairface", "utkface")
        for group in (
            Group(name, "under ten", ages=(0, 10)),
            Group(name, "under ten, same race", ("sex", "race"), (0, 10)),
            Group(name, "aged 0-2", ages=(0, 3)),
            Group(name, "aged 3-9", ages=(3, 10)),
            Group(name, "aged 10-19", ages=(10, 20)),
        )
    ]


def _grown(known: Sets) -> list[Group]:
    groups: list[Group] = []
    grown = (ADULT, 200)
    for name in ("fairface", "utkface"):
        groups += [
            Group(name, "adults", ages=grown),
            Group(name, "adults, same race", ("sex", "race"), grown),
            Group(name, "adults, same race and age band", ("sex", "race", "band"), grown),
            Group(name, "aged 20-39", ages=(20, 40)),
            Group(name, "aged 40-59", ages=(40, 60)),
            Group(name, "aged 60 and over", ages=(60, 200)),
            Group(name, "women", ages=grown, sex="female"),
            Group(name, "men", ages=grown, sex="male"),
        ]
    # FairFace has some ten people of each race and sex here: too few to tell.
    races = sorted({photo.race for photo in known.faces["utkface"][0]})
    for race, sex in itertools.product(races, ("female", "male")):
        people = "women" if sex == "female" else "men"
        groups.append(Group("utkface", f"{people}, {race}", ages=grown, sex=sex, race=race))
    return [*groups, *(Group("lfw", f"{sex}, all ages", sex=sex) for sex in ("female", "male"))]


def _groups(known: Sets, calibration: Calibration, population: str, groups: list[Group]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for group in groups:
        pairs = known.pairs(group.set, group.holds, group.alike, floor=0.3)
        rates = [pairs.rate(calibration.cosine(percent)) for percent in (80, 90, 99)]
        rows.append((group.set, group.title, pairs.people, pairs.pairs, *rates))
    marks = ", ".join(
        f"{percent} = {calibration.cosine(percent):.3f}"
        f" ({'extrapolated' if calibration.extrapolated(percent) else 'measured'})"
        for percent in PERCENTS
    )
    return Table(
        f"False match rates by group under the calibration `{population}`",
        ("set", "same-sex pairs of", "people", "pairs", "at 80", "at 90", "at 99"),
        tuple(rows),
        f"Cosines: {marks}. Meant: 1e-4, 1e-5 and 1e-7 at 80, 90 and 99. Intervals respect that pairs share"
        " people; without an error the bound is 3 over the people.",
    )


def calibrate(bench: Bench) -> tuple[list[Table], str]:
    """The fit of both populations, what one half of the people says of the other, the lines for the card."""
    known = Sets.load(bench)
    tables, lines = [], []
    for name in ("adults", "children"):
        whole, own = known.population(name)
        levels = [f"{each} ({pairs.people} people, {pairs.pairs:,} pairs)" for each, pairs in own.items()]
        tables.append(_curve(name, whole))
        tables.append(_held_out(known, name))
        lines.append(
            toml(
                name,
                whole,
                f"Same-sex pairs of different {name}: level by {levels[0]} and {levels[1]}, the higher;"
                f" tail's shape by {levels[2]}, stretched {whole.stretch:.2f} times as utkface's adults"
                " stretch it; the upper end of the 95 % interval. Labels cleaned."
                " countenance bench calibrate --data DIR",
            )
        )
    return tables, "\n".join(lines)


def _curve(name: str, whole: Fit) -> Table:
    ends = zip(whole.rates, whole.middle, whole.low, whole.high, strict=True)
    low, high = whole.interval
    return Table(
        f"Calibration of {name}: the cosine that has each false match rate",
        ("FMR", "measured", "95 % interval", "on the card"),
        tuple((f"{10**rate:.1e}", float(mid), f"{a:.3f} to {b:.3f}", float(b)) for rate, mid, a, b in ends),
        f"LFW's tail stretched {whole.stretch:.2f} times. The rate at 80: {low:.1e} to {high:.1e}. 30"
        f" impostor errors reach to 10^{whole.measured_to:.2f}; what lies beyond is extrapolated.",
    )


def _held_out(known: Sets, name: str) -> Table:
    rows: list[tuple[Cell, ...]] = []
    halves = [known.population(name, half) for half in (0, 1)]
    for half, (fitted, _) in enumerate(halves):
        for each, pairs in halves[1 - half][1].items():
            if each == "lfw" and name == "children":
                continue
            rates = [pairs.rate(fitted.cosine(rate)) for rate in (-3.0, -4.0, -5.0)]
            rows.append((f"half {half}", f"half {1 - half}", each, pairs.people, pairs.pairs, *rates))
    return Table(
        f"Calibration of {name}: fitted on one half of the people, counted on the other",
        ("fitted on", "counted on", "set", "people", "pairs", "meant 1e-3", "meant 1e-4", "meant 1e-5"),
        tuple(rows),
        "The card's curve is fitted in the same way on everybody.",
    )
