"""The server that tests of other programs use."""

from __future__ import annotations

import contextlib
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


def test_the_first_of_two_servers_on_a_home_is_the_one_the_shell_finds() -> None:
    with testing.server() as first:
        second = testing.TestServer(first.settings)
        assert first.url in (first.home / "server.json").read_text()
        second.close()
        assert first.url in (first.home / "server.json").read_text()


def test_what_a_dead_server_left_is_written_over() -> None:
    with testing.server() as running:
        running.close()
        notice = running.home / "server.json"
        notice.write_text(f'{{"url": "{running.url}", "pid": 1}}')
        with contextlib.closing(testing.TestServer(running.settings)) as next_one:
            assert next_one.url in notice.read_text()


def test_a_closed_server_leaves_its_home_to_be_looked_at() -> None:
    with testing.server() as running:
        running.client().create_collection(CollectionId="mine")
        running.close()
        assert (running.home / "countenance.db").exists()
        assert not (running.home / "server.json").exists()
        running.close()
