from __future__ import annotations

import threading
from collections.abc import Sequence
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.galleries import index as index_module
from countenance.galleries import kernel
from countenance.galleries.index import Index, cosines, ranked
from countenance.galleries.kernel import Kernel
from countenance.types import Vector

KERNELS = [kernel.plain, kernel.numkong]
SEEDS = st.integers(0, 10**6)


@pytest.fixture(params=KERNELS, ids=["plain", "numkong"])
def compare(request: pytest.FixtureRequest) -> Kernel:
    made: Kernel = request.param
    if made is kernel.numkong:
        pytest.importorskip("numkong")
    return made


def unit(rng: np.random.Generator, count: int, dimension: int = 128) -> Vector:
    rows = rng.standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def alike(rng: np.random.Generator, count: int, dimension: int) -> Vector:
    """What a bound can go wrong on: equal rows, rows that differ by a hair, sparse and opposite ones."""
    rows = unit(rng, count, dimension)
    rows[::3] = rows[: len(rows[::3])]
    rows[1::5] = rows[0] + rng.standard_normal((len(rows[1::5]), dimension)) * 1e-4
    rows[2::7] = np.eye(dimension, dtype=np.float32)[rng.integers(0, dimension, len(rows[2::7]))]
    rows[3::11] = -rows[0]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def face_id(row: int) -> str:
    return f"{row * 7919 % 10**8:08x}-0000-0000-0000-000000000000"


def filled(vectors: Vector, compare: Kernel = kernel.plain) -> Index:
    index = Index(compare)
    put(index, 1, range(len(vectors)), vectors)
    return index


def put(index: Index, change: int, rows: Sequence[int], vectors: Vector) -> None:
    index.update(change, lambda _since: ([(list(rows), vectors)], []))


def drop(index: Index, change: int, rows: Sequence[int]) -> None:
    index.update(change, lambda _since: ([], list(rows)))


def found(index: Index, vectors: Vector, probe: Vector, limit: int, floor: float) -> list[int]:
    """What a search answers with: the codes' rows, ranked by their vectors."""
    rows = index.near(probe, limit, floor).rows
    best = ranked([face_id(row) for row in rows], vectors[rows], probe, limit, floor)
    return [int(rows[place]) for place, _ in best]


def ranking(vectors: Vector, rows: Sequence[int], probe: Vector, limit: int, floor: float) -> list[int]:
    """The definition: every row in float64, sorted by cosine, then FaceId."""
    scores = (vectors.astype(np.float64) * probe.astype(np.float64)).sum(1).tolist()
    passed = [r for r in rows if scores[r] >= floor]
    return sorted(passed, key=lambda r: (-scores[r], face_id(r)))[:limit]


@settings(deadline=None, max_examples=100)
@given(
    seed=SEEDS,
    count=st.integers(1, 300),
    dimension=st.sampled_from([2, 3, 16, 77, 128, 512]),
    limit=st.one_of(st.integers(1, 40), st.just(4096)),
    floor=st.one_of(st.floats(-1, 1), st.sampled_from([-1.0, 0.0, 1.0])),
    rows=st.sampled_from([1, 7, 64, 2048]),
    which=st.sampled_from(KERNELS),
)
def test_search_is_the_float64_ranking(
    seed: int, count: int, dimension: int, limit: int, floor: float, rows: int, which: Kernel
) -> None:
    rng = np.random.default_rng(seed)
    vectors = alike(rng, count, dimension)

    def piecemeal(probes: kernel.Codes) -> tuple[int, kernel.Compare]:
        return rows, which(probes)[1]

    index = filled(vectors, piecemeal)
    everyone = range(count)
    probes = np.stack([vectors[0], vectors[-1], unit(rng, 1, dimension)[0]])
    for probe, near in zip(probes, index.near_all(probes, limit, floor), strict=True):
        assert near.rows.tolist() == index.near(probe, limit, floor).rows.tolist()
        assert found(index, vectors, probe, limit, floor) == ranking(vectors, everyone, probe, limit, floor)


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, place=st.integers(0, 199), off=st.sampled_from([-1, 0, 1]))
def test_a_threshold_a_hair_off_a_score_is_kept_to(seed: int, place: int, off: int) -> None:
    """As near as two doubles can be: the code cannot tell, the vectors do."""
    vectors = unit(np.random.default_rng(seed), 200)
    probe = vectors[0]
    score = float(np.sort(cosines(vectors, probe))[place])
    floor = float(np.nextafter(score, off * np.inf)) if off else score
    expected = ranking(vectors, range(200), probe, 200, floor)
    assert found(filled(vectors), vectors, probe, 200, floor) == expected
    assert len(expected) == 200 - place - (off == 1)


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, steps=st.lists(st.tuples(st.booleans(), st.integers(0, 49)), max_size=60))
def test_any_history_of_puts_and_drops_leaves_just_what_is_there(
    seed: int, steps: list[tuple[bool, int]]
) -> None:
    vectors = alike(np.random.default_rng(seed), 50, 16)
    index, present = Index(kernel.plain), set[int]()
    for change, (there, row) in enumerate(steps, start=1):
        if there:
            put(index, change, [row], vectors[[row]])
            present.add(row)
        else:
            drop(index, change, [row])
            present.discard(row)
        assert len(index) == len(present)
    assert found(index, vectors, vectors[0], 50, -1.0) == ranking(
        vectors, sorted(present), vectors[0], 50, -1.0
    )
    here = {codes.tobytes() for codes in index._codes[index._alive]} if present else set()
    assert {codes.tobytes() for codes in index._codes} <= {*here, bytes(16)}


