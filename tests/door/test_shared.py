"""Two servers on two machines with one PostgreSQL database: each has a copy of the home's folder, no more."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from countenance import office, settings, upkeep
from countenance.errors import HomeError, LedgerError, StorageError
from countenance.service import Service
from countenance.settings import Settings
from countenance.types import OrganisationKind
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, picture
from tests.postgres import Server
from tests.unit.test_postgresql import cut


@pytest.fixture
def house(tmp_path: Path, postgres: Server) -> Iterator[House]:
    with postgres.fresh() as url:
        house = House(tmp_path / "home", database=url)
        yield house
        house.close()


def beside(house: House, folder: Path) -> House:
    """Another machine's server."""
    shutil.copytree(house.settings.home, folder)
    other = copy.copy(house)
    other.settings = settings.load(folder)
    other.open()
    return other


@pytest.fixture
def both(house: House, tmp_path: Path) -> Iterator[tuple[House, House]]:
    other = beside(house, tmp_path / "other")
    yield house, other
    other.close()


def index(house: House, *people: tuple[int, int, int], name: str) -> list[str]:
    answer = house.call(
        "IndexFaces", CollectionId="people", Image={"Bytes": picture(*people)}, ExternalImageId=name
    )
    return [record["Face"]["FaceId"] for record in answer.result()["FaceRecords"]]


def search(house: House, person: tuple[int, int, int]) -> list[str]:
    found = house.call("SearchFacesByImage", CollectionId="people", Image={"Bytes": picture(person)})
    return [match["Face"]["FaceId"] for match in found.result()["FaceMatches"]]


def test_each_answers_for_what_the_other_did(both: tuple[House, House]) -> None:
    here, there = both
    here.call("CreateCollection", CollectionId="people").result()
    again = there.call("CreateCollection", CollectionId="people")
    assert (again.status, json.loads(again.body)["Code"]) == (400, "ResourceAlreadyExistsException")
    [red] = index(there, RED, name="red")
    [green] = index(here, GREEN, name="green")
    for house in both:
        assert (search(house, RED), search(house, GREEN), search(house, BLUE)) == ([red], [green], [])
    here.call("CreateUser", CollectionId="people", UserId="ada").result()
    there.call("AssociateFaces", CollectionId="people", UserId="ada", FaceIds=[red]).result()
    matches = here.call("SearchUsers", CollectionId="people", FaceId=red).result()["UserMatches"]
    assert [match["User"]["UserId"] for match in matches] == ["ada"]
    answer = there.call("DeleteFaces", CollectionId="people", FaceIds=[green])
    assert answer.result()["DeletedFaces"] == [green]
    assert answer.receipt is not None
    decision = answer.receipt.decision
    assert here.call("GetReceipt", Decision=decision).result()["Entries"]
    assert here.call("EraseSubject", ExternalImageId="red").result()["ErasedFaces"]
    for house in both:
        assert (search(house, RED), search(house, GREEN)) == ([], [])
        verified = office.verified(house.settings)
        assert (verified.size, verified.without_outcome) == (len(here.entries()), ())


def test_a_key_of_one_is_good_at_the_other_until_it_is_revoked_at_either(both: tuple[House, House]) -> None:
    here, there = both
    key, _ = office.issue(there.settings, here.key.organisation, ["general"])
    assert here.service._signer(key.access_key_id) is not None
    assert office.revoke(here.settings, key.access_key_id)
    assert there.service._signer(key.access_key_id) is None


