"""boto3, unchanged but for its endpoint: DetectProtectiveEquipment, of which masks alone are told."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image as Pillow
from PIL import ImageDraw

from countenance.operations import equipment
from countenance.operations.equipment import Person
from countenance.types import Box, Face, Instance, Landmarks, OrganisationKind, Point, Trait
from tests.parity.conftest import House, refusal
from tests.parity.photos import eileen, encoded, nobody, opened

CLOTH = [(271, 114), (268, 133), (261, 153), (244, 171), (221, 179), (200, 168), (185, 148), (181, 128),
         (180, 108), (224, 116)]  # fmt: skip
"""From ear to ear over Eileen Collins' nose, pixels."""

FACE, HAND = "FACE_COVER", "HAND_COVER"


def masked() -> bytes:
    picture = opened(eileen())
    ImageDraw.Draw(picture).polygon(CLOTH, fill=(150, 195, 225))
    return encoded(picture)


def asked(*kinds: str, least: float = 60) -> dict[str, Any]:
    return {"SummarizationAttributes": {"MinConfidence": least, "RequiredEquipmentTypes": list(kinds)}}


def lists(answer: dict[str, Any]) -> list[list[int]]:
    """Who wears it, who does not, of whom it cannot be told."""
    names = ("WithRequiredEquipment", "WithoutRequiredEquipment", "Indeterminate")
    return [answer["Summary"][f"Persons{name}"] for name in names]


def test_a_mask_is_told_with_the_face_it_covers(client: Any) -> None:
    answer = client.detect_protective_equipment(Image={"Bytes": masked()}, **asked(FACE))
    [person] = answer["Persons"]
    assert person["Id"] == 0
    assert person["BoundingBox"]["Height"] > 0.8
    [face] = person["BodyParts"]
    assert face["Name"] == "FACE"
    [cover] = face["EquipmentDetections"]
    assert cover["Type"] == FACE
    assert cover["Confidence"] > 90
    assert cover["CoversBodyPart"]["Value"] is True
    box = cover["BoundingBox"]
    for left, top in CLOTH[1:-2]:
        assert box["Left"] - 0.02 < left / 512 < box["Left"] + box["Width"] + 0.02
        assert box["Top"] - 0.02 < top / 512 < box["Top"] + box["Height"] + 0.02
    assert lists(answer) == [[0], [], []]
    assert answer["ProtectiveEquipmentModelVersion"].endswith("celeba-heads")
    not_offered = answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance-not-offered"]
    assert not_offered == "HAND_COVER, HEAD_COVER"


def test_a_bare_face_wears_none(client: Any) -> None:
    answer = client.detect_protective_equipment(Image={"Bytes": eileen()}, **asked(FACE))
    [person] = answer["Persons"]
    assert [part["EquipmentDetections"] for part in person["BodyParts"]] == [[]]
    assert lists(answer) == [[], [0], []]
    assert "Summary" not in client.detect_protective_equipment(Image={"Bytes": eileen()})


@pytest.mark.parametrize(
    ("photo", "kinds", "told"),
    [
        (masked, (FACE, HAND), [[], [], [0]]),  # who wears a mask may lack gloves
        (eileen, (FACE, HAND), [[], [0], []]),  # who lacks a mask does not wear both
        (masked, (HAND,), [[], [], [0]]),
        (eileen, (HAND,), [[], [], [0]]),
    ],
)
def test_nobody_is_said_to_wear_what_cannot_be_told(
    client: Any, photo: Any, kinds: tuple[str, ...], told: list[list[int]]
) -> None:
    answer = client.detect_protective_equipment(Image={"Bytes": photo()}, **asked(*kinds))
    assert lists(answer) == told


def test_nobody_is_told_where_nobody_is(client: Any) -> None:
    for photo in (nobody(), encoded(Pillow.new("RGB", (300, 200), "white"))):
        answer = client.detect_protective_equipment(Image={"Bytes": photo}, **asked(FACE))
        assert answer["Persons"] == []
        assert lists(answer) == [[], [], []]


@pytest.mark.parametrize(
    ("kinds", "least", "code", "message"),
    [
        ((), 60, "InvalidParameterException", "RequiredEquipmentTypes names nothing"),
        (("HAT",), 60, "ValidationException", "[FACE_COVER, HAND_COVER, HEAD_COVER]"),
        ((FACE,), 101, "ValidationException", "must have value less than or equal to 100"),
    ],
)
def test_a_summary_of_nothing_is_refused(
    client: Any, kinds: tuple[str, ...], least: float, code: str, message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        client.detect_protective_equipment(Image={"Bytes": eileen()}, **asked(*kinds, least=least))
    told, said = refusal(caught)
    assert told == code
    assert message in said


def test_policy_must_permit_describing(house: House) -> None:
    police = house.client(house.issue(OrganisationKind.POLICE))
    with pytest.raises(ClientError) as caught:
        police.detect_protective_equipment(Image={"Bytes": eileen()})
    assert refusal(caught)[0] == "AccessDeniedException"


def person(confidence: float, face: float | None = None, mask: Trait | None = None) -> Person:
    box, middle = Box(0.1, 0.1, 0.3, 0.8), Point(0.25, 0.2)
    seen = None if face is None else Face(Box(0.2, 0.15, 0.1, 0.1), Landmarks(*[middle] * 5), face)
    return Person(Instance(box, confidence), seen, mask)


@pytest.mark.parametrize(
    ("seen", "worn"),
    [
        (person(99), None),
        (person(99, 90), None),
        (person(99, 90, Trait(True, 95.0)), True),
        (person(99, 90, Trait(False, 95.0)), False),
        (person(70, 90, Trait(True, 95.0)), None),
        (person(99, 70, Trait(True, 95.0)), None),
        (person(99, 90, Trait(False, 70.0)), None),
    ],
)
def test_what_is_not_sure_enough_is_undecided(seen: Person, worn: bool | None) -> None:
    assert seen.worn(80) is worn


def test_a_face_is_of_the_person_whose_head_it_is() -> None:
    near, far = Box(0.0, 0.0, 0.6, 1.0), Box(0.3, 0.3, 0.3, 0.7)
    assert equipment.owner(Box(0.4, 0.32, 0.1, 0.1), [near, far]) == 1
    assert equipment.owner(Box(0.2, 0.02, 0.1, 0.1), [near, far]) == 0
    assert equipment.owner(Box(0.8, 0.1, 0.1, 0.1), [near, far]) is None