def test_probes_that_come_at_once_are_each_answered(compare: Kernel) -> None:
    """Thirty threads ask while one enrols and deletes others' faces: every answer is its own probe's."""
    vectors = unit(np.random.default_rng(1), 3000)
    index = filled(vectors[:2000], compare)
    expected = {row: ranking(vectors[:2000], range(2000), vectors[row], 1, 0.9) for row in range(0, 2000, 70)}
    wrong: list[int] = []

    def ask(row: int) -> None:
        answers = [found(index, vectors, vectors[row], 1, 0.9) for _ in range(20)]
        wrong.extend(row for answer in answers if answer != expected[row])

    threads = [threading.Thread(target=ask, args=(row,)) for row in expected]
    for thread in threads:
        thread.start()
    for change in range(2, 200):
        row = 2000 + change % 1000
        put(index, 2 * change, [row], vectors[[row]])
        drop(index, 2 * change + 1, [row])
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(index) == 2000


def test_probes_that_wait_share_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(np.random.default_rng(1), 500)
    passes: list[int] = []
    held, started = threading.Event(), threading.Event()

    def slow(probes: kernel.Codes) -> tuple[int, kernel.Compare]:
        passes.append(len(probes))
        started.set()
        assert held.wait(10)
        return kernel.plain(probes)

    index, answers = filled(vectors, slow), dict[int, list[int]]()
    threads = [
        threading.Thread(
            target=lambda row: answers.update({row: found(index, vectors, vectors[row], 1, 0)}), args=(row,)
        )
        for row in range(9)
    ]
    threads[0].start()
    assert started.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(index._waiting) < 8:
        threading.Event().wait(0.01)
    held.set()
    for thread in threads:
        thread.join()
    assert passes == [1, 8]
    assert answers == {row: [row] for row in range(9)}


@settings(deadline=None, max_examples=40)
@given(
    seed=SEEDS,
    count=st.integers(300, 900),
    limit=st.sampled_from([1, 5, 80, 4096]),
    floor=st.sampled_from([-1.0, 0.0, 0.5]),
    threads=st.integers(2, 5),
    which=st.sampled_from(KERNELS),
)
def test_threads_that_share_a_pass_leave_what_one_would(
    seed: int, count: int, limit: int, floor: float, threads: int, which: Kernel
) -> None:
    vectors = alike(np.random.default_rng(seed), count, 16)
    index, probes = filled(vectors, which), vectors[:3]
    alone = [near.rows.tolist() for near in index.near_all(probes, limit, floor)]
    with (
        mock.patch.object(index_module, "PART", 10),
        mock.patch.object(index_module, "processors", return_value=threads),
    ):
        assert len(index._parts(0)) == threads
        shared = [near.rows.tolist() for near in index.near_all(probes, limit, floor)]
        single = found(index, vectors, probes[0], limit, floor)
    assert shared == alone
    assert single == ranking(vectors, range(count), probes[0], limit, floor)


def test_a_thread_that_fails_fails_the_search() -> None:
    def broken(probes: kernel.Codes) -> tuple[int, kernel.Compare]:
        at_once, compare = kernel.plain(probes)

        def fails(codes: kernel.Codes) -> kernel.Scores:
            if len(codes) != index_module.FIRST:
                raise MemoryError("no room")
            return compare(codes)

        return at_once, fails

    vectors = unit(np.random.default_rng(3), 600)
    index = filled(vectors, broken)
    with (
        mock.patch.object(index_module, "PART", 10),
        mock.patch.object(index_module, "processors", return_value=2),
    ):
        for _ in range(2):  # and the lock is free again
            with pytest.raises(MemoryError):
                index.near(vectors[0], 1, 0.0)


