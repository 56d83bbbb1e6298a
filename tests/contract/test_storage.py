"""What every storage keeps to: each database with each index, in hands that know nothing of each other.

A pair is a database (`database_url`) and an index (`INDEXES`; a further one adds its name and how galleries
are searched with it). Two Databases stand for two processes where that suffices; where it does not, `other`
starts real ones.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.engine import Connection

from countenance.database import Database
from countenance.errors import LedgerError
from countenance.galleries import Galleries, GalleryGone, store
from countenance.ledger import Ledger, Written, checkpoint
from countenance.ledger.merkle import leaf_hash, verify_inclusion
from countenance.schema import collections, entries, faces
from countenance.types import Box, Embedding, Enrolled, Gallery, Probe, Template, Vector

T = TypeVar("T")

ACCOUNT = "111122223333"
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "countenance.example/storage"
RNG = np.random.default_rng(9)

INDEXES: dict[str, Callable[[Database], Galleries]] = {"exact": Galleries}


class Hand:
    """One process's hold on a storage."""

    def __init__(self, url: str, index: str) -> None:
        self.database, self.ledger = Database(url), Ledger(KEY, ORIGIN)
        self.database.keep(self.ledger)
        self.galleries = INDEXES[index](self.database)

    def create(self, name: str = "people") -> Gallery | None:
        return self.late(lambda c: store.create(c, ACCOUNT, name, "m", {"k": "v"}, NOW))

    def gallery(self, name: str = "people") -> Gallery:
        with self.database.reading() as connection:
            found = store.find(connection, ACCOUNT, name)
        assert found is not None
        return found

    def enrol(self, *templates: Template) -> list[Enrolled]:
        return self.late(lambda c: store.enrol(c, self.gallery(), templates, NOW))

    def forget(self, *face_ids: str) -> list[str]:
        gone = self.late(lambda c: store.forget(c, self.gallery(), face_ids))
        assert self.database.scrub()
        self.galleries.refresh(self.gallery())
        return gone

    def late(self, work: Callable[[Connection], T], **said: object) -> T:
        """Work in a gallery and its entry, as the gate commits them."""

        def write(connection: Connection) -> T:
            result = work(connection)
            self.database.take_turn(connection)
            self.append(connection, **said)
            return result

        return self.database.write(write, late=True)

    def append(self, connection: Connection, **said: object) -> Written:
        return self.ledger.append(connection, {"v": 1, "kind": "decision", **said})

    def found(self, vector: Vector, limit: int = 5, floor: float = 0.9) -> list[str]:
        gallery = self.gallery()
        probe = Probe(Embedding(vector, gallery.model))
        return [each.face.face_id for each in self.galleries.identify(gallery, probe, limit, floor)]

    def close(self) -> None:
        self.database.close()


@pytest.fixture(params=INDEXES)
def hands(request: pytest.FixtureRequest, database_url: str) -> Iterator[tuple[Hand, Hand]]:
    both = Hand(database_url, request.param), Hand(database_url, request.param)
    assert both[0].create() is not None
    yield both
    for hand in both:
        hand.close()


def vector() -> Vector:
    row = RNG.standard_normal(64).astype(np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


def template(external: str | None = None, image: str | None = None) -> Template:
    photo, box = image or str(uuid.UUID(int=RNG.integers(2**62).item())), Box(0.25, 0.25, 0.5, 0.5)
    return Template(str(uuid.uuid4()), photo, external, box, 99.5, Embedding(vector(), "m"))


def at_once(*works: Callable[[], T]) -> list[T]:
    """What pieces of work come to that begin at the same moment."""
    start = threading.Barrier(len(works))

    def go(work: Callable[[], T]) -> T:
        start.wait(10)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(go, works))


# What one acknowledged, the other's next search sees


def test_what_one_enrols_the_other_finds_and_what_he_deletes_is_gone(hands: tuple[Hand, Hand]) -> None:
    here, there = hands
    people = [template() for _ in range(300)]
    assert there.found(people[0].embedding.vector) == []
    enrolled = here.enrol(*people)
    assert [there.found(each.embedding.vector) for each in people[:20]] == [
        [face.face_id] for face in enrolled[:20]
    ]
    gone = [face.face_id for face in enrolled[:10]]
    assert there.forget(*gone, str(uuid.uuid4())) == gone
    assert [here.found(each.embedding.vector) for each in people[:10]] == [[]] * 10
    assert here.found(people[10].embedding.vector) == [enrolled[10].face_id]
    assert here.gallery().size == there.gallery().size == 290


def test_the_ranking_is_that_of_float64_in_either_hand(hands: tuple[Hand, Hand]) -> None:
    here, there = hands
    people = [template() for _ in range(500)]
    ids = [face.face_id for face in here.enrol(*people)]
    matrix = np.stack([each.embedding.vector for each in people]).astype(np.float64)
    for _ in range(5):
        probe = vector()
        best = sorted(zip(-(matrix @ probe.astype(np.float64)), ids, strict=True))[:10]
        wanted = [face_id for _, face_id in best]
        assert here.found(probe, 10, -1.0) == wanted
        assert there.found(probe, 10, -1.0) == wanted


