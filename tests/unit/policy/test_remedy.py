"""What a refusal says would turn it: that it does, that nothing else is named, and what it costs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cedarpy
import pytest

from countenance.declared import (
    TAGS,
    Authorisation,
    AuthorisationKind,
    Basis,
    Consent,
    Listing,
    Origin,
    Venue,
)
from countenance.policy import Policy, Question, cases, pack
from countenance.policy.partial import NO, YES, condition, known
from countenance.policy.remedy import told
from countenance.types import Action, Attribute, OrganisationKind
from tests.unit.policy.packs import ABOUT

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
SEARCH: Mapping[str, Any] = {"actions": ["identify"]}
ALL: Mapping[str, Any] = {
    "actions": ["detect", "describe", "infer"],
    "attributes": list(Attribute),
    "collection": "none",
}
POLICE: Mapping[str, Any] = {"kind": "police", "place": "US-CA-SF", "purpose": "criminal-investigation"}


@pytest.fixture(scope="module")
def everything() -> Policy:
    return Policy.read(pack.shipped())


def call(**lines: Any) -> tuple[Question, ...]:
    return cases.questions({"now": NOW, "kind": "business", "place": "US", "purpose": "general", **lines})


def pack_of(folder: Path, rules: str, case: str) -> Path:
    """A pack of these rules and one case, read without running it."""
    notes = '@source("s") @quote("q") @advice("a") @effective("always")'
    folder.mkdir()
    (folder / "pack.toml").write_text(ABOUT)
    (folder / "entities.json").write_text("[]")
    (folder / "rules.cedar").write_text(rules.replace("@notes", notes))
    (folder / "tests.toml").write_text(case)
    return folder


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        # It is refused for its purpose: no venue takes it out of 5(1)(f).
        ({"place": "DE", "purpose": "workplace", "actions": ["infer"], "attributes": ["EMOTIONS"]}, ()),
        # Silence about the venue is refused in Portland, and so is what is open to the public.
        ({"place": "US-OR-PDX", **SEARCH}, ("venue", "countenance:basis")),
        ({"place": "US-OR-PDX", "venue": "public-accommodation", **SEARCH}, ("countenance:basis",)),
        ({"place": "US-OR-PDX", "collection": "none", **SEARCH}, ("venue",)),
        # Evidence is a ground of 5(1)(h) where there is a threat to the public, not otherwise.
        (
            {"place": "DE", "purpose": "border-control", "public-space": True, "realtime": True, **SEARCH},
            ("offence", "authorisation", "listing"),
        ),
        (
            {"place": "DE", "purpose": "public-safety", "public-space": True, "realtime": True, **SEARCH},
            ("offence", "authorisation", "evidence", "listing"),
        ),
        # Nothing turns San Francisco's ban; an audit, which no call can say, turns IBM's.
        ({**POLICE, **SEARCH}, ()),
    ],
)
def test_only_what_could_turn_a_rule_is_missed(
    everything: Policy, lines: Mapping[str, Any], missing: tuple[str, ...]
) -> None:
    decision = everything.decide_all(call(**lines))
    assert not decision.allowed
    assert decision.missing == missing


def test_what_is_missed_turns_the_rule_and_what_is_not_does_not(everything: Policy) -> None:
    """Of every refusal in every pack's own tests, by asking the engine."""
    seen = set()
    for name in pack.shipped():
        for case in cases.read(pack.read(pack.folder_of(name), pack.read_schema())):
            for asked in case.questions:
                decision = everything.decide(dataclasses.replace(asked, requester=None))
                if len(decision.rules) == 1 and not decision.allowed and not decision.errors:
                    key = (*decision.rules, asked.action, decision.missing)
                    if key not in seen:
                        seen.add(key)
                        check_missing(everything, asked, decision.rules[0], decision.missing)
    assert len(seen) > 30
    assert any(missing for *_, missing in seen)


def check_missing(policy: Policy, asked: Question, rule: str, missing: Sequence[str]) -> None:
    words = statements(asked)

    def refuses(**said: Any) -> bool:
        return rule in policy.decide(stating(asked, said)).rules

    for name in words.keys() - set(missing):
        assert all(refuses(**{name: word}) for word in words[name]), f"{rule} turns by {name}, not missed"
    ways = [
        dict(zip(missing, way, strict=True)) for way in itertools.product(*(words[name] for name in missing))
    ]
    for name in missing:
        turned = (
            refuses(**{other: word for other, word in way.items() if other != name})
            for way in ways
            if not refuses(**way)
        )
        assert any(turned), f"{rule} turns without {name}, or not by {missing}"


