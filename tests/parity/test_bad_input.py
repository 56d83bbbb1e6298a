"""Parameters that break the service model or the service's rules get AWS's errors, to the letter.

Every row of the reference's tables that these operations can meet has a row here. Requests are written by
hand, because boto3 would stop many of them.
"""

from __future__ import annotations

import base64
import uuid

import pytest

from countenance.types import OrganisationKind
from tests.parity.conftest import House
from tests.parity.photos import grace, nobody
from tests.parity.wire import (
    LARGEST_IMAGE,
    MISSING,
    PARAMETERS,
    Request,
    Wire,
    arn_of,
    assert_refused,
    ids,
)

# Parameters that break the service model


def java(size: int) -> str:
    return f"java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"


UUID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MATCHES = "Member must satisfy regular expression pattern: "
AT_MOST, AT_LEAST = (
    "Member must have {} less than or equal to {}",
    "Member must have {} greater than or equal to {}",
)
LENGTH_255 = AT_MOST.format("length", 255)
UP_TO_4096 = AT_MOST.format("value", 4096)
LEVELS = "Member must satisfy enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]"
PHOTO = {"Bytes": b"x"}
FACE = {"CollectionId": "people", "FaceId": MISSING}


def broken(value: str | None, path: str, rule: str) -> str:
    shown = "null" if value is None else f"'{value}'"
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"


CONSTRAINTS: list[tuple[str, Request, str]] = [
    (
        "DetectFaces",
        {"Image": {"Bytes": b"x" * 6_000_000}},
        broken(java(6_000_000), "image.bytes", AT_MOST.format("length", LARGEST_IMAGE)),
    ),
    (
        "DetectFaces",
        {"Image": {"Bytes": b"x" * (LARGEST_IMAGE + 1)}},
        broken(java(LARGEST_IMAGE + 1), "image.bytes", AT_MOST.format("length", LARGEST_IMAGE)),
    ),
    ("DetectFaces", {"Image": {"Bytes": b""}}, broken(java(0), "image.bytes", AT_LEAST.format("length", 1))),
    (
        "CompareFaces",
        {"SourceImage": PHOTO, "TargetImage": {"Bytes": b""}},
        broken(java(0), "targetImage.bytes", AT_LEAST.format("length", 1)),
    ),
    ("DetectFaces", {}, broken(None, "image", "Member must not be null")),
    ("DescribeCollection", {}, broken(None, "collectionId", "Member must not be null")),
    ("DescribeCollection", {"CollectionId": None}, broken(None, "collectionId", "Member must not be null")),
    *[
        (
            "IndexFaces",
            {"CollectionId": "people", "Image": PHOTO, "ExternalImageId": bad},
            broken(bad, "externalImageId", MATCHES + r"[a-zA-Z0-9_.\-:]+"),
        )
        for bad in ("train/ann/1.PNG", "ann smith", "ann\n", "größe", "ann\0")
    ],
    (
        "IndexFaces",
        {"CollectionId": "people", "Image": PHOTO, "ExternalImageId": "a" * 256},
        broken("a" * 256, "externalImageId", LENGTH_255),
    ),
    *[
        (operation, {"CollectionId": bad}, broken(bad, "collectionId", MATCHES + r"[a-zA-Z0-9_.\-]+"))
        for operation in ("CreateCollection", "DescribeCollection", "ListFaces")
        for bad in ("a b", "../people", "a/b", "people:1", "людe", "a\0b", "people\n", "ａ", "%2e%2e")
    ],
    (
        "CreateCollection",
        {"CollectionId": "a" * 256},
        broken("a" * 256, "collectionId", LENGTH_255),
    ),
    *[
        ("SearchFaces", {**FACE, "FaceId": bad}, broken(bad, "faceId", MATCHES + UUID_PATTERN))
        for bad in ("x", MISSING.replace("4", "A"), f"{MISSING}\n", f"{{{MISSING}}}", "0" * 32)
    ],
    (
        "DeleteFaces",
        {"CollectionId": "people", "FaceIds": [MISSING, "x"]},
        broken(f"[{MISSING}, x]", "faceIds", f"Member must satisfy constraint: [{MATCHES}{UUID_PATTERN}]"),
    ),
    *[
        (
            operation,
            {**request, member: value},
            broken(text, member[0].lower() + member[1:], rule),
        )
        for operation, request, member in (
            ("SearchFaces", FACE, "FaceMatchThreshold"),
            ("SearchFacesByImage", {"CollectionId": "people", "Image": PHOTO}, "FaceMatchThreshold"),
            ("CompareFaces", {"SourceImage": PHOTO, "TargetImage": PHOTO}, "SimilarityThreshold"),
        )
        for value, text, rule in (
            (-1, "-1.0", AT_LEAST.format("value", 0)),
            (101, "101.0", AT_MOST.format("value", 100)),
            (1e308, "1e+308", AT_MOST.format("value", 100)),
        )
    ],
    ("SearchFaces", {**FACE, "MaxFaces": 4097}, broken("4097", "maxFaces", UP_TO_4096)),
    ("SearchFaces", {**FACE, "MaxFaces": 0}, broken("0", "maxFaces", AT_LEAST.format("value", 1))),
    (
        "IndexFaces",
        {"CollectionId": "people", "Image": PHOTO, "MaxFaces": 0},
        broken("0", "maxFaces", AT_LEAST.format("value", 1)),
    ),
    (
        "ListFaces",
        {"CollectionId": "p", "MaxResults": 4097},
        broken("4097", "maxResults", UP_TO_4096),
    ),
    (
        "ListFaces",
        {"CollectionId": "p", "MaxResults": -1},
        broken("-1", "maxResults", AT_LEAST.format("value", 0)),
    ),
    (
        "ListCollections",
        {"NextToken": "a" * 256},
        broken("a" * 256, "nextToken", LENGTH_255),
    ),
    (
        "SearchUsers",
        {"CollectionId": "people", "UserId": "ann", "MaxUsers": 501},
        broken("501", "maxUsers", AT_MOST.format("value", 500)),
    ),
    (
        "DeleteFaces",
        {"CollectionId": "people", "FaceIds": []},
        broken("[]", "faceIds", AT_LEAST.format("length", 1)),
    ),
    (
        "DetectFaces",
        {"Image": PHOTO, "Attributes": ["all"]},
        broken(
            "[all]",
            "attributes",
            "Member must satisfy constraint: [Member must satisfy enum value set: [DEFAULT, ALL, AGE_RANGE,"
            " BEARD, EMOTIONS, EYE_DIRECTION, EYEGLASSES, EYES_OPEN, GENDER, MOUTH_OPEN, MUSTACHE,"
            " FACE_OCCLUDED, SMILE, SUNGLASSES]]",
        ),
    ),
    (
        "SearchFacesByImage",
        {"CollectionId": "people", "Image": PHOTO, "QualityFilter": "BEST"},
        broken("BEST", "qualityFilter", LEVELS),
    ),
    (
        "GetFaceDetection",
        {"JobId": "no spaces"},
        broken("no spaces", "jobId", MATCHES + r"^[a-zA-Z0-9-_]+$"),
    ),
    (
        "DetectFaces",
        {"Image": {"S3Object": {"Bucket": "a/b", "Name": "c"}}},
        broken("a/b", "image.s3Object.bucket", MATCHES + r"[0-9A-Za-z\.\-_]*"),
    ),
]


