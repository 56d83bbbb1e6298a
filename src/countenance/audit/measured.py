"""The figures of attributes as tables, asked beside reached, and how they are kept: vision/measured.json."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from countenance.audit import attributes, inferred
from countenance.audit.attributes import Sample
from countenance.audit.bench import Cell, Table
from countenance.audit.faces import Looker
from countenance.audit.metrics import Estimate, Rate
from countenance.types import Attribute
from countenance.vision import Vision
from countenance.vision.attributes import Attributes

KEPT: Final = Path(str(resources.files("countenance.vision").joinpath("measured.json")))
COMMAND: Final = "countenance bench attributes --data DIR"


@dataclass(frozen=True, slots=True)
class Goal:
    """What was asked of an attribute's figure: a column of the tables about it, in the rows of a set."""

    attribute: Attribute
    set: str
    column: str
    asked: float
    least: bool = True  # whether the figure should be at least so large, or at most


_ERROR: Final = "calibration error"
GOALS: Final = (
    Goal(Attribute.SMILE, "celeba", "balanced accuracy", 0.88),
    Goal(Attribute.MOUTH_OPEN, "celeba", "balanced accuracy", 0.88),
    Goal(Attribute.EYEGLASSES, "celeba", "balanced accuracy", 0.95),
    Goal(Attribute.BEARD, "celeba", "balanced accuracy", 0.88),
    Goal(Attribute.MUSTACHE, "celeba", "balanced accuracy", 0.83),
    Goal(Attribute.FACE_OCCLUDED, "facemask", "balanced accuracy", 0.88),
    *(Goal(Attribute.GENDER, each, "right", 0.94) for each in ("utkface", "fairface", "celeba", "lfw")),
    *(Goal(Attribute.AGE_RANGE, each, "years off", 6.5, least=False) for each in ("utkface", "fairface")),
    *(Goal(Attribute.AGE_RANGE, each, "range holds the age", 0.80) for each in ("utkface", "fairface")),
    *(
        Goal(Attribute.AGE_RANGE, each, "mean width, years", 22.0, least=False)
        for each in ("utkface", "fairface")
    ),
    Goal(Attribute.EMOTIONS, "ckplus", "balanced accuracy", 0.80),
    Goal(Attribute.EMOTIONS, "fer2013", "balanced accuracy", 0.64),
    *(
        Goal(Attribute.EMOTIONS, each, column, 0.06, least=False)
        for each in ("ckplus", "fer2013")
        for column in ("calibration error of the first", "of every kind, mean")
    ),
    *(
        Goal(attribute, each, _ERROR, 0.06, least=False)
        for attribute, (_, names) in attributes.TRUTHS.items()
        for each in names
    ),
)
GROUP: Final = 0.84  # asked of the lower end of gender's interval in every group of race and sex


def tables(samples: Mapping[str, Sample], describer: Attributes) -> list[Table]:
    """Everything that is measured, what was asked first."""
    offered = sorted(describer.offered)
    found = attributes.found(samples)
    about = [*attributes.traits(samples, offered), *attributes.by_group(samples, offered)]
    for attribute, figures in inferred.TABLES.items():
        if attribute in offered:
            about += figures(samples)
    about.sort(key=lambda table: list(Attribute).index(Attribute(table.about)))
    return [asked(about), found, *about]


def asked(about: Sequence[Table]) -> Table:
    """What issue 3 asked of the figures beside what they are."""
    rows = [row for goal in GOALS for row in _reached(goal, about)]
    rows += list(_groups(about))
    rows.sort(key=lambda row: list(Attribute).index(Attribute(str(row[0]))))
    return Table(
        "Asked and reached, half B",
        ("attribute", "set", "figure", "asked", "reached", "met"),
        tuple(rows),
        "Met: by the figure itself; its interval says how sure that is.",
    )


def _reached(goal: Goal, about: Sequence[Table]) -> Iterator[tuple[Cell, ...]]:
    for table in about:
        if table.about != goal.attribute or goal.column not in table.columns or table.columns[0] != "set":
            continue
        for row in table.rows:
            cell = row[table.columns.index(goal.column)]
            if row[0] == goal.set and not isinstance(cell, str) and "female" not in row and "male" not in row:
                value = cell.value if isinstance(cell, Rate | Estimate) else cell
                met = value >= goal.asked if goal.least else value <= goal.asked
                way = "at least" if goal.least else "at most"
                asked = f"{way} {goal.asked:g}"
                yield goal.attribute, goal.set, goal.column, asked, cell, "yes" if met else "no"


def _groups(about: Sequence[Table]) -> Iterator[tuple[Cell, ...]]:
    """Gender in each group of race and sex that is large enough to be held to the bound."""
    for table in about:
        if table.columns[:3] == ("race", "labelled", "right"):
            for race, sex, rate, *_ in table.rows:
                if isinstance(rate, Rate) and rate.trials >= inferred.SURE:
                    met = "yes" if rate.low >= GROUP else "no"
                    asked = f"interval from {GROUP:g}"
                    yield Attribute.GENDER, "utkface", f"right, {race} {sex}", asked, rate, met


def stood_for(vision: Vision, describer: Attributes) -> dict[str, list[str]]:
    """What figures are of: the digests of the weights, by card, and of each attribute's own card."""
    cards = [vision.detector.card, vision.landmarker.card]
    cards += [net.card for net in describer.nets.values()]
    cards += [head.card for head in describer.heads.values()]
    weights = {card.id: [file.sha256[:12] for file in card.files] for card in cards}
    curves = {
        name: [hashlib.sha256(repr(each.meaning).encode()).hexdigest()[:12]]
        for name, each in describer.readings.items()
    }
    return weights | {name.value: digest for name, digest in curves.items()}


def of() -> dict[str, list[str]]:
    """What the figures that this version ships are of, as `stood_for` says it."""
    return dict(json.loads(KEPT.read_text("utf-8"))["of"])


def write(figures: Sequence[Table], looker: Looker) -> None:
    """Keep the tables beside the cards, with the digests of what they are of."""
    kept = {
        "command": COMMAND,
        "of": stood_for(looker.vision, looker.describer),
        "tables": [
            {
                "about": table.about,
                "title": table.title,
                "note": table.note,
                "columns": table.columns,
                "rows": [[_plain(cell) for cell in row] for row in table.rows],
            }
            for table in figures
        ],
    }
    KEPT.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", "utf-8")


def read() -> list[Table]:
    """The tables that this version ships."""
    return [
        Table(
            table["title"],
            tuple(table["columns"]),
            tuple(tuple(_cell(value) for value in row) for row in table["rows"]),
            table["note"],
            table["about"],
        )
        for table in json.loads(KEPT.read_text("utf-8"))["tables"]
    ]


def _plain(cell: Cell) -> Any:
    match cell:
        case Rate(events, trials, low, high):
            return {"events": events, "trials": trials, "low": round(low, 4), "high": round(high, 4)}
        case Estimate(value, low, high):
            return {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}
        case float():
            return _rounded(cell)
    return cell


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _cell(value: Any) -> Cell:
    match value:
        case {"events": events, "trials": trials, "low": low, "high": high}:
            return Rate(events, trials, low, high)
        case {"value": middle, "low": low, "high": high}:
            return Estimate(*(math.nan if each is None else each for each in (middle, low, high)))
        case None:
            return math.nan
    kept: Cell = value
    return kept
