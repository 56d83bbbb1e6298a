"""Facts of a call in, Decision out. Rules are Cedar files in packs; this folder alone knows the engine.

A call is refused unless a rule permits it and none forbids it. Whatever goes wrong on the way, an
engine error, a word outside the vocabulary, a rule that cannot be evaluated, is a refusal too. A ban
follows the requester: what is asked on somebody's behalf is decided once for the caller and once as if
that body called itself, and only what both may do is done.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cedarpy

from countenance.declared import Declared, Requester, strange
from countenance.errors import PolicyError
from countenance.policy import cases
from countenance.policy import pack as packs_on_disk
from countenance.policy.cases import Case, Expect
from countenance.policy.facts import (
    FACTS,
    Asked,
    Audit,
    Collection,
    Org,
    Question,
    Telling,
    agent,
    cedar,
    defaults,
    organisation,
    question,
    tags_of,
    uid,
)
from countenance.policy.pack import Pack
from countenance.policy.remedy import Remedies
from countenance.policy.retention import Retention
from countenance.policy.rule import CLOSED, Rule
from countenance.types import Action, Caller, Decision, Refusal

__all__ = [
    "BASE",
    "FACTS",
    "Asked",
    "Audit",
    "Collection",
    "Org",
    "Pack",
    "Policy",
    "Question",
    "Retention",
    "Rule",
    "defaults",
    "question",
    "usual",
]

BASE = "base"

PLEDGES = ("amazon-2020", "microsoft-2020", "ibm-2020")
"""What three vendors promised in June 2020. They bind nobody but their issuers; here they hold by default."""


def usual(place: str) -> tuple[str, ...]:
    """The packs a new home begins with: base, the pledges, and every law whose place contains the home's.

    What permits more than base is never among them: it is enabled by name. Raises PolicyError.
    """
    everything = Policy.read(packs_on_disk.shipped())
    laws = [
        pack.name
        for pack in everything.packs
        if pack.about.place != "world"
        and not pack.about.grants
        and everything.within(place, pack.about.place)
    ]
    return (BASE, *PLEDGES, *(name for name in laws if name not in PLEDGES))


class Policy:
    """The packs in force, parsed once. Safe to share between threads: nothing changes after loading."""

    def __init__(self, packs: Sequence[Pack], schema: cedarpy.Schema) -> None:
        packs_on_disk.check_together(packs)
        self.packs = tuple(packs)
        self.digest = packs_on_disk.digest(packs)
        self.rules = {rule.id: rule for pack in packs for rule in pack.rules}
        self.vocabulary: Mapping[str, frozenset[str]] = {
            kind: packs_on_disk.vocabulary(packs, kind) for kind in CLOSED
        }
        self.reads = frozenset(path for rule in self.rules.values() for path in rule.reads)
        self._schema = schema
        try:
            written = json.loads(cedarpy.policies_to_json_str("\n".join(pack.text for pack in packs)))
            self._policies = {action: _policies(written, self._about(action)) for action in Action}
            # Always with the schema: entities made without it lose the action groups, and forbids on a
            # group then match nothing, silently.
            self._store = cedarpy.Entities.from_json_str(
                json.dumps([entity for pack in packs for entity in pack.entities]), schema
            )
        except ValueError as error:
            raise PolicyError(
                f"the packs {[pack.name for pack in packs]} do not go together: {error}"
            ) from error
        self._above = packs_on_disk.above(packs)  # only now: the engine has refused circles
        trees = {tree["annotations"]["id"]: tree for tree in written["staticPolicies"].values()}
        self._remedies = Remedies(self.rules, trees, self._above)
        self._tags = {
            action: tags_of(path for name in self._about(action) for path in self.rules[name].reads)
            for action in Action
        }
        # Callers come back: the handle for one caller and one collection is worth keeping.
        self._entities = lru_cache(maxsize=256)(self._with)

    @classmethod
    def load(cls, packs: Sequence[str | Path] = (BASE,)) -> Policy:
        """Read, validate and test packs; a str names one that ships with Countenance.

        Raises PolicyError naming the file and rule that is wrong, or the test that fails.
        """
        policy = cls.read(packs)
        policy.check()
        return policy

    @classmethod
    def read(cls, packs: Sequence[str | Path]) -> Policy:
        """The same without running the packs' tests: to look at, not to decide by. Raises PolicyError."""
        schema = packs_on_disk.read_schema()
        found = [packs_on_disk.read(packs_on_disk.folder_of(name), schema) for name in packs]
        files = (schema, *((pack.folder, pack.about, pack.digests) for pack in found))
        policy = _READ.get(files)
        if policy is None:
            policy = cls(found, schema)
            if len(_READ) == _SETS_KEPT:
                _READ.clear()
            _READ[files] = policy
        return policy

    @property
    def retention(self) -> Retention:
        """How long templates and private records may be kept, and must be."""
        return Retention((limit for pack in self.packs for limit in pack.limits), self.within)

    @property
    def purposes(self) -> frozenset[str]:
        return self.vocabulary["Purpose"]

    @property
    def places(self) -> frozenset[str]:
        return self.vocabulary["Place"]

    @property
    def groups(self) -> frozenset[str]:
        return self.vocabulary["Group"]

    def decide(self, asked: Question) -> Decision:
        """Decide one action, for the caller and for whom it is asked. About 0.1 ms each
        (docs/decisions/0004-cedar-decides.md)."""
        if (who := asked.requester) is None:
            return self._decide(asked)
        theirs, whose = self._decide(_as_them(asked, who)), f"{who.kind} in {who.place}"
        advice = f"On behalf of {whose}: {theirs.advice}"
        if not theirs.advice:
            advice = f"This binds {whose}, on whose behalf it is asked."
        theirs = dataclasses.replace(theirs, advice=advice)
        return self._all_of([self._decide(asked), theirs])

    def within(self, place: str, other: str) -> bool:
        """Whether a place is another or lies in it."""
        return ("Place", other) in self._above.get(("Place", place), ())

    def beyond(self, caller: Caller, declared: Declared) -> Decision | None:
        """The refusal of a call that declares what its key is not for; None where it does not."""
        purpose, place = declared.purpose, declared.place
        errors = []
        if purpose is not None and purpose not in caller.purposes:
            errors.append(f"this key was not issued for the purpose {purpose!r}")
        if place is not None and not self.within(place, caller.place):
            errors.append(f"the place {place!r} is not in {caller.place!r}, where this key's organisation is")
        if not errors:
            return None
        return self._refused(errors=tuple(errors), advice=" ".join(map(_sentence, errors)))

    def decide_all(self, questions: Sequence[Question]) -> Decision:
        """Decide a call by all its actions: allowed if each is, refused with the first refusal's words."""
        decisions = [self.decide(asked) for asked in questions]
        if not decisions:
            return self._unanswered(["a call without an action cannot be decided"])
        decision = self._all_of(decisions)
        left_out = "" if decision.allowed else self._left_out(questions, decisions)
        return dataclasses.replace(decision, advice=" ".join(filter(None, (decision.advice, left_out))))

    def _all_of(self, decisions: Sequence[Decision]) -> Decision:
        """Allowed if each is; else what the refusals say."""
        refusals = [decision for decision in decisions if not decision.allowed]
        telling = refusals or decisions
        return Decision(
            allowed=not refusals,
            rules=tuple(sorted({rule for decision in telling for rule in decision.rules})),
            errors=tuple(dict.fromkeys(error for decision in telling for error in decision.errors)),
            pack=self.digest,
            advice=next((refusal.advice for refusal in refusals if refusal.advice), ""),
            source=refusals[0].source if refusals else "",
            refusals=tuple(dict.fromkeys(each for refusal in refusals for each in refusal.refusals)),
            missing=tuple(dict.fromkeys(name for refusal in refusals for name in refusal.missing)),
        )

    def _decide(self, asked: Question) -> Decision:
        if unheard := self._unheard(asked):
            unsaid = () if asked.facts.purpose else ("purpose",)
            return self._refused(errors=unheard, advice=_sentence(unheard[0]), missing=unsaid)
        try:
            answer = cedarpy.is_authorized(
                _request(asked), self._policies[asked.action], self._entities(_met(asked)), self._schema
            )
        except ValueError as error:
            return self._unanswered([str(error)])
        return self._judge(asked, answer)

    def _left_out(self, questions: Sequence[Question], decisions: Sequence[Decision]) -> str:
        """Which attributes to leave out for the call to be permitted, if that is all it takes: what else it
        asks for is put to the engine once more."""
        names = []
        for asked, said in zip(questions, decisions, strict=True):
            if said.allowed:
                continue
            if said.errors or not (isinstance(asked.facts, Telling) and asked.facts.attributes):
                return ""
            refused = self._remedies.refused(asked)
            if asked.requester is not None:
                refused |= self._remedies.refused(_as_them(asked, asked.requester))
            rest = dataclasses.replace(asked.facts, attributes=asked.facts.attributes - refused)
            if rest.attributes and not self.decide(dataclasses.replace(asked, facts=rest)).allowed:
                return ""
            names += sorted(refused)
        return f"Leave out {', '.join(names)}: name the attributes you want instead of ALL." if names else ""

    def check(self) -> None:
        """Run each pack's own tests, on that pack and base alone. Raises PolicyError on the first failure."""
        found = [pack for pack in self.packs if pack.name == BASE]
        base = found or [packs_on_disk.read(packs_on_disk.folder_of(BASE), self._schema)]
        for pack in self.packs:
            beside = [] if pack in base else [pack]
            tested = packs_on_disk.digest([*base, *beside]), packs_on_disk.text_of(pack.folder / cases.FILE)
            if tested in _PASSED:
                continue
            # Base must know the pack's words, or it would refuse its places and groups as unheard of.
            words = [dataclasses.replace(each, text="", rules=()) for each in beside]
            alone, ordinary = (Policy([*base, *more], self._schema) for more in (beside, words))
            for case in cases.read(pack):
                alone.run(case, ordinary)
            _PASSED.add(tested)

    def run(self, case: Case, base: Policy) -> None:
        """Raises PolicyError where this policy decides a case otherwise than it says. base: what "no-effect"
        is compared with."""
        for asked in case.questions:
            decision = self.decide(asked)
            if case.expect is Expect.NO_EFFECT:
                without = base.decide(asked)
                wanted, rules = without.allowed, set(without.rules)
            else:
                wanted, rules = case.expect is Expect.ALLOW, set(case.rules)
            if (decision.allowed, set(decision.rules)) != (wanted, rules):
                expected, got = (("allow" if yes else "deny") for yes in (wanted, decision.allowed))
                raise PolicyError(
                    f"{case.where}: {asked.action}: expected {expected} by {sorted(rules)}, "
                    f"got {got} by {list(decision.rules)} {list(decision.errors)}"
                )

    def _unheard(self, asked: Question) -> tuple[str, ...]:
        """Words no rule can know. To Cedar an unknown id is one in no group: it would escape every ban."""
        facts, caller = asked.facts, asked.caller
        used = {("Place", facts.place), ("Place", caller.place), *(("Group", name) for name in caller.groups)}
        if facts.purpose:
            used.add(("Purpose", facts.purpose))
        if facts.grounds.offence is not None:
            used.add(("Offence", facts.grounds.offence))
        unheard = [
            f"the {kind.lower()} {word!r} is not in the vocabulary"
            for kind, word in sorted(used)
            if word not in self.vocabulary[kind]
        ]
        if not facts.purpose:
            unheard.insert(0, "no purpose is declared, and this key has no default one")
        if asked.collection is not None:
            unheard += strange(asked.collection.tags, self._tags[asked.action])
        return tuple(unheard)

    def _judge(self, asked: Question, answer: cedarpy.AuthzResult) -> Decision:
        """Only Allow without an error is allowed: Cedar skips a forbid that errors and still says Allow."""
        if answer.diagnostics.errors or answer.decision is cedarpy.Decision.NoDecision:
            return self._unanswered(answer.diagnostics.errors or ["the request does not fit the schema"])
        rules = tuple(sorted(answer.diagnostics.id_annotations_by_reason.values()))
        if answer.decision is cedarpy.Decision.Allow:
            return Decision(allowed=True, rules=rules, errors=(), pack=self.digest)
        if not rules:
            return self._unpermitted(asked)
        forbids = [self.rules[rule] for rule in rules]
        return self._refused(
            rules=rules,
            advice="" if self._remedies.permitted(asked) else f"Even then {_unpermitted(asked)}",
            source="; ".join(dict.fromkeys(rule.source for rule in forbids)),
            refusals=tuple(
                Refusal(rule.id, rule.quote, rule.source, rule.effective, rule.advice) for rule in forbids
            ),
            missing=self._remedies.missing(asked, forbids),
        )

    def _unpermitted(self, asked: Question) -> Decision:
        """No rule spoke. Name what was asked, and the rules that permit it to somebody: by name alone, since
        their words would tell as what else to call oneself."""
        near = [rule for name in self._about(asked.action) if (rule := self.rules[name]).permits]
        words = _unpermitted(asked)
        advice = f"{words[0].upper()}{words[1:]}"
        if near:
            advice += f" {', '.join(rule.id for rule in near)} does not reach this call."
        return self._refused(
            advice=advice,
            source="; ".join(dict.fromkeys(rule.source for rule in near)),
            missing=self._remedies.missing(asked, near),
        )

    def _unanswered(self, errors: Sequence[str]) -> Decision:
        return self._refused(
            errors=tuple(errors), advice="Policy could not answer, and what it cannot answer is refused."
        )

    def _refused(self, **words: Any) -> Decision:
        return Decision(**{"allowed": False, "rules": (), "errors": (), "pack": self.digest, **words})

    def _about(self, action: Action) -> list[str]:
        """The ids of the rules that may speak of an action: the engine looks at every one it is handed.

        A rule is left out only where its scope names actions, all of them plain ones, and not this one.
        """
        plain = frozenset(each.value for each in Action)
        return [
            name
            for name, rule in self.rules.items()
            if not rule.actions or action in rule.actions or not rule.actions <= plain
        ]

    def _with(self, met: str) -> cedarpy.Entities:
        return self._store.with_added_json_str(met, self._schema)


