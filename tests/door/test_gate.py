"""What the one door promises, for every operation of the API."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from countenance import office
from countenance.aws.model import operations
from countenance.database import driver
from countenance.errors import LedgerError
from countenance.ledger.merkle import Frontier, Tree, leaf_hash
from countenance.types import OrganisationKind
from tests.door.house import House, least_request
from tests.fakes import BLUE, GREEN, RED, picture

OPERATIONS = operations()
IMAGE = {"Bytes": picture(RED)}


def request_for(operation: str) -> dict[str, Any]:
    """A request that would be answered, or would change something, were it let in."""
    request = least_request(operation)
    for member in ("Image", "SourceImage", "TargetImage"):
        if member in request:
            request[member] = IMAGE
    return request


def furnished(house: House) -> None:
    """A collection with one face, so that there is something a refused call could touch."""
    house.call("CreateCollection", CollectionId="people").result()
    house.call("IndexFaces", CollectionId="people", Image={"Bytes": picture(GREEN)}).result()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One furnished house for the tests that go through every operation and change nothing."""
    house = House(tmp_path_factory.mktemp("shared") / "home")
    furnished(house)
    yield house
    house.close()


@pytest.fixture
def full_disk(shared: House) -> Iterator[House]:
    shared.sql("CREATE TRIGGER full BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no space'); END")
    yield shared
    shared.sql("DROP TRIGGER full")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_denied_call_touches_nothing(shared: House, operation: str) -> None:
    house = shared
    before, asked = house.contents(), house.vision.asked
    stranger = dataclasses.replace(house.caller, kind=OrganisationKind.POLICE, purpose=None)
    answer = house.call(operation, stranger, **request_for(operation))
    assert answer.error is not None
    assert answer.error.code == "AccessDeniedException"
    assert house.contents() == before
    assert house.vision.asked == asked
    decision, outcome = house.entries()[-2:]
    assert (decision["operation"], decision["allowed"]) == (operation, False)
    assert (outcome["decision"], outcome["result"]) == (decision["seq"], "refused")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_unwritable_ledger_stops_the_call(full_disk: House, operation: str) -> None:
    house = full_disk
    before, asked = house.contents(), house.vision.asked
    answer = house.call(operation, **request_for(operation))
    assert answer.status == 500
    assert answer.receipt is None
    assert house.contents() == before
    assert house.vision.asked == asked


def test_an_outcome_that_cannot_be_written_undoes_the_work(house: House) -> None:
    furnished(house)
    before = house.contents()
    house.sql(
        "CREATE TRIGGER full BEFORE INSERT ON entries WHEN instr(new.body, 'outcome') "
        "BEGIN SELECT RAISE(ABORT, 'no space'); END"
    )
    answer = house.call("IndexFaces", CollectionId="people", Image=IMAGE)
    assert answer.status == 500
    after = house.contents()
    assert after["faces"] == before["faces"]
    left = house.sql("SELECT decision FROM calls WHERE outcome IS NULL")
    assert len(left) == 1  # the next start calls it interrupted


@pytest.mark.parametrize(
    ("spoilt", "whole"),
    [("max_page_count=1", "max_page_count=1000000"), ("query_only=ON", "query_only=OFF")],
)
def test_on_a_full_or_read_only_disk_nothing_runs_unrecorded(house: House, spoilt: str, whole: str) -> None:
    furnished(house)
    database = house.service._database
    database.write(lambda connection: driver(connection).execute(f"PRAGMA {spoilt}"))
    asked, before = house.vision.asked, len(house.entries())
    statuses = {
        house.call("SearchFacesByImage", CollectionId="people", Image=IMAGE).status for _ in range(40)
    }
    assert 500 in statuses
    recorded = [entry for entry in house.entries()[before:] if entry["kind"] == "decision"]
    assert house.vision.asked - asked <= 2 * len(recorded)
    assert house.call("SearchFacesByImage", CollectionId="people", Image=IMAGE).status == 500
    with database._writer.connect() as connection:  # the writer let go of it when it failed
        driver(connection).execute(f"PRAGMA {whole}")
    assert house.call("SearchFacesByImage", CollectionId="people", Image=IMAGE).status == 200
    house.close()
    office.verified(house.settings)
    house.open()


