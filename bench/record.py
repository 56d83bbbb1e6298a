"""A made-up record of any length as an exported folder, and how long the stand-alone file takes to verify it.

    python bench/record.py --make FOLDER [--entries 1000000]
    python bench/record.py --verify FOLDER [--rounds 3]

What is made: searches, comparisons and detections by 40 keys of 12 organisations, of which every eighth call
is refused, each with its outcome; entries have the members and the lengths of real ones (350 bytes on
average). A commit holds 1 to 32 entries; of each thousand the first head is kept, and halfway the key is
handed over. The project's own code writes tiles, notes and canonical JSON.

Verifying runs in a process of its own on one core; seconds are its wall clock, memory its largest.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import hashlib
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance import ledger
from countenance.ledger import KEPT_EVERY, checkpoint, tiles
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.entry import canonical
from countenance.ledger.merkle import Frontier, Tree, leaf_hash

ORIGIN = "countenance.example/bench"
VERIFIER = Path(ledger.__file__).parent / "verifier" / "countenance_verify.py"
BEGAN = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
CALLS = (
    ("SearchFacesByImage", "identify", "collection"),
    ("CompareFaces", "verify", None),
    ("DetectFaces", "detect", None),
    ("IndexFaces", "enrol", "collection"),
)
TOPS = ("99-100", "95-99", "90-95", "80-90")


def entries(count: int, handover: tuple[int, str, str], chance: random.Random) -> Iterator[dict[str, object]]:
    """Decisions and their outcomes by turns, and one entry that hands the key over.

    handover: its number and the verifier keys of before and after.
    """
    counters = [0] * 40
    decision: dict[str, object] | None = None
    for seq in range(count):
        now = (BEGAN + dt.timedelta(milliseconds=1250 * seq)).isoformat(timespec="milliseconds")
        stamp = {"v": 1, "seq": seq, "time": now.replace("+00:00", "Z")}
        if seq == handover[0]:
            yield stamp | {
                "kind": "govern",
                "act": "rotate",
                "key_before": handover[1],
                "key": handover[2],
            }
        elif decision is None:
            key = chance.randrange(40)
            counters[key] += 1
            decision = stamp | _decision(key, counters[key], chance)
            yield decision
        else:
            yield stamp | _outcome(decision, chance)
            decision = None


def _decision(key: int, counter: int, chance: random.Random) -> dict[str, object]:
    operation, action, collection = CALLS[chance.choices(range(4), (6, 2, 2, 1))[0]]
    allowed = chance.random() > 0.125
    entry: dict[str, object] = {
        "kind": "decision",
        "request": str(base64.b16encode(chance.randbytes(16)), "ascii").lower(),
        "operation": operation,
        "actions": [action],
        "allowed": allowed,
        "rules": ["base/permit-ordinary"] if allowed else ["us-wa/no-continuous", "us-ca-sf/forbid-police"],
        "errors": [],
        "pack": hashlib.sha256(b"packs").hexdigest(),
        "account": f"7365188908{key % 12:02d}",
        "organisation_kind": "police" if key % 12 < 4 else "business",
        "place": ("US-WA", "US-CA-SF", "DE", "world")[key % 4],
        "purpose": ("criminal-investigation", "photo-library")[key % 12 > 3],
        "caller": hashlib.sha256(b"%d" % key).hexdigest()[:24],
        "counter": counter,
    }
    if collection:
        entry |= {
            "collection": f"gallery-{key % 12}",
            "collection_size": 1000 + counter,
            "model": "sface-2021dec",
        }
    if action in ("identify", "verify"):
        entry |= {"threshold": "80.0000"}
    if key % 12 < 4:
        entry |= {"case": chance.randbytes(32).hex(), "offence": ("theft", "violent")[counter % 2]}
    return entry


def _outcome(decision: dict[str, object], chance: random.Random) -> dict[str, object]:
    entry: dict[str, object] = {"kind": "outcome", "decision": decision["seq"]}
    if not decision["allowed"]:
        return entry | {"result": "refused", "error": "AccessDeniedException"}
    entry |= {"result": "answered"}
    if decision["actions"] in (["identify"], ["verify"]):
        found = chance.choices((0, 1, 3, 5), (4, 4, 2, 1))[0]
        tags = [str(base64.urlsafe_b64encode(chance.randbytes(8)), "ascii")[:11] for _ in range(found)]
        entry |= {"candidates": found} | ({"top": chance.choice(TOPS), "subjects": tags} if found else {})
    elif decision["actions"] == ["enrol"]:
        entry |= {
            "enrolled": 1,
            "subjects": [str(base64.urlsafe_b64encode(chance.randbytes(8)), "ascii")[:11]],
        }
    return entry


def make(folder: Path, count: int) -> None:
    """Write the folder, from the first entry to the last, with bundles and tiles as they fill."""
    chance = random.Random(5)
    old, new = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    lines = [checkpoint.verifier_key(ORIGIN, key.public_key()) for key in (old, new)]
    turn = count // 2
    tree, bodies, rows = Tree(Frontier()), list[bytes](), dict[int, list[bytes]]()
    _write(folder / "log.pub", "".join(f"{line}\n" for line in lines).encode())
    commit = kept = 0
    for entry in entries(count, (turn, lines[0], lines[1]), chance):
        body = canonical(entry)
        bodies.append(body)
        for level, _, value in tree.append(leaf_hash(body)):
            if level % tiles.HEIGHT == 0:
                rows.setdefault(level // tiles.HEIGHT, []).append(value)
        _flush(folder, tree.size, bodies, rows)
        commit = commit or chance.randint(1, 32)
        commit -= 1
        handover = tree.size == turn + 1
        if handover or (commit == 0 and tree.size // KEPT_EVERY > kept):
            keys = [old] * (tree.size <= turn + 1) + [new] * (tree.size > turn)
            _write(folder / "checkpoints" / str(tree.size), _note(tree, keys))
            kept = tree.size // KEPT_EVERY
    _flush(folder, tree.size, bodies, rows, last=True)
    _write(folder / "checkpoint", _note(tree, [new] if count > turn + 1 else [old, new]))


def _flush(
    folder: Path, size: int, bodies: list[bytes], rows: dict[int, list[bytes]], *, last: bool = False
) -> None:
    """Write the tiles that are full, or what is left of them at the end."""
    for level, row in rows.items():
        if row and (last or len(row) == tiles.WIDTH):
            number = ((size >> tiles.HEIGHT * level) - 1) // tiles.WIDTH
            _write(folder / tiles.path(level, number, len(row)), b"".join(row))
            if level == 0:
                _write(folder / tiles.path(tiles.ENTRIES, number, len(row)), tiles.bundle(bodies))
                bodies.clear()
            row.clear()


def _note(tree: Tree, keys: list[Ed25519PrivateKey]) -> bytes:
    notes = [checkpoint.sign(Checkpoint(ORIGIN, tree.size, tree.root()), key) for key in keys]
    return (notes[0] + "".join(note.partition("\n\n")[2] for note in notes[1:])).encode()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def verify(folder: Path, rounds: int) -> None:
    took = []
    core = min(os.sched_getaffinity(0))
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-I", str(VERIFIER), "log", str(folder), "--key", str(folder / "log.pub")],
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        took.append(time.perf_counter() - began)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{statistics.median(took):.1f} s ({min(took):.1f} to {max(took):.1f}), processor "
        f"{(used.ru_utime + used.ru_stime) / rounds:.1f} s, {used.ru_maxrss / 1024:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--make", type=Path, metavar="FOLDER")
    parser.add_argument("--verify", type=Path, metavar="FOLDER")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.make:
        began = time.perf_counter()
        make(options.make, options.entries)
        print(f"{options.entries:,} entries made in {time.perf_counter() - began:.0f} s")
    if options.verify:
        verify(options.verify, options.rounds)


if __name__ == "__main__":
    main()