def test_every_write_of_one_is_in_the_others_next_search(hands: tuple[Hand, Hand]) -> None:
    for number in range(30):
        writer, reader = hands if number % 2 else hands[::-1]
        each = template()
        [face] = writer.enrol(each)
        assert reader.found(each.embedding.vector) == [face.face_id]
        if number % 3 == 0:
            writer.forget(face.face_id)
            assert reader.found(each.embedding.vector) == []


def test_tags_and_a_change_of_model_are_everybodys(hands: tuple[Hand, Hand]) -> None:
    here, there = hands
    first, second = template("a"), template("b")
    one, other = here.enrol(first, second)
    here.late(lambda c: store.tag(c, here.gallery().number, {"k": "w", "l": "x"}))
    assert there.gallery().tags == {"k": "w", "l": "x"}
    assert there.found(first.embedding.vector) == [one.face_id]
    new = {one.face_id: vector(), other.face_id: vector()}
    mine = there.gallery()
    assert there.late(lambda c: store.renew(c, mine, "m2", {one.face_id: new[one.face_id]}))[1] == 1
    assert here.found(first.embedding.vector) == [one.face_id]
    assert here.late(lambda c: store.renew(c, mine, "m2", {other.face_id: new[other.face_id]}))[1] == 0
    assert there.gallery().model == "m2"
    for hand in hands:
        assert [hand.found(new[face.face_id]) for face in (one, other)] == [[one.face_id], [other.face_id]]
        with pytest.raises(GalleryGone):
            hand.galleries.identify(mine, Probe(first.embedding), 5, 0.5)


def test_a_deleted_gallery_takes_all_of_its_rows_along(hands: tuple[Hand, Hand]) -> None:
    here, there = hands
    each = template()
    here.enrol(each)
    mine = here.gallery()
    assert there.found(each.embedding.vector)
    here.late(lambda c: store.delete(c, mine))
    with pytest.raises(GalleryGone):
        there.galleries.identify(mine, Probe(each.embedding), 5, 0.5)
    with there.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(faces)).scalar_one() == 0


# Both at once


def test_of_two_who_make_one_gallery_one_does(hands: tuple[Hand, Hand]) -> None:
    for number in range(10):
        made = at_once(*(partial(hand.create, f"new{number}") for hand in hands))
        assert sum(each is not None for each in made) == 1


def test_a_photo_that_both_enrol_is_enrolled_once(hands: tuple[Hand, Hand]) -> None:
    for number in range(10):
        photo = str(uuid.UUID(int=number))
        [one], [other] = at_once(*(partial(hand.enrol, template("a", photo)) for hand in hands))
        assert one == other
    assert hands[0].gallery().size == 10


def test_a_face_that_both_delete_is_deleted_once(hands: tuple[Hand, Hand]) -> None:
    here, there = hands
    for face in here.enrol(*(template() for _ in range(10))):
        gone = at_once(*(partial(hand.forget, face.face_id) for hand in hands))
        assert sorted(map(len, gone)) == [0, 1]
    assert here.gallery().size == there.gallery().size == 0


def test_many_hands_lose_nothing(hands: tuple[Hand, Hand]) -> None:
    """Enrolment, deletion, tags and bare entries, four threads a hand, in two galleries."""
    for hand, name in zip(hands, ("first", "second"), strict=True):
        hand.create(name)
    names = ("people", "first", "second")

    def busy(hand: Hand, number: int) -> int:
        for turn in range(6):
            mine = hand.gallery(names[(number + turn) % 3])
            faces_here = hand.late(lambda c: store.enrol(c, mine, [template(), template()], NOW))  # noqa: B023
            hand.late(lambda c: store.forget(c, mine, [faces_here[0].face_id]))  # noqa: B023
            hand.late(lambda c: store.tag(c, mine.number, {f"t{number}": str(turn)}))  # noqa: B023
            hand.database.write(hand.append)
        return 6

    done = at_once(*(partial(busy, hands[number % 2], number) for number in range(8)))
    assert sum(hands[0].gallery(name).size for name in names) == sum(done)
    size = 3 + 4 * sum(done)
    for hand in hands:
        assert hand.ledger.verify(hand.database.reading).size == size
    with hands[0].database.reading() as connection:
        sizes = sa.select(collections.c.size, sa.func.count(faces.c.number)).join(faces)
        for size, counted in connection.execute(sizes.group_by(collections.c.number)):
            assert size == counted


# The ledger


