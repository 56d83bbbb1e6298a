"""Several searches for one person, put together: who is listed, by which photos, and how often that is wrong.

Photos are fused by the best Similarity of any of them. The strangers that the searches list add up, whether
they depend on each other or not, so a sheet lists at most the sum on average, and anybody at all with at most
the sum of the chances. Pure. bench/probes.py measures the rule beside others (docs/missing-people.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from countenance.cli.pictures import Photo

Face = Mapping[str, Any]
"""AWS's Face."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A photo of the person. faces: seen in it. box: the largest one's, which is searched with. decision: the
    entry of the call that looked. fault: why it cannot be searched with, or nothing."""

    number: int
    photo: Photo
    faces: int = 0
    box: Mapping[str, float] | None = None
    decision: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """One call. figures: the member `Countenance` of its answer. matches: AWS's FaceMatches."""

    decision: int
    probe: int
    collection: str
    model: str
    figures: Mapping[str, Any]
    matches: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Refused:
    """A collection that was not searched. decision: None where the call was not understood."""

    collection: str
    probe: int
    code: str
    message: str
    decision: int | None


@dataclass(frozen=True, slots=True)
class Lead:
    """A candidate. by_probe: its Similarity with each photo that lists it. decisions: those searches."""

    collection: str
    face: Face
    by_probe: Mapping[int, float]
    decisions: Mapping[int, int]

    @property
    def similarity(self) -> float:
        return max(self.by_probe.values())

    @property
    def best(self) -> int:
        """The photo it is most similar to."""
        return max(self.by_probe, key=lambda probe: (self.by_probe[probe], -probe))


@dataclass(frozen=True, slots=True)
class Odds:
    """What the searches of one collection come to if the person is not in it.

    false: candidates on average. any: the chance of any, at most. threshold: percent, the highest of theirs.
    measured: whether every rate was.
    """

    collection: str
    faces: int
    searches: int
    threshold: float
    rate: float
    false: float
    any: float
    population: str
    stated: bool
    measured: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """All there is to tell."""

    probes: Sequence[Probe]
    searches: Sequence[Search]
    refused: Sequence[Refused]

    @property
    def leads(self) -> list[Lead]:
        """The best first; of equal ones, those that more photos list."""
        every: dict[tuple[str, str], dict[int, tuple[Face, float, int]]] = {}
        for search in self.searches:
            for match in search.matches:
                key = search.collection, match["Face"]["FaceId"]
                seen = every.setdefault(key, {})
                seen[search.probe] = match["Face"], match["Similarity"], search.decision
        leads = [_lead(collection, seen) for (collection, _), seen in every.items()]
        return sorted(
            leads,
            key=lambda lead: (-lead.similarity, -len(lead.by_probe), lead.collection, lead.face["FaceId"]),
        )

    @property
    def odds(self) -> list[Odds]:
        """Of each collection that was searched."""
        names = dict.fromkeys(search.collection for search in self.searches)
        return [_odds(name, [each for each in self.searches if each.collection == name]) for name in names]

    @property
    def false(self) -> float:
        return sum(each.false for each in self.odds)

    @property
    def any(self) -> float:
        return min(1.0, sum(each.any for each in self.odds))


def _lead(collection: str, seen: Mapping[int, tuple[Face, float, int]]) -> Lead:
    face = next(face for face, _, _ in seen.values())
    return Lead(
        collection,
        face,
        {probe: similarity for probe, (_, similarity, _) in seen.items()},
        {probe: decision for probe, (_, _, decision) in seen.items()},
    )


def _odds(collection: str, searches: Sequence[Search]) -> Odds:
    figures = [search.figures for search in searches]
    whom = figures[-1]["Calibration"]
    return Odds(
        collection,
        figures[-1]["Faces"],
        len(searches),
        max(each["Threshold"] for each in figures),
        max(each["FalseMatchRate"] for each in figures),
        sum(each["ExpectedFalseCandidates"] for each in figures),
        min(1.0, sum(each["FPIR"] for each in figures)),
        whom["Population"],
        whom["Stated"],
        all(each["Measured"] for each in figures),
        tuple(_distinct(warning["Message"] for each in figures for warning in each["Warnings"])),
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
