"""What a caller gets of the record: receipts that prove themselves, and reviews of what a search listed."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from typing import Any

import pytest

from countenance import office
from countenance.answer import Answer
from countenance.errors import InvalidParameter, ResourceNotFound
from countenance.ledger import checkpoint, subject_tag
from countenance.ledger.merkle import leaf_hash, verify_inclusion
from countenance.types import OrganisationKind
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, picture


def number(answer: Answer) -> int:
    """A call's decision, from the header that every SDK can read."""
    found = re.match(r"decision=(\d+);", answer.headers["x-countenance-receipt"])
    assert found
    return int(found[1])


def searched(house: House) -> tuple[int, str]:
    """A search that lists one candidate: its decision, and the candidate's FaceId."""
    house.call("CreateCollection", CollectionId="people").result()
    for colour in (GREEN, RED):
        house.call("IndexFaces", CollectionId="people", Image={"Bytes": picture(colour)}).result()
    answer = house.call("SearchFacesByImage", CollectionId="people", Image={"Bytes": picture(GREEN)})
    [match] = answer.result()["FaceMatches"]
    return number(answer), match["Face"]["FaceId"]


def review(house: House, decision: int, face: str, verdict: str = "WRONG") -> Answer:
    request: dict[str, Any] = {"Decision": decision, "FaceId": face, "Verdict": verdict}
    return house.call("RecordReview", **request, Reviewer="Ada Lovelace")


