"""The witness's protocol over real connections."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from countenance.errors import HomeError, LedgerError
from countenance.ledger import checkpoint, submission
from countenance.ledger.submission import LONGEST, SIZE_TYPE
from countenance.ledger.submission import Witness as Outsider
from countenance.witness import Witness, found, serving
from countenance.witness.serving import Serving
from countenance.witness.source import Source
from tests.unit.witness.logs import ORIGIN, FakeLog

NAME = "witness.example/w1"


@pytest.fixture
def log() -> FakeLog:
    return FakeLog(40)


@pytest.fixture
def server(tmp_path: Path, log: FakeLog) -> Iterator[Serving]:
    witness = found(tmp_path / "witness", NAME)
    witness.trust(log.public)
    with answering(witness) as server:
        yield server


@contextmanager
def answering(witness: Witness) -> Iterator[Serving]:
    with Serving(witness) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def outsider(server: Serving) -> Outsider:
    """The witness as a log's settings name it."""
    return Outsider.read(f"{server.url}/ {server.witness.line}")


def connect(server: Serving) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)


def test_a_log_has_its_heads_signed(log: FakeLog, outsider: Outsider) -> None:
    for known, size in ((0, 5), (5, 5), (0, 20), (20, 33), (40, 40)):  # right, guessed too low, too high
        note = outsider.submit(log.head(size), known, lambda old, size=size: log.tree.consistency(old, size))  # type: ignore[misc]
        assert checkpoint.verify(note, ORIGIN, log.key.public_key()).size == size
        assert checkpoint.cosigned(note, NAME, outsider.key) is not None


def test_a_log_that_was_put_back_learns_it_from_its_witness(log: FakeLog, outsider: Outsider) -> None:
    outsider.submit(log.head(30), 0, lambda old: log.tree.consistency(old, 30))
    with pytest.raises(LedgerError, match="signed 30 entries of this log before, and now there are 20"):
        outsider.submit(log.head(20), 0, lambda old: log.tree.consistency(old, 20))


def test_a_fork_is_refused_over_the_wire(log: FakeLog, outsider: Outsider, server: Serving) -> None:
    outsider.submit(log.head(30), 0, lambda old: log.tree.consistency(old, 30))
    fork = FakeLog(40, changed=(3,))
    with pytest.raises(LedgerError, match="does not sign: 409 another head of this size"):
        outsider.submit(fork.head(30), 30, lambda old: fork.tree.consistency(old, 30))
    with pytest.raises(LedgerError, match="does not sign: 422"):
        outsider.submit(fork.head(40), 30, lambda old: fork.tree.consistency(old, 40))
    assert len(server.witness.known()[0].evidence) == 2


def test_an_answer_of_another_witness_is_not_taken(log: FakeLog, server: Serving, tmp_path: Path) -> None:
    other = found(tmp_path / "other", "witness.example/w2")
    expected = Outsider.read(f"{server.url} {other.line}")
    with pytest.raises(LedgerError, match="somebody else's signature"):
        expected.submit(log.head(5), 0, lambda _: [])


def test_a_witness_that_is_not_there_is_said(log: FakeLog, server: Serving) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    absent = Outsider.read(f"http://127.0.0.1:{port} {server.witness.line}")
    with pytest.raises(LedgerError, match="does not answer"):
        absent.submit(log.head(5), 0, lambda _: [])