def test_entries_of_both_are_one_log_with_proofs(hands: tuple[Hand, Hand]) -> None:
    written = [hand.database.write(hand.append) for _ in range(20) for hand in hands]
    assert [each.seq for each in written] == list(range(1, 41))
    for hand in hands:
        verified = hand.ledger.verify(hand.database.reading)
        assert verified.size == 41
        with hand.database.reading() as connection:
            proven = hand.ledger.prove(connection, [0, 7, 40])
            assert hand.ledger.size(connection) == 41
        head = checkpoint.verify(proven.note, ORIGIN, KEY.public_key())
        assert (head.size, head.root) == (41, verified.root)
        for proof in proven.proofs:
            leaf = leaf_hash(proof.body)
            assert verify_inclusion(leaf, proof.number, head.size, proof.path, head.root)


def test_work_that_raises_leaves_nothing_in_gallery_or_log(hands: tuple[Hand, Hand]) -> None:
    here, there = hands

    def failing(connection: Connection) -> None:
        store.enrol(connection, here.gallery(), [template()], NOW)
        here.database.take_turn(connection)
        here.append(connection)
        raise KeyError("no")

    for late in (True, False):
        with pytest.raises(KeyError):
            here.database.write(failing, late=late)
    assert there.gallery().size == 0
    assert there.database.write(there.append).seq == here.database.write(here.append).seq - 1 == 1
    assert here.ledger.verify(here.database.reading).size == 3


def test_nothing_is_added_to_a_log_that_was_changed(hands: tuple[Hand, Hand]) -> None:
    here = hands[0]
    for _ in range(3):
        here.database.write(here.append)
    intruder = sa.create_engine(here.database.url)
    with intruder.begin() as connection:
        connection.execute(entries.delete().where(entries.c.seq == 3))
    intruder.dispose()
    for hand in hands:
        with pytest.raises(LedgerError):
            hand.database.write(hand.append)
        with pytest.raises(LedgerError):
            hand.enrol(template())
    assert here.gallery().size == 0


def test_a_new_key_signs_on_in_every_hand_that_has_it(hands: tuple[Hand, Hand]) -> None:
    here, there = hands
    new = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
    there.database.write(there.append)
    here.database.write(lambda c: here.ledger.hand_over(c, new, NOW))
    here.database.write(here.append)
    with pytest.raises(LedgerError):  # it still holds the old one
        there.database.write(there.append)
    assert Ledger(new, ORIGIN).verify(here.database.reading).size == 4


# Processes of their own


def _search(url: str, index: str, pipe: Any) -> None:
    hand = Hand(url, index)
    while (asked := pipe.recv()) is not None:
        pipe.send(hand.found(asked))
    hand.close()


def _hammer(url: str, index: str, pipe: Any) -> None:
    """Eight threads that append and enrol; the numbers and leaves of what was acknowledged."""
    hand = Hand(url, index)
    assert pipe.recv()

    def busy(number: int) -> list[tuple[int, bytes]]:
        said = []
        for _ in range(10):
            written = hand.database.write(hand.append)
            said.append((written.seq, written.leaf))
            if number % 4 == 0:
                hand.enrol(template(image=str(uuid.uuid4())))
        return said

    with ThreadPoolExecutor(8) as pool:
        pipe.send([each for said in pool.map(busy, range(8)) for each in said])
    hand.close()


@pytest.fixture
def other(database_url: str) -> Iterator[Callable[..., Any]]:
    """Starts another process at work, and gives the pipe to it."""
    context = multiprocessing.get_context("spawn")
    started = []

    def start(work: Callable[[str, str, Any], None], index: str) -> Any:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(database_url, index, theirs), daemon=True)
        process.start()
        theirs.close()
        started.append(process)
        return ours

    yield start
    for process in started:
        process.join(20)
        assert process.exitcode == 0


@pytest.mark.parametrize("index", INDEXES)
def test_another_process_sees_every_write_at_its_next_search(
    database_url: str, index: str, other: Callable[..., Any]
) -> None:
    hand = Hand(database_url, index)
    hand.create()
    there = other(_search, index)
    for _ in range(5):
        each = template()
        [face] = hand.enrol(each)
        there.send(each.embedding.vector)
        assert there.recv() == [face.face_id]
        hand.forget(face.face_id)
        there.send(each.embedding.vector)
        assert there.recv() == []
    there.send(None)
    hand.close()


@pytest.mark.parametrize("index", INDEXES)
def test_three_processes_at_one_ledger_lose_no_number(
    database_url: str, index: str, other: Callable[..., Any], tmp_path: Path
) -> None:
    hand = Hand(database_url, index)
    hand.create()
    pipes = [other(_hammer, index) for _ in range(3)]
    for pipe in pipes:
        pipe.send(True)
    said = dict(line for pipe in pipes for line in pipe.recv())
    assert len(said) == 3 * 80
    assert hand.ledger.verify(hand.database.reading).size == 1 + 3 * (80 + 20)
    with hand.database.reading() as connection:
        rows = connection.execute(sa.select(entries.c.seq, entries.c.leaf))
        leaves = {row.seq: row.leaf for row in rows}
    assert all(leaves[number] == leaf for number, leaf in said.items())
    assert hand.gallery().size == 3 * 20
    hand.close()
