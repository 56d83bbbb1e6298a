"""Who may do what, exactly: every call there can be on one day, sorted into cells that the rules tell apart.

The vocabulary is closed, so the calls of a day can be counted. They are not asked one by one: a dimension
is split only where a rule whose answer is still open reads it, and words that none of those rules tells
apart stay together. Of each cell that comes out one call is then put to the engine, by the same
`Policy.decide` as any; where the engine says otherwise, there is no atlas.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cedarpy

from countenance.errors import PolicyError
from countenance.policy import Policy, Question
from countenance.policy.dimensions import OWN as OWN_ACCOUNT
from countenance.policy.dimensions import Choice, Dimension, Written, dimensions, question
from countenance.policy.pack import above
from countenance.policy.partial import (
    NO,
    YES,
    Expression,
    Facts,
    condition,
    crosses,
    facts_of,
    known,
    literals,
)
from countenance.policy.rule import Rule
from countenance.types import Action, Decision, told_by

Chosen = Mapping[str, tuple[Choice, ...]]
"""Dimensions by name, with the choices that are still possible. One that is missing: all of them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Calls with one answer. by: the rule that refuses them, "" where none permits them or all is well."""

    chosen: Chosen
    allowed: bool
    by: str = ""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A rule that refuses some of the calls in question.

    purposes: those for which it refuses any; empty where it does for all. but: the others, for which it does
    not. always: whether it refuses all calls for its purposes, so that nothing a call could say turns it.
    """

    rule: Rule
    always: bool
    purposes: tuple[str, ...] = ()
    but: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one kind of organisation may do in one place. calls: how many kinds of calls there are, with how
    many of them allowed. barriers: the rules that refuse any of them."""

    kind: str
    place: str
    calls: int
    allowed: int
    barriers: tuple[Barrier, ...]

    @property
    def verdict(self) -> str:
        """ "yes", "no", or "partly"."""
        return "no" if not self.allowed else "yes" if self.allowed == self.calls else "partly"


@dataclass(slots=True)
class Tally:
    """What asking the engine came to."""

    asked: int = 0
    errors: int = 0
    decided: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Open:
    """What is still to be settled of one action: rules by id, each with what is left of its condition."""

    action: Action
    permits: tuple[tuple[str, Expression], ...]
    forbids: tuple[tuple[str, Expression], ...]
    permitted: bool = False

    @property
    def left(self) -> tuple[Expression, ...]:
        return tuple(rest for _, rest in (*self.forbids, *self.permits))


Answered = tuple[bool, str]
"""Whether, and by which rule."""

Standing = tuple[_Open, ...]
Judge = Callable[[Facts, Standing], "Answered | Standing"]
"""What more is known, and what was open: the answer, or what is open still."""


class Atlas:
    """All calls of one day under one set of packs."""

    def __init__(self, policy: Policy, day: dt.date, operation: str = "") -> None:
        self.policy = policy
        self.now = dt.datetime.combine(day, dt.time(12), dt.UTC)
        self.tally = Tally()
        self._above = above(policy.packs)
        self._ground: Facts = {"context.now": self.now, "principal.org": OWN_ACCOUNT}
        self._conditions = self._in_force()
        written = Written(
            [
                (
                    policy.rules[rule].reads,
                    frozenset(value for each in by.values() for value in literals(each)),
                )
                for rule, by in self._conditions.items()
            ]
        )
        self.dimensions = dimensions(self.now, policy.vocabulary, written, operation)
        self._named = {each.name: each for each in self.dimensions}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those in force on the day."""
        return tuple(self.policy.rules[rule] for rule in self._conditions)

    def read_at(self, place: str, actions: Sequence[Action] = tuple(Action)) -> tuple[Dimension, ...]:
        """The dimensions that some rule reads for an organisation that is in a place and calls there."""
        facts = {**self._ground, "principal.org.seat": ("Place", place), "context.place": ("Place", place)}
        reads = {
            read
            for by in self._conditions.values()
            for action in actions
            if action in by
            for read in facts_of(known(by[action], facts, self._above))
        }
        return tuple(each for each in self.dimensions if each.read_by(reads))

    def cells(self, actions: Sequence[Action], **fixed: str) -> Iterator[Cell]:
        """Every kind of call that asks for these actions, each asked of the engine once.

        fixed: dimensions, with the word they are held at. Raises PolicyError where the engine's answer is
        another than the rules' text lets expect.
        """
        standing = tuple(
            _Open(action, self._about(action, permits=True), self._about(action, permits=False))
            for action in actions
        )
        for chosen, (allowed, by) in self._settle(self._fixed(fixed), standing, self._weigh):
            decision = self._ask(actions, chosen)
            if decision.allowed != allowed and not decision.errors:
                raise PolicyError(f"the atlas is wrong about {_shown(chosen)}: the engine says {decision}")
            yield Cell(chosen, decision.allowed, by)

    def size(self, cell: Cell, within: Sequence[Dimension]) -> int:
        """How many calls a cell stands for, counted over some dimensions."""
        return math.prod(len(cell.chosen.get(each.name, each.choices)) for each in within)

    def answer(self, actions: Sequence[Action], **fixed: str) -> Answer:
        """Whether who is fixed may, and which rules stand in the way."""
        found = list(self.cells(actions, **fixed))
        read = self.read_at(fixed["place"], actions)
        sizes = [(cell, self.size(cell, read)) for cell in found]
        barriers = (self.barrier(rule.id, actions, **fixed) for rule in self.rules if not rule.permits)
        return Answer(
            kind=fixed["kind"],
            place=fixed["place"],
            calls=sum(size for _, size in sizes),
            allowed=sum(size for cell, size in sizes if cell.allowed),
            barriers=tuple(barrier for barrier in barriers if barrier is not None),
        )

    def barrier(self, rule: str, actions: Sequence[Action], **fixed: str) -> Barrier | None:
        """How far one rule refuses calls of who is fixed; None where it refuses none."""
        met = list(self._met(rule, actions, fixed))
        refused = {word for chosen, said in met if said for word in self.words(chosen, "purpose")}
        if not refused:
            return None
        spared = {word for chosen, said in met if not said for word in self.words(chosen, "purpose")}
        others = set(self.words(self._fixed(fixed), "purpose")) - refused
        narrowed = (self.covering(refused), self.covering(others)) if others else ((), ())
        return Barrier(self.policy.rules[rule], not refused & spared, *map(tuple, narrowed))

    def words(self, chosen: Chosen, name: str) -> tuple[str, ...]:
        """What is still possible in one dimension, in words."""
        return tuple(choice.word for choice in chosen.get(name, self._named[name].choices))

    def changes(
        self, action: Action, before: Collection[str], after: Collection[str], **fixed: str
    ) -> Iterator[tuple[Chosen, bool]]:
        """Calls that are answered otherwise by other rules of these packs, and whether they are allowed then.

        before, after: the ids of the rules in force.
        """
        standing = tuple(
            _Open(
                action,
                tuple(one for one in self._about(action, permits=True) if one[0] in rules),
                tuple(one for one in self._about(action, permits=False) if one[0] in rules),
            )
            for rules in (before, after)
        )
        for chosen, (changed, allowed) in self._settle(self._fixed(fixed), standing, self._compared):
            if changed:
                yield chosen, bool(allowed)

    def first_call(self, action: Action, chosen: Chosen) -> Question:
        """One call of those that are chosen."""
        facts = {each.name: chosen.get(each.name, each.choices)[0].fact for each in self.dimensions}
        return question(action, self.now, facts)

    def bound(self, rule: str, actions: Sequence[Action], place: str) -> frozenset[str]:
        """The kinds of organisation, in a place, of which a rule refuses any call."""
        met = self._met(rule, actions, {"seat": place, "place": place})
        return frozenset(word for chosen, said in met if said for word in self.words(chosen, "kind"))

    def places(self) -> Mapping[str, tuple[str, ...]]:
        """The places that rules in force tell apart, each with all that are like it. A class goes by the name
        of the place that rules name, or by "world"."""
        found = {}
        for choices in self._apart("seat"):
            words = sorted((c.word for c in choices), key=lambda w: (len(self._above[("Place", w)]), w))
            found[words[0]] = tuple(words)
        return found

    def kinds(self) -> tuple[tuple[str, ...], ...]:
        """The kinds of organisations, those together that no rule in force tells apart."""
        return tuple(tuple(choice.word for choice in one) for one in self._apart("kind"))

    def _apart(self, name: str) -> list[tuple[Choice, ...]]:
        """A dimension's choices, those together that leave the same of every rule."""
        dimension = self._named[name]
        by_place = name == "seat"  # an organisation calls from where it is
        told = (dimension, self._named["place"]) if by_place else (dimension,)
        every = dict.fromkeys(each for by in self._conditions.values() for each in by.values())
        asked = [each for each in every if any(one.read_by(frozenset(facts_of(each))) for one in told)]
        classes: dict[object, list[Choice]] = {}
        for choice in dimension.choices:
            tells = dict(choice.tells)
            if by_place:
                tells["context.place"] = tells["principal.org.seat"]
            rest = tuple(known(each, tells, self._above) for each in asked)
            classes.setdefault(rest, []).append(choice)
        return [tuple(one) for one in classes.values()]

    def dead(self) -> tuple[Rule, ...]:
        """The rules in force that decide no call at all: shadowed, or about what cannot be."""
        return tuple(rule for rule in self.rules if not self._decides(rule))

    def covering(self, purposes: set[str]) -> list[str]:
        """The fewest words that stand for these purposes and no other."""
        words = {
            name: {up for _, up in above} for (of, name), above in self._above.items() if of == "Purpose"
        }
        under = {word: {name for name, up in words.items() if word in up} for word in words}
        whole = {word for word in purposes if under[word] <= purposes}
        return sorted(word for word in purposes if not (words[word] & whole) - {word})

    def _in_force(self) -> dict[str, dict[Action, Expression]]:
        """What is left of each rule, for each action, on this day; rules that cannot speak are left out."""
        found = {}
        for pack in self.policy.packs:
            trees = json.loads(cedarpy.policies_to_json_str(pack.text))["staticPolicies"]
            for tree in trees.values():
                rests = ((a, known(condition(tree, a), self._ground, self._above)) for a in Action)
                if by := {action: rest for action, rest in rests if rest != NO}:
                    found[tree["annotations"]["id"]] = by
        return found

    def _about(self, action: Action, *, permits: bool) -> tuple[tuple[str, Expression], ...]:
        return tuple(
            (rule, by[action])
            for rule, by in self._conditions.items()
            if action in by and self.policy.rules[rule].permits is permits
        )

    def _fixed(self, words: Mapping[str, str]) -> dict[str, tuple[Choice, ...]]:
        """Raises PolicyError for a word that is not in the vocabulary."""
        fixed = {}
        for name, word in words.items():
            choices = self._named[name].choices
            found = tuple(choice for choice in choices if choice.word == word)
            if not found:
                raise PolicyError(f"the {name} {word!r} is not one of {', '.join(c.word for c in choices)}")
            fixed[name] = found
        return fixed

    def _decides(self, rule: Rule) -> bool:
        if rule.id in self.tally.decided:
            return True
        return any(
            said and rule.id in self._ask((action,), chosen).rules
            for action in self._conditions[rule.id]
            for chosen, said in self._met(rule.id, (action,), {})
        )

    def _met(
        self, rule: str, actions: Sequence[Action], fixed: Mapping[str, str]
    ) -> Iterator[tuple[Chosen, bool]]:
        """Where one rule is met, and where it is not, for any of these actions."""
        by = self._conditions[rule]
        standing = tuple(_Open(action, (), ((rule, by.get(action, NO)),)) for action in actions)
        for chosen, (yes, _) in self._settle(self._fixed(fixed), standing, self._any_met):
            yield chosen, yes

    def _any_met(self, facts: Facts, standing: Standing) -> Answered | Standing:
        still = []
        for each in standing:
            ((rule, left),) = each.forbids
            rest = self._known(left, each.action, facts)
            if rest == YES:
                return True, rule
            if rest != NO:
                still.append(dataclasses.replace(each, forbids=((rule, rest),)))
        return tuple(still) or (False, "")

    def _settle(self, chosen: Chosen, standing: Standing, judge: Judge) -> Iterator[tuple[Chosen, Answered]]:
        """Split what is possible until everything is settled."""
        facts: dict[str, Any] = {}
        for choices in chosen.values():
            facts |= choices[0].tells
        said = judge(facts, standing)
        if said and isinstance(said[0], bool):
            yield chosen, said
        else:
            yield from self._split(chosen, said, judge)

    def _split(self, chosen: Chosen, standing: Standing, judge: Judge) -> Iterator[tuple[Chosen, Answered]]:
        """By the first dimension that is still asked for. Choices that leave the same stay together."""
        left = [rest for each in standing for rest in each.left]
        asked = frozenset(path for rest in left for path in facts_of(rest))
        dimension = next((d for d in self.dimensions if d.name not in chosen and d.read_by(asked)), None)
        if dimension is None:  # an expression that partial.py does not understand: the engine knows
            yield chosen, self._engine(chosen, standing, judge)
            return
        classes: dict[Answered | Standing, list[Choice]] = {}
        for some in self._classes(dimension, left):
            classes.setdefault(judge(some[0].tells, standing), []).extend(some)
        for said, choices in classes.items():
            inner = {**chosen, dimension.name: tuple(choices)}
            if isinstance(said[0], bool):
                yield inner, said
            else:
                yield from self._split(inner, said, judge)

    def _classes(self, dimension: Dimension, left: Sequence[Expression]) -> list[tuple[Choice, ...]]:
        """Choices, those together that the words in these expressions do not tell apart."""
        named = frozenset(value for rest in left for value in literals(rest))
        apart = any(map(crosses, left))
        classes: dict[object, list[Choice]] = {}
        for choice in dimension.choices:
            classes.setdefault(choice.word if apart else self._key(choice, named), []).append(choice)
        return [tuple(one) for one in classes.values()]

    def _key(self, choice: Choice, named: frozenset[object]) -> object:
        """What the words named tell of a choice: which of them it is, or lies in, or holds."""
        match tuple(choice.tells.values()):
            case (tuple(word),):
                return self._above.get(word, frozenset({word})) & named
            case (frozenset(words),):
                return (words & named, bool(words))
        return choice.word

    def _engine(self, chosen: Chosen, standing: Standing, judge: Judge) -> Answered:
        decision = self._ask([each.action for each in standing], chosen)
        rules = [rule for each in standing for rule, _ in each.forbids if rule in decision.rules]
        return bool(rules) if judge == self._any_met else decision.allowed, "".join(rules[:1])

    def _weigh(self, facts: Facts, standing: Standing) -> Answered | Standing:
        """The call's answer, if what is known settles it: a forbid that is met, a permit that none meets."""
        still = []
        for each in standing:
            forbids = [(rule, self._known(rest, each.action, facts)) for rule, rest in each.forbids]
            if by := next((rule for rule, rest in forbids if rest == YES), ""):
                return False, by
            permits = [(rule, self._known(rest, each.action, facts)) for rule, rest in each.permits]
            permitted = each.permitted or any(rest == YES for _, rest in permits)
            may = () if permitted else tuple(one for one in permits if one[1] != NO)
            if not permitted and not may:
                return False, ""
            against = tuple(one for one in forbids if one[1] != NO)
            if may or against:
                still.append(_Open(each.action, may, against, permitted))
        return tuple(still) or (True, "")

    def _compared(self, facts: Facts, standing: Standing) -> Answered | Standing:
        """Two sets of rules side by side; one that is settled is left with no rule, permitted or not."""
        sides = []
        for each in standing:
            match self._weigh(facts, (each,)) if each.left else (each.permitted, ""):
                case (bool(settled), _):
                    sides.append(_Open(each.action, (), (), settled))
                case (_Open() as left,):
                    sides.append(left)
        if any(side.left for side in sides):
            return tuple(sides)
        before, after = (side.permitted for side in sides)
        return before != after, "allowed" if after else ""

    def _known(self, left: Expression, action: Action, facts: Facts) -> Expression:
        asked = facts.get("context.attributes")
        if asked is not None:  # of what a call asks for, each action tells its own
            own = {("Attribute", attribute) for attribute in told_by(action)}
            facts = {**facts, "context.attributes": asked & own}
        return known(left, facts, self._above)

    def _ask(self, actions: Sequence[Action], chosen: Chosen) -> Decision:
        """What the engine says of the first call of a cell."""
        decision = self.policy.decide_all([self.first_call(action, chosen) for action in actions])
        self.tally.asked += 1
        self.tally.errors += bool(decision.errors)
        self.tally.decided |= set(decision.rules)
        return decision


def days(policy: Policy, today: dt.date) -> list[dt.date]:
    """The days on which anything can change: each date that rules write, the day before it, and today."""
    written = {day for rule in policy.rules.values() for day in rule.dates}
    return sorted({today, *written, *(day - dt.timedelta(days=1) for day in written)})


def _shown(chosen: Chosen) -> dict[str, str]:
    return {name: choices[0].word for name, choices in chosen.items()}
