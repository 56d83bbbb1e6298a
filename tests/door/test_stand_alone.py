"""What the stand-alone file finds in a real home's record is what Countenance finds."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from countenance import office, publication, reporting
from countenance.answer import Answer
from countenance.declared import Declared
from countenance.errors import LedgerError
from countenance.keys import Keys
from countenance.ledger.counting import Period
from countenance.ledger.vault import Vault
from tests.door.house import House
from tests.fakes import GREEN, RED, picture
from tests.unit.ledger.test_verifier import verifier


def ask(*arguments: object) -> dict[str, Any]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = verifier.main([*map(str, arguments), "--json"])
    told: dict[str, Any] = json.loads(said.getvalue())
    assert told["good"] == (status == 0)
    return told


def busy(house: House) -> int:
    """Calls of several kinds, one refused and one failed; the decision of a search that found somebody."""
    house.call("CreateCollection", CollectionId="people").result()
    for colour in (GREEN, RED):
        house.call("IndexFaces", CollectionId="people", Image={"Bytes": picture(colour)}).result()
    house.call("DetectFaces", Image={"Bytes": b"no picture"})
    answer = house.call("SearchFacesByImage", CollectionId="people", Image={"Bytes": picture(GREEN)})
    assert answer.result()["FaceMatches"]
    return number(answer)


def number(answer: Answer) -> int:
    """The call's decision."""
    found = re.match(r"decision=(\d+);", answer.headers["x-countenance-receipt"])
    assert found
    return int(found[1])


def test_both_find_the_same_in_a_real_record(house: House, tmp_path: Path) -> None:
    busy(house)
    key, out = house.settings.ledger_public_key, tmp_path / "out"
    publication.exported(house.settings, out)
    told, ours = ask("log", out, "--key", key), office.verified(house.settings)
    assert (told["size"], told["decisions"], told["outcomes"]) == (ours.size, ours.decisions, ours.outcomes)
    assert told["administered"] == ours.administered
    assert told["unfinished"] == list(ours.without_outcome)


def test_an_edited_search_is_found_by_both_with_an_old_checkpoint(house: House, tmp_path: Path) -> None:
    """The operator edits a search, computes the tree anew and signs it: only the kept checkpoint tells."""
    decision = busy(house)
    kept, key = tmp_path / "kept", house.settings.ledger_public_key
    kept.write_text(publication.newest_checkpoint(house.settings))
    house.close()
    forge(house, decision)
    publication.exported(house.settings, tmp_path / "out")
    assert ask("log", tmp_path / "out", "--key", key)["good"]
    office.verified(house.settings)
    told = ask("log", tmp_path / "out", "--key", key, "--checkpoint", kept)
    assert not told["good"]
    with pytest.raises(LedgerError):
        office.verified(house.settings, known=kept)
    house.open()


def forge(house: House, decision: int) -> None:
    """Write the record anew with the log's own key, as an operator can."""
    bodies = house.sql("SELECT body FROM entries ORDER BY seq")
    bodies[decision] = bodies[decision].replace(b'"people"', b'"nobody"')
    for table in ("entries", "nodes", "checkpoints"):
        house.sql(f"DELETE FROM {table}")
    ledger, database = office.ledger_of(house.settings), office.database_of(house.settings)
    database.keep(ledger)
    try:
        forged = [json.loads(body) for body in bodies]
        database.write(lambda connection: [ledger.append(connection, entry) for entry in forged])
    finally:
        database.close()


def test_a_real_receipt_and_what_it_seals(house: House, tmp_path: Path) -> None:
    decision = busy(house)
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(dict(house.call("GetReceipt", Decision=decision).result())))
    key = house.settings.ledger_public_key
    told = ask("receipt", file, "--key", key)
    assert told["numbers"] == [decision, decision + 1]
    publication.exported(house.settings, tmp_path / "out")
    assert ask("receipt", file, "--key", key, "--log", tmp_path / "out")["good"]
    file.write_text(file.read_text().replace("people", "nobody"))
    assert not ask("receipt", file, "--key", key)["good"]