def statements(asked: Question) -> dict[str, tuple[Any, ...]]:
    """What a call could say of what it does not."""
    day = dt.timedelta(days=1)
    grounds: dict[str, tuple[Any, ...]] = {
        "case": ("C-1",),
        "evidence": ("a witness",),
        "offence": ("eu-terrorism", "us-md-theft"),
        "listing": tuple(Listing),
        "authorisation": tuple(
            Authorisation("A", kind, "it", asked.facts.now - day / 4, asked.facts.now + day / 4)
            for kind in AuthorisationKind
        ),
    }
    words = {name: said for name, said in grounds.items() if not getattr(asked.facts.grounds, name)}
    if not asked.facts.grounds.two_reviewers:
        words["reviewers"] = (frozenset({"Ada", "Grace"}),)
    if asked.facts.scene.venue is Venue.UNSTATED:
        words["venue"] = tuple(Venue)
    if (held := asked.collection) is not None:
        for name, kind in (("origin", Origin), ("basis", Basis), ("consent", Consent)):
            if getattr(held, name) == "unstated":
                words[f"countenance:{name}"] = tuple(kind)
    return words


def stating(asked: Question, said: Mapping[str, Any]) -> Question:
    tags = {name.removeprefix("countenance:"): word for name, word in said.items() if name in TAGS}
    grounds = {name: word for name, word in said.items() if name not in TAGS and name != "venue"}
    facts = dataclasses.replace(
        asked.facts,
        scene=dataclasses.replace(asked.facts.scene, venue=said.get("venue", asked.facts.scene.venue)),
        grounds=dataclasses.replace(
            asked.facts.grounds,
            **grounds,
            two_reviewers="reviewers" in grounds or asked.facts.grounds.two_reviewers,
        ),
    )
    held = asked.collection and dataclasses.replace(asked.collection, **tags)
    return dataclasses.replace(asked, facts=facts, collection=held, requester=None)


def everybody() -> Iterator[dict[str, Any]]:
    for kind, place, purpose in itertools.product(
        OrganisationKind, ("US-CA-SF", "DE", "GB", "JP"), ("general", "workplace", "criminal-investigation")
    ):
        yield {"kind": kind.value, "place": place, "purpose": purpose}


@pytest.mark.parametrize("retired", [True, False])
def test_whoever_is_told_to_leave_out_attributes_is_told_those_that_are_refused(
    everything: Policy, *, retired: bool
) -> None:
    """The advice is read off the rules; here the engine is asked about each attribute alone."""
    usual = [name for name in pack.shipped() if name != "microsoft-2022-attributes"]
    policy = everything if retired else Policy.read(usual)
    for who in everybody():
        asked = call(**who, **ALL)
        decision = policy.decide_all(asked)
        names = [
            one
            for each in asked[1:]
            for one in sorted(each.facts.attributes)  # type: ignore[attr-defined]
            if not policy.decide(
                dataclasses.replace(
                    each,
                    facts=dataclasses.replace(each.facts, attributes=frozenset({one})),  # type: ignore[call-arg]
                )
            ).allowed
        ]
        told = f"Leave out {', '.join(names)}: name the attributes you want instead of ALL."
        assert decision.allowed is not bool(names), who
        assert decision.allowed or decision.advice.endswith(told), who


@pytest.mark.parametrize(
    "lines",
    [
        {**POLICE, **ALL},
        {"place": "DE", "purpose": "workplace", **ALL},
        {"on-behalf-of": {"kind": "police", "place": "GB"}, **ALL},
    ],
)
def test_what_to_leave_out_takes_few_decisions(
    everything: Policy, monkeypatch: pytest.MonkeyPatch, lines: dict[str, Any]
) -> None:
    asked, engine = call(**lines), cedarpy.is_authorized
    times = []

    def counted(*arguments: Any) -> Any:
        times.append(1)
        return engine(*arguments)

    monkeypatch.setattr(cedarpy, "is_authorized", counted)
    sides = 2 if "on-behalf-of" in lines else 1
    assert "Leave out" in everything.decide_all(asked).advice
    assert len(times) <= sides * (len(asked) + 2)  # once each, and once more for what is left of two


def test_leaving_out_is_not_advised_where_the_rest_is_refused_too(tmp_path: Path) -> None:
    """Each alone is permitted; what a rule refuses is two of them together."""
    rules = """@id("pairs") @notes forbid (principal, action == Countenance::Action::"describe", resource)
    when { context.attributes.contains(Countenance::Attribute::"SMILE") &&
           context.attributes.contains(Countenance::Attribute::"BEARD") };
    """
    policy = Policy.read(["base", pack_of(tmp_path / "pairs", rules, "")])
    decision = policy.decide_all(call(**ALL))
    assert decision.rules == ("pairs",)
    assert "Leave out" not in decision.advice


@pytest.mark.parametrize(
    "until", [dt.datetime(9999, 12, 31, 23, tzinfo=dt.UTC), dt.datetime(2026, 11, 23, tzinfo=dt.UTC)]
)
def test_a_day_past_the_last_that_python_knows_is_the_engines_matter(
    everything: Policy, until: dt.datetime
) -> None:
    asked = call(place="DE", purpose="border-control", **{"public-space": True, "realtime": True}, **SEARCH)
    exigent = Authorisation("A", AuthorisationKind.EXIGENT, "it", until - dt.timedelta(minutes=5), until)
    decision = everything.decide_all([stating(asked[0], {"authorisation": exigent})])
    assert "eu-ai-act/5-1-h" in decision.rules
    assert not decision.errors


