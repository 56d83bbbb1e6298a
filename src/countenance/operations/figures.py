"""How often an answer is wrong: as headers, as the answer's member `Countenance`, and for the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from countenance.ledger.entry import Value
from countenance.operations import SIMILARITY, Call, Tools, render
from countenance.vision.calibration import ADULTS, Calibration
from countenance.vision.expectation import Expectation, expectation, likelier, odds

MEMBER = "Countenance"
"""The answer's member that our service model adds. AWS's own clients drop it."""


@dataclass(frozen=True, slots=True)
class Figures:
    """notes: headers. recorded: for the ledger. member: for the answer."""

    notes: Mapping[str, str]
    recorded: Mapping[str, Value]
    member: render.Shape


def of(
    call: Call, tools: Tools, calibration: Calibration, similarity: float, faces: int, whose: render.Whose
) -> Figures:
    """What a threshold, percent, comes to among so many faces, and what the call's prior makes of it."""
    expected = expectation(calibration, similarity, faces)
    prior = call.declared.prior
    at = calibration.cosine(similarity)
    chance = None if prior is None else odds(expected, prior, tools.vision.genuine, at)
    told = warnings(tools, calibration, expected, whose)
    return Figures(
        {
            **render.provenance(tools.vision.model, calibration),
            **render.expected(expected, told, whose),
            **render.odds(chance, expected),
        },
        render.recorded(expected, told, chance),
        render.figures(tools.vision.model, calibration, expected, told, whose, chance),
    )


def warnings(
    tools: Tools, calibration: Calibration, expected: Expectation, whose: render.Whose
) -> Mapping[str, str]:
    """What to beware of, by a word for programs."""
    told = {}
    if calibration.population != ADULTS:
        times = likelier(calibration, tools.vision.calibration(ADULTS), SIMILARITY)
        told[calibration.population] = (
            f"by its curves this model takes them for each other {times:,.0f} times as often as adults, at "
            f"the cosine that is {SIMILARITY:g} for adults; photos years apart were not measured"
        )
    if whose == "assumed":
        told["assumed"] = _assumed(tools, calibration, expected)
    if expected.extrapolated:
        told["extrapolated"] = (
            "fewer than 30 measured false matches stand behind a rate at this threshold; they do up to "
            f"{calibration.measured_percent:.1f}"
        )
    return told


def _assumed(tools: Tools, calibration: Calibration, expected: Expectation) -> str:
    """Photos carry no tag that says whom they show."""
    others = [
        f"{likelier(tools.vision.calibration(other), calibration, expected.similarity):,.0f} times as often "
        f"between two {other}"
        for other in tools.vision.populations
        if other != calibration.population
    ]
    return "; ".join([f"the rates are those of {calibration.population}", *others])
