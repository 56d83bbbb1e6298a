"""`countenance ledger verify` and the stand-alone file say the same of a record, whoever signed it.

Here the log's own key signed what no Countenance writes: of a member that is there twice, one reader of JSON
sees the first and another the last. (tests/browser asks the page the same.)
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.unit.ledger.exported import (
    FIRST,
    LINES,
    ORIGIN,
    Entry,
    body,
    calls,
    grow,
    note,
    published,
    write,
)

from countenance import schema
from countenance.errors import LedgerError
from countenance.ledger import Ledger
from countenance.ledger.merkle import Frontier, Tree, leaf_hash
from countenance.ledger.verifier import countenance_verify as verifier

SIZE = 20
ENTRIES = [{"v": 1, "seq": 0, "kind": "govern", "time": "2026-11-01T00:00:00.000Z", "act": "packs"}]
for _entry in calls(SIZE - 1):
    _moved = {"decision": _entry["decision"] + 1} if "decision" in _entry else {}
    ENTRIES.append({**_entry, "seq": _entry["seq"] + 1, **_moved})
BODIES = [body(entry) for entry in ENTRIES]
DECISION, OUTCOME = 3, 2


def having(number: int, **more: Any) -> bytes:
    return body({**ENTRIES[number], **more})


def raw(written: bytes) -> bytes:
    """An entry with these bytes where a value is."""
    return having(DECISION, x="?").replace(b'"?"', written)


def lacking(number: int, name: str) -> bytes:
    return body({key: value for key, value in ENTRIES[number].items() if key != name})


NO_ENTRIES = {
    "a member twice": (DECISION, b'{"account":"another",' + BODIES[DECISION][1:]),
    "a space": (DECISION, BODIES[DECISION].replace(b",", b", ", 1)),
    "another order": (
        DECISION,
        json.dumps(ENTRIES[DECISION], separators=(",", ":"), ensure_ascii=False).encode(),
    ),
    "escaped letters": (
        DECISION,
        json.dumps(ENTRIES[DECISION], separators=(",", ":"), sort_keys=True).encode(),
    ),
    "UTF-16": (DECISION, BODIES[DECISION].decode().encode("utf-16")),
    "a byte order mark": (DECISION, b"\xef\xbb\xbf" + BODIES[DECISION]),
    "Latin-1": (DECISION, BODIES[DECISION].replace("ä".encode(), b"\xe4")),
    "a line end": (DECISION, BODIES[DECISION] + b"\n"),
    "nothing": (DECISION, b""),
    "a list": (DECISION, b"[3]"),
    "a fraction": (DECISION, raw(b"0.5")),
    "a fraction that is whole": (DECISION, BODIES[DECISION].replace(b'"seq":3', b'"seq":3.0')),
    "a zero below zero": (DECISION, raw(b"-0")),
    "no number": (DECISION, raw(b"NaN")),
    "a number that doubles round": (DECISION, raw(str(2**53).encode())),
    "a number of many digits": (DECISION, raw(b"1" * 5000)),
    "null": (DECISION, raw(b"null")),
    "an object": (DECISION, raw(b'{"a":1}')),
    "lists in lists in lists": (DECISION, raw(b"[1,[2,[3]]]")),
    "too many lists": (DECISION, raw(b"[" * 2000 + b"]" * 2000)),
    "half a character": (DECISION, raw(b'"\\ud800"')),
    "names that sort in two ways": (DECISION, having(DECISION, **{"\U0001f600": 1, "\uffee": 2})),
    "another version": (DECISION, having(DECISION, v=2)),
    "no version": (DECISION, lacking(DECISION, "v")),
    "true for the version": (DECISION, having(DECISION, v=True)),
    "true for its number": (1, BODIES[1].replace(b'"seq":1', b'"seq":true')),
    "true for the first call": (1, having(1, counter=True)),
    "true for the decision": (OUTCOME, having(OUTCOME, decision=True)),
    "a list for the decision": (OUTCOME, having(OUTCOME, decision=[1])),
    "no decision": (OUTCOME, lacking(OUTCOME, "decision")),
    "a list for the kind": (DECISION, having(DECISION, kind=["decision"])),
}
"""Of each: in whose place, and its bytes."""


def record(number: int, written: bytes) -> list[bytes]:
    return [*BODIES[:number], written, *BODIES[number + 1 :]]


def stored(bodies: Sequence[bytes], head: str) -> sa.Engine:
    """A home's ledger with these entries, whatever they are, under a head."""
    lite = sqlite3.connect(":memory:", isolation_level=None)
    engine = sa.create_engine("sqlite://", creator=lambda: lite, poolclass=sa.StaticPool)
    schema.metadata.create_all(engine)
    tree = Tree(Frontier())
    for seq, written in enumerate(bodies):
        lite.execute("INSERT INTO entries VALUES (?, ?, ?)", [seq, written, leaf_hash(written)])
        for node in tree.append(leaf_hash(written))[1:]:
            lite.execute("INSERT INTO nodes VALUES (?, ?, ?)", node)
    lite.execute("INSERT INTO checkpoints VALUES (?, ?)", [len(bodies), head])
    return engine


