"""boto3, unchanged but for its endpoint: photos, collections, tags, and what is not here."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countenance.types import OrganisationKind
from tests.parity.conftest import House, index, names, refusal
from tests.parity.photos import both, eileen, far, grace, grace_again, nobody
from tests.parity.wire import Wire

FIVE = ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]


def tagged(client: Any, arn: str) -> dict[str, str]:
    tags: dict[str, str] = client.list_tags_for_resource(ResourceArn=arn)["Tags"]
    return tags


# DetectFaces, CompareFaces


def test_detect_faces(client: Any) -> None:
    [face] = client.detect_faces(Image={"Bytes": grace()})["FaceDetails"]
    assert set(face) == {"BoundingBox", "Landmarks", "Pose", "Quality", "Confidence"}
    assert [point["Type"] for point in face["Landmarks"]] == FIVE
    box = face["BoundingBox"]
    for point in face["Landmarks"]:
        assert box["Left"] < point["X"] < box["Left"] + box["Width"]
        assert box["Top"] < point["Y"] < box["Top"] + box["Height"]
    assert face["Confidence"] > 90
    assert all(abs(angle) < 30 for angle in face["Pose"].values())
    assert all(0 < value <= 100 for value in face["Quality"].values())


@pytest.mark.parametrize(
    ("attributes", "points"),
    [(["DEFAULT"], 5), (["ALL"], 30), (["ALL", "DEFAULT"], 30), (["DEFAULT", "FACE_OCCLUDED"], 5), ([], 5)],
)
def test_detect_faces_attributes(client: Any, attributes: list[str], points: int) -> None:
    [face] = client.detect_faces(Image={"Bytes": grace()}, Attributes=attributes)["FaceDetails"]
    assert len(face["Landmarks"]) == points
    assert [point["Type"] for point in face["Landmarks"][:5]] == FIVE


def test_detect_faces_gives_the_largest_first_and_nothing_of_nobody(client: Any) -> None:
    sizes = [
        face["BoundingBox"]["Width"] * face["BoundingBox"]["Height"]
        for face in client.detect_faces(Image={"Bytes": both()})["FaceDetails"]
    ]
    assert len(sizes) == 2
    assert sizes == sorted(sizes, reverse=True)
    assert client.detect_faces(Image={"Bytes": nobody()})["FaceDetails"] == []


def test_compare_faces(client: Any) -> None:
    answer = client.compare_faces(SourceImage={"Bytes": grace_again()}, TargetImage={"Bytes": both()})
    [match], [other] = answer["FaceMatches"], answer["UnmatchedFaces"]
    assert match["Similarity"] > 95
    assert match["Face"]["BoundingBox"]["Left"] < 0.5 < other["BoundingBox"]["Left"]
    assert set(answer["SourceImageFace"]) == {"BoundingBox", "Confidence"}
    assert [point["Type"] for point in match["Face"]["Landmarks"]] == FIVE


def test_compare_faces_threshold(client: Any) -> None:
    pair = {"SourceImage": {"Bytes": grace()}, "TargetImage": {"Bytes": eileen()}}
    every = client.compare_faces(**pair, SimilarityThreshold=0)
    assert len(every["FaceMatches"]) == 1
    assert every["UnmatchedFaces"] == []
    assert every["FaceMatches"][0]["Similarity"] < 80
    assert client.compare_faces(**pair)["FaceMatches"] == []  # the default is 80
    assert len(client.compare_faces(**pair)["UnmatchedFaces"]) == 1
    same = {"SourceImage": {"Bytes": grace()}, "TargetImage": {"Bytes": grace()}}
    assert client.compare_faces(**same, SimilarityThreshold=99.9)["FaceMatches"][0]["Similarity"] > 99.9


def test_compare_faces_quality_filter(client: Any) -> None:
    pair = {"SourceImage": {"Bytes": eileen()}, "TargetImage": {"Bytes": far()}}
    assert len(client.compare_faces(**pair, SimilarityThreshold=0)["FaceMatches"]) == 1
    with pytest.raises(client.exceptions.InvalidParameterException, match="no face was found in TargetImage"):
        client.compare_faces(**pair, SimilarityThreshold=0, QualityFilter="HIGH")


# Collections


def test_the_life_of_a_collection(client: Any) -> None:
    name = f"life-{uuid.uuid4()}"
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    made = client.create_collection(CollectionId=name, Tags={"team": "news"})
    assert made["StatusCode"] == 200
    *_, service, region, account, resource = made["CollectionArn"].split(":")
    assert (service, region, resource) == ("rekognition", "us-east-1", f"collection/{name}")
    assert len(account) == 12
    assert account.isdigit()
    index(client, name, both(), "two")
    described = client.describe_collection(CollectionId=name)
    assert described["FaceCount"] == 2
    assert described["CollectionARN"] == made["CollectionArn"]
    assert described["FaceModelVersion"] == made["FaceModelVersion"]
    assert before <= described["CreationTimestamp"] <= dt.datetime.now(dt.UTC)
    listed = client.list_collections()
    place = listed["CollectionIds"].index(name)
    assert listed["FaceModelVersions"][place] == made["FaceModelVersion"]
    assert client.delete_collection(CollectionId=name)["StatusCode"] == 200
    assert name not in client.list_collections()["CollectionIds"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_faces(CollectionId=name)
    client.create_collection(CollectionId=name)
    assert client.describe_collection(CollectionId=name)["FaceCount"] == 0
    assert client.list_faces(CollectionId=name)["Faces"] == []
    assert tagged(client, made["CollectionArn"]) == {}


def test_collection_ids_keep_their_case(client: Any) -> None:
    name = f"Case-{uuid.uuid4()}"
    client.create_collection(CollectionId=name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_collection(CollectionId=name.lower())


def test_the_longest_collection_id(client: Any) -> None:
    name = f"{uuid.uuid4()}".ljust(255, "_")
    client.create_collection(CollectionId=name)
    assert client.describe_collection(CollectionId=name)["FaceCount"] == 0


def test_list_collections_pages_survive_what_is_made_between(client: Any) -> None:
    mine = [f"page-{n}-{uuid.uuid4()}" for n in range(4)]
    for name in mine[:3]:
        client.create_collection(CollectionId=name)
    seen: list[str] = []
    for page in client.get_paginator("list_collections").paginate(PaginationConfig={"PageSize": 2}):
        assert 0 < len(page["CollectionIds"]) <= 2
        seen += page["CollectionIds"]
        if len(seen) == 2:
            client.create_collection(CollectionId=mine[3])
    assert [name for name in seen if name in mine] == mine
    assert len(seen) == len(set(seen))


def test_region_is_ignored_when_looking_up(house: House, client: Any, people: str) -> None:
    abroad = house.client(region="eu-central-1")
    assert abroad.describe_collection(CollectionId=people)["FaceCount"] == 0
    index(abroad, people, grace(), "grace")
    assert names(client.list_faces(CollectionId=people)["Faces"]) == ["grace"]
    arn = client.describe_collection(CollectionId=people)["CollectionARN"]
    assert tagged(client, arn.replace("us-east-1", "ap-southeast-2")) == {}


def test_collections_belong_to_one_organisation(house: House, client: Any, people: str) -> None:
    stranger = house.client(house.issue(OrganisationKind.NGO))
    assert people not in stranger.list_collections()["CollectionIds"]
    with pytest.raises(stranger.exceptions.ResourceNotFoundException):
        stranger.list_faces(CollectionId=people)
    theirs = stranger.create_collection(CollectionId=people)["CollectionArn"]
    ours = client.describe_collection(CollectionId=people)["CollectionARN"]
    assert theirs.split(":")[4] != ours.split(":")[4]
    index(stranger, people, grace(), "grace")
    assert client.describe_collection(CollectionId=people)["FaceCount"] == 0
    with pytest.raises(stranger.exceptions.ResourceNotFoundException):
        stranger.list_tags_for_resource(ResourceArn=ours)


# Tags


def test_tags(client: Any) -> None:
    arn = client.create_collection(
        CollectionId=f"tags-{uuid.uuid4()}", Tags={"team": "news", "countenance:subjects": "adults"}
    )["CollectionArn"]
    client.tag_resource(ResourceArn=arn, Tags={"team": "sport", "größe": "5 m"})
    expected = {"team": "sport", "countenance:subjects": "adults", "größe": "5 m"}
    assert tagged(client, arn) == expected
    client.untag_resource(ResourceArn=arn, TagKeys=["team", "not there"])
    assert tagged(client, arn) == {"countenance:subjects": "adults", "größe": "5 m"}


def test_a_collection_has_at_most_200_tags(client: Any) -> None:
    arn = client.create_collection(CollectionId=f"tags-{uuid.uuid4()}")["CollectionArn"]
    client.tag_resource(ResourceArn=arn, Tags={f"k{n}": "" for n in range(200)})
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        client.tag_resource(ResourceArn=arn, Tags={"one more": ""})
    client.tag_resource(ResourceArn=arn, Tags={"k0": "new"})
    assert len(tagged(client, arn)) == 200


# What is not here


def test_lists_of_what_cannot_exist_are_empty(client: Any) -> None:
    assert client.list_stream_processors()["StreamProcessors"] == []
    assert client.list_media_analysis_jobs()["MediaAnalysisJobs"] == []
    assert client.describe_projects()["ProjectDescriptions"] == []


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("recognize_celebrities", {"Image": {"Bytes": b"x"}}),
        ("start_text_detection", {"Video": {"S3Object": {"Bucket": "videos", "Name": "a.mp4"}}}),
        ("get_text_detection", {"JobId": "a" * 64}),
        ("create_project", {"ProjectName": "mine"}),
        ("create_face_liveness_session", {}),
    ],
)
def test_an_operation_that_is_not_offered_yet(
    client: Any, operation: str, request_: Mapping[str, Any]
) -> None:
    with pytest.raises(client.exceptions.InvalidParameterException) as caught:
        getattr(client, operation)(**request_)
    name = caught.value.operation_name
    assert refusal(caught)[1] == f"Request has invalid parameters: {name} is not offered here yet"


# What AWS's shapes have no room for


def test_every_answer_names_its_receipt(client: Any, people: str) -> None:
    def entries(answer: Mapping[str, Any]) -> list[int]:
        header = answer["ResponseMetadata"]["HTTPHeaders"]["x-countenance-receipt"]
        return [int(part.split(";")[0].split("=")[1]) for part in header.split(", ")]

    decision, outcome = entries(client.describe_collection(CollectionId=people))
    assert decision < outcome
    with pytest.raises(ClientError) as caught:
        client.describe_collection(CollectionId="missing")
    later, failed = entries(caught.value.response)
    assert outcome < later < failed


def test_members_nobody_knows_are_ignored(wire: Wire, people: str) -> None:
    reply = wire.call("DescribeCollection", {"CollectionId": people, "Filters": {}, "More": [1, None]})
    assert reply.status == 200
    reply = wire.call("ListFaces", {"CollectionId": people, "NextToken": None, "MaxResults": None})
    assert reply.json["Faces"] == []
    assert b"null" not in reply.body
