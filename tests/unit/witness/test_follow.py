"""A witness that goes and reads what a log publishes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance.errors import LedgerError
from countenance.ledger import checkpoint
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.tiles import WIDTH, tree
from countenance.witness import Witness, found
from countenance.witness.source import Source
from tests.unit.witness.logs import ORIGIN, FakeLog, publish

NAME = "witness.example/w1"


@pytest.fixture
def log() -> FakeLog:
    return FakeLog(1200)


@pytest.fixture
def witness(tmp_path: Path, log: FakeLog) -> Witness:
    witness = found(tmp_path / "witness", NAME)
    witness.trust(log.public)
    return witness


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def evidence(tmp_path: Path) -> list[str]:
    return sorted(place.name.partition("-")[0] for place in tmp_path.glob("witness/logs/*/evidence/*"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url(out: Path) -> Iterator[str]:
    """The folder behind a plain web server."""
    out.mkdir(exist_ok=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(out))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_a_log_is_followed_as_it_grows(witness: Witness, log: FakeLog, out: Path, tmp_path: Path) -> None:
    for size in (0, 1, 255, 256, 257, 700, 700, 1200):
        publish(log, size, out)
        head = witness.follow(str(out))
        assert head.size == size
        name, key = checkpoint.read_witness_key(witness.line)
        assert checkpoint.cosigned(str(head.note), name, key) is not None
        assert witness.known()[0].size == size
    assert evidence(tmp_path) == []


def test_a_log_is_followed_over_http(witness: Witness, log: FakeLog, out: Path, url: str) -> None:
    publish(log, 300, out)
    assert witness.follow(url).size == 300
    publish(log, 1100, out, keep_partial=False)
    assert witness.follow(url).size == 1100
    (out / "tile/0/004.p/76").unlink()
    with pytest.raises(LedgerError, match=r"tile/0/004\.p/76 is not there"):
        witness.follow(url)
    with pytest.raises(LedgerError, match="does not answer"):
        witness.follow("http://127.0.0.1:9/")


def test_a_smaller_log_is_refused_and_kept(witness: Witness, log: FakeLog, out: Path, tmp_path: Path) -> None:
    publish(log, 700, out)
    witness.follow(str(out))
    publish(log, 300, out)
    with pytest.raises(LedgerError, match="size 300 contradicts the one of size 700"):
        witness.follow(str(out))
    assert evidence(tmp_path) == ["smaller"]
    assert witness.known()[0].size == 700


def test_another_log_of_the_same_size_is_refused_and_kept(
    witness: Witness, log: FakeLog, out: Path, tmp_path: Path
) -> None:
    publish(log, 700, out)
    witness.follow(str(out))
    publish(FakeLog(700, changed=(699,)), 700, out)
    with pytest.raises(LedgerError, match="size 700 contradicts"):
        witness.follow(str(out))
    assert evidence(tmp_path) == ["split"]


@pytest.mark.parametrize("changed", [0, 255, 256, 511, 512, 698, 699])
def test_a_rewritten_log_is_refused_and_kept(
    witness: Witness, log: FakeLog, out: Path, tmp_path: Path, changed: int
) -> None:
    publish(log, 700, out)
    witness.follow(str(out))
    publish(FakeLog(1200, changed=(changed,)), 1200, out)
    for _ in range(2):
        with pytest.raises(LedgerError, match="size 1200 contradicts the one of size 700"):
            witness.follow(str(out))
    assert evidence(tmp_path) == ["fork"]
    assert witness.known()[0].size == 700


def test_a_tile_put_back_to_hide_a_rewritten_entry_does_not_deceive(
    witness: Witness, log: FakeLog, out: Path
) -> None:
    """The tiles lead to the new head, and to the old one too: but not from the one to the other."""
    publish(log, 700, out)
    witness.follow(str(out))
    fork = FakeLog(1200, changed=(600,))
    publish(fork, 1200, out)
    (out / "tile/0/002").write_bytes(
        b"".join(log.tree.nodes.get(0, number) for number in range(2 * WIDTH, 3 * WIDTH))
    )
    read = tree(Source(str(out)).tile, 1200)
    assert (read.root(), read.root(700)) == (fork.tree.root(1200), log.tree.root(700))
    with pytest.raises(LedgerError, match="the tiles do not fit each other"):
        witness.follow(str(out))
    assert witness.known()[0].size == 700


def test_a_tile_that_was_damaged_is_no_evidence(
    witness: Witness, log: FakeLog, out: Path, tmp_path: Path
) -> None:
    publish(log, 700, out)
    witness.follow(str(out))
    publish(log, 1200, out)
    for name in ("tile/1/000.p/4", "tile/0/004.p/176", "tile/0/002"):
        file = out / name
        content = bytearray(file.read_bytes())
        content[100 % len(content)] ^= 1
        file.write_bytes(content)
        with pytest.raises(LedgerError, match=r"do not fit each other|do not lead"):
            witness.follow(str(out))
        content[100 % len(content)] ^= 1
        file.write_bytes(content)
    assert evidence(tmp_path) == []
    assert witness.follow(str(out)).size == 1200


def test_what_is_not_there_or_not_trusted_is_said(witness: Witness, log: FakeLog, out: Path) -> None:
    with pytest.raises(LedgerError, match="checkpoint is not there"):
        witness.follow(str(out))
    other = FakeLog(5, origin="countenance.example/other")
    publish(other, 5, out)
    with pytest.raises(LedgerError, match="say `countenance witness trust`"):
        witness.follow(str(out))
    publish(FakeLog(5, key=Ed25519PrivateKey.generate()), 5, out)
    with pytest.raises(LedgerError, match="not signed by this log's key"):
        witness.follow(str(out))
    (out / "checkpoint").write_bytes(b"\xff")
    with pytest.raises(LedgerError, match="is not text"):
        witness.follow(str(out))
    (out / "checkpoint").write_text(checkpoint.sign(Checkpoint(ORIGIN, 10**17, bytes(32)), log.key))
    with pytest.raises(LedgerError, match="is not there"):
        witness.follow(str(out))
