"""GroupFaces as a boto3 user meets it: typed errors, checked input, answers by the declared shapes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError, ParamValidationError

from countenance.client import connect, decision
from countenance.testing import TestServer
from tests.parity import photos


@pytest.fixture(scope="module")
def client(running: TestServer) -> Any:
    core = botocore.session.Session()
    core.set_config_variable("credentials_file", str(running.settings.credentials))
    return connect(core=core, endpoint_url=running.url, region_name="us-east-1")


@pytest.fixture(scope="module")
def collection(client: Any) -> Iterator[str]:
    """One person in two photos."""
    name = f"grouped-{uuid.uuid4()}"
    client.create_collection(CollectionId=name)
    for external, photo in (("one", photos.grace()), ("other", photos.grace_again())):
        client.index_faces(CollectionId=name, Image={"Bytes": photo}, ExternalImageId=external, MaxFaces=1)
    yield name
    client.delete_collection(CollectionId=name)


def test_one_person_is_one_group(client: Any, collection: str) -> None:
    answer = client.group_faces(CollectionId=collection)
    [group] = answer["Groups"]
    assert {member["Face"]["ExternalImageId"] for member in group["Members"]} == {"one", "other"}
    assert all(80 <= member["Similarity"] <= 100 for member in group["Members"])
    assert answer["UngroupedFaces"] == []
    assert answer["ExpectedFalsePairs"] == pytest.approx(1e-4)
    assert client.get_receipt(Decision=decision(answer))["Entries"]


def test_errors_are_typed(client: Any, collection: str) -> None:
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.group_faces(CollectionId="nosuch")
    with pytest.raises(ClientError) as refused:
        client.group_faces(CollectionId=collection, FaceMatchThreshold=101)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ParamValidationError):
        client.group_faces(FaceMatchThreshold=80)
