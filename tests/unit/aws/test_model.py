"""Bytes to checked requests, and the words for those that are not."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance import errors
from countenance.aws import model

FACE = "0123abcd-0123-0123-0123-0123456789ab"
LOADER = Loader(extra_search_paths=[str(model.OURS)])
SERVICE = ServiceModel(LOADER.load_service_model("rekognition", "service-2"), "rekognition")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def decode(operation: str, request: Any) -> dict[str, Any]:
    return model.decode(operation, json.dumps(request).encode())


def faults(operation: str, request: Any) -> str:
    with pytest.raises(errors.Validation) as caught:
        decode(operation, request)
    return caught.value.message


def garbled(operation: str, body: bytes) -> str:
    with pytest.raises(errors.Serialization) as caught:
        model.decode(operation, body)
    return caught.value.message


def test_a_target_names_an_operation() -> None:
    assert model.operation("RekognitionService.DetectFaces") == "DetectFaces"


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "DetectFaces",
        "rekognitionservice.detectfaces",
        "RekognitionService.Detectfaces",
        "X.DetectFaces",
    ],
)
def test_any_other_target_is_unknown_and_says_nothing(target: str | None) -> None:
    with pytest.raises(errors.UnknownOperation) as caught:
        model.operation(target)
    assert model.encode_error(caught.value, "id") == (400, b'{"__type":"UnknownOperationException"}')


def test_the_model_in_the_users_home_is_not_read(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = tmp_path / ".aws" / "models" / "rekognition" / "2099-01-01"
    planted.mkdir(parents=True)
    (planted / "service-2.json").write_text("{}")
    monkeypatch.setattr(Loader, "CUSTOMER_DATA_PATH", str(tmp_path / ".aws" / "models"))
    assert model.service_model("rekognition")["metadata"]["apiVersion"] == "2016-06-27"


def test_two_services_may_share_an_endpoint_but_not_a_name() -> None:
    ours = {
        "metadata": {"targetPrefix": "CountenanceService"},
        "operations": {"DescribeReceipt": {"input": {"shape": "Empty"}, "output": {"shape": "Empty"}}},
        "shapes": {"Empty": {"type": "structure", "members": {}}},
    }
    built = model.build([model.service_model("rekognition"), ours])
    assert built.targets["CountenanceService.DescribeReceipt"] == "DescribeReceipt"
    assert built.targets["RekognitionService.DetectFaces"] == "DetectFaces"
    with pytest.raises(ValueError, match="DescribeReceipt"):
        model.build([ours, ours])


def test_types_that_rekognitions_requests_do_not_use_are_read_too() -> None:
    names = {"At": "timestamp", "Many": "long", "Fine": "double", "Sure": "boolean"}
    members = {name: {"shape": name} for name in names}
    ours = {
        "metadata": {"targetPrefix": "CountenanceService"},
        "operations": {"Look": {"input": {"shape": "All"}, "output": {"shape": "All"}}},
        "shapes": {"All": {"type": "structure", "members": members}}
        | {name: {"type": kind} for name, kind in names.items()},
    }
    request = model.build([ours]).operations["Look"].request
    faults: list[str] = []
    given_ = {"At": 1700000000.123, "Many": 2**63 - 1, "Fine": 1, "Sure": False}
    made = dt.datetime(2023, 11, 14, 22, 13, 20, 123000, dt.UTC)
    assert request.read(given_, "", faults) == {"At": made, "Many": 2**63 - 1, "Fine": 1.0, "Sure": False}
    assert not faults
    for bad in ({"At": "now"}, {"At": True}, {"At": 1e300}, {"Many": 2**63}, {"Fine": "1"}, {"Sure": 0}):
        with pytest.raises(errors.Serialization, match="can not be converted to a "):
            request.read(bad, "", faults)


def test_members_are_the_requests() -> None:
    assert model.members("DetectFaces") == ("Image", "Attributes")
    assert len(model.operations()) == 95  # AWS's 75 and twenty of ours


def test_what_we_add_to_aws_lists_of_values_leaves_out_none_of_theirs() -> None:
    """A list of values in our service model stands instead of AWS's."""
    own = Loader(include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH])
    theirs, ours = own.load_service_model("rekognition", "service-2"), model.service_model("rekognition")
    for name, shape in theirs["shapes"].items():
        assert set(shape.get("enum", ())) <= set(ours["shapes"][name].get("enum", ())), name
        assert shape.get("members", {}).keys() <= ours["shapes"][name].get("members", {}).keys(), name


