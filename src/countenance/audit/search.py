"""How fast search is and whether it is right, beside what others do, on vectors made up for it.

The vectors are random and of unit length, ten of each person, and some are there twice, so that ties occur.
Contestants take turns in every round, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from countenance.audit.bench import Cell, Progress, Table
from countenance.galleries import kernel
from countenance.galleries.index import Index, ranked
from countenance.types import Vector

BATCH = 64
"""Probes asked at once where it is not one."""

PEOPLE = 10
"""Vectors of one person."""

WITHIN = 0.75
"""Length of what sets a vector apart from its person's: two of one person have a cosine of .64, as SFace's
median on LFW."""

ALONE = 5_000_000
"""Faces from which on only we are measured: the others would hold their vectors in memory."""

PEERS = 200_000
"""Faces up to which peers' ways are run: seconds a query."""

STRIDE = 65_536

Answer = list[int]
Ask = Callable[[Vector, int, float], list[Answer]]
"""(probes, limit, floor) -> for each the rows, best first."""


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """One way to search. rounds: at most so often."""

    name: str
    ask: Ask
    batches: bool = True
    rounds: int = 1000


@dataclass(slots=True, eq=False)
class _Times:
    """Seconds a probe, one value a round."""

    one: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)


def face_ids(rows: Iterable[int]) -> list[str]:
    """FaceIds in another order than the rows."""
    return [f"{row * 7919 % 2**32:08x}-0000-4000-8000-{row:012x}" for row in rows]