_READ: dict[tuple[object, ...], Policy] = {}
"""What was read, by its files: a command asks for the same words several times."""

_SETS_KEPT = 8

_PASSED: set[tuple[str, str]] = set()
"""What passed its tests in this process: rules and tests that have not changed since are not run again."""

_COLLECTION = ("Collection", "called")
_SERVICE = ("Service", "countenance")


def _policies(written: Mapping[str, Any], rules: Sequence[str]) -> cedarpy.PolicySet:
    """Some of the rules, by their ids, for the engine."""
    trees = {
        place: tree for place, tree in written["staticPolicies"].items() if tree["annotations"]["id"] in rules
    }
    return cedarpy.PolicySet.from_json_str(json.dumps({**written, "staticPolicies": trees}))


def _as_them(asked: Question, who: Requester) -> Question:
    """The same, as if the body on whose behalf it is asked had called by itself."""
    caller = dataclasses.replace(asked.caller, kind=who.kind, place=who.place, groups=who.groups)
    return dataclasses.replace(asked, caller=caller)


def _unpermitted(asked: Question) -> str:
    own = asked.collection is None or asked.collection.owner == asked.caller.account
    return (
        f"no rule permits {asked.action} to {asked.caller.kind} for {asked.facts.purpose}"
        f"{'' if own else ' in a collection of another organisation'}. "
        "A pack that grants it by name would have to be in force."
    )


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _met(asked: Question) -> str:
    """Who calls and what is called, as the engine's JSON."""
    caller, collection = asked.caller, asked.collection
    org = uid("Org", caller.account)
    met = [
        {"uid": org, "attrs": cedar(organisation(caller)), "parents": []},
        {"uid": uid("Agent", caller.key), "attrs": cedar(agent(caller)), "parents": [org]},
    ]
    if collection is not None:
        called = {"uid": uid(*_COLLECTION), "attrs": cedar(collection), "parents": []}
        met.append({**called, "tags": dict(collection.tags)})
    return json.dumps(met)


def _request(asked: Question) -> dict[str, object]:
    return {
        "principal": uid("Agent", asked.caller.key),
        "action": uid("Action", asked.action),
        "resource": uid(*(_SERVICE if asked.collection is None else _COLLECTION)),
        "context": cedar(asked.facts),
    }
