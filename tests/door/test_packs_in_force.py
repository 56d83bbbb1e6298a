"""Which packs are in force is settled when a home starts, and a change of them is an entry of the ledger."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from countenance.errors import PolicyError
from countenance.policy import Policy
from countenance.service import Service
from tests.door.house import House
from tests.fakes import FakeVision
from tests.unit.policy.packs import ABOUT

RULE = """@id("mine/no-labels") @source("a charter") @quote("No labels.") @advice("Nothing.")
@effective("2020-01-01")
forbid (principal, action == Countenance::Action::"manage", resource)
when { context.now >= datetime("2020-01-01") && context.grounds has case };
"""
CASE = """[[case]]
name = "a case is named"
now = 2026-01-01
kind = "business"
place = "US"
purpose = "general"
case = "7"
actions = ["manage"]
expect = "deny"
rules = ["mine/no-labels"]
"""


def acts(house: House) -> list[dict[str, object]]:
    return [entry for entry in house.entries() if entry.get("act") == "packs"]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in (
        ("pack.toml", ABOUT),
        ("rules.cedar", RULE),
        ("entities.json", "[]"),
        ("tests.toml", CASE),
    ):
        (folder / name).write_text(text, "utf-8")
    return folder


def test_a_change_of_packs_is_an_entry_and_a_start_without_one_is_none(house: House, mine: Path) -> None:
    base = Policy.read(["base"]).digest
    [first] = acts(house)
    assert (first["packs"], first["pack"]) == (["base"], base)
    assert "packs_before" not in first
    house.close()
    house.open()
    assert len(acts(house)) == 1
    house.close()
    house.settings = dataclasses.replace(house.settings, packs=("base", str(mine)))
    house.open()
    _, second = acts(house)
    assert (second["packs"], second["packs_before"]) == (["base", "mine"], ["base"])
    assert (second["pack"], second["pack_before"]) == (house.service._gate.policy.digest, base)
    (mine / "rules.cedar").write_text(RULE + "// the same names, another text\n", "utf-8")
    house.close()
    house.open()
    *_, third = acts(house)
    assert third["packs"] == third["packs_before"]
    assert third["pack"] != third["pack_before"]


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("rules.cedar", RULE + "forbid (", "rules.cedar"),
        ("rules.cedar", RULE + RULE, "used twice"),
        ("rules.cedar", RULE.replace("grounds has case", "nonsense == 1"), "mine/no-labels"),
        (
            "rules.cedar",
            RULE.replace("context.grounds has case", 'context.purpose in Countenance::Purpose::"x"'),
            "'x'",
        ),
        ("tests.toml", CASE.replace('"deny"', '"allow"'), "expected allow"),
        (
            "tests.toml",
            CASE.replace('rules = ["mine/no-labels"]', "rules = []").replace('case = "7"', ""),
            "decided by",
        ),
    ],
)
def test_a_home_does_not_start_on_a_pack_that_is_wrong(
    house: House, mine: Path, file: str, text: str, told: str
) -> None:
    (mine / file).write_text(text, "utf-8")
    settings = dataclasses.replace(house.settings, packs=("base", str(mine)))
    with pytest.raises(PolicyError, match=told):
        Service(settings, FakeVision())
    assert len(acts(house)) == 1
