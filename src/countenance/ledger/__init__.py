"""The record: an append-only RFC 6962 log in the home's database, with signed heads.

Every write transaction that appends ends with a signature over the whole log so far (`seal`), so a
home never holds an entry that no signed head covers, nor a signed head ahead of what is on disk.
Nothing is appended to a log that its newest signed head does not cover: what somebody wrote into the
database without the key is never signed. `verification` reads it all back.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.engine import Connection

from countenance.database import Statement
from countenance.errors import LedgerError
from countenance.ledger import checkpoint, verification
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.entry import (
    SILENCE,
    Act,
    Entry,
    Model,
    Result,
    Stage,
    Told,
    canonical,
    decision_entry,
    expire_entry,
    govern_entry,
    outcome_entry,
    packs_entry,
    rotate_entry,
    settings_entry,
)
from countenance.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
    peaks,
    verify_consistency,
    verify_inclusion,
)
from countenance.ledger.vault import Record, Vault, private, subject_tag
from countenance.ledger.verification import Progress, Snapshots, Verified, raw
from countenance.schema import calls, checkpoints, entries, handovers, nodes, witnessed

__all__ = [
    "KEPT_EVERY",
    "SILENCE",
    "Act",
    "Entry",
    "Ledger",
    "Model",
    "Proof",
    "Proven",
    "Record",
    "Result",
    "Stage",
    "Told",
    "Vault",
    "Verified",
    "Written",
    "decision_entry",
    "expire_entry",
    "govern_entry",
    "outcome_entry",
    "packs_entry",
    "private",
    "settings_entry",
    "subject_tag",
]

SALT = 12
"""Random bytes in each entry that has none of its own: no hash of an entry leads back to it."""

KEPT_EVERY = 1000
"""Of the heads in each thousand entries the first is kept for good; later ones give way to newer."""


@dataclass(frozen=True, slots=True)
class Written:
    """An appended entry: its sequence number and leaf hash (32 bytes)."""

    seq: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """An entry as it is written, and the hashes (32 bytes each) that lead from it to a checkpoint's root."""

    number: int
    body: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proven:
    """Entries under one checkpoint. note: its signed text, with witnesses' signatures where it has any."""

    note: str
    proofs: tuple[Proof, ...]


