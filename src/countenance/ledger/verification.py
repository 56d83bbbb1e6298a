"""Reading the whole record back and recomputing all of it.

What a change inside the database cannot hide from: each entry's leaf, the order of sequence numbers,
each tree node, each signed head, and that the newest head covers every entry. What only somebody
outside can see: a home that was put back as a whole to one of its own older heads. That takes a
checkpoint kept elsewhere (`known`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.engine import Connection

from countenance.database import checkpoints, entries, nodes
from countenance.errors import LedgerError
from countenance.ledger import checkpoint
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.merkle import Frontier, Node, Tree, leaf_hash

Progress = Callable[[int, int], None]
"""Told how many entries are verified, of how many."""

CHUNK = 4096
"""Entries read at a time, and then compared with the tree nodes they complete."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A record in which everything fits. root: 32 bytes. without_outcome: calls in flight or lost."""

    size: int
    root: bytes
    decisions: int
    outcomes: int
    without_outcome: tuple[int, ...]


def verify(
    connection: Connection,
    origin: str,
    key: Ed25519PublicKey,
    progress: Progress | None = None,
    known: Checkpoint | None = None,
) -> Verified:
    """Recompute everything from the bodies, within one snapshot that the caller holds.

    known: a checkpoint kept elsewhere, which this log must extend. Raises LedgerError with the first entry
    that does not fit; where a node or a head is at odds, with the first entry that it alone vouches for.
    """
    reading = _Reading(connection, _Heads(connection, origin, key, known))
    total = connection.execute(sa.select(sa.func.count()).select_from(entries)).scalar_one()
    for rows in _chunks(connection):
        reading.take(rows)
        if progress:
            progress(reading.tree.size, total)
    reading.finish()
    tree, calls = reading.tree, reading.calls
    return Verified(tree.size, tree.root(), calls.decisions, calls.outcomes, tuple(sorted(calls.open)))


class Stored(NamedTuple):
    """A row of the log as it lies on disk: after tampering, body and leaf may be anything."""

    seq: int
    body: Any
    leaf: Any


class _Reading:
    """The tree as it grows again, entry by entry, beside what is stored of it."""

    def __init__(self, connection: Connection, heads: _Heads) -> None:
        self.tree = Tree(Frontier())
        self.calls = _Calls()
        self._connection = connection
        self._heads = heads
        self._nodes = 0

    def take(self, rows: Sequence[Stored]) -> None:
        grown: list[Node] = []
        try:
            for row in rows:
                self._heads.meet(self.tree)
                self.calls.follow(self.tree.size, _body(row, self.tree.size))
                grown += self.tree.append(row.leaf)[1:]
            self._heads.meet(self.tree)
        finally:  # also on the way out of a fault: a node may be at odds with an earlier entry
            self._compare(grown)
        self._nodes += len(grown)

    def finish(self) -> None:
        self._heads.meet(self.tree)
        self._heads.finish(self.tree.size)
        stored = self._connection.execute(sa.select(sa.func.count()).select_from(nodes)).scalar_one()
        if stored != self._nodes:
            raise LedgerError(f"the tree has {stored} stored nodes where its entries make {self._nodes}")

    def _compare(self, grown: Sequence[Node]) -> None:
        stored: dict[tuple[Any, Any], Any] = {}
        for level in {level for level, _, _ in grown}:
            within = [index for at, index, _ in grown if at == level]
            query = sa.select(_raw(nodes.c.level), _raw(nodes.c.idx), _raw(nodes.c.hash)).where(
                nodes.c.level == level, nodes.c.idx.between(within[0], within[-1])
            )
            stored |= {(row[0], row[1]): row[2] for row in self._connection.execute(query)}
        for level, index, value in grown:
            if stored.get((level, index)) != value:
                raise self._at_odds(level, index)

    def _at_odds(self, level: int, index: int) -> LedgerError:
        first, end, vouched = index << level, index + 1 << level, self._heads.vouched
        if end <= vouched:
            return LedgerError(
                f"the tree node stored over entries {first} to {end - 1} was changed "
                f"(level {level}, index {index}); the entries themselves are those that were signed",
                first,
            )
        first = max(first, vouched)
        return LedgerError(
            f"entries {first} to {end - 1} and the tree node stored over them (level {level}, index {index}) "
            "do not fit: one of them was changed",
            first,
        )


