"""boto3, unchanged but for its endpoint: DetectLabels, by the real models."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image
from skimage import data

from countenance.vision import zoo
from countenance.vision.taxonomy import taxonomy
from tests.parity.conftest import refusal
from tests.parity.photos import encoded, grace, nobody

ALL = ["GENERAL_LABELS", "IMAGE_PROPERTIES"]


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    zoo.pull(*zoo.fetched_for("labels", commercial_only=False))


@functools.cache
def coffee() -> bytes:
    """A cup of coffee on a table (Rachel Michetti, given to the public domain), PNG 600 x 400."""
    return encoded(Image.fromarray(data.coffee()))


def named(answer: Any) -> list[str]:
    return [label["Name"] for label in answer["Labels"]]


def test_what_a_photo_shows(client: Any) -> None:
    answer = client.detect_labels(Image={"Bytes": coffee()})
    assert answer["LabelModelVersion"] == "centernet-mobilenetv3+efficientnet-lite2"
    assert {"Cup", "Beverage", "Food"} <= set(named(answer))
    assert "ImageProperties" not in answer
    confidences = [label["Confidence"] for label in answer["Labels"]]
    assert confidences == sorted(confidences, reverse=True)
    assert min(confidences) >= 55
    assert len(set(named(answer))) == len(confidences)  # nothing is said twice
    for label in answer["Labels"]:
        entry = taxonomy().entries[label["Name"]]
        assert label["Parents"] == [{"Name": name} for name in taxonomy().ancestors(entry.name)]
        assert label["Aliases"] == [{"Name": name} for name in entry.aliases]
        assert label["Categories"] == [{"Name": entry.category}]
        assert {parent["Name"] for parent in label["Parents"]} <= set(named(answer))


def test_instances_have_boxes(client: Any) -> None:
    answer = client.detect_labels(Image={"Bytes": grace()})
    [person] = [label for label in answer["Labels"] if label["Name"] == "Person"]
    first, *_ = person["Instances"]
    assert first["BoundingBox"]["Width"] > 0.6
    assert first["BoundingBox"]["Height"] > 0.7
    assert all(55 <= each["Confidence"] <= 100 for each in person["Instances"])
    assert "DominantColors" not in person["Instances"][0]


def test_fewer_by_number_and_by_confidence(client: Any) -> None:
    everything = client.detect_labels(Image={"Bytes": coffee()}, MinConfidence=0)["Labels"]
    assert len(everything) > 20
    few = client.detect_labels(Image={"Bytes": coffee()}, MinConfidence=0, MaxLabels=3)["Labels"]
    assert few == everything[:3]
    sure = client.detect_labels(Image={"Bytes": coffee()}, MinConfidence=85)["Labels"]
    assert [each["Name"] for each in sure] == [e["Name"] for e in everything if e["Confidence"] >= 85]
    assert client.detect_labels(Image={"Bytes": coffee()}, MaxLabels=0)["Labels"] == []
    assert client.detect_labels(Image={"Bytes": coffee()}, MinConfidence=100)["Labels"] == []


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"LabelInclusionFilters": ["Cup"]}, {"Cup"}),
        ({"LabelCategoryInclusionFilters": ["Food and Beverage"]}, {"Beverage", "Food", "Espresso"}),
        (
            {"LabelCategoryInclusionFilters": ["Food and Beverage"], "LabelExclusionFilters": ["Espresso"]},
            {"Beverage", "Food"},
        ),
        (
            {"LabelInclusionFilters": ["Cup"], "LabelCategoryInclusionFilters": ["Food and Beverage"]},
            {"Beverage", "Cup", "Food", "Espresso"},
        ),
        ({"LabelInclusionFilters": ["Cup"], "LabelExclusionFilters": ["Cup"]}, set()),
        ({"LabelInclusionFilters": ["Cup"], "LabelCategoryExclusionFilters": ["Kitchen and Dining"]}, set()),
        ({"LabelInclusionFilters": ["Unicorn"]}, set()),
        ({"LabelInclusionFilters": ["cup"]}, set()),  # the exact name must be given
    ],
)
def test_filters(client: Any, filters: dict[str, list[str]], names: set[str]) -> None:
    answer = client.detect_labels(Image={"Bytes": coffee()}, Settings={"GeneralLabels": filters})
    assert set(named(answer)) == names
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    known = "Unicorn" not in str(filters) and "cup" not in str(filters)
    assert ("x-countenance-unknown-filters" in headers) is not known


def test_an_exclusion_leaves_the_rest(client: Any) -> None:
    every = named(client.detect_labels(Image={"Bytes": coffee()}))
    settings = {"GeneralLabels": {"LabelExclusionFilters": ["Cup"]}}
    assert named(client.detect_labels(Image={"Bytes": coffee()}, Settings=settings)) == [
        name for name in every if name != "Cup"
    ]


def test_properties(client: Any) -> None:
    answer = client.detect_labels(Image={"Bytes": coffee()}, Features=["IMAGE_PROPERTIES"])
    assert answer["Labels"] == []
    properties = answer["ImageProperties"]
    for part in (properties, properties["Foreground"], properties["Background"]):
        assert set(part["Quality"]) == {"Brightness", "Sharpness", "Contrast"}
        assert all(0 <= value <= 100 for value in part["Quality"].values())
        assert 1 <= len(part["DominantColors"]) <= 10
        shares = [each["PixelPercent"] for each in part["DominantColors"]]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 100.01
        for each in part["DominantColors"]:
            assert each["HexCode"] == f"{each['Red']:02x}{each['Green']:02x}{each['Blue']:02x}"
    assert properties["DominantColors"][0]["SimplifiedColor"] in {"brown", "black", "grey"}


@pytest.mark.parametrize("most", [0, 1, 20])
def test_as_many_colours_as_asked(client: Any, most: int) -> None:
    settings = {"ImageProperties": {"MaxDominantColors": most}}
    answer = client.detect_labels(Image={"Bytes": grace()}, Features=ALL, Settings=settings)
    told = answer["ImageProperties"]["DominantColors"]
    assert len(told) == most or most < len(told) <= most or (most == 20 and 1 < len(told) <= 20)
    [person] = [label for label in answer["Labels"] if label["Name"] == "Person"]
    assert len(person["Instances"][0]["DominantColors"]) <= most


def test_a_picture_of_nothing(client: Any) -> None:
    for picture in (nobody(), encoded(Image.new("RGB", (80, 80), "white"))):
        assert client.detect_labels(Image={"Bytes": picture})["Labels"] == []
    red = encoded(Image.new("RGB", (200, 100), "red"))
    properties = client.detect_labels(Image={"Bytes": red}, Features=ALL)["ImageProperties"]
    [colour] = properties["DominantColors"]
    assert (colour["CSSColor"], colour["SimplifiedColor"], colour["PixelPercent"]) == ("red", "red", 100)
    assert properties["Quality"]["Contrast"] == properties["Quality"]["Sharpness"] == 0


def test_the_same_photo_is_labelled_the_same(client: Any) -> None:
    one, two = (client.detect_labels(Image={"Bytes": coffee()}, Features=ALL) for _ in range(2))
    assert (one["Labels"], one["ImageProperties"]) == (two["Labels"], two["ImageProperties"])


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (encoded(Image.new("RGB", (1, 10_000))), "InvalidParameterException"),
        (encoded(Image.new("RGB", (79, 80))), "InvalidParameterException"),
        (encoded(Image.new("RGB", (10_001, 80))), "ImageTooLargeException"),
        (b"GIF89a", "InvalidImageFormatException"),
        (grace()[:2_000], "InvalidImageFormatException"),
    ],
    ids=["strip", "small", "long", "gif", "cut"],
)
def test_bad_pictures(client: Any, picture: bytes, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.detect_labels(Image={"Bytes": picture})
    assert refusal(caught)[0] == code


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"Features": ["GENERAL_LABEL"]}, "Member must satisfy enum value set"),
        ({"MinConfidence": 101.0}, "Member must have value less than or equal to 100"),
        (
            {"Settings": {"ImageProperties": {"MaxDominantColors": 21}}},
            "Member must have value less than or equal to 20",
        ),
        (
            {"Settings": {"GeneralLabels": {"LabelInclusionFilters": ["a" * 51]}}},
            "Member must have length less than or equal to 50",
        ),
        (
            {"Settings": {"GeneralLabels": {"LabelInclusionFilters": ["Cup"] * 101}}},
            "Member must have length less than or equal to 100",
        ),
        (
            {"Settings": {"GeneralLabels": {"LabelExclusionFilters": ["Cup{"]}}},
            "Member must satisfy regular expression pattern",
        ),
    ],
)
def test_bad_words(client: Any, request_: dict[str, Any], told: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.detect_labels(Image={"Bytes": coffee()}, **request_)
    code, message = refusal(caught)
    assert code == "ValidationException"
    assert told in message


def test_without_weights_it_is_not_offered_and_says_what_to_do(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path))
    with pytest.raises(ClientError) as caught:
        client.detect_labels(Image={"Bytes": coffee()})
    code, said = refusal(caught)
    assert code == "InvalidParameterException"
    assert "DetectLabels is not offered here yet" in said
    assert "countenance models pull labels" in said


def test_a_large_photo_is_labelled_as_a_small_one(client: Any) -> None:
    large = Image.fromarray(np.repeat(np.repeat(data.coffee(), 5, 0), 5, 1))
    answer = client.detect_labels(Image={"Bytes": encoded(large, "JPEG", quality=80)})
    assert "Cup" in named(answer)
