"""How the shell reaches the door: as everybody does, by a boto3 client that signs with a key of the home.

While a server runs on the home, over HTTP. Otherwise a Service is built here and the client's requests,
signed all the same, are handed to it: one code path, and no way around the door.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from countenance import settings as homes
from countenance.aws import sigv4
from countenance.cli import signing, weights
from countenance.client import carry
from countenance.service import Service
from countenance.settings import Settings
from countenance.types import EMPTY
from countenance.vision import zoo


@dataclass(frozen=True, slots=True)
class Notice:
    """What a running server says of itself in the home. certificate: its own, where it speaks TLS."""

    url: str
    pid: int
    certificate: str | None = None


@contextmanager
def opened(
    home: Path, parallel: int = 1, said: Mapping[str, str] = EMPTY, notice: Notice | None = None
) -> Iterator[Any]:
    """A boto3 client of the home. parallel: how many threads will share it. said: headers by which its calls
    say what they are for. notice: of the server to go to, if that is known. Raises HomeError."""
    settings = homes.load(home)
    if notice := notice or find(settings):
        client = _client(settings, notice.url, parallel, verify=notice.certificate)
        carry(client, said)
        yield client
        return
    weights.pull_missing(zoo.fetched_for("", commercial_only=settings.commercial_only))
    service = Service(settings)
    try:
        client = _client(settings, "http://localhost", parallel)
        carry(client, said)
        client.meta.events.register(
            "before-send.rekognition.*", lambda request, **_: _handed_over(request, service)
        )
        yield client
    finally:
        service.close()


def find(settings: Settings) -> Notice | None:
    """The server that runs on a home; None where there is none that is alive and answers."""
    try:
        notice = Notice(**json.loads(settings.server.read_text()))
        os.kill(notice.pid, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError, TypeError):
        return None
    except PermissionError:
        pass  # alive, and somebody else's
    return None if signing.unreachable(notice.url, notice.certificate) else notice


def _client(settings: Settings, url: str, parallel: int, verify: str | None = None) -> Any:
    return signing.client(settings.credentials, url, settings.region, parallel, verify)


def _handed_over(request: AWSPreparedRequest, service: Service) -> AWSResponse:
    """A signed request of the client, answered by a Service in this process."""
    address = urlsplit(request.url)
    body = request.body or b""
    headers = {name.lower(): _decoded(value) for name, value in request.headers.items()}
    headers.setdefault("host", address.netloc)  # which HTTP would add, and the signature covers
    answer = service.answer(
        sigv4.Request(
            method=request.method,
            path=address.path or "/",
            query=address.query,
            headers=tuple(headers.items()),
            body=body.encode() if isinstance(body, str) else bytes(body),
        )
    )
    told = {
        "x-amzn-RequestId": answer.request_id,
        "content-type": "application/x-amz-json-1.1",
        **answer.headers,
    }
    return AWSResponse(request.url, answer.status, told, _Body(answer.body))


def _decoded(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Body(io.BytesIO):
    """An answer's bytes as botocore reads them from a connection."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()
