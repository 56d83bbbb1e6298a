"""Whatever is changed in the stored record is found, and the first bad entry named."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from countenance import schema
from countenance.errors import LedgerError
from countenance.ledger import Ledger, Verified, verification
from countenance.ledger.checkpoint import Checkpoint, cosign, sign
from countenance.ledger.checkpoint import verify as open_note
from countenance.ledger.entry import canonical
from countenance.ledger.merkle import Frontier, Tree, leaf_hash

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "countenance.example/log"
BATCHES = (23, 20, 1, 6, 13)
"""Entries per commit. The first head and the newest stay."""
SIZE = sum(BATCHES)
FIRST = BATCHES[0]
HEADS = (FIRST, SIZE)


def engine(raw: sqlite3.Connection) -> sa.Engine:
    return sa.create_engine("sqlite://", creator=lambda: raw, poolclass=sa.StaticPool)


def record() -> bytes:
    """A home's ledger: calls with their outcomes, written in batches."""
    raw = sqlite3.connect(":memory:")
    store, ledger = engine(raw), Ledger(KEY, ORIGIN)
    schema.metadata.create_all(store)
    seq = 0
    for count in BATCHES:
        with store.begin() as connection:
            ledger.begin(connection)
            for seq in range(seq, seq + count):  # noqa: B020 - numbering goes on
                call = (
                    {"v": 1, "kind": "decision"}
                    if seq % 2 == 0
                    else {"v": 1, "kind": "outcome", "decision": seq - 1}
                )
                assert ledger.append(connection, call).seq == seq
            seq += 1
            ledger.seal(connection)
    return raw.serialize()


RECORD = record()


def copy() -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)  # SQLAlchemy rolls back what it did not begin
    raw.deserialize(RECORD)
    return raw


def verify(raw: sqlite3.Connection, known: str | None = None) -> Verified:
    return Ledger(KEY, ORIGIN).verify(engine(raw).connect, known=known)


def found(raw: sqlite3.Connection, match: str = ".", known: str | None = None) -> int | None:
    """The entry that verification names."""
    with pytest.raises(LedgerError, match=match) as fault:
        verify(raw, known)
    return fault.value.entry


def note(raw: sqlite3.Connection, size: int) -> str:
    (found,) = raw.execute("SELECT note FROM checkpoints WHERE size = ?", [size]).fetchone()
    return str(found)


def head(raw: sqlite3.Connection, size: int) -> Checkpoint:
    return open_note(note(raw, size), ORIGIN, KEY.public_key())


def vouched_before(entry: int) -> int:
    return max([size for size in (0, *HEADS) if size <= entry])


def test_the_untouched_record_verifies() -> None:
    raw = copy()
    verified = verify(raw)
    assert (verified.size, verified.root) == (SIZE, head(raw, SIZE).root)
    assert (verified.decisions, verified.outcomes) == (32, 31)
    assert verified.without_outcome == (SIZE - 1,)
    assert tuple(size for (size,) in raw.execute("SELECT size FROM checkpoints ORDER BY size")) == HEADS


@pytest.mark.parametrize("chunk", [1, 7, 16, SIZE])
def test_how_much_is_read_at_a_time_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CHUNK", chunk)
    assert verify(copy()).size == SIZE
    raw = copy()
    raw.execute("UPDATE nodes SET hash = x'00' WHERE level = 3 AND idx = 5")
    assert found(raw, "entries 40 to 47 ") == 40


def test_an_empty_record_verifies() -> None:
    store = sa.create_engine("sqlite://")
    schema.metadata.create_all(store)
    assert Ledger(KEY, ORIGIN).verify(store.connect).size == 0


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    Ledger(KEY, ORIGIN).verify(engine(copy()).connect, lambda done, total: told.append((done, total)))
    assert told == [(SIZE, SIZE)]


# One byte of one row


def flipped(value: Any, at: int, mask: int) -> Any:
    if isinstance(value, int):
        return value ^ 1 << at % 40
    if isinstance(value, str):
        at %= len(value)
        return value[:at] + chr((ord(value[at]) ^ (mask & 0x7F or 1)) or 0x7E) + value[at + 1 :]
    at %= len(value)
    return value[:at] + bytes([value[at] ^ mask]) + value[at + 1 :]


