"""Who may do what under the base pack, and that everything which goes wrong is a refusal."""

from __future__ import annotations

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countenance.declared import Declared, Origin, Requester
from countenance.policy import Asked, Collection, Org, Policy, Question, question
from countenance.policy.pack import folder_of
from countenance.types import Action, Attribute, Caller, Decision, OrganisationKind, told_by

BASE = Policy.load()
OWN, OTHER = Org("111111111111"), Org("222222222222")
NOW = dt.datetime(2026, 11, 21, 20, 30, tzinfo=dt.UTC)
LAW_ENFORCEMENT = {OrganisationKind.POLICE, OrganisationKind.FEDERAL_LAW_ENFORCEMENT}
ORDINARY = sorted(set(OrganisationKind) - LAW_ENFORCEMENT)


def facts(action: Action = Action.IDENTIFY, **changes: Any) -> Question:
    """A business searching its own collection, or what differs from that."""
    caller = Caller(OWN, "Example Ltd", OrganisationKind.BUSINESS, "US-CA", "photo-library", "AKIDEXAMPLE")
    caller = replace(
        caller, **{name: changes.pop(name) for name in ("kind", "place", "purpose") if name in changes}
    )
    asked: dict[str, Any] = {"now": NOW, "operation": "SearchFacesByImage", "threshold": 80.0}
    asked |= {name: changes.pop(name) for name in tuple(changes) if name in Asked.__dataclass_fields__}
    collection = changes.pop("collection", Collection(owner=OWN))
    return question(action, caller, Declared(**changes), Asked(**asked), collection)


@pytest.mark.parametrize("kind", ORDINARY)
@pytest.mark.parametrize("action", sorted(set(Action) - {Action.WATCH}))
def test_ordinary_organisations_work_in_their_own_collections(kind: OrganisationKind, action: Action) -> None:
    assert BASE.decide(facts(action, kind=kind)).allowed
    assert not BASE.decide(facts(action, kind=kind, collection=Collection(owner=OTHER))).allowed


@pytest.mark.parametrize("kind", sorted(LAW_ENFORCEMENT))
def test_law_enforcement_sees_and_deletes_what_is_its_own_and_no_more(kind: OrganisationKind) -> None:
    for purpose in sorted(BASE.purposes):
        for collection in (Collection(owner=OWN), None):
            allowed = {
                action
                for action in Action
                if BASE.decide(facts(action, kind=kind, purpose=purpose, collection=collection)).allowed
            }
            assert allowed == {Action.DETECT, Action.DESCRIBE, Action.MANAGE} | (
                {Action.GOVERN} if collection else set()
            )
        theirs = [
            facts(action, kind=kind, purpose=purpose, collection=Collection(owner=OTHER)) for action in Action
        ]
        assert not any(BASE.decide(call).allowed for call in theirs)


def test_nothing_in_base_forbids_so_that_a_granting_pack_can_open_it() -> None:
    assert all(rule.permits for rule in BASE.rules.values())


@pytest.mark.parametrize("purpose", ["workplace", "education"])
def test_nobody_reads_emotions_at_work_or_school(purpose: str) -> None:
    def asked(*names: Attribute) -> Decision:
        describe, infer = (
            facts(action, purpose=purpose, attributes=told_by(action) & set(names))
            for action in (Action.DESCRIBE, Action.INFER)
        )
        return BASE.decide_all([describe, infer])

    refusal = asked(*Attribute)
    assert not refusal.allowed
    assert refusal.advice.endswith("Leave out EMOTIONS: name the attributes you want instead of ALL.")
    assert asked(*set(Attribute) - {Attribute.EMOTIONS}).allowed


def test_police_are_told_to_leave_out_what_is_inferred() -> None:
    police = {"kind": OrganisationKind.POLICE, "purpose": "criminal-investigation"}
    calls = [facts(action, attributes=told_by(action), **police) for action in (Action.DETECT, Action.INFER)]
    assert "Leave out AGE_RANGE, EMOTIONS, GENDER:" in BASE.decide_all(calls).advice
    calls.append(facts(Action.VERIFY, **police))
    assert "Leave out" not in BASE.decide_all(calls).advice  # it would not help


def test_a_permission_names_its_rule_and_the_packs() -> None:
    decision = BASE.decide(facts())
    assert (decision.allowed, decision.rules, decision.errors) == (True, ("base/permit-ordinary",), ())
    assert decision.pack == BASE.digest
    assert re.fullmatch("[0-9a-f]{64}", BASE.digest)


