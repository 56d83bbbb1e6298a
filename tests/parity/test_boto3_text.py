"""boto3, unchanged but for its endpoint: DetectText."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countenance.types import OrganisationKind
from countenance.vision import text, zoo
from tests.parity.conftest import House, refusal
from tests.parity.photos import encoded, grace, opened
from tests.written import written

SIGN = ("Please keep left", "Platform 17")
LEFT = ((0.0, 0.0), (0.2, 0.0), (0.2, 1.0), (0.0, 1.0))
WHOLE = {"Left": 0.0, "Top": 0.0, "Width": 1.0, "Height": 1.0}


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    zoo.pull(*zoo.fetched_for("text", commercial_only=False))


@pytest.fixture(scope="module")
def sign() -> bytes:
    return encoded(written(*SIGN))


def words(answer: dict[str, Any], kind: str = "WORD") -> list[str]:
    return [each["DetectedText"] for each in answer["TextDetections"] if each["Type"] == kind]


def test_detect_text(client: Any, sign: bytes) -> None:
    answer = client.detect_text(Image={"Bytes": sign})
    assert answer["TextModelVersion"] == "ppocr-v6-small-rec"
    found = answer["TextDetections"]
    assert [each["Id"] for each in found] == list(range(7))
    assert tuple(words(answer, "LINE")) == SIGN
    assert words(answer) == " ".join(SIGN).split()
    assert [each.get("ParentId") for each in found] == [None, None, 0, 0, 0, 1, 1]
    for each in found:
        assert 80 < each["Confidence"] <= 100
        box, polygon = each["Geometry"]["BoundingBox"], each["Geometry"]["Polygon"]
        assert len(polygon) == 4
        assert box["Left"] == pytest.approx(min(point["X"] for point in polygon))
        assert box["Top"] + box["Height"] == pytest.approx(max(point["Y"] for point in polygon))
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance-receipt"]


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({}, "Please keep left Platform 17"),
        ({"WordFilter": {}}, "Please keep left Platform 17"),
        ({"WordFilter": {"MinConfidence": 100.0}}, ""),
        ({"WordFilter": {"MinBoundingBoxHeight": 0.9}}, ""),
        ({"WordFilter": {"MinConfidence": 50, "MinBoundingBoxWidth": 0.13}}, "Please Platform"),
        ({"RegionsOfInterest": []}, "Please keep left Platform 17"),
        ({"RegionsOfInterest": [{"BoundingBox": WHOLE}]}, "Please keep left Platform 17"),
        ({"RegionsOfInterest": [{"BoundingBox": {**WHOLE, "Height": 0.22}}]}, "Please keep left"),
        ({"RegionsOfInterest": [{"BoundingBox": {**WHOLE, "Top": 0.8, "Height": 0.2}}]}, ""),
        (
            {"RegionsOfInterest": [{"Polygon": [{"X": x, "Y": y} for x, y in LEFT]}]},
            "Please Platform",
        ),
        (
            {
                "WordFilter": {"MinConfidence": 50},
                "RegionsOfInterest": [
                    {"BoundingBox": {"Left": 0.0, "Top": 0.0, "Width": 0.2, "Height": 0.22}},
                    {"BoundingBox": {"Left": 0.0, "Top": 0.22, "Width": 0.25, "Height": 0.5}},
                ],
            },
            "Please Platform",
        ),
    ],
)
def test_filters(client: Any, sign: bytes, filters: dict[str, Any], told: str) -> None:
    answer = client.detect_text(Image={"Bytes": sign}, Filters=filters)
    assert " ".join(words(answer)) == told
    lines = {each["Id"] for each in answer["TextDetections"] if each["Type"] == "LINE"}
    assert {each["ParentId"] for each in answer["TextDetections"] if each["Type"] == "WORD"} == lines


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"WordFilter": {"MinConfidence": 100.5}}, "must have value less than or equal to 100"),
        ({"WordFilter": {"MinBoundingBoxHeight": 1.5}}, "must have value less than or equal to 1"),
        ({"WordFilter": {"MinBoundingBoxWidth": 7.0}}, "must have value less than or equal to 1"),
        ({"RegionsOfInterest": [{"BoundingBox": WHOLE}] * 11}, "must have length less than or equal to 10"),
    ],
)
def test_filters_out_of_range_are_refused_by_the_front_door(
    client: Any, sign: bytes, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client.detect_text(Image={"Bytes": sign}, Filters=filters)
    code, said = refusal(caught)
    assert code == "ValidationException"
    assert message in said


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ({}, "Filters.RegionsOfInterest.1 needs either BoundingBox or Polygon"),
        (
            {"BoundingBox": WHOLE, "Polygon": [{"X": 0.0, "Y": 0.0}] * 3},
            "needs either BoundingBox or Polygon",
        ),
        ({"BoundingBox": {"Left": 0.1, "Top": 0.1, "Width": 0.2}}, "Height must be said, from 0 to 1"),
        ({"BoundingBox": {**WHOLE, "Left": -0.5}}, "Left must be said, from 0 to 1"),
        ({"BoundingBox": {**WHOLE, "Width": 0.0}}, "holds nothing"),
        ({"Polygon": [{"X": 0.0, "Y": 0.0}, {"X": 1.0, "Y": 1.0}]}, "must have 3 to 10 points"),
        ({"Polygon": [{"X": 0.0, "Y": 0.0}] * 11}, "must have 3 to 10 points"),
        ({"Polygon": [{"X": 0.0}, {"X": 1.0, "Y": 1.0}, {"X": 0.0, "Y": 1.0}]}, "Y must be said"),
    ],
)
def test_regions_that_contradict_themselves_are_refused(
    client: Any, sign: bytes, region: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client.detect_text(Image={"Bytes": sign}, Filters={"RegionsOfInterest": [region]})
    code, said = refusal(caught)
    assert code == "InvalidParameterException"
    assert said.startswith("Request has invalid parameters: Filters.RegionsOfInterest.1")
    assert message in said


def test_a_region_holds_what_lies_in_it_by_more_than_half(client: Any, sign: bytes) -> None:
    found = client.detect_text(Image={"Bytes": sign})["TextDetections"]
    [word] = [each for each in found if each["DetectedText"] == "17"]
    box = word["Geometry"]["BoundingBox"]
    for share, told in ((0.4, []), (0.6, ["17"])):
        region = {**box, "Left": box["Left"] + (1 - share) * box["Width"], "Height": 0.9 - box["Top"]}
        answer = client.detect_text(
            Image={"Bytes": sign}, Filters={"RegionsOfInterest": [{"BoundingBox": region}]}
        )
        assert words(answer) == told


def test_a_hundred_words_are_told_and_the_rest_is_counted(client: Any) -> None:
    lines = [" ".join(f"{letter}{column:02}" for column in range(10)) for letter in "ABCDEFHKLMNP"]
    answer = client.detect_text(Image={"Bytes": encoded(written(*lines, size=24, side=1000))})
    assert words(answer) == " ".join(lines).split()[:100]
    assert words(answer, "LINE") == lines[:10]
    warning = answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance-warning"]
    assert warning == "MORE_TEXT: 20 more words were read; 100 are told"


def test_a_picture_without_text_has_an_empty_list(client: Any) -> None:
    face = encoded(opened(grace()).crop((150, 50, 350, 250)))
    assert client.detect_text(Image={"Bytes": face})["TextDetections"] == []


def test_a_strip_is_refused_as_any_picture_under_80_pixels(client: Any) -> None:
    strip = encoded(written("text").resize((10_000, 1)))
    with pytest.raises(ClientError) as caught:
        client.detect_text(Image={"Bytes": strip})
    assert refusal(caught) == (
        "InvalidParameterException",
        "Request has invalid parameters: the image is 10000 x 1 pixels; each side must be at least 80",
    )


def test_lines_that_are_not_read_are_told_of(
    client: Any, sign: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "WIDTH", 400)
    answer = client.detect_text(Image={"Bytes": sign})
    assert words(answer, "LINE") == [SIGN[0]]
    told = answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance-warning"]
    assert told == "MORE_TEXT: 1 more lines were found and not read"


def test_from_a_bucket(client: Any, buckets: Path, sign: bytes) -> None:
    (buckets / "signs").mkdir(exist_ok=True)
    (buckets / "signs" / "left.png").write_bytes(sign)
    answer = client.detect_text(Image={"S3Object": {"Bucket": "signs", "Name": "left.png"}})
    assert tuple(words(answer, "LINE")) == SIGN


def test_without_weights_it_is_not_offered_and_says_what_to_do(
    client: Any, sign: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path))
    with pytest.raises(ClientError) as caught:
        client.detect_text(Image={"Bytes": sign})
    code, said = refusal(caught)
    assert code == "InvalidParameterException"
    assert "DetectText is not offered here yet" in said
    assert "countenance models pull text" in said


def test_policy_decides_it_as_a_label(house: House, sign: bytes) -> None:
    police = house.client(house.issue(OrganisationKind.POLICE))
    with pytest.raises(ClientError) as caught:
        police.detect_text(Image={"Bytes": sign})
    assert refusal(caught)[0] == "AccessDeniedException"