class Ledger:
    """Appends to the log of one home.

    signer: the log's key. origin: the log's name for the world, without spaces or plus signs.
    A journal of the database (`Database.keep`): it is told of every write transaction, and appends inside
    one, on the writer's thread. Every method but `verify` runs inside a transaction that the caller holds.
    """

    def __init__(self, signer: Ed25519PrivateKey, origin: str) -> None:
        self.origin = origin
        self._signer = signer
        self._successor: Ed25519PrivateKey | None = None  # who signs after this transaction
        self._tree = Tree(Frontier())
        self._head: str | None = None  # the newest note we signed or checked; None over an empty log
        self._sealed = Checkpoint(origin, 0, EMPTY_ROOT)  # what `_head` says
        self._durable = self._sealed  # what we last knew to be on the disk

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._signer.public_key()

    @property
    def verifier_key(self) -> str:
        return checkpoint.verifier_key(self.origin, self.public_key)

    def append(self, connection: Connection, entry: Mapping[str, object]) -> Written:
        """Add an entry, which gets its own sequence number as "seq", and a "salt": proofs of an entry show
        the hashes of its neighbours, and what little an outcome says could be found by trying.

        Raises TypeError or ValueError for what the log does not take (a float, say, or 64 KiB).
        """
        seq = self._tree.size
        salt = {} if "request" in entry else {"salt": secrets.token_urlsafe(SALT)}  # a request id is one
        body = canonical({**entry, **salt, "seq": seq})
        leaf = leaf_hash(body)
        _ADD_ENTRY.run(connection, seq=seq, body=body, leaf=leaf)
        for level, index, value in self._tree.append(leaf)[1:]:  # a leaf is kept with its entry
            _ADD_NODE.run(connection, level=level, idx=index, hash=value)
        return Written(seq, leaf)

    def begin(self, connection: Connection) -> None:
        """Take the log as the last commit left it, if its newest signed head says that it is so.

        Other processes append too, and a commit of ours may have failed. Raises LedgerError where what is
        stored is not what was last signed.
        """
        [(last, note)] = _END.run(connection)
        size = 0 if last is None else last + 1
        # A signed head speaks for every entry before it: if ours is still the newest, our tree holds.
        if note is None or note != self._head or not size == self._sealed.size == self._tree.size:
            self._tree = self._signed(connection, size, note)
            self._check_continues(connection, size)
            self._head, self._sealed = note, Checkpoint(self.origin, size, self._tree.root())
        elif self._successor is not None:
            self._signer = self._successor
        self._successor = None
        self.settled()

    def hand_over(self, connection: Connection, successor: Ed25519PrivateKey, now: dt.datetime) -> Written:
        """Record that another key signs from here on. This transaction's head carries both signatures."""
        new = checkpoint.verifier_key(self.origin, successor.public_key())
        written = self.append(connection, rotate_entry(now=now, key=new, before=self.verifier_key))
        self._successor = successor
        return written

    def seal(self, connection: Connection) -> None:
        """Sign the log as it stands, at the end of a write transaction. Nothing new: nothing signed."""
        size = self._tree.size
        if size == self._sealed.size:
            return
        head = Checkpoint(self.origin, size, self._tree.root())
        note = checkpoint.sign(head, self._signer)
        if self._successor is not None:
            note += checkpoint.sign(head, self._successor).partition("\n\n")[2]
            _ADD_HANDOVER.run(connection, size=size, note=note)
        _DROP_HEAD.run(connection, newest=self._sealed.size)
        _ADD_HEAD.run(connection, size=size, note=note)
        self._head, self._sealed = note, head

    def settled(self) -> None:
        """What was sealed is durable: from here on nothing shorter, and nothing else, is this log."""
        self._durable = self._sealed

    def entry(self, connection: Connection, seq: int) -> dict[str, Any]:
        """Read an entry. Raises LedgerError where it is missing or its leaf hash does not fit its body."""
        return verification.read(connection, seq)

    def size(self, connection: Connection) -> int:
        """How many entries are written."""
        [(last, _)] = _END.run(connection)
        return 0 if last is None else int(last) + 1

    def outcome(self, connection: Connection, decision: int) -> int | None:
        """The number of a decision's outcome; None where it has none yet. Raises LedgerError."""
        for (number,) in _OUTCOME.run(connection, of=decision):
            if number is not None and self.entry(connection, number).get("decision") != decision:
                raise LedgerError(f"entry {number} is not the outcome of {decision}, as a table says", number)
            return None if number is None else int(number)
        return None

    def prove(self, connection: Connection, numbers: Sequence[int]) -> Proven:
        """Entries with their proofs, under the newest checkpoint that witnesses signed if it covers them.

        Raises LedgerError where an entry is missing or what is stored does not lead to the signed root.
        """
        note, head = self._covering(connection, max(numbers) + 1)
        tree = Tree(_StoredNodes(connection), head.size)
        proofs = []
        for number in numbers:
            body = verification.bytes_of(connection, number)
            path = tuple(tree.inclusion(number, head.size))
            if not verify_inclusion(leaf_hash(body), number, head.size, path, head.root):
                raise LedgerError(f"the tree over entry {number} was changed{_ADVICE}", number)
            proofs.append(Proof(number, body, path))
        return Proven(note, tuple(proofs))

    def _covering(self, connection: Connection, size: int) -> tuple[str, Checkpoint]:
        for (note,) in _WITNESSED.run(connection):
            with contextlib.suppress(LedgerError):  # after a change of keys it may be the old one's
                head = checkpoint.verify(note, self.origin, self.public_key)
                if head.size >= size:
                    return note, head
        for (note,) in _NEWEST_NOTE.run(connection):
            head = checkpoint.verify(note, self.origin, self.public_key)
            if head.size >= size:
                return note, head
        raise LedgerError(f"no checkpoint covers entry {size - 1}{_ADVICE}")

    def outcomes(self, connection: Connection, decisions: Collection[int]) -> dict[int, int | None]:
        """The outcome of each of these entries that is a decision, None where no later entry is one.

        Reads every entry after the first of them. Raises LedgerError where one does not fit its leaf hash.
        """
        return verification.outcomes(connection, decisions)

    def verify(
        self, snapshots: Snapshots, progress: Progress | None = None, known: str | None = None
    ) -> Verified:
        """Recompute everything. Raises LedgerError naming the first bad entry.

        known: the note of a checkpoint kept outside this home, which the log must extend.
        """
        return verification.verify(snapshots, self.origin, self.public_key, progress, known)

    def _signed(self, connection: Connection, size: int, note: object) -> Tree:
        """The tree of the first `size` entries. Raises LedgerError unless `note`, None over no entries, is
        our signature over just that tree."""
        tree = _load(connection, size)
        if note is None and size == 0:
            return tree
        if note is None:
            raise LedgerError(f"no checkpoint covers the {size} entries that are stored{_ADVICE}")
        head = checkpoint.verify(note, self.origin, self.public_key)
        if (head.size, head.root) != (size, tree.root()):
            raise LedgerError(
                f"the {size} entries that are stored are not those that the newest checkpoint, "
                f"of size {head.size}, was signed over{_ADVICE}"
            )
        self._check_successor(connection)
        return tree

    def _check_continues(self, connection: Connection, size: int) -> None:
        """Raises LedgerError unless the tree just read begins with what was durable before: a signature does
        not tell a copy that was put back, nor one that another process went on from."""
        before = self._durable
        if size < before.size:
            raise LedgerError(
                f"the ledger was put back: it holds {size} entries where {before.size} were durable before"
            )
        proof = stored_tree(connection, size).consistency(before.size, size)
        if not verify_consistency(before.size, size, before.root, self._tree.root(), proof):
            raise LedgerError(
                f"the ledger was put back, and went on: its first {before.size} entries are not those that "
                "were durable before"
            )

    def _check_successor(self, connection: Connection) -> None:
        """Raises LedgerError where another key was to sign from the last handover on."""
        if verification.newest_key(connection) not in (None, self.verifier_key):
            raise LedgerError(
                "this log's key was changed, and ledger.key is still the old one: put the new one in its "
                "place, or let `countenance ledger rotate` finish"
            )


