"""Six ways in which Cedar turns a mistake into a permission, and that none of them works here.

Each test shows the trap on the bare engine first, so that an engine that mends it is noticed, then
what we do about it.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import cedarpy
import pytest

from countenance.declared import Declared
from countenance.errors import PolicyError
from countenance.policy import Asked, Collection, Org, Policy, Question, question
from countenance.policy.pack import folder_of, read, read_schema
from countenance.types import Action, Caller, OrganisationKind
from tests.unit.policy.packs import ABOUT

GROUPED = """namespace T {
  entity Kind enum ["police", "business"];
  entity Purpose in [Purpose];
  entity Key = { kind: Kind };
  entity Thing;
  type Call = { purpose: Purpose, warrant?: String };
  action compare;
  action search in [compare] appliesTo { principal: [Key], resource: [Thing], context: Call };
}"""
SCHEMA = cedarpy.Schema.from_str(GROUPED)
BASE = folder_of("base")
PERMIT = '@id("permit") permit (principal, action, resource);'


def entities(kind: str = "police") -> str:
    return json.dumps(
        [
            {
                "uid": {"type": "T::Key", "id": "k"},
                "attrs": {"kind": {"__entity": {"type": "T::Kind", "id": kind}}},
                "parents": [],
            },
            {"uid": {"type": "T::Purpose", "id": "surveillance"}, "attrs": {}, "parents": []},
        ]
    )


def request(purpose: str | None = "surveillance") -> dict[str, object]:
    context = {} if purpose is None else {"purpose": {"__entity": {"type": "T::Purpose", "id": purpose}}}
    ends = {"principal": 'T::Key::"k"', "action": 'T::Action::"search"', "resource": 'T::Thing::"t"'}
    return {**ends, "context": context}


def asked(**changes: Any) -> Question:
    given = {"kind": "business", "place": "US-CA", "purpose": "photo-library", "threshold": 80.0, **changes}
    caller = Caller("1" * 12, "", OrganisationKind(given["kind"]), given["place"], None, "AKID")
    now = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
    return question(
        Action.IDENTIFY,
        caller,
        Declared(purpose=given["purpose"]),
        Asked(now=now, operation="SearchFaces", threshold=given["threshold"]),
        Collection(owner=Org("1" * 12)),
    )


def pack(folder: Path, rule: str, tests: str = "") -> Path:
    folder.mkdir(parents=True)
    notes = '@source("a test") @quote("Nobody.") @advice("None.") @effective("always")'
    (folder / "rules.cedar").write_text(rule.replace("@@", notes), "utf-8")
    (folder / "pack.toml").write_text(ABOUT, "utf-8")
    (folder / "entities.json").write_text("[]", "utf-8")
    (folder / "tests.toml").write_text(tests, "utf-8")
    return folder


CASE = """[[case]]
name = "searching is forbidden"
now = 2026-11-21
kind = "business"
place = "US"
purpose = "general"
actions = ["identify"]
expect = "deny"
rules = ["t/forbid"]
"""


def test_1_entities_without_the_schema_lose_the_action_groups(tmp_path: Path) -> None:
    rules = PERMIT + '@id("forbid") forbid (principal, action in T::Action::"compare", resource);'
    without = cedarpy.Entities.from_json_str(entities())
    assert cedarpy.is_authorized(request(), rules, without, SCHEMA).allowed
    with_schema = cedarpy.Entities.from_json_str(entities(), SCHEMA)
    assert not cedarpy.is_authorized(request(), rules, with_schema, SCHEMA).allowed

    grouped = '@id("t/forbid") @@ forbid (principal, action in [Countenance::Action::"identify"], resource);'
    policy = Policy.load(["base", pack(tmp_path / "t", grouped, CASE)])
    assert policy.decide(asked()).rules == ("t/forbid",)


def test_2_a_forbid_that_errors_is_skipped(tmp_path: Path) -> None:
    rules = PERMIT + '@id("forbid") forbid (principal, action, resource) when { context.warrant == "" };'
    answer = cedarpy.is_authorized(
        request(), rules, cedarpy.Entities.from_json_str(entities(), SCHEMA), SCHEMA
    )
    assert answer.allowed
    assert answer.diagnostics.errors

    # Strict validation refuses the unguarded attribute before it is ever asked ...
    unguarded = """@id("t/forbid") @@ forbid (principal, action, resource)
        when { context.grounds.case == "none" };"""
    with pytest.raises(PolicyError, match=r"t/forbid.*case"):
        Policy.load(["base", pack(tmp_path / "unguarded", unguarded, CASE)])
    # ... and what validation cannot see, an overflow, is a refusal with the error in it.
    overflow = """@id("t/forbid") @@ forbid (principal, action, resource)
        when { context.now.toTime().toMilliseconds() * 9223372036854775807 > 1 };"""
    policy = Policy(
        [read(folder, read_schema()) for folder in (BASE, pack(tmp_path / "o", overflow))], read_schema()
    )
    decision = policy.decide(asked(kind="business"))
    assert not decision.allowed
    assert "overflow" in decision.errors[0]
    assert decision.rules == ()


def test_3_a_request_that_does_not_fit_is_no_decision() -> None:
    answer = cedarpy.is_authorized(
        request(purpose=None), PERMIT, cedarpy.Entities.from_json_str(entities(), SCHEMA), SCHEMA
    )
    assert answer.decision is cedarpy.Decision.NoDecision

    policy = Policy.load()
    decision = policy.decide(asked(threshold=1e30))  # past what Cedar's decimal holds
    assert not decision.allowed
    assert decision.errors


def test_4_an_unknown_purpose_escapes_every_forbid_on_purposes() -> None:
    forbid = '@id("forbid") forbid (principal, action, resource) when '
    rules = PERMIT + forbid + '{ context.purpose in T::Purpose::"surveillance" };'
    store = cedarpy.Entities.from_json_str(entities(), SCHEMA)
    assert not cedarpy.is_authorized(request(), rules, store, SCHEMA).allowed
    assert cedarpy.is_authorized(request("surveilance"), rules, store, SCHEMA).allowed

    policy = Policy.load()
    for words in ({"purpose": "photo-libary"}, {"place": "US-KA"}):
        decision = policy.decide(asked(**words))
        assert not decision.allowed
        assert "is not in the vocabulary" in decision.errors[0]


def test_4b_every_permit_of_the_base_pack_tests_the_purpose_positively() -> None:
    for part in (BASE / "rules.cedar").read_text("utf-8").split("@id(")[1:]:
        assert 'context.purpose in Countenance::Purpose::"any"' in part


def test_5_a_misspelt_enum_is_refused_only_with_the_schema() -> None:
    cedarpy.Entities.from_json_str(entities("sheriff"))
    with pytest.raises(ValueError, match="does not conform to the schema"):
        cedarpy.Entities.from_json_str(entities("sheriff"), SCHEMA)

    question = asked()
    object.__setattr__(question.caller, "kind", "sheriff")
    decision = Policy.load().decide(question)
    assert not decision.allowed
    assert "does not conform" in decision.errors[0]


def test_6_one_id_twice_is_accepted(tmp_path: Path) -> None:
    twice = PERMIT + '@id("permit") forbid (principal, action, resource);'
    assert cedarpy.validate_policies(twice, SCHEMA).validation_passed

    rule = '@id("t/forbid") @@ forbid (principal, action, resource);'
    with pytest.raises(PolicyError, match="t/forbid is used twice"):
        Policy.load(["base", pack(tmp_path / "t", rule + rule, CASE)])
