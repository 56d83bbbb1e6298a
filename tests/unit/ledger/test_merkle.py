"""RFC 6962 trees against the definition, against published vectors, and against forgers."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countenance.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    leaf_hash,
    node_hash,
    peaks,
    verify_consistency,
    verify_inclusion,
)

SMALL = 65
"""Every size, entry and pair of sizes is tried up to here: past two powers of two, odd and even."""


class Kept:
    """All complete nodes, as a database would keep them; refuses to change one."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}

    def get(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]

    def put(self, level: int, index: int, value: bytes) -> None:
        assert (level, index) not in self.nodes
        self.nodes[level, index] = value


def grow(entries: list[bytes]) -> Tree:
    tree = Tree(Kept())
    for entry in entries:
        tree.append(leaf_hash(entry))
    return tree


def defined(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + defined(entries[:k]) + defined(entries[k:])).digest()


ENTRIES = [b"entry %d" % n for n in range(SMALL)]
TREE = grow(ENTRIES)
ROOTS = [defined(ENTRIES[:n]) for n in range(SMALL + 1)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]

# The test tree of the Certificate Transparency reference implementation.
CT_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def test_roots_of_the_published_tree() -> None:
    tree = grow(CT_ENTRIES)
    assert [tree.root(n).hex() for n in range(9)] == CT_ROOTS


@pytest.mark.parametrize(("index", "size"), CT_INCLUSION)
def test_published_inclusion_proofs(index: int, size: int) -> None:
    tree = grow(CT_ENTRIES)
    assert [step.hex() for step in tree.inclusion(index, size)] == CT_INCLUSION[index, size]


@pytest.mark.parametrize(("old", "new"), CT_CONSISTENCY)
def test_published_consistency_proofs(old: int, new: int) -> None:
    tree = grow(CT_ENTRIES)
    assert [step.hex() for step in tree.consistency(old, new)] == CT_CONSISTENCY[old, new]


def test_every_small_root_is_the_defined_one() -> None:
    assert [TREE.root(n) for n in range(SMALL + 1)] == ROOTS
    assert ROOTS[0] == EMPTY_ROOT


def test_every_small_inclusion_proof_verifies_and_only_where_it_belongs() -> None:
    for size in range(1, SMALL + 1):
        for index in range(size):
            proof = TREE.inclusion(index, size)
            assert verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            other = (index + 1) % size
            if other != index:
                assert not verify_inclusion(LEAVES[other], index, size, proof, ROOTS[size])
                assert not verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size])
            assert not verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size - 1])


def test_every_small_consistency_proof_verifies_and_only_between_its_roots() -> None:
    for new in range(SMALL + 1):
        for old in range(new + 1):
            proof = TREE.consistency(old, new)
            assert verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)
            assert not verify_consistency(old, new, b"\0" * 32, ROOTS[new], proof)
            if old:  # from an empty log every log follows
                assert not verify_consistency(old, new, ROOTS[old], b"\0" * 32, proof)


def forgeries(proof: list[bytes]) -> list[list[bytes]]:
    """What a forger tries: a step left out, added, doubled, swapped, or one bit of it changed."""
    ways = [[*proof, b"\0" * 32], [b"\0" * 32, *proof]]
    for n, step in enumerate(proof):
        ways.append(proof[:n] + proof[n + 1 :])
        ways.append([*proof[:n], step, *proof[n:]])
        ways.append([*proof[:n], bytes([step[0] ^ 1]) + step[1:], *proof[n + 1 :]])
    ways += [[*proof[:n], b, a, *proof[n + 2 :]] for n, (a, b) in enumerate(pairwise(proof))]
    return ways


def test_no_forged_inclusion_proof_is_accepted() -> None:
    for size in range(1, SMALL + 1):
        for index in range(size):
            for forged in forgeries(TREE.inclusion(index, size)):
                assert not verify_inclusion(LEAVES[index], index, size, forged, ROOTS[size])


def test_no_forged_consistency_proof_is_accepted() -> None:
    for new in range(1, SMALL + 1):
        for old in range(1, new + 1):
            for forged in forgeries(TREE.consistency(old, new)):
                assert not verify_consistency(old, new, ROOTS[old], ROOTS[new], forged)


def test_proofs_outside_the_tree_are_refused() -> None:
    assert not verify_inclusion(LEAVES[0], -1, 1, [], ROOTS[1])
    assert not verify_inclusion(LEAVES[0], 1, 1, [], ROOTS[1])
    assert not verify_consistency(3, 2, ROOTS[3], ROOTS[2], [])
    assert not verify_consistency(-1, 2, ROOTS[0], ROOTS[2], [])
    assert not verify_consistency(0, 2, ROOTS[1], ROOTS[2], [])
    for ask in (
        lambda: TREE.root(SMALL + 1),
        lambda: TREE.inclusion(5, 5),
        lambda: TREE.inclusion(-1, 5),
        lambda: TREE.consistency(6, 5),
        lambda: TREE.consistency(1, SMALL + 1),
    ):
        with pytest.raises(IndexError):
            ask()


@given(st.lists(st.binary(max_size=40), max_size=300))
def test_a_frontier_is_enough_to_append_and_for_the_root(entries: list[bytes]) -> None:
    tree = Tree(Frontier())
    for entry in entries:
        tree.append(leaf_hash(entry))
    assert tree.root() == defined(entries)


def test_a_frontier_does_not_answer_for_nodes_it_let_go() -> None:
    tree = Tree(Frontier())
    for leaf in LEAVES[:4]:
        tree.append(leaf)
    with pytest.raises(KeyError):
        tree.inclusion(0, 4)


@given(st.integers(0, 10**12))
def test_peaks_cover_a_size_from_the_left(size: int) -> None:
    reached = 0
    for level, index in peaks(size):
        assert index << level == reached
        reached += 1 << level
    assert reached == size


def test_leaves_and_nodes_never_look_alike() -> None:
    """The prefix bytes keep an inner node from being passed off as an entry."""
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])