def test_two_linked_entries_and_a_receipt_that_names_both(house: House) -> None:
    answer = house.call("DetectFaces", Image={"Bytes": picture(RED, BLUE)})
    assert len(answer.result()["FaceDetails"]) == 2
    *made, decision, outcome = house.entries()
    assert [entry["act"] for entry in made] == ["register", "issue", "packs", "settings"]
    assert (decision["kind"], decision["seq"], decision["allowed"]) == ("decision", 4, True)
    assert (outcome["kind"], outcome["decision"], outcome["result"]) == ("outcome", 4, "answered")
    header = answer.headers["x-countenance-receipt"]
    assert re.fullmatch(r"decision=4;leaf=:[\w+/=]{44}:, outcome=5;leaf=:[\w+/=]{44}:", header)


def test_a_call_that_fails_is_recorded_with_its_error(house: House) -> None:
    answer = house.call("DetectFaces", Image={"Bytes": b"not a picture"})
    assert answer.error is not None
    assert answer.receipt is not None
    assert house.entries()[-1]["error"] == answer.error.code == "InvalidImageFormatException"


def test_a_call_that_is_not_understood_is_not_a_call(house: House) -> None:
    before = house.entries()
    answer = house.call("DetectFaces", Image={"Bytes": b""})
    assert (answer.status, answer.receipt) == (400, None)
    assert house.entries() == before


def test_no_model_runs_inside_a_transaction(house: House) -> None:
    """WatchedVision fails the call if one does: here every operation that uses the senses."""
    furnished(house)
    [face] = house.call("ListFaces", CollectionId="people").result()["Faces"]
    house.call("DetectFaces", Image=IMAGE).result()
    house.call("CompareFaces", SourceImage=IMAGE, TargetImage=IMAGE).result()
    house.call("SearchFacesByImage", CollectionId="people", Image=IMAGE).result()
    house.call("SearchFaces", CollectionId="people", FaceId=face["FaceId"]).result()
    assert house.vision.asked > 5


def test_a_decision_left_by_a_crash_gets_an_interrupted_entry(house: House) -> None:
    furnished(house)
    house.sql(
        "CREATE TRIGGER crash BEFORE INSERT ON entries WHEN instr(new.body, 'outcome') "
        "BEGIN SELECT RAISE(ABORT, 'gone'); END"
    )
    house.call("ListFaces", CollectionId="people")
    house.sql("DROP TRIGGER crash")
    left = house.sql("SELECT decision FROM calls WHERE outcome IS NULL")
    assert len(left) == 1
    house.close()
    house.open()
    last = house.entries()[-1]
    assert ([last["decision"]], last["result"]) == (left, "interrupted")
    assert house.sql("SELECT count(*) FROM calls WHERE outcome IS NULL") == [0]


def test_what_the_table_of_calls_claims_is_not_believed(house: House) -> None:
    """A row for a call that has its outcome, for an entry that is no decision, for one that is not there."""
    furnished(house)
    house.close()
    before, ended = house.entries(), house.sql("SELECT * FROM calls ORDER BY decision")
    for entry in before:
        house.sql(f"INSERT OR REPLACE INTO calls VALUES ({entry['seq']}, 'dead', NULL)")
    house.sql("INSERT INTO calls VALUES (987654, 'dead', NULL), (-1, 'dead', NULL)")
    house.open()
    assert house.entries() == before
    assert house.sql("SELECT * FROM calls ORDER BY decision") == ended
    office.verified(house.settings)


def test_a_history_rewritten_without_the_key_is_not_signed(house: House) -> None:
    """Who can write into the database makes every hash fit and takes the signed heads away."""
    house.call("SearchFacesByImage", CollectionId="people", Image=IMAGE)
    house.close()
    tree = Tree(Frontier())
    for seq, body in enumerate(house.sql("SELECT body FROM entries ORDER BY seq")):
        forged = body.replace(b"SearchFacesByImage", b"ListCollections").replace(b"identify", b"manage")
        leaf = leaf_hash(forged)
        house.sql(f"UPDATE entries SET body = x'{forged.hex()}', leaf = x'{leaf.hex()}' WHERE seq = {seq}")
        for level, index, value in tree.append(leaf)[1:]:
            house.sql(f"UPDATE nodes SET hash = x'{value.hex()}' WHERE level = {level} AND idx = {index}")
    house.sql("DELETE FROM checkpoints")
    with pytest.raises(LedgerError, match="no checkpoint covers"):
        house.open()
    assert house.sql("SELECT count(*) FROM checkpoints") == [0]


def test_a_running_server_adds_nothing_to_a_ledger_that_was_put_back(house: House) -> None:
    for _ in range(3):
        house.call("ListCollections").result()
    last = len(house.entries()) - 1
    house.sql(f"DELETE FROM entries WHERE seq = {last}")
    answer = house.call("ListCollections")
    assert (answer.status, answer.receipt) == (500, None)
    assert len(house.entries()) == last


