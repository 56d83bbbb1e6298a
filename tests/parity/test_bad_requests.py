"""What is not a request of this API, is too large, too slow or too much gets AWS's errors and costs nothing.

Requests are written by hand and signed by botocore: no client would send most of them.
"""

from __future__ import annotations

import contextlib
import re
import socket
import zlib
from collections.abc import Iterator

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.parity.conftest import House
from tests.parity.wire import (
    DESCRIBE,
    JSON,
    LIST,
    MIB,
    MISSING,
    Key,
    Wire,
    assert_refused,
    head,
    ids,
    peak,
    received,
    written,
)


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


@pytest.mark.parametrize("path", ["/collections", "//", "/.", "/%2e%2e/", "/RekognitionService"])
def test_other_paths_lead_nowhere(wire: Wire, path: str) -> None:
    assert wire.send(wire.signed(b"{}"), b"{}", path=path).status == 404


def test_a_query_that_was_not_signed(wire: Wire) -> None:
    reply = wire.send(wire.signed(b"{}"), b"{}", path="/?Action=ListCollections")
    assert reply.code == "InvalidSignatureException"


def test_who_waits_for_leave_to_send_is_given_it(wire: Wire) -> None:
    headers = head(wire.signed(b"{}"), ("Content-Length", "2"), ("Expect", "100-continue"))
    with wire.socket() as stream:
        stream.sendall(headers)
        assert stream.recv(4096).startswith(b"HTTP/1.1 100")
        stream.sendall(b"{}")
        assert received(stream).status == 200


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


# Sizes and manners


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


def test_clients_that_dawdle_hold_nobodys_place(house: House, wire: Wire) -> None:
    """More of them than the house has places: each has announced a body and sends none of it."""
    headers = head(wire.signed(b"{}"), ("Content-Length", "2"))
    with together([wire.socket() for _ in range(house.settings.waiting + 1)]) as waiting:
        for stream in waiting:
            stream.sendall(headers)
        assert wire.call("ListCollections", {}).status == 200
        for stream in waiting:
            stream.sendall(b"{}")
        assert {received(stream).status for stream in waiting} <= {200, 400}
    assert wire.call("ListCollections", {}).status == 200


def test_a_stranger_is_refused_before_a_large_body_is_read(wire: Wire) -> None:
    """It has announced fifteen megabytes and sends none; the answer does not wait for them."""
    announced = ("Content-Length", str(15 * 1024 * 1024))
    stranger = Key("AKIDEXAMPLE", "wrong")
    with wire.socket() as stream:
        stream.sendall(head(wire.signed(b"", key=stranger), announced))
        sentence = "The security token included in the request is invalid."
        assert_refused(received(stream), "UnrecognizedClientException", sentence)
    with wire.socket() as stream:
        stream.sendall(head([("Host", wire.host)], announced))
        assert_refused(
            received(stream), "MissingAuthenticationTokenException", "Missing Authentication Token"
        )


def test_more_bytes_than_the_house_holds_are_told_to_slow_down(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countenance.server.ARRIVING", 1000)
    sentence = "Slow down; sudden increase in rate of requests"
    large = b"{" + b" " * 2000 + b"}"
    assert_refused(wire.call("ListCollections", large), "ThrottlingException", sentence)
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
