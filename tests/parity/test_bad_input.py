"""Bad input gets AWS's error: the code, the status, the key that holds the message, the exact sentence.

Every row of the reference's tables that these operations can meet has a row here. Requests are written by
hand and signed by botocore, because boto3 would stop many of them, and others no client would send.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import re
import resource
import socket
import struct
import sys
import uuid
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image

from countenance.types import OrganisationKind
from tests.parity.conftest import House
from tests.parity.photos import encoded, grace, nobody, opened
from tests.parity.wire import JSON, Key, Wire, assert_refused, head, received, written

MIB = 1024 * 1024
LARGEST_IMAGE = 5_242_880
MISSING = "00000000-0000-4000-8000-000000000000"
SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
UNKNOWN_KEY = "The security token included in the request is invalid."
FORMAT = "Request has invalid image format"
PARAMETERS = "Request has invalid parameters"
DESCRIBE = "RekognitionService.DescribeCollection"
LIST = "RekognitionService.ListCollections"
Request = Mapping[str, Any]


def ids(row: object) -> str | None:
    """A row's own text where it is short, else its number."""
    return row if isinstance(row, str) and len(row) < 40 else None


# 1 Transport: what is asked for, and in what form


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "RekognitionService.DetectFace",
        "RekognitionService.detectfaces",
        "rekognitionservice.DetectFaces",
        "DynamoDB_20120810.ListTables",
        "DetectFaces",
        "RekognitionService.DetectFaces.",
        "RekognitionService.__class__",
    ],
)
def test_a_target_nobody_knows(wire: Wire, target: str | None) -> None:
    assert_refused(wire.send(wire.signed(b"{}", target), b"{}"), "UnknownOperationException", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'{"CollectionId": "peo',
        b'{"CollectionId": "people",}',
        b"not JSON",
        b"{} {}",
        b"\xff\xfe{}",
        b'{"CollectionId": "\xff"}',
        b'{"MaxResults": NaN}',
        b'{"MaxResults": -Infinity}',
        b'{"CollectionId": ' + b'{"a":' * 50_000,
        b'{"CollectionId": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"CollectionId": 1' + b"0" * 100_000 + b"}",
        zlib.compress(b"{}", wbits=31),
    ],
    ids=ids,
)
def test_a_body_that_is_not_json(wire: Wire, body: bytes) -> None:
    assert_refused(wire.call("ListFaces", body), "SerializationException", None)


@pytest.mark.parametrize(
    ("operation", "body", "sentence"),
    [
        ("ListCollections", b"[]", "Start of list found where not expected"),
        ("ListFaces", b'{"CollectionId": ["a"]}', "Start of list found where not expected"),
        ("ListFaces", b'{"CollectionId": {}}', "Start of structure or map found where not expected"),
        ("ListFaces", b'{"CollectionId": 1}', "NUMBER_VALUE can not be converted to a String"),
        ("ListFaces", b'{"CollectionId": true}', "TRUE_VALUE can not be converted to a String"),
        ("ListCollections", b'{"MaxResults": "1"}', "STRING_VALUE can not be converted to an Integer"),
        ("ListCollections", b'{"MaxResults": 1.5}', "NUMBER_VALUE can not be converted to an Integer"),
        ("ListCollections", b'{"MaxResults": 1e99}', "NUMBER_VALUE can not be converted to an Integer"),
        ("ListFaces", b'{"FaceIds": "a"}', "STRING_VALUE can not be converted to a List"),
        ("CreateCollection", b'{"Tags": "a"}', "STRING_VALUE can not be converted to a Map"),
        ("DetectFaces", b'{"Image": "a"}', "STRING_VALUE can not be converted to a Structure"),
        ("DetectFaces", b'{"Image": {"Bytes": 7}}', "NUMBER_VALUE can not be converted to a Blob"),
        ("DetectFaces", b'{"Image": {"Bytes": "a"}}', "'image.bytes' is not valid base64"),
        ("DetectFaces", b'{"Image": {"Bytes": "@@@@"}}', "'image.bytes' is not valid base64"),
        ("SearchFaces", b'{"FaceMatchThreshold": "8"}', "STRING_VALUE can not be converted to a Float"),
        ("SearchFaces", b'{"FaceMatchThreshold": 1e309}', "NUMBER_VALUE can not be converted to a Float"),
        ("SearchFaces", b'{"FaceMatchThreshold": -1e309}', "NUMBER_VALUE can not be converted to a Float"),
    ],
    ids=ids,
)
def test_a_value_of_the_wrong_type(wire: Wire, operation: str, body: bytes, sentence: str) -> None:
    assert_refused(wire.call(operation, body), "SerializationException", sentence)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_threshold_that_is_not_json(wire: Wire, constant: str) -> None:
    body = f'{{"CollectionId": "people", "FaceId": "{MISSING}", "FaceMatchThreshold": {constant}}}'
    assert_refused(wire.call("SearchFaces", body.encode()), "SerializationException", None)