def test_a_call_of_a_process_at_work_is_left_alone(house: House) -> None:
    furnished(house)
    ours = house.service._presence.name
    house.sql(f"UPDATE calls SET outcome = NULL, process = '{ours}' WHERE decision = 4")
    first = house.service
    house.open()  # a second process on the home
    assert house.sql("SELECT count(*) FROM calls WHERE outcome IS NULL") == [1]
    first.close()


def test_a_deletion_whose_bytes_a_reader_keeps_has_one_outcome_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("countenance.database.Database.scrub.__defaults__", (0.1,))
    furnished(house)
    [face] = house.call("ListFaces", CollectionId="people").result()["Faces"]
    delete: dict[str, Any] = {"CollectionId": "people", "FaceIds": [face["FaceId"]]}
    engine = sa.create_engine(house.settings.database_url)
    with engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM faces")
        answer = house.call("DeleteFaces", **delete)
        house.call("ListCollections").result()  # nobody else waits
    engine.dispose()
    assert (answer.status, answer.receipt is not None) == (500, True)
    assert answer.error is not None
    assert "repeat the call" in answer.error.message
    assert house.call("ListFaces", CollectionId="people").result()["Faces"] == []
    assert house.call("DeleteFaces", **delete).status == 200
    outcomes = [entry["decision"] for entry in house.entries() if entry["kind"] == "outcome"]
    assert len(outcomes) == len(set(outcomes))
    office.verified(house.settings)


def test_whatever_an_operation_raises_the_call_has_its_outcome(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a library nobody understands")

    monkeypatch.setattr(house.vision, "detect", fail)
    answer = house.call("DetectFaces", Image=IMAGE)
    assert answer.status == 500
    assert "library" not in answer.body.decode()
    assert (house.entries()[-1]["result"], house.entries()[-1]["error"]) == ("failed", "InternalServerError")
    assert house.sql("SELECT count(*) FROM calls WHERE outcome IS NULL") == [0]


def test_police_may_not_search_nor_learn_what_exists(police: House) -> None:
    police.caller = dataclasses.replace(police.caller, purpose="criminal-investigation")
    police.call("CreateCollection", CollectionId="there").result()
    errors = []
    for collection in ("there", "missing"):
        answer = police.call("SearchFacesByImage", CollectionId=collection, Image=IMAGE)
        assert answer.error is not None
        errors.append(answer.error.message.replace(collection, "X"))
    assert errors[0] == errors[1]
    assert "is not authorized to perform: rekognition:SearchFacesByImage" in errors[0]
    assert "No rule permits identify to police" in errors[0]


def test_who_may_ask_learns_that_a_collection_is_missing(house: House) -> None:
    answer = house.call("SearchFacesByImage", CollectionId="missing", Image=IMAGE)
    assert answer.error is not None
    assert answer.error.message == "The collection id: missing does not exist"


def test_another_organisations_collection_is_missing(house: House) -> None:
    furnished(house)
    other = dataclasses.replace(house.caller, account="999999999999")
    answer = house.call("ListFaces", other, CollectionId="people")
    assert answer.error is not None
    assert answer.error.code == "ResourceNotFoundException"


def test_counters_of_a_key_have_no_gap(house: House) -> None:
    for _ in range(5):
        house.call("ListCollections").result()
    counters = [entry["counter"] for entry in house.entries() if entry["kind"] == "decision"]
    assert counters == [1, 2, 3, 4, 5]


def test_the_ledger_holds_nothing_of_a_face(house: House) -> None:
    furnished(house)
    [face] = house.call("ListFaces", CollectionId="people").result()["Faces"]
    text = repr(house.entries())
    assert face["FaceId"] not in text
    assert face["ImageId"] not in text
    assert house.caller.key not in text


def test_the_recorded_threshold_is_never_higher_than_the_one_used(house: House) -> None:
    furnished(house)
    house.call("SearchFacesByImage", CollectionId="people", Image=IMAGE, FaceMatchThreshold=79.99999)
    assert house.entries()[-2]["threshold"] == "79.9999"


def test_the_decision_is_dated_in_utc(house: House) -> None:
    house.call("ListCollections").result()
    when = dt.datetime.fromisoformat(house.entries()[-1]["time"])
    assert abs(dt.datetime.now(dt.UTC) - when) < dt.timedelta(minutes=5)
