"""How an index outside the process is kept current, against a stand-in that can be stopped at any word.

That a real Milvus does what the stand-in does is for `make test-milvus`; here is what no real one can be
made to do on command: somebody else writes between two words of ours.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from sqlalchemy.engine import Connection
from tests.unit.galleries import test_index

from countenance.database import Database
from countenance.errors import HomeError, IndexFault
from countenance.galleries import Galleries, remote, store
from countenance.galleries.history import History
from countenance.galleries.index import Numbers
from countenance.galleries.milvus import Dropped, Made, Milvus
from countenance.galleries.remote import NOTE, TRIES, RemoteIndex
from countenance.galleries.rows import advance
from countenance.schema import entries, faces
from countenance.types import Box, Embedding, Enrolled, Gallery, Probe, Template, Vector

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
D = 16
RNG = np.random.default_rng(5)


def unit(count: int, dimension: int) -> Vector:
    return test_index.unit(RNG, count, dimension)


class StandIn:
    """What `Milvus` does, in dictionaries. before: what happens right before a word, by its name.

    A search shows what was written until the time it names, and what is newer only where it is `ahead`.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, tuple[Vector, str, int]]] = {}
        self.led: dict[str, str] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.down = self.ahead = False
        self._times, self._names = itertools.count(2), itertools.count()

    def _word(self, word: str, collection: str | None = None) -> None:
        if (happens := self.before.pop(word, None)) is not None:
            happens()
        if self.down:
            raise IndexFault("down")
        if collection is not None and collection not in self.rows:
            raise Dropped(collection)

    def alias(self, number: int, model: str, of: str) -> str:
        return f"{number}_{of}_{model}"

    def resolve(self, alias: str) -> str | None:
        self._word("resolve")
        return self.led.get(alias) if self.led.get(alias) in self.rows else None

    def look(self, collection: str) -> Made:
        self._word("look", collection)
        return Made(collection, D, 0.0)

    def begin(self, alias: str, dimension: int, instead: str | None) -> str:
        self._word("begin")
        if self.resolve(alias) == instead:
            self.led[alias] = f"{alias}_{next(self._names)}"
            self.rows[self.led[alias]] = {}
        return self.led[alias]

    def unlead(self, alias: str) -> None:
        self._word("unlead")
        self.rows.pop(self.led.pop(alias, ""), None)

    def drop(self, collection: str) -> None:
        self._word("drop")
        self.rows.pop(collection, None)

    def collections(self) -> list[tuple[str, Made]]:
        return [(name.rpartition("_")[0], Made(name, D, 0.0)) for name in self.rows]

    def put(self, collection: str, rows: Sequence[int], vectors: Vector, note: str = "") -> int:
        self._word("put", collection)
        now = next(self._times)
        written = {row: (each, note, now) for row, each in zip(rows, vectors, strict=True)}
        self.rows[collection].update(written)
        return now

    def remove(self, collection: str, rows: Sequence[int]) -> None:
        self._word("remove", collection)
        for row in rows:
            self.rows[collection].pop(row, None)

    def note(self, collection: str, row: int, *, newest: bool) -> str | None:
        self._word("note", collection)
        return self.rows[collection][row][1] if row in self.rows[collection] else None

    def count(self, collection: str) -> int:
        self._word("count", collection)
        return sum(row >= 0 for row in self.rows[collection])

    def near(
        self, collection: str, probe: Vector, limit: int, sees: int
    ) -> tuple[Numbers, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        self._word("near", collection)
        held = [row for row, (_, _, at) in self.rows[collection].items() if self.ahead or at <= sees]
        scores = np.array([self.rows[collection][row][0] @ probe for row in held], np.float64)
        best = np.argsort(-scores, kind="stable")[:limit]
        return np.array(held, np.int64)[best], scores[best]

    def settle(self, collection: str) -> None:
        self._word("settle", collection)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/house.db")
    yield database
    database.close()


@pytest.fixture
def gallery(database: Database) -> Gallery:
    made = database.write(lambda c: store.create(c, "111122223333", "people", "m", {}, NOW))
    assert made is not None
    return made


@pytest.fixture
def server() -> StandIn:
    return StandIn()


def index(server: StandIn, database: Database, gallery: Gallery) -> RemoteIndex:
    return RemoteIndex(cast("Milvus", server), History(database, gallery.number, "m"))


def enrol(database: Database, gallery: Gallery, vectors: Vector) -> list[Enrolled]:
    box = Box(0.25, 0.25, 0.5, 0.5)
    rows = [
        Template(str(uuid.uuid4()), str(uuid.uuid4()), None, box, 99.5, Embedding(each, "m"))
        for each in vectors
    ]
    return database.write(lambda connection: store.enrol(connection, gallery, rows, NOW))


def forget(database: Database, gallery: Gallery, *gone: Enrolled) -> None:
    database.write(lambda c: store.forget(c, gallery, [face.face_id for face in gone]))


def replace(database: Database, gallery: Gallery, face: Enrolled, by: Vector) -> None:
    """As a user's vector is replaced: the row stays."""

    def write(connection: Connection) -> None:
        change = advance(connection, gallery.number)
        mine = faces.c.face_id == face.face_id
        connection.execute(faces.update().where(mine).values(vector=by.tobytes(), change=change))

    database.write(write)


def change(database: Database, gallery: Gallery) -> int:
    return History(database, gallery.number, "m").since(0).change


def held(server: StandIn) -> dict[int, Vector]:
    [rows] = server.rows.values()
    return {row: each for row, (each, *_) in rows.items() if row >= 0}


def noted(server: StandIn) -> int:
    [rows] = server.rows.values()
    return int(json.loads(rows[NOTE][1])["change"])


def in_database(database: Database, gallery: Gallery) -> dict[int, bytes]:
    history = History(database, gallery.number, "m")
    rows, vectors = history.vectors(history.since(0).rows)
    return {int(row): each.tobytes() for row, each in zip(rows, vectors, strict=True)}


def agree(server: StandIn, database: Database, gallery: Gallery) -> bool:
    here = {row: each.tobytes() for row, each in held(server).items()}
    return here == in_database(database, gallery)


def test_who_is_erased_while_somebody_slow_puts_him_is_taken_out_again(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    """The slow one has read the vector; the other removes it, tells the index, and only then it is put."""
    slow, other = index(server, database, gallery), index(server, database, gallery)
    [_, second] = enrol(database, gallery, unit(2, D))
    slow.follow(change(database, gallery))
    [third] = enrol(database, gallery, unit(1, D))

    def meanwhile() -> None:
        forget(database, gallery, second, third)
        other.follow(change(database, gallery))
        assert agree(server, database, gallery)

    server.before["put"] = meanwhile
    slow.follow(slow.change + 1)
    assert agree(server, database, gallery)
    assert len(held(server)) == 1
    assert noted(server) == change(database, gallery)


def test_who_is_replaced_while_somebody_slow_puts_him_is_put_again(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    slow, other = index(server, database, gallery), index(server, database, gallery)
    [face] = enrol(database, gallery, unit(1, D))
    [newer, newest] = unit(2, D)

    def meanwhile() -> None:
        replace(database, gallery, face, newer)
        other.follow(change(database, gallery))
        server.before["put"] = lambda: replace(database, gallery, face, newest)

    server.before["put"] = meanwhile
    slow.follow(1)
    assert agree(server, database, gallery)


def test_a_note_that_says_more_stays(server: StandIn, database: Database, gallery: Gallery) -> None:
    slow, other = index(server, database, gallery), index(server, database, gallery)
    enrol(database, gallery, unit(1, D))

    def meanwhile() -> None:
        enrol(database, gallery, unit(1, D))
        other.follow(change(database, gallery))

    server.before["put"] = meanwhile
    slow.follow(1)
    assert noted(server) == slow.change == other.change == 2


def test_an_index_made_anew_meanwhile_is_taken_up(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    slow, other = index(server, database, gallery), index(server, database, gallery)
    enrol(database, gallery, unit(3, D))
    slow.follow(1)
    enrol(database, gallery, unit(1, D))

    def meanwhile() -> None:
        other.wipe()
        other.follow(change(database, gallery))

    server.before["put"] = meanwhile
    slow.follow(2)
    assert agree(server, database, gallery)
    assert len(server.rows) == 1
    assert len(slow.near(unit(1, D)[0], 10, -1.0).rows) == 4


def test_one_that_is_dropped_again_and_again_is_a_fault(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    mine = index(server, database, gallery)
    enrol(database, gallery, unit(1, D))
    left = [TRIES]

    def again() -> None:
        left[0] -= 1
        server.rows.clear()
        server.before["put"] = again

    server.before["put"] = again
    with pytest.raises(IndexFault, match="again and again"):
        mine.follow(1)
    assert left == [0]
    server.before.clear()
    mine.follow(1)
    assert agree(server, database, gallery)


def test_a_process_that_died_in_the_middle_is_caught_up_with(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    dead, other = index(server, database, gallery), index(server, database, gallery)
    [first, _] = enrol(database, gallery, unit(2, D))

    def dies() -> None:
        server.before["put"] = lambda: setattr(server, "down", True)

    server.before["put"] = dies  # the rows are put, the note is not
    with pytest.raises(IndexFault):
        dead.follow(1)
    server.down = False
    assert len(held(server)) == 2
    assert dead.change == 0
    forget(database, gallery, first)
    other.follow(2)
    assert agree(server, database, gallery)


def test_what_a_dead_process_left_is_found_by_counting(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    mine = index(server, database, gallery)
    enrol(database, gallery, unit(2, D))
    mine.follow(1)
    [name] = server.rows
    server.put(name, [77], unit(1, D))
    assert list(mine.tidy()) == ["the index did not hold the gallery's rows and was made anew"]
    assert agree(server, database, gallery)
    assert list(mine.tidy()) == []
    assert list(server.rows) != [name]


def test_what_was_dropped_is_cleared_once(server: StandIn, database: Database, gallery: Gallery) -> None:
    mine = index(server, database, gallery)
    first, *_ = enrol(database, gallery, unit(3, D))
    mine.follow(1)
    forget(database, gallery, first)
    assert ["1 rows dropped" in each for each in mine.tidy()] == [True]
    assert list(mine.tidy()) == []


def test_an_index_of_another_past_is_made_anew(server: StandIn, database: Database, gallery: Gallery) -> None:
    def log(leaf: bytes) -> None:
        row = {"seq": 0, "body": b"{}", "leaf": leaf}

        def write(connection: Connection) -> None:
            connection.execute(entries.delete())
            connection.execute(entries.insert(), row)

        database.write(write)

    log(b"one")
    enrol(database, gallery, unit(2, D))
    index(server, database, gallery).follow(1)
    [name] = server.rows
    index(server, database, gallery).follow(1)
    assert list(server.rows) == [name]
    log(b"two")
    index(server, database, gallery).follow(1)
    assert list(server.rows) != [name]
    assert agree(server, database, gallery)


def test_a_change_of_others_is_not_written_down(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    """Users have an index of their own, and most changes are of faces: nothing is written, nobody waits."""
    enrol(database, gallery, unit(2, D))
    mine = index(server, database, gallery)
    mine.follow(1)
    database.write(lambda connection: advance(connection, gallery.number))
    server.before["put"] = lambda: pytest.fail("something was written")
    mine.follow(2)
    assert (mine.change, noted(server)) == (2, 1)


def test_too_many_that_are_equally_near_are_told_of(
    server: StandIn, database: Database, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MOST", 30)
    [one] = unit(1, D)
    enrol(database, gallery, np.repeat(one[None], 40, axis=0))
    mine = index(server, database, gallery)
    mine.follow(1)
    with pytest.raises(IndexFault, match="more than 30 templates are equally near"):
        mine.near(one, 5, -1.0)
    assert len(mine.near(unit(1, D)[0], 5, 0.999).rows) == 0


def test_a_note_of_another_version_is_not_believed(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    enrol(database, gallery, unit(2, D))
    index(server, database, gallery).follow(1)
    [name] = server.rows
    server.put(name, [NOTE], unit(1, D), json.dumps({"change": 1, "new": "thing"}))
    index(server, database, gallery).follow(1)
    assert list(server.rows) != [name]


def test_rows_that_came_since_take_no_place_from_those_of_then(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    mine, other = index(server, database, gallery), index(server, database, gallery)
    server.ahead = True
    [probe] = unit(1, D)
    enrol(database, gallery, unit(5, D))
    mine.follow(1)
    before = mine.near(probe, 5, -1.0)
    enrol(database, gallery, np.repeat(probe[None], 40, axis=0))
    other.follow(2)
    assert mine.near(probe, 5, -1.0).rows.tolist() == before.rows.tolist()
    assert len(other.near(probe, 5, -1.0).rows) == 40  # a tie: float64 and FaceId decide


def test_galleries_refuse_while_it_is_down_and_go_on_after(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    galleries = Galleries(database, cast("Milvus", server))
    vectors = unit(2, D)
    faces_ = enrol(database, gallery, vectors)
    probe = Probe(Embedding(vectors[0], "m"))
    server.down = True
    for ask in (
        lambda: galleries.identify(gallery, probe, 1, 0.9),
        lambda: galleries.refresh(gallery),
        lambda: galleries.lose(gallery),
    ):
        with pytest.raises(IndexFault):
            ask()
    server.down = False
    assert [each.face for each in galleries.identify(gallery, probe, 1, 0.9)] == faces_[:1]


def test_tidying_drops_what_no_gallery_stands_behind(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    galleries = Galleries(database, cast("Milvus", server))
    enrol(database, gallery, unit(2, D))
    galleries.identify(gallery, Probe(Embedding(unit(1, D)[0], "m")), 1, -1.0)
    [name] = server.rows
    for strange in ("99_faces_m", f"{gallery.number}_faces_m"):
        server.rows[f"{strange}_x"] = {}
    done = list(galleries.tidy())
    assert ["dropped with the collection it was of" in each for each in done] == [True, False]
    assert "another is in its place" in done[1]
    assert list(server.rows) == [name]
    assert list(Galleries(database).tidy()) == []


def test_a_process_that_never_searched_takes_the_erased_out_of_the_index_of_others(
    server: StandIn, database: Database, gallery: Gallery
) -> None:
    first, _ = enrol(database, gallery, unit(2, D))
    Galleries(database, cast("Milvus", server)).identify(
        gallery, Probe(Embedding(unit(1, D)[0], "m")), 1, -1.0
    )
    assert len(held(server)) == 2
    forget(database, gallery, first)
    another = Galleries(database, cast("Milvus", server))
    another.refresh(gallery)
    assert agree(server, database, gallery)
    another.lose(gallery)
    assert server.rows == {}
    another.refresh(gallery)
    assert server.rows == {}  # what nobody searches is not made


@pytest.mark.parametrize(
    "url",
    [
        "",
        "milvus",
        "http://127.0.0.1:19530",
        "milvus://",
        "milvus:///name",
        "milvus+tls:host",
        "milvus://host:x",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(HomeError, match="index_url must be written like milvus://"):
        Milvus(url, "home")