def proven(receipt: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a receipt that really lead to its signed checkpoint."""
    name, key = checkpoint.read_key(receipt["Key"])
    head = checkpoint.verify(receipt["Checkpoint"], name, key)
    for entry in receipt["Entries"]:
        path = [base64.b64decode(value) for value in entry["Proof"]]
        leaf = leaf_hash(entry["Body"].encode())
        assert verify_inclusion(leaf, entry["Number"], head.size, path, head.root)
    return [json.loads(entry["Body"]) for entry in receipt["Entries"]]


def test_a_receipt_holds_both_entries_and_proves_them(house: House) -> None:
    decision, _ = searched(house)
    receipt = dict(house.call("GetReceipt", Decision=decision).result())
    assert receipt["Key"] == house.settings.ledger_public_key.read_text().strip()
    assert receipt["Origin"] == house.settings.log_name
    asked, ended = proven(receipt)
    assert (asked["seq"], asked["operation"], asked["threshold"]) == (
        decision,
        "SearchFacesByImage",
        "80.0000",
    )
    assert (ended["decision"], ended["candidates"], len(ended["subjects"])) == (decision, 1, 1)


def test_every_call_has_a_receipt_a_refused_and_a_failed_one_too(house: House) -> None:
    failed = house.call("DetectFaces", Image={"Bytes": b"not a picture"})
    calls = [failed, *(house.call("ListCollections") for _ in range(20))]
    for call in calls:
        asked, ended = proven(dict(house.call("GetReceipt", Decision=number(call)).result()))
        assert (asked["kind"], ended["kind"]) == ("decision", "outcome")


def test_a_call_that_was_cut_off_has_a_receipt_of_its_decision(house: House) -> None:
    house.sql(
        "CREATE TRIGGER crash BEFORE INSERT ON entries WHEN instr(new.body, 'outcome') "
        "BEGIN SELECT RAISE(ABORT, 'gone'); END"
    )
    house.call("ListCollections")
    house.sql("DROP TRIGGER crash")
    [left] = house.sql("SELECT decision FROM calls WHERE outcome IS NULL")
    [asked] = proven(dict(house.call("GetReceipt", Decision=left).result()))
    assert asked["seq"] == left


def test_others_calls_and_entries_that_are_no_decisions_are_not_there(house: House) -> None:
    decision, _ = searched(house)
    stranger = dataclasses.replace(house.caller, account="123456789012")
    answer = house.call("GetReceipt", caller=stranger, Decision=decision)
    assert isinstance(answer.error, ResourceNotFound)
    for other in (0, 1, decision + 1, 10**6):
        assert isinstance(house.call("GetReceipt", Decision=other).error, ResourceNotFound)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'people', 'nobody') AS BLOB)"
        " WHERE seq = {}",
        "UPDATE nodes SET hash = zeroblob(32)",
        "DELETE FROM nodes",
    ],
)
def test_a_receipt_that_would_prove_nothing_is_not_given(house: House, change: str) -> None:
    decision, _ = searched(house)
    house.sql(change.format(decision))
    assert house.call("GetReceipt", Decision=decision).status == 500


def test_a_table_that_points_to_another_outcome_is_not_believed(house: House) -> None:
    decision, _ = searched(house)
    house.sql(f"UPDATE calls SET outcome = 5 WHERE decision = {decision}")
    assert house.call("GetReceipt", Decision=decision).status == 500


def test_a_review_stands_beside_the_search_and_names_nobody(house: House) -> None:
    decision, face = searched(house)
    review(house, decision, face).result()
    asked, ended = house.entries()[-2:]
    assert (ended["review"], ended["verdict"]) == (decision, "wrong")
    [listed] = [entry["subjects"] for entry in house.entries() if entry.get("decision") == decision]
    assert [ended["candidate"]] == listed
    assert len(asked["reviewer"]) == 64
    assert "Lovelace" not in json.dumps([asked, ended])
    assert face not in json.dumps([asked, ended])
    with house.service._database.reading() as connection:
        record = house.service._gate.tools.vault.open(connection, asked["seq"])
    assert record is not None
    assert record.said == {"reviewer": "Ada Lovelace"}
    office.verified(house.settings)


def test_a_subjects_key_finds_his_entries_and_only_his(house: House) -> None:
    decision, face = searched(house)
    review(house, decision, face).result()
    [key] = house.sql(f"SELECT subject FROM faces WHERE face_id = '{face}'")
    mine = [
        entry["seq"]
        for entry in house.entries()
        if subject_tag(key, entry.get("decision", -1)) in entry.get("subjects", ())
    ]
    operations = {entry["seq"]: entry["operation"] for entry in house.entries() if "operation" in entry}
    outcomes = {entry["seq"]: entry["decision"] for entry in house.entries() if "decision" in entry}
    assert [operations[outcomes[seq]] for seq in mine] == [
        "IndexFaces",
        "SearchFacesByImage",
        "RecordReview",
    ]


def test_what_is_no_candidate_of_that_search_is_not_reviewed(house: House) -> None:
    decision, face = searched(house)
    [other] = [
        f["FaceId"]
        for f in house.call("ListFaces", CollectionId="people").result()["Faces"]
        if f["FaceId"] != face
    ]
    house.call("IndexFaces", CollectionId="people", Image={"Bytes": picture(BLUE)}).result()
    assert isinstance(review(house, decision, other).error, InvalidParameter)
    listing = number(house.call("ListCollections"))
    assert isinstance(review(house, listing, face).error, InvalidParameter)
    assert isinstance(review(house, 10**6, face).error, ResourceNotFound)
    house.call("DeleteFaces", CollectionId="people", FaceIds=[face]).result()
    gone = review(house, decision, face)
    assert isinstance(gone.error, InvalidParameter)
    assert "deleted since" in gone.error.message
    assert not any("review" in entry for entry in house.entries())


def test_faces_of_one_external_id_are_one_subject_and_others_are_not(house: House) -> None:
    house.call("CreateCollection", CollectionId="people").result()
    for colour, external in ((RED, "ann"), (GREEN, "ann"), (BLUE, "bob"), (BLUE, None), (GREEN, None)):
        named: dict[str, Any] = {"ExternalImageId": external} if external else {}
        photo = {"Bytes": picture(colour)}
        house.call("IndexFaces", CollectionId="people", Image=photo, **named).result()
    keys = house.sql("SELECT subject FROM faces ORDER BY number")
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert {len(key) for key in keys} == {32}


def test_what_compares_is_in_the_log_from_the_first_start_on(house: House) -> None:
    noted = [entry for entry in house.entries() if entry.get("act") == "settings"]
    assert len(noted) == 1
    assert (noted[0]["model"], noted[0]["threshold"]) == (house.vision.model, "80.0000")
    house.close()
    house.open()
    assert len([entry for entry in house.entries() if entry.get("act") == "settings"]) == 1
    house.close()
    house.sql('UPDATE home SET models = \'{"model": "another"}\'')
    house.open()
    last = [entry for entry in house.entries() if entry.get("act") == "settings"][-1]
    assert (last["model_before"], last["model"]) == ("another", house.vision.model)


def test_police_get_the_receipt_of_their_refusal(police: House) -> None:
    police.caller = dataclasses.replace(police.caller, purpose="criminal-investigation")
    refused = police.call("SearchFacesByImage", CollectionId="x", Image={"Bytes": picture(RED)})
    assert refused.status == 400
    asked, ended = proven(dict(police.call("GetReceipt", Decision=number(refused)).result()))
    assert (asked["organisation_kind"], asked["allowed"]) == (OrganisationKind.POLICE, False)
    assert ended["result"] == "refused"
