"""Tags stored before their words were closed: what stands there is not taken for silence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from countenance.database import Database
from countenance.galleries import store
from tests.door.house import House
from tests.door.test_tags import arn, newest, tag

RULE = """@id("mine/suspects") @source("a charter") @quote("No bystanders.")
@advice("Nothing.") @effective("always")
forbid (principal, action == Countenance::Action::"identify", resource is Countenance::Collection)
when { resource.neverSuspects };
"""

CARD = """title = "Mine"
issuer = "me"
place = "world"
in_force_from = 2020-01-01
confidence = "project-rule"
read_on = 2026-11-21
reviewed_by = "me"
sources = ["none"]
"""

CASE = """[[case]]
name = "bystanders"
now = 2026-11-21
kind = "business"
place = "US"
purpose = "general"
never-suspects = true
actions = ["identify"]
expect = "deny"
rules = ["mine/suspects"]
"""


@pytest.fixture
def older(house: House, tmp_path: Path) -> House:
    """A house whose collection has the tag never-suspects=TRUE, and a rule that reads it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    files = {"rules.cedar": RULE, "pack.toml": CARD, "tests.toml": CASE, "entities.json": "[]"}
    for name, text in files.items():
        (folder / name).write_text(text)
    house.call("CreateCollection", CollectionId="people")
    house.service.close()
    house.settings = dataclasses.replace(house.settings, packs=(*house.settings.packs, str(folder)))
    database = Database(house.settings.database_url)
    try:
        with database.reading() as connection:
            held = store.find(connection, house.caller.account, "people")
        assert held is not None
        words = {"countenance:never-suspects": "TRUE"}
        database.write(lambda connection: store.tag(connection, held.number, words))
    finally:
        database.close()
    house.open()
    return house


def search(house: House) -> Any:
    return house.call("SearchFaces", CollectionId="people", FaceId="0" * 8 + "-0000-4000-8000-" + "0" * 12)


def test_it_is_refused_until_the_policy_owner_says_what_it_meant(older: House) -> None:
    refused = search(older).error
    assert refused is not None
    assert refused.code == "AccessDeniedException"
    assert "tag countenance:never-suspects says 'TRUE', which is none of false, true" in refused.message
    assert newest(older)["errors"]
    assert older.call("ListTagsForResource", ResourceArn=arn(older)).error is None
    assert tag(older, never_suspects="false").error is not None  # it could have meant true
    older.caller = dataclasses.replace(older.caller, policy_owner=True)
    assert tag(older, never_suspects="false").error is None
    assert newest(older)["tags"] == [["countenance:never-suspects", "TRUE", "false"]]
    found = search(older).error
    assert found is not None
    assert found.code == "InvalidParameterException"  # allowed, but there is no such face


def test_whoever_owns_it_may_shut_it(older: House) -> None:
    assert tag(older, never_suspects="true").error is None
    refused = search(older).error
    assert refused is not None
    assert "refused by mine/suspects (a charter): " in refused.message
