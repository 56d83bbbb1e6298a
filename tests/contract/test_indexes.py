"""What every place for an index must give: one suite over every pair of a database and an index.

`make test` runs it with the index in memory, `make test-milvus` with a real Milvus.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests import milvus as milvus_server

from countenance.database import Database
from countenance.galleries import Galleries, GalleryGone, Milvus, store, users
from countenance.galleries.index import cosines, ranked
from countenance.schema import faces
from countenance.types import Box, Embedding, Enrolled, Gallery, Probe, Template, Vector

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
KINDS = ("milvus",) if milvus_server.possible() else ("memory",)
D = 32


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


Another = Callable[[], Galleries]


@pytest.fixture(params=KINDS)
def another(request: pytest.FixtureRequest, database: Database) -> Another:
    """Makes the memory of one more process on the same database."""
    if request.param == "memory":
        return lambda: Galleries(database)
    request.getfixturevalue("milvus")
    home = str(uuid.uuid4())
    return lambda: Galleries(database, Milvus(milvus_server.URL, home))


@pytest.fixture
def galleries(another: Another) -> Galleries:
    return another()


@pytest.fixture
def gallery(database: Database) -> Gallery:
    made = database.write(lambda c: store.create(c, "111122223333", "people", "m", {}, NOW))
    assert made is not None
    return made


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def unit(rows: np.ndarray) -> Vector:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def templates(vectors: Vector, model: str = "m") -> list[Template]:
    box = Box(0.25, 0.25, 0.5, 0.5)
    return [
        Template(str(uuid.uuid4()), str(uuid.uuid4()), None, box, 99.5, Embedding(each, model))
        for each in vectors
    ]


def enrol(database: Database, gallery: Gallery, vectors: Vector) -> list[Enrolled]:
    rows = templates(vectors)
    return database.write(lambda connection: store.enrol(connection, gallery, rows, NOW))


def forget(database: Database, gallery: Gallery, *gone: Enrolled) -> None:
    database.write(lambda c: store.forget(c, gallery, [face.face_id for face in gone]))


def by_numpy(
    there: list[Enrolled], vectors: Vector, probe: Vector, limit: int, floor: float
) -> list[tuple[str, float]]:
    ids = [face.face_id for face in there]
    return [(ids[place], score) for place, score in ranked(ids, vectors, probe, limit, floor)]


def told(galleries: Galleries, gallery: Gallery, probe: Vector, limit: int, floor: float) -> object:
    found = galleries.identify(gallery, Probe(Embedding(probe, "m")), limit, floor)
    return [(candidate.face.face_id, candidate.score) for candidate in found]


def test_the_answer_is_the_float64_ranking(
    database: Database, gallery: Gallery, galleries: Galleries, rng: np.random.Generator
) -> None:
    people = rng.standard_normal((400, 1, D))
    vectors = unit((people + 0.6 * rng.standard_normal((400, 10, D))).reshape(-1, D))
    known = enrol(database, gallery, vectors)
    for number in range(40):
        probe = vectors[number * 97] if number % 2 else unit(rng.standard_normal(D))
        limit, floor = [(1, 0.5), (5, -1.0), (80, 0.3), (1000, 0.0)][number % 4]
        expected = by_numpy(known, vectors, probe, limit, floor)
        assert told(galleries, gallery, probe, limit, floor) == expected


def test_ties_are_decided_by_face_id_however_many_there_are(
    database: Database, gallery: Gallery, galleries: Galleries, rng: np.random.Generator
) -> None:
    """A thousand times the same photo: Milvus is asked for more until it gave all that tie."""
    one = unit(rng.standard_normal(D))
    vectors = np.concatenate([np.repeat(one[None], 1000, axis=0), unit(rng.standard_normal((50, D)))])
    known = enrol(database, gallery, vectors)
    expected = by_numpy(known, vectors, one, 7, -1.0)
    assert [face_id for face_id, _ in expected] == sorted(face.face_id for face in known[:1000])[:7]
    assert told(galleries, gallery, one, 7, -1.0) == expected


def test_every_process_sees_every_write_at_its_next_search(
    database: Database, gallery: Gallery, another: Another, rng: np.random.Generator
) -> None:
    processes = [another() for _ in range(3)]
    vectors = unit(rng.standard_normal((30, D)))
    known: dict[str, Vector] = {}
    for number, vector in enumerate(vectors):
        [face] = enrol(database, gallery, vector[None])
        known[face.face_id] = vector
        if number % 3 == 2:
            gone = list(known)[number // 3]
            del known[gone]
            database.write(lambda c, gone=gone: store.forget(c, gallery, [gone]))  # type: ignore[misc]
        expected = ranked(list(known), np.stack(list(known.values())), vector, 50, -1.0)
        ids = [list(known)[place] for place, _ in expected]
        for process in processes:
            found = process.identify(gallery, Probe(Embedding(vector, "m")), 50, -1.0)
            assert [candidate.face.face_id for candidate in found] == ids


def test_who_comes_later_finds_what_others_built(
    database: Database, gallery: Gallery, another: Another, rng: np.random.Generator
) -> None:
    vectors = unit(rng.standard_normal((500, D)))
    known = enrol(database, gallery, vectors)
    expected = by_numpy(known, vectors, vectors[3], 5, -1.0)
    assert told(another(), gallery, vectors[3], 5, -1.0) == expected
    assert told(another(), gallery, vectors[3], 5, -1.0) == expected


def test_many_processes_write_and_search_at_once(
    database: Database, gallery: Gallery, another: Another, rng: np.random.Generator
) -> None:
    kept = unit(rng.standard_normal((8, D)))
    known = enrol(database, gallery, kept)
    processes = [another() for _ in range(4)]
    faults: list[object] = []

    def work(number: int) -> None:
        mine = np.random.default_rng(number)
        try:
            for _ in range(6):
                come = enrol(database, gallery, unit(mine.standard_normal((3, D))))
                face = known[number]
                found = processes[number].identify(gallery, Probe(Embedding(kept[number], "m")), 1, 0.99)
                if [candidate.face for candidate in found] != [face]:
                    faults.append(found)
                forget(database, gallery, *come[:2])
                processes[number].refresh(gallery)
        except Exception as fault:  # noqa: BLE001 - told below
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    with database.reading() as connection:
        there = [face for _, face in store.enrolled(connection, gallery)]
        vectors = np.stack([store.vector(connection, gallery, face.face_id) for face in there])  # type: ignore[misc]
    assert len(there) == 8 + 4 * 6
    for process in processes:
        assert told(process, gallery, kept[0], 100, -1.0) == by_numpy(there, vectors, kept[0], 100, -1.0)


def test_what_is_removed_while_it_is_searched_gives_place_to_the_next(
    database: Database,
    gallery: Gallery,
    galleries: Galleries,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = unit(rng.standard_normal((2, D)))
    first, second = enrol(database, gallery, vectors)
    once, read = [True], store.vectors

    def slow(*asked: object) -> object:
        if once and once.pop():
            forget(database, gallery, first)
            with database.reading() as later:
                return read(later, *asked[1:])  # type: ignore[arg-type]
        return read(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "vectors", slow)
    found = galleries.identify(gallery, Probe(Embedding(vectors[0], "m")), 1, -1.0)
    assert [candidate.face for candidate in found] == [second]


def test_an_empty_gallery_has_nobody_and_takes_the_first(
    database: Database, gallery: Gallery, another: Another, rng: np.random.Generator
) -> None:
    one, other = another(), another()
    vectors = unit(rng.standard_normal((2, D)))
    assert told(one, gallery, vectors[0], 5, -1.0) == []
    [face] = enrol(database, gallery, vectors[:1])
    assert told(one, gallery, vectors[0], 5, 0.9) == [(face.face_id, pytest.approx(1.0))]
    forget(database, gallery, face)
    assert told(other, gallery, vectors[0], 5, -1.0) == []
    assert told(one, gallery, vectors[0], 5, -1.0) == []


def test_users_are_found_by_a_vector_that_changes_comes_and_goes(
    database: Database, gallery: Gallery, another: Another, rng: np.random.Generator
) -> None:
    one, other = another(), another()
    vectors = unit(rng.standard_normal((4, D)))
    enrol(database, gallery, vectors)
    with database.reading() as connection:
        numbers = [number for number, _ in store.enrolled(connection, gallery)]
    made = database.write(lambda c: users.create(c, gallery, "somebody", NOW))
    assert made is not None

    def found(galleries: Galleries, probe: Vector) -> list[float]:
        asked = Probe(Embedding(probe, "m"))
        return [each.score for each in galleries.identify_user(gallery, asked, 5, -1.0)]

    def of(*places: int) -> list[float]:
        mean = users.template(vectors[list(places)])
        return [float(each) for each in cosines(mean[None], vectors[0])]

    assert found(one, vectors[0]) == []
    for places in ([0], [0, 1], [0, 1, 2]):
        database.write(lambda c, at=places[-1]: users.move(c, gallery, [numbers[at]], made))  # type: ignore[misc]
        assert found(one, vectors[0]) == of(*places)
        assert found(other, vectors[0]) == of(*places)
    database.write(lambda c: users.move(c, gallery, numbers[:3], None))
    assert found(one, vectors[0]) == found(other, vectors[0]) == []
    database.write(lambda c: users.move(c, gallery, numbers[:1], made))  # the same row comes back
    assert found(one, vectors[0]) == found(other, vectors[0]) == of(0)


def test_a_probe_that_is_none_or_of_another_dimension_is_refused(
    database: Database, gallery: Gallery, galleries: Galleries, rng: np.random.Generator
) -> None:
    enrol(database, gallery, unit(rng.standard_normal((3, D))))
    good = unit(rng.standard_normal(D))
    assert len(galleries.identify(gallery, Probe(Embedding(good, "m")), 5, -1.0)) == 3
    for bad in (good * np.float32(np.nan), good * 0, good * 2):
        with pytest.raises(ValueError, match="unit length"):
            galleries.identify(gallery, Probe(Embedding(bad, "m")), 5, -1.0)
    with pytest.raises(ValueError, match="32 dimensions"):
        galleries.identify(gallery, Probe(Embedding(unit(rng.standard_normal(16)), "m")), 5, -1.0)
    with pytest.raises(ValueError, match="holds templates of m"):
        galleries.identify(gallery, Probe(Embedding(good, "m2")), 5, -1.0)


def test_a_gallery_that_is_gone_is_no_empty_list(
    database: Database, gallery: Gallery, galleries: Galleries, rng: np.random.Generator
) -> None:
    vectors = unit(rng.standard_normal((3, D)))
    enrol(database, gallery, vectors)
    told(galleries, gallery, vectors[0], 1, 0.9)
    database.write(lambda connection: store.delete(connection, gallery))
    galleries.lose(gallery)
    with pytest.raises(GalleryGone):
        galleries.identify(gallery, Probe(Embedding(vectors[0], "m")), 1, 0.9)


def test_a_gallery_may_change_its_model_and_dimension(
    database: Database, gallery: Gallery, another: Another, rng: np.random.Generator
) -> None:
    one, other = another(), another()
    vectors, new = unit(rng.standard_normal((3, D))), unit(rng.standard_normal((3, 2 * D)))
    known = enrol(database, gallery, vectors)
    assert len(one.identify(gallery, Probe(Embedding(vectors[0], "m")), 5, -1.0)) == 3
    renewed = {face.face_id: row for face, row in zip(known, new, strict=True)}
    _, left = database.write(lambda c: store.renew(c, gallery, "m2", renewed))
    assert left == 0
    with pytest.raises(GalleryGone):
        other.identify(gallery, Probe(Embedding(vectors[0], "m")), 5, -1.0)
    changed = dataclasses.replace(gallery, model="m2")
    for galleries in (one, other):
        found = galleries.identify(changed, Probe(Embedding(new[1], "m2")), 1, 0.9)
        assert [candidate.face.face_id for candidate in found] == [known[1].face_id]


def test_a_backup_put_back_is_not_answered_from_what_came_after_it(
    database: Database, gallery: Gallery, another: Another, rng: np.random.Generator
) -> None:
    """Rows go without a removal that tells of them: the index is found out by the rows, and made anew."""
    galleries = another()
    vectors = unit(rng.standard_normal((3, D)))
    first, second, third = enrol(database, gallery, vectors)
    told(galleries, gallery, vectors[0], 5, -1.0)
    lost = faces.delete().where(faces.c.face_id == first.face_id)
    assert database.write(lambda c: c.execute(lost).rowcount) == 1
    expected = by_numpy([second, third], vectors[1:], vectors[0], 5, -1.0)
    assert told(galleries, gallery, vectors[0], 5, -1.0) == expected
    assert told(another(), gallery, vectors[0], 5, -1.0) == expected
