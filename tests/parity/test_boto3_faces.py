"""boto3, unchanged but for its endpoint: faces enrolled, listed, searched and deleted."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countenance.types import OrganisationKind
from tests.parity.conftest import House, index, names, refusal, second_process
from tests.parity.photos import both, eileen, encoded, far, grace, grace_again, nobody, opened

FIVE = ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]
NEW = Callable[[], str]


# IndexFaces, ListFaces, DeleteFaces


def test_index_faces(client: Any, people: str) -> None:
    answer = client.index_faces(CollectionId=people, Image={"Bytes": both()}, ExternalImageId="both:1.jpg")
    records = answer["FaceRecords"]
    assert answer["UnindexedFaces"] == []
    areas = []
    for record in records:
        face, detail = record["Face"], record["FaceDetail"]
        uuid.UUID(face["FaceId"])
        assert face["ExternalImageId"] == "both:1.jpg"
        assert face["IndexFacesModelVersion"] == answer["FaceModelVersion"]
        assert face["BoundingBox"] == pytest.approx(detail["BoundingBox"], abs=1e-5)
        assert [point["Type"] for point in detail["Landmarks"]] == FIVE
        areas.append(face["BoundingBox"]["Width"] * face["BoundingBox"]["Height"])
    assert areas == sorted(areas, reverse=True)
    assert len({record["Face"]["FaceId"] for record in records}) == 2
    assert len({record["Face"]["ImageId"] for record in records}) == 1
    assert client.list_faces(CollectionId=people)["Faces"] == [record["Face"] for record in records]


def test_index_faces_max_faces(client: Any, people: str) -> None:
    answer = client.index_faces(CollectionId=people, Image={"Bytes": both()}, MaxFaces=1)
    [record], [left] = answer["FaceRecords"], answer["UnindexedFaces"]
    assert record["Face"]["BoundingBox"]["Left"] < 0.5  # the larger of the two
    assert "ExternalImageId" not in record["Face"]
    assert left["Reasons"] == ["EXCEEDS_MAX_FACES"]
    assert left["FaceDetail"]["BoundingBox"]["Left"] > 0.5
    assert client.describe_collection(CollectionId=people)["FaceCount"] == 1


@pytest.mark.parametrize(
    ("options", "enrolled"),
    [({"QualityFilter": "HIGH"}, 0), ({"QualityFilter": "NONE"}, 1), ({"QualityFilter": "LOW"}, 1), ({}, 1)],
)
def test_index_faces_quality_filter(
    client: Any, people: str, options: Mapping[str, str], enrolled: int
) -> None:
    answer = client.index_faces(CollectionId=people, Image={"Bytes": far()}, **options)
    assert len(answer["FaceRecords"]) == enrolled
    reasons = [face["Reasons"] for face in answer["UnindexedFaces"]]
    assert len(reasons) == 1 - enrolled
    assert all("SMALL_BOUNDING_BOX" in why for why in reasons)
    assert client.describe_collection(CollectionId=people)["FaceCount"] == enrolled


def test_index_faces_detection_attributes(client: Any, people: str) -> None:
    answer = client.index_faces(
        CollectionId=people, Image={"Bytes": grace()}, DetectionAttributes=["ALL"], QualityFilter="AUTO"
    )
    [record] = answer["FaceRecords"]
    assert len(record["FaceDetail"]["Landmarks"]) == 30


def test_index_faces_of_nobody(client: Any, people: str) -> None:
    answer = client.index_faces(CollectionId=people, Image={"Bytes": nobody()})
    assert (answer["FaceRecords"], answer["UnindexedFaces"]) == ([], [])


def test_the_same_photo_and_external_id_again_adds_nothing(client: Any, new: NEW) -> None:
    people, others = new(), new()
    first = index(client, people, both(), "both")
    assert index(client, people, both(), "both") == first
    assert client.describe_collection(CollectionId=people)["FaceCount"] == 2
    renamed = index(client, people, both(), "both-again")
    elsewhere = index(client, others, both(), "both")
    assert {face["ImageId"] for face in renamed + elsewhere} == {first[0]["ImageId"]}
    assert not {face["FaceId"] for face in renamed} & {face["FaceId"] for face in first}
    assert client.describe_collection(CollectionId=people)["FaceCount"] == 4


def test_list_faces_in_enrolment_order_and_pages_survive_inserts(client: Any, people: str) -> None:
    for name in ("zoe", "ann", "mia"):
        index(client, people, grace(), name)
    seen: list[str] = []
    pages = client.get_paginator("list_faces").paginate(CollectionId=people, PaginationConfig={"PageSize": 1})
    for page in pages:
        seen += names(page["Faces"])
        if seen == ["zoe"]:
            index(client, people, eileen(), "late")
            [gone] = [
                face for face in client.list_faces(CollectionId=people)["Faces"] if names([face]) == ["zoe"]
            ]
            client.delete_faces(CollectionId=people, FaceIds=[gone["FaceId"]])
    assert seen == ["zoe", "ann", "mia", "late"]
    assert names(client.list_faces(CollectionId=people)["Faces"]) == ["ann", "mia", "late"]


def test_list_faces_members(client: Any, people: str) -> None:
    faces = [index(client, people, grace(), name)[0] for name in ("a", "b", "c")]
    wanted = [faces[2]["FaceId"], faces[0]["FaceId"], str(uuid.uuid4())]
    answer = client.list_faces(CollectionId=people, FaceIds=wanted)
    assert answer["Faces"] == [faces[0], faces[2]]
    assert answer["FaceModelVersion"] == faces[0]["IndexFacesModelVersion"]
    assert "NextToken" not in answer
    paged = client.get_paginator("list_faces").paginate(
        CollectionId=people, FaceIds=wanted, PaginationConfig={"PageSize": 1}
    )
    assert [page["Faces"] for page in paged] == [[faces[0]], [faces[2]]]
    assert client.list_faces(CollectionId=people, UserId="nobody")["Faces"] == []
    assert len(client.list_faces(CollectionId=people, MaxResults=0)["Faces"]) == 3


def test_tokens_are_bound_to_what_they_continue(house: House, client: Any, new: NEW) -> None:
    people, others = new(), new()
    for collection in (people, others):
        for name in ("a", "b"):
            index(client, collection, grace(), name)
    faces = client.list_faces(CollectionId=people)["Faces"]
    token = client.list_faces(CollectionId=people, MaxResults=1)["NextToken"]
    assert names(client.list_faces(CollectionId=people, NextToken=token)["Faces"]) == ["b"]
    wrong: list[tuple[Any, dict[str, Any]]] = [
        (client.list_faces, {"CollectionId": others, "NextToken": token}),
        (client.list_faces, {"CollectionId": people, "NextToken": token, "FaceIds": [faces[1]["FaceId"]]}),
        (client.list_faces, {"CollectionId": people, "NextToken": token[:-4] + "AAAA"}),
        (client.list_faces, {"CollectionId": people, "NextToken": "not base64 !"}),
        (client.list_faces, {"CollectionId": people, "NextToken": "é"}),
        (client.list_collections, {"NextToken": token}),
        (client.list_collections, {"NextToken": "MTIz"}),
    ]
    for ask, request in wrong:
        with pytest.raises(ClientError) as caught:
            ask(**request)
        assert refusal(caught) == ("InvalidPaginationTokenException", "Invalid Pagination Token")
    stranger = house.client(house.issue(OrganisationKind.NGO))
    stranger.create_collection(CollectionId=people)
    with pytest.raises(stranger.exceptions.InvalidPaginationTokenException):
        stranger.list_faces(CollectionId=people, NextToken=token)
    client.delete_collection(CollectionId=people)
    client.create_collection(CollectionId=people)
    with pytest.raises(client.exceptions.InvalidPaginationTokenException):
        client.list_faces(CollectionId=people, NextToken=token)


def test_delete_faces(client: Any, people: str) -> None:
    kept, gone = index(client, people, both(), "both")
    missing = str(uuid.uuid4())
    answer = client.delete_faces(CollectionId=people, FaceIds=[missing, gone["FaceId"], gone["FaceId"]])
    assert answer["DeletedFaces"] == [gone["FaceId"]]
    assert answer["UnsuccessfulFaceDeletions"] == [{"FaceId": missing, "Reasons": ["FACE_NOT_FOUND"]}]
    assert client.list_faces(CollectionId=people)["Faces"] == [kept]
    found = client.search_faces_by_image(CollectionId=people, Image={"Bytes": eileen()}, FaceMatchThreshold=0)
    assert [match["Face"] for match in found["FaceMatches"]] == [kept]
    with pytest.raises(client.exceptions.InvalidParameterException):
        client.search_faces(CollectionId=people, FaceId=gone["FaceId"])
    again = index(client, people, both(), "both")
    assert kept in again
    assert gone["FaceId"] not in {face["FaceId"] for face in again}


# SearchFaces, SearchFacesByImage


@pytest.fixture(scope="module")
def known(client: Any) -> str:
    """A collection of both people, the first of them twice."""
    name = f"known-{uuid.uuid4()}"
    client.create_collection(CollectionId=name)
    for photo, person in ((grace(), "grace"), (eileen(), "eileen"), (grace_again(), "grace-again")):
        index(client, name, photo, person)
    return name


def found(answer: Mapping[str, Any]) -> list[str]:
    return names([match["Face"] for match in answer["FaceMatches"]])


def test_search_faces_by_image(client: Any, known: str) -> None:
    answer = client.search_faces_by_image(CollectionId=known, Image={"Bytes": both()})
    assert found(answer) == ["grace", "grace-again"]  # of the largest face, at the default of 80
    similarities = [match["Similarity"] for match in answer["FaceMatches"]]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[-1] >= 80
    assert answer["SearchedFaceBoundingBox"]["Left"] < 0.5
    assert answer["SearchedFaceConfidence"] > 90
    listed = client.list_faces(CollectionId=known)["Faces"]
    assert answer["FaceMatches"][0]["Face"] == listed[0]
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-countenance-calibration"].startswith(
        f"{answer['FaceModelVersion']}/adults; measured-to="
    )


def test_search_faces_by_image_members(client: Any, known: str) -> None:
    def search(photo: bytes, **options: Any) -> list[str]:
        return found(client.search_faces_by_image(CollectionId=known, Image={"Bytes": photo}, **options))

    assert search(grace(), FaceMatchThreshold=0) == ["grace", "grace-again", "eileen"]
    assert search(grace(), FaceMatchThreshold=0, MaxFaces=2) == ["grace", "grace-again"]
    assert search(grace(), FaceMatchThreshold=99.9) == ["grace"]
    assert search(far(), MaxFaces=1) == ["eileen"]
    with pytest.raises(ClientError) as caught:
        search(far(), QualityFilter="HIGH")
    assert refusal(caught) == (
        "InvalidParameterException",
        "There are no faces in the image. Should be at least 1.",
    )


def test_search_faces(client: Any, known: str) -> None:
    first = client.list_faces(CollectionId=known)["Faces"][0]["FaceId"]
    answer = client.search_faces(CollectionId=known, FaceId=first)
    assert answer["SearchedFaceId"] == first
    assert found(answer) == ["grace-again"]  # never itself
    assert found(client.search_faces(CollectionId=known, FaceId=first, FaceMatchThreshold=0)) == [
        "grace-again",
        "eileen",
    ]
    only = client.search_faces(CollectionId=known, FaceId=first, FaceMatchThreshold=0, MaxFaces=1)
    assert found(only) == ["grace-again"]
    assert client.search_faces(CollectionId=known, FaceId=first, FaceMatchThreshold=100)["FaceMatches"] == []


def test_altered_copies_are_found(client: Any, known: str) -> None:
    picture = opened(eileen())
    turned = picture.rotate(-90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 8  # shown turned back
    copies = {
        "cropped": encoded(picture.crop((60, 20, 400, 300))),
        "dimmed": encoded(picture.point(lambda value: value // 2)),
        "turned by EXIF": encoded(turned, "JPEG", quality=90, exif=exif),
    }
    for how, photo in copies.items():
        answer = client.search_faces_by_image(CollectionId=known, Image={"Bytes": photo})
        assert found(answer) == ["eileen"], how


# Whoever reads sees what was written


def test_reads_see_their_own_writes_in_a_second_process(house: House, client: Any, new: NEW) -> None:
    people = new()
    with second_process(house.settings) as url:
        other = house.client(url=url)
        assert other.describe_collection(CollectionId=people)["FaceCount"] == 0
        for writer, reader, photo, name in (
            (client, other, grace(), "grace"),
            (other, client, eileen(), "eileen"),
        ):
            [face] = index(writer, people, photo, name)
            assert names(reader.list_faces(CollectionId=people)["Faces"])[-1] == name
            search = {"CollectionId": people, "Image": {"Bytes": photo}}
            assert found(reader.search_faces_by_image(**search)) == [name]
            assert found(writer.search_faces_by_image(**search)) == [name]
        token = client.list_faces(CollectionId=people, MaxResults=1)["NextToken"]
        assert names(other.list_faces(CollectionId=people, NextToken=token)["Faces"]) == ["eileen"]
        other.delete_faces(CollectionId=people, FaceIds=[face["FaceId"]])
        assert found(client.search_faces_by_image(**search)) == []
        client.delete_collection(CollectionId=people)
        with pytest.raises(other.exceptions.ResourceNotFoundException):
            other.search_faces_by_image(**search)