def test_a_refusal_without_a_rule_says_what_would_change_it() -> None:
    decision = BASE.decide(facts(kind=OrganisationKind.POLICE, purpose="criminal-investigation"))
    assert (decision.allowed, decision.rules, decision.errors) == (False, (), ())
    assert decision.advice.startswith("No rule permits identify to police for criminal-investigation.")
    assert "A pack that grants it by name would have to be in force." in decision.advice
    assert decision.source == BASE.rules["base/permit-ordinary"].source


def test_a_refusal_promises_no_more_than_it_can_keep() -> None:
    """What turns a ban does not help where no rule would permit the call either."""
    both = Policy.load([BASE.packs[0].name, "ibm-2020"])
    police: dict[str, Any] = {"kind": OrganisationKind.POLICE, "purpose": "criminal-investigation"}
    banned = both.decide(facts(**police))
    assert banned.rules == ("ibm-2020/audit",)
    assert "Even then no rule permits identify to police" in banned.advice
    business = both.decide(facts(purpose="criminal-investigation"))
    assert (business.rules, business.advice) == (("ibm-2020/audit",), "")
    [ban] = business.refusals
    assert ban.advice == both.rules["ibm-2020/audit"].advice
    assert "Organisations other than" not in BASE.decide(facts(**police)).advice


def test_a_refusal_in_anothers_collection_says_so() -> None:
    assert (
        "collection of another organisation" in BASE.decide(facts(collection=Collection(owner=OTHER))).advice
    )


def test_an_action_no_rule_permits_to_anyone_is_refused_without_a_nearest_rule() -> None:
    decision = BASE.decide(facts(Action.WATCH))
    assert not decision.allowed
    assert "nearest" not in decision.advice


def test_a_call_is_allowed_if_all_its_actions_are() -> None:
    good, bad, worse = facts(Action.DETECT), facts(Action.WATCH), facts(purpose="no-such")
    both = BASE.decide_all([good, facts(Action.INFER)])
    assert both.allowed
    assert both.rules == ("base/permit-infer", "base/permit-ordinary")
    refused = BASE.decide_all([good, bad, worse])
    assert not refused.allowed
    assert refused.rules == ()
    assert refused.advice == BASE.decide(bad).advice
    assert refused.errors == BASE.decide(worse).errors


def test_a_call_without_an_action_is_refused() -> None:
    decision = BASE.decide_all([])
    assert not decision.allowed
    assert decision.errors


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"purpose": None}, "no purpose is declared"),
        ({"purpose": "mass-surveilance"}, "'mass-surveilance' is not in the vocabulary"),
        ({"purpose": ""}, "no purpose is declared"),
        ({"purpose": "any"}, "'any' is not in the vocabulary"),
        ({"purpose": 'x" || true || "'}, "is not in the vocabulary"),
        ({"place": "US-ZZ"}, "'US-ZZ' is not in the vocabulary"),
        ({"place": "us-ca"}, "'us-ca' is not in the vocabulary"),
    ],
)
def test_a_word_outside_the_vocabulary_is_refused_and_named(changes: dict[str, object], told: str) -> None:
    for action in Action:
        decision = BASE.decide(facts(action, **changes))
        assert not decision.allowed
        assert told in decision.errors[0]


def test_an_organisation_need_not_say_where_it_is() -> None:
    assert BASE.decide(facts(place="world")).allowed


def test_facts_that_do_not_fit_the_schema_are_refused() -> None:
    """A similarity past Cedar's decimals, say: the engine answers that it cannot decide."""
    decision = BASE.decide(facts(threshold=1e30))
    assert not decision.allowed
    assert decision.errors


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), -float("inf")])
def test_a_threshold_that_is_no_number_is_refused(threshold: float) -> None:
    decision = BASE.decide(facts(threshold=threshold))
    assert not decision.allowed
    assert decision.errors


def test_now_without_a_time_zone_is_no_fact() -> None:
    with pytest.raises(ValueError, match="time zone"):
        facts(now=dt.datetime(2026, 11, 21))  # noqa: DTZ001 - the point of the test


