"""Signed notes against the reference implementation's published example, and against changed ones."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from countenance.errors import LedgerError
from countenance.ledger.checkpoint import (
    LONGEST_NOTE,
    Checkpoint,
    cosign,
    cosigned,
    joined,
    key_id,
    peek,
    read_key,
    read_witness_key,
    sign,
    text_of,
    verifier_key,
    verify,
    verify_any,
    witness_key,
)

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
    with pytest.raises(ValueError, match="the name"):
        sign(Checkpoint(origin, 0, bytes(32)), KEY)


def test_a_size_that_no_log_has_is_no_size() -> None:
    for digits in (19, 5000):
        with pytest.raises(LedgerError, match="three lines"):
            verify(NOTE.replace("20852163", "9" * digits), ORIGIN, PUBLIC)
    with pytest.raises(LedgerError, match="longer than any"):
        verify(NOTE + "x" * LONGEST_NOTE, ORIGIN, PUBLIC)


# Several keys

NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def test_a_head_that_two_keys_signed_is_good_with_either() -> None:
    both = joined(NOTE, sign(HEAD, NEXT))
    assert both.count("\N{EM DASH}") == 2
    assert verify(both, ORIGIN, PUBLIC) == verify(both, ORIGIN, NEXT.public_key()) == HEAD
    assert verify_any(NOTE, ORIGIN, [NEXT.public_key(), PUBLIC]) == (HEAD, PUBLIC)
    with pytest.raises(LedgerError, match="not signed by this log's key"):
        verify_any(NOTE, ORIGIN, [NEXT.public_key()])
    with pytest.raises(LedgerError, match="not signed by this log's key"):
        verify_any(NOTE, ORIGIN, [])


def test_a_wrong_signature_under_a_known_key_spoils_the_note() -> None:
    """Signed-note: a note with a bad signature of a known key is rejected whole."""
    other = sign(Checkpoint(ORIGIN, 1, bytes(32)), NEXT)
    forged = NOTE + other.partition("\n\n")[2]
    with pytest.raises(LedgerError, match="is wrong"):
        verify_any(forged, ORIGIN, [NEXT.public_key(), PUBLIC])


# Cosignatures

WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
NAME = "witness.example/w1"
TIME = 1679315147
COSIGNED = NOTE + cosign(NOTE, NAME, WITNESS, TIME)


def test_a_cosignature_is_what_the_specification_says() -> None:
    line = COSIGNED.splitlines()[-1]
    dash, name, encoded = line.split(" ")
    raw = base64.b64decode(encoded)
    assert (dash, name, len(raw)) == ("\N{EM DASH}", NAME, 4 + 8 + 64)
    public = WITNESS.public_key().public_bytes_raw()
    assert raw[:4] == hashlib.sha256(NAME.encode() + b"\n\x04" + public).digest()[:4]
    assert int.from_bytes(raw[4:12], "big") == TIME
    root = base64.b64encode(HEAD.root).decode()
    signed = f"cosignature/v1\ntime {TIME}\n{ORIGIN}\n20852163\n{root}\n"
    WITNESS.public_key().verify(raw[12:], signed.encode())


def test_the_time_of_a_cosignature_is_read_and_the_log_s_signature_stays() -> None:
    assert cosigned(COSIGNED, NAME, WITNESS.public_key()) == TIME
    assert cosigned(NOTE, NAME, WITNESS.public_key()) is None
    assert cosigned(COSIGNED, "witness.example/w2", WITNESS.public_key()) is None
    assert verify(COSIGNED, ORIGIN, PUBLIC) == HEAD


def test_a_witness_s_key_is_none_of_a_log() -> None:
    line = witness_key(NAME, WITNESS.public_key())
    name, key = read_witness_key(line + "\n")
    assert (name, key.public_bytes_raw()) == (NAME, WITNESS.public_key().public_bytes_raw())
    with pytest.raises(LedgerError, match="a log's verifier key"):
        read_key(line)
    with pytest.raises(LedgerError, match="a witness's verifier key"):
        read_witness_key(verifier_key(NAME, WITNESS.public_key()))


def test_the_log_cannot_cosign_as_its_own_witness_by_accident() -> None:
    """One key under one name may do both: the id's algorithm byte keeps them apart."""
    both = NOTE + cosign(NOTE, ORIGIN, KEY, TIME)
    assert verify(both, ORIGIN, PUBLIC) == HEAD
    assert cosigned(NOTE, ORIGIN, PUBLIC) is None
    assert cosigned(both, ORIGIN, PUBLIC) == TIME


@given(st.integers(len(NOTE) + 2, len(COSIGNED) - 2), st.integers(1, 0x7F))
def test_no_character_of_a_cosignature_can_be_changed(at: int, mask: int) -> None:
    changed = COSIGNED[:at] + chr(ord(COSIGNED[at]) ^ mask) + COSIGNED[at + 1 :]
    with contextlib.suppress(LedgerError):
        assert cosigned(changed, NAME, WITNESS.public_key()) is None  # another name or id: another's


def test_signatures_are_put_under_one_text_and_once_each() -> None:
    later = NOTE + cosign(NOTE, NAME, WITNESS, TIME + 60)
    other = NOTE + cosign(NOTE, "witness.example/w2", NEXT, TIME)
    whole = joined(COSIGNED, later, other, NOTE)
    assert whole.count("\N{EM DASH}") == 3
    assert cosigned(whole, NAME, WITNESS.public_key()) == TIME + 60
    assert cosigned(whole, "witness.example/w2", NEXT.public_key()) == TIME
    assert joined(whole) == whole
    with pytest.raises(LedgerError, match="different heads"):
        joined(NOTE, sign(Checkpoint(ORIGIN, 1, bytes(32)), KEY))


def test_what_a_note_says_is_read_without_believing_it() -> None:
    assert peek(NOTE) == HEAD
    assert text_of(NOTE).splitlines() == NOTE.splitlines()[:3]
    for nonsense in ("", "a\nb\nc", "\n\n"):
        with pytest.raises(LedgerError):
            peek(nonsense)