def test_one_connection_serves_many(log: FakeLog, server: Serving) -> None:
    connection = connect(server)
    known = 0
    for size in (3, 9, 27):
        connection.request("POST", "/add-checkpoint", log.submission(known, size).encode())
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert answer.read().decode().startswith(f"\N{EM DASH} {NAME} ")
        known = size
    connection.request("POST", "/add-checkpoint", log.submission(0, 5).encode())
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"], answer.read()) == (409, SIZE_TYPE, b"27\n")
    connection.request("GET", "/")
    assert connection.getresponse().read().decode().strip() == server.witness.line
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/add-checkpoint", b"\xff", {}, 400),
        ("POST", "/add-checkpoint", b"old 0", {}, 400),
        ("POST", "/add-checkpoint", b"x", {"Content-Length": "-1"}, 411),
        ("POST", "/add-checkpoint", b"x", {"Content-Length": "many"}, 411),
        ("POST", "/add-checkpoint", b"", {"Content-Length": str(LONGEST + 1)}, 413),
        ("POST", "/elsewhere", b"", {}, 404),
        ("GET", "/add-checkpoint", None, {}, 404),
        ("PUT", "/add-checkpoint", b"", {}, 501),
    ],
)
def test_what_is_not_of_the_protocol_is_refused(
    server: Serving, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    connection = connect(server)
    connection.request(method, path, body, headers)
    assert connection.getresponse().status == status
    connection.close()


def test_chunks_are_not_taken(server: Serving) -> None:
    connection = connect(server)
    connection.request("POST", "/add-checkpoint", iter([b"old 0"]), encode_chunked=True)
    assert connection.getresponse().status == 411
    connection.close()


def test_a_disk_that_is_full_signs_nothing(
    log: FakeLog, server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    connection = connect(server)
    with monkeypatch.context() as broken:
        broken.setattr("countenance.witness.write", full)
        connection.request("POST", "/add-checkpoint", log.submission(0, 5).encode())
        answer = connection.getresponse()
        assert (answer.status, b"cannot sign" in answer.read()) == (500, True)
    connection.request("POST", "/add-checkpoint", log.submission(0, 5).encode())
    assert connection.getresponse().status == 200
    connection.close()


def test_who_says_nothing_holds_no_place_for_long(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", server.server_address[1])) as idle:
        idle.settimeout(5)
        assert idle.recv(1) == b""


def test_a_crowd_is_turned_away_and_the_next_one_served(
    log: FakeLog, server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "CONNECTIONS", 2)
    with answering(server.witness) as small:
        turned_away_and_served(log, small)


def turned_away_and_served(log: FakeLog, server: Serving) -> None:
    crowd = [socket.create_connection(("127.0.0.1", server.server_address[1])) for _ in range(6)]
    for each in crowd:
        each.settimeout(5)
    assert sum(_closed(each) for each in crowd[2:]) == 4
    for each in crowd:
        each.close()
    connection = connect(server)
    for _ in range(50):  # until the first two are seen to be gone
        try:
            connection.request("POST", "/add-checkpoint", log.submission(0, 5).encode())
            assert connection.getresponse().status == 200
            break
        except (http.client.HTTPException, OSError):
            connection.close()
    else:
        pytest.fail("no place became free")
    connection.close()


def _closed(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "line",
    [
        "",
        "witness.example/w1",
        "ftp://witness.example {key}",
        "https://a https://b {key}",
        "https://witness.example countenance.example/log+xyz",
    ],
)
def test_a_line_that_names_no_witness_is_refused(server: Serving, line: str) -> None:
    with pytest.raises(LedgerError):
        Outsider.read(line.format(key=server.witness.line))


def test_a_witness_that_comes_by_itself_has_no_url(server: Serving) -> None:
    outsider = Outsider.read(server.witness.line)
    assert (outsider.name, outsider.url) == (NAME, "")


SIZE = f"Content-Type: {SIZE_TYPE}\r\n".encode()
ODD_ANSWERS = {
    "no HTTP": b"hello\r\n\r\n",
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    "a header too long": b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
    "a size that is a digit and no number": b"HTTP/1.1 409 No\r\n" + SIZE + "\r\n²".encode(),
    "a size of too many digits": b"HTTP/1.1 409 No\r\n" + SIZE + b"\r\n" + b"9" * 5000,
    "elsewhere": b"HTTP/1.1 302 No\r\nLocation: file:///etc/hostname\r\n\r\n",
}


@contextmanager
def saying(answer: bytes, pause: float = 0.0) -> Iterator[str]:
    """A server that answers this to everybody, byte by byte where there is a pause; its URL."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    client.recv(65536)
                    for at in range(0, len(answer), 1 if pause else len(answer)):
                        client.sendall(answer[at : at + 1] if pause else answer)
                        time.sleep(pause)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("name", ODD_ANSWERS)
def test_whatever_somebody_else_sends_is_one_error(name: str, log: FakeLog, server: Serving) -> None:
    """A log publishes all the same where a witness is mad, and a witness goes on where a web host is."""
    with saying(ODD_ANSWERS[name]) as url:
        with pytest.raises(LedgerError, match="the witness"):
            Outsider.read(f"{url} {server.witness.line}").submit(log.head(5), 0, lambda _: [])
        with pytest.raises(LedgerError, match=r"checkpoint (does not answer|answers with status)"):
            Source(url).text("checkpoint")


def test_an_answer_byte_by_byte_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "PATIENCE", 0.3)
    with (
        saying(b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 100, pause=0.02) as url,
        pytest.raises(LedgerError, match="longer than"),
    ):
        Source(url).text("checkpoint")


def test_a_taken_port_is_said(server: Serving) -> None:
    with pytest.raises(HomeError, match="cannot listen"):
        Serving(server.witness, port=server.server_address[1])
