"""What a search says of its own error, in the answer and in the ledger; a target instead of a threshold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countenance.answer import Answer
from countenance.declared import Declared
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, picture
from tests.unit.policy.packs import ABOUT

FALSE, FPIR = "x-countenance-expected-false-candidates", "x-countenance-fpir"
WARNING, POSTERIOR = "x-countenance-warning", "x-countenance-posterior"

STRICT = """
@id("strict/no-search-below-75")
@source("a test")
@quote("Not below 75.")
@advice("Search with more.")
@effective("always")
forbid (principal, action == Countenance::Action::"identify", resource)
when { context.threshold.lessThan(decimal("75.0")) };
"""
CASE = """
[[case]]
name = "too low"
now = 2026-12-24
kind = "business"
place = "US"
purpose = "general"
threshold = 74.9
actions = ["identify"]
expect = "deny"
rules = ["strict/no-search-below-75"]
"""


def search(
    house: House,
    collection: str = "people",
    max_fpir: float | None = None,
    prior: float | None = None,
    **asked: Any,
) -> Answer:
    body = {"CollectionId": collection, "Image": {"Bytes": PHOTO}, **asked}
    declared = Declared(max_fpir=max_fpir, prior=prior)
    return house.service.call(
        "RekognitionService.SearchFacesByImage", json.dumps(body).encode(), house.caller, declared
    )


PHOTO = base64.b64encode(picture(RED)).decode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Three faces of adults, as nothing says otherwise, and one of a child."""
    house = House(tmp_path_factory.mktemp("house") / "home")
    house.call("CreateCollection", CollectionId="people").result()
    house.call("IndexFaces", CollectionId="people", Image={"Bytes": picture(RED, GREEN, BLUE)}).result()
    house.call("CreateCollection", CollectionId="class", Tags={"countenance:subjects": "children"}).result()
    house.call("IndexFaces", CollectionId="class", Image={"Bytes": picture(GREEN)}).result()
    yield house
    house.close()


def test_a_search_says_how_many_strangers_it_lists(house: House) -> None:
    headers = search(house).headers
    assert headers[FALSE] == "0.0003; faces=3; fmr=0.0001; population=adults; untagged; measured"
    assert headers[FPIR] == "0.0003; threshold=80; assumes=independence; measured"
    assert WARNING not in headers


def test_past_what_was_measured_it_warns(house: House) -> None:
    headers = search(house, FaceMatchThreshold=99).headers
    assert headers[FALSE] == "3e-07; faces=3; fmr=1e-07; population=adults; untagged; extrapolated"
    assert headers[FPIR].endswith("; extrapolated")
    assert headers[WARNING].startswith("extrapolated: fewer than 30 measured false matches")


def test_a_search_among_children_always_warns(house: House) -> None:
    headers = search(house, "class", FaceMatchThreshold=60).headers
    assert headers[FALSE] == "0.01; faces=1; fmr=0.01; population=children; measured"
    # By the made-up curves .4 is 80 for adults, and has a rate of 10^-2.15 among children.
    assert headers[WARNING].startswith(
        "children: by its curves this model takes them for each other 71 times"
    )
    assert "extrapolated" not in headers[WARNING]
    both = search(house, "class").headers[WARNING]
    assert both.startswith("children: ")
    assert ". extrapolated: " in both


def test_the_ledger_has_the_same_figures(house: House) -> None:
    search(house, "class").result()
    decision, outcome = house.entries()[-2:]
    assert (decision["threshold"], decision["collection_size"]) == ("80.0000", 1)
    assert decision["calibration"].startswith("children:")
    assert outcome["expected_false_candidates"] == outcome["fmr"] == outcome["fpir"] == "0.0001"
    assert outcome["warnings"] == ["children", "extrapolated"]
    search(house).result()
    assert "warnings" not in house.entries()[-1]