def test_a_request_is_decoded() -> None:
    request = decode(
        "SearchFacesByImage",
        {
            "CollectionId": "people",
            "Image": {"Bytes": base64.b64encode(b"\x00\xff").decode(), "S3Object": None},
            "MaxFaces": 5.0,
            "FaceMatchThreshold": 80,
            "QualityFilter": None,
            "Filters": {},
        },
    )
    assert request == {
        "CollectionId": "people",
        "Image": {"Bytes": b"\x00\xff"},
        "MaxFaces": 5,
        "FaceMatchThreshold": 80.0,
    }
    assert isinstance(request["MaxFaces"], int)
    assert isinstance(request["FaceMatchThreshold"], float)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", ""),
        (b"null", ""),
        (b'{"Image":', ""),
        (b'{"Image":{},}', ""),
        (b"photo", ""),
        (b"\xff\xfe{}", ""),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"Attributes":["\xc3"]}', ""),
        (b'{"MaxFaces":NaN}', ""),
        (b'{"x":-Infinity}', ""),
        (b'{"x":' + b"9" * 5000 + b"}", ""),
        (b"[" * 90_000, ""),
        (b'{"a":' * 90_000, ""),
        (b"[]", "Start of list found where not expected"),
        (b'{"Image":[]}', "Start of list found where not expected"),
        (b'{"CollectionId":{}}', "Start of structure or map found where not expected"),
        (b'{"CollectionId":3}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"CollectionId":true}', "TRUE_VALUE can not be converted to a String"),
        (b'{"FaceMatchThreshold":"80"}', "STRING_VALUE can not be converted to a Float"),
        (b'{"FaceMatchThreshold":1e309}', "NUMBER_VALUE can not be converted to a Float"),
        (b'{"FaceMatchThreshold":' + b"9" * 400 + b"}", "NUMBER_VALUE can not be converted to a Float"),
        (b'{"MaxFaces":"80"}', "STRING_VALUE can not be converted to an Integer"),
        (b'{"MaxFaces":false}', "FALSE_VALUE can not be converted to an Integer"),
        (b'{"MaxFaces":1.5}', "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"MaxFaces":1e309}', "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"MaxFaces":2147483648}', "NUMBER_VALUE can not be converted to an Integer"),
        (b'{"Image":{"Bytes":1}}', "NUMBER_VALUE can not be converted to a Blob"),
        (b'{"Image":{"Bytes":"a"}}', "'image.bytes' is not valid base64"),
        (b'{"Image":{"Bytes":"-_-_"}}', "'image.bytes' is not valid base64"),
        (b'{"Image":{"Bytes":"\xc3\xa9=="}}', "'image.bytes' is not valid base64"),
        (b'{"Image":"photo.jpg"}', "STRING_VALUE can not be converted to a Structure"),
        (b'{"CollectionId":"\\ud800"}', "a string holds half of a surrogate pair"),
        (b"[" + b"[]," * 90_000 + b"[]]", "the body holds more than 100000 values"),
    ],
)
def test_what_is_not_a_request_is_a_serialization_error(body: bytes, message: str) -> None:
    assert garbled("SearchFacesByImage", body) == message


def test_a_list_and_a_map_of_the_wrong_type() -> None:
    assert garbled("DetectFaces", b'{"Attributes":"ALL"}') == "STRING_VALUE can not be converted to a List"
    assert garbled("CreateCollection", b'{"Tags":1}') == "NUMBER_VALUE can not be converted to a Map"
    assert garbled("CreateProject", b'{"ProjectName":3}') == "NUMBER_VALUE can not be converted to a String"


def test_of_two_equal_keys_the_last_counts() -> None:
    assert model.decode("DescribeCollection", b'{"CollectionId":"a","CollectionId":"b"}') == {
        "CollectionId": "b"
    }


SIX_MB = base64.b64encode(b"\0" * 6_000_000).decode()
PHOTO = "java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]"
ABSENT = "Member must not be null"
AT_LEAST = "Member must have length greater than or equal to"
AT_MOST = "Member must have length less than or equal to"
LEAST, MOST = (
    "Member must have value greater than or equal to",
    "Member must have value less than or equal to",
)
MATCH = "Member must satisfy regular expression pattern:"
FACE_ID = f"{MATCH} [0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}}"
NAME = rf"{MATCH} [a-zA-Z0-9_.\-]+"
TAG = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*"
BUCKET = rf"{MATCH} [0-9A-Za-z\.\-_]*"
ATTRIBUTES = (
    "Member must satisfy enum value set: [DEFAULT, ALL, AGE_RANGE, BEARD, EMOTIONS, EYE_DIRECTION, "
    "EYEGLASSES, EYES_OPEN, GENDER, MOUTH_OPEN, MUSTACHE, FACE_OCCLUDED, SMILE, SUNGLASSES]"
)
QUALITY = "Member must satisfy enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]"