def made(count: int, dimension: int, rows: Vector) -> Iterator[tuple[int, int]]:
    """Fill `rows` (N, D), and say how far it is."""
    rng = np.random.default_rng(20261122)
    for start in range(0, count, STRIDE * 10):
        block = min(STRIDE * 10, count - start)
        person = rng.standard_normal((-(-block // PEOPLE), dimension), np.float32)
        person /= np.linalg.norm(person, axis=1, keepdims=True)
        for at in range(0, block, STRIDE):
            some = np.arange(at, min(at + STRIDE, block))
            own = rng.standard_normal((len(some), dimension), np.float32) * np.float32(
                WITHIN / dimension**0.5
            )
            vectors = person[some // PEOPLE] + own
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors[1::1000] = vectors[: len(vectors[1::1000])]  # twice: FaceId decides
            rows[start + at : start + at + len(some)] = vectors
        yield start + block, count


def asked(count: int, rows: Vector) -> Vector:
    """Probes: every other one like somebody enrolled, the others like nobody."""
    rng = np.random.default_rng(7)
    dimension = rows.shape[1]
    probes = rng.standard_normal((count, dimension), np.float32)
    known = np.asarray(rows[np.sort(rng.integers(0, len(rows), len(probes[::2])))])
    probes[::2] = known + probes[::2] * np.float32(WITHIN / dimension**0.5)
    probes[::8] = known[: len(probes[::8])]
    return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


def truth(rows: Vector, probes: Vector, limit: int, floor: float) -> list[Answer]:
    """The float64 ranking by its definition: all cosines in float64, ties by FaceId."""
    wide = probes.astype(np.float64).T
    bars = np.full(len(probes), max(floor, -2.0) - 1e-9)
    places: list[list[np.ndarray[Any, Any]]] = [[] for _ in probes]
    scores: list[list[np.ndarray[Any, Any]]] = [[] for _ in probes]
    for start in range(0, len(rows), STRIDE):
        found = rows[start : start + STRIDE].astype(np.float64) @ wide
        for number in range(len(probes)):
            above = np.flatnonzero(found[:, number] >= bars[number])
            places[number].append(above + start)
            scores[number].append(found[above, number])
            every = np.concatenate(scores[number])
            if len(every) > limit:
                least = float(np.partition(every, -limit)[-limit]) - 1e-9
                bars[number] = max(bars[number], least)
                kept = every >= bars[number]
                scores[number] = [every[kept]]
                places[number] = [np.concatenate(places[number])[kept]]
    return [
        _best(rows, np.concatenate(at), probe, limit, floor) for at, probe in zip(places, probes, strict=True)
    ]


def _best(rows: Vector, at: np.ndarray[Any, Any], probe: Vector, limit: int, floor: float) -> Answer:
    order = ranked(face_ids(at.tolist()), np.asarray(rows[at]), probe, limit, floor)
    return [int(at[place]) for place, _ in order]


def ours(rows: Vector, compare: kernel.Kernel) -> tuple[Index, Ask]:
    """An index over these rows, and how it is asked: its codes, then the vectors it names."""
    index = Index(compare)
    pieces = (
        (range(at, min(at + STRIDE, len(rows))), rows[at : at + STRIDE]) for at in range(0, len(rows), STRIDE)
    )
    index.update(1, lambda _since: (pieces, ()))

    def ask(probes: Vector, limit: int, floor: float) -> list[Answer]:
        near = index.near_all(probes, limit, floor)
        return [_best(rows, each.rows, probe, limit, floor) for each, probe in zip(near, probes, strict=True)]

    return index, ask


def scan(rows: Vector) -> Ask:
    """What numpy does at its best: float32, pieces that stay in the cache, a running k-th best."""

    def ask(probes: Vector, limit: int, floor: float) -> list[Answer]:
        across, size = np.ascontiguousarray(probes.T), 32_768 if len(probes) == 1 else 8192
        bars = np.full(len(probes), floor, np.float32)
        best: list[tuple[Any, Any]] = [(np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in probes]
        for start in range(0, len(rows), size):
            found = rows[start : start + size] @ across
            for number in np.flatnonzero((found >= bars).any(0)):
                above = np.flatnonzero(found[:, number] >= bars[number])
                values = np.concatenate([best[number][0], found[above, number]])
                order = np.argsort(-values, kind="stable")[:limit]
                best[number] = values[order], np.concatenate([best[number][1], above + start])[order]
                if len(order) == limit:
                    bars[number] = max(bars[number], best[number][0][-1])
        return [at.tolist() for _, at in best]

    return ask


def faiss(rows: Vector, threads: int) -> Ask:
    """faiss's exact index. Raises ImportError where it is not installed."""
    library = import_module("faiss")
    flat = library.IndexFlatIP(rows.shape[1])
    flat.add(rows)

    def ask(probes: Vector, limit: int, _floor: float) -> list[Answer]:
        library.omp_set_num_threads(threads)
        return [found.tolist() for found in flat.search(probes, limit)[1]]

    return ask


def face_recognition(rows: Vector) -> Ask:
    """The habit of face_recognition's users: a list of arrays, and the distance to every one of them."""
    listed = list(rows)

    def ask(probes: Vector, limit: int, _floor: float) -> list[Answer]:
        return [np.argsort(np.linalg.norm(listed - probe, axis=1))[:limit].tolist() for probe in probes]

    return ask


def deepface(rows: Vector) -> Ask:
    """deepface's search of its datastore, once it is fetched: pandas, a row at a time. Raises ImportError."""
    pandas = import_module("pandas")
    stored = [{"id": number, "embedding": each} for number, each in enumerate(rows.tolist())]

    def distance(row: Any) -> float:
        one, other = np.asarray(row["embedding"]), np.asarray(row["target"])
        return float(1 - np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))

    def ask(probes: Vector, limit: int, _floor: float) -> list[Answer]:
        answers = []
        for probe in probes:
            frame = pandas.DataFrame(stored)
            frame["target"] = [probe.tolist()] * len(frame)
            frame["distance"] = frame.apply(distance, axis=1)
            answers.append(frame.sort_values("distance").head(limit)["id"].tolist())
        return answers

    return ask


def contestants(rows: Vector) -> tuple[list[Contestant], Index]:
    """Who is there to be measured, ourselves last, and our index."""
    found = []
    if len(rows) < ALONE:
        found.append(Contestant("numpy, float32 scan", scan(rows)))
        if find_spec("faiss"):
            found += [Contestant(f"faiss IndexFlatIP, threads: {n}", faiss(rows, n)) for n in (1, 2)]
    if len(rows) <= PEERS:
        found.append(Contestant("face_recognition's way", face_recognition(rows), batches=False, rounds=5))
        if find_spec("pandas"):
            found.append(Contestant("deepface's way", deepface(rows), batches=False, rounds=2))
    kernels = [kernel.plain, *([kernel.numkong] if find_spec("numkong") else [])]
    for each in kernels[-1:] if len(rows) >= ALONE else kernels:
        index, ask = ours(rows, each)
        found.append(Contestant(f"Countenance, {'numpy alone' if each is kernel.plain else 'numkong'}", ask))
    return found, index


def measured(
    ways: Sequence[Contestant], probes: Vector, rounds: int, progress: Progress
) -> dict[str, _Times]:
    """Everybody in turn, every round with other probes: five candidates, no threshold."""
    times = {way.name: _Times() for way in ways}
    for number in range(rounds):
        some = np.roll(probes, -number * BATCH, axis=0)[:BATCH]
        for way in ways:
            if number < way.rounds:
                times[way.name].one.append(_took(way, some[number % BATCH][None]))
            if way.batches:
                times[way.name].many.append(_took(way, some) / BATCH)
        progress("rounds", number + 1, rounds)
    return times


def _took(way: Contestant, probes: Vector) -> float:
    began = time.perf_counter()
    way.ask(probes, 5, -1.0)
    return time.perf_counter() - began


def right(
    ways: Sequence[Contestant], rows: Vector, probes: Vector, progress: Progress
) -> dict[str, tuple[int, int]]:
    """(good, of): queries whose ids and order are the float64 ranking's; of the others' the first 64."""
    counts = {way.name: (0, 0) for way in ways}
    kinds = [(5, -1.0), (1, -1.0), (80, 0.45), (4096, 0.3)]
    for start in range(0, len(probes), BATCH):
        some, (limit, floor) = probes[start : start + BATCH], kinds[start // BATCH % len(kinds)]
        answers = truth(rows, some, limit, floor)
        for way in ways:
            if way.name.startswith("Countenance") or (not start and way.batches):
                good = sum(a == b for a, b in zip(way.ask(some, limit, floor), answers, strict=True))
                counts[way.name] = counts[way.name][0] + good, counts[way.name][1] + len(some)
        progress("queries checked", start + len(some), len(probes))
    return counts


def search(faces: int, dimension: int, rounds: int, queries: int, progress: Progress) -> list[Table]:
    """Every contestant's times and whether it is right. The vectors lie in a file that is deleted after."""
    with tempfile.NamedTemporaryFile(dir=tempfile.gettempdir()) as file:
        Path(file.name).write_bytes(b"")
        rows = np.memmap(file.name, np.float32, "w+", shape=(faces, dimension))
        for done, of in made(faces, dimension, rows):
            progress("vectors made", done, of)
        probes = asked(max(queries, BATCH), rows)
        began = time.perf_counter()
        ways, index = contestants(rows)
        loaded, resident = time.perf_counter() - began, _resident()
        times = measured(ways, probes, rounds, progress)
        counts = right(ways, rows, probes[:queries], progress)
        few = [len(near.rows) for near in index.near_all(probes[:BATCH], 5, -1.0)]
        return [_table(faces, dimension, ways, times, counts), _costs(index, rows, few, loaded, resident)]


def _table(
    faces: int,
    dimension: int,
    ways: Sequence[Contestant],
    times: dict[str, _Times],
    counts: dict[str, tuple[int, int]],
) -> Table:
    first = times[ways[0].name]
    lines: list[tuple[Cell, ...]] = []
    for way in ways:
        own, (good, of) = times[way.name], counts[way.name]
        lines.append(
            (
                way.name,
                "not checked" if not of else "true" if good == of else "false",
                f"{good} of {of}" if of else "",
                _spread(own.one, 1e3, "ms"),
                f"{np.median(own.one) / np.median(first.one):.2f}",
                _spread([1 / each for each in own.many], 1, "/s") if own.many else "",
                f"{np.median(first.many) / np.median(own.many):.2f}" if own.many else "",
            )
        )
    return Table(
        f"{faces:,} faces of {dimension} dimensions, five candidates",
        (
            "how",
            "identical",
            "queries",
            "one probe",
            "x the first's time",
            "64 at once",
            "x the first's rate",
        ),
        tuple(lines),
        "Medians, and the least and the most, over rounds in which all take turns. Identical: FaceIds and"
        " their order are the float64 ranking's in every query checked, with and without a threshold.",
    )


def _spread(values: Sequence[float], times: float, unit: str) -> str:
    low, middle, high = (float(value) * times for value in np.percentile(values, (0, 50, 100)))
    return f"{middle:.3g} {unit} [{low:.3g}, {high:.3g}]"


def _resident() -> str:
    """Megabytes of the process that are no file's, as Linux counts them."""
    status = Path("/proc/self/status")
    if not status.exists():
        return "not told here"
    [line] = [line for line in status.read_text().splitlines() if line.startswith("RssAnon")]
    return f"{int(line.split()[1]) * 1024 / 1e6:,.0f}"


def _costs(index: Index, rows: Vector, few: Sequence[int], loaded: float, resident: str) -> Table:
    extra = asked(200, rows)
    began = time.perf_counter()
    for number, vector in enumerate(extra):
        index.update(2 + number, lambda _since, n=number, v=vector: ([([len(rows) + n], v[None])], ()))  # type: ignore[misc]
    put = (time.perf_counter() - began) / len(extra)
    began = time.perf_counter()
    for number in range(len(extra)):
        index.update(1000 + number, lambda _since, n=number: ((), [n * (len(rows) // len(extra))]))  # type: ignore[misc]
    dropped = (time.perf_counter() - began) / len(extra)
    return Table(
        "Our index",
        ("what", "value"),
        (
            ("memory of its own, MB", f"{index.nbytes / 1e6:,.0f}"),
            ("resident in this process, all contestants together, no file's pages, MB", resident),
            ("made, all contestants together, s", f"{loaded:.1f}"),
            ("one more template, µs (mean of 200)", f"{put * 1e6:.0f}"),
            ("one deleted, µs (mean of 200)", f"{dropped * 1e6:.0f}"),
            ("vectors compared in float64, of a known or unknown probe, median", f"{np.median(few):.0f}"),
            ("of them at most", f"{max(few)}"),
        ),
    )
