"""Reading the whole record back and recomputing all of it.

What a change inside the database cannot hide from: each entry's leaf, the order of sequence numbers,
each tree node, each signed head, that the newest head covers every entry, and each key's counter. What
only somebody outside can see: a home that was put back as a whole to one of its own older heads. That
takes a checkpoint kept elsewhere (`known`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.errors import LedgerError
from countenance.ledger import checkpoint
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.entry import VERSION, Act, parsed
from countenance.ledger.merkle import Frontier, Node, Tree, leaf_hash
from countenance.schema import checkpoints, entries, handovers, nodes, witnessed

Progress = Callable[[int, int], None]
"""Told how many entries are verified, of how many."""

Snapshots = Callable[[], AbstractContextManager[Connection]]
"""Opens a consistent snapshot of the database. An open one holds back erasure, so each is let go soon."""

Seal = tuple[str, Ed25519PublicKey]
"""A name and the key that signs under it."""

CHUNK = 4096
"""Entries read at a time, and then compared with the tree nodes they complete."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A record in which everything fits. root: 32 bytes. without_outcome: calls in flight or lost.

    administered: how many entries are about who may call.
    """

    size: int
    root: bytes
    decisions: int
    outcomes: int
    administered: int
    without_outcome: tuple[int, ...]


def verify(
    snapshots: Snapshots,
    origin: str,
    key: Ed25519PublicKey,
    progress: Progress | None = None,
    known: str | None = None,
    witnesses: Sequence[Seal] = (),
) -> Verified:
    """Recompute everything from the bodies: the log as it is now, whatever is appended meanwhile.

    key: any of those that ever signed this log, one after the other. known: the note of a checkpoint kept
    elsewhere, which this log must extend. witnesses: whose signatures, where there are any, must be true.
    Raises LedgerError with the first entry that does not fit; where a
    node or a head is at odds, with the first entry that it alone vouches for.
    """
    with snapshots() as connection:
        extent = _extent(connection)
        first = _first_key(connection, origin, key, extent.handovers)
    reading = _Reading(snapshots, _Heads(extent, origin, first, known, witnesses))
    for rows in _chunks(snapshots, extent.last):
        reading.take(rows)
        if progress:
            progress(reading.tree.size, extent.entries)
    reading.finish(extent.nodes, key)
    tree, calls = reading.tree, reading.calls
    return Verified(
        size=tree.size,
        root=tree.root(),
        decisions=calls.decisions,
        outcomes=calls.outcomes,
        administered=calls.administered,
        without_outcome=tuple(sorted(calls.open)),
    )


def outcomes(connection: Connection, decisions: Collection[int]) -> dict[int, int | None]:
    """The outcome of each of these entries that is a decision, None where no later entry is one.

    Raises LedgerError where an entry that says so does not hash to its leaf.
    """
    [last] = connection.execute(sa.select(sa.func.max(entries.c.seq))).scalars()
    there = [seq for seq in decisions if last is not None and 0 <= seq <= last]
    found: dict[int, int | None] = {
        seq: None for seq in there if read(connection, seq).get("kind") == "decision"
    }
    if found:
        for rows in _chunks(lambda: nullcontext(connection), last, min(found)):
            for row in rows:
                body = _body(row, row.seq)
                if body.get("kind") == "outcome" and found.get(body.get("decision", -1), 0) is None:
                    found[body["decision"]] = row.seq
    return found


class _Extent(NamedTuple):
    """What there is to verify at one moment. heads, handovers, witnessed: sizes and notes, the smallest
    first."""

    entries: int
    last: int
    nodes: int
    heads: list[tuple[int, Any]]
    handovers: list[tuple[int, Any]]
    witnessed: list[tuple[int, Any]]


def _extent(connection: Connection) -> _Extent:
    counted = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(entries.c.seq), -1))
    number, last = connection.execute(counted.select_from(entries)).one()
    stored = connection.execute(sa.select(sa.func.count()).select_from(nodes)).scalar_one()
    heads, both, others = (
        [(size, note) for size, note in connection.execute(_notes(table))]
        if sa.inspect(connection).has_table(table.name)  # an older home is read as it lies
        else []
        for table in (checkpoints, handovers, witnessed)
    )
    return _Extent(number, last, stored, heads, both, others)


def _notes(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.size, raw(table.c.note)).order_by(table.c.size)


def _first_key(
    connection: Connection, origin: str, key: Ed25519PublicKey, changes: Sequence[tuple[int, Any]]
) -> Ed25519PublicKey:
    """Who signed the log's first heads: the key itself, unless it came after another."""
    if not changes:
        return key
    return _named_key(read(connection, changes[0][0] - 1), "key_before", origin)


def newest_key(connection: Connection) -> str | None:
    """The verifier key that the newest change of keys named; None where there was none."""
    if not sa.inspect(connection).has_table(handovers.name):
        return None
    size = connection.execute(sa.select(sa.func.max(handovers.c.size))).scalar()
    return None if size is None else str(read(connection, size - 1).get("key"))