def test_of_doubled_members_the_last_counts(wire: Wire, people: str) -> None:
    body = f'{{"CollectionId": "missing", "CollectionId": "{people}"}}'
    assert wire.call("DescribeCollection", body.encode()).status == 200
    body = f'{{"CollectionId": "{people}", "CollectionId": "missing"}}'
    reply = wire.call("DescribeCollection", body.encode())
    assert_refused(reply, "ResourceNotFoundException", "Collection:missing not found!")


def test_a_body_of_very_many_values(wire: Wire) -> None:
    body = b'{"CollectionId": "people", "FaceIds": [' + b"0," * 200_000 + b"0]}"
    reply = wire.call("ListFaces", body)
    assert (reply.status, reply.code) == (400, "SerializationException")


@pytest.mark.parametrize("kind", [JSON, "application/x-amz-json-1.0", "application/json", "text/plain"])
def test_the_content_type_does_not_matter(wire: Wire, kind: str) -> None:
    assert wire.send(wire.signed(b"{}", also={"Content-Type": kind}), b"{}").status == 200


def test_no_content_type(wire: Wire) -> None:
    request = AWSRequest("POST", f"http://{wire.host}/", {"Host": wire.host, "X-Amz-Target": LIST}, b"{}")
    credentials = Credentials(wire.key.access_key_id, wire.key.secret)
    SigV4Auth(credentials, "rekognition", "us-east-1").add_auth(request)
    assert wire.send(request.headers.items(), b"{}").status == 200


def test_a_chunked_upload(wire: Wire, people: str) -> None:
    body = written({"CollectionId": people})
    headers = wire.signed(body, DESCRIBE)
    with wire.socket() as stream:
        stream.sendall(head(headers, ("Transfer-Encoding", "chunked")))
        for byte in body:
            stream.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        stream.sendall(b"0\r\n\r\n")
        assert received(stream).json["FaceCount"] == 0


def test_a_compressed_body_is_read_as_it_is(wire: Wire) -> None:
    body = zlib.compress(b"{}", wbits=31)
    headers = wire.signed(body, LIST, also={"Content-Encoding": "gzip"})
    assert_refused(wire.send(headers, body), "SerializationException", None)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_methods_but_post(wire: Wire, method: str) -> None:
    assert wire.send([("Host", wire.host)], method=method).status == 405


@pytest.mark.parametrize("path", ["/collections", "//", "/.", "/%2e%2e/", "/?Action=ListCollections"])
def test_other_paths_lead_nowhere(wire: Wire, path: str) -> None:
    reply = wire.send(wire.signed(b"{}"), b"{}", path=path)
    assert reply.status == 404 or reply.code == "InvalidSignatureException"


def test_health_needs_no_key(wire: Wire) -> None:
    assert wire.send([("Host", wire.host)], method="GET", path="/healthz").status == 200


@pytest.mark.parametrize(
    "junk",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"POST / HTTP/9.9\r\n\r\n", b"\r\n\r\nhello\r\n\r\n"],
    ids=["TLS", "HTTP/9.9", "hello"],
)
def test_what_is_not_http_is_shown_the_door(wire: Wire, junk: bytes) -> None:
    with wire.socket() as stream:
        stream.sendall(junk)
        answer = stream.recv(4096)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_two_lengths_are_refused(wire: Wire) -> None:
    headers = wire.signed(b"{}")
    for more in (
        [("Content-Length", "2"), ("Content-Length", "20")],
        [("Content-Length", "2"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "-2")],
        [("Content-Length", "2x")],
    ):
        with wire.socket() as stream:
            stream.sendall(head(headers, *more) + b"{}")
            assert stream.recv(4096).startswith(b"HTTP/1.1 400")


