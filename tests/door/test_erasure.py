"""A person is erased: afterwards no byte of template or key is in any file of the home."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from countenance import office
from countenance.aws.model import OURS
from countenance.client import declare
from countenance.ledger import subject_tag
from countenance.server import Running
from tests.door.house import House
from tests.fakes import BLUE, GREEN, RED, picture

PHOTO = {RED: {"Bytes": picture(RED)}, GREEN: {"Bytes": picture(GREEN)}, BLUE: {"Bytes": picture(BLUE)}}


def everything(folder: Path) -> bytes:
    """Every byte of every file of a home and beside it."""
    files = [path for path in folder.parent.rglob("*") if path.is_file()]
    assert any(path.name == "countenance.db" for path in files)
    return b"\n".join(path.read_bytes() for path in files)


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
def furnished(house: House, client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
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
