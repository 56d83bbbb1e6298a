"""The record: an append-only RFC 6962 log in the home's database, with signed heads.

Every write transaction that appends ends with a signature over the whole log so far (`seal`), so a
home never holds an entry that no signed head covers, nor a signed head ahead of what is on disk.
`verification` reads it all back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.engine import Connection, RootTransaction

from countenance.database import checkpoints, entries, nodes
from countenance.errors import LedgerError
from countenance.ledger.checkpoint import Checkpoint, sign
from countenance.ledger.entry import Result, canonical, decision_entry, outcome_entry
from countenance.ledger.merkle import Frontier, Tree, leaf_hash, peaks
from countenance.ledger.verification import Progress, Verified, read, verify

__all__ = ["KEPT_EVERY", "Ledger", "Result", "Verified", "Written", "decision_entry", "outcome_entry"]

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
    Every method runs inside a transaction that the caller holds; appending and sealing belong to the
    database's one writer thread.
    """

    def __init__(self, signer: Ed25519PrivateKey, origin: str) -> None:
        self.origin = origin
        self._signer = signer
        self._tree = Tree(Frontier())
        self._head: str | None = None  # the note of the head `_tree` was sealed under
        self._transaction: RootTransaction | None = None  # the transaction `_tree` has grown in

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._signer.public_key()

    def append(self, connection: Connection, entry: Mapping[str, object]) -> Written:
        """Add an entry, which gets its own sequence number as "seq".

        Raises TypeError for a value the log does not take (a float, say).
        """
        tree = self._current(connection)
        seq = tree.size
        body = canonical({**entry, "seq": seq})
        leaf = leaf_hash(body)
        connection.execute(_ADD_ENTRY, {"seq": seq, "body": body, "leaf": leaf})
        if complete := [dict(zip(_NODE, node, strict=True)) for node in tree.append(leaf)[1:]]:
            connection.execute(_ADD_NODES, complete)  # a leaf is kept with its entry
        return Written(seq, leaf)

    def seal(self, connection: Connection) -> None:
        """Sign the log as it stands, at the end of a write transaction. Nothing new: nothing signed."""
        newest = connection.execute(_NEWEST_HEADS).scalars().all()
        tree = self._current(connection)
        if tree.size == (newest[0] if newest else 0):
            return
        note = sign(Checkpoint(self.origin, tree.size, tree.root()), self._signer)
        connection.execute(_ADD_HEAD, {"size": tree.size, "note": note})
        if len(newest) == 2 and newest[0] // KEPT_EVERY == newest[1] // KEPT_EVERY:
            connection.execute(_DROP_HEAD, {"dropped": newest[0]})
        self._head = note

    def entry(self, connection: Connection, seq: int) -> dict[str, Any]:
        """Read an entry. Raises LedgerError where it is missing or its leaf hash does not fit its body."""
        return read(connection, seq)

    def verify(
        self, connection: Connection, progress: Progress | None = None, known: Checkpoint | None = None
    ) -> Verified:
        """Recompute everything. Raises LedgerError naming the first bad entry.

        known: a checkpoint kept outside this home, which the log must extend.
        """
        return verify(connection, self.origin, self.public_key, progress, known)

    def _current(self, connection: Connection) -> Tree:
        """The tree as this transaction sees it. Other processes append too, and work may be rolled back."""
        size = connection.execute(_LAST_ENTRY).scalar_one()
        size = 0 if size is None else size + 1
        transaction = connection.get_transaction()
        if transaction is not self._transaction or size != self._tree.size:
            head = connection.execute(_HEAD).scalar_one_or_none()
            # A signed head speaks for every entry before it: if ours is still the newest, our tree holds.
            if head is None or head != self._head or size != self._tree.size:
                self._tree = _load(connection, size)
            self._transaction = transaction
        return self._tree


_NODE = ("level", "idx", "hash")

# Built once: building a statement costs more here than running it.
_ADD_ENTRY = entries.insert()
_ADD_NODES = nodes.insert()
_LAST_ENTRY = sa.select(sa.func.max(entries.c.seq))
_NEWEST_HEADS = sa.select(checkpoints.c.size).order_by(checkpoints.c.size.desc()).limit(2)
_ADD_HEAD = checkpoints.insert()
_DROP_HEAD = checkpoints.delete().where(checkpoints.c.size == sa.bindparam("dropped"))
_HEAD = sa.select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)


def _load(connection: Connection, size: int) -> Tree:
    """The tree of the `size` entries that are stored, from the few nodes that cover them."""
    frontier = Frontier()
    leaves = sa.select(sa.literal(0), entries.c.seq, entries.c.leaf).where(entries.c.seq == size - 1)
    stored = sa.select(nodes.c.level, nodes.c.idx, nodes.c.hash).where(
        sa.tuple_(nodes.c.level, nodes.c.idx).in_(peaks(size))
    )
    found = {
        (level, index): value for level, index, value in connection.execute(sa.union_all(leaves, stored))
    }
    for level, index in peaks(size):
        if (level, index) not in found:
            raise LedgerError(
                f"node {index} of level {level} of the ledger's tree is gone; verify the ledger"
            )
        frontier.put(level, index, found[level, index])
    return Tree(frontier, size)
