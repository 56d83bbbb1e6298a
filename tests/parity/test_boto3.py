"""boto3, unchanged but for its endpoint: every operation of the collection flow, every member honoured."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from countenance import service
from countenance.settings import Settings
from countenance.testing import TestServer
from countenance.types import OrganisationKind
from tests.parity.conftest import House, second_process
from tests.parity.photos import both, eileen, encoded, far, grace, grace_again, nobody, opened
from tests.parity.wire import Wire

FIVE = ["eyeLeft", "eyeRight", "mouthLeft", "mouthRight", "nose"]
NEW = Callable[[], str]


def refusal(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def names(faces: list[dict[str, Any]]) -> list[str]:
    return [face["ExternalImageId"] for face in faces]


def index(client: Any, collection: str, photo: bytes, name: str, **options: Any) -> list[dict[str, Any]]:
    answer = client.index_faces(
        CollectionId=collection, Image={"Bytes": photo}, ExternalImageId=name, **options
    )
    return [record["Face"] for record in answer["FaceRecords"]]


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
    assert headers["x-countenance-calibration"] == f"{answer['FaceModelVersion']}/adults"


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


# Photos in buckets


def stored(bucket: str, key: str, **more: str) -> dict[str, Any]:
    return {"S3Object": {"Bucket": bucket, "Name": key, **more}}


def test_a_bucket_is_a_folder(client: Any, buckets: Path) -> None:
    folder = buckets / "family-photos" / "1952 summer"
    folder.mkdir(parents=True)
    (folder / "grace é.jpg").write_bytes(grace())
    image = stored("family-photos", "1952 summer/grace é.jpg")
    assert len(client.detect_faces(Image=image)["FaceDetails"]) == 1
    compared = client.compare_faces(SourceImage=image, TargetImage={"Bytes": grace_again()})
    assert compared["FaceMatches"][0]["Similarity"] > 95


@pytest.mark.parametrize(
    "image",
    [
        stored("no-such-bucket", "grace.jpg"),
        stored("photos", "missing.jpg"),
        stored("photos", "folder"),
        stored("photos", "leads-out.jpg"),
    ],
    ids=["bucket", "key", "a folder", "a link that leads out"],
)
def test_an_object_that_is_not_there(client: Any, buckets: Path, image: dict[str, Any]) -> None:
    (buckets / "photos" / "folder").mkdir(parents=True, exist_ok=True)
    secret = buckets.parent / "secret.jpg"
    secret.write_bytes(grace())
    link = buckets / "photos" / "leads-out.jpg"
    if not link.is_symlink():
        link.symlink_to(secret)
    with pytest.raises(ClientError) as caught:
        client.detect_faces(Image=image)
    assert refusal(caught) == (
        "InvalidS3ObjectException",
        "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
    )


@pytest.mark.parametrize("key", ["../secret.jpg", "a/../../secret.jpg", "/etc/hostname", "a//b", "nul\0.jpg"])
def test_an_object_key_that_is_no_key(client: Any, buckets: Path, key: str) -> None:
    (buckets / "photos").mkdir(exist_ok=True)
    with pytest.raises(ClientError) as caught:
        client.detect_faces(Image=stored("photos", key))
    assert refusal(caught) == ("InvalidS3ObjectException", "Request has invalid S3 object.")


def test_an_object_over_15_mib(client: Any, buckets: Path) -> None:
    (buckets / "photos").mkdir(exist_ok=True)
    with (buckets / "photos" / "large.jpg").open("wb") as file:
        file.truncate(15 * 1024 * 1024 + 1)
    with pytest.raises(ClientError) as caught:
        client.detect_faces(Image=stored("photos", "large.jpg"))
    assert refusal(caught) == ("ImageTooLargeException", "Image size is too large")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_a_bucket_of_an_s3_endpoint(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    store = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    store.create_bucket(Bucket="archive")
    store.put_bucket_versioning(Bucket="archive", VersioningConfiguration={"Status": "Enabled"})
    version = store.put_object(Bucket="archive", Key="a/b c.jpg", Body=grace())["VersionId"]
    store.put_object(Bucket="archive", Key="a/b c.jpg", Body=nobody())
    home = Settings(home=tmp_path / "home", s3_endpoint=s3)
    service.found(home, "an archive", OrganisationKind.ARCHIVE, "DE", "general")
    with contextlib.closing(TestServer(home)) as server:
        client = server.client()
        assert client.detect_faces(Image=stored("archive", "a/b c.jpg"))["FaceDetails"] == []
        older = stored("archive", "a/b c.jpg", Version=version)
        assert len(client.detect_faces(Image=older)["FaceDetails"]) == 1
        for image in (stored("archive", "missing"), stored("nowhere", "a/b c.jpg")):
            with pytest.raises(client.exceptions.InvalidS3ObjectException) as caught:
                client.detect_faces(Image=image)
            assert refusal(caught)[1] == (
                "Unable to get object metadata from S3. Check object key, region and/or access permissions."
            )


# What is not here


def test_lists_of_what_cannot_exist_are_empty(client: Any, people: str) -> None:
    assert client.list_stream_processors()["StreamProcessors"] == []
    assert client.list_media_analysis_jobs()["MediaAnalysisJobs"] == []
    assert client.describe_projects()["ProjectDescriptions"] == []
    assert client.list_users(CollectionId=people)["Users"] == []


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("detect_labels", {"Image": {"Bytes": b"x"}}),
        ("recognize_celebrities", {"Image": {"Bytes": b"x"}}),
        ("start_face_detection", {"Video": {"S3Object": {"Bucket": "videos", "Name": "a.mp4"}}}),
        ("get_face_detection", {"JobId": "a" * 64}),
        ("create_user", {"CollectionId": "people", "UserId": "ann"}),
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
