"""Users as rows: a vector is that of the faces at every moment, and nothing of it outlives the user."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from countenance.database import Database
from countenance.galleries import Galleries, concerned, distinct, regroupings, store, users
from countenance.galleries.index import ranked
from countenance.galleries.rows import matrix
from countenance.schema import distinctions, faces, regrouped, user_removals
from countenance.schema import regroupings as regrouping_rows
from countenance.schema import users as user_rows
from countenance.types import Box, Embedding, Enrolled, Gallery, Probe, Template, User, Vector

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
RNG = np.random.default_rng(11)


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


def vector() -> Vector:
    row = RNG.standard_normal(32).astype(np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


def enrol(database: Database, gallery: Gallery, count: int) -> list[Enrolled]:
    box = Box(0.25, 0.25, 0.5, 0.5)
    some = [
        Template(str(uuid.uuid4()), str(uuid.uuid4()), None, box, 99.5, Embedding(vector(), "m"))
        for _ in range(count)
    ]
    return database.write(lambda c: store.enrol(c, gallery, some, NOW))


def create(database: Database, gallery: Gallery, name: str) -> User:
    user = database.write(lambda c: users.create(c, gallery, name, NOW))
    assert user is not None
    return user


def join(database: Database, gallery: Gallery, user: User | None, *joining: Enrolled) -> None:
    ids = [face.face_id for face in joining]

    def write(connection: sa.Connection) -> None:
        rows = [row for row, _ in store.enrolled(connection, gallery, face_ids=ids)]
        users.move(connection, gallery, rows, user)

    database.write(write)


def known(database: Database, gallery: Gallery, user: User) -> User | None:
    with database.reading() as connection:
        return users.find(connection, gallery, user.user_id)


def vector_of(database: Database, gallery: Gallery, user: User) -> Vector:
    with database.reading() as connection:
        found = users.vector(connection, gallery, user)
    assert found is not None
    return found


def mean(database: Database, gallery: Gallery, *of: Enrolled) -> Vector:
    """What a user of these faces is to have, from the faces' own rows."""
    with database.reading() as connection:
        rows = [store.vector(connection, gallery, face.face_id) for face in of]
    total = np.sum([row for row in rows if row is not None], axis=0, dtype=np.float64)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def test_a_users_vector_follows_the_faces(database: Database, gallery: Gallery) -> None:
    a, b, c = enrol(database, gallery, 3)
    anna = create(database, gallery, "anna")
    with database.reading() as connection:
        assert users.vector(connection, gallery, anna) is None
    join(database, gallery, anna, a, b, c)
    np.testing.assert_allclose(
        vector_of(database, gallery, anna), mean(database, gallery, a, b, c), atol=1e-6
    )
    join(database, gallery, None, b)
    np.testing.assert_allclose(vector_of(database, gallery, anna), mean(database, gallery, a, c), atol=1e-6)
    database.write(lambda connection: store.forget(connection, gallery, [a.face_id]))
    np.testing.assert_allclose(vector_of(database, gallery, anna), mean(database, gallery, c), atol=1e-6)
    assert known(database, gallery, anna) == User(anna.number, "anna", 1)


def test_who_loses_the_last_face_to_erasure_goes_too(database: Database, gallery: Gallery) -> None:
    a, b = enrol(database, gallery, 2)
    anna, bert, left = (create(database, gallery, name) for name in ("anna", "bert", "left"))
    join(database, gallery, anna, a)
    join(database, gallery, bert, b)
    join(database, gallery, None, b)  # to nobody, and not erased: he stays
    database.write(lambda connection: store.forget(connection, gallery, [a.face_id]))
    assert known(database, gallery, anna) is None
    assert known(database, gallery, bert) == bert
    with database.reading() as connection:
        now = store.find(connection, "111122223333", "people")
    assert now is not None
    assert now.users == 2
    assert known(database, gallery, left) == left