def test_a_receipt_has_them_whole(house: House) -> None:
    answer = search(house)
    assert answer.receipt is not None
    receipt = house.call("GetReceipt", Decision=answer.receipt.decision).result()
    outcome = json.loads(receipt["Entries"][1]["Body"])
    assert (outcome["expected_false_candidates"], outcome["fpir"]) == ("0.0003", "0.0003")


def test_a_search_by_face_says_it_too(house: House) -> None:
    [face, *_] = house.call("ListFaces", CollectionId="people").result()["Faces"]
    headers = house.call("SearchFaces", CollectionId="people", FaceId=face["FaceId"]).headers
    assert headers[FALSE].startswith("0.0003; faces=3; ")


def test_a_target_sets_the_threshold_that_keeps_it(house: House) -> None:
    answer = search(house, max_fpir=0.0003)
    answer.result()
    assert answer.headers[FPIR].startswith("0.0003; threshold=79.9996; ")
    decision, _ = house.entries()[-2:]
    assert (decision["threshold"], decision["max_fpir"]) == ("79.9996", "0.0003")


def test_policy_decides_by_the_threshold_that_a_target_comes_to(tmp_path: Path) -> None:
    """Three faces and a target of .001 take 74.8: one in three thousand comparisons."""
    pack = tmp_path / "strict"
    pack.mkdir()
    (pack / "pack.toml").write_text(ABOUT)
    (pack / "rules.cedar").write_text(STRICT)
    (pack / "entities.json").write_text("[]")
    (pack / "tests.toml").write_text(CASE)
    house = House(tmp_path / "home", packs=("base", str(pack)))
    try:
        house.call("CreateCollection", CollectionId="people").result()
        photo = picture(RED, GREEN, BLUE)
        house.call("IndexFaces", CollectionId="people", Image={"Bytes": photo}).result()
        lax, strict = search(house, max_fpir=0.001), search(house, max_fpir=0.0005)
        assert lax.error is not None
        assert lax.error.code == "AccessDeniedException"
        assert "strict/no-search-below-75" in lax.error.message
        strict.result()
        thresholds = [each["threshold"] for each in house.entries() if each.get("max_fpir")]
        assert thresholds == ["74.7698", "77.7808"]
    finally:
        house.close()


def test_a_target_and_a_threshold_contradict_each_other(house: House) -> None:
    before = len(house.entries())
    answer = search(house, max_fpir=0.001, FaceMatchThreshold=80)
    assert answer.error is not None
    assert answer.error.code == "InvalidParameterException"
    assert "not both" in answer.error.message
    assert len(house.entries()) == before


def test_a_target_that_no_threshold_keeps_is_refused_after_policy(house: House) -> None:
    asked = house.vision.asked
    answer = search(house, max_fpir=1e-8)
    assert answer.error is not None
    assert answer.error.code == "InvalidParameterException"
    assert "no false match rate under 1e-07 is claimed, and it comes to 3e-07" in answer.error.message
    assert house.vision.asked == asked
    decision, outcome = house.entries()[-2:]
    assert (decision["allowed"], outcome["result"]) == (True, "failed")


def test_a_stated_prior_says_how_many_candidates_are_right(house: House) -> None:
    """Made up: 80 is a cosine of .4, which 80 of 100 pairs reach. .001 * .8 right, 2.999 * 1e-4 wrong."""
    answer = search(house, prior=0.001)
    right, wrong = 0.001 * 0.8, 2.999e-4
    posterior = right / (right + wrong)
    assert answer.headers[POSTERIOR] == f"{posterior:.4g}; prior=0.001; tpr=0.8; measured"
    member = answer.result()["Countenance"]
    assert (member["Prior"], member["TruePositiveRate"]) == (0.001, 0.8)
    assert member["Posterior"] == pytest.approx(posterior)
    assert member["TruePositiveRateMeasured"]
    assert answer.receipt is not None
    receipt = house.call("GetReceipt", Decision=answer.receipt.decision).result()
    decision, outcome = (json.loads(entry["Body"]) for entry in receipt["Entries"])
    assert (decision["prior"], outcome["posterior"], outcome["tpr"]) == ("0.001", f"{posterior:.4g}", "0.8")


