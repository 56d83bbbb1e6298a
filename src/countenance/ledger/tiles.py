"""The log as static files, pure: C2SP tlog-tiles paths and bytes, and the tree read back out of them.

A tile holds up to 256 hashes of one height: those of level L are the nodes (8 * L, index) of the tree. What
lies between the levels is hashed again by whoever reads. An entry bundle holds the entries under one tile of
level 0, each after its length in two bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

from countenance.errors import LedgerError
from countenance.ledger.merkle import Tree, node_hash

WIDTH = 256
"""Hashes in a full tile, entries in a full bundle."""

HEIGHT = 8
"""Levels of the tree from one level of tiles to the next."""

HASH = 32

ENTRIES = "entries"

Level = int | str
"""A level of tiles, or ENTRIES for the bundles."""

Fetch = Callable[[Level, int, int], bytes]
"""Gets the tile of a level and index that has at least this width. May raise LedgerError."""


def path(level: Level, index: int, width: int = WIDTH) -> str:
    """Where a tile lies under the log's prefix: `tile/0/x001/x234/067`, `tile/0/x001/x234/067.p/17`."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"


def width(level: Level, index: int, size: int) -> int:
    """How many hashes, or entries, the tile has in a tree of `size` entries; 0 where there is none."""
    there = size >> HEIGHT * level if isinstance(level, int) else size
    return max(0, min(there - index * WIDTH, WIDTH))


def tiles(size: int, since: int = 0) -> Iterator[tuple[int, int, int]]:
    """The tiles (level, index, width) of the tree of `size` entries that the one of `since` has not."""
    level = 0
    while there := size >> HEIGHT * level:
        for index in range((since >> HEIGHT * level) // WIDTH, -(-there // WIDTH)):
            if width(level, index, size) != width(level, index, since):
                yield level, index, width(level, index, size)
        level += 1


def bundle(bodies: Iterable[bytes]) -> bytes:
    """Entries as a bundle. Raises OverflowError for one of more than 65,535 bytes."""
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def unbundle(content: bytes) -> list[bytes]:
    """The entries of a bundle. Raises LedgerError where its lengths do not fit."""
    bodies: list[bytes] = []
    at = 0
    while at < len(content):
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if at + 2 > len(content) or end > len(content):
            raise LedgerError(f"an entry bundle breaks off after {len(bodies)} entries")
        bodies.append(content[at + 2 : end])
        at = end
    return bodies


def hashes(content: bytes, count: int) -> list[bytes]:
    """The first `count` hashes of a tile. Raises LedgerError where it has fewer."""
    if len(content) < count * HASH or len(content) % HASH:
        raise LedgerError(f"a tile has {len(content)} bytes where {count} hashes of {HASH} should be")
    return [content[at : at + HASH] for at in range(0, count * HASH, HASH)]


def summit(row: list[bytes]) -> bytes:
    """The one hash over 2**k hashes that stand side by side."""
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


class Tiles:
    """The complete nodes of the tree of `size` entries, read from its tiles (merkle's Nodes, for reading).

    What it gives is not verified: a root that it leads to is, once it is compared with a signed one.
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        self._size = size
        self._fetch = fetch
        self._row = functools.lru_cache(maxsize=64)(self._read)  # 64 tiles: more than one proof touches

    def get(self, level: int, index: int) -> bytes:
        step, above = divmod(level, HEIGHT)
        first = index << above
        tile, at = divmod(first, WIDTH)
        row = self._row(step, tile)[at : at + (1 << above)]
        if len(row) != 1 << above:
            raise KeyError((level, index))
        return summit(row)

    def put(self, level: int, index: int, value: bytes) -> None:  # noqa: ARG002 - as Nodes has it
        raise TypeError("tiles are read, not grown")

    def _read(self, level: int, index: int) -> list[bytes]:
        wide = width(level, index, self._size)
        return hashes(self._fetch(level, index, wide), wide) if wide else []


def tree(fetch: Fetch, size: int) -> Tree:
    """The tree of the first `size` entries over tiles: for roots and proofs, not for growing."""
    return Tree(Tiles(fetch, size), size)
