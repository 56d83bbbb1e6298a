from __future__ import annotations

import numpy as np
import pytest

from countenance.audit import search
from countenance.galleries import kernel
from countenance.types import Vector


@pytest.fixture
def rows() -> Vector:
    rows = np.zeros((3000, 32), np.float32)
    assert list(search.made(3000, 32, rows)) == [(3000, 3000)]
    return rows


def test_the_vectors_are_of_people_and_some_are_there_twice(rows: Vector) -> None:
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    same = np.median((rows[2:-1:10] * rows[3::10]).sum(1))
    others = np.median((rows[:-10] * rows[10:]).sum(1))
    assert (same > 0.5, abs(others) < 0.1) == (True, True)
    assert (rows[1] == rows[0]).all()


def test_truth_is_every_float64_cosine_sorted_ties_by_face_id(rows: Vector) -> None:
    probes = search.asked(8, rows)
    for limit, floor in ((5, -1.0), (40, 0.2), (4096, -1.0)):
        for probe, answer in zip(probes, search.truth(rows, probes, limit, floor), strict=True):
            scores = (rows.astype(np.float64) * probe.astype(np.float64)).sum(1)
            order = np.lexsort((np.array(search.face_ids(range(len(rows)))), -scores))
            assert answer == [int(row) for row in order if scores[row] >= floor][:limit]


def test_who_answers_wrongly_is_said_to(rows: Vector) -> None:
    probes = search.asked(64, rows)
    _, ours = search.ours(rows, kernel.plain)

    def forgetful(some: Vector, limit: int, floor: float) -> list[list[int]]:
        return [answer[1:] for answer in ours(some, limit, floor)]

    ways = [search.Contestant("forgetful", forgetful), search.Contestant("Countenance", ours)]
    counts = search.right(ways, rows, probes, lambda *_: None)
    assert counts == {"forgetful": (0, 64), "Countenance": (64, 64)}


def test_every_way_finds_who_is_there(rows: Vector) -> None:
    ways, _ = search.contestants(rows)
    probes = search.asked(4, rows)
    expected = search.truth(rows, probes, 5, -1.0)
    for way in ways:
        assert way.ask(probes, 5, -1.0) == expected, way.name


def test_the_tables_name_everybody_and_say_what_was_checked() -> None:
    times, ours = search.search(500, 16, 1, 64, lambda *_: None)
    assert {"numpy, float32 scan", "Countenance, numpy alone"} <= {row[0] for row in times.rows}
    checked = {row[0]: row[1:3] for row in times.rows}
    assert checked["Countenance, numpy alone"] == ("true", "64 of 64")
    assert ours.rows[0] == ("memory of its own, MB", "0")