def flip(raw: sqlite3.Connection, table: str, column: str, row: int, at: int, mask: int) -> dict[str, Any]:
    """Change one byte of a column of the row'th row of a table. Returns the row as it was."""
    raw.row_factory = sqlite3.Row
    rows = raw.execute(f"SELECT rowid AS place, * FROM {table} ORDER BY 2, 3").fetchall()
    before = dict(rows[row % len(rows)])
    after = flipped(before[column], at, mask)
    raw.execute(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = ?", [after, before["place"]])
    raw.row_factory = None
    return before | {"changed": raw.total_changes > 0 and after != before[column]}


anywhere = {"row": st.integers(0, 10**6), "at": st.integers(0, 10**6), "mask": st.integers(1, 255)}


@settings(max_examples=100, deadline=None)
@given(column=st.sampled_from(["body", "leaf"]), **anywhere)
def test_a_flipped_byte_of_an_entry_is_named(column: str, row: int, at: int, mask: int) -> None:
    raw = copy()
    before = flip(raw, "entries", column, row, at, mask)
    assert found(raw, "was changed") == before["seq"]


@settings(max_examples=30, deadline=None)
@given(row=st.integers(0, SIZE - 1), number=st.integers(-3, SIZE + 3))
def test_a_renumbered_entry_is_named(row: int, number: int) -> None:
    raw = copy()
    raw.execute("UPDATE OR REPLACE entries SET seq = ? WHERE seq = ?", [number, row])
    if number != row:
        assert found(raw) == (0 if number < 0 else min(row, number))


@settings(max_examples=100, deadline=None)
@given(column=st.sampled_from(["level", "idx", "hash"]), **anywhere)
def test_a_flipped_byte_of_a_node_is_named(column: str, row: int, at: int, mask: int) -> None:
    raw = copy()
    before = flip(raw, "nodes", column, row, at, mask)
    if before["changed"]:
        first, end = before["idx"] << before["level"], before["idx"] + 1 << before["level"]
        assert found(raw, f"over entries {first} to {end - 1} was changed") == first


@settings(max_examples=100, deadline=None)
@given(**anywhere)
def test_a_flipped_byte_of_a_checkpoint_is_named(row: int, at: int, mask: int) -> None:
    raw = copy()
    before = flip(raw, "checkpoints", "note", row, at, mask)
    assert found(raw, f"checkpoint stored for size {before['size']} ") == vouched_before(before["size"] - 1)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(HEADS), st.integers(0, 2 * SIZE))
def test_a_checkpoint_moved_to_another_size_is_noticed(size: int, other: int) -> None:
    raw = copy()
    raw.execute("UPDATE OR IGNORE checkpoints SET size = ? WHERE size = ?", [other, size])
    if other not in HEADS:
        assert found(raw, f"its text is about size {size}|no checkpoint covers") in {0, *HEADS}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET body = 'text' WHERE seq = 5",
        "UPDATE entries SET leaf = 'text' WHERE seq = 5",
        "UPDATE entries SET leaf = 7 WHERE seq = 5",
    ],
)
def test_a_value_of_another_type_is_named(change: str) -> None:
    raw = copy()
    raw.execute(change)
    assert found(raw, "entry 5 was changed") == 5


def test_a_node_or_a_head_of_another_type_is_named() -> None:
    raw = copy()
    raw.execute("UPDATE nodes SET hash = 'text' WHERE level = 1 AND idx = 4")
    assert found(raw) == 8
    raw = copy()
    raw.execute("UPDATE checkpoints SET note = x'00' WHERE size = ?", [FIRST])
    assert found(raw, "not text") == 0


# Rows taken out, put in, or exchanged


@settings(max_examples=30, deadline=None)
@given(st.integers(0, SIZE - 1))
def test_a_deleted_entry_is_named(seq: int) -> None:
    raw = copy()
    raw.execute("DELETE FROM entries WHERE seq = ?", [seq])
    assert found(raw) == seq


@settings(max_examples=30, deadline=None)
@given(st.integers(0, SIZE - 1))
def test_a_record_cut_short_is_noticed_at_the_cut(size: int) -> None:
    raw = copy()
    cut(raw, size)
    assert found(raw, "are gone") == size


def cut(raw: sqlite3.Connection, size: int) -> None:
    raw.execute("DELETE FROM entries WHERE seq >= ?", [size])
    raw.execute("DELETE FROM nodes WHERE ((idx + 1) << level) > ?", [size])


