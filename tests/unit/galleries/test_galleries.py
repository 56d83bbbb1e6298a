from __future__ import annotations

import dataclasses
import datetime as dt
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.engine import Connection
from tests.postgres import ON_SQLITE

from countenance.database import Database
from countenance.galleries import Galleries, GalleryGone, store, verify
from countenance.galleries.index import Index
from countenance.schema import faces
from countenance.types import Box, Embedding, Enrolled, Gallery, Probe, Template, Vector

NOW = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
RNG = np.random.default_rng(7)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def gallery(database: Database) -> Gallery:
    made = database.write(lambda c: store.create(c, "111122223333", "people", "m", {"k": "v"}, NOW))
    assert made is not None
    return made


def vector() -> Vector:
    row = RNG.standard_normal(128).astype(np.float32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


def template(image: int = 0, external: str | None = None, left: float = 0.25) -> Template:
    embedding = Embedding(vector(), "m")
    box = Box(left, 0.25, 0.5, 0.5)
    return Template(str(uuid.uuid4()), str(uuid.UUID(int=image)), external, box, 99.5, embedding)


def enrol(database: Database, gallery: Gallery, *templates: Template) -> list[Enrolled]:
    return database.write(lambda connection: store.enrol(connection, gallery, templates, NOW))


def forget(database: Database, gallery: Gallery, *face_ids: str) -> list[str]:
    gone = database.write(lambda connection: store.forget(connection, gallery, face_ids))
    assert database.scrub()
    return gone


def test_a_gallery_is_its_accounts(database: Database, gallery: Gallery) -> None:
    with database.reading() as connection:
        assert store.find(connection, "111122223333", "people") == gallery
        assert store.find(connection, "999999999999", "people") is None
    again = database.write(lambda c: store.create(c, "111122223333", "people", "m", {}, NOW))
    assert again is None
    assert (gallery.tags, gallery.created, gallery.size) == ({"k": "v"}, NOW, 0)


def test_the_same_image_external_id_and_box_is_enrolled_once(database: Database, gallery: Gallery) -> None:
    first, again = template(1, "a"), template(1, "a")
    other_name, other_face = template(1, "b"), template(1, "a", left=0.1)
    [one] = enrol(database, gallery, first)
    found = enrol(database, gallery, again, other_name, other_face)
    assert found[0] == one
    assert len({face.face_id for face in found}) == 3
    with database.reading() as connection:
        current = store.find(connection, "111122223333", "people")
        assert current is not None
        assert current.size == 3


def test_faces_come_in_enrolment_order_page_by_page(database: Database, gallery: Gallery) -> None:
    everyone = [enrol(database, gallery, template(n))[0] for n in range(7)]
    after, seen = 0, []
    while True:
        with database.reading() as connection:
            page = store.enrolled(connection, gallery, after, 3)
        if not page:
            break
        seen += [face for _, face in page]
        after = page[-1][0]
    assert seen == everyone


def test_every_process_sees_every_write_at_its_next_search(database: Database, gallery: Gallery) -> None:
    """Two Galleries over two Databases on one file stand for two processes."""
    other = Database(str(database.url))
    here, there = Galleries(database), Galleries(other)
    mine = template()
    probe = Probe(mine.embedding)
    try:
        assert there.identify(gallery, probe, 5, 0.5) == ()
        [face] = enrol(database, gallery, mine)
        assert [c.face for c in there.identify(gallery, probe, 5, 0.5)] == [face]
        assert [c.face for c in here.identify(gallery, probe, 5, 0.5)] == [face]
        forget(other, gallery, face.face_id)
        assert here.identify(gallery, probe, 5, 0.5) == ()
    finally:
        other.close()


def test_forgetting_names_what_was_there(database: Database, gallery: Gallery) -> None:
    [face] = enrol(database, gallery, template())
    missing = str(uuid.uuid4())
    assert forget(database, gallery, missing, face.face_id, face.face_id) == [face.face_id]
    assert forget(database, gallery, face.face_id) == []


@ON_SQLITE
def test_no_byte_of_a_deleted_template_is_left_on_disk(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    kept, gone = template(1), template(2)
    [_, erased] = enrol(database, gallery, kept, gone)
    secret = gone.embedding.vector.tobytes()
    assert secret in everything(tmp_path)
    forget(database, gallery, erased.face_id)
    left = everything(tmp_path)
    assert secret not in left
    assert secret[:64] not in left
    assert erased.face_id.encode() not in left
    assert kept.embedding.vector.tobytes() in left


@ON_SQLITE
def test_no_byte_of_a_deleted_gallery_is_left_on_disk(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    gone = [template(n) for n in range(50)]
    enrol(database, gallery, *gone)
    database.write(lambda connection: store.delete(connection, gallery))
    assert database.scrub()
    left = everything(tmp_path)
    assert not [t for t in gone if t.embedding.vector.tobytes() in left or t.face_id.encode() in left]


def renew(database: Database, gallery: Gallery, **vectors: Vector) -> int:
    _, left = database.write(lambda connection: store.renew(connection, gallery, "m2", vectors))
    assert database.scrub()
    return left


def test_what_was_computed_anew_is_among_the_traces_of_a_face(database: Database, gallery: Gallery) -> None:
    face, other = enrol(database, gallery, template(1, "a"), template(2))
    new = vector()
    assert renew(database, gallery, **{face.face_id: new}) == 1
    with database.reading() as connection:
        some = [store.traces(connection, gallery, ids) for ids in ([face.face_id], None, [other.face_id])]
    assert [traces is not None and new.tobytes() in traces.secrets for traces in some] == [True, True, False]
    assert [traces and len(traces.secrets) for traces in some] == [3, 5, 2]


def test_renewal_waits_for_every_face_and_keeps_their_ids(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    galleries, mine, other = Galleries(database), template(1), template(2)
    [face, second] = enrol(database, gallery, mine, other)
    galleries.identify(gallery, Probe(mine.embedding), 1, 0.9)
    new = vector()
    assert renew(database, gallery, **{face.face_id: vector()}) == 1
    assert renew(database, gallery, **{face.face_id: new}) == 1  # the photo came again: the newer counts
    [found] = galleries.identify(gallery, Probe(mine.embedding), 1, 0.9)
    assert (found.face.face_id, found.face.model) == (face.face_id, "m")
    assert renew(database, gallery, **{second.face_id: vector()}) == 0
    with database.reading() as connection:
        renewed = store.find(connection, gallery.account, "people")
    assert renewed is not None
    [found] = galleries.identify(renewed, Probe(Embedding(new, "m2")), 1, 0.9)
    assert (found.face.face_id, found.face.model) == (face.face_id, "m2")
    with pytest.raises(ValueError, match="holds templates of m2"):
        galleries.identify(renewed, Probe(mine.embedding), 1, 0.9)
    assert mine.embedding.vector.tobytes() not in everything(tmp_path)


def test_a_face_deleted_during_renewal_leaves_nothing_and_holds_nothing_up(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    [face, second] = enrol(database, gallery, template(1), template(2))
    new = vector()
    renew(database, gallery, **{face.face_id: new})
    forget(database, gallery, face.face_id)
    assert new.tobytes() not in everything(tmp_path)
    assert renew(database, gallery, **{second.face_id: vector()}) == 0


def test_a_face_that_is_gone_is_not_renewed_as_another(database: Database, gallery: Gallery) -> None:
    [one, two, gone] = enrol(database, gallery, template(1), template(2), template(3))
    forget(database, gallery, gone.face_id)
    renew(database, gallery, **{one.face_id: vector()})
    renewed, left = database.write(
        lambda connection: store.renew(connection, gallery, "m2", {gone.face_id: vector()})
    )
    assert (renewed, left) == ([], 1)
    assert renew(database, gallery, **{two.face_id: vector()}) == 0


def test_a_template_of_another_model_is_not_enrolled(database: Database, gallery: Gallery) -> None:
    stranger = dataclasses.replace(template(), embedding=Embedding(vector(), "m2"))
    with pytest.raises(ValueError, match="takes templates of m"):
        enrol(database, gallery, stranger)


def test_what_is_deleted_leaves_memory(database: Database, gallery: Gallery) -> None:
    galleries, mine = Galleries(database), template()
    [face, _] = enrol(database, gallery, mine, template(2))
    galleries.identify(gallery, Probe(mine.embedding), 1, 0.9)
    [index] = galleries._indexes.values()
    assert isinstance(index, Index)
    code = index._codes[0].tobytes()
    assert code in index._codes.tobytes()
    forget(database, gallery, face.face_id)
    galleries.refresh(gallery)
    assert code not in index._codes.tobytes()
    enrol(database, gallery, mine)
    galleries.refresh(gallery)
    held = index._codes
    assert code in held.tobytes()
    galleries.lose(gallery)
    assert not held.any()


def test_what_is_no_vector_is_not_enrolled(database: Database, gallery: Gallery) -> None:
    """One of them would shut the gallery to every search."""
    enrol(database, gallery, template())
    good = template(2).embedding.vector
    for bad in (good * np.float32(np.nan), good * 0, good * 2, good[:64] / np.linalg.norm(good[:64])):
        broken = dataclasses.replace(template(2), embedding=Embedding(bad, "m"))
        with pytest.raises(ValueError, match=r"unit length|128 dimensions"):
            enrol(database, gallery, template(3), broken)
    with database.reading() as connection:
        assert len(store.enrolled(connection, gallery)) == 1


def test_who_is_deleted_while_he_is_searched_gives_place_to_the_next(
    database: Database, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between codes and vectors the best candidate goes: the second best is the answer, not nobody."""
    galleries, mine, other = Galleries(database), template(1), template(2)
    [first, second] = enrol(database, gallery, mine, other)
    once, read = [True], store.vectors

    def slow(connection: Connection, numbers: Sequence[int], change: int) -> tuple[list[str], Vector]:
        if once and once.pop():
            database.write(lambda c: store.forget(c, gallery, [first.face_id]))
            with database.reading() as later:
                return read(later, numbers, change)
        return read(connection, numbers, change)

    monkeypatch.setattr(store, "vectors", slow)
    found = galleries.identify(gallery, Probe(mine.embedding), 1, -1.0)
    assert [candidate.face for candidate in found] == [second]


def test_a_gallery_that_changes_its_model_while_it_is_searched_is_gone(
    database: Database, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    galleries, mine = Galleries(database), template(1)
    [face] = enrol(database, gallery, mine)
    once, read = [True], store.vectors

    def slow(connection: Connection, numbers: Sequence[int], change: int) -> tuple[list[str], Vector]:
        if once and once.pop():
            database.write(lambda c: store.renew(c, gallery, "m2", {face.face_id: vector()}))
            with database.reading() as later:
                return read(later, numbers, change)
        return read(connection, numbers, change)

    monkeypatch.setattr(store, "vectors", slow)
    with pytest.raises(GalleryGone):
        galleries.identify(gallery, Probe(mine.embedding), 1, -1.0)


def test_an_index_that_the_rows_do_not_bear_out_is_read_anew(database: Database, gallery: Gallery) -> None:
    """As where a backup is put back under a running process: no removal tells of who is gone."""
    galleries, mine, other = Galleries(database), template(1), template(2)
    [first, second] = enrol(database, gallery, mine, other)
    galleries.identify(gallery, Probe(mine.embedding), 1, -1.0)
    lost = faces.delete().where(faces.c.face_id == first.face_id)
    assert database.write(lambda c: c.execute(lost).rowcount) == 1
    found = galleries.identify(gallery, Probe(mine.embedding), 1, -1.0)
    assert [candidate.face for candidate in found] == [second]


def test_many_search_while_others_enrol_and_delete(database: Database, gallery: Gallery) -> None:
    galleries = Galleries(database)
    kept = [template(n) for n in range(20)]
    known = enrol(database, gallery, *kept)
    faults: list[object] = []

    def ask(number: int) -> None:
        for _ in range(10):
            try:
                found = galleries.identify(gallery, Probe(kept[number].embedding), 1, 0.9)
            except Exception as fault:  # noqa: BLE001 - told below
                faults.append(fault)
                return
            if [candidate.face for candidate in found] != [known[number]]:
                faults.append(found)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for number in range(30):
        [face] = enrol(database, gallery, template(100 + number))
        database.write(lambda c, gone=face.face_id: store.forget(c, gallery, [gone]))  # type: ignore[misc]
    for thread in threads:
        thread.join()
    assert not faults


def test_a_gallery_that_is_gone_is_no_empty_list(database: Database, gallery: Gallery) -> None:
    galleries, mine = Galleries(database), template()
    database.write(lambda connection: store.delete(connection, gallery))
    with pytest.raises(GalleryGone):
        galleries.identify(gallery, Probe(mine.embedding), 1, 0.9)


def test_embeddings_of_two_models_are_never_compared() -> None:
    one, other = Embedding(vector(), "m"), Embedding(vector(), "m2")
    with pytest.raises(ValueError, match="cannot be compared"):
        verify(one, other)
    assert verify(one, one) == pytest.approx(1.0, abs=1e-6)


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
