"""boto3, unchanged but for its endpoint: DetectModerationLabels, with harmless pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image as Pillow

from countenance.operations.moderation import TOP
from countenance.types import OrganisationKind
from countenance.vision import zoo
from tests.parity.conftest import House, refusal
from tests.parity.photos import eileen, encoded, grace

LOOP = {
    "HumanLoopName": "second-look",
    "FlowDefinitionArn": "arn:aws:sagemaker:us-east-1:123456789012:flow-definition/f",
}
ADAPTER = "arn:aws:rekognition:us-east-1:123456789012:project/own/version/own.1/1700000000000"


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    zoo.pull(*zoo.fetched_for("moderation", commercial_only=False))


def test_a_harmless_photo_has_no_label(client: Any) -> None:
    answer = client.detect_moderation_labels(Image={"Bytes": eileen()})
    assert answer["ModerationLabels"] == []
    assert answer["ContentTypes"] == []
    assert answer["ModerationModelVersion"] == "open-nsfw"
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    lacking = headers["x-countenance-not-offered"].split(", ")
    assert sorted(lacking) == sorted([*TOP[1:], "ContentTypes"])
    assert headers["x-countenance-receipt"]


def test_the_least_confidence_decides_what_is_told(client: Any) -> None:
    answer = client.detect_moderation_labels(Image={"Bytes": eileen()}, MinConfidence=1)
    [label] = answer["ModerationLabels"]
    assert label == {
        "Name": "Explicit",
        "ParentName": "",
        "TaxonomyLevel": 1,
        "Confidence": pytest.approx(3.17, abs=0.05),
    }
    assert not client.detect_moderation_labels(Image={"Bytes": eileen()}, MinConfidence=4)["ModerationLabels"]


@pytest.mark.parametrize(
    "picture",
    [Pillow.new("RGB", (300, 300), "white"), Pillow.linear_gradient("L").resize((400, 300))],
    ids=["blank", "gradient"],
)
def test_nothing_is_told_of_a_picture_of_nothing(client: Any, picture: Pillow.Image) -> None:
    assert client.detect_moderation_labels(Image={"Bytes": encoded(picture)})["ModerationLabels"] == []


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ({"MinConfidence": 101.0}, "ValidationException", "must have value less than or equal to 100"),
        (
            {"HumanLoopConfig": LOOP},
            "InvalidParameterException",
            "Request has invalid parameters: HumanLoopConfig is not offered here",
        ),
        ({"ProjectVersion": ADAPTER}, "ResourceNotFoundException", "does not exist"),
    ],
)
def test_what_is_not_offered_is_refused(client: Any, asked: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.detect_moderation_labels(Image={"Bytes": grace()}, **asked)
    told, said = refusal(caught)
    assert told == code
    assert message in said


def test_without_weights_it_is_not_offered_and_says_what_to_do(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTENANCE_MODELS", str(tmp_path))
    with pytest.raises(ClientError) as caught:
        client.detect_moderation_labels(Image={"Bytes": grace()})
    code, said = refusal(caught)
    assert code == "InvalidParameterException"
    assert "DetectModerationLabels is not offered here yet" in said
    assert "countenance models pull moderation" in said


def test_policy_decides_it_as_a_label(house: House) -> None:
    police = house.client(house.issue(OrganisationKind.POLICE))
    with pytest.raises(ClientError) as caught:
        police.detect_moderation_labels(Image={"Bytes": grace()})
    assert refusal(caught)[0] == "AccessDeniedException"
