"""MeasureCollection by the door: counted where labels say who is not whom, and refused where nothing does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from countenance.galleries import impostors
from countenance.galleries.impostors import Labels
from countenance.operations import measuring
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, picture

VIOLET = (90, 9, 199)
PEOPLE = {"red": RED, "green": GREEN, "blue": BLUE, "violet": VIOLET}
TAG = "countenance:external-image-id"


@pytest.fixture
def album(house: House) -> House:
    """Four people under their names, red in two photos."""
    house.call("CreateCollection", CollectionId="album").result()
    for name, colour in PEOPLE.items():
        index(house, name, picture(colour))
    index(house, "red", picture(RED, side=120))
    return house


def index(house: House, name: str, photo: bytes) -> str:
    answer = house.call("IndexFaces", CollectionId="album", Image={"Bytes": photo}, ExternalImageId=name)
    face_id: str = answer.result()["FaceRecords"][0]["Face"]["FaceId"]
    return face_id


def declare_people(house: House) -> None:
    arn = house.call("DescribeCollection", CollectionId="album").result()["CollectionARN"]
    house.call("TagResource", ResourceArn=arn, Tags={TAG: "one-person"}).result()


def measure(house: House, **asked: Any) -> dict[str, Any]:
    return dict(house.call("MeasureCollection", CollectionId="album", **asked).result())


def test_without_labels_there_is_no_figure(album: House) -> None:
    answer = album.call("MeasureCollection", CollectionId="album")
    assert answer.error is not None
    assert answer.error.code == "InvalidParameterException"
    assert "associate faces with users, or tag the collection" in answer.error.message
    assert album.entries()[-1]["result"] == "failed"


def test_declared_names_are_people_each_compared_once(album: House) -> None:
    declare_people(album)
    found = measure(album)
    assert (found["LabelledBy"], found["People"], found["Pairs"]) == ("external-image-ids", 4, 6)
    assert (found["FalseMatches"], found["FalseMatchRate"], found["FalseMatchRateHigh"]) == (0, 0, 0.75)
    assert (found["ExpectedFalseCandidates"], found["FPIR"]) == (0.75 * 5, 1 - 0.25**5), "no error is no zero"
    all_of_them = measure(album, FaceMatchThreshold=0)
    assert (all_of_them["FalseMatches"], all_of_them["FalseMatchRate"]) == (6, 1)
    assert (all_of_them["ExpectedFalseCandidates"], all_of_them["FPIR"]) == (5, 1)
    assert all_of_them["Countenance"]["Faces"] == 5


def test_the_record_has_the_counts_and_no_person(album: House) -> None:
    declare_people(album)
    measure(album, FaceMatchThreshold=0)
    decision, outcome = album.entries()[-2:]
    assert (decision["actions"], decision["threshold"]) == (["identify"], "0.0000")
    assert (outcome["people"], outcome["pairs"], outcome["false_matches"]) == (4, 6, 6)
    assert outcome["labelled_by"] == "external-image-ids"
    assert "subjects" not in outcome


def test_users_are_people_whatever_the_photos_are_called(album: House) -> None:
    faces = album.call("ListFaces", CollectionId="album").result()["Faces"]
    for face in faces[:3]:
        album.call("CreateUser", CollectionId="album", UserId=face["FaceId"]).result()
        album.call(
            "AssociateFaces", CollectionId="album", UserId=face["FaceId"], FaceIds=[face["FaceId"]]
        ).result()
    found = measure(album)
    assert (found["LabelledBy"], found["People"], found["Pairs"]) == ("users", 3, 3)


def test_two_names_of_one_user_are_no_pair(album: House) -> None:
    """The tag says two people, the user says one: then nobody is counted as a stranger."""
    declare_people(album)
    faces = album.call("ListFaces", CollectionId="album").result()["Faces"]
    album.call("CreateUser", CollectionId="album", UserId="both").result()
    for face in faces[1:3]:
        album.call(
            "AssociateFaces",
            CollectionId="album",
            UserId="both",
            FaceIds=[face["FaceId"]],
            UserMatchThreshold=0,
        ).result()
    assert measure(album, FaceMatchThreshold=0)["Pairs"] == 5


def test_a_large_collection_is_sampled(album: House, monkeypatch: pytest.MonkeyPatch) -> None:
    declare_people(album)
    monkeypatch.setattr(impostors, "MOST", 3)
    assert measure(album)["People"] == 3


def test_another_word_for_the_tag_is_refused(album: House) -> None:
    arn = album.call("DescribeCollection", CollectionId="album").result()["CollectionARN"]
    answer = album.call("TagResource", ResourceArn=arn, Tags={TAG: "a-name"})
    assert answer.error is not None
    assert "must be one of one-person, unstated" in answer.error.message


def test_counts_are_those_of_every_pair_that_may_be_one() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    different = ~np.eye(40, dtype=bool)
    different[3, 4] = different[4, 3] = False
    sample = impostors.Sample(tuple(map(str, range(40))), vectors, different)
    pairs = [(i, j) for i in range(40) for j in range(i) if (i, j) != (4, 3)]
    hits = sum(float(vectors[i] @ vectors[j]) >= 0.3 for i, j in pairs)
    rate = measuring.counted(sample, 0.3)
    assert (rate.events, rate.trials) == (hits, len(pairs))
    assert 0 < rate.low < rate.value < rate.high < 1
    assert Labels("users") is Labels.USERS