@pytest.mark.parametrize(("operation", "request_", "sentence"), CONSTRAINTS, ids=ids)
def test_a_broken_constraint(wire: Wire, operation: str, request_: Request, sentence: str) -> None:
    reply = wire.call(operation, request_)
    assert_refused(reply, "ValidationException", reply.message)
    assert reply.message == f"1 validation error detected: {sentence}"


def test_lists_that_are_too_long(wire: Wire) -> None:
    many = [str(uuid.UUID(int=n)) for n in range(4097)]
    for operation, request, most in (
        ("ListFaces", {"CollectionId": "people", "FaceIds": many}, 4096),
        ("DeleteFaces", {"CollectionId": "people", "FaceIds": many}, 4096),
        ("AssociateFaces", {"CollectionId": "people", "UserId": "ann", "FaceIds": many[:101]}, 100),
    ):
        reply = wire.call(operation, request)
        assert_refused(reply, "ValidationException", reply.message)
        message = reply.message or ""
        assert message.startswith(
            "1 validation error detected: Value '[00000000-0000-0000-0000-000000000000, "
        )
        assert message.endswith(
            f"at 'faceIds' failed to satisfy constraint: {AT_MOST.format('length', most)}"
        )
        assert len(message) < 2000  # a refusal repeats a little of what it refuses, not all of it


def test_every_broken_constraint_is_named(wire: Wire) -> None:
    reply = wire.call("SearchFaces", {"FaceId": "x", "MaxFaces": 5000, "CollectionId": ""})
    assert_refused(reply, "ValidationException", reply.message)
    assert reply.message == (
        "4 validation errors detected: "
        + "; ".join(
            (
                broken("", "collectionId", MATCHES + r"[a-zA-Z0-9_.\-]+"),
                broken("", "collectionId", AT_LEAST.format("length", 1)),
                broken("x", "faceId", MATCHES + UUID_PATTERN),
                broken("5000", "maxFaces", UP_TO_4096),
            )
        )
    )


@pytest.mark.parametrize("name", ["..", ".", "-", "..-..", "con", "a" * 255])
def test_odd_names_that_are_allowed(wire: Wire, name: str) -> None:
    assert wire.call("CreateCollection", {"CollectionId": name}).status == 200
    assert wire.call("DescribeCollection", {"CollectionId": name}).json["FaceCount"] == 0
    assert wire.call("DeleteCollection", {"CollectionId": name}).status == 200


