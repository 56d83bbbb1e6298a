"""Signed notes against the reference implementation's published example, and against changed ones."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from countenance.errors import LedgerError
from countenance.ledger.checkpoint import Checkpoint, key_id, read_key, sign, verifier_key, verify

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
ORIGIN = "countenance.example/log"
HEAD = Checkpoint(ORIGIN, 20852163, bytes(range(100, 132)))
NOTE = sign(HEAD, KEY)

# The example in the documentation of golang.org/x/mod/sumdb/note.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_KEY = Ed25519PublicKey.from_public_bytes(base64.b64decode(NEUMANN.split("+", 2)[2])[1:])
NEUMANN_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]


def test_key_ids_and_keys_are_written_as_the_reference_writes_them() -> None:
    assert key_id("PeterNeumann", NEUMANN_KEY).hex() == "c74f20a3"
    assert verifier_key("PeterNeumann", NEUMANN_KEY) == NEUMANN


def test_a_verifier_key_is_read_as_it_was_written() -> None:
    for name, key in (("PeterNeumann", NEUMANN_KEY), (ORIGIN, PUBLIC)):
        read, same = read_key(verifier_key(name, key) + "\n")
        assert (read, same.public_bytes_raw()) == (name, key.public_bytes_raw())


@pytest.mark.parametrize(
    "line",
    ["", "name", "name+00000000", NEUMANN[:-1], NEUMANN.replace("c74f", "c74e"), NEUMANN.replace("+A", "+B")],
)
def test_a_damaged_verifier_key_is_refused(line: str) -> None:
    with pytest.raises(LedgerError):
        read_key(line)


def test_the_signature_line_has_the_reference_shape() -> None:
    note = sign(Checkpoint("PeterNeumann", 1, bytes(32)), Ed25519PrivateKey.from_private_bytes(NEUMANN_SEED))
    text, signature = note.split("\n\n")
    assert text == "PeterNeumann\n1\n" + "A" * 43 + "="
    assert signature.startswith("\N{EM DASH} PeterNeumann x08go")  # the key id, in base64
    raw = base64.b64decode(signature.split(" ")[2])
    NEUMANN_KEY.verify(raw[4:], (text + "\n").encode())


def test_what_is_signed_verifies() -> None:
    assert verify(NOTE, ORIGIN, PUBLIC) == HEAD
    assert NOTE.splitlines()[:2] == [ORIGIN, "20852163"]


def test_another_key_or_log_is_refused() -> None:
    with pytest.raises(LedgerError, match="not signed by this log's key"):
        verify(NOTE, ORIGIN, Ed25519PrivateKey.generate().public_key())
    with pytest.raises(LedgerError, match="is not one of"):
        verify(NOTE, "countenance.example/other", PUBLIC)


def test_a_witness_may_sign_beside_us() -> None:
    witness = sign(Checkpoint("witness.example", 1, bytes(32)), Ed25519PrivateKey.generate())
    assert verify(NOTE + witness.split("\n\n")[1], ORIGIN, PUBLIC) == HEAD


@given(st.integers(0, len(NOTE) - 1), st.integers(1, 0x7F))
def test_no_character_of_a_note_can_be_changed(at: int, mask: int) -> None:
    changed = NOTE[:at] + chr(ord(NOTE[at]) ^ mask) + NOTE[at + 1 :]
    with pytest.raises(LedgerError):
        verify(changed, ORIGIN, PUBLIC)


@given(st.text(max_size=200))
def test_nonsense_is_refused(note: str) -> None:
    with pytest.raises(LedgerError):
        verify(note, ORIGIN, PUBLIC)


@pytest.mark.parametrize(
    "size", ["-1", "+1", "01", "1.0", "", " 1", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_a_size_is_written_in_one_way(size: str) -> None:
    text = f"{ORIGIN}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n"
    signature = base64.b64encode(key_id(ORIGIN, PUBLIC) + KEY.sign(text.encode())).decode()
    with pytest.raises(LedgerError):
        verify(f"{text}\n\N{EM DASH} {ORIGIN} {signature}\n", ORIGIN, PUBLIC)


@pytest.mark.parametrize("origin", ["", "a log", "a+log", "a\nlog", "a\x00log"])
def test_an_origin_notes_cannot_carry_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        sign(Checkpoint(origin, 0, bytes(32)), KEY)