def _named_key(entry: Mapping[str, Any], member: str, origin: str) -> Ed25519PublicKey:
    name, key = checkpoint.read_key(str(entry.get(member)))
    if name != origin:
        raise LedgerError(f"entry {entry.get('seq')} names the key of another log", entry.get("seq"))
    return key


class Stored(NamedTuple):
    """A row of the log as it lies on disk: after tampering, body and leaf may be anything."""

    seq: int
    body: Any
    leaf: Any


class _Reading:
    """The tree as it grows again, entry by entry, beside what is stored of it."""

    def __init__(self, snapshots: Snapshots, heads: _Heads) -> None:
        self.tree = Tree(Frontier())
        self.calls = _Calls()
        self._snapshots = snapshots
        self._heads = heads
        self._nodes = 0

    def take(self, rows: Sequence[Stored]) -> None:
        grown: list[Node] = []
        try:
            for row in rows:
                self._heads.meet(self.tree)
                body = _body(row, self.tree.size)
                self.calls.follow(self.tree.size, body)
                self._heads.follow(self.tree.size, body)
                grown += self.tree.append(row.leaf)[1:]
            self._heads.meet(self.tree)
        finally:  # also on the way out of a fault: a node may be at odds with an earlier entry
            self._compare(grown)
        self._nodes += len(grown)

    def finish(self, stored: int, key: Ed25519PublicKey) -> None:
        """stored: how many nodes there were when verification began. key: one that must be the log's."""
        self._heads.meet(self.tree)
        self._heads.finish(self.tree.size, key)
        if stored != self._nodes:
            raise LedgerError(f"the tree has {stored} stored nodes where its entries make {self._nodes}")

    def _compare(self, grown: Sequence[Node]) -> None:
        stored: dict[tuple[Any, Any], Any] = {}
        with self._snapshots() as connection:
            for level in {level for level, _, _ in grown}:
                within = [index for at, index, _ in grown if at == level]
                query = sa.select(raw(nodes.c.level), raw(nodes.c.idx), raw(nodes.c.hash)).where(
                    nodes.c.level == level, nodes.c.idx.between(within[0], within[-1])
                )
                stored |= {(row[0], row[1]): row[2] for row in connection.execute(query)}
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
        self,
        extent: _Extent,
        origin: str,
        first: Ed25519PublicKey,
        known: str | None,
        witnesses: Sequence[Seal],
    ) -> None:
        self.vouched = 0
        self._origin, self._keys, self._witnesses = origin, [first], witnesses
        self._newest = extent.heads[-1][0] if extent.heads else 0
        self._waiting = sorted(extent.heads + extent.witnessed, key=lambda head: -head[0])
        self._handovers = dict(extent.handovers)
        self._successor: tuple[int, Ed25519PublicKey] | None = None
        self._note, self._known = known, None if known is None else checkpoint.peek(known)
        if self._known and self._known.origin != origin:
            raise LedgerError(f"the checkpoint that was kept elsewhere is not one of {origin}")

    def follow(self, seq: int, body: Mapping[str, Any]) -> None:
        """Learn from an entry that another key signs from the next head on."""
        if body.get("kind") != "govern" or body.get("act") != Act.ROTATE:
            return
        now = checkpoint.verifier_key(self._origin, self._keys[-1])
        if body.get("key_before") != now:
            raise LedgerError(f"entry {seq} takes over from a key that did not sign this log until then", seq)
        self._successor = seq + 1, _named_key(body, "key", self._origin)

    def meet(self, tree: Tree) -> None:
        while self._waiting and self._waiting[-1][0] <= tree.size:
            self._fit(tree, self._signed(*self._waiting.pop()))
        if self._successor is not None:
            self._hand_over(tree, *self._successor)
        if self._known and self._known.size == tree.size and self._known.root != tree.root():
            raise LedgerError(
                f"the first {tree.size} entries are not those of the checkpoint that was kept elsewhere",
                self.vouched if self.vouched < tree.size else None,
            )

    def finish(self, size: int, key: Ed25519PublicKey) -> None:
        promised = max([self._signed(*waiting).size for waiting in self._waiting], default=0)
        if self._known:
            checkpoint.verify_any(self._note, self._origin, self._keys)
            promised = max(promised, self._known.size)
        if promised > size:
            raise LedgerError(
                f"entries {size} to {promised - 1} are gone: a checkpoint was signed over them", size
            )
        if not self._newest == self.vouched == size:
            covered = min(self._newest, self.vouched)
            raise LedgerError(
                f"no checkpoint covers the entries from {covered} on; the newest was removed, "
                "or they were added by something else",
                covered,
            )
        if self._handovers:
            raise LedgerError(f"no entry tells of the change of keys at size {min(self._handovers)}")
        if key not in self._keys:
            raise LedgerError("the key that was given never signed this log")

    def _fit(self, tree: Tree, head: Checkpoint) -> None:
        if head.size != tree.size or head.root != tree.root():
            raise LedgerError(
                f"the entries from {self.vouched} to {tree.size - 1} are not those that the checkpoint "
                f"of size {head.size} was signed over",
                self.vouched,
            )
        self.vouched = head.size

    def _hand_over(self, tree: Tree, size: int, key: Ed25519PublicKey) -> None:
        """Both keys must have signed the head over the entry that tells of the change."""
        note = self._handovers.pop(size, None)
        self._fit(tree, self._signed(size, note))
        self._keys.append(key)
        self._fit(tree, self._signed(size, note))
        self._successor = None

    def _signed(self, size: int, note: object) -> Checkpoint:
        try:
            head = checkpoint.verify(note, self._origin, self._keys[-1])
            if head.size != size:
                raise LedgerError(f"its text is about size {head.size}")
            for name, key in self._witnesses:
                checkpoint.cosignature(str(note), name, key)
        except LedgerError as fault:
            raise LedgerError(
                f"the checkpoint stored for size {size} is not good ({fault}); entries from {self.vouched} "
                "on rest on it",
                self.vouched,
            ) from fault
        return head