def test_a_call_that_was_cut_off_is_interrupted_by_the_next_start(
    both: tuple[House, House], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`there` decides, and is gone before it can say what came of it."""
    here, there = both
    gate = there.service._gate

    def gone(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("countenance.gate.Gate._run", gone)
        with pytest.raises(KeyboardInterrupt):
            there.call("ListCollections")
    [open_call] = here.sql("SELECT decision FROM calls WHERE outcome IS NULL")
    third = beside(here, tmp_path / "third")
    assert third.sql("SELECT count(*) FROM calls WHERE outcome IS NULL") == [1]
    third.close()
    gate.database.close()
    deadline = time.monotonic() + 5
    while here.service._presence.alive(there.service._presence.name):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    fourth = beside(here, tmp_path / "fourth")
    fourth.close()
    ended = [entry for entry in here.entries() if entry.get("decision") == open_call]
    assert [entry["result"] for entry in ended] == ["interrupted"]
    office.verified(here.settings)


def test_the_signing_key_is_changed_while_nobody_is_connected_and_carried_over(
    both: tuple[House, House],
) -> None:
    here, there = both
    here.close()
    with pytest.raises(HomeError, match="a server is at work"):
        office.rotate(here.settings)
    there.close()
    deadline = time.monotonic() + 5
    while True:
        try:
            office.rotate(here.settings)
            break
        except HomeError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    here.open()
    here.call("ListCollections").result()
    with pytest.raises(LedgerError, match="not signed by this log's key"):
        there.open()
    for name in ("ledger.key", "ledger.pub"):
        shutil.copy(here.settings.home / name, there.settings.home / name)
    there.open()
    there.call("ListCollections").result()
    office.verified(there.settings)


def test_a_restart_of_postgresql_is_survived(both: tuple[House, House], postgres: Server) -> None:
    here, there = both
    here.call("CreateCollection", CollectionId="people").result()
    database = here.service._gate.database
    [red] = index(there, RED, name="red")
    assert search(here, RED) == [red]
    assert cut(postgres, database) >= 4
    assert search(here, RED) == search(there, RED) == [red]
    assert index(here, GREEN, name="green")
    office.verified(here.settings)


def test_a_database_that_is_gone_is_an_internal_error_and_nothing_is_done(
    house: House, postgres: Server
) -> None:
    name = sa.make_url(house.settings.database).database
    cut(postgres, house.service._gate.database)
    postgres.sql(f"ALTER DATABASE {name} RENAME TO elsewhere")
    answer = house.call("ListCollections")
    assert (answer.status, answer.receipt) == (500, None)
    with pytest.raises(StorageError, match="PostgreSQL cannot be reached"):
        office.verified(house.settings)
    postgres.sql(f"ALTER DATABASE elsewhere RENAME TO {name}")
    house.call("ListCollections").result()


def test_a_second_home_in_one_database_is_refused(house: House, tmp_path: Path) -> None:
    url = sa.make_url(house.settings.database).set(password="hunter2")
    wanted = Settings(
        home=tmp_path / "second", packs=("base",), database=url.render_as_string(hide_password=False)
    )
    with pytest.raises(HomeError, match="copy that home's folder") as fault:
        office.found(wanted, "b", OrganisationKind.BUSINESS, "US-CA", "general")
    assert "hunter2" not in str(fault.value)
    assert not wanted.home.exists()


def test_a_sweep_leaves_no_byte_of_whoever_was_erased_in_a_file(house: House, postgres: Server) -> None:
    house.call("CreateCollection", CollectionId="people").result()
    index(house, RED, name="marguerite")
    [vector, subject] = [
        bytes(house.sql(f"SELECT {column} FROM faces")[0]) for column in ("vector", "subject")
    ]
    assert postgres.holds(vector)
    assert house.call("EraseSubject", ExternalImageId="marguerite").result()["ErasedFaces"]
    with upkeep.opened(house.settings) as home:
        home.sweep()
    assert not any(map(postgres.holds, (vector, subject, b"marguerite")))


def test_master_keys_of_two_homes_are_told_apart(both: tuple[House, House]) -> None:
    here, _ = both
    stranger = dataclasses.replace(here.settings, home=here.settings.home.with_name("stranger"))
    shutil.copytree(here.settings.home, stranger.home)
    stranger.master_key.write_bytes(bytes(32))
    with pytest.raises(HomeError, match=r"master\.key does not belong"):
        Service(stranger, here.vision)
