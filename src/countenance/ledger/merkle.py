"""RFC 6962 Merkle trees, pure: hashes in, hashes and proofs out.

The tree over entries 0 .. n-1 splits at the largest power of two below n. Only complete subtrees are
kept, as nodes (level, index): node (k, i) is the root over the 2**k entries from i * 2**k on. What is
complete never changes, so appending only ever adds nodes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

EMPTY_ROOT = hashlib.sha256().digest()
"""The root over no entries (RFC 6962, 2.1)."""

Node = tuple[int, int, bytes]
"""Level, index, hash (32 bytes)."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Nodes(Protocol):
    """Where complete nodes are kept. Only what is complete is put, and each node once."""

    def get(self, level: int, index: int) -> bytes: ...

    def put(self, level: int, index: int, value: bytes) -> None: ...


class Frontier:
    """The newest node of each level: all that appending and the current root need."""

    def __init__(self) -> None:
        self._newest: dict[int, tuple[int, bytes]] = {}

    def put(self, level: int, index: int, value: bytes) -> None:
        self._newest[level] = index, value

    def get(self, level: int, index: int) -> bytes:
        newest, value = self._newest[level]
        if newest != index:
            raise KeyError((level, index))
        return value


def peaks(size: int) -> list[tuple[int, int]]:
    """The complete nodes, (level, index), that together cover `size` entries, from the left."""
    return [(k, (size >> k) - 1) for k in reversed(range(size.bit_length())) if size >> k & 1]


class Tree:
    """The tree of the first `size` entries, over the complete nodes in `nodes`."""

    def __init__(self, nodes: Nodes, size: int = 0) -> None:
        self.nodes = nodes
        self.size = size

    def append(self, leaf: bytes) -> list[Node]:
        """Grow by one leaf hash. Returns the nodes this completes, the leaf first."""
        level, index, value = 0, self.size, leaf
        complete = [(level, index, value)]
        while index & 1:
            value = node_hash(self.nodes.get(level, index - 1), value)
            level, index = level + 1, index >> 1
            complete.append((level, index, value))
        for node in complete:
            self.nodes.put(*node)
        self.size += 1
        return complete

    def root(self, size: int | None = None) -> bytes:
        """The root over the first `size` entries, or over all."""
        root = None
        for peak in reversed(peaks(self._within(self.size if size is None else size))):
            node = self.nodes.get(*peak)
            root = node if root is None else node_hash(node, root)
        return root or EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Proof that entry `index` is among the first `size` (RFC 9162, 2.1.3.1)."""
        if not 0 <= index < self._within(size):
            raise IndexError(f"entry {index} is not among the first {size}")
        start, end, proof = 0, size, []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._over(middle, end))
                end = middle
            else:
                proof.append(self._over(start, middle))
                start = middle
        return proof[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Proof that the first `new` entries begin with the first `old` (RFC 9162, 2.1.4.1)."""
        if not 0 <= old <= self._within(new):
            raise IndexError(f"{old} is not between 0 and {new}")
        if old in (0, new):
            return []
        start, end, proof = 0, new, []
        while end != old:
            middle = start + _split(end - start)
            if old <= middle:
                proof.append(self._over(middle, end))
                end = middle
            else:
                proof.append(self._over(start, middle))
                start = middle
        # Where the old tree is a whole subtree at the left edge, the verifier has its root already.
        return [*([self._over(start, end)] if start else []), *proof[::-1]]

    def _within(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise IndexError(f"the tree holds {self.size} entries, not {size}")
        return size

    def _over(self, start: int, end: int) -> bytes:
        """The hash over entries [start, end), which the tree splits off as one."""
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self.nodes.get(level, start >> level)
        middle = start + _split(count)
        return node_hash(self._over(start, middle), self._over(middle, end))


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaf` is entry `index` of the tree with this size and root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            value = node_hash(sibling, value)
            place, last = _climb(place, last)
        else:
            value = node_hash(value, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and value == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the tree (new, new_root) begins with the tree (old, old_root) (2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return old_root == new_root and not proof
    if old == 0:
        return old_root == EMPTY_ROOT and not proof
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            place, last = _climb(place, last)
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _climb(place: int, last: int) -> tuple[int, int]:
    """Skip the levels at which a node on the right edge has no sibling."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last