def test_a_probe_of_another_length_fails_alone() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(rng, 50)
    index = filled(vectors)
    index._waiting.append(index_module._Waiting(unit(rng, 1, 64)[0], 1, 0.0))  # as if it had come just before
    assert found(index, vectors, vectors[7], 1, 0.5) == [7]
    with pytest.raises(ValueError, match="128 dimensions, not 64"):
        index.near(unit(rng, 1, 64)[0], 1, 0.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 2.0])
def test_what_is_no_vector_is_refused(bad: float) -> None:
    vectors = unit(np.random.default_rng(1), 3)
    index = filled(vectors)
    broken = vectors[0] * np.float32(bad)
    with pytest.raises(ValueError, match="finite and of unit length"):
        index.near(broken, 1, 0.0)
    with pytest.raises(ValueError, match="finite and of unit length"):
        put(index, 2, [3], broken[None])
    with pytest.raises(ValueError, match="128 dimensions, not 64"):
        put(index, 2, [3], unit(np.random.default_rng(1), 1, 64))
    assert (len(index), index.change) == (3, 1)


def test_every_kernel_gives_the_same_whole_numbers(compare: Kernel) -> None:
    rng = np.random.default_rng(3)
    for dimension in (1, 64, 128, 512, 1040, 1041, 2048):
        codes = rng.integers(-127, 128, (500, dimension), np.int8)
        codes[:9], probes = 127, np.full((3, dimension), 127, np.int8)
        expected = codes.astype(np.int64) @ probes.astype(np.int64).T
        assert (compare(probes)[1](codes).astype(np.int64) == expected).all()


def test_numpy_is_asked_in_pieces_that_it_does_not_share_among_threads() -> None:
    rng = np.random.default_rng(4)
    for probes, dimension in ((1, 128), (5, 128), (64, 128), (64, 512)):
        codes = rng.integers(-127, 128, (2500, dimension), np.int8)
        at_once, compare = kernel.plain(codes[:probes])
        with mock.patch.object(np, "matmul", wraps=np.matmul) as product:
            scores = compare(codes[:at_once]).astype(np.int64)
        assert (scores == codes[:at_once].astype(np.int64) @ codes[:probes].astype(np.int64).T).all()
        sizes = [rows.size * probes for (rows, _), _ in product.call_args_list]
        assert max(sizes) <= kernel.WORK <= 2 * max(sizes)


def test_a_kernel_that_is_wrong_is_not_used() -> None:
    def saturating(probes: kernel.Codes) -> tuple[int, kernel.Compare]:
        right = kernel.plain(probes)[1]
        return 64, lambda codes: np.minimum(right(codes), 2**20)

    assert kernel._agrees(kernel.plain)
    assert not kernel._agrees(saturating)


def test_longer_components_widen_the_step_and_lose_nobody() -> None:
    rng = np.random.default_rng(1)
    vectors = alike(rng, 400, 512)
    index = Index(kernel.plain)
    for row in range(400):
        put(index, row + 1, [row], vectors[[row]])
    assert index._step * index_module.TOP == pytest.approx(1.0)
    for row in range(0, 400, 37):
        expected = ranking(vectors, range(400), vectors[row], 20, 0.0)
        assert found(index, vectors, vectors[row], 20, 0.0) == expected


def test_the_bound_holds_for_every_pair() -> None:
    rng = np.random.default_rng(1)
    vectors = np.concatenate([unit(rng, 5000), alike(rng, 200, 128)])
    index = filled(vectors)
    for probe in alike(rng, 30, 128):
        asked = index._asked([index_module._Waiting(probe, 1, -1.0)])
        scores = index._codes[: len(vectors)].astype(np.int64) @ asked.codes[0].astype(np.int64)
        error = np.abs(scores * asked.units[0] - cosines(vectors, probe)).max()
        assert error <= asked.slacks[0] * asked.units[0] < 0.04


def test_an_older_change_is_ignored() -> None:
    index = filled(unit(np.random.default_rng(1), 3))
    drop(index, 1, [0])
    assert len(index) == 3


def test_a_dropped_template_leaves_no_byte_in_memory() -> None:
    index = filled(unit(np.random.default_rng(1), 100))
    gone = index._codes[42].tobytes()
    drop(index, 2, [42])
    assert gone not in index._codes.tobytes()
    assert len(index) == 99


def test_of_many_strangers_few_are_left_to_look_up() -> None:
    """What the speed rests on. Of a million it is about 40 (docs/numbers-speed.md)."""
    rng = np.random.default_rng(1)
    index = filled(unit(rng, 20_000))
    assert np.median([len(index.near(probe, 5, -1.0).rows) for probe in unit(rng, 20)]) < 100
