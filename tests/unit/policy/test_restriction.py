"""Packs only restrict: what is refused stays refused whatever pack is added that does not grant."""

from __future__ import annotations

import dataclasses
import datetime as dt
from functools import cache

import cedarpy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

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
from countenance.policy import Asked, Collection, Org, Pack, Policy, question
from countenance.policy import _met as facts_of_who_and_what
from countenance.policy import _request as request_of
from countenance.policy.pack import folder_of, read, read_schema, shipped
from countenance.types import Action, Attribute, Caller, OrganisationKind

SCHEMA = read_schema()
PACKS = {name: read(folder_of(name), SCHEMA) for name in shipped()}
RESTRICTING = sorted(name for name, pack in PACKS.items() if not pack.about.grants)
WORDS = Policy(list(PACKS.values()), SCHEMA)
DAYS = sorted({day for rule in WORDS.rules.values() for day in rule.dates})


def wordless(pack: Pack) -> Pack:
    """The pack's words without its rules, so that both sides know the same places and purposes."""
    return dataclasses.replace(pack, text="", rules=())


@cache
def policy(names: frozenset[str]) -> Policy:
    packs = [pack if name in names else wordless(pack) for name, pack in PACKS.items()]
    return Policy(packs, SCHEMA)


def some(words: frozenset[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(words))


places = st.sampled_from(["world", "US", "US-CA", "US-CA-SF", "US-MD", "US-IL", "US-OR-PDX", "DE", "GB"])
kinds = st.sampled_from(OrganisationKind)
groups = st.frozensets(some(WORDS.groups), max_size=2)
noons = st.sampled_from(DAYS).flatmap(
    lambda day: st.sampled_from([day - dt.timedelta(days=1), day, day + dt.timedelta(days=400)])
)
moments = noons.map(lambda day: dt.datetime.combine(day, dt.time(12), dt.UTC))
warrants = st.builds(
    lambda kind, begin: Authorisation("7", kind, "a court", begin, begin + dt.timedelta(days=30)),
    st.sampled_from(AuthorisationKind),
    moments,
)
declarations = st.builds(
    Declared,
    purpose=some(WORDS.purposes),
    place=places,
    venue=st.none() | st.sampled_from(Venue),
    realtime=st.booleans(),
    public_space=st.booleans(),
    mobile_camera=st.booleans(),
    case=st.sampled_from([None, "1"]),
    offence=st.none() | some(WORDS.vocabulary["Offence"]) if WORDS.vocabulary["Offence"] else st.none(),
    authorisation=st.none() | warrants,
    evidence=st.sampled_from([None, "a letter"]),
    listing=st.none() | st.sampled_from(Listing),
    reviewers=st.sampled_from([frozenset(), frozenset("a"), frozenset("ab")]),
    on_behalf_of=st.none() | st.builds(Requester, kinds, places, groups),
)
callers = st.builds(
    lambda kind, place, groups, owner: Caller(
        "1" * 12, "", kind, place, None, "a key", groups=groups, policy_owner=owner
    ),
    kinds,
    places,
    groups,
    st.booleans(),
)
collections = st.none() | st.builds(
    Collection,
    owner=st.sampled_from([Org("1" * 12), Org("2" * 12)]),
    origin=st.sampled_from(Origin),
    basis=st.sampled_from(Basis),
    consent=st.sampled_from(Consent),
    never_suspects=st.booleans(),
)
asked = st.builds(
    Asked,
    now=moments,
    operation=st.just("SearchFacesByImage"),
    threshold=st.sampled_from([80.0, 99.0]),
    attributes=st.frozensets(st.sampled_from(Attribute), max_size=3),
    widens=st.booleans(),
)


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(RESTRICTING),
    st.frozensets(st.sampled_from(RESTRICTING), max_size=1),
    st.sampled_from(Action),
    callers,
    declarations,
    asked,
    collections,
)
def test_no_restricting_pack_turns_a_refusal_into_a_permission(
    added: str,
    others: frozenset[str],
    action: Action,
    caller: Caller,
    declared: Declared,
    put: Asked,
    collection: Collection | None,
) -> None:
    names = frozenset({"base"}) | others
    made = question(action, caller, declared, put, collection)
    before = policy(names).decide(made)
    assert before.errors == ()
    assume(not before.allowed)
    assert not policy(names | {added}).decide(made).allowed


WHOLE = cedarpy.PolicySet.from_str("\n".join(pack.text for pack in PACKS.values()))


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(Action), callers, declarations, asked, collections)
def test_the_rules_of_an_action_decide_as_all_of_them_would(
    action: Action, caller: Caller, declared: Declared, put: Asked, collection: Collection | None
) -> None:
    """What the engine is not handed for an action could not have spoken of it."""
    made = dataclasses.replace(question(action, caller, declared, put, collection), requester=None)
    entities = WORDS._with(facts_of_who_and_what(made))
    answer = cedarpy.is_authorized(request_of(made), WHOLE, entities, SCHEMA)
    decision = WORDS.decide(made)
    assert decision.allowed == answer.allowed
    assert set(decision.rules) == set(answer.diagnostics.id_annotations_by_reason.values())
