"""Answers and errors to bytes, read back by botocore's own parser."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.parsers import JSONParser
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance import errors
from countenance.aws import model

FACE = "0123abcd-0123-0123-0123-0123456789ab"
LOADER = Loader(extra_search_paths=[str(model.OURS)])
SERVICE = ServiceModel(LOADER.load_service_model("rekognition", "service-2"), "rekognition")


def moments() -> st.SearchStrategy[dt.datetime]:
    """Times to the millisecond, as the wire keeps them."""
    first = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return st.integers(0, 2**42).map(lambda ms: first + dt.timedelta(milliseconds=ms))


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "blob": st.binary(max_size=20),
    "boolean": st.booleans(),
    "timestamp": moments(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
}


def answers(shape: Shape) -> st.SearchStrategy[Any]:
    """Answers of one shape, as an operation would give them."""
    match shape.type_name:
        case "structure":
            members = {name: answers(member) for name, member in shape.members.items()}
            due = {name: members.pop(name) for name in shape.required_members}
            return st.fixed_dictionaries(due, optional=members)
        case "list":
            return st.lists(answers(shape.member), max_size=2)
        case "map":
            return st.dictionaries(st.text(), answers(shape.value), max_size=2)
        case "string":
            return st.sampled_from(shape.enum) if shape.enum else st.text()
        case scalar:
            return SCALARS[scalar]


@pytest.mark.parametrize("operation", model.operations())
def test_botocore_reads_back_what_was_encoded(operation: str) -> None:
    shape = SERVICE.operation_model(operation).output_shape

    @settings(max_examples=10, deadline=None, database=None)
    @given(answers(shape))
    def check(answer: dict[str, Any]) -> None:
        body = model.encode(operation, answer)
        response = {"status_code": 200, "headers": {}, "body": body}
        parsed = JSONParser().parse(response, shape)
        del parsed["ResponseMetadata"]
        assert parsed == answer

    check()


def test_an_answer_has_no_nulls_and_numbers_for_times() -> None:
    made = dt.datetime(2023, 11, 14, 22, 13, 20, 123456, dt.UTC)
    body = model.encode("DescribeCollection", {"FaceCount": 3, "CreationTimestamp": made, "UserCount": None})
    assert body == b'{"FaceCount":3,"CreationTimestamp":1700000000.123}'


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("DetectFaces", {"Faces": []}),
        ("DetectFaces", {"FaceDetails": [{"boundingBox": {}}]}),
        ("DetectFaces", {"FaceDetails": {}}),
        ("DetectFaces", {"FaceDetails": [None]}),
        ("DetectFaces", {"FaceDetails": [3]}),
        ("DetectFaces", {"FaceDetails": [{"Confidence": math.nan}]}),
        ("DetectFaces", {"FaceDetails": [{"Confidence": math.inf}]}),
        ("DetectFaces", {"FaceDetails": [{"Confidence": "99"}]}),
        ("DetectFaces", {"FaceDetails": [{"Confidence": True}]}),
        ("DetectFaces", {"FaceDetails": [{"AgeRange": {"Low": 1.5}}]}),
        ("DetectFaces", {"FaceDetails": [{"Smile": {"Value": 1}}]}),
        ("DetectFaces", {"FaceDetails": [{"Landmarks": [{"Type": "left_eye"}]}]}),
        ("DescribeCollection", {"CreationTimestamp": 1700000000}),
        ("DescribeCollection", {"CreationTimestamp": dt.datetime(2023, 1, 1)}),  # noqa: DTZ001
        ("DescribeCollection", {"CollectionARN": b"arn"}),
        ("ListTagsForResource", {"Tags": ["a"]}),
        ("CreateFaceLivenessSession", {}),
        (
            "GetFaceLivenessSessionResults",
            {"SessionId": FACE, "Status": "CREATED", "ReferenceImage": {"Bytes": "x"}},
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_our_bug(operation: str, answer: dict[str, Any]) -> None:
    with pytest.raises(errors.InternalServer):
        model.encode(operation, answer)


def test_a_services_error_and_a_front_ends() -> None:
    status, body = model.encode_error(errors.ResourceNotFound("The collection id: a does not exist"), "an-id")
    assert status == 400
    assert json.loads(body) == {
        "__type": "ResourceNotFoundException",
        "Code": "ResourceNotFoundException",
        "Logref": "an-id",
        "Message": "The collection id: a does not exist",
    }
    status, body = model.encode_error(errors.MissingAuthenticationToken(), "an-id")
    assert json.loads(body) == {
        "__type": "MissingAuthenticationTokenException",
        "message": "Missing Authentication Token",
    }
    assert model.encode_error(errors.Serialization(), "an-id") == (
        400,
        b'{"__type":"SerializationException"}',
    )
    assert model.encode_error(errors.InternalServer(), "an-id")[0] == 500
