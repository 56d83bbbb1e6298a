"""What would turn a refusal: what a call could say beyond what it says, and what it need not have asked for.

Read off the rules as expressions (partial.py), which is quick and only ever words: who may do what is the
engine's to say. What an expression leaves open is not promised.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from countenance.declared import Venue
from countenance.policy.facts import (
    NAMESPACE,
    SAID_BY,
    Grounds,
    Question,
    Telling,
    agent,
    camel,
    cedar,
    organisation,
)
from countenance.policy.partial import (
    ABSENT,
    NO,
    YES,
    Above,
    Facts,
    Tree,
    condition,
    facts_of,
    known,
)
from countenance.policy.rule import Rule
from countenance.types import Action, Attribute


class Remedies:
    """Of the rules in force. trees: the engine's JSON of each, by its id."""

    def __init__(self, rules: Mapping[str, Rule], trees: Mapping[str, Tree], above: Above) -> None:
        self._above = above
        self._permits, self._forbids = (
            {
                action: {
                    name: asks
                    for name, rule in rules.items()
                    if rule.permits is permits and (asks := condition(trees[name], action)) != NO
                }
                for action in Action
            }
            for permits in (True, False)
        )

    def permitted(self, asked: Question) -> bool:
        """Whether a rule permits it, or may, were there none that forbids."""
        facts = told(asked)
        return any(known(asks, facts, self._above) != NO for asks in self._permits[asked.action].values())

    def missing(self, asked: Question, rules: Iterable[Rule]) -> tuple[str, ...]:
        """Which grounds, venue and tags a call lacks that would take it out of one of these rules' reach, or
        into it; by what would say them.

        Never its purpose, place or requester, nor how a camera is used: to name those would coach.
        """
        lacks = _lacks(asked)
        asks = self._permits[asked.action] | self._forbids[asked.action]
        reading = [rule.id for rule in rules if not lacks.isdisjoint(map(_fact, rule.reads))]
        if not reading:
            return ()
        facts = {path: said for path, said in told(asked).items() if path not in lacks}
        left = (known(asks.get(name, NO), facts, self._above) for name in reading)
        turning = lacks & {_fact(path) for rest in left for path in facts_of(rest)}
        return tuple(dict.fromkeys(said for path, said in SAID_BY.items() if path in turning))

    def refused(self, asked: Question) -> frozenset[Attribute]:
        """Those of the attributes asked for that would be refused if asked for alone."""
        assert isinstance(asked.facts, Telling)
        facts = dict(told(asked))
        del facts["context.attributes"]
        permits, forbids = (
            [known(asks, facts, self._above) for asks in of[asked.action].values()]
            for of in (self._permits, self._forbids)
        )

        def tells(one: Attribute) -> bool:
            alone = {"context.attributes": frozenset({("Attribute", one.value)})}
            return all(known(rest, alone, self._above) == NO for rest in forbids) and any(
                known(rest, alone, self._above) == YES for rest in permits
            )

        return frozenset(one for one in asked.facts.attributes if not tells(one))


def told(asked: Question) -> Facts:
    """All that the engine is told of a call, by the schema's words."""
    facts = {"context.audit": ABSENT} | _under("context", asked.facts)
    facts |= {f"context.grounds.{camel(name)}": ABSENT for name in Grounds.__slots__}
    facts |= _under("context.scene", asked.facts.scene) | _under("context.grounds", asked.facts.grounds)
    del facts["context.scene"], facts["context.grounds"]
    facts |= _under("principal", agent(asked.caller)) | _under("principal.org", organisation(asked.caller))
    facts["action"] = ("Action", asked.action.value)
    if asked.collection is None:
        return {**facts, "resource": "Service", "resource.owner": ABSENT}
    facts |= _under("resource", asked.collection)
    return {**facts, "resource": "Collection", "resource.tags": asked.collection.tags}


def _under(path: str, record: Any) -> dict[str, Any]:
    return {f"{path}.{name}": _read(said) for name, said in cedar(record).items()}


def _lacks(asked: Question) -> set[str]:
    grounds, collection = asked.facts.grounds, asked.collection
    lacks = {f"context.grounds.{camel(name)}" for name in Grounds.__slots__ if not getattr(grounds, name)}
    if asked.facts.scene.venue is Venue.UNSTATED:
        lacks.add("context.scene.venue")
    if collection is not None:
        stated = {"origin": collection.origin, "basis": collection.basis, "consent": collection.consent}
        lacks |= {f"resource.{name}" for name, word in stated.items() if word == "unstated"}
    return lacks


def _fact(path: str) -> str:
    """The fact that a path leads into: context.grounds.authorisation.kind is the authorisation's."""
    return ".".join(path.split(".")[:3])


def _read(written: Any) -> Any:
    """The engine's JSON of facts, as expressions have them."""
    match written:
        case {"__entity": {"type": kind, "id": name}}:
            return (kind.removeprefix(NAMESPACE), name)
        case {"__extn": {"fn": "datetime", "arg": text}}:
            return dt.datetime.fromisoformat(text)
        case {"__extn": {"fn": "decimal", "arg": text}}:
            return Decimal(text)
        case dict():
            return {name: _read(each) for name, each in written.items()}
        case list():
            return frozenset(map(_read, written))
    return written
