"""Signed heads of the log, pure: C2SP tlog-checkpoint text inside a C2SP signed note, Ed25519.

    countenance.example/4f2a          the log's origin, also the name of its key
    1881                              how many entries
    y8Q...=                           the Merkle root over them, base64

    — countenance.example/4f2a Fz...= the key's id (4 bytes) and signature (64 bytes), base64

The format is what public transparency logs and their witnesses speak, so others can check ours
with code that is not ours.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countenance.errors import LedgerError

_ED25519 = b"\x01"
"""The algorithm's byte in a key id (C2SP signed-note)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A claim about the log: its first `size` entries have this Merkle root (32 bytes)."""

    origin: str
    size: int
    root: bytes


def key_id(name: str, key: Ed25519PublicKey) -> bytes:
    """Four bytes that tell keys apart (C2SP signed-note): a hash of name, algorithm and public key."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw).digest()[:4]


def verifier_key(name: str, key: Ed25519PublicKey) -> str:
    """The public key as other implementations take it: name+id+base64 (C2SP signed-note)."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"{name}+{key_id(name, key).hex()}+{base64.b64encode(_ED25519 + raw).decode()}"


def read_key(line: str) -> tuple[str, Ed25519PublicKey]:
    """The log's name and public key in a line that `verifier_key` wrote. Raises LedgerError."""
    name, _, rest = line.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    raw = _decode(encoded)
    if len(raw) != 33 or raw[:1] != _ED25519:
        raise LedgerError("a verifier key is written name+id+key, and its key is an Ed25519 one")
    key = Ed25519PublicKey.from_public_bytes(raw[1:])
    if key_id(name, key).hex() != identity:
        raise LedgerError(f"the verifier key of {name} was damaged: its id is another key's")
    return name, key


def sign(head: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note of a head, under the origin's name. Raises ValueError for a name notes cannot carry."""
    if not head.origin or "+" in head.origin or any(c.isspace() or not c.isprintable() for c in head.origin):
        raise ValueError(
            f"the origin {head.origin!r} is empty or holds a space, a plus or a control character"
        )
    text = f"{head.origin}\n{head.size}\n{base64.b64encode(head.root).decode()}\n"
    signature = key_id(head.origin, key.public_key()) + key.sign(text.encode())
    return f"{text}\n\N{EM DASH} {head.origin} {base64.b64encode(signature).decode()}\n"


def verify(note: object, origin: str, key: Ed25519PublicKey) -> Checkpoint:
    """The head a note signs. Raises LedgerError unless it is this log's and this key signed it.

    Signatures by other keys (a witness's) may stand beside ours and are not looked at.
    note: anything, since a changed database may hold anything where a text was.
    """
    if not isinstance(note, str):
        raise LedgerError("the checkpoint is not text")
    text, gap, signatures = note.partition("\n\n")
    head = _parse(text)
    if not gap or head.origin != origin:
        raise LedgerError(f"the checkpoint is not one of {origin}")
    wanted = key_id(origin, key)
    for line in signatures.split("\n")[:-1]:
        dash, name, encoded = _fields(line)
        raw = _decode(encoded)
        if dash != "\N{EM DASH}" or name != origin or raw[:4] != wanted:
            continue
        try:
            key.verify(raw[4:], f"{text}\n".encode())
        except InvalidSignature as error:
            raise LedgerError(f"the signature of the checkpoint of size {head.size} is wrong") from error
        return head
    raise LedgerError(f"the checkpoint of size {head.size} is not signed by this log's key")


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) < 3 or not lines[1].isascii() or not lines[1].isdigit() or str(int(lines[1])) != lines[1]:
        raise LedgerError("a checkpoint has three lines: origin, size, root")
    root = _decode(lines[2])
    if len(root) != 32:
        raise LedgerError("the root in the checkpoint is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _fields(line: str) -> tuple[str, str, str]:
    fields = line.split(" ")
    if len(fields) != 3:
        raise LedgerError("a signature line of the checkpoint does not have three fields")
    return fields[0], fields[1], fields[2]


def _decode(text: str) -> bytes:
    """Strict base64: the one spelling of these bytes and no other."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerError("the checkpoint holds something that is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise LedgerError("the checkpoint holds base64 with stray bits")
    return raw