def test_nobody_measured_how_often_a_child_is_known_again(house: House) -> None:
    answer = search(house, "class", prior=0.5, FaceMatchThreshold=60)
    assert answer.headers[POSTERIOR].endswith("; extrapolated")
    assert answer.result()["Countenance"]["TruePositiveRateMeasured"] is False


def test_without_a_prior_nothing_is_said_of_it(house: House) -> None:
    answer = search(house)
    assert POSTERIOR not in answer.headers
    assert not {"Prior", "Posterior", "TruePositiveRate"} & answer.result()["Countenance"].keys()
    assert not {"tpr", "posterior"} & house.entries()[-1].keys()


def test_an_empty_collection_has_no_candidate_to_be_right(house: House) -> None:
    house.call("CreateCollection", CollectionId="nobody-yet").result()
    answer = search(house, "nobody-yet", prior=0.5)
    assert "Posterior" not in answer.result()["Countenance"]
    assert answer.headers[POSTERIOR].startswith("none; prior=0.5; ")


def test_the_member_says_what_the_headers_say(house: House) -> None:
    member = search(house, "class", FaceMatchThreshold=99).result()["Countenance"]
    assert (member["Faces"], member["FalseMatchRate"], member["Threshold"]) == (1, 1e-7, 99)
    assert member["ExpectedFalseCandidates"] == pytest.approx(member["FPIR"]) == pytest.approx(1e-7)
    assert member["Measured"] is False
    assert [each["Code"] for each in member["Warnings"]] == ["children", "extrapolated"]
    curve = member["Calibration"]
    assert (curve["Model"], curve["Population"], curve["Stated"]) == ("fake-1", "children", True)
    assert curve["Source"] == "made up"
    assert house.entries()[-2]["calibration"] == f"children:{curve['Digest']}"
    assert not search(house).result()["Countenance"]["Calibration"]["Stated"]


def compare(house: House, prior: float | None = None, **asked: Any) -> Answer:
    target = base64.b64encode(picture(RED, GREEN)).decode()
    body = {"SourceImage": {"Bytes": PHOTO}, "TargetImage": {"Bytes": target}, **asked}
    return house.service.call(
        "RekognitionService.CompareFaces", json.dumps(body).encode(), house.caller, Declared(prior=prior)
    )


def test_a_comparison_says_it_among_the_targets_faces(house: House) -> None:
    answer = compare(house, prior=0.5)
    answer.result()
    assert answer.headers[FALSE] == "0.0002; faces=2; fmr=0.0001; population=adults; assumed; measured"
    assert answer.headers[WARNING] == (
        "assumed: the rates are those of adults; 71 times as often between two children"
    )
    assert answer.headers[POSTERIOR].startswith("0.9996; prior=0.5; tpr=0.8; ")
    outcome = house.entries()[-1]
    assert (outcome["expected_false_candidates"], outcome["fmr"]) == ("0.0002", "0.0001")
    assert (outcome["warnings"], outcome["posterior"]) == (["assumed"], "0.9996")


def test_other_calls_take_no_notice_of_a_target(house: House) -> None:
    answer = house.service.call(
        "RekognitionService.CompareFaces",
        json.dumps({"SourceImage": {"Bytes": PHOTO}, "TargetImage": {"Bytes": PHOTO}}).encode(),
        house.caller,
        Declared(max_fpir=0.001),
    )
    answer.result()
    assert house.entries()[-2]["threshold"] == "80.0000"


def test_a_collection_that_is_missing_is_missing_all_the_same(house: House) -> None:
    answer = search(house, "nobody", max_fpir=0.001)
    assert answer.error is not None
    assert answer.error.code == "ResourceNotFoundException"
