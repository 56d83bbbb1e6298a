"""boto3, unchanged but for its endpoint: people made of several faces, and searched."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.parity.conftest import House, index, refusal, second_process
from tests.parity.photos import both, eileen, encoded, far, grace, grace_again, nobody, opened

NEW = Callable[[], str]
NO_FACE = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def graces(client: Any, people: str) -> list[str]:
    """Three photos of one person and one of another, FaceIds in that order."""
    small = encoded(opened(grace()).resize((320, 375)), "JPEG", quality=80)
    photos = {"one": grace(), "two": grace_again(), "three": small, "eileen": eileen()}
    return [index(client, people, photo, name)[0]["FaceId"] for name, photo in photos.items()]


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    return refusal(caught)


def user(client: Any, people: str, name: str, *face_ids: str) -> None:
    client.create_user(CollectionId=people, UserId=name)
    if face_ids:
        client.associate_faces(CollectionId=people, UserId=name, FaceIds=list(face_ids))


# CreateUser, ListUsers, DeleteUser


def test_users_are_listed_in_the_order_they_were_made(client: Any, people: str, graces: list[str]) -> None:
    for name in ("zoe", "ann", "mia"):
        user(client, people, name)
    client.associate_faces(CollectionId=people, UserId="ann", FaceIds=graces[:1])
    pages = client.get_paginator("list_users").paginate(CollectionId=people, PaginationConfig={"PageSize": 1})
    found = [each for page in pages for each in page["Users"]]
    assert found == [
        {"UserId": "zoe", "UserStatus": "CREATED"},
        {"UserId": "ann", "UserStatus": "ACTIVE"},
        {"UserId": "mia", "UserStatus": "CREATED"},
    ]
    assert client.describe_collection(CollectionId=people)["UserCount"] == 3
    client.delete_user(CollectionId=people, UserId="zoe")
    assert client.describe_collection(CollectionId=people)["UserCount"] == 2


def test_a_user_is_there_once(client: Any, people: str) -> None:
    user(client, people, "anna")
    assert refused(lambda: client.create_user(CollectionId=people, UserId="anna"))[0] == "ConflictException"
    client.delete_user(CollectionId=people, UserId="anna")
    code, _ = refused(lambda: client.delete_user(CollectionId=people, UserId="anna"))
    assert code == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["create_user", "delete_user"])
def test_a_token_makes_a_call_happen_once(client: Any, people: str, operation: str) -> None:
    if operation == "delete_user":
        user(client, people, "anna")
    call = getattr(client, operation)
    for _ in range(2):
        call(CollectionId=people, UserId="anna", ClientRequestToken="once-1")
    code, _ = refused(lambda: call(CollectionId=people, UserId="bert", ClientRequestToken="once-1"))
    assert code == "IdempotentParameterMismatchException"


def test_a_token_is_its_operations_own(client: Any, people: str) -> None:
    client.create_user(CollectionId=people, UserId="anna", ClientRequestToken="t")
    client.delete_user(CollectionId=people, UserId="anna", ClientRequestToken="t")
    assert client.list_users(CollectionId=people)["Users"] == []


def test_without_its_collection_no_user_is_found(client: Any, new: NEW) -> None:
    gone = new()
    client.delete_collection(CollectionId=gone)
    for call in (
        lambda: client.create_user(CollectionId=gone, UserId="anna"),
        lambda: client.list_users(CollectionId=gone),
        lambda: client.search_users(CollectionId=gone, UserId="anna"),
        lambda: client.search_users_by_image(CollectionId=gone, Image={"Bytes": grace()}),
    ):
        assert refused(call)[0] == "ResourceNotFoundException"


# AssociateFaces, DisassociateFaces


def test_associate_faces(client: Any, people: str, graces: list[str]) -> None:
    user(client, people, "grace")
    answer = client.associate_faces(CollectionId=people, UserId="grace", FaceIds=graces[:2])
    assert answer["AssociatedFaces"] == [{"FaceId": face_id} for face_id in graces[:2]]
    assert (answer["UnsuccessfulFaceAssociations"], answer["UserStatus"]) == ([], "ACTIVE")
    listed = client.list_faces(CollectionId=people, UserId="grace")["Faces"]
    assert [(face["FaceId"], face["UserId"]) for face in listed] == [(each, "grace") for each in graces[:2]]
    every = client.list_faces(CollectionId=people)["Faces"]
    assert ["UserId" in face for face in every] == [True, True, False, False]
    [match, *_] = client.search_faces(CollectionId=people, FaceId=graces[2])["FaceMatches"]
    assert match["Face"]["UserId"] == "grace"


def test_why_a_face_is_not_associated(client: Any, people: str, graces: list[str]) -> None:
    one, two, three, other = graces
    user(client, people, "grace", one)
    user(client, people, "eileen", other)
    answer = client.associate_faces(CollectionId=people, UserId="grace", FaceIds=[one, two, other, NO_FACE])
    assert answer["AssociatedFaces"] == [{"FaceId": two}]  # of one, which was there, nothing is said
    assert answer["UnsuccessfulFaceAssociations"] == [
        {"FaceId": other, "UserId": "eileen", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]},
        {"FaceId": NO_FACE, "Reasons": ["FACE_NOT_FOUND"]},
    ]
    client.disassociate_faces(CollectionId=people, UserId="eileen", FaceIds=[other])
    answer = client.associate_faces(CollectionId=people, UserId="grace", FaceIds=[other, three])
    [failure] = answer["UnsuccessfulFaceAssociations"]
    assert (failure["FaceId"], failure["Reasons"]) == (other, ["LOW_MATCH_CONFIDENCE"])
    assert 0 <= failure["Confidence"] < 75
    answer = client.associate_faces(
        CollectionId=people, UserId="grace", FaceIds=[other], UserMatchThreshold=failure["Confidence"]
    )
    assert answer["AssociatedFaces"] == [{"FaceId": other}]


def test_disassociate_faces(client: Any, people: str, graces: list[str]) -> None:
    one, two, three, other = graces
    user(client, people, "grace", one, two)
    user(client, people, "eileen", other)
    answer = client.disassociate_faces(
        CollectionId=people, UserId="grace", FaceIds=[one, three, other, NO_FACE]
    )
    assert answer["DisassociatedFaces"] == [{"FaceId": one}]
    assert answer["UnsuccessfulFaceDisassociations"] == [
        {"FaceId": other, "UserId": "eileen", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]},
        {"FaceId": NO_FACE, "Reasons": ["FACE_NOT_FOUND"]},
    ]
    assert answer["UserStatus"] == "ACTIVE"
    answer = client.disassociate_faces(CollectionId=people, UserId="grace", FaceIds=[two])
    assert answer["UserStatus"] == "CREATED"
    found = client.search_users(CollectionId=people, FaceId=one, UserMatchThreshold=0)["UserMatches"]
    assert [match["User"]["UserId"] for match in found] == ["eileen"]


def test_the_same_token_gives_the_same_answer(client: Any, people: str, graces: list[str]) -> None:
    one, two, _, other = graces
    user(client, people, "grace", one)
    request = {"CollectionId": people, "UserId": "grace", "FaceIds": [one, two, other]}
    first = client.associate_faces(**request, ClientRequestToken="again")
    client.disassociate_faces(CollectionId=people, UserId="grace", FaceIds=[two])
    second = client.associate_faces(**request, ClientRequestToken="again")
    del first["ResponseMetadata"], second["ResponseMetadata"]
    assert second == first
    assert len(client.list_faces(CollectionId=people, UserId="grace")["Faces"]) == 1  # it was not done again
    code, _ = refused(
        lambda: client.associate_faces(**{**request, "FaceIds": [one]}, ClientRequestToken="again")
    )
    assert code == "IdempotentParameterMismatchException"


def test_a_face_of_a_user_is_not_deleted(client: Any, people: str, graces: list[str]) -> None:
    user(client, people, "grace", graces[0])
    answer = client.delete_faces(CollectionId=people, FaceIds=graces[:2])
    assert answer["DeletedFaces"] == [graces[1]]
    assert answer["UnsuccessfulFaceDeletions"] == [
        {"FaceId": graces[0], "UserId": "grace", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]}
    ]
    client.delete_user(CollectionId=people, UserId="grace")
    assert client.delete_faces(CollectionId=people, FaceIds=graces[:1])["DeletedFaces"] == graces[:1]


# SearchUsers, SearchUsersByImage


def test_search_users_by_a_face(client: Any, people: str, graces: list[str]) -> None:
    one, two, three, other = graces
    user(client, people, "grace", one, two)
    user(client, people, "eileen", other)
    answer = client.search_users(CollectionId=people, FaceId=three)
    [match] = answer["UserMatches"]
    assert match["User"] == {"UserId": "grace", "UserStatus": "ACTIVE"}
    assert match["Similarity"] > 90
    assert answer["SearchedFace"] == {"FaceId": three}
    assert answer["FaceModelVersion"]
    assert "SearchedUser" not in answer
    every = client.search_users(CollectionId=people, FaceId=three, UserMatchThreshold=0)["UserMatches"]
    assert [each["User"]["UserId"] for each in every] == ["grace", "eileen"]
    assert len(client.search_users(CollectionId=people, FaceId=three, MaxUsers=1)["UserMatches"]) == 1
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-countenance-margin"].endswith("; at-least")
    assert headers["x-countenance-nearest-faces"].split(";")[0] in (one, two)


def test_search_users_by_a_user(client: Any, people: str, graces: list[str]) -> None:
    user(client, people, "grace", graces[0])
    user(client, people, "gracie", graces[1])
    user(client, people, "nobody")
    answer = client.search_users(CollectionId=people, UserId="grace")
    assert [each["User"]["UserId"] for each in answer["UserMatches"]] == ["gracie"]
    assert answer["SearchedUser"] == {"UserId": "grace"}
    code, message = refused(lambda: client.search_users(CollectionId=people, UserId="nobody"))
    assert code == "InvalidParameterException"
    assert "no faces" in message
    code, _ = refused(lambda: client.search_users(CollectionId=people, UserId="unknown"))
    assert code == "ResourceNotFoundException"
    for wrong in ({}, {"UserId": "grace", "FaceId": graces[0]}, {"FaceId": NO_FACE}):
        code, _ = refused(functools.partial(client.search_users, CollectionId=people, **wrong))
        assert code == "InvalidParameterException"


def test_search_users_by_image(client: Any, people: str, graces: list[str]) -> None:
    user(client, people, "grace", *graces[:3])
    answer = client.search_users_by_image(CollectionId=people, Image={"Bytes": both()})
    [match] = answer["UserMatches"]
    assert match["User"]["UserId"] == "grace"
    assert answer["SearchedFace"]["FaceDetail"]["BoundingBox"]["Left"] < 0.5  # the larger of the two
    [other] = answer["UnsearchedFaces"]
    assert other["Reasons"] == ["FACE_NOT_LARGEST"]
    assert other["FaceDetails"]["BoundingBox"]["Left"] > 0.5


def test_a_photo_without_a_face_that_passes_finds_nobody(client: Any, people: str, graces: list[str]) -> None:
    user(client, people, "eileen", graces[3])
    answer = client.search_users_by_image(CollectionId=people, Image={"Bytes": nobody()})
    assert (answer["UserMatches"], answer["UnsearchedFaces"]) == ([], [])
    assert "SearchedFace" not in answer
    answer = client.search_users_by_image(
        CollectionId=people, Image={"Bytes": far()}, QualityFilter="HIGH", UserMatchThreshold=0
    )
    assert answer["UserMatches"] == []
    [face] = answer["UnsearchedFaces"]
    assert "SMALL_BOUNDING_BOX" in face["Reasons"]


def test_another_process_sees_every_change_at_its_next_search(
    house: House, client: Any, people: str, graces: list[str]
) -> None:
    with second_process(house.settings) as url:
        there = house.client(url=url)

        def found() -> list[str]:
            answer = there.search_users(CollectionId=people, FaceId=graces[2])
            return [match["User"]["UserId"] for match in answer["UserMatches"]]

        assert found() == []
        user(client, people, "grace", graces[0])
        assert found() == ["grace"]
        client.disassociate_faces(CollectionId=people, UserId="grace", FaceIds=graces[:1])
        assert found() == []
