"""Paths and bytes as C2SP tlog-tiles says, and trees read back out of tiles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.errors import LedgerError
from countenance.ledger.merkle import Tree, leaf_hash, verify_consistency, verify_inclusion
from countenance.ledger.tiles import ENTRIES, WIDTH, Level, bundle, hashes, path, tiles, tree, unbundle, width


class Kept(dict[tuple[int, int], bytes]):
    def get(self, level: int, index: int) -> bytes:  # type: ignore[override]
        return self[level, index]

    def put(self, level: int, index: int, value: bytes) -> None:
        self[level, index] = value


def grown(size: int) -> Tree:
    whole = Tree(Kept())
    for number in range(size):
        whole.append(leaf_hash(str(number).encode()))
    return whole


LARGEST = 70_000
"""The example of the specification, under "Partial Tiles"."""
WHOLE = grown(LARGEST)


def fetch(level: Level, index: int, wide: int) -> bytes:
    """A tile after its definition, straight from the tree."""
    assert isinstance(level, int)
    return b"".join(WHOLE.nodes.get(8 * level, index * WIDTH + at) for at in range(wide))


@pytest.mark.parametrize(
    ("level", "index", "wide", "written"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 0, 1, "tile/0/000.p/1"),
        (3, 999, 256, "tile/3/999"),
        (0, 1000, 256, "tile/0/x001/000"),
        (1, 1234067, 256, "tile/1/x001/x234/067"),
        (ENTRIES, 1234067, 255, "tile/entries/x001/x234/067.p/255"),
    ],
)
def test_paths_are_those_of_the_specification(level: Level, index: int, wide: int, written: str) -> None:
    assert path(level, index, wide) == written


def test_a_tree_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    all_of_them = list(tiles(LARGEST))
    full = [level for level, _, wide in all_of_them if wide == WIDTH]
    assert (full.count(0), full.count(1), len(full)) == (273, 1, 274)
    partial = [(level, index, wide) for level, index, wide in all_of_them if wide != WIDTH]
    assert partial == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert list(tiles(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tiles(0)) == []


@given(st.integers(0, LARGEST), st.integers(0, 3000))
def test_what_a_log_grew_by_is_what_it_had_not(since: int, more: int) -> None:
    size = since + more
    before, now = set(tiles(since)), set(tiles(size))
    assert set(tiles(size, since)) == now - before
    assert all(width(level, index, size) == wide for level, index, wide in now)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, LARGEST), st.data())
def test_roots_and_proofs_from_tiles_are_those_of_the_tree(size: int, data: st.DataObject) -> None:
    read = tree(fetch, size)
    root = WHOLE.root(size)
    assert read.root() == root
    index = data.draw(st.integers(0, size - 1))
    assert read.inclusion(index, size) == WHOLE.inclusion(index, size)
    assert verify_inclusion(leaf_hash(str(index).encode()), index, size, read.inclusion(index, size), root)
    old = data.draw(st.integers(0, size))
    assert verify_consistency(old, size, WHOLE.root(old), root, read.consistency(old, size))


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_a_bundle_is_read_as_it_was_written(bodies: list[bytes]) -> None:
    content = bundle(bodies)
    assert unbundle(content) == bodies
    for cut in range(1, min(len(content), 8)):
        try:
            fewer = unbundle(content[:-cut])
        except LedgerError:
            continue
        assert fewer == bodies[: len(fewer)]  # cut between two entries: the count tells, the bytes cannot


def test_an_entry_too_long_for_its_length_is_no_entry() -> None:
    assert unbundle(bundle([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(OverflowError):
        bundle([bytes(65_536)])


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33), bytes(63)])
def test_a_tile_of_another_length_is_refused(content: bytes) -> None:
    with pytest.raises(LedgerError, match="where 2 hashes"):
        hashes(content, 2)


def test_a_wider_tile_serves_for_a_narrower_one() -> None:
    """Partial tiles go when the full one is there (C2SP): its beginning is what they were."""
    read = tree(lambda level, index, _wide: fetch(level, index, width(level, index, LARGEST)), 1000)
    assert read.root() == WHOLE.root(1000)


def test_beyond_its_size_a_tree_of_tiles_knows_nothing() -> None:
    with pytest.raises(KeyError):
        tree(fetch, 300).nodes.get(0, 300)
    with pytest.raises(KeyError):
        tree(fetch, 300).nodes.get(8, 1)
    with pytest.raises(TypeError):
        tree(fetch, 300).append(bytes(32))