def element(*sentences: str) -> str:
    return f"Member must satisfy constraint: [{', '.join(sentences)}]"


@pytest.mark.parametrize(
    ("operation", "given_", "shown", "path", "rule"),
    [
        ("DetectFaces", {}, None, "image", ABSENT),
        ("DetectFaces", {"Image": None}, None, "image", ABSENT),
        ("DetectFaces", {"Image": {"Bytes": ""}}, PHOTO.format(0), "image.bytes", f"{AT_LEAST} 1"),
        (
            "DetectFaces",
            {"Image": {"Bytes": SIX_MB}},
            PHOTO.format(6_000_000),
            "image.bytes",
            f"{AT_MOST} 5242880",
        ),
        (
            "DetectFaces",
            {"Attributes": ["all", "DEFAULT"]},
            "[all, DEFAULT]",
            "attributes",
            element(ATTRIBUTES),
        ),
        (
            "IndexFaces",
            {"ExternalImageId": "a/b.PNG"},
            "a/b.PNG",
            "externalImageId",
            rf"{MATCH} [a-zA-Z0-9_.\-:]+",
        ),
        ("IndexFaces", {"QualityFilter": "auto"}, "auto", "qualityFilter", QUALITY),
        ("CreateCollection", {"CollectionId": "a" * 256}, "a" * 256, "collectionId", f"{AT_MOST} 255"),
        ("CreateCollection", {"CollectionId": "people\n"}, "people\n", "collectionId", NAME),
        ("CreateCollection", {"CollectionId": "\u0661"}, "\u0661", "collectionId", NAME),
        ("SearchFaces", {"FaceId": FACE.upper()}, FACE.upper(), "faceId", FACE_ID),
        ("SearchFaces", {"FaceMatchThreshold": 101}, "101.0", "faceMatchThreshold", f"{MOST} 100"),
        ("SearchFaces", {"FaceMatchThreshold": -0.5}, "-0.5", "faceMatchThreshold", f"{LEAST} 0"),
        (
            "SearchFaces",
            {"MaxFaces": 4097},
            "4097",
            "maxFaces",
            f"{MOST} 4096",
        ),
        ("DeleteFaces", {"FaceIds": [FACE, "x"]}, f"[{FACE}, x]", "faceIds", element(FACE_ID)),
        ("DeleteFaces", {"FaceIds": [None]}, "[]", "faceIds", f"{AT_LEAST} 1"),
        (
            "CompareFaces",
            {"SourceImage": {"S3Object": {"Bucket": "b/d", "Name": "n"}}},
            "b/d",
            "sourceImage.s3Object.bucket",
            BUCKET,
        ),
        (
            "TagResource",
            {"Tags": {"aws:x": "y"}},
            "{aws:x=y}",
            "tags",
            f"Map keys must satisfy constraint: [{AT_MOST} 128, {AT_LEAST} 1, {MATCH} ^(?!aws:){TAG}$]",
        ),
        (
            "TagResource",
            {"Tags": {"x": "€"}},
            "{x=€}",
            "tags",
            f"Map value must satisfy constraint: [{AT_MOST} 256, {AT_LEAST} 0, {MATCH} ^({TAG})$]",
        ),
    ],
)
def test_a_broken_constraint_is_named_in_awss_words(
    operation: str, given_: dict[str, Any], shown: str | None, path: str, rule: str
) -> None:
    rest = {"Image": {}, "CollectionId": "a", "FaceId": FACE, "TargetImage": {}, "ResourceArn": "a" * 20}
    request = (rest if given_ and given_ != {"Image": None} else {}) | given_
    value = "null" if shown is None else f"'{shown}'"
    expected = f"Value {value} at '{path}' failed to satisfy constraint: {rule}"
    assert faults(operation, request) == f"1 validation error detected: {expected}"


