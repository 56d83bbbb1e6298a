"""boto3 asks what faces show: every member a card backs, in AWS's shape, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from countenance.types import INFERRED, Attribute, OrganisationKind
from countenance.vision.attributes import readings
from tests.parity.conftest import House, refusal
from tests.parity.photos import both, eileen, encoded, grace, opened

MEMBERS = {
    "AGE_RANGE": "AgeRange",
    "BEARD": "Beard",
    "EMOTIONS": "Emotions",
    "EYE_DIRECTION": "EyeDirection",
    "EYEGLASSES": "Eyeglasses",
    "EYES_OPEN": "EyesOpen",
    "FACE_OCCLUDED": "FaceOccluded",
    "GENDER": "Gender",
    "MOUTH_OPEN": "MouthOpen",
    "MUSTACHE": "Mustache",
    "SMILE": "Smile",
    "SUNGLASSES": "Sunglasses",
}
ALWAYS = {"BoundingBox", "Landmarks", "Pose", "Quality", "Confidence"}
OFFERED = sorted(reading.attribute.value for reading in readings() if not reading.off)
OFF = sorted({*MEMBERS} - {*OFFERED})


def detected(client: Any, photo: bytes, *names: str) -> Any:
    return client.detect_faces(Image={"Bytes": photo}, Attributes=list(names))


@pytest.mark.parametrize("photo", [grace(), eileen(), both()], ids=["grace", "eileen", "both"])
def test_all_tells_what_a_card_backs(client: Any, photo: bytes) -> None:
    answer = detected(client, photo, "ALL")
    for face in answer["FaceDetails"]:
        assert face.keys() == ALWAYS | {MEMBERS[name] for name in OFFERED}
        assert len(face["Landmarks"]) == 30
        assert 0 <= face["AgeRange"]["Low"] < face["AgeRange"]["High"] <= 100
        assert face["Gender"]["Value"] in {"Male", "Female"}
        assert 50 <= face["Gender"]["Confidence"] <= 100
        kinds = [expression["Type"] for expression in face["Emotions"]]
        assert sorted(kinds) == ["ANGRY", "CALM", "DISGUSTED", "FEAR", "HAPPY", "SAD", "SURPRISED"]
        shares = [expression["Confidence"] for expression in face["Emotions"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=0.01)
    left_out = answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance-not-offered"]
    assert left_out.split(", ") == OFF


def test_two_people_as_everybody_sees_them(client: Any) -> None:
    [hopper] = detected(client, grace(), "ALL")["FaceDetails"]
    [collins] = detected(client, eileen(), "ALL")["FaceDetails"]
    assert (
        collins["Gender"]["Value"] == "Female"
    )  # Hopper, old and in uniform, is read as a man: docs/models.md
    assert collins["Smile"]["Value"]
    assert collins["Emotions"][0]["Type"] == "HAPPY"
    assert hopper["Eyeglasses"]["Value"]
    assert not collins["Eyeglasses"]["Value"]
    assert not any(face[name]["Value"] for face in (hopper, collins) for name in ("Beard", "Mustache"))
    assert hopper["AgeRange"]["High"] > collins["AgeRange"]["High"]


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_one_name_tells_one_thing(client: Any, name: str) -> None:
    [face] = detected(client, eileen(), name)["FaceDetails"]
    assert face.keys() == ALWAYS | ({MEMBERS[name]} if name in OFFERED else set())
    assert len(face["Landmarks"]) == 5


def test_default_tells_nothing_more(client: Any) -> None:
    [face] = detected(client, eileen(), "DEFAULT")["FaceDetails"]
    assert face.keys() == ALWAYS


def test_index_faces_tells_the_same(client: Any, people: str) -> None:
    answer = client.index_faces(
        CollectionId=people, Image={"Bytes": eileen()}, DetectionAttributes=["GENDER", "SMILE"]
    )
    [detail] = [record["FaceDetail"] for record in answer["FaceRecords"]]
    [face] = detected(client, eileen(), "GENDER", "SMILE")["FaceDetails"]
    assert {name: detail[name] for name in ("Gender", "Smile")} == {
        name: face[name] for name in ("Gender", "Smile")
    }


def test_no_race_or_ethnicity_is_ever_told(client: Any) -> None:
    [face] = detected(client, grace(), "ALL")["FaceDetails"]
    assert not [name for name in face if "race" in name.lower() or "ethnic" in name.lower()]
    assert not [each for each in Attribute if "RACE" in each or "ETHNIC" in each]


def test_the_police_are_refused_what_is_inferred_and_told_what_to_leave_out(house: House) -> None:
    key = house.issue(OrganisationKind.POLICE, "criminal-investigation")
    police = house.client(key)
    with pytest.raises(ClientError) as caught:
        detected(police, grace(), "ALL")
    code, text = refusal(caught)
    assert code == "AccessDeniedException"
    assert "Leave out AGE_RANGE, EMOTIONS, GENDER" in text
    rest = sorted(set(MEMBERS) - {each.value for each in INFERRED})
    [face] = detected(police, grace(), *rest)["FaceDetails"]
    assert not face.keys() & {"Gender", "AgeRange", "Emotions"}


@pytest.mark.parametrize("side", [80, 120])
def test_a_face_of_few_pixels(client: Any, side: int) -> None:
    """Fifteen to thirty pixels across: an answer, or none, and never an error."""
    picture = opened(grace()).resize((side, side))
    for face in detected(client, encoded(picture), "ALL")["FaceDetails"]:
        for name in OFFERED:
            shown = face.get(MEMBERS[name])
            if isinstance(shown, dict) and "Confidence" in shown:
                assert 0 <= shown["Confidence"] <= 100
