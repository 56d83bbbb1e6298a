"""Another implementation reads what we publish: the Go project's transparency log and signed notes.

Debian has it: golang-go and golang-golang-x-mod-dev.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance.database import Database
from countenance.ledger import KEPT_EVERY, Ledger
from countenance.ledger.checkpoint import Checkpoint, cosign, read_key, sign, verify, witness_key
from countenance.ledger.export import Log, export, fetcher, published_entries
from countenance.ledger.merkle import leaf_hash
from countenance.ledger.tiles import tree

SOURCES = Path("/usr/share/gocode")
"""Where Debian's packages put Go libraries."""

pytestmark = pytest.mark.skipif(
    shutil.which("go") is None or not (SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir(),
    reason="needs Debian's golang-go and golang-golang-x-mod-dev",
)

ORIGIN = "countenance.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS_NAME = "witness.example/w1"
SIZE = 1777
"""Six full tiles, a partial one, and one above them."""


@pytest.fixture(scope="module")
def tlog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tlog.go, built."""
    program = tmp_path_factory.mktemp("go") / "tlog"
    source = Path(__file__).with_name("tlog.go")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(SOURCES), "GOFLAGS": ""}
    environment.setdefault("HOME", str(program.parent))
    subprocess.run(["go", "build", "-o", program, source], env=environment, check=True, timeout=300)
    return program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of our own database, published in two steps, with a witness under its head."""
    place = tmp_path_factory.mktemp("log")
    database = Database(f"sqlite:///{place}/home.db")
    ledger = Ledger(KEY, ORIGIN)
    database.keep(ledger)
    log = Log(ORIGIN, (KEY.public_key(),))
    kept: dict[int, str] = {}
    for size in (700, 1200, SIZE):
        database.write(
            lambda connection, size=size: [  # type: ignore[misc]
                ledger.append(connection, {"v": 1, "kind": "decision", "text": "é\u2028" * (n % 7)})
                for n in range(size - max(kept, default=0))
            ]
        )
        with database.reading() as connection:
            [note] = connection.exec_driver_sql(f"SELECT note FROM checkpoints WHERE size = {size}").scalars()
        head = {**kept}
        kept[size] = note
        signed = note + cosign(note, WITNESS_NAME, WITNESS, 1_700_000_000 + size)
        export(place / "out", log, signed, database.reading, head)
    database.close()
    return place / "out"


def written(*hashes: bytes) -> list[str]:
    return [base64.b64encode(value).decode() for value in hashes]


def cases(folder: Path) -> dict[str, Any]:
    """Proofs of ours at all kinds of places."""
    whole = tree(fetcher(folder), SIZE)
    bodies = list(published_entries(folder, SIZE))
    chance = random.Random(6962)
    sizes = [1, 2, 3, 255, 256, 257, 1024, SIZE, *chance.choices(range(1, SIZE), k=40)]
    inclusion = []
    for size in sizes:
        for index in {0, size - 1, chance.randrange(size)}:
            [root, leaf] = written(whole.root(size), leaf_hash(bodies[index]))
            proof = written(*whole.inclusion(index, size))
            inclusion.append({"Size": size, "Index": index, "Root": root, "Leaf": leaf, "Proof": proof})
    consistency = []
    for new in sizes:
        for old in {1, new, chance.randint(1, new)}:
            [before, after] = written(whole.root(old), whole.root(new))
            proof = written(*whole.consistency(old, new))
            consistency.append({"Old": old, "New": new, "OldRoot": before, "NewRoot": after, "Proof": proof})
    witness = witness_key(WITNESS_NAME, WITNESS.public_key())
    return {"Inclusion": inclusion, "Consistency": consistency, "Witness": witness}


def check(tlog: Path, folder: Path, given: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [tlog, "check", folder, given]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def given(folder: Path) -> Path:
    path = folder.with_name("cases.json")
    path.write_text(json.dumps(cases(folder)))
    return path


def test_go_reads_our_log(tlog: Path, folder: Path, given: Path) -> None:
    done = check(tlog, folder, given)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert (counts["Size"], counts["Entries"], counts["Kept"]) == (SIZE, SIZE, 2)
    assert counts["Tiles"] == 8
    assert counts["WitnessTime"] == 1_700_000_000 + SIZE
    assert min(counts["Inclusion"], counts["Consistency"]) >= 90
    assert counts["Refused"] > 1000


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("checkpoint", "invalid signature"),
        ("checkpoints/700", "invalid signature"),
        ("tile/0/003", "invalid transparency proof"),
        ("tile/1/000.p/6", "inconsistent"),
        ("tile/entries/004", "invalid transparency proof"),
    ],
)
def test_go_refuses_our_log_once_a_byte_was_changed(
    tlog: Path, folder: Path, given: Path, tmp_path: Path, name: str, told: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(ORIGIN) + 1 if "checkpoint" in name else 40] ^= 1
    (copy / name).write_bytes(content)
    done = check(tlog, copy, given)
    assert done.returncode == 1
    assert told in done.stderr


def test_we_read_a_checkpoint_that_go_signed(tlog: Path) -> None:
    done = subprocess.run([tlog, "sign"], capture_output=True, text=True, check=True, timeout=60)
    line, _, note = done.stdout.partition("\n\n")
    name, key = read_key(line)
    assert verify(note, name, key) == Checkpoint("go.example/log", 1, leaf_hash(b"the only entry"))


def test_our_heads_are_kept_by_the_thousand() -> None:
    """What the log above relies on: its first head is in the first thousand, its second in the next."""
    assert 700 // KEPT_EVERY != 1200 // KEPT_EVERY
    assert sign(Checkpoint(ORIGIN, 0, bytes(32)), KEY).startswith(ORIGIN)