def test_members_of_structures_in_a_list_are_counted_from_one() -> None:
    message = faults("DistributeDatasetEntries", {"Datasets": [{"Arn": "a" * 20}, {}]})
    assert (
        "Value null at 'datasets.2.member.arn' failed to satisfy constraint: Member must not be null"
        in message
    )
    assert "at 'datasets.1.member.arn' failed to satisfy constraint: Member must satisfy regular" in message


def test_several_broken_constraints_are_all_named() -> None:
    assert faults("SearchFaces", {"CollectionId": "", "MaxFaces": 0}) == "; ".join(
        (
            f"4 validation errors detected: Value '' at 'collectionId' failed to satisfy constraint: {NAME}",
            f"Value '' at 'collectionId' failed to satisfy constraint: {AT_LEAST} 1",
            f"Value null at 'faceId' failed to satisfy constraint: {ABSENT}",
            f"Value '0' at 'maxFaces' failed to satisfy constraint: {LEAST} 1",
        )
    )


def test_no_more_than_ten_faults_are_told_and_no_more_than_a_kilobyte_of_a_value() -> None:
    message = faults("DistributeDatasetEntries", {"Datasets": [{}] * 5000})
    assert message.startswith("10 validation errors detected: ")
    assert len(message) < 2100
    assert len(faults("DescribeCollection", {"CollectionId": "/" * 5_000_000})) < 1400


def test_limits_themselves_are_allowed() -> None:
    request = {
        "CollectionId": "a" * 255,
        "Image": {"Bytes": base64.b64encode(b"\0" * 5_242_880).decode()},
        "FaceMatchThreshold": 100,
        "MaxFaces": 4096,
    }
    assert len(decode("SearchFacesByImage", request)["Image"]["Bytes"]) == 5_242_880


def test_a_digit_of_a_pattern_is_one_of_ten() -> None:
    """As in Java, where \\d has no Arabic-Indic digits in it."""
    arn = "arn:aws:iam::{}:role/reader"
    channel = {"SNSTopicArn": "arn:aws:sns:eu-west-1:123456789012:jobs", "RoleArn": arn.format("1" * 12)}
    request = {"Video": {}, "NotificationChannel": channel}
    assert decode("StartFaceDetection", request)["NotificationChannel"] == channel
    channel["RoleArn"] = arn.format("\u0661" * 12)
    assert "at 'notificationChannel.roleArn'" in faults("StartFaceDetection", request)


def test_tags_take_letters_digits_and_spaces_of_any_script() -> None:
    tags = {"имя": "日本 ٣\u3000", "countenance:subjects": "adults"}
    assert decode("CreateCollection", {"CollectionId": "a", "Tags": tags})["Tags"] == tags


def outcome(operation: str, body: bytes) -> str:
    """The error code of a body, read from the wire, or "ok"."""
    try:
        model.decode(operation, body)
    except errors.AwsError as error:
        return str(json.loads(model.encode_error(error, "id")[1])["__type"])
    return "ok"


@given(operation=st.sampled_from(model.operations()), body=st.binary())
def test_no_bytes_raise_anything_but_an_aws_error(operation: str, body: bytes) -> None:
    assert outcome(operation, body) in {"ok", "SerializationException", "ValidationException"}


@st.composite
def near_requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A request of the right members, some of whose values are of no type the model expects."""
    operation = draw(st.sampled_from(model.operations()))
    shape = SERVICE.operation_model(operation).input_shape
    return operation, draw(nearly(shape))


def nearly(shape: Shape) -> st.SearchStrategy[Any]:
    match shape.type_name:
        case "structure":
            members = {name: nearly(member) for name, member in shape.members.items()}
            wanted: st.SearchStrategy[Any] = st.fixed_dictionaries({}, optional=members)
        case "list":
            wanted = st.lists(nearly(shape.member), max_size=3)
        case "map":
            wanted = st.dictionaries(st.text(), nearly(shape.value), max_size=3)
        case "string":
            wanted = st.text() | st.sampled_from(shape.enum or [FACE, "people", "a/b"])
        case "blob":
            wanted = st.binary(max_size=20).map(lambda blob: base64.b64encode(blob).decode())
        case "boolean":
            wanted = st.booleans()
        case _:
            wanted = st.integers() | st.floats(allow_nan=False)
    return wanted | wanted | wanted | JSON


@settings(max_examples=200, deadline=None)
@given(near_requests())
def test_no_json_raises_anything_but_an_aws_error(given_: tuple[str, Any]) -> None:
    operation, request = given_
    assert outcome(operation, json.dumps(request).encode()) in {
        "ok",
        "SerializationException",
        "ValidationException",
    }