def test_a_record_cut_back_to_an_old_head_needs_a_head_kept_elsewhere() -> None:
    """The one change the home itself cannot show: the docs say so, and witnesses are the answer."""
    raw = copy()
    kept = note(raw, SIZE)
    cut(raw, FIRST)
    raw.execute("DELETE FROM checkpoints WHERE size > ?", [FIRST])
    assert verify(raw).size == FIRST
    assert found(raw, "are gone", known=kept) == FIRST


def test_a_record_written_anew_needs_a_head_kept_elsewhere() -> None:
    other = sqlite3.connect(":memory:")
    store, ledger = engine(other), Ledger(KEY, ORIGIN)
    schema.metadata.create_all(store)
    with store.begin() as connection:
        ledger.begin(connection)
        for _ in range(SIZE):
            ledger.append(connection, {"v": 1, "kind": "decision", "forged": True})
        ledger.seal(connection)
    assert verify(other).size == SIZE
    assert found(other, "kept elsewhere", known=note(copy(), SIZE)) is None
    assert found(other, "kept elsewhere", known=note(copy(), FIRST)) == 0


def test_a_record_that_grew_since_a_kept_head_verifies() -> None:
    raw = copy()
    assert verify(raw, known=note(raw, FIRST)).size == SIZE
    assert verify(raw, known=note(raw, SIZE)).size == SIZE


def test_without_its_newest_head_the_rest_is_not_covered() -> None:
    raw = copy()
    raw.execute("DELETE FROM checkpoints WHERE size = ?", [SIZE])
    assert found(raw, "no checkpoint covers") == FIRST
    raw.execute("DELETE FROM checkpoints")
    assert found(raw, "no checkpoint covers") == 0


def test_an_entry_added_by_something_else_is_named() -> None:
    raw = copy()
    body = json.dumps({"kind": "other", "seq": SIZE}).encode()
    raw.execute("INSERT INTO entries VALUES (?, ?, ?)", [SIZE, body, leaf_hash(body)])
    assert found(raw) in {SIZE - 1, SIZE}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_exchanged_entries_are_named(one: int, other: int) -> None:
    raw = copy()
    bodies = {
        seq: raw.execute("SELECT body, leaf FROM entries WHERE seq = ?", [seq]).fetchone()
        for seq in (one, other)
    }
    for seq, (body, leaf) in ((one, bodies[other]), (other, bodies[one])):
        raw.execute("UPDATE entries SET body = ?, leaf = ? WHERE seq = ?", [body, leaf, seq])
    if one != other:
        assert found(raw, "as another entry") == min(one, other)