class _Heads:
    """The signed heads in order of size, each checked when the tree has grown to it.

    vouched: the first so many entries are as the last good head says.
    """

    def __init__(
        self, connection: Connection, origin: str, key: Ed25519PublicKey, known: Checkpoint | None
    ) -> None:
        self.vouched = 0
        self._origin, self._key, self._known = origin, key, known
        query = sa.select(checkpoints.c.size, _raw(checkpoints.c.note)).order_by(checkpoints.c.size)
        self._waiting = [(size, note) for size, note in connection.execute(query)][::-1]

    def meet(self, tree: Tree) -> None:
        while self._waiting and self._waiting[-1][0] <= tree.size:
            head = self._signed(*self._waiting.pop())
            if head.size != tree.size or head.root != tree.root():
                raise LedgerError(
                    f"the entries from {self.vouched} to {tree.size - 1} are not those that the checkpoint "
                    f"of size {head.size} was signed over",
                    self.vouched,
                )
            self.vouched = head.size
        if self._known and self._known.size == tree.size and self._known.root != tree.root():
            raise LedgerError(
                f"the first {tree.size} entries are not those of the checkpoint that was kept elsewhere",
                self.vouched if self.vouched < tree.size else None,
            )

    def finish(self, size: int) -> None:
        promised = max([self._signed(*waiting).size for waiting in self._waiting], default=0)
        if self._known:
            promised = max(promised, self._known.size)
        if promised > size:
            raise LedgerError(
                f"entries {size} to {promised - 1} are gone: a checkpoint was signed over them", size
            )
        if self.vouched != size:
            raise LedgerError(
                f"no checkpoint covers the entries from {self.vouched} on; the newest was removed, "
                "or they were added by something else",
                self.vouched,
            )

    def _signed(self, size: int, note: object) -> Checkpoint:
        try:
            if not isinstance(note, str):
                raise LedgerError("it is not text")
            head = checkpoint.verify(note, self._origin, self._key)
            if head.size != size:
                raise LedgerError(f"its text is about size {head.size}")
        except LedgerError as fault:
            raise LedgerError(
                f"the checkpoint stored for size {size} is not good ({fault}); entries from {self.vouched} "
                "on rest on it",
                self.vouched,
            ) from fault
        return head


class _Calls:
    """Decisions and outcomes in pairs: each outcome names a decision before it that has none yet."""

    def __init__(self) -> None:
        self.decisions = 0
        self.outcomes = 0
        self.open: set[int] = set()

    def follow(self, seq: int, body: dict[str, Any]) -> None:
        if body.get("kind") == "decision":
            self.decisions += 1
            self.open.add(seq)
        elif body.get("kind") == "outcome":
            decision = body.get("decision")
            if decision not in self.open:
                raise LedgerError(f"entry {seq} is an outcome, but decision {decision} awaits none", seq)
            self.outcomes += 1
            self.open.remove(decision)


def read(connection: Connection, seq: int) -> dict[str, Any]:
    """One entry. Raises LedgerError where it is missing or its leaf hash does not fit its body."""
    row = connection.execute(_stored().where(entries.c.seq == seq)).first()
    if row is None:
        raise LedgerError(f"there is no entry {seq}", seq)
    return _body(Stored(*row), seq)


def _stored() -> sa.Select[Any]:
    return sa.select(entries.c.seq, _raw(entries.c.body), _raw(entries.c.leaf))


def _chunks(connection: Connection) -> Iterator[list[Stored]]:
    query = _stored().order_by(entries.c.seq)
    rows = connection.execute(query.limit(CHUNK)).all()
    while rows:
        yield [Stored(*row) for row in rows]
        rows = connection.execute(query.where(entries.c.seq > rows[-1][0]).limit(CHUNK)).all()


def _body(row: Stored, seq: int) -> dict[str, Any]:
    if row.seq < seq:
        raise LedgerError(f"an entry numbered {row.seq} was put before the first", 0)
    if row.seq > seq:
        raise LedgerError(f"entry {seq} is missing: the next one stored is {row.seq}", seq)
    if not isinstance(row.body, bytes) or leaf_hash(row.body) != row.leaf:
        raise LedgerError(f"entry {seq} was changed: its bytes do not hash to its leaf", seq)
    try:
        body = json.loads(row.body)
    except ValueError as error:
        raise LedgerError(f"entry {seq} is not JSON", seq) from error
    if not isinstance(body, dict) or body.get("seq") != seq:
        raise LedgerError(f"entry {seq} holds what was written as another entry", seq)
    return body


def _raw(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column as it lies on disk: SQLite keeps any type anywhere, and a changed row need not be ours."""
    return sa.type_coerce(column, sa.types.NullType())