class _Calls:
    """What the entries say of each other: each outcome names a decision before it that has none yet, and
    each key counts its calls from 1 without a gap."""

    def __init__(self) -> None:
        self.decisions = 0
        self.outcomes = 0
        self.administered = 0
        self.open: set[int] = set()
        self._counted: dict[str, int] = {}

    def follow(self, seq: int, body: dict[str, Any]) -> None:
        if type(body.get("v")) is not int or body["v"] != VERSION:
            raise LedgerError(
                f"entry {seq} is of version {body.get('v')!r}, which this Countenance does not know", seq
            )
        match body.get("kind"):
            case "decision":
                self.decisions += 1
                self.open.add(seq)
                if "counter" in body:
                    self._count(seq, str(body.get("caller")), body["counter"])
            case "outcome":
                decision = body.get("decision")
                if type(decision) is not int or decision not in self.open:
                    raise LedgerError(f"entry {seq} is an outcome, but decision {decision} awaits none", seq)
                self.outcomes += 1
                self.open.remove(decision)
            case "govern":
                self.administered += 1
            case kind:
                raise LedgerError(
                    f"entry {seq} is of kind {kind!r}, which this Countenance does not know", seq
                )

    def _count(self, seq: int, caller: str, counter: Any) -> None:
        before = self._counted.get(caller, 0)
        if type(counter) is not int or counter != before + 1:
            raise LedgerError(
                f"entry {seq} is call {counter} of the key {caller}, after call {before}: calls "
                "were left out, or its counter was changed",
                seq,
            )
        self._counted[caller] = counter


def read(connection: Connection, seq: int) -> dict[str, Any]:
    """One entry. Raises LedgerError where it is missing or its leaf hash does not fit its body."""
    return _body(_row(connection, seq), seq)


def bytes_of(connection: Connection, seq: int) -> bytes:
    """One entry as it is written. Raises LedgerError as `read` does."""
    row = _row(connection, seq)
    _body(row, seq)
    return bytes(row.body)


def _row(connection: Connection, seq: int) -> Stored:
    for row in _ONE.run(connection, one=seq):
        return Stored(*row)
    raise LedgerError(f"there is no entry {seq}", seq)


def _stored() -> sa.Select[Any]:
    return sa.select(entries.c.seq, raw(entries.c.body), raw(entries.c.leaf))


def _chunks(snapshots: Snapshots, last: int, after: int | None = None) -> Iterator[list[Stored]]:
    """The entries up to number `last` in order, each chunk read in a snapshot of its own."""
    query = _stored().where(entries.c.seq <= last).order_by(entries.c.seq).limit(CHUNK)
    while True:
        with snapshots() as connection:
            further = query if after is None else query.where(entries.c.seq > after)
            rows = [Stored(*row) for row in connection.execute(further)]
        if not rows:
            return
        yield rows
        after = rows[-1].seq


def _body(row: Stored, seq: int) -> dict[str, Any]:
    if row.seq < seq:
        raise LedgerError(f"an entry numbered {row.seq} was put before the first", 0)
    if row.seq > seq:
        raise LedgerError(f"entry {seq} is missing: the next one stored is {row.seq}", seq)
    if not isinstance(row.body, bytes) or leaf_hash(row.body) != row.leaf:
        raise LedgerError(f"entry {seq} was changed: its bytes do not hash to its leaf", seq)
    try:
        body = parsed(row.body)
    except ValueError as error:
        raise LedgerError(f"entry {seq} is none that this log would take: {error}", seq) from error
    if type(body.get("seq")) is not int or body["seq"] != seq:
        raise LedgerError(f"entry {seq} holds what was written as another entry", seq)
    return body


def raw(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column as it lies on disk: SQLite keeps any type anywhere, and a changed row need not be ours."""
    return sa.type_coerce(column, sa.types.NullType())


_ONE = Statement(_stored().where(entries.c.seq == sa.bindparam("one")))