@pytest.mark.parametrize(("level", "index"), [(1, SIZE // 2), (1, -1), (0, 3), (40, 0), (-1, 0)])
def test_a_node_too_many_is_noticed(level: int, index: int) -> None:
    raw = copy()
    raw.execute("INSERT INTO nodes VALUES (?, ?, ?)", [level, index, bytes(32)])
    found(raw, "stored nodes")


WITNESS = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
SEALS = [("council.example", WITNESS.public_key())]


def witnessed(size: int) -> sqlite3.Connection:
    """The record, with a head that a witness signed too."""
    raw = copy()
    head = note(raw, size)
    line = cosign(head, "council.example", WITNESS, 1_764_000_000)
    raw.execute("INSERT INTO witnessed VALUES (?, ?)", [size, head + line])
    return raw


@pytest.mark.parametrize("size", HEADS)
def test_a_witnessed_head_verifies(size: int) -> None:
    raw = witnessed(size)
    assert verification.verify(engine(raw).connect, ORIGIN, KEY.public_key(), witnesses=SEALS).size == SIZE


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(HEADS), st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_of_a_witnessed_head_is_named(size: int, at: int, mask: int) -> None:
    raw = witnessed(size)
    (before,) = raw.execute("SELECT note FROM witnessed").fetchone()
    name = before.rindex("\N{EM DASH}")
    at %= len(before)
    assume(not name < at < name + len("- council.example abcdef"))  # then somebody else is named there
    raw.execute("UPDATE witnessed SET note = ?", [flipped(before, at, mask)])
    with pytest.raises(LedgerError, match=f"size {size}") as fault:
        verification.verify(engine(raw).connect, ORIGIN, KEY.public_key(), witnesses=SEALS)
    assert fault.value.entry == vouched_before(size - 1)


def test_a_witnessed_head_of_another_record_is_named() -> None:
    raw = copy()
    head = sign(Checkpoint(ORIGIN, 30, bytes(32)), KEY)
    raw.execute("INSERT INTO witnessed VALUES (30, ?)", [head])
    assert found(raw, "the checkpoint of size 30 was signed over") == FIRST


def test_a_witnessed_head_does_not_stand_for_the_newest() -> None:
    raw = witnessed(SIZE)
    raw.execute("DELETE FROM checkpoints WHERE size = ?", [SIZE])
    assert found(raw, f"no checkpoint covers the entries from {FIRST} on") == FIRST


# Forgers who know how it works


def rewrite(raw: sqlite3.Connection, seq: int) -> None:
    """Another body, with the leaf to match it."""
    (body,) = raw.execute("SELECT body FROM entries WHERE seq = ?", [seq]).fetchone()
    body = canonical({**json.loads(body), "forged": True})
    raw.execute("UPDATE entries SET body = ?, leaf = ? WHERE seq = ?", [body, leaf_hash(body), seq])


def regrow(raw: sqlite3.Connection) -> None:
    """All nodes to match the leaves."""
    tree = Tree(Frontier())
    for (leaf,) in raw.execute("SELECT leaf FROM entries ORDER BY seq").fetchall():
        for level, index, value in tree.append(leaf)[1:]:
            raw.execute("UPDATE nodes SET hash = ? WHERE level = ? AND idx = ?", [value, level, index])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, SIZE - 2).filter(lambda seq: seq + 1 not in HEADS))  # a head comes before the pair
def test_an_entry_rewritten_with_its_leaf_is_named_by_the_node_over_its_pair(seq: int) -> None:
    raw = copy()
    rewrite(raw, seq)
    pair, vouched = seq & ~1, vouched_before(seq)
    assert found(raw, f"entries {max(pair, vouched)} to {pair + 1} ") == max(pair, vouched)


@pytest.mark.parametrize("seq", [0, 2, FIRST - 1, FIRST, FIRST + 1, SIZE - 2, SIZE - 1])
def test_an_entry_rewritten_with_its_whole_path_is_named_by_the_next_head(seq: int) -> None:
    raw = copy()
    rewrite(raw, seq)
    regrow(raw)
    assert found(raw, "signed over") == vouched_before(seq)


def test_the_first_of_several_changes_is_named() -> None:
    raw = copy()
    raw.execute("UPDATE entries SET body = x'00' WHERE seq = 50")
    raw.execute("UPDATE nodes SET hash = x'00' WHERE level = 1 AND idx = 13")
    assert found(raw) == 26
    raw.execute("UPDATE entries SET leaf = x'00' WHERE seq = 11")
    assert found(raw) == 11
    raw.execute("UPDATE nodes SET hash = x'00' WHERE level = 3 AND idx = 0")
    assert found(raw) == 0
    raw.execute("UPDATE checkpoints SET note = 'x' WHERE size = ?", [FIRST])
    assert found(raw) == 0


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"kind": "outcome", "decision": 0}, "decision 0 awaits none"),
        ({"kind": "outcome", "decision": 1}, "decision 1 awaits none"),
        ({"kind": "outcome", "decision": 999}, "awaits none"),
        ({"kind": "outcome"}, "decision None awaits none"),
        ({"kind": "outcome", "decision": False}, "decision False awaits none"),
    ],
)
def test_an_outcome_without_a_decision_of_its_own_is_named(entry: dict[str, object], told: str) -> None:
    raw = copy()
    ledger = Ledger(KEY, ORIGIN)
    with engine(raw).begin() as connection:
        ledger.begin(connection)
        ledger.append(connection, {"v": 1, **entry})
        ledger.seal(connection)
    assert found(raw, told) == SIZE


def test_an_entry_of_an_unknown_kind_is_named() -> None:
    raw = copy()
    ledger = Ledger(KEY, ORIGIN)
    with engine(raw).begin() as connection:
        ledger.begin(connection)
        ledger.append(connection, {"v": 1, "kind": "gossip"})
        ledger.seal(connection)
    assert found(raw, "is of kind 'gossip', which this Countenance does not know") == SIZE