# 1 Transport: sizes and manners


def peak() -> int:
    """The most memory this process, and so the server in it, has had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_an_announced_body_over_the_limit_is_refused_before_it_comes(wire: Wire) -> None:
    with wire.socket() as stream:
        stream.sendall(head(wire.signed(b"{}"), ("Content-Length", str(2**40))))
        assert_refused(
            received(stream), "RequestEntityTooLargeException", "a body may have 15728640 bytes", 413
        )


def test_an_endless_body_is_refused_and_not_kept(wire: Wire) -> None:
    before = peak()
    chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
    with wire.socket() as stream:
        stream.sendall(head(wire.signed(b"{}"), ("Transfer-Encoding", "chunked")))
        for _ in range(1024):
            if not _sent(stream, chunk):
                break
        answer = _received(stream)
    assert answer is None or answer.startswith(b"HTTP/1.1 413")
    assert peak() - before < 256 * MIB
    assert wire.call("ListCollections", {}).status == 200


def test_a_body_just_over_the_limit_in_chunks(wire: Wire) -> None:
    chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
    with wire.socket() as stream:
        stream.sendall(head(wire.signed(b"{}"), ("Transfer-Encoding", "chunked")))
        stream.sendall(chunk * 15 + b"1\r\nx\r\n0\r\n\r\n")
        assert_refused(
            received(stream), "RequestEntityTooLargeException", "a body may have 15728640 bytes", 413
        )


def test_an_endless_head_is_refused_and_not_kept(wire: Wire) -> None:
    before = peak()
    with wire.socket() as stream:
        stream.sendall(b"POST / HTTP/1.1\r\n")
        line = b"x-filler: " + b"x" * 1000 + b"\r\n"
        for _ in range(256):
            if not _sent(stream, line * 1024):
                break
        else:
            pytest.fail("256 MiB of headers were taken")
    assert peak() - before < 64 * MIB
    assert wire.call("ListCollections", {}).status == 200


def _sent(stream: socket.socket, data: bytes) -> bool:
    """Whether the other side still listens."""
    try:
        stream.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _received(stream: socket.socket) -> bytes | None:
    try:
        return stream.recv(4096) or None
    except ConnectionResetError:
        return None


@contextlib.contextmanager
def together(streams: list[socket.socket]) -> Iterator[list[socket.socket]]:
    """Many connections, all closed in the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(stream) for stream in streams]


def test_slow_clients_hold_up_nobody(wire: Wire) -> None:
    body = written({})
    with together([wire.socket() for _ in range(8)]) as slow:
        for n, stream in enumerate(slow):
            whole = head(wire.signed(body), ("Content-Length", str(len(body))))
            stream.sendall(whole if n % 2 else whole[:40])
        for _ in range(5):
            assert wire.call("ListCollections", {}).status == 200
        for n, stream in enumerate(slow):
            if n % 2:
                stream.sendall(body)
                assert received(stream).status == 200


def test_more_calls_than_the_house_holds_are_told_to_slow_down(house: House, wire: Wire) -> None:
    places = house.settings.waiting
    headers = head(wire.signed(b"{}"), ("Content-Length", "2"))
    with together([wire.socket() for _ in range(places)]) as waiting:
        for stream in waiting:
            stream.sendall(headers)
        inside = f"countenance_calls_inside {places}\n".encode()
        while inside not in wire.send([("Host", wire.host)], method="GET", path="/metrics").body:
            pass
        sentence = "Slow down; sudden increase in rate of requests"
        assert_refused(wire.call("ListCollections", {}), "ThrottlingException", sentence)
        for stream in waiting:
            stream.sendall(b"{}")
        assert [received(stream).status for stream in waiting] == [200] * places
    assert wire.call("ListCollections", {}).status == 200