@settings(deadline=None)
@given(
    tags=st.dictionaries(st.text(), st.text(), max_size=4),
    operation=st.text(),
    key=st.text(),
    kind=st.sampled_from(sorted(LAW_ENFORCEMENT)),
)
def test_no_text_a_caller_chooses_talks_the_engine_into_a_permission(
    tags: dict[str, str], operation: str, key: str, kind: OrganisationKind
) -> None:
    asked = facts(kind=kind, collection=Collection(owner=OWN, tags=tags), operation=operation)
    assert not BASE.decide(replace(asked, caller=replace(asked.caller, key=key))).allowed


def test_every_action_and_resource_fits_the_schema() -> None:
    """A request that does not fit is refused with an error; none of ours may be."""
    for action in Action:
        for collection in (
            None,
            Collection(owner=OWN, origin=Origin.LICENSED, tags={"a": "b"}),
            Collection(owner=OTHER),
        ):
            for threshold in (0.0, 99.99999, 100.0):
                for kind in OrganisationKind:
                    asked = facts(action, kind=kind, collection=collection, threshold=threshold)
                    assert BASE.decide(asked).errors == ()


def test_places_nest_and_each_country_is_there() -> None:
    assert {"US", "US-CA", "DE", "GB", "EU"} <= BASE.places
    assert len([place for place in BASE.places if len(place) == 2 and place != "EU"]) == 249  # ISO 3166-1
    assert len([place for place in BASE.places if place.startswith("US-")]) == 51


def test_threads_share_a_policy() -> None:
    asked = [
        facts(kind=kind, collection=Collection(owner=OWN, tags={"n": str(n)}))
        for n in range(40)
        for kind in OrganisationKind
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(BASE.decide, asked))
    assert [answer.allowed for answer in answers] == [
        call.caller.kind not in LAW_ENFORCEMENT for call in asked
    ]


def test_an_engine_that_raises_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("the engine is out of order")

    monkeypatch.setattr(cedarpy, "is_authorized", broken)
    decision = BASE.decide(facts())
    assert (decision.allowed, decision.errors) == (False, ("the engine is out of order",))


def test_the_base_pack_ships_with_its_tests() -> None:
    assert (folder_of("base") / "tests.toml").is_file()


def test_a_ban_follows_the_requester() -> None:
    """Asked on behalf of somebody, the call is theirs as well: both must be allowed."""
    police = Requester(OrganisationKind.POLICE, "US-CA")
    refused = BASE.decide(facts(on_behalf_of=police))
    assert not refused.allowed
    assert refused.advice.startswith("On behalf of police in US-CA: No rule permits identify to police")
    assert BASE.decide(facts(Action.DETECT, on_behalf_of=police)).allowed
    banned = Policy.read(["base", "ibm-2020", "us-or-pdx"]).decide(
        facts(on_behalf_of=Requester(OrganisationKind.PUBLIC_AGENCY, "US-OR-PDX"))
    )
    assert [rule.rule for rule in banned.refusals] == ["us-or-pdx/190113"]
    assert banned.advice == "This binds public-agency in US-OR-PDX, on whose behalf it is asked."
    assert BASE.decide(facts(on_behalf_of=Requester(OrganisationKind.NGO, "DE"))).allowed
    assert not BASE.decide(
        facts(kind=OrganisationKind.POLICE, on_behalf_of=Requester(OrganisationKind.NGO, "DE"))
    ).allowed


@pytest.mark.parametrize(
    ("requester", "told"),
    [
        (Requester(OrganisationKind.NGO, "US-ZZ"), "the place 'US-ZZ'"),
        (Requester(OrganisationKind.NGO, "US", frozenset({"nobody"})), "the group 'nobody'"),
    ],
)
def test_a_requester_nobody_knows_is_refused(requester: Requester, told: str) -> None:
    decision = BASE.decide(facts(on_behalf_of=requester))
    assert not decision.allowed
    assert f"{told} is not in the vocabulary" in decision.errors[0]


def test_an_offence_nobody_knows_is_refused() -> None:
    assert "the offence 'any' is not in" in BASE.decide(facts(offence="any")).errors[0]


def test_widening_needs_the_policy_owners_key() -> None:
    asked = facts(Action.GOVERN, widens=True)
    assert not BASE.decide(asked).allowed
    owner = replace(asked, caller=replace(asked.caller, policy_owner=True))
    assert BASE.decide(owner).rules == ("base/permit-widen-own-tags",)