def record_key(house: House, decision: int) -> bytes:
    vault = Vault(Keys(office.secret_of(house.settings.master_key)))
    database = office.database_of(house.settings)
    try:
        with database.reading() as connection:
            record = vault.open(connection, decision)
    finally:
        database.close()
    assert record
    return record.key


def test_a_real_seal_is_opened_by_who_has_the_records_key(house: House, tmp_path: Path) -> None:
    declared = Declared(case="2026/114", reviewers=frozenset({"Ada", "Grace"}))
    answer = house.service.call("RekognitionService.ListCollections", b"{}", house.caller, declared)
    decision = number(answer)
    key = record_key(house, decision)
    file = tmp_path / "receipt.json"
    file.write_text(json.dumps(dict(house.call("GetReceipt", Decision=decision).result())))
    said = ("case=2026/114", "reviewers=Ada", "reviewers=Grace")
    assert ask("open", file, *said, "--record-key", key.hex())["good"]
    assert not ask("open", file, "case=2026/115", "--record-key", key.hex())["good"]


def test_a_subject_finds_what_concerns_him(house: House, tmp_path: Path) -> None:
    decision = busy(house)
    publication.exported(house.settings, tmp_path / "out")
    subject, _ = house.sql("SELECT subject FROM faces ORDER BY number")
    found = ask(
        "mine", tmp_path / "out", "--key", house.settings.ledger_public_key, "--subject", subject.hex()
    )
    operations = [one["decision"]["operation"] for one in found["found"]]
    assert operations == ["IndexFaces", "SearchFacesByImage"]
    assert found["found"][1]["decision"]["seq"] == decision


@pytest.mark.parametrize("least", [1, 5])
def test_a_real_report_is_counted_again(house: House, tmp_path: Path, least: int) -> None:
    decision = busy(house)
    [subject] = house.call("ListFaces", CollectionId="people", MaxResults=1).result()["Faces"]
    who = {"FaceId": subject["FaceId"], "Verdict": "WRONG", "Reviewer": "Ada"}
    house.call("RecordReview", Decision=decision, **who).result()
    publication.exported(house.settings, tmp_path / "out")
    month = Period(dt.date(2000, 1, 1), dt.date(2099, 12, 31))
    found = reporting.of_folder(tmp_path / "out", reporting.Asked(month, least=least)).as_json()
    assert (found["totals"]["wrong"] is None) == (least == 5)
    file, key = tmp_path / "report.json", house.settings.ledger_public_key
    file.write_text(json.dumps(found))
    house.call("ListCollections")
    publication.exported(house.settings, tmp_path / "out")  # it has grown since
    assert ask("report", file, "--log", tmp_path / "out", "--key", key)["good"]
    found["totals"]["searches_refused"]["count"] += 1
    file.write_text(json.dumps(found))
    assert "searches_refused" in ask("report", file, "--log", tmp_path / "out", "--key", key)["fault"]


def test_who_holds_the_first_key_follows_real_handovers(house: House, tmp_path: Path) -> None:
    kept = tmp_path / "monday.pub"
    kept.write_text(house.settings.ledger_public_key.read_text())
    for _ in range(3):
        decision = busy(house)
        house.call("DeleteCollection", CollectionId="people").result()
        house.close()
        office.rotate(house.settings)
        house.open()
    file, out = tmp_path / "receipt.json", tmp_path / "out"
    file.write_text(json.dumps(dict(house.call("GetReceipt", Decision=decision).result())))
    publication.exported(house.settings, out)
    told = ask("log", out, "--key", kept)
    assert (told["good"], told.get("keys")) == (True, 4), told
    assert ask("receipt", file, "--key", kept, "--log", out)["good"]
    assert not ask("receipt", file, "--key", kept)["good"]
    assert ask("receipt", file, "--key", out / "log.pub")["good"]