@pytest.mark.parametrize(
    ("counters", "at"),
    [
        ([("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)], None),
        ([("a", 1), ("b", 1), ("a", 3)], 2),
        ([("a", 1), ("a", 2), ("a", 2)], 2),
        ([("a", 2)], 0),
        ([("a", 1), ("a", 1)], 1),
        ([("a", 1), ("a", "2")], 1),
        ([("a", True)], 0),
    ],
)
def test_a_gap_in_the_counters_of_a_key_is_named(counters: list[tuple[str, object]], at: int | None) -> None:
    raw = copy()
    ledger = Ledger(KEY, ORIGIN)
    with engine(raw).begin() as connection:
        ledger.begin(connection)
        for caller, counter in counters:
            ledger.append(connection, {"v": 1, "kind": "decision", "caller": caller, "counter": counter})
        ledger.append(connection, {"v": 1, "kind": "govern", "act": "revoke", "caller": "a"})
        ledger.seal(connection)
    if at is None:
        assert (verify(raw).decisions, verify(raw).administered) == (32 + len(counters), 1)
    else:
        assert found(raw, "of the key [ab], after call") == SIZE + at


SUCCESSOR = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)


def handed_over() -> sqlite3.Connection:
    """The record, then a change of keys, then ten entries under the new key."""
    raw = copy()
    ledger = Ledger(KEY, ORIGIN)
    for work in range(3):
        with engine(raw).begin() as connection:
            ledger.begin(connection)
            if work == 1:
                ledger.hand_over(connection, SUCCESSOR, dt.datetime(2026, 11, 22, tzinfo=dt.UTC))
            for _ in range(0 if work == 1 else 10):
                ledger.append(connection, {"v": 1, "kind": "govern"})
            ledger.seal(connection)
    assert ledger.public_key == SUCCESSOR.public_key()
    return raw


HANDOVER = SIZE + 11


def both(raw: sqlite3.Connection) -> str:
    """The note that both keys signed."""
    return str(raw.execute("SELECT note FROM handovers").fetchone()[0])


def by(key: Ed25519PrivateKey, raw: sqlite3.Connection, known: str | None = None) -> Verified:
    return Ledger(key, ORIGIN).verify(engine(raw).connect, known=known)


def test_either_key_leads_through_a_change_of_keys() -> None:
    raw = handed_over()
    assert by(KEY, raw).size == by(SUCCESSOR, raw).size == SIZE + 21
    for kept in (note(raw, FIRST), note(copy(), SIZE), both(raw), note(raw, SIZE + 21)):
        assert by(KEY, raw, known=kept).size == SIZE + 21


def test_a_third_key_is_told_that_it_never_signed() -> None:
    with pytest.raises(LedgerError, match="never signed this log"):
        by(Ed25519PrivateKey.generate(), handed_over())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM handovers", "not good"),
        ("UPDATE handovers SET note = 'x'", "not good"),
        (
            f"UPDATE handovers SET size = {FIRST}",
            "verifier key",
        ),
        (f"INSERT INTO handovers SELECT size, note FROM checkpoints WHERE size = {FIRST}", "verifier key"),
    ],
)
def test_a_change_of_keys_without_its_head_is_named(change: str, told: str) -> None:
    raw = handed_over()
    raw.execute(change)
    with pytest.raises(LedgerError, match=told):
        by(KEY, raw)


def test_a_head_that_only_the_new_key_signed_hands_nothing_over() -> None:
    raw = handed_over()
    text, _, lines = both(raw).partition("\n\n")
    for line in lines.splitlines(keepends=True):
        raw.execute("UPDATE handovers SET note = ?", [f"{text}\n\n{line}"])
        with pytest.raises(LedgerError, match="not signed by this log's key"):
            by(KEY, raw)


def test_the_old_key_signs_no_more() -> None:
    raw = handed_over()
    ledger = Ledger(KEY, ORIGIN)
    with engine(raw).begin() as connection, pytest.raises(LedgerError, match=r"not signed by|was changed"):
        ledger.begin(connection)
    raw.execute("DELETE FROM entries WHERE seq >= ?", [HANDOVER])
    raw.execute("DELETE FROM checkpoints WHERE size > ?", [SIZE])
    raw.execute("INSERT INTO checkpoints SELECT * FROM handovers")
    with engine(raw).begin() as connection, pytest.raises(LedgerError, match="this log's key was changed"):
        ledger.begin(connection)
