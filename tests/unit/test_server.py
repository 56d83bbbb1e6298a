"""What the server bounds that neither uvicorn nor httptools does."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from countenance import server
from countenance.testing import TestServer


def sent(running: TestServer, start: bytes, more: bytes, limit: int) -> tuple[bytes, int]:
    """What is answered to a request that never ends, and how many bytes of it were taken."""
    address = urlsplit(running.url)
    taken, answer = len(start), b""
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as line:
        line.sendall(start)
        line.settimeout(0.02)
        while taken < limit:
            try:
                line.sendall(more)
                taken += len(more)
                answer += line.recv(4096)
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
            if answer:
                break
    return answer, taken


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /", b"a" * 16384),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx-long: ", b"a" * 16384),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", b"x-many: 1\r\n" * 1500),
    ],
)
def test_a_head_without_end_is_cut_off(running: TestServer, start: bytes, more: bytes) -> None:
    answer, taken = sent(running, start, more, 64 * 2**20)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    assert taken < 16 * 2**20, "the server took it all"


def test_a_head_that_dawdles_is_not_waited_for(running: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "READ_WITHIN", 0.3)
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nhost:")
        assert line.recv(100) == b""
