"""How several searches are put together: order, sums, and what a share is divided by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from countenance.audit import planning
from countenance.cli import findings
from countenance.cli.find import FPIR, shared
from countenance.cli.leads import Found, Probe, Refused, Search
from countenance.cli.pictures import Photo


def figures(faces: int = 1000, threshold: float = 80, population: str = "adults") -> dict[str, Any]:
    return {
        "ExpectedFalseCandidates": faces * 1e-4,
        "FPIR": 0.09,
        "FalseMatchRate": 1e-4,
        "Faces": faces,
        "Threshold": threshold,
        "Measured": population == "adults",
        "Warnings": [{"Code": "children", "Message": "children look alike"}] * (population == "children"),
        "Calibration": {"Population": population, "Stated": population == "children"},
    }


def search(decision: int, probe: int, collection: str, **similarities: float) -> Search:
    """similarities: of the FaceIds."""
    matches = [
        {"Similarity": value, "Face": {"FaceId": name, "ImageId": name, "ExternalImageId": f"{name}.jpg"}}
        for name, value in similarities.items()
    ]
    population = "children" if collection == "school" else "adults"
    return Search(decision, probe, collection, "sface-2021dec", figures(population=population), matches)


def probe(number: int, fault: str = "") -> Probe:
    return Probe(number, Photo(Path(f"{number}.jpg"), b""), faces=1, decision=number, fault=fault)


@pytest.fixture
def found() -> Found:
    return Found(
        [probe(1), probe(2), probe(3, "no face was found in it")],
        [
            search(10, 1, "adults", a=91, b=85, c=85),
            search(12, 2, "adults", b=85, a=82),
            search(14, 1, "school", a=93),
            search(16, 2, "school"),
        ],
        [Refused("closed", 1, "AccessDeniedException", "a rule says no", 18)],
    )


def test_leads_are_ranked_by_the_best_photo_then_by_how_many_list_them(found: Found) -> None:
    told = [(lead.collection, lead.face["FaceId"], lead.similarity, lead.best) for lead in found.leads]
    assert told == [
        ("school", "a", 93, 1),
        ("adults", "a", 91, 1),
        ("adults", "b", 85, 1),
        ("adults", "c", 85, 1),
    ]
    assert found.leads[1].by_probe == {1: 91, 2: 82}
    assert found.leads[1].decisions == {1: 10, 2: 12}


def test_strangers_of_all_searches_add_up(found: Found) -> None:
    adults, school = found.odds
    assert (adults.collection, adults.searches, adults.faces) == ("adults", 2, 1000)
    assert adults.false == pytest.approx(0.2)
    assert adults.any == pytest.approx(0.18)
    assert (adults.measured, school.measured, school.warnings) == (True, False, ("children look alike",))
    assert found.false == pytest.approx(0.4)
    assert found.any == pytest.approx(0.36)


def test_a_chance_is_never_above_one() -> None:
    searches = [search(2 * n, n, "adults") for n in range(1, 20)]
    assert Found([probe(n) for n in range(1, 20)], searches, []).any == 1


def test_a_share_is_divided_among_the_searches() -> None:
    said = {"x-countenance-purpose": "missing-persons", FPIR: "0.01"}
    assert shared(said, 4) == {**said, FPIR: "0.0025"}
    assert shared(said, 0) == said
    assert shared({FPIR: "few"}, 4) == {FPIR: "few"}  # the door says what is wrong with it
    assert shared({}, 4) == {}


def test_how_alike_children_look_is_told_in_figures_that_follow_from_the_card(found: Found) -> None:
    told = findings.alike("sface-2021dec", found.odds)
    times = planning.confused("sface-2021dec", "children", 80)
    assert times > 100
    assert f"one comparison of {1 / (1e-4 * times):,.0f} instead of one of 10,000, {times:,.0f} times" in told
    assert "countenance:subjects=children" in told
    [_, school] = found.odds
    assert "Similarity of 80 for adults" in findings.alike("sface-2021dec", [school])
    assert "not on its card" in findings.alike("another-model", found.odds)
