"""The record: an append-only RFC 6962 log in the home's database, with signed heads.

Every write transaction that appends ends with a signature over the whole log so far (`seal`), so a
home never holds an entry that no signed head covers, nor a signed head ahead of what is on disk.
Nothing is appended to a log that its newest signed head does not cover: what somebody wrote into the
database without the key is never signed. `verification` reads it all back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.engine import Connection, RootTransaction

from countenance.database import checkpoints, entries, nodes
from countenance.errors import LedgerError
from countenance.ledger import checkpoint, verification
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.entry import (
    Act,
    Result,
    canonical,
    decision_entry,
    govern_entry,
    outcome_entry,
    packs_entry,
)
from countenance.ledger.merkle import Frontier, Tree, leaf_hash, peaks
from countenance.ledger.verification import Progress, Snapshots, Verified, raw

__all__ = [
    "KEPT_EVERY",
    "Act",
    "Ledger",
    "Result",
    "Verified",
    "Written",
    "decision_entry",
    "govern_entry",
    "outcome_entry",
    "packs_entry",
]

KEPT_EVERY = 1000
"""Of the heads in each thousand entries the first is kept for good; later ones give way to newer."""


@dataclass(frozen=True, slots=True)
class Written:
    """An appended entry: its sequence number and leaf hash (32 bytes)."""

    seq: int
    leaf: bytes


class Ledger:
    """Appends to the log of one home.

    signer: the log's key. origin: the log's name for the world, without spaces or plus signs.
    Every method but `verify` runs inside a transaction that the caller holds; appending and sealing belong
    to the database's one writer thread.
    """

    def __init__(self, signer: Ed25519PrivateKey, origin: str) -> None:
        self.origin = origin
        self._signer = signer
        self._tree = Tree(Frontier())
        self._head: str | None = None  # the newest note we signed or checked; None over an empty log
        self._sealed = 0  # how many entries `_head` covers
        self._grown: list[bytes] = []  # the leaves that `_tree` has beyond those
        self._seen = 0  # how many entries were durable when a transaction last began
        self._transaction: RootTransaction | None = None  # the transaction `_tree` has grown in

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._signer.public_key()

    def append(self, connection: Connection, entry: Mapping[str, object]) -> Written:
        """Add an entry, which gets its own sequence number as "seq".

        Raises TypeError for a value the log does not take (a float, say), LedgerError where what is
        stored is not what was last signed.
        """
        tree = self._current(connection)
        seq = tree.size
        body = canonical({**entry, "seq": seq})
        leaf = leaf_hash(body)
        connection.execute(_ADD_ENTRY, {"seq": seq, "body": body, "leaf": leaf})
        if complete := [dict(zip(_NODE, node, strict=True)) for node in tree.append(leaf)[1:]]:
            connection.execute(_ADD_NODES, complete)  # a leaf is kept with its entry
        self._grown.append(leaf)
        return Written(seq, leaf)

    def seal(self, connection: Connection) -> None:
        """Sign the log as it stands, at the end of a write transaction. Nothing new: nothing signed.

        Raises LedgerError where what is stored is not what was last signed: then the transaction must not
        be committed.
        """
        tree = self._current(connection)
        if tree.size == self._sealed:
            return
        newest = connection.execute(_NEWEST_HEADS).scalars().all()
        note = checkpoint.sign(Checkpoint(self.origin, tree.size, tree.root()), self._signer)
        connection.execute(_ADD_HEAD, {"size": tree.size, "note": note})
        if len(newest) == 2 and newest[0] // KEPT_EVERY == newest[1] // KEPT_EVERY:
            connection.execute(_DROP_HEAD, {"dropped": newest[0]})
        self._head, self._sealed, self._grown = note, tree.size, []

    def entry(self, connection: Connection, seq: int) -> dict[str, Any]:
        """Read an entry. Raises LedgerError where it is missing or its leaf hash does not fit its body."""
        return verification.read(connection, seq)

    def unfinished(self, connection: Connection, decisions: Collection[int]) -> set[int]:
        """Which of these entries are decisions that no later entry is the outcome of.

        Reads every entry after the first of them. Raises LedgerError where one does not fit its leaf hash.
        """
        return verification.unfinished(connection, decisions)

    def verify(
        self, snapshots: Snapshots, progress: Progress | None = None, known: Checkpoint | None = None
    ) -> Verified:
        """Recompute everything. Raises LedgerError naming the first bad entry.

        known: a checkpoint kept outside this home, which the log must extend.
        """
        return verification.verify(snapshots, self.origin, self.public_key, progress, known)

    def _current(self, connection: Connection) -> Tree:
        """The tree as this transaction sees it. Other processes append too, and work may be undone."""
        size = connection.execute(_LAST_ENTRY).scalar_one()
        size = 0 if size is None else size + 1
        transaction = connection.get_transaction()
        if transaction is not self._transaction:
            self._begin(connection, size)
            self._transaction = transaction
        elif size != self._tree.size:
            self._undo(connection, size)
        return self._tree

    def _begin(self, connection: Connection, size: int) -> None:
        """Take the log as the last commit left it, if its newest signed head says that it is so."""
        note = connection.execute(_HEAD).scalar_one_or_none()
        # A signed head speaks for every entry before it: if ours is still the newest, our tree holds.
        if note is None or note != self._head or not size == self._sealed == self._tree.size:
            self._tree = self._signed(connection, size, note)
            self._head, self._sealed = note, size
        self._grown = []
        if size < self._seen:
            raise LedgerError(
                f"the ledger was put back: it holds {size} entries where {self._seen} were durable before"
            )
        self._seen = size

    def _undo(self, connection: Connection, size: int) -> None:
        """Forget the entries of work that was undone within this transaction."""
        kept = size - self._sealed
        if not 0 <= kept <= len(self._grown):
            raise LedgerError(f"entry {size - 1} was written by something else while we held the ledger")
        self._tree = self._signed(connection, self._sealed, self._head)
        self._grown = self._grown[:kept]
        for leaf in self._grown:
            self._tree.append(leaf)

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
        return tree


_ADVICE = ": nothing is added to such a ledger; `countenance ledger verify` says more"

_NODE = ("level", "idx", "hash")

# Built once: building a statement costs more here than running it.
_ADD_ENTRY = entries.insert()
_ADD_NODES = nodes.insert()
_LAST_ENTRY = sa.select(sa.func.max(entries.c.seq))
_NEWEST_HEADS = sa.select(checkpoints.c.size).order_by(checkpoints.c.size.desc()).limit(2)
_ADD_HEAD = checkpoints.insert()
_DROP_HEAD = checkpoints.delete().where(checkpoints.c.size == sa.bindparam("dropped"))
_HEAD = sa.select(raw(checkpoints.c.note)).order_by(checkpoints.c.size.desc()).limit(1)


def _load(connection: Connection, size: int) -> Tree:
    """The tree of the first `size` entries, from the few nodes that cover them."""
    frontier = Frontier()
    leaves = sa.select(sa.literal(0), entries.c.seq, raw(entries.c.leaf)).where(entries.c.seq == size - 1)
    stored = sa.select(nodes.c.level, nodes.c.idx, raw(nodes.c.hash)).where(
        sa.tuple_(nodes.c.level, nodes.c.idx).in_(peaks(size))
    )
    found = {
        (level, index): value for level, index, value in connection.execute(sa.union_all(leaves, stored))
    }
    for level, index in peaks(size):
        value = found.get((level, index))
        if not isinstance(value, bytes):
            raise LedgerError(f"node {index} of level {level} of the ledger's tree is gone{_ADVICE}")
        frontier.put(level, index, value)
    return Tree(frontier, size)