def test_requests_in_a_row_are_answered_in_that_row(wire: Wire, people: str) -> None:
    requests = []
    for collection, then in ((people, "keep-alive"), ("missing", "keep-alive"), (people, "close")):
        body = written({"CollectionId": collection})
        length = ("Content-Length", str(len(body)))
        requests.append(head(wire.signed(body, DESCRIBE), length, ("Connection", then)) + body)
    with wire.socket() as stream:
        stream.sendall(b"".join(requests))
        answers = b"".join(iter(lambda: stream.recv(65_536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"400", b"200"]


# 1 Who asks


def test_no_signature(wire: Wire) -> None:
    headers = [("Host", wire.host), ("X-Amz-Target", LIST), ("Content-Type", JSON)]
    reply = wire.send(headers, b"{}")
    assert_refused(reply, "MissingAuthenticationTokenException", "Missing Authentication Token")


def test_no_signature_and_no_such_operation(wire: Wire) -> None:
    reply = wire.send([("Host", wire.host), ("X-Amz-Target", "Nothing.Here")], b"{}")
    assert_refused(reply, "MissingAuthenticationTokenException", "Missing Authentication Token")


AUTHORIZATION = "AWS4-HMAC-SHA256 Credential={key}/20260102/us-east-1/rekognition/aws4_request, "
REQUIRES = "Authorization header requires '{}' parameter."


@pytest.mark.parametrize(
    ("authorization", "sentence"),
    [
        (
            "AWS4-HMAC-SHA256 ",
            " ".join(REQUIRES.format(n) for n in ("Credential", "Signature", "SignedHeaders")),
        ),
        (f"AWS4-HMAC-SHA256 SignedHeaders=host, Signature={'0' * 64}", REQUIRES.format("Credential")),
        (f"{AUTHORIZATION}SignedHeaders=host", REQUIRES.format("Signature")),
        (f"{AUTHORIZATION}Signature={'0' * 64}", REQUIRES.format("SignedHeaders")),
        ("Bearer abc", "Unsupported AWS 'algorithm'; use AWS4-HMAC-SHA256"),
        ("Basic dXNlcjpwYXNz", "Unsupported AWS 'algorithm'; use AWS4-HMAC-SHA256"),
        (
            f"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature={'0' * 64}",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term",
        ),
        (
            "AWS4-HMAC-SHA256 nonsense",
            "Authorization header holds a part that is not a valid key=value pair (missing equal-sign)",
        ),
    ],
)
def test_a_malformed_authorization(wire: Wire, authorization: str, sentence: str) -> None:
    headers = dict(wire.signed(b"{}"))
    headers["Authorization"] = authorization.format(key=wire.key.access_key_id)
    assert_refused(wire.send(headers.items(), b"{}"), "IncompleteSignatureException", sentence)


def test_no_date(wire: Wire) -> None:
    headers = dict(wire.signed(b"{}"))
    del headers["X-Amz-Date"]
    sentence = "Authorization header requires existence of a 'X-Amz-Date' header."
    assert_refused(wire.send(headers.items(), b"{}"), "IncompleteSignatureException", sentence)


def test_a_key_nobody_holds(wire: Wire) -> None:
    for key in (Key("AKIAIOSFODNN7EXAMPLE", "any"), Key(wire.key.access_key_id.lower(), wire.key.secret)):
        reply = wire.call("ListCollections", {}, key=key)
        assert_refused(reply, "UnrecognizedClientException", UNKNOWN_KEY)


def test_a_session_token_nobody_gave(wire: Wire) -> None:
    headers = wire.signed(b"{}", also={"X-Amz-Security-Token": "made up"})
    assert_refused(wire.send(headers, b"{}"), "UnrecognizedClientException", UNKNOWN_KEY)


def test_a_wrong_secret(wire: Wire) -> None:
    for secret in ("wrong", wire.key.secret[:-1], wire.key.secret + " ", ""):
        reply = wire.call("ListCollections", {}, key=Key(wire.key.access_key_id, secret))
        assert_refused(reply, "InvalidSignatureException", SIGNATURE)


def test_a_key_of_the_house_with_the_secret_of_another(house: House, wire: Wire) -> None:
    other = house.issue(OrganisationKind.NGO)
    reply = wire.call("ListCollections", {}, key=Key(wire.key.access_key_id, other.secret))
    assert_refused(reply, "InvalidSignatureException", SIGNATURE)


def test_a_body_that_was_changed(wire: Wire, people: str) -> None:
    headers = wire.signed(written({"CollectionId": "a" * len(people)}), DESCRIBE)
    reply = wire.send(headers, written({"CollectionId": people}))
    assert_refused(reply, "InvalidSignatureException", SIGNATURE)


def test_a_replay_with_another_target(wire: Wire, people: str) -> None:
    body = written({"CollectionId": people})
    headers = dict(wire.signed(body, DESCRIBE))
    assert wire.send(headers.items(), body).status == 200
    headers["X-Amz-Target"] = "RekognitionService.DeleteCollection"
    assert_refused(wire.send(headers.items(), body), "InvalidSignatureException", SIGNATURE)
    assert wire.call("DescribeCollection", body).status == 200


@pytest.mark.parametrize("name", ["X-Amz-Content-SHA256", "x-countenance-purpose", "X-Amz-Anything"])
def test_a_header_of_ours_that_nobody_signed(wire: Wire, name: str) -> None:
    reply = wire.send([*wire.signed(b"{}"), (name, "UNSIGNED-PAYLOAD")], b"{}")
    sentence = f"'{name.title()}' must be a 'SignedHeader' in the AWS Authorization."
    assert_refused(reply, "InvalidSignatureException", sentence)


def test_the_target_left_out_of_the_signature(wire: Wire) -> None:
    headers = [*wire.signed(b"{}", None), ("X-Amz-Target", LIST)]
    sentence = "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."
    assert_refused(wire.send(headers, b"{}"), "InvalidSignatureException", sentence)


@pytest.mark.parametrize("name", ["X-Amz-Target", "X-Amz-Date", "Host", "Authorization", "Content-Type"])
def test_a_header_sent_twice(wire: Wire, name: str) -> None:
    headers = wire.signed(b"{}")
    value = dict(headers)[name]
    for again in (value, "RekognitionService.DeleteCollection"):
        for doubled in ([*headers, (name, again)], [(name, again), *headers]):
            reply = wire.send(doubled, b"{}")
            sentence = f"Header '{name.lower()}' may be sent only once"
            assert_refused(reply, "IncompleteSignatureException", sentence)


def test_an_unsigned_payload(wire: Wire) -> None:
    headers = wire.signed(b"{}", also={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert_refused(wire.send(headers, b"{}"), "InvalidSignatureException", SIGNATURE)


STAMP = r"\d{8}T\d{6}Z"


@pytest.mark.parametrize(
    ("minutes", "sentence"),
    [
        (-6, rf"Signature expired: {STAMP} is now earlier than {STAMP} \({STAMP} - 5 min\.\)"),
        (-60 * 24 * 400, rf"Signature expired: {STAMP} is now earlier than {STAMP} \({STAMP} - 5 min\.\)"),
        (6, rf"Signature not yet current: {STAMP} is still later than {STAMP} \({STAMP} \+ 5 min\.\)"),
    ],
)
def test_a_clock_that_is_wrong(wire: Wire, minutes: int, sentence: str) -> None:
    at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
    reply = wire.call("ListCollections", {}, at=at)
    assert_refused(reply, "InvalidSignatureException", reply.message)
    assert re.fullmatch(sentence, reply.message or ""), reply.message
    assert at.strftime("%Y%m%dT%H%M%SZ") in (reply.message or "")


def test_a_clock_that_is_a_little_off(wire: Wire) -> None:
    for minutes in (-4, 4):
        at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        assert wire.call("ListCollections", {}, at=at).status == 200


def test_signed_for_another_service(wire: Wire) -> None:
    reply = wire.call("ListCollections", {}, service="s3")
    sentence = "Credential should be scoped to correct service: 'rekognition'."
    assert_refused(reply, "InvalidSignatureException", sentence)


def test_signed_for_another_day(wire: Wire) -> None:
    headers = dict(wire.signed(b"{}"))
    day = headers["X-Amz-Date"][:8]
    headers["Authorization"] = headers["Authorization"].replace(f"/{day}/", "/20200101/")
    reply = wire.send(headers.items(), b"{}")
    sentence = (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        f"'20200101' != '{day}', from '{headers['X-Amz-Date']}'."
    )
    assert_refused(reply, "InvalidSignatureException", sentence)


def test_a_key_of_the_police_cannot_learn_what_exists(house: House, wire: Wire, police: Key) -> None:
    """Denied before looked up: the answer for a collection of its own that exists is that for one that
    does not, to the letter."""
    existing, missing = f"cases-{uuid.uuid4()}", f"cases-{uuid.uuid4()}"
    assert wire.call("CreateCollection", {"CollectionId": existing}, key=police).status == 200
    photo = {"Image": {"Bytes": grace()}}
    asked: tuple[tuple[str, Request], ...] = (
        ("SearchFacesByImage", photo),
        ("SearchFaces", {"FaceId": MISSING}),
        ("IndexFaces", photo),
        ("TagResource", {"Tags": {"a": "b"}}),
    )
    for operation, request in asked:
        said = []
        for collection in (existing, missing):
            named = {"CollectionId": collection}
            if operation == "TagResource":
                named = {"ResourceArn": _arn(wire, police, existing).replace(existing, collection)}
            reply = wire.call(operation, {**request, **named}, key=police)
            sentence = (
                rf"User: arn:aws:iam::\d{{12}}:user/{police.access_key_id} is not authorized to perform: "
                rf"rekognition:{operation} on resource: \S*collection/{collection}: \S.*"
            )
            assert re.fullmatch(sentence, reply.message or "", re.DOTALL), reply.message
            assert_refused(reply, "AccessDeniedException", reply.message)
            assert "x-countenance-receipt" in reply.headers
            said.append((reply.message or "").replace(collection, "it"))
        assert said[0] == said[1]


def _arn(wire: Wire, key: Key, collection: str) -> str:
    arn: str = wire.call("DescribeCollection", {"CollectionId": collection}, key=key).json["CollectionARN"]
    return arn


def test_a_refusal_says_why_and_what_would_change_it(wire: Wire, police: Key) -> None:
    reply = wire.call("SearchFaces", {"CollectionId": "people", "FaceId": MISSING}, key=police)
    _, _, why = (reply.message or "").partition("collection/people: ")
    assert why.startswith(("no rule permits it. ", "refused by "))
    assert len(why) > len("no rule permits it. ")


def test_another_organisations_collection_is_not_there(house: House, wire: Wire, people: str) -> None:
    stranger = house.issue(OrganisationKind.RESEARCH)
    for collection in (people, "never-made"):
        reply = wire.call("ListFaces", {"CollectionId": collection}, key=stranger)
        sentence = f"The collection id: {collection} does not exist"
        assert_refused(reply, "ResourceNotFoundException", sentence)


# 2 Parameters that break the service model


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


# 3 What the service says


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
    ours = _arn(wire, wire.key, people)
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


# Pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int, rows: int) -> bytes:
    """A PNG that claims a size; rows: how many it really holds, of zeros."""
    row = b"\0" * (1 + 3 * width)
    packer = zlib.compressobj(9)
    squeezed = b"".join([*(packer.compress(row) for _ in range(rows)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


def claims(photo: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    at = photo.index(b"\xff\xc0") + 5
    return photo[:at] + struct.pack(">HH", height, width) + photo[at + 4 :]


def of_kind(kind: str, **options: Any) -> bytes:
    return encoded(opened(grace()).resize((128, 150)), kind, **options)


def heic() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0mif1heic" + b"\0" * 200


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"><rect width="9" height="9"/></svg>'

NOT_PICTURES: dict[str, Any] = {
    "text": lambda: b"xx",
    "zeros": lambda: b"\0" * 1000,
    "gif": lambda: of_kind("GIF"),
    "webp": lambda: of_kind("WEBP"),
    "bmp": lambda: of_kind("BMP"),
    "tiff": lambda: of_kind("TIFF"),
    "heic": heic,
    "svg": lambda: SVG,
    "pdf": lambda: of_kind("PDF"),
    "jpeg cut in half": lambda: grace()[: len(grace()) // 2],
    "jpeg without its end": lambda: grace()[: len(grace()) * 9 // 10],
    "jpeg of three bytes": lambda: b"\xff\xd8\xff",
    "jpeg header": lambda: grace()[:200],
    "png cut in half": lambda: of_kind("PNG")[:5000],
    "png signature": lambda: b"\x89PNG\r\n\x1a\n",
    "png with a wrong checksum": lambda: of_kind("PNG").replace(b"IDAT", b"IDAT\0", 1),
    "html before a jpeg": lambda: b"<script>alert(1)</script>" + grace(),
    "zip before a png": lambda: b"PK\x03\x04" + of_kind("PNG"),
    "base64 twice": lambda: base64.b64encode(grace()),
    "a data url": lambda: b"data:image/jpeg;base64," + base64.b64encode(grace()),
}


@pytest.mark.parametrize("name", NOT_PICTURES)
def test_what_is_no_jpeg_or_png(wire: Wire, people: str, name: str) -> None:
    photo = {"Bytes": NOT_PICTURES[name]()}
    for operation, request in (
        ("DetectFaces", {"Image": photo}),
        ("IndexFaces", {"Image": photo, "CollectionId": people}),
        ("CompareFaces", {"SourceImage": {"Bytes": grace()}, "TargetImage": photo}),
    ):
        assert_refused(wire.call(operation, request), "InvalidImageFormatException", FORMAT)


@pytest.mark.parametrize(
    ("width", "height", "photo"),
    [
        (30_000, 30_000, bomb(30_000, 30_000, 1)),
        (10_001, 100, bomb(10_001, 100, 100)),
        (100, 10_001, bomb(100, 10_001, 10_001)),
        (2**31 - 1, 2**31 - 1, bomb(2**31 - 1, 2**31 - 1, 0)),
        (65_535, 65_535, claims(grace(), 65_535, 65_535)),
    ],
    ids=["png 30,000", "png wide", "png high", "png 2^31", "jpeg 65,535"],
)
def test_a_picture_that_claims_too_many_pixels(wire: Wire, width: int, height: int, photo: bytes) -> None:
    before = peak()
    sentence = f"Input image dimensions {width} x {height} exceed maximum dimension size of 10000 pixels"
    assert_refused(wire.call("DetectFaces", {"Image": {"Bytes": photo}}), "ImageTooLargeException", sentence)
    assert peak() - before < 128 * MIB


@pytest.mark.parametrize(
    "photo",
    [claims(grace(), 10_000, 10_000), bomb(10_000, 10_000, 1)],
    ids=["jpeg", "png"],
)
def test_a_picture_that_holds_less_than_it_claims(wire: Wire, photo: bytes) -> None:
    """Decoders fill in what is missing, as browsers do; what it costs is bounded."""
    before = peak()
    reply = wire.call("DetectFaces", {"Image": {"Bytes": photo}})
    assert reply.status == 200 or reply.code == "InvalidImageFormatException"
    assert peak() - before < 768 * MIB


def test_a_png_whose_text_unpacks_to_256_mib(wire: Wire) -> None:
    photo = of_kind("PNG")
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * MIB * 256, level=1))
    before = peak()
    reply = wire.call("DetectFaces", {"Image": {"Bytes": photo[:33] + text + photo[33:]}})
    assert reply.status == 200 or reply.code == "InvalidImageFormatException"
    assert peak() - before < 64 * MIB


@pytest.mark.parametrize(("width", "height"), [(79, 80), (80, 79), (1, 1), (79, 10_000), (1, 9000)])
def test_a_picture_that_is_too_small(wire: Wire, width: int, height: int) -> None:
    reply = wire.call("DetectFaces", {"Image": {"Bytes": nobody(width, height)}})
    assert_refused(reply, "InvalidParameterException", PARAMETERS)


def test_the_smallest_and_the_longest_picture(wire: Wire) -> None:
    for width, height in ((80, 80), (10_000, 80), (80, 10_000)):
        assert wire.call("DetectFaces", {"Image": {"Bytes": nobody(width, height)}}).status == 200


def test_bytes_up_to_the_limit(wire: Wire) -> None:
    """Bytes after a JPEG's end belong to no picture and spoil none."""
    photo = grace().ljust(LARGEST_IMAGE, b"\0")
    assert len(wire.call("DetectFaces", {"Image": {"Bytes": photo}}).json["FaceDetails"]) == 1


def test_two_pictures_up_to_the_limit(wire: Wire) -> None:
    photo = {"Bytes": grace().ljust(LARGEST_IMAGE, b"\0")}
    reply = wire.call("CompareFaces", {"SourceImage": photo, "TargetImage": photo})
    assert len(reply.json["FaceMatches"]) == 1


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _wide_grey() -> bytes:
    grey = np.asarray(opened(grace()).convert("L"), np.uint16) * 257
    return encoded(Image.fromarray(grey))


def _transparent() -> bytes:
    picture = opened(grace()).convert("RGBA")
    picture.putalpha(250)
    return encoded(picture)


def _animated() -> bytes:
    frames = [opened(grace()), opened(nobody(512, 600))]
    return encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])


PICTURES: dict[str, Any] = {
    "cmyk jpeg": lambda: encoded(opened(grace()).convert("CMYK"), "JPEG"),
    "grey jpeg": lambda: encoded(opened(grace()).convert("L"), "JPEG"),
    "progressive jpeg": lambda: encoded(opened(grace()), "JPEG", progressive=True),
    "jpeg without subsampling": lambda: encoded(opened(grace()), "JPEG", subsampling=0),
    "jpeg and a zip": lambda: grace() + b"PK\x05\x06" + b"\0" * 18,
    "jpeg and html": lambda: grace() + b"<script>alert(1)</script>",
    "16-bit grey png": _wide_grey,
    "grey png": lambda: encoded(opened(grace()).convert("L")),
    "png with alpha": _transparent,
    "palette png": lambda: encoded(opened(grace()).convert("P", palette=Image.Palette.ADAPTIVE)),
    "animated png": _animated,
    **{
        f"exif {orientation}": lambda orientation=orientation, turn=turn: encoded(
            opened(grace()).transpose(turn), "JPEG", exif=_exif(orientation)
        )
        for orientation, turn in (
            (2, Image.Transpose.FLIP_LEFT_RIGHT),
            (3, Image.Transpose.ROTATE_180),
            (4, Image.Transpose.FLIP_TOP_BOTTOM),
            (5, Image.Transpose.TRANSPOSE),
            (6, Image.Transpose.ROTATE_90),
            (7, Image.Transpose.TRANSVERSE),
            (8, Image.Transpose.ROTATE_270),
        )
    },
}


@pytest.fixture(scope="module")
def plain(wire: Wire) -> Mapping[str, float]:
    """Where the face is in the picture as it is."""
    [face] = wire.call("DetectFaces", {"Image": {"Bytes": grace()}}).json["FaceDetails"]
    box: Mapping[str, float] = face["BoundingBox"]
    return box


@pytest.mark.parametrize("name", PICTURES)
def test_every_kind_of_jpeg_and_png(wire: Wire, plain: Mapping[str, float], name: str) -> None:
    [face] = wire.call("DetectFaces", {"Image": {"Bytes": PICTURES[name]()}}).json["FaceDetails"]
    assert face["BoundingBox"] == pytest.approx(plain, abs=0.03)


@pytest.mark.filterwarnings("ignore:.*EXIF data:UserWarning")  # Pillow says so too
@pytest.mark.parametrize(
    "exif",
    [_exif(0), _exif(9), b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + b"\xff" * 40],
    ids=["0", "9", "empty", "leads away", "nonsense"],
)
def test_metadata_that_are_damaged_do_not_spoil_a_picture(
    wire: Wire, plain: Mapping[str, float], exif: Image.Exif | bytes
) -> None:
    photo = encoded(opened(grace()), "JPEG", exif=exif)
    [face] = wire.call("DetectFaces", {"Image": {"Bytes": photo}}).json["FaceDetails"]
    assert face["BoundingBox"] == pytest.approx(plain, abs=0.03)
