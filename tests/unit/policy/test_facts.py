"""The facts as Python are the facts as the schema has them, name by name and type by type."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import cedarpy
import pytest

from countenance.declared import (
    Authorisation,
    AuthorisationKind,
    Basis,
    Consent,
    Declared,
    Listing,
    Origin,
    Requester,
    Venue,
)
from countenance.policy import facts
from countenance.policy.facts import FACTS, Asked, Collection, Org, question
from countenance.policy.pack import SCHEMA
from countenance.types import Action, Attribute, Caller, OrganisationKind, told_by

TEXT = re.sub(r"//.*", "", SCHEMA.read_text("utf-8"))
ENUMS = {
    "OrgKind": OrganisationKind,
    "Attribute": Attribute,
    "Origin": Origin,
    "Basis": Basis,
    "Consent": Consent,
    "Venue": Venue,
    "Listing": Listing,
}
RECORDS: dict[str, type[Any]] = {
    "Org": facts.Organisation,
    "Agent": facts.Agent,
    "Collection": facts.Collection,
    "Authorisation": Authorisation,
    "Scene": facts.Scene,
    "Grounds": facts.Grounds,
    "Audit": facts.Audit,
    "Call": facts.Call,
    "Telling": facts.Telling,
    "Comparing": facts.Comparing,
    "Governing": facts.Governing,
}
PLAIN = {str: "String", bool: "Bool", float: "decimal", dt.datetime: "datetime", AuthorisationKind: "String"}


def in_schema(name: str) -> dict[str, str]:
    """The fields of a record or an entity: name, with "?" where it is optional, to type."""
    found = re.search(rf"(?:type|entity) {name}(?: in \[\w+\])? = \{{(.*?)\}}", TEXT, re.DOTALL)
    assert found is not None, name
    return dict(re.findall(r"(\w+\??):\s*([\w<>]+)", found[1]))


def in_python(kind: type[Any]) -> dict[str, str]:
    hints = get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.name != "tags"]
    return {
        facts.camel(name) + ("?" if _optional(hints[name]) else ""): _type(hints[name]) for name in fields
    }


def _optional(hint: Any) -> bool:
    return get_origin(hint) in (types.UnionType, Union)


def _type(hint: Any) -> str:
    if _optional(hint):
        return _type(next(part for part in get_args(hint) if part is not types.NoneType))
    if get_origin(hint) is frozenset:
        return f"Set<{_type(get_args(hint)[0])}>"
    return PLAIN.get(hint) or facts.entity(hint) or str(hint.__name__)


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_has_the_schemas_fields_and_no_others(name: str) -> None:
    assert in_python(RECORDS[name]) == in_schema(name)


def test_the_schema_has_no_record_that_python_has_not() -> None:
    named = re.findall(r"(?:type|entity) (\w+)(?: in \[\w+\])? = \{", TEXT)
    assert set(named) == set(RECORDS)


@pytest.mark.parametrize("name", ENUMS)
def test_every_closed_list_is_the_same(name: str) -> None:
    found = re.search(rf"entity {name} enum \[(.*?)\]", TEXT, re.DOTALL)
    assert found is not None
    assert re.findall(r'"(.*?)"', found[1]) == list(ENUMS[name])


def test_the_schema_has_no_closed_list_that_python_has_not() -> None:
    assert set(re.findall(r"entity (\w+) enum", TEXT)) == set(ENUMS)


def test_each_action_has_the_context_of_its_facts() -> None:
    blocks = re.findall(r"action ([\w, ]+) appliesTo \{(.*?)\}", TEXT, re.DOTALL)
    contexts = {
        name: re.search(r"context: (\w+)", block)[1]  # type: ignore[index]
        for names, block in blocks
        for name in names.split(", ")
    }
    assert contexts.keys() == set(Action) == FACTS.keys()
    for action, kind in FACTS.items():
        assert kind.action is action
        assert issubclass(kind, RECORDS[contexts[action]])
        assert in_python(kind) == in_schema(contexts[action])


NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
CALLER = Caller("1" * 12, "", OrganisationKind.NGO, "US", "general", "AKID", groups=frozenset({"a"}))
WARRANT = Authorisation("7", AuthorisationKind.WARRANT, "a court", NOW, NOW + dt.timedelta(days=1))
EVERYTHING = Declared(
    purpose="research",
    place="US-CA",
    venue=Venue.STREET,
    realtime=True,
    public_space=True,
    mobile_camera=True,
    case="c-1",
    offence="any",
    authorisation=WARRANT,
    evidence="a letter",
    listing=Listing.MISSING,
    reviewers=frozenset({"a", "b"}),
    on_behalf_of=Requester(OrganisationKind.POLICE, "US"),
    max_fpir=0.001,
    prior=0.01,
)
AUDIT = facts.Audit(issued=NOW, by_operator=False, least_true_positives=0.99, worst_ratio=1.25)


@pytest.mark.parametrize("declared", [Declared(), EVERYTHING])
@pytest.mark.parametrize("action", Action)
def test_the_engine_takes_what_is_written(action: Action, declared: Declared) -> None:
    """Strict validation of the request: a field too many, too few or of another type is no decision."""
    audit = AUDIT if declared is EVERYTHING else None
    asked = Asked(now=NOW, operation="X", threshold=99.5, attributes=told_by(action), audit=audit)
    made = question(action, CALLER, declared, asked, Collection(owner=Org(CALLER.account)))
    schema = cedarpy.Schema.from_str(SCHEMA.read_text("utf-8"))
    context = facts.cedar(made.facts)
    request = {
        "principal": facts.uid("Agent", "k"),
        "action": facts.uid("Action", action),
        "resource": facts.uid("Collection", "c"),
        "context": context,
    }
    permit = "permit (principal, action, resource);"
    answer = cedarpy.is_authorized(request, permit, cedarpy.Entities.from_json_str("[]", schema), schema)
    assert answer.allowed, answer.diagnostics.errors
    context.popitem()
    if declared is EVERYTHING and type(made.facts).__mro__[1] is facts.Call:
        return  # the last one is the audit, which may be absent
    answer = cedarpy.is_authorized(request, permit, cedarpy.Entities.from_json_str("[]", schema), schema)
    assert answer.decision is cedarpy.Decision.NoDecision


def test_what_is_not_declared_is_the_keys_or_false_or_unstated() -> None:
    made = question(
        Action.IDENTIFY, CALLER, Declared(), Asked(now=NOW, operation="X", threshold=80.0), None
    ).facts
    assert (made.place, made.purpose, made.scene, made.grounds) == (
        "US",
        "general",
        facts.Scene(),
        facts.Grounds(),
    )


def test_what_compares_needs_a_threshold() -> None:
    with pytest.raises(TypeError, match="threshold"):
        question(Action.VERIFY, CALLER, Declared(), Asked(now=NOW, operation="X"), None)
