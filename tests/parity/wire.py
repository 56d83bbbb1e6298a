"""HTTP by hand, signed by botocore: for what boto3 itself would not send."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import json
import resource
import socket
import sys
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

JSON = "application/x-amz-json-1.1"
PATIENCE = 50.0
"""Seconds a test waits for bytes: less than the server waits for a body, so that only an answer ends it."""

FRONT_END = {
    "ValidationException",
    "SerializationException",
    "UnknownOperationException",
    "RequestEntityTooLargeException",
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
}
"""What AWS says before the service sees a call: its bodies have a lower-case `message`, or none."""


@dataclass(frozen=True)
class Key:
    access_key_id: str
    secret: str


@dataclass(frozen=True)
class Reply:
    """headers: lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    @property
    def code(self) -> str | None:
        return self.json.get("__type")

    @property
    def message(self) -> str | None:
        return self.json.get("message") if self.code in FRONT_END else self.json.get("Message")


Headers = list[tuple[str, str]]
Request = Mapping[str, Any]

MIB = 1024 * 1024
LARGEST_IMAGE = 5_242_880
"""Bytes of an image in a request, by the service model."""
MISSING = "00000000-0000-4000-8000-000000000000"
"""A FaceId nobody has."""
DESCRIBE = "RekognitionService.DescribeCollection"
LIST = "RekognitionService.ListCollections"
PARAMETERS = "Request has invalid parameters"


@dataclass(frozen=True)
class Wire:
    """One server and one key to sign with."""

    port: int
    key: Key

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def signed(
        self,
        body: bytes,
        target: str | None = "RekognitionService.ListCollections",
        *,
        key: Key | None = None,
        service: str = "rekognition",
        at: dt.datetime | None = None,
        also: Mapping[str, str] | None = None,
    ) -> Headers:
        """The headers of a POST to / as botocore signs it, `host` among them. also: more to be signed."""
        headers = {"Host": self.host, "Content-Type": JSON, **(also or {})}
        if target is not None:
            headers["X-Amz-Target"] = target
        request = AWSRequest("POST", f"http://{self.host}/", headers=headers, data=body)
        key = key or self.key
        auth = SigV4Auth(Credentials(key.access_key_id, key.secret), service, "us-east-1")
        if at is None:
            auth.add_auth(request)
            return list(request.headers.items())
        moment = at.replace(tzinfo=None)  # botocore takes no clock; not for threads side by side
        with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
            auth.add_auth(request)
        return list(request.headers.items())

    def send(
        self, headers: Iterable[tuple[str, str]], body: bytes = b"", method: str = "POST", path: str = "/"
    ) -> Reply:
        """Exactly these headers, and Content-Length where they say nothing of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            given = list(headers)
            for name, value in given:
                connection.putheader(name, value)
            if not {"content-length", "transfer-encoding"} & {name.lower() for name, _ in given}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            return _reply(connection.getresponse())
        finally:
            connection.close()

    def call(self, operation: str, request: Mapping[str, Any] | bytes, **options: Any) -> Reply:
        """One signed call. request: members, with blobs as bytes, or a body as it is."""
        body = request if isinstance(request, bytes) else written(request)
        return self.send(self.signed(body, f"RekognitionService.{operation}", **options), body)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


def _reply(response: http.client.HTTPResponse) -> Reply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


def received(stream: socket.socket) -> Reply:
    """The next answer on a connection."""
    response = http.client.HTTPResponse(stream, method="POST")
    response.begin()
    return _reply(response)


def written(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request, default=lambda blob: base64.b64encode(blob).decode()).encode()


def head(headers: Headers, *more: tuple[str, str], line: str = "POST / HTTP/1.1") -> bytes:
    """A request's head as bytes, for a raw socket."""
    lines = [line, *(f"{name}: {value}" for name, value in [*headers, *more])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def assert_refused(reply: Reply, code: str, sentence: str | None, status: int = 400) -> None:
    """The refusal in AWS's envelope. sentence: the whole message, or what stands before ": " and our detail;
    None where AWS says nothing."""
    assert (reply.status, reply.code) == (status, code), reply.body
    front = code in FRONT_END
    expected = {"__type", "message"} if front else {"__type", "Code", "Logref", "Message"}
    assert set(reply.json) == (expected if sentence is not None else {"__type"}), reply.body
    if sentence is not None:
        assert reply.message is not None
        assert reply.message == sentence or reply.message.startswith(f"{sentence}: "), reply.message
    if not front:
        assert reply.json["Code"] == code
        uuid.UUID(reply.json["Logref"])
    uuid.UUID(reply.headers["x-amzn-requestid"])
    assert reply.headers["content-type"] == JSON


def arn_of(wire: Wire, key: Key, collection: str) -> str:
    arn: str = wire.call("DescribeCollection", {"CollectionId": collection}, key=key).json["CollectionARN"]
    return arn


def peak() -> int:
    """The most memory this process, and so the server in it, has had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def ids(row: object) -> str | None:
    """A row's own text where it is short, else its number."""
    return row if isinstance(row, str) and len(row) < 40 else None
