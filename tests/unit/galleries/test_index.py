from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.galleries import index as index_module
from countenance.galleries.index import ROUNDING, Index, cosines
from countenance.types import Vector


def unit(rng: np.random.Generator, count: int, dimension: int = 128) -> Vector:
    rows = rng.standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def face_id(row: int) -> str:
    return f"{row * 7919 % 10**8:08x}-0000-0000-0000-000000000000"


def filled(vectors: Vector, change: int = 1) -> Index:
    index = Index(vectors.shape[1])
    rows = list(range(len(vectors)))
    index.update(change, rows, [face_id(r) for r in rows], [v.tobytes() for v in vectors], [])
    return index


def ranking(vectors: Vector, rows: list[int], probe: Vector, limit: int, floor: float) -> list[int]:
    """The definition: every row in float64, sorted by cosine, then FaceId."""
    scores = [float(cosines(vectors[r : r + 1], probe)[0]) for r in range(len(vectors))]
    passed = [r for r in rows if scores[r] >= floor]
    return sorted(passed, key=lambda r: (-scores[r], face_id(r)))[:limit]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 300),
    limit=st.integers(1, 40),
    floor=st.floats(-1, 1),
    chunk=st.integers(1, 90),
)
def test_search_is_the_float64_ranking(seed: int, count: int, limit: int, floor: float, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng, count)
    vectors[::3] = vectors[: len(vectors[::3])]  # some equal ones, whose order FaceId decides
    probe = vectors[0] if count else unit(rng, 1)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "CHUNK", chunk)
        found = filled(vectors).search(probe, limit, floor)
    assert [row for row, _ in found] == ranking(vectors, list(range(count)), probe, limit, floor)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), steps=st.lists(st.tuples(st.booleans(), st.integers(0, 49)), max_size=60))
def test_any_history_of_puts_and_drops_leaves_just_what_is_there(
    seed: int, steps: list[tuple[bool, int]]
) -> None:
    vectors = unit(np.random.default_rng(seed), 50)
    index, present = Index(128), set()
    for change, (put, row) in enumerate(steps, start=1):
        if put:
            index.update(change, [row], [face_id(row)], [vectors[row].tobytes()], [])
            present.add(row)
        else:
            index.update(change, [], [], [], [row])
            present.discard(row)
    found = index.search(vectors[0], 50, -1.0)
    assert [row for row, _ in found] == ranking(vectors, sorted(present), vectors[0], 50, -1.0)
    assert len(index) == len(present)


def test_the_slack_bounds_the_error_of_float32() -> None:
    rng = np.random.default_rng(1)
    vectors, probes = unit(rng, 20_000, 512), unit(rng, 20, 512)
    single = vectors @ probes.T
    double = vectors.astype(np.float64) @ probes.astype(np.float64).T
    assert np.abs(single - double).max() < 512 * ROUNDING / 10


def test_an_older_change_is_ignored() -> None:
    vectors = unit(np.random.default_rng(1), 3)
    index = filled(vectors, change=5)
    index.update(4, [], [], [], [0])
    assert len(index) == 3


def test_a_dropped_template_leaves_no_byte_in_memory() -> None:
    vectors = unit(np.random.default_rng(1), 100)
    index = filled(vectors)
    index.update(2, [], [], [], [42])
    assert vectors[42].tobytes() not in index._vectors.tobytes()