_ADVICE = ": nothing is added to such a ledger; `countenance ledger verify` says more"

_ADD_ENTRY = Statement(entries.insert())
_ADD_NODE = Statement(nodes.insert())
_ADD_HEAD = Statement(checkpoints.insert())
_NEWEST = sa.bindparam("newest", type_=sa.BigInteger)
_BEFORE = sa.select(sa.func.max(checkpoints.c.size)).where(checkpoints.c.size < _NEWEST).scalar_subquery()
_DROP_HEAD = Statement(
    checkpoints.delete().where(
        checkpoints.c.size == _NEWEST, checkpoints.c.size // KEPT_EVERY == _BEFORE // KEPT_EVERY
    )
)
_ADD_HANDOVER = Statement(handovers.insert())
_HEAD = sa.select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
_NEWEST_NOTE = Statement(_HEAD)
_WITNESSED = Statement(sa.select(witnessed.c.note).order_by(witnessed.c.size.desc()).limit(1))
_OUTCOME = Statement(sa.select(calls.c.outcome).where(calls.c.decision == sa.bindparam("of")))
_LEAF = Statement(sa.select(entries.c.leaf).where(entries.c.seq == sa.bindparam("seq")))
_NODE = Statement(
    sa.select(nodes.c.hash).where(nodes.c.level == sa.bindparam("level"), nodes.c.idx == sa.bindparam("idx"))
)
_END = Statement(
    sa.select(
        sa.select(sa.func.max(entries.c.seq)).scalar_subquery(),
        _HEAD.scalar_subquery(),
    )
)


class _StoredNodes:
    """The complete nodes where they are kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, level: int, index: int) -> bytes:
        """Raises LedgerError for a node that is not there."""
        found = (
            _NODE.run(self._connection, level=level, idx=index)
            if level
            else _LEAF.run(self._connection, seq=index)
        )
        if not found or not isinstance(found[0][0], bytes):
            raise LedgerError(f"node {index} of level {level} of the ledger's tree is gone{_ADVICE}")
        return found[0][0]

    def put(self, level: int, index: int, value: bytes) -> None:
        """What is stored is not written here."""
        raise NotImplementedError


def stored_tree(connection: Connection, size: int) -> Tree:
    """The tree of the first `size` entries where it is kept: for roots and proofs, not for growing."""
    return Tree(_StoredNodes(connection), size)


def _load(connection: Connection, size: int) -> Tree:
    """The tree of the first `size` entries, from the few nodes that cover them."""
    frontier = Frontier()
    leaves = sa.select(sa.literal(0), entries.c.seq, raw(entries.c.leaf)).where(entries.c.seq == size - 1)
    # Not a tuple IN (...): SQLite reads the whole table for it.
    wanted = [sa.and_(nodes.c.level == level, nodes.c.idx == index) for level, index in peaks(size)]
    stored = sa.select(nodes.c.level, nodes.c.idx, raw(nodes.c.hash)).where(sa.or_(sa.false(), *wanted))
    found = {
        (level, index): value for level, index, value in connection.execute(sa.union_all(leaves, stored))
    }
    for level, index in peaks(size):
        value = found.get((level, index))
        if not isinstance(value, bytes):
            raise LedgerError(f"node {index} of level {level} of the ledger's tree is gone{_ADVICE}")
        frontier.put(level, index, value)
    return Tree(frontier, size)
