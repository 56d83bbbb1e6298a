"""A person is erased: afterwards no byte of template or key is in any file of the home."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import random
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from countenance import office, settings
from countenance.aws.model import OURS
from countenance.client import declare
from countenance.database import Database
from countenance.declared import Declared
from countenance.ledger import erasure, subject_tag
from countenance.ledger.entry import canonical
from countenance.ledger.merkle import leaf_hash
from countenance.policy import Retention, retention
from countenance.server import Running
from countenance.service import Service
from tests.door.house import House, content
from tests.fakes import BLUE, GREEN, RED, FakeVision, picture

PHOTO = {RED: {"Bytes": picture(RED)}, GREEN: {"Bytes": picture(GREEN)}, BLUE: {"Bytes": picture(BLUE)}}


FACE = "11111111-2222-3333-4444-555555555555"


def everything(folder: Path) -> bytes:
    """Every byte of every file of a home and beside it."""
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert any(path.name == "countenance.db" for path in files)
    return b"\n".join(map(content, files))


def secrets_of(house: House, external: str) -> list[bytes]:
    """Templates and keys of a person, and the sealed keys of what calls about him said in private."""
    where = f"WHERE external_image_id = '{external}'"
    subjects = house.sql(f"SELECT DISTINCT subject FROM faces {where}")
    rows = [*house.sql(f"SELECT vector FROM faces {where}"), *subjects]
    tags = {
        decision: tags
        for entry in house.entries()
        if (decision := entry.get("decision")) is not None and (tags := entry.get("subjects"))
    }
    for decision in house.sql("SELECT decision FROM vault"):
        if any(subject_tag(subject, decision) in tags.get(decision, ()) for subject in subjects):
            rows += house.sql(f"SELECT key FROM vault_keys WHERE decision = {decision}")
            rows += house.sql(f"SELECT body FROM vault WHERE decision = {decision}")
    return rows


@pytest.fixture
def client(house: House) -> Iterator[Any]:
    """An ordinary boto3 client of the house, over HTTP."""
    running = Running(house.service)
    ready = threading.Event()
    server = threading.Thread(target=running.serve_here, args=(ready.set,))
    server.start()
    assert ready.wait(30)
    signer = house.service._signer(house.key.access_key_id)
    assert signer is not None
    session = boto3.session.Session()
    session._loader.search_paths.append(str(OURS))  # as AWS_DATA_PATH does
    yield session.client(
        "rekognition",
        endpoint_url=running.url,
        region_name="us-east-1",
        aws_access_key_id=house.key.access_key_id,
        aws_secret_access_key=signer[1],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    running.stop()
    server.join()


@pytest.fixture
def furnished(house: House, client: Any) -> Any:
    for collection in ("family", "club"):
        client.create_collection(CollectionId=collection)
        for colour, name in ((RED, "anna"), (GREEN, "bert"), (BLUE, "carl")):
            client.index_faces(CollectionId=collection, Image=PHOTO[colour], ExternalImageId=name)
    declare(client, case="K-2026/17", evidence="a letter")
    for colour in (RED, GREEN):
        client.search_faces_by_image(CollectionId="family", Image=PHOTO[colour])
    return client


def test_nothing_of_the_person_is_left_and_all_of_the_others(house: House, furnished: Any) -> None:
    mine, others = secrets_of(house, "anna"), secrets_of(house, "bert")
    assert len(mine) == 2 + 2 + 2  # two templates, two keys (one a collection), a private record and its key
    assert all(secret in everything(house.settings.home) for secret in mine)
    answer = furnished.erase_subject(ExternalImageId="anna", Reason="she asked")
    left = everything(house.settings.home)
    assert not [secret for secret in mine if secret in left or secret[:16] in left or secret[-16:] in left]
    assert all(secret in left for secret in others)
    assert {face["CollectionId"] for face in answer["ErasedFaces"]} == {"family", "club"}
    assert (answer["ShreddedRecords"], answer["KeptRecords"]) == (1, 0)
    assert b"anna" not in left
    assert b"she asked" not in left
    office.verified(house.settings)


@pytest.mark.parametrize("how", ["faces", "collection", "face"])
def test_whichever_way_a_face_is_deleted_nothing_of_it_is_left(
    house: House, furnished: Any, how: str
) -> None:
    house.sql("DELETE FROM vault")  # what calls said is EraseSubject's to shred
    house.sql("DELETE FROM vault_keys")
    furnished.delete_collection(CollectionId="club")
    mine = secrets_of(house, "anna")
    [face] = [
        f for f in furnished.list_faces(CollectionId="family")["Faces"] if f["ExternalImageId"] == "anna"
    ]
    assert len(mine) == 2
    if how == "faces":
        furnished.delete_faces(CollectionId="family", FaceIds=[face["FaceId"]])
    elif how == "collection":
        furnished.delete_collection(CollectionId="family")
    else:
        answer = furnished.erase_subject(FaceId=face["FaceId"])
        assert answer["ErasedFaces"] == [{"CollectionId": "family", "FaceId": face["FaceId"]}]
    left = everything(house.settings.home)
    assert not [secret for secret in mine if secret[:16] in left or secret[-16:] in left]
    assert b"anna" not in left


def test_one_collection_alone(furnished: Any, house: House) -> None:
    answer = furnished.erase_subject(CollectionId="club", ExternalImageId="anna")
    assert {face["CollectionId"] for face in answer["ErasedFaces"]} == {"club"}
    assert answer["ShreddedRecords"] == 0  # the search was in the other one, and he has another key there
    assert [face["ExternalImageId"] for face in furnished.list_faces(CollectionId="family")["Faces"]] == [
        "anna",
        "bert",
        "carl",
    ]


def test_an_erased_face_is_found_no_more(furnished: Any) -> None:
    assert furnished.search_faces_by_image(CollectionId="family", Image=PHOTO[RED])["FaceMatches"]
    furnished.erase_subject(ExternalImageId="anna")
    assert not furnished.search_faces_by_image(CollectionId="family", Image=PHOTO[RED])["FaceMatches"]


def test_somebody_elses_faces_are_not_erased(house: House, furnished: Any) -> None:
    stranger = dataclasses.replace(house.caller, account="111122223333")
    answer = house.call("EraseSubject", stranger, ExternalImageId="anna").result()
    assert answer["ErasedFaces"] == []
    assert house.call("EraseSubject", stranger, ExternalImageId="anna", CollectionId="club").status == 400
    assert len(furnished.list_faces(CollectionId="family")["Faces"]) == 3


@pytest.mark.parametrize("named", [{}, {"FaceId": FACE, "ExternalImageId": "anna"}])
def test_a_person_is_named_one_way(house: House, named: Any) -> None:
    answer = house.call("EraseSubject", **named)
    assert answer.error is not None
    assert answer.error.code == "InvalidParameterException"


def test_what_the_ledger_is_told(house: House, furnished: Any) -> None:
    [key] = house.sql("SELECT subject FROM faces WHERE external_image_id = 'anna' AND collection = 1")
    furnished.erase_subject(ExternalImageId="anna", Reason="she asked")
    decision, outcome = house.entries()[-2:]
    assert re.fullmatch("[0-9a-f]{64}", decision["reason"])
    assert subject_tag(key, decision["seq"]) in outcome["subjects"]
    assert (outcome["removed"], outcome["shredded"]) == (2, 1)
    assert "kept" not in outcome


def test_what_ended_after_the_look_is_shredded_too(house: House, furnished: Any) -> None:
    """A call that is under way while a person is looked up ends before he is erased."""
    concerning, calls = erasure.concerning, []

    def slow(connection: Any, subjects: Any, account: str, since: int = 0) -> Any:
        found = concerning(connection, subjects, account, since)
        calls.append((since, len(found)))
        if len(calls) == 1:
            furnished.search_faces_by_image(CollectionId="family", Image=PHOTO[RED])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasure, "concerning", slow)
        answer = house.call("EraseSubject", ExternalImageId="anna").result()
    assert [found for _, found in calls] == [1, 1]
    assert calls[1][0] > 0
    assert answer["ShreddedRecords"] == 2


def test_a_rule_keeps_what_was_said_in_private_and_the_ledger_says_which(
    house: House, furnished: Any
) -> None:
    table = {
        "id": "house/keep",
        "what": "private",
        "at_least": 10,
        "counted_from": "written",
        "effective": dt.date(2020, 1, 1),
        "source": "the house",
        "quote": "ten days",
        "prevails": ["erasure"],
    }
    limits = retention.read({"retention": [table]}, "world", dt.date(2020, 1, 1))
    gate = house.service._gate
    keeping = Retention(limits, lambda _place, _other: True)
    house.service._gate = dataclasses.replace(gate, tools=dataclasses.replace(gate.tools, retention=keeping))
    mine = secrets_of(house, "anna")
    answer = house.call("EraseSubject", ExternalImageId="anna").result()
    assert (answer["ShreddedRecords"], answer["KeptRecords"], answer["KeptBy"]) == (0, 1, "house/keep")
    until = dt.date.fromisoformat(answer["KeptUntil"])
    assert 10 <= (until - dt.datetime.now(dt.UTC).date()).days <= 11
    told = house.entries()[-1]
    assert (told["kept"], told["kept_by"], told["kept_until"]) == (1, "house/keep", str(until))
    left = everything(house.settings.home)
    assert [secret in left for secret in mine] == [False] * 4 + [True] * 2  # the templates and keys are gone
    assert house.sql("SELECT rule FROM condemned") == ["house/keep"]


def test_a_tenth_is_erased_and_every_old_receipt_still_holds(house: House) -> None:
    """Receipts from before verify against the log of after; what was private of the erased is unreadable."""
    rng = random.Random(3)
    people: Any = {f"person-{n}": tuple(rng.randrange(250) for _ in range(3)) for n in range(20)}
    house.call("CreateCollection", CollectionId="all").result()
    searches = {}
    for name, colour in people.items():
        image = {"Bytes": picture(colour)}
        house.call("IndexFaces", CollectionId="all", Image=image, ExternalImageId=name).result()
        body = json.dumps(
            {"CollectionId": "all", "Image": {"Bytes": base64.b64encode(picture(colour)).decode()}}
        )
        answer = house.service.call(
            "RekognitionService.SearchFacesByImage",
            body.encode(),
            house.caller,
            Declared(case=f"case {name}"),
        )
        [match] = answer.result()["FaceMatches"]
        assert match["Face"]["ExternalImageId"] == name
        assert answer.receipt is not None
        searches[name] = answer.receipt
    before = house.entries()
    [head] = house.sql("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1")
    erased = rng.sample(sorted(people), 2)
    for name in erased:
        assert house.call("EraseSubject", ExternalImageId=name).result()["ShreddedRecords"] == 1
    vault, database = house.service._gate.tools.vault, house.service._database
    for name, receipt in searches.items():
        with database.reading() as connection:
            record = vault.open(connection, receipt.decision)
        assert (record is None) == (name in erased)
    entries = house.entries()
    assert entries[: len(before)] == before
    assert all(
        leaf_hash(canonical(entries[number])) == leaf
        for receipt in searches.values()
        for number, leaf in (
            (receipt.decision, receipt.decision_leaf),
            (receipt.outcome, receipt.outcome_leaf),
        )
    )
    kept = house.settings.home.parent / "kept"
    kept.write_text(head)
    office.verified(house.settings, known=kept)


def test_what_a_killed_process_left_is_scrubbed_by_the_next_start(
    house: House, furnished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = secrets_of(house, "anna")
    monkeypatch.setattr(Database, "scrub", lambda *_, **__: True)
    furnished.erase_subject(ExternalImageId="anna")
    shutil.copytree(house.settings.home, tmp_path / "killed" / "home")  # as it lies there at that moment
    monkeypatch.undo()
    assert any(secret in everything(tmp_path / "killed" / "home") for secret in mine)
    again = Service(settings.load(tmp_path / "killed" / "home"), FakeVision())
    left = everything(tmp_path / "killed" / "home")
    again.close()
    assert not [secret for secret in mine if secret[:16] in left or secret[-16:] in left]
