"""Signed heads of the log, pure: C2SP tlog-checkpoint text inside a C2SP signed note, Ed25519.

    countenance.example/4f2a          the log's origin, also the name of its key
    1881                              how many entries
    y8Q...=                           the Merkle root over them, base64

    — countenance.example/4f2a Fz...= the key's id (4 bytes) and signature (64 bytes), base64
    — witness.example/w1 jWbPPw...=   a witness's: id, time (8 bytes) and signature (C2SP tlog-cosignature)

The format is what public transparency logs and their witnesses speak, so others can check ours
with code that is not ours.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countenance.errors import LedgerError

_ED25519 = b"\x01"
"""The byte in a key id that says: signs notes (C2SP signed-note)."""

_COSIGNATURE = b"\x04"
"""The byte in a key id that says: a witness's, signs notes with the time (C2SP tlog-cosignature)."""

LONGEST_NOTE = 64 * 1024
"""Bytes of a note that is looked at: some hundred signatures."""

_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_SIGNATURE = re.compile("\N{EM DASH} ([^ +]+) ([^ ]+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A claim about the log: its first `size` entries have this Merkle root (32 bytes)."""

    origin: str
    size: int
    root: bytes


def key_id(name: str, key: Ed25519PublicKey) -> bytes:
    """Four bytes that tell keys apart (C2SP signed-note): a hash of name, algorithm and public key."""
    return _key_id(name, key, _ED25519)


def verifier_key(name: str, key: Ed25519PublicKey) -> str:
    """A log's public key as other implementations take it: name+id+base64 (C2SP signed-note)."""
    return _key_line(name, key, _ED25519)


def witness_key(name: str, key: Ed25519PublicKey) -> str:
    """A witness's public key as other implementations take it (C2SP tlog-cosignature)."""
    return _key_line(name, key, _COSIGNATURE)


def read_key(line: str) -> tuple[str, Ed25519PublicKey]:
    """The log's name and public key in a line that `verifier_key` wrote. Raises LedgerError."""
    return _read_key(line, _ED25519)


def read_witness_key(line: str) -> tuple[str, Ed25519PublicKey]:
    """The witness's name and public key in a line that `witness_key` wrote. Raises LedgerError."""
    return _read_key(line, _COSIGNATURE)


def check_name(name: str) -> None:
    """Raises ValueError for a name of a log or a witness that notes cannot carry."""
    if not name or "+" in name or " " in name or not name.isprintable():  # no other space is printable
        raise ValueError(f"the name {name!r} is empty or holds a space, a plus or a control character")


def sign(head: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note of a head, under the origin's name. Raises ValueError for a name notes cannot carry."""
    check_name(head.origin)
    text = f"{head.origin}\n{head.size}\n{base64.b64encode(head.root).decode()}\n"
    signature = _signing_id(head.origin, key) + key.sign(text.encode())
    return f"{text}\n\N{EM DASH} {head.origin} {base64.b64encode(signature).decode()}\n"


def verify(note: object, origin: str, key: Ed25519PublicKey) -> Checkpoint:
    """The head a note signs. Raises LedgerError unless it is this log's and this key signed it.

    Signatures by other keys (a witness's) may stand beside ours and are not looked at.
    note: anything, since a changed database may hold anything where a text was.
    """
    return verify_any(note, origin, [key])[0]


def verify_any(
    note: object, origin: str, keys: Iterable[Ed25519PublicKey]
) -> tuple[Checkpoint, Ed25519PublicKey]:
    """The head a note signs, and the first of a log's keys that signed it. Raises LedgerError as `verify`."""
    if not isinstance(note, str):
        raise LedgerError("the checkpoint is not text")
    if len(note) > LONGEST_NOTE:
        raise LedgerError("the checkpoint is longer than any that carries a hundred signatures")
    if _CONTROL.search(note):
        raise LedgerError("the checkpoint holds a control character")
    text, gap, _ = note.partition("\n\n")
    head = _parse(text)
    if not gap or head.origin != origin:
        raise LedgerError(f"the checkpoint is not one of {origin}")
    for key in keys:
        for _, raw in _signatures(note, origin, key_id(origin, key)):
            try:
                key.verify(raw, f"{text}\n".encode())
            except InvalidSignature as error:
                raise LedgerError(f"the signature of the checkpoint of size {head.size} is wrong") from error
            return head, key
    raise LedgerError(f"the checkpoint of size {head.size} is not signed by this log's key")


def text_of(note: str) -> str:
    """What a note's signatures are over: its text with the final newline. Raises LedgerError."""
    text, gap, _ = note.partition("\n\n")
    if not gap:
        raise LedgerError("a note has a blank line before its signatures")
    return f"{text}\n"


def peek(note: str) -> Checkpoint:
    """What a note says, whoever signed it or nobody. Raises LedgerError where it is no checkpoint."""
    return _parse(text_of(note).removesuffix("\n"))


def cosign(note: str, name: str, key: Ed25519PrivateKey, time: int) -> str:
    """A witness's signature line under a note. time: when, in Unix seconds."""
    check_name(name)
    signature = key.sign(_cosigned_text(note, time))
    raw = _key_id(name, key.public_key(), _COSIGNATURE) + time.to_bytes(8, "big") + signature
    return f"\N{EM DASH} {name} {base64.b64encode(raw).decode()}\n"


def cosigned(note: str, name: str, key: Ed25519PublicKey) -> int | None:
    """When a witness signed a note, in Unix seconds; None where it did not. Raises as `cosignature`."""
    found = cosignature(note, name, key)
    return found and found[0]


def cosignature(note: str, name: str, key: Ed25519PublicKey) -> tuple[int, str] | None:
    """When a witness signed a note last, in Unix seconds, and the line; None where it did not.

    Raises LedgerError for a signature under its name and key id that is not its own.
    """
    found = []
    for line, raw in _signatures(note, name, _key_id(name, key, _COSIGNATURE)):
        time = int.from_bytes(raw[:8], "big")
        try:
            key.verify(raw[8:], _cosigned_text(note, time))
        except InvalidSignature as error:
            raise LedgerError(f"the signature of the witness {name} is wrong") from error
        found.append((time, f"{line}\n"))
    return max(found, default=None)


def signers(note: str) -> set[str]:
    """The names under a note, but for the log's own."""
    origin = text_of(note).partition("\n")[0]
    return {_fields(line)[0] for line in _signature_lines(note)} - {origin}


def joined(note: str, *others: str) -> str:
    """A note with the signature lines of others over the same text: of each signer the last one.

    Raises LedgerError where their texts differ.
    """
    lines: dict[tuple[str, bytes], str] = {}
    for each in (note, *others):
        if text_of(each) != text_of(note):
            raise LedgerError("signatures over different heads cannot be put under one")
        for line in _signature_lines(each):
            signer, encoded = _fields(line)
            lines[signer, decode(encoded)[:4]] = line
    return f"{text_of(note)}\n" + "".join(f"{line}\n" for line in lines.values())


@lru_cache(maxsize=4)  # the same for every head: a fifth of what signing takes
def _signing_id(name: str, key: Ed25519PrivateKey) -> bytes:
    return key_id(name, key.public_key())


def _key_id(name: str, key: Ed25519PublicKey, algorithm: bytes) -> bytes:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(name.encode() + b"\n" + algorithm + raw).digest()[:4]


def _key_line(name: str, key: Ed25519PublicKey, algorithm: bytes) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    encoded = base64.b64encode(algorithm + raw).decode()
    return f"{name}+{_key_id(name, key, algorithm).hex()}+{encoded}"


def _read_key(line: str, algorithm: bytes) -> tuple[str, Ed25519PublicKey]:
    name, _, rest = line.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    raw = decode(encoded)
    if len(raw) != 33 or raw[:1] != algorithm:
        whose = "log's" if algorithm == _ED25519 else "witness's"
        raise LedgerError(f"a {whose} verifier key is written name+id+key, and its key is an Ed25519 one")
    key = Ed25519PublicKey.from_public_bytes(raw[1:])
    if _key_id(name, key, algorithm).hex() != identity:
        raise LedgerError(f"the verifier key of {name} was damaged: its id is another key's")
    return name, key


def _cosigned_text(note: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text_of(note)}".encode()


def _signature_lines(note: str) -> list[str]:
    """Raises LedgerError for a note whose last line was cut off, or has something after it."""
    *lines, rest = note.partition("\n\n")[2].split("\n")
    if rest:
        raise LedgerError("the checkpoint does not end with a signature line")
    return lines


def _signatures(note: str, name: str, identity: bytes) -> list[tuple[str, bytes]]:
    """The signature lines of one key, and what each holds after its id."""
    found = []
    for line in _signature_lines(note):
        signer, encoded = _fields(line)
        raw = decode(encoded)
        if signer == name and raw[:4] == identity:
            found.append((line, raw[4:]))
    return found


def _parse(text: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) < 3 or not _SIZE.fullmatch(lines[1]):
        raise LedgerError("a checkpoint has three lines: origin, size, root")
    root = decode(lines[2])
    if len(root) != 32:
        raise LedgerError("the root in the checkpoint is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _fields(line: str) -> tuple[str, str]:
    """The signer's name, and the key's id and signature in base64."""
    fields = _SIGNATURE.fullmatch(line)
    if not fields:
        raise LedgerError("a signature line of the checkpoint is not a dash, a name and a signature")
    return fields[1], fields[2]


def decode(text: str) -> bytes:
    """Strict base64: the one spelling of these bytes and no other."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerError("the checkpoint holds something that is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise LedgerError("the checkpoint holds base64 with stray bits")
    return raw
