"""Facts of a call in, Decision out. Rules are Cedar files in packs; this folder alone knows the engine.

A call is refused unless a rule permits it and none forbids it. Whatever goes wrong on the way, an
engine error, a word outside the vocabulary, a rule that cannot be evaluated, is a refusal too.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cedarpy

from countenance.errors import PolicyError
from countenance.policy import pack as packs_on_disk
from countenance.policy.pack import NAMESPACE, Pack
from countenance.types import EMPTY, Action, Attribute, Caller, Decision, OrganisationKind, told_by

BASE = "base"


@dataclass(frozen=True, slots=True)
class Collection:
    """What policy may know of a collection. owner: the account that holds it."""

    owner: str
    tags: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when one action of a call is decided.

    purpose: what the call is for, None where neither key nor call says. collection: None where the call
    concerns none. threshold: similarity in percent [0, 100], after defaults; None where nothing is compared.
    attributes: what `describe` or `infer` would tell of a face; none for other actions.
    Raises ValueError where `now` has no time zone.
    """

    now: dt.datetime
    caller: Caller
    purpose: str | None
    action: Action
    operation: str
    collection: Collection | None = None
    threshold: float | None = None
    attributes: frozenset[Attribute] = frozenset()

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("policy needs to know the time zone of now")


class Policy:
    """The packs in force, parsed once. Safe to share between threads: nothing changes after loading."""

    def __init__(self, packs: Sequence[Pack], schema: cedarpy.Schema) -> None:
        packs_on_disk.check_together(packs)
        self.packs = tuple(packs)
        self.digest = packs_on_disk.digest(packs)
        self.rules = {rule.id: rule for pack in packs for rule in pack.rules}
        self.purposes = packs_on_disk.vocabulary(packs, "Purpose")
        self.places = packs_on_disk.vocabulary(packs, "Place")
        self._schema = schema
        try:
            self._policies = cedarpy.PolicySet.from_str("\n".join(pack.text for pack in packs))
            # Always with the schema: entities made without it lose the action groups, and forbids on a
            # group then match nothing, silently.
            self._store = cedarpy.Entities.from_json_str(
                json.dumps([entity for pack in packs for entity in pack.entities]), schema
            )
        except ValueError as error:
            raise PolicyError(
                f"the packs {[pack.name for pack in packs]} do not go together: {error}"
            ) from error
        # Callers come back: the handle for one caller and one collection is worth keeping.
        self._entities = lru_cache(maxsize=256)(self._entities_for)

    @classmethod
    def load(cls, packs: Sequence[str | Path] = (BASE,)) -> Policy:
        """Read, validate and test packs; a str names one that ships with Countenance.

        Raises PolicyError naming the file and rule that is wrong, or the test that fails.
        """
        schema = packs_on_disk.read_schema()
        policy = cls([packs_on_disk.read(packs_on_disk.folder_of(name), schema) for name in packs], schema)
        policy.check()
        return policy

    def decide(self, facts: Facts) -> Decision:
        """Decide one action. About 0.1 ms (docs/decisions/0004-cedar-decides.md)."""
        if strange := self._strange(facts):
            return self._refused(errors=strange, advice=f"{strange[0].capitalize()}.")
        try:
            answer = cedarpy.is_authorized(
                _request(facts), self._policies, self._entities(*_who_and_what(facts)), self._schema
            )
        except ValueError as error:
            return self._unanswered([str(error)])
        return self._judge(facts, answer)

    def decide_all(self, calls: Sequence[Facts]) -> Decision:
        """Decide a call by all its actions: allowed if each is, refused with the first refusal's words."""
        decisions = [self.decide(facts) for facts in calls]
        if not decisions:
            return self._unanswered(["a call without an action cannot be decided"])
        refusals = [decision for decision in decisions if not decision.allowed]
        telling = refusals or decisions
        advice = " ".join(filter(None, (telling[0].advice, self._left_out(calls, decisions))))
        return Decision(
            allowed=not refusals,
            rules=tuple(sorted({rule for decision in telling for rule in decision.rules})),
            errors=tuple(error for decision in telling for error in decision.errors),
            pack=self.digest,
            advice=advice,
            source=telling[0].source,
        )

    def _left_out(self, calls: Sequence[Facts], decisions: Sequence[Decision]) -> str:
        """Which attributes to leave out for the call to be permitted, if that is all it takes."""
        refused = [facts for facts, said in zip(calls, decisions, strict=True) if not said.allowed]
        if not all(facts.attributes for facts in refused):
            return ""
        names = [
            attribute
            for facts in refused
            for attribute in sorted(facts.attributes)
            if not self.decide(dataclasses.replace(facts, attributes=frozenset({attribute}))).allowed
        ]
        return f"Leave out {', '.join(names)}: name the attributes you want instead of ALL." if names else ""

    def check(self) -> None:
        """Run each pack's own tests, on that pack and base alone. Raises PolicyError on the first failure."""
        base = [pack for pack in self.packs if pack.name == BASE]
        for pack in self.packs:
            beside = base if pack.name != BASE else []
            alone = self if len(self.packs) == len(beside) + 1 else Policy([*beside, pack], self._schema)
            for case in packs_on_disk.cases(pack):
                alone._run(pack, case)  # noqa: SLF001 - another Policy

    def _run(self, pack: Pack, case: dict[str, Any]) -> None:
        where = f"{pack.folder / 'tests.toml'}: {case.get('name', 'a case without a name')!r}"
        try:
            calls, allowed, rules = _calls(case)
        except (KeyError, TypeError, ValueError) as error:
            raise PolicyError(f"{where}: {type(error).__name__}: {error}") from error
        for facts in calls:
            decision = self.decide(facts)
            if (decision.allowed, set(decision.rules)) != (allowed, rules):
                wanted, got = (("allow" if yes else "deny") for yes in (allowed, decision.allowed))
                raise PolicyError(
                    f"{where}: {facts.action}: expected {wanted} by {sorted(rules)}, "
                    f"got {got} by {list(decision.rules)} {list(decision.errors)}"
                )

    def _strange(self, facts: Facts) -> tuple[str, ...]:
        """Words no rule can know. To Cedar an unknown id is one in no group: it would escape every ban."""
        strange = []
        if facts.purpose is None:
            strange.append("no purpose is declared, and this key has no default one")
        elif facts.purpose not in self.purposes:
            strange.append(f"the purpose {facts.purpose!r} is not in the vocabulary")
        if facts.caller.place not in self.places:
            strange.append(f"the place {facts.caller.place!r} is not in the vocabulary")
        return tuple(strange)

    def _judge(self, facts: Facts, answer: cedarpy.AuthzResult) -> Decision:
        """Only Allow without an error is allowed: Cedar skips a forbid that errors and still says Allow."""
        if answer.diagnostics.errors or answer.decision is cedarpy.Decision.NoDecision:
            return self._unanswered(answer.diagnostics.errors or ["the request does not fit the schema"])
        rules = tuple(sorted(answer.diagnostics.id_annotations_by_reason.values()))
        if answer.decision is cedarpy.Decision.Allow:
            return Decision(allowed=True, rules=rules, errors=(), pack=self.digest)
        if not rules:
            return self._unpermitted(facts)
        forbids = [self.rules[rule] for rule in rules]
        return self._refused(
            rules=rules,
            advice=" ".join(rule.advice for rule in forbids),
            source="; ".join(dict.fromkeys(rule.source for rule in forbids)),
        )

    def _unpermitted(self, facts: Facts) -> Decision:
        """No rule spoke. Name what was asked, and the rule that comes nearest to permitting it."""
        advice = (
            f"No rule permits {facts.action} to {facts.caller.kind} for {facts.purpose}"
            f"{'' if _own(facts) else ' in a collection of another organisation'}. "
            "A pack that grants it by name would have to be in force."
        )
        near = [r for r in self.rules.values() if r.permits and (not r.actions or facts.action in r.actions)]
        if not near:
            return self._refused(advice=advice)
        return self._refused(
            advice=f"{advice} The nearest rule is {near[0].id}: {near[0].advice}", source=near[0].source
        )

    def _unanswered(self, errors: Sequence[str]) -> Decision:
        return self._refused(
            errors=tuple(errors), advice="Policy could not answer, and what it cannot answer is refused."
        )

    def _refused(
        self, rules: tuple[str, ...] = (), errors: tuple[str, ...] = (), advice: str = "", source: str = ""
    ) -> Decision:
        return Decision(
            allowed=False, rules=rules, errors=errors, pack=self.digest, advice=advice, source=source
        )

    def _entities_for(
        self, caller: Caller, owner: str | None, tags: tuple[tuple[str, str], ...]
    ) -> cedarpy.Entities:
        org, seat = _uid("Org", caller.account), _uid("Place", caller.place)
        met = [
            {
                "uid": org,
                "attrs": {"kind": _ref("OrgKind", caller.kind), "seat": {"__entity": seat}},
                "parents": [],
            },
            {"uid": _uid("Agent", caller.key), "attrs": {"org": {"__entity": org}}, "parents": [org]},
        ]
        if owner is not None:
            called = {"uid": _uid(*_COLLECTION), "attrs": {"owner": _ref("Org", owner)}, "parents": []}
            met.append({**called, "tags": dict(tags)})
        return self._store.with_added_json_str(json.dumps(met), self._schema)


