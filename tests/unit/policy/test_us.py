"""The packs of American cities and states: each by itself, and all of them at once."""

from __future__ import annotations

import datetime as dt

import pytest

from countenance.declared import Declared, Requester, Venue
from countenance.policy import Policy, cases
from countenance.policy import pack as packs_on_disk
from countenance.policy.facts import Asked, Collection, Org, question
from countenance.types import Action, Caller, Decision, OrganisationKind

PACKS = sorted(name for name in packs_on_disk.shipped() if name.startswith("us-"))
TODAY = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ORDINARY = (
    Action.DETECT,
    Action.DESCRIBE,
    Action.VERIFY,
    Action.IDENTIFY,
    Action.MANAGE,
)


@pytest.fixture(scope="module")
def together() -> Policy:
    return Policy.load(["base", *PACKS])


def asked(
    policy: Policy, kind: str, place: str, action: Action, purpose: str, requester: Requester | None = None
) -> Decision:
    """What the packs say today of a call from a private place in the caller's own, untagged collection."""
    caller = Caller("000000000001", "a test", OrganisationKind(kind), place, None, "a key")
    request = Asked(now=TODAY, operation="", threshold=99.0)
    declared = Declared(purpose=purpose, place=place, venue=Venue.PRIVATE, on_behalf_of=requester)
    collection = Collection(owner=Org(caller.account))
    return policy.decide(question(action, caller, declared, request, collection))


def test_the_ten_are_there() -> None:
    assert set(PACKS) >= {
        "us-ca-ab1215",
        "us-ca-sf",
        "us-co",
        "us-il-bipa",
        "us-ma-bos",
        "us-md",
        "us-or-pdx",
        "us-tx-cubi",
        "us-va",
        "us-wa",
    }


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_loads_and_passes_its_own_tests(name: str) -> None:
    rules = Policy.load(["base", name]).rules
    own = [rule for rule in rules.values() if rule.id.startswith(f"{name}/")]
    assert own
    assert not any(rule.permits for rule in own)


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_tests_the_day_before_and_the_first_day_of_each_rule(name: str) -> None:
    pack = packs_on_disk.read(packs_on_disk.folder_of(name), packs_on_disk.read_schema())
    days = {asked.facts.now.date() for case in cases.read(pack) for asked in case.questions}
    for rule in pack.rules:
        for day in filter(None, (rule.effective, rule.until)):
            assert {day - dt.timedelta(1), day} <= days, rule.id


@pytest.mark.parametrize(
    "place",
    ["US-CA-SF", "US-OR-PDX", "US-MA-BOS", "US-CA", "US-WA", "US-CO", "US-MD", "US-VA", "US-IL", "US-TX"],
)
def test_an_ordinary_business_works_under_all_of_them(together: Policy, place: str) -> None:
    for action in ORDINARY:
        assert asked(together, "business", place, action, "photo-library").rules == ("base/permit-ordinary",)


def test_the_police_of_san_francisco_are_told_which_ordinance_refuses_them(together: Policy) -> None:
    said = asked(together, "police", "US-CA-SF", Action.IDENTIFY, "criminal-investigation")
    assert not said.allowed
    assert said.rules == ("us-ca-sf/19B.2",)
    assert "19B" in said.source
    assert "19B" in said.refusals[0].advice


@pytest.mark.parametrize(
    ("kind", "place"), [("business", "US-TX"), ("police", "US-MD"), ("business", "US-CA-SF")]
)
def test_their_ban_follows_them(together: Policy, kind: str, place: str) -> None:
    requester = Requester(OrganisationKind.POLICE, "US-CA-SF")
    said = asked(together, kind, place, Action.IDENTIFY, "missing-persons", requester)
    assert not said.allowed
    assert "us-ca-sf/19B.2" in said.rules


def test_no_advice_names_another_purpose_place_or_kind(together: Policy) -> None:
    words = (
        {str(kind) for kind in OrganisationKind}
        | together.vocabulary["Purpose"]
        | together.vocabulary["Place"]
    )
    coaching = {word for word in words if "-" in word}  # "audit" and "IN" are also plain English
    for rule in together.rules.values():
        if not rule.permits:
            assert not {word for word in coaching if word in rule.advice}, rule.id
