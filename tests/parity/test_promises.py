"""The promise of 2020 as a boto3 user met it then and meets it now: who finds missing children may go on."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from countenance import office, settings
from countenance.client import declare
from countenance.testing import TestServer, server
from countenance.types import OrganisationKind
from tests.parity.conftest import House
from tests.parity.photos import grace, grace_again
from tests.parity.wire import Key


@pytest.fixture(scope="module")
def promising() -> Iterator[TestServer]:
    with server(place="US-CA", packs=("base", "amazon-2020", "microsoft-2020", "ibm-2020")) as running:
        yield running


@pytest.fixture(scope="module")
def thorn(promising: TestServer) -> Any:
    """A client that says what it searches for, with one missing child enrolled."""
    home = settings.load(promising.home)
    charity = office.register(home, "Thorn", OrganisationKind.NGO, "US-CA", ["child-protection"])
    key, secret = office.issue(home, charity, ["missing-persons"])
    client = House.of(promising).client(Key(key.access_key_id, secret))
    declare(client, purpose="missing-persons", case="T-2020-117")
    client.create_collection(CollectionId="missing", Tags={"countenance:origin": "missing-persons"})
    client.index_faces(CollectionId="missing", Image={"Bytes": grace()})
    return client


@pytest.mark.parametrize("day", [dt.date(2020, 7, 1), None])
def test_thorn_finds_a_missing_child_in_2020_and_today(
    promising: TestServer, thorn: Any, day: dt.date | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if day is not None:
        noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
        service = promising._service
        monkeypatch.setattr(service, "_gate", dataclasses.replace(service._gate, clock=lambda: noon))
    answer = thorn.search_faces_by_image(CollectionId="missing", Image={"Bytes": grace_again()})
    assert len(answer["FaceMatches"]) == 1
