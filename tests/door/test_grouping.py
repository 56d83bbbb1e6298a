"""GroupFaces by the door: what it answers, what it writes down, when it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from countenance.declared import Declared
from countenance.operations import grouping
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, picture

VIOLET = (90, 9, 199)
PHOTOS = ((RED, GREEN), (RED,), (GREEN,), (BLUE,), (RED, BLUE), (VIOLET,))


@pytest.fixture
def archive(house: House) -> House:
    """Red in three photos, green in two, one of them with red; blue in two; violet in one."""
    house.call("CreateCollection", CollectionId="archive").result()
    for number, people in enumerate(PHOTOS):
        house.call(
            "IndexFaces",
            CollectionId="archive",
            Image={"Bytes": picture(*people)},
            ExternalImageId=f"photo-{number}",
        ).result()
    return house


def photos(group: dict[str, Any]) -> list[str]:
    return sorted(member["Face"]["ExternalImageId"] for member in group["Members"])


def test_everybody_is_in_one_group_with_their_photos(archive: House) -> None:
    answer = archive.call("GroupFaces", CollectionId="archive").result()
    assert [photos(group) for group in answer["Groups"]] == [
        ["photo-0", "photo-1", "photo-4"],
        ["photo-0", "photo-2"],
        ["photo-3", "photo-4"],
    ]
    assert [face["ExternalImageId"] for face in answer["UngroupedFaces"]] == ["photo-5"]
    assert all(member["Similarity"] == 100 for group in answer["Groups"] for member in group["Members"])


def test_the_record_says_how_many_were_compared_and_whom_it_grouped(archive: House) -> None:
    answer = archive.call("GroupFaces", CollectionId="archive", FaceMatchThreshold=80)
    decision, outcome = archive.entries()[-2:]
    assert decision["actions"] == ["identify"]
    assert (decision["collection"], decision["collection_size"]) == ("archive", 8)
    assert decision["threshold"] == "80.0000"
    # 28 pairs, two of them within one photo
    assert (outcome["pairs"], outcome["groups"], outcome["candidates"]) == (26, 3, 7)
    assert outcome["expected_false_pairs"] == "0.0026"
    assert len(outcome["subjects"]) == 5  # a key for each ExternalImageId
    assert answer.result()["ExpectedFalsePairs"] == pytest.approx(26 * 1e-4)
    told = answer.headers["x-countenance-expected-false-pairs"]
    assert told == "0.0026; pairs=26; fmr=0.0001; population=adults; untagged; measured"


def test_a_face_of_a_group_can_be_reviewed(archive: House) -> None:
    answer = archive.call("GroupFaces", CollectionId="archive")
    assert answer.receipt is not None
    member = answer.result()["Groups"][0]["Members"][0]
    said: dict[str, Any] = {"Decision": answer.receipt.decision, "Verdict": "WRONG", "Reviewer": "A. Weber"}
    archive.call("RecordReview", FaceId=member["Face"]["FaceId"], **said).result()
    [alone] = answer.result()["UngroupedFaces"]
    refused = archive.call("RecordReview", FaceId=alone["FaceId"], **said)
    assert "not among the candidates" in str(refused.error)


def test_a_childrens_collection_is_grouped_by_its_own_curve(house: House) -> None:
    house.call("CreateCollection", CollectionId="school", Tags={"countenance:subjects": "children"}).result()
    house.call("IndexFaces", CollectionId="school", Image={"Bytes": picture(RED, GREEN)}).result()
    answer = house.call("GroupFaces", CollectionId="school")
    assert "population=children; " in answer.headers["x-countenance-expected-false-pairs"]
    assert answer.headers["x-countenance-warning"].startswith("children: ")


def test_once_per_image_is_a_choice(house: House) -> None:
    """One colour twice in a photo is one face to these senses, so the second photo is the first again."""
    house.call("CreateCollection", CollectionId="mirror").result()
    for external in ("one", "other"):
        house.call(
            "IndexFaces", CollectionId="mirror", Image={"Bytes": picture(RED)}, ExternalImageId=external
        ).result()
    apart = house.call("GroupFaces", CollectionId="mirror").result()
    assert (apart["Groups"], len(apart["UngroupedFaces"])) == ([], 2)
    together = house.call("GroupFaces", CollectionId="mirror", OncePerImage=False).result()
    assert [photos(group) for group in together["Groups"]] == [["one", "other"]]
    assert together["ExpectedFalsePairs"] == pytest.approx(1e-4)
    assert apart["ExpectedFalsePairs"] == 0


def test_an_empty_collection_has_no_groups_and_a_missing_one_is_an_error(house: House) -> None:
    house.call("CreateCollection", CollectionId="empty").result()
    answer = house.call("GroupFaces", CollectionId="empty").result()
    assert (answer["Groups"], answer["UngroupedFaces"], answer["ExpectedFalsePairs"]) == ([], [], 0)
    missing = house.call("GroupFaces", CollectionId="nosuch").error
    assert str(missing) == "The collection id: nosuch does not exist"


def test_too_many_faces_are_an_error_that_says_what_to_do(
    archive: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MOST", 7)
    refused = archive.call("GroupFaces", CollectionId="archive").error
    assert "at most 7 faces are grouped at once, and archive holds 8: divide them" in str(refused)


def test_pairs_that_tell_nobody_apart_are_an_error(archive: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countenance.galleries.groups.MOST_PAIRS", 3)
    refused = archive.call("GroupFaces", CollectionId="archive", FaceMatchThreshold=0).error
    assert "more than 3 pairs reach the threshold" in str(refused)
    assert "ask for a FaceMatchThreshold above 0" in str(refused)


def test_only_so_many_people_are_named_in_the_record(archive: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "NAMED", 1)
    archive.call("GroupFaces", CollectionId="archive").result()
    outcome = archive.entries()[-1]
    assert (len(outcome["subjects"]), outcome["people_not_named"]) == (1, 4)


def test_a_share_of_searches_is_nothing_for_a_grouping(archive: House) -> None:
    answer = archive.service.call(
        "RekognitionService.GroupFaces",
        b'{"CollectionId": "archive"}',
        archive.caller,
        Declared(max_fpir=0.01),
    )
    assert "a grouping has no x-countenance-max-fpir" in str(answer.error)


def test_the_police_are_refused_and_it_says_so(police: House, tmp_path: Path) -> None:
    police.call("CreateCollection", CollectionId="people")
    refused = police.call("GroupFaces", CollectionId="people")
    assert refused.error is not None
    assert refused.error.code == "AccessDeniedException"
    assert police.vision.asked == 0


def test_who_is_said_not_to_be_one_person_is_not_in_one_group(archive: House) -> None:
    """Two faces of three; then the user that one of them and the third are."""
    [three, *_] = archive.call("GroupFaces", CollectionId="archive").result()["Groups"]
    one, other, third = (member["Face"]["FaceId"] for member in three["Members"])
    said: dict[str, Any] = {"CollectionId": "archive"}
    archive.call("CreateDistinction", One={"FaceId": one}, Other={"FaceId": other}, **said).result()
    assert not any({one, other} <= group for group in together(archive))
    archive.call("CreateUser", UserId="red", **said).result()
    archive.call("AssociateFaces", UserId="red", FaceIds=[one, third], **said).result()
    assert {one, third} in together(archive)
    archive.call("DeleteDistinction", One={"FaceId": one}, Other={"FaceId": other}, **said).result()
    assert {one, other, third} in together(archive)


def together(house: House) -> list[set[str]]:
    answer = house.call("GroupFaces", CollectionId="archive").result()
    return [{member["Face"]["FaceId"] for member in group["Members"]} for group in answer["Groups"]]
