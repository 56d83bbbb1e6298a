"""The server that tests of other programs use."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

import pytest

from countenance import testing
from countenance.types import OrganisationKind


def test_two_servers_stand_side_by_side_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAELSEWHERE")
    before = dict(os.environ)
    with testing.server() as one, testing.server(kind=OrganisationKind.MEDIA, place="DE") as other:
        one.client().create_collection(CollectionId="mine")
        assert one.client().list_collections()["CollectionIds"] == ["mine"]
        assert other.client().list_collections()["CollectionIds"] == []
        assert dict(os.environ) == before
    assert not one.home.exists()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(one.url, timeout=5)


def test_a_closed_server_leaves_its_home_to_be_looked_at() -> None:
    with testing.server() as running:
        running.client().create_collection(CollectionId="mine")
        running.close()
        assert (running.home / "countenance.db").exists()
        assert not (running.home / "server.json").exists()
        running.close()