def test_faces_opposite_to_each_other_are_stood_for_by_the_first() -> None:
    one, other = vector(), vector()
    assert users.template(np.stack([one, -one])) == pytest.approx(one, abs=1e-6)
    made = users.means(np.stack([one, one, other, one, -one]), [0, 2, 3])
    assert made == pytest.approx(np.stack([one, other, one]), abs=1e-6)


def test_a_users_vector_is_never_written_and_the_name_leaves_no_byte(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    made = enrol(database, gallery, 6)
    anna = create(database, gallery, "anna-karenina")
    join(database, gallery, anna, *made)
    secret = vector_of(database, gallery, anna).tobytes()
    [found] = Galleries(database).identify_user(gallery, Probe(Embedding(vector(), "m")), 5, -1.0)
    assert found.user.user_id == "anna-karenina"
    assert b"anna-karenina" in everything(tmp_path)
    assert secret[:16] not in everything(tmp_path)
    database.write(lambda connection: users.delete(connection, gallery, [anna.number]))
    assert database.scrub()
    assert b"anna-karenina" not in everything(tmp_path)
    with database.reading() as connection:
        assert len(store.enrolled(connection, gallery)) == 6
        assert {face.user_id for _, face in store.enrolled(connection, gallery)} == {None}


def test_the_names_of_users_are_among_the_traces_of_their_faces(database: Database, gallery: Gallery) -> None:
    a, b = enrol(database, gallery, 2)
    anna, bert = create(database, gallery, "anna"), create(database, gallery, "bert")
    join(database, gallery, bert, a)
    merge(database, gallery, bert, anna)
    with database.reading() as connection:
        of = [concerned.traces(connection, gallery, ids) for ids in ([a.face_id], None, [b.face_id])]
    assert [sorted(traces.texts) for traces in of if traces] == [["anna", "bert"], ["anna", "bert"], []]


def test_another_model_makes_the_users_anew(database: Database, gallery: Gallery) -> None:
    a, b = enrol(database, gallery, 2)
    anna = create(database, gallery, "anna")
    join(database, gallery, anna, a, b)
    new = {a.face_id: vector(), b.face_id: vector()}
    galleries = Galleries(database)
    database.write(lambda connection: store.renew(connection, gallery, "m2", new))
    expected = users.template(np.stack(list(new.values())))
    np.testing.assert_allclose(vector_of(database, gallery, anna), expected, atol=1e-6)
    with database.reading() as connection:
        now = store.find(connection, "111122223333", "people")
    assert now is not None
    [found] = galleries.identify_user(now, Probe(Embedding(expected, "m2")), 5, 0.5)
    assert found.user.user_id == "anna"


class World:
    """Users in a gallery, changed at random through one process and searched through two."""

    def __init__(self, database: Database, gallery: Gallery, seed: int) -> None:
        self.database, self.gallery, self.draw = database, gallery, random.Random(seed)
        self.names = 0

    def step(self) -> None:
        does = self.draw.choice(
            (self.create, self.join, self.join, self.part, self.forget, self.delete, self.merge, self.split)
            + (self.undo,) * 2
        )
        self.database.write(does)

    def _users(self, connection: sa.Connection) -> list[User]:
        return users.page(connection, self.gallery, 0, 1000)

    def _faces(self, connection: sa.Connection, *, taken: bool) -> list[int]:
        mine = faces.c.member.is_not(None) if taken else faces.c.member.is_(None)
        rows = list(connection.execute(sa.select(faces.c.number).where(mine)).scalars())
        return self.draw.sample(rows, min(len(rows), self.draw.randint(1, 3)))

    def create(self, connection: sa.Connection) -> None:
        self.names += 1
        assert users.create(connection, self.gallery, f"user-{self.names}", NOW) is not None

    def join(self, connection: sa.Connection) -> None:
        if there := self._users(connection):
            free = self._faces(connection, taken=False)
            users.move(connection, self.gallery, free, self.draw.choice(there))

    def part(self, connection: sa.Connection) -> None:
        users.move(connection, self.gallery, self._faces(connection, taken=True), None)

    def forget(self, connection: sa.Connection) -> None:
        [[face]] = [store.enrolled(connection, self.gallery)[:1]]
        store.forget(connection, self.gallery, [face[1].face_id])
        box = Box(0.25, 0.25, 0.5, 0.5)
        new = Template(str(uuid.uuid4()), str(uuid.uuid4()), None, box, 99.5, Embedding(vector(), "m"))
        store.enrol(connection, self.gallery, [new], NOW)

    def delete(self, connection: sa.Connection) -> None:
        if len(there := self._users(connection)) > 4:
            users.delete(connection, self.gallery, [self.draw.choice(there).number])

    def merge(self, connection: sa.Connection) -> None:
        if len(there := self._users(connection)) > 1:
            source, target = self.draw.sample(there, 2)
            regroupings.merge(connection, self.gallery, source, target, NOW)

    def split(self, connection: sa.Connection) -> None:
        many = [user for user in self._users(connection) if user.faces > 1]
        if many:
            user = self.draw.choice(many)
            rows = connection.execute(sa.select(faces.c.number).where(faces.c.member == user.number))
            self.names += 1
            new = users.create(connection, self.gallery, f"user-{self.names}", NOW)
            assert new is not None
            regroupings.split(connection, self.gallery, user, new, list(rows.scalars())[:1], NOW)

    def undo(self, connection: sa.Connection) -> None:
        if there := regroupings.page(connection, self.gallery, 0, 100):
            regroupings.undo(connection, self.gallery, self.draw.choice(there))

    def expected(self, probe: Vector) -> list[tuple[str, float]]:
        """Who is found, from the faces' own rows."""
        with self.database.reading() as connection:
            query = sa.select(user_rows.c.user_id, faces.c.vector).join(
                faces, faces.c.member == user_rows.c.number
            )
            rows = connection.execute(query.order_by(faces.c.number)).all()
            counted = connection.execute(
                sa.select(sa.func.count()).where(user_rows.c.merged_into.is_(None))
            ).scalar_one()
            now = store.find(connection, "111122223333", "people")
        assert now is not None
        assert now.users == counted
        names = sorted({row.user_id for row in rows})
        made = [users.template(matrix([r.vector for r in rows if r.user_id == name])) for name in names]
        best = ranked(names, np.stack(made), probe, 5, -1.0) if names else []
        return [(names[place], score) for place, score in best]


@pytest.mark.parametrize("seed", range(2))
def test_searches_are_the_float64_ranking_whatever_happens_to_users(
    database: Database, gallery: Gallery, seed: int
) -> None:
    enrol(database, gallery, 30)
    other = Database(str(database.url))
    here, there = Galleries(database), Galleries(other)
    world = World(database, gallery, seed)
    try:
        for number in range(100):
            world.step()
            probe = vector()
            expected = world.expected(probe)
            for galleries in (here, there) if number % 3 else (here,):  # the other lags behind
                found = galleries.identify_user(gallery, Probe(Embedding(probe, "m")), 5, -1.0)
                assert [(each.user.user_id, each.score) for each in found] == expected
    finally:
        other.close()
    with database.reading() as connection:  # nothing is left of what is gone
        of = sa.select(sa.func.count()).select_from(regrouped)
        lost = of.where(regrouped.c.regrouping.not_in(sa.select(regrouping_rows.c.number)))
        assert connection.execute(lost).scalar_one() == 0


def rows_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Users, whose faces are whose, and what was said: all but change numbers."""
    with database.reading() as connection:
        tables = (user_rows, distinctions, regrouping_rows, regrouped)
        found = {
            table.name: [
                tuple(value for name, value in row._mapping.items() if name != "change")
                for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]
            for table in tables
        }
        belongs = connection.execute(sa.select(faces.c.face_id, faces.c.member).order_by(faces.c.number))
        return {**found, "belongs": [tuple(row) for row in belongs]}


@pytest.fixture
def couple(database: Database, gallery: Gallery) -> tuple[User, User, list[Enrolled]]:
    """Two users of two faces each, a further face, and somebody who is neither."""
    some = enrol(database, gallery, 6)
    anna, bert, carl = (create(database, gallery, name) for name in ("anna", "bert", "carl"))
    join(database, gallery, anna, *some[:2])
    join(database, gallery, bert, *some[2:4])
    ends = distinct.of_user(bert.number), distinct.of_user(carl.number)
    database.write(lambda c: distinct.record(c, gallery, *ends, NOW))
    return anna, bert, some


def merge(database: Database, gallery: Gallery, source: User, target: User) -> int:
    return database.write(lambda c: regroupings.merge(c, gallery, source, target, NOW))


def undo(database: Database, gallery: Gallery, number: int) -> str | None:
    def write(connection: sa.Connection) -> str | None:
        regrouping = regroupings.find(connection, gallery, number)
        assert regrouping is not None
        return regroupings.undo(connection, gallery, regrouping)

    return database.write(write)


def split(database: Database, gallery: Gallery, user: User, name: str, *some: Enrolled) -> int:
    def write(connection: sa.Connection) -> int:
        new = users.create(connection, gallery, name, NOW)
        assert new is not None
        rows = [row for row, _ in store.enrolled(connection, gallery, face_ids=[f.face_id for f in some])]
        return regroupings.split(connection, gallery, user, new, rows, NOW)

    return database.write(write)


def test_whoever_goes_is_found_in_what_can_be_undone_without_reading_all_of_it(database: Database) -> None:
    either = regrouping_rows.c.source.in_([1, 2]) | regrouping_rows.c.target.in_([1, 2])
    gone = (regrouping_rows.delete().where(either), user_rows.delete().where(user_rows.c.number == 1))
    with database.reading() as connection:
        for statement in gone:
            query = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
            assert not [row.detail for row in plan if row.detail.startswith("SCAN")]


def test_a_merge_is_undone_to_the_last_byte(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]]
) -> None:
    anna, bert, some = couple
    before = rows_of(database)
    number = merge(database, gallery, bert, anna)
    assert known(database, gallery, bert) is None
    assert known(database, gallery, anna) == User(anna.number, "anna", 4)
    assert database.write(lambda c: users.create(c, gallery, "bert", NOW)) is None  # the name is kept
    np.testing.assert_allclose(
        vector_of(database, gallery, anna), mean(database, gallery, *some[:4]), atol=1e-6
    )
    assert undo(database, gallery, number) is None
    assert rows_of(database) == before


def test_a_split_is_undone_to_the_last_byte(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]]
) -> None:
    anna, _, some = couple
    before = rows_of(database)
    number = split(database, gallery, anna, "twin", some[0])
    assert undo(database, gallery, number) is None
    assert rows_of(database) == before


def test_what_was_done_since_is_undone_first(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]]
) -> None:
    anna, bert, some = couple
    before = rows_of(database)
    first = merge(database, gallery, bert, anna)
    second = split(database, gallery, anna, "twin", some[2])
    assert "undo first" in str(undo(database, gallery, first))
    assert undo(database, gallery, second) is None
    assert undo(database, gallery, first) is None
    assert rows_of(database) == before


@pytest.mark.parametrize("since", ["face", "distinction", "merge", "regrouping"])
def test_an_undo_that_would_lose_something_changes_nothing(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]], since: str
) -> None:
    anna, bert, some = couple
    number = split(database, gallery, anna, "twin", some[0])
    with database.reading() as connection:
        twin = users.find(connection, gallery, "twin")
    assert twin is not None
    if since == "face":
        join(database, gallery, twin, some[5])
    elif since == "distinction":
        ends = distinct.of_face(some[0].face_id), distinct.of_face(some[1].face_id)
        database.write(lambda c: distinct.record(c, gallery, *ends, NOW))
    elif since == "merge":
        merge(database, gallery, bert, twin)
    else:
        merge(database, gallery, twin, bert)
    before = rows_of(database)
    assert undo(database, gallery, number) is not None
    assert rows_of(database) == before


def test_what_was_erased_since_stays_erased(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]]
) -> None:
    anna, bert, some = couple
    number = merge(database, gallery, bert, anna)
    database.write(lambda connection: store.forget(connection, gallery, [some[2].face_id]))
    assert undo(database, gallery, number) is None
    assert known(database, gallery, bert) == User(bert.number, "bert", 1)
    again = merge(database, gallery, bert, anna)
    database.write(lambda connection: store.forget(connection, gallery, [some[3].face_id]))
    with database.reading() as connection:  # of bert nothing is left, not even the name
        assert regroupings.find(connection, gallery, again) is None
        assert "bert" not in connection.execute(sa.select(user_rows.c.user_id)).scalars().all()
    assert known(database, gallery, anna) == User(anna.number, "anna", 2)


def barred(database: Database, gallery: Gallery, end: str) -> distinct.Barred:
    with database.reading() as connection:
        return distinct.barred(connection, gallery, end)


def test_what_is_said_of_a_face_is_said_of_the_person(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]]
) -> None:
    anna, bert, some = couple
    a, b = (distinct.of_face(face.face_id) for face in (some[0], some[2]))
    assert not database.write(lambda c: distinct.said(c, gallery, a, b))
    database.write(lambda c: distinct.record(c, gallery, a, b, NOW))
    assert database.write(lambda c: distinct.said(c, gallery, b, a))
    theirs = frozenset(face.face_id for face in some[2:4])
    assert barred(database, gallery, distinct.of_face(some[1].face_id)) == distinct.Barred(
        theirs, frozenset({bert.number})
    )
    assert barred(database, gallery, distinct.of_user(anna.number)).users == {bert.number}
    assert anna.number in barred(database, gallery, distinct.of_face(some[3].face_id)).users
    assert barred(database, gallery, distinct.of_face(some[5].face_id)) == distinct.NOBODY
    assert database.write(lambda c: distinct.withdraw(c, gallery, b, a))
    assert barred(database, gallery, a) == distinct.NOBODY


def test_what_is_said_of_a_photo_holds_for_that_photo_alone(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]]
) -> None:
    anna, _, some = couple
    photo, other = distinct.of_photo(str(uuid.uuid4())), distinct.of_photo(str(uuid.uuid4()))
    database.write(lambda c: distinct.record(c, gallery, photo, distinct.of_user(anna.number), NOW))
    assert barred(database, gallery, photo) == distinct.Barred(
        frozenset(face.face_id for face in some[:2]), frozenset({anna.number})
    )
    assert barred(database, gallery, other) == distinct.NOBODY


def test_what_was_said_of_who_is_gone_is_gone(
    database: Database, gallery: Gallery, couple: tuple[User, User, list[Enrolled]]
) -> None:
    anna, bert, some = couple
    ends = distinct.of_face(some[5].face_id), distinct.of_user(anna.number)
    database.write(lambda c: distinct.record(c, gallery, *ends, NOW))
    database.write(lambda connection: store.forget(connection, gallery, [some[5].face_id]))
    assert barred(database, gallery, ends[1]) == distinct.NOBODY
    database.write(lambda c: users.delete(c, gallery, [bert.number]))
    with database.reading() as connection:
        assert distinct.page(connection, gallery, 0, 10) == []
    database.write(lambda connection: store.delete(connection, gallery))
    with database.reading() as connection:
        for table in (user_rows, user_removals, distinctions, regrouping_rows):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