# What the service says


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("ListFaces", {}),
        ("DeleteCollection", {}),
        ("SearchFaces", {"FaceId": MISSING}),
        ("DeleteFaces", {"FaceIds": [MISSING]}),
        ("IndexFaces", {"Image": {"Bytes": grace()}}),
        ("SearchFacesByImage", {"Image": {"Bytes": grace()}}),
        ("SearchFacesByImage", {"Image": {"Bytes": b"not a picture"}}),
        ("ListUsers", {}),
    ],
)
def test_a_collection_that_is_missing(wire: Wire, operation: str, more: Request) -> None:
    reply = wire.call(operation, {"CollectionId": "my_faces", **more})
    assert_refused(reply, "ResourceNotFoundException", "The collection id: my_faces does not exist")


def test_a_missing_collection_described(wire: Wire) -> None:
    reply = wire.call("DescribeCollection", {"CollectionId": "family_faces"})
    assert_refused(reply, "ResourceNotFoundException", "Collection:family_faces not found!")


@pytest.mark.parametrize("operation", ["ListTagsForResource", "TagResource", "UntagResource"])
def test_tags_of_what_is_missing(house: House, wire: Wire, people: str, operation: str) -> None:
    more: dict[str, Request] = {"TagResource": {"Tags": {"a": "b"}}, "UntagResource": {"TagKeys": ["a"]}}
    request = more.get(operation, {})
    ours = arn_of(wire, wire.key, people)
    missing = ours.replace(people, "missing")
    reply = wire.call(operation, {"ResourceArn": missing, **request})
    assert_refused(reply, "ResourceNotFoundException", reply.message)
    # What is another's is refused in the same words whether or not it is there.
    stranger = house.issue(OrganisationKind.RESEARCH)
    said = set()
    for arn in (ours, missing):
        reply = wire.call(operation, {"ResourceArn": arn, **request}, key=stranger)
        assert reply.code in {"AccessDeniedException", "ResourceNotFoundException"}
        assert_refused(reply, reply.code, reply.message)
        said.add((reply.message or "").replace(arn, "it"))
    assert len(said) == 1


def test_a_collection_made_twice(wire: Wire, people: str) -> None:
    reply = wire.call("CreateCollection", {"CollectionId": people})
    assert_refused(reply, "ResourceAlreadyExistsException", f"The collection id: {people} already exists")


def test_a_face_that_is_not_there(wire: Wire, people: str) -> None:
    reply = wire.call("SearchFaces", {"CollectionId": people, "FaceId": MISSING})
    assert_refused(reply, "InvalidParameterException", "faceId was not found in the collection.")
    reply = wire.call("DeleteFaces", {"CollectionId": people, "FaceIds": [MISSING]})
    assert reply.status == 200
    assert reply.json == {
        "DeletedFaces": [],
        "UnsuccessfulFaceDeletions": [{"FaceId": MISSING, "Reasons": ["FACE_NOT_FOUND"]}],
    }


@pytest.mark.parametrize("token", ["a", "AAAA", base64.b64encode(b"0" * 40).decode(), "é", "-1"])
def test_a_token_nobody_gave(wire: Wire, people: str, token: str) -> None:
    for operation, request in (("ListFaces", {"CollectionId": people}), ("ListCollections", {})):
        reply = wire.call(operation, {**request, "NextToken": token})
        assert_refused(reply, "InvalidPaginationTokenException", "Invalid Pagination Token")


def test_no_image_or_two(wire: Wire) -> None:
    twice = {"Bytes": grace(), "S3Object": {"Bucket": "photos", "Name": "a.jpg"}}
    for image in ({}, twice, {"Url": "http://example.com/a.jpg"}):
        reply = wire.call("DetectFaces", {"Image": image})
        assert_refused(reply, "InvalidParameterException", PARAMETERS)


def test_nobody_in_the_picture(wire: Wire, people: str) -> None:
    empty, photo = {"Bytes": nobody()}, {"Bytes": grace()}
    for pair in ((empty, photo), (photo, empty), (empty, empty)):
        reply = wire.call("CompareFaces", dict(zip(("SourceImage", "TargetImage"), pair, strict=True)))
        assert_refused(reply, "InvalidParameterException", PARAMETERS)
    reply = wire.call("SearchFacesByImage", {"CollectionId": people, "Image": empty})
    sentence = "There are no faces in the image. Should be at least 1."
    assert_refused(reply, "InvalidParameterException", sentence)
    assert reply.message == sentence  # clients compare the whole of it
    assert wire.call("DetectFaces", {"Image": empty}).json == {"FaceDetails": []}
    assert wire.call("IndexFaces", {"CollectionId": people, "Image": empty}).json["FaceRecords"] == []