def verdicts(folder: Path, bodies: Sequence[bytes], head: str | None = None) -> tuple[Any, Any]:
    """What `ledger verify` and the stand-alone file say: the entry that each names, or "fits"."""
    files = published(bodies)
    head = files["checkpoint"].decode() if head is None else head
    ours: Any = "fits"
    theirs: Any = "fits"
    try:
        Ledger(FIRST, ORIGIN).verify(stored(bodies, head).connect)
    except LedgerError as fault:
        ours = fault.entry
    write(folder, {**files, "checkpoint": head.encode()})
    try:
        verifier.verify_log(verifier.Folder(str(folder)), verifier.read_keys(LINES[0], "kept.pub"))
    except verifier.Fault as fault:
        theirs = fault.entry
    return ours, theirs


def test_both_say_that_the_record_fits(tmp_path: Path) -> None:
    assert verdicts(tmp_path, BODIES) == ("fits", "fits")


@pytest.mark.parametrize("name", NO_ENTRIES)
def test_both_name_an_entry_that_is_none(name: str, tmp_path: Path) -> None:
    number, written = NO_ENTRIES[name]
    assert written != BODIES[number]
    assert verdicts(tmp_path, record(number, written)) == (number, number)


@pytest.mark.parametrize(
    "more",
    [
        {"x": "\u2028\x7f\0\x1f", "y": [], "z": ["a", ["b", 1, True]], "n": -(2**53) + 1},
        {"x": 'null {"a":1} [[[1]]]', "__proto__": "1"},
        {"act": "rotate", "key": "x", "key_before": "y"},  # which only an entry of the operator's does
    ],
)
def test_both_take_what_is_odd_and_still_an_entry(more: Entry, tmp_path: Path) -> None:
    assert verdicts(tmp_path, record(DECISION, having(DECISION, **more))) == ("fits", "fits")


HEAD = note(grow(BODIES), SIZE, FIRST).decode()
TEXT, _, SIGNED = HEAD.partition("\n\n")


def signed(signature: bytes) -> str:
    return f"\N{EM DASH} {ORIGIN} {base64.b64encode(signature).decode()}\n"


FALSE = signed(base64.b64decode(SIGNED.split(" ")[2])[:-1] + b"\0")
HEADS = {
    "somebody else's line": (HEAD + "\N{EM DASH} a\xa0b AAAAAAAA\n", True),
    "a line of another key of the name": (HEAD + signed(bytes(68)), True),
    "the same line twice": (HEAD + SIGNED, True),
    "a plus in a name": (HEAD + "\N{EM DASH} a+b AAAAAAAA\n", False),
    "another dash": (HEAD + "- a AAAAAAAA\n", False),
    "no name": (HEAD + "\N{EM DASH}  AAAAAAAA\n", False),
    "no signature": (HEAD + "\N{EM DASH} a \n", False),
    "something after it": (HEAD + "something", False),
    "a line that was cut off": (HEAD + "\N{EM DASH} a AAAA", False),
    "no line end": (HEAD[:-1], False),
    "a blank line": (f"{TEXT}\n\n\n{SIGNED}", False),
    "another line of text": (f"{TEXT}\nmore\n\n{SIGNED}", False),
    "a false signature first": (f"{TEXT}\n\n{FALSE}{SIGNED}", False),
    "other line ends": (HEAD.replace("\n", "\r\n"), False),
    "a tab": (HEAD + "\N{EM DASH} a\tb AAAAAAAA\n", False),
    "another spelling of its size": (HEAD.replace(f"\n{SIZE}\n", f"\n0{SIZE}\n"), False),
    "nul": (HEAD + "\0", False),
}
"""Of each: the note, and whether it is a good one."""


@pytest.mark.parametrize("name", HEADS)
def test_both_say_the_same_of_a_head(name: str, tmp_path: Path) -> None:
    head, good = HEADS[name]
    ours, theirs = verdicts(tmp_path, BODIES, head)
    assert (ours == "fits", theirs == "fits") == (good, good)
