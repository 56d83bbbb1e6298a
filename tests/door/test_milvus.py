"""The whole house with its index in a real Milvus that is killed, held and emptied. `make test-milvus`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from countenance import settings, upkeep
from countenance.answer import Answer
from countenance.galleries import Milvus, store
from countenance.office import milvus_of
from tests import milvus as milvus_server
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, Colour, picture

pytestmark = pytest.mark.skipif(not milvus_server.possible(), reason="run by `make test-milvus`")


@pytest.fixture
def house(tmp_path: Path, milvus: milvus_server.Server) -> Iterator[House]:
    house = House(tmp_path / "home")
    house.close()
    with (house.settings.home / settings.FILE).open("a") as lines:
        lines.write(f'index_url = "{milvus_server.URL.replace("//", "//root:Milvus-secret@")}"\n')
    house.settings = settings.load(house.settings.home)
    house.open()
    house.call("CreateCollection", CollectionId="people").result()
    yield house
    house.close()


def enrol(house: House, *people: Colour) -> list[str]:
    answer = house.call("IndexFaces", CollectionId="people", Image={"Bytes": picture(*people)}).result()
    return [record["Face"]["FaceId"] for record in answer["FaceRecords"]]


def search(house: House, who: Colour) -> Answer:
    return house.call("SearchFacesByImage", CollectionId="people", Image={"Bytes": picture(who)})


def found(house: House, who: Colour) -> list[str]:
    return [match["Face"]["FaceId"] for match in search(house, who).result()["FaceMatches"]]


def of_home(house: House) -> Milvus:
    made = milvus_of(house.settings)
    assert made is not None
    return made


def agree(house: House) -> None:
    """Every decision has its outcome, and the ledger verifies."""
    entries = house.entries()
    decided = {entry["seq"] for entry in entries if entry["kind"] == "decision"}
    assert decided == {entry["decision"] for entry in entries if entry["kind"] == "outcome"}


def test_what_is_enrolled_is_found_and_what_is_deleted_is_not(house: House) -> None:
    [red] = enrol(house, RED)
    assert found(house, RED) == [red]
    [green] = enrol(house, GREEN)
    assert (found(house, GREEN), found(house, RED)) == ([green], [red])
    house.call("DeleteFaces", CollectionId="people", FaceIds=[red]).result()
    assert (found(house, GREEN), found(house, RED)) == ([green], [])
    [(_, made)] = of_home(house).collections()
    assert of_home(house).count(made.name) == 1


def test_enrolment_goes_on_without_milvus_and_search_says_so(
    house: House, milvus: milvus_server.Server, caplog: pytest.LogCaptureFixture
) -> None:
    [red] = enrol(house, RED)
    assert found(house, RED) == [red]
    milvus.kill()
    try:
        [green] = enrol(house, GREEN)
        failed = search(house, GREEN)
        assert (failed.status, failed.error and failed.error.code) == (500, "InternalServerError")
        assert b"the index in Milvus does not answer" in failed.body
        assert failed.receipt is not None
        listed = house.call("ListFaces", CollectionId="people").result()["Faces"]
        assert {face["FaceId"] for face in listed} == {red, green}
        agree(house)
    finally:
        milvus.start()
    assert retried(house, GREEN) == [green]
    assert found(house, RED) == [red]
    agree(house)
    assert "secret" not in caplog.text


def retried(house: House, who: Colour) -> list[str]:
    """As the AWS SDKs do after a 500; Milvus takes a while to load what it had."""
    deadline = time.monotonic() + 60
    while search(house, who).status == 500 and time.monotonic() < deadline:
        time.sleep(0.5)
    return found(house, who)


def test_a_deletion_without_milvus_is_done_and_says_what_is_left(
    house: House, milvus: milvus_server.Server
) -> None:
    [red, green] = enrol(house, RED, GREEN)
    assert found(house, RED) == [red]
    milvus.kill()
    try:
        answer = house.call("DeleteFaces", CollectionId="people", FaceIds=[red])
        assert answer.status == 500
        assert b"the deletion is done and recorded, but bytes" in answer.body
        assert answer.receipt is not None
        assert house.sql("SELECT count(*) FROM faces") == [1]
        agree(house)
    finally:
        milvus.start()
    assert retried(house, RED) == []
    assert found(house, GREEN) == [green]
    [(_, made)] = of_home(house).collections()
    assert of_home(house).count(made.name) == 1


def test_a_milvus_that_does_not_answer_is_not_waited_for_for_ever(
    house: House, milvus: milvus_server.Server
) -> None:
    [red] = enrol(house, RED)
    assert found(house, RED) == [red]
    milvus.hold()
    try:
        assert search(house, RED).status == 500
    finally:
        milvus.let_go()
    assert retried(house, RED) == [red]


def test_a_service_starts_without_milvus(house: House, milvus: milvus_server.Server) -> None:
    [red] = enrol(house, RED)
    house.close()
    milvus.kill()
    try:
        house.open()
        assert search(house, RED).status == 500
    finally:
        milvus.start()
    assert retried(house, RED) == [red]


def test_an_index_that_somebody_dropped_is_made_anew(house: House) -> None:
    ids = enrol(house, RED, GREEN)
    assert found(house, RED) == ids[:1]
    [(_, made)] = of_home(house).collections()
    of_home(house).drop(made.name)
    assert found(house, RED) == ids[:1]
    [(alias, again)] = of_home(house).collections()
    of_home(house).unlead(alias)
    assert found(house, GREEN) == ids[1:]
    assert made.name != again.name


def test_an_index_that_somebody_let_go_is_loaded(house: House) -> None:
    [red] = enrol(house, RED)
    assert found(house, RED) == [red]
    server = of_home(house)
    [(_, made)] = server.collections()
    with server._asked() as client:
        client.release_collection(made.name)
    assert found(house, RED) == [red]


def test_an_index_that_loses_people_is_refused(house: House, caplog: pytest.LogCaptureFixture) -> None:
    [red] = enrol(house, RED)
    assert found(house, RED) == [red]
    server = of_home(house)
    [(_, made)] = server.collections()
    with server._asked() as client:
        client.release_collection(made.name)
        client.drop_index(made.name, "vector")
        params = client.prepare_index_params()
        params.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": 8, "efConstruction": 64})
        client.create_index(made.name, params)
        client.load_collection(made.name)
    house.close()
    house.open()
    answer = search(house, RED)
    assert answer.status == 500
    assert b"HNSW" in answer.body
    server.drop(made.name)
    assert found(house, RED) == [red]


def test_a_backup_put_back_is_not_searched_by_an_index_of_what_came_after(house: House) -> None:
    """The ledger tells: its newest entry of then is not in the backup."""
    [red] = enrol(house, RED)
    house.close()
    file = house.settings.database_file
    backup = file.read_bytes()
    house.open()
    enrol(house, GREEN)
    assert len(found(house, GREEN)) == 1
    house.close()
    for left in file.parent.glob(f"{file.name}-*"):
        left.unlink()
    file.write_bytes(backup)
    house.open()
    [blue] = enrol(house, BLUE)  # the same change and the same row as GREEN's
    assert found(house, BLUE) == [blue]
    assert found(house, GREEN) == []
    assert found(house, RED) == [red]


def test_upkeep_drops_what_no_collection_stands_behind_and_clears_what_was_deleted(house: House) -> None:
    house.call("CreateCollection", CollectionId="others").result()
    house.call("IndexFaces", CollectionId="others", Image={"Bytes": picture(BLUE)}).result()
    house.call("SearchFacesByImage", CollectionId="others", Image={"Bytes": picture(BLUE)}).result()
    ids = enrol(house, RED, GREEN)
    found(house, RED)
    server = of_home(house)
    assert len(server.collections()) == 2
    house.sql("DELETE FROM faces WHERE collection = 2")
    house.sql("DELETE FROM collections WHERE number = 2")
    house.call("DeleteFaces", CollectionId="people", FaceIds=ids[:1]).result()
    with upkeep.opened(house.settings) as home:
        done = home.tidy_indexes()
    assert ["dropped with the collection" in each for each in done].count(True) == 1
    assert ["1 rows dropped" in each for each in done].count(True) == 1
    [(_, made)] = server.collections()
    with upkeep.opened(house.settings) as home:
        assert home.tidy_indexes() == []
    # A process that died between putting a row that was erased meanwhile and looking again:
    with house.service._database.reading() as connection:
        gallery = store.find(connection, house.caller.account, "people")
        assert gallery is not None
        kept = store.vector(connection, gallery, ids[1])
    assert kept is not None
    server.put(made.name, [999], kept[None])
    with upkeep.opened(house.settings) as home:
        assert ["was made anew" in each for each in home.tidy_indexes()] == [True]
    assert found(house, GREEN) == ids[1:]


def test_a_deleted_collection_leaves_none_in_milvus(house: House) -> None:
    enrol(house, RED)
    assert len(found(house, RED)) == 1
    house.close()
    house.open()  # another process, which never searched it
    house.call("DeleteCollection", CollectionId="people").result()
    assert of_home(house).collections() == []


def test_no_password_is_in_what_is_said(house: House, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        enrol(house, RED)
        found(house, RED)
    assert "Milvus-secret" not in caplog.text
