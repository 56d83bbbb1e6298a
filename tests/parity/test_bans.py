"""Laws and pledges from boto3: who is refused, in whose words, and who is let through."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from countenance import office, settings
from countenance.client import declare
from countenance.declared import Requester
from countenance.testing import TestServer, server
from countenance.types import OrganisationKind
from tests.parity.conftest import House
from tests.parity.photos import grace
from tests.parity.wire import Key


@pytest.fixture(scope="module")
def california() -> Iterator[TestServer]:
    """A home in San Francisco with the packs that are usual there."""
    with server(place="US-CA-SF", packs=office.usual_packs("US-CA-SF")) as running:
        yield running


@pytest.fixture
def client_of(california: TestServer) -> Callable[..., Any]:
    """A client of a new organisation's key, with a collection of its own."""

    def make(kind: OrganisationKind, place: str, purpose: str, groups: Collection[str] = ()) -> Any:
        home = settings.load(california.home)
        holder = office.register(home, f"some {kind}", kind, place, groups)
        key, secret = office.issue(home, holder, [purpose])
        client = House.of(california).client(Key(key.access_key_id, secret))
        declare(client, purpose=purpose)
        client.create_collection(CollectionId="people")
        return client

    return make


def search(client: Any) -> Any:
    return client.search_faces_by_image(CollectionId="people", Image={"Bytes": grace()})


def test_the_police_of_san_francisco_are_refused_in_the_words_of_the_ordinance(
    client_of: Callable[..., Any],
) -> None:
    police = client_of(OrganisationKind.POLICE, "US-CA-SF", "criminal-investigation")
    with pytest.raises(ClientError) as caught:
        search(police)
    error = caught.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert "is not authorized to perform: rekognition:SearchFacesByImage on resource:" in error["Message"]
    assert "refused by us-ca-sf/19B.2, in force since 2019-07-01" in error["Message"]
    assert "San Francisco Administrative Code 19B.2" in error["Message"]
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    said = json.loads(headers["x-countenance-refusal"])
    rules = {each["rule"]: each for each in said["rules"]}
    assert rules["us-ca-sf/19B.2"]["since"] == "2019-07-01"
    assert any(name.startswith("amazon-2020/") for name in rules)
    assert all(each["quote"] and each["source"] for each in rules.values())


def test_nobody_searches_for_them(client_of: Callable[..., Any]) -> None:
    neighbour = client_of(OrganisationKind.BUSINESS, "US-CA", "general")
    assert search(neighbour)["FaceMatches"] == []
    declare(neighbour, on_behalf_of=Requester(OrganisationKind.POLICE, "US-CA-SF"))
    with pytest.raises(ClientError, match=r"us-ca-sf/19B\.2.*On behalf of police in US-CA-SF"):
        search(neighbour)


def test_who_looks_for_missing_children_searches(client_of: Callable[..., Any]) -> None:
    thorn = client_of(OrganisationKind.NGO, "US", "missing-persons", {"child-protection"})
    declare(thorn, case="2026-117")
    assert search(thorn)["FaceMatches"] == []