_COLLECTION = ("Collection", "called")
_SERVICE = ("Service", "countenance")


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": NAMESPACE + kind, "id": name}


def _ref(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": _uid(kind, name)}


def _own(facts: Facts) -> bool:
    return facts.collection is None or facts.collection.owner == facts.caller.account


def _who_and_what(facts: Facts) -> tuple[Caller, str | None, tuple[tuple[str, str], ...]]:
    if facts.collection is None:
        return facts.caller, None, ()
    return facts.caller, facts.collection.owner, tuple(sorted(facts.collection.tags.items()))


def _request(facts: Facts) -> dict[str, Any]:
    context: dict[str, Any] = {
        "now": _extension("datetime", f"{facts.now.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}Z"),
        "operation": facts.operation,
        "place": _ref("Place", facts.caller.place),
        "purpose": _ref("Purpose", facts.purpose or ""),
        "attributes": [_ref("Attribute", name) for name in sorted(facts.attributes)],
    }
    if facts.threshold is not None:
        context["threshold"] = _extension("decimal", f"{facts.threshold:.4f}")
    return {
        "principal": _uid("Agent", facts.caller.key),
        "action": _uid("Action", facts.action),
        "resource": _uid(*(_SERVICE if facts.collection is None else _COLLECTION)),
        "context": context,
    }


def _extension(function: str, argument: str) -> dict[str, dict[str, str]]:
    return {"__extn": {"fn": function, "arg": argument}}


_OWN, _OTHER = "000000000001", "000000000002"


def _calls(case: dict[str, Any]) -> tuple[list[Facts], bool, set[str]]:
    """A pack's test as facts, one for each action, with the answer and the deciding rules it expects."""
    asked = dict(case)
    asked.pop("name")
    owner = {"own": _OWN, "other": _OTHER, "none": None}[asked.pop("collection", "own")]
    tags = asked.pop("tags", {})
    kind = OrganisationKind(asked.pop("kind"))
    purpose = asked.pop("purpose", None)
    caller = Caller(_OWN, "a test", kind, asked.pop("place"), purpose, "a key")
    now = asked.pop("now")
    allowed = {"allow": True, "deny": False}[asked.pop("expect")]
    rules = set(asked.pop("rules"))
    attributes = frozenset(Attribute(name) for name in asked.pop("attributes", []))
    calls = [
        Facts(
            now=dt.datetime.combine(now, dt.time(12), dt.UTC),
            caller=caller,
            purpose=purpose,
            action=Action(action),
            operation=asked.get("operation", ""),
            collection=None if owner is None else Collection(owner, tags),
            threshold=asked.get("threshold"),
            attributes=attributes & told_by(Action(action)),
        )
        for action in asked.pop("actions")
    ]
    if left := asked.keys() - {"operation", "threshold"}:
        raise ValueError(f"a case has no {sorted(left)}")
    return calls, allowed, rules
