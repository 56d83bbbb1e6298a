"""A log of made-up calls as an exported folder, written here and not by the code that exports: what the
stand-alone verifier is tested on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance.ledger.checkpoint import Checkpoint, sign, verifier_key
from countenance.ledger.merkle import Tree, leaf_hash

ORIGIN = "countenance.example/tested"
FIRST, SECOND, WITNESS = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))
LINES = [verifier_key(ORIGIN, key.public_key()) for key in (FIRST, SECOND)]
SUBJECT = bytes(range(32))

Entry = dict[str, Any]
Files = dict[str, bytes]


class Complete:
    """All nodes of a tree that are complete."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}

    def get(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]

    def put(self, level: int, index: int, value: bytes) -> None:
        self.nodes[level, index] = value


def body(entry: Mapping[str, Any], *, sort_keys: bool = True, ensure_ascii: bool = False) -> bytes:
    """An entry as the log writes it; with the options as other tools do."""
    return json.dumps(entry, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=ensure_ascii).encode()


def tag(seq: int) -> str:
    digest = hmac.new(SUBJECT, f"countenance/subject/{seq}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:8]).decode().rstrip("=")


def calls(size: int, rotated: int | None = None) -> list[Entry]:
    """Entries of calls by three keys; every fifth is refused, the last one may be unfinished.

    rotated: the place of an entry that hands the log over to the second key.
    """
    made: list[Entry] = []
    counters = dict.fromkeys("abc", 0)
    open_call: Entry | None = None
    for seq in range(size):
        if seq == rotated:
            entry = {"kind": "govern", "act": "rotate", "key_before": LINES[0], "key": LINES[1]}
        elif open_call:
            entry, open_call = _outcome(open_call), None
        else:
            caller = "abc"[seq % 3]
            counters[caller] += 1
            entry = open_call = _decision(seq, caller, counters[caller])
        made.append({"v": 1, "seq": seq, "time": _time(seq), **entry})
    return made


def _decision(seq: int, caller: str, counter: int) -> Entry:
    return {
        "seq": seq,
        "kind": "decision",
        "operation": "SearchFacesByImage",
        "purpose": "general",
        "allowed": seq % 5 != 0,
        "rules": ["base/permit-ordinary"],
        "account": "736518890864",
        "organisation_kind": "business",
        "place": "US-CA",
        "collection": "Gäste",
        "threshold": "80.0000",
        "caller": caller,
        "counter": counter,
    }


def _outcome(decision: Entry) -> Entry:
    about = decision["seq"]
    if not decision["allowed"]:
        told: Entry = {"result": "refused", "error": "AccessDeniedException"}
    else:
        subjects = [tag(about)] if about % 7 == 0 else ["A" * 11]
        told = {"result": "answered", "candidates": 1, "top": "95-99", "subjects": subjects}
    return {"kind": "outcome", "decision": about, **told}


def _time(seq: int) -> str:
    return f"2026-11-{1 + seq // 1440 % 28:02d}T{seq // 60 % 24:02d}:{seq % 60:02d}:00.000Z"


def grow(bodies: Sequence[bytes]) -> Tree:
    tree = Tree(Complete())
    for entry in bodies:
        tree.append(leaf_hash(entry))
    return tree


def note(tree: Tree, size: int, *keys: Ed25519PrivateKey) -> bytes:
    """A head with the signature of each key."""
    notes = [sign(Checkpoint(ORIGIN, size, tree.root(size)), key) for key in keys]
    text = notes[0].partition("\n\n")[0]
    return f"{text}\n\n{''.join(one.partition(chr(10) * 2)[2] for one in notes)}".encode()


def cosign(head: bytes, key: Ed25519PrivateKey = WITNESS, name: str = "witness.example") -> bytes:
    when = 1_764_000_000
    text = head.partition(b"\n\n")[0] + b"\n"
    identity = hashlib.sha256(name.encode() + b"\n\x04" + key.public_key().public_bytes_raw()).digest()[:4]
    raw = identity + when.to_bytes(8, "big") + key.sign(b"cosignature/v1\ntime %d\n" % when + text)
    return head + f"\N{EM DASH} {name} {base64.b64encode(raw).decode()}\n".encode()


def witness_line(key: Ed25519PrivateKey = WITNESS, name: str = "witness.example") -> str:
    raw = b"\x04" + key.public_key().public_bytes_raw()
    identity = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    return f"{name}+{identity.hex()}+{base64.b64encode(raw).decode()}\n"


def path(kind: str, number: int, width: int) -> str:
    assert number < 1000, "logs in tests are small"
    return f"tile/{kind}/{number:03d}" + ("" if width == 256 else f".p/{width}")


def published(
    bodies: Sequence[bytes],
    kept: Sequence[int] = (),
    rotated: int | None = None,
    *,
    handover: int | None = None,
    further: Sequence[int] = (),
) -> Files:
    """The files of an export. rotated: the entry after which the second key signs; handover: the size of the
    head that both sign, one more if it is not given. further: older sizes whose partial tiles are left."""
    tree, size = grow(bodies), len(bodies)
    handover = handover or (size + 1 if rotated is None else rotated + 1)

    def head(at: int) -> bytes:
        keys = [FIRST] * (at <= handover) + [SECOND] * (at >= handover)
        return note(tree, at, *keys)

    files: Files = {"checkpoint": head(size), "log.pub": "".join(f"{line}\n" for line in LINES[:1]).encode()}
    if rotated is not None:
        files["log.pub"] = "".join(f"{line}\n" for line in LINES).encode()
        kept = [*kept, handover]
    files |= {f"checkpoints/{at}": head(at) for at in kept}
    for at in (*further, size):
        files |= _tiles(tree, bodies, at)
    return files


def _tiles(tree: Tree, bodies: Sequence[bytes], size: int) -> Files:
    files: Files = {}
    level = 0
    while size >> 8 * level:
        count = size >> 8 * level
        for number in range((count + 255) // 256):
            places = range(256 * number, min(256 * number + 256, count))
            hashes = [tree.nodes.get(8 * level, place) for place in places]
            files[path(str(level), number, len(hashes))] = b"".join(hashes)
            if level == 0:
                bundle = [len(bodies[n]).to_bytes(2, "big") + bodies[n] for n in places]
                files[path("entries", number, len(hashes))] = b"".join(bundle)
        level += 1
    return files


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def receipt(bodies: Sequence[bytes], numbers: Sequence[int], *keys: Ed25519PrivateKey) -> Entry:
    tree, size = grow(bodies), len(bodies)
    signers = keys or (FIRST,)
    return {
        "Origin": ORIGIN,
        "Key": LINES[[FIRST, SECOND].index(signers[-1])],
        "Checkpoint": note(tree, size, *signers).decode(),
        "Entries": [
            {
                "Number": number,
                "Body": bodies[number].decode(),
                "Proof": [base64.b64encode(step).decode() for step in tree.inclusion(number, size)],
            }
            for number in numbers
        ],
    }