def test_a_word_of_an_older_home_is_refused_where_a_rule_reads_it(tmp_path: Path) -> None:
    """A tag that says TRUE must not slip past the rule about true."""
    rules = """@id("suspects") @notes
    forbid (principal, action == Countenance::Action::"identify", resource is Countenance::Collection)
    when { resource.neverSuspects };
    @id("by-name") @notes
    forbid (principal, action == Countenance::Action::"verify", resource is Countenance::Collection)
    when { resource.hasTag("countenance:consent") && resource.getTag("countenance:consent") == "none" };
    """
    policy = Policy.read(["base", pack_of(tmp_path / "older", rules, "")])

    def decide(action: str, **tags: str) -> Any:
        named = {f"countenance:{name.replace('_', '-')}": word for name, word in tags.items()}
        return policy.decide_all(call(actions=[action], tags=named))

    refused = decide("identify", never_suspects="TRUE")
    assert not refused.allowed
    assert refused.errors == (
        "the collection's tag countenance:never-suspects says 'TRUE', which is none of false, true: "
        "it has to be set anew",
    )
    assert refused.advice.startswith("The collection's tag countenance:never-suspects says 'TRUE'")
    assert decide("identify", never_suspects="false").allowed
    assert decide("identify", consent="NONE").allowed  # no rule about searches reads it
    assert not decide("verify", consent="NONE").allowed
    assert decide("verify", never_suspects="TRUE", origin="webscrape").allowed
    assert decide("manage", never_suspects="TRUE", consent="NONE").allowed  # it can be seen and deleted
    assert len(decide("identify", never_suspects="x" * 500).errors[0]) < 200


@pytest.mark.parametrize(
    ("tag", "word", "place"), [("origin", "webscrape", "DE"), ("consent", "WRITTEN", "US-TX")]
)
def test_no_law_that_ships_takes_an_unknown_word_for_silence(
    everything: Policy, tag: str, word: str, place: str
) -> None:
    asked = call(place=place, actions=["enrol"], tags={f"countenance:{tag}": word})
    decision = everything.decide_all(asked)
    assert not decision.allowed
    assert f"countenance:{tag} says {word!r}" in decision.errors[0]


@pytest.mark.parametrize("word", ["when", "unless"])
@pytest.mark.parametrize(
    "asks",
    [
        'action in [Countenance::Action::"identify", Countenance::Action::"watch"]',
        'context.purpose in [Countenance::Purpose::"general", Countenance::Purpose::"audit"]',
        'context.purpose in Countenance::Purpose::"law-enforcement"',
        "if context.scene.realtime then false else context.grounds.reviewers.isEmpty()",
        '(if context.scene.realtime then context.purpose else Countenance::Purpose::"audit") '
        '== Countenance::Purpose::"audit"',
        'resource is Countenance::Collection && resource.basis == Countenance::Basis::"law"',
        'resource is Countenance::Collection in Countenance::Collection::"x"',
        'resource is Countenance::Collection && resource.hasTag("a.b") && resource.getTag("a.b") == "c"',
        'resource is Countenance::Collection && resource.owner.kind == Countenance::OrgKind::"police"',
        'principal.org.kind == Countenance::OrgKind::"police"',
        'principal in Countenance::Org::"000000000001"',
        'context.operation like "Search*"',
        'context has grounds.case && context.grounds.case like "C*"',
        'context has audit && context.audit.worstRatio.greaterThan(decimal("1.0"))',
        'context.threshold.lessThan(decimal("99.5"))',
        'context.grounds.reviewers.containsAll(["a"])',
        "{a: 1}.a == 1 && 1 + 2 == 3 && -1 < 0",
    ],
)
def test_an_expression_says_what_the_engine_says_or_leaves_it_open(
    tmp_path: Path, asks: str, word: str
) -> None:
    head = '@id("asks") @notes forbid (principal, action == Countenance::Action::"identify", resource)'
    policy = Policy.read(["base", pack_of(tmp_path / "asks", f"{head} {word} {{ {asks} }};", "")])
    [(_, tree)] = json.loads(cedarpy.policies_to_json_str(policy.packs[1].text))["staticPolicies"].items()
    whole = condition(tree, Action.IDENTIFY)
    for kind, collection in itertools.product(("police", "business"), ("own", "none")):
        [asked] = call(kind=kind, collection=collection, **SEARCH)
        said = known(whole, told(asked), pack.above(policy.packs))
        decision = policy.decide(asked)
        assert not decision.errors
        assert said not in (YES, NO) or (said == YES) == (decision.rules == ("asks",))
