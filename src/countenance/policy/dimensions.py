"""In how many ways a call can differ as far as rules can tell: the dimensions of the atlas.

The vocabulary is closed, so most are plain lists. What is not a word (a date, a length, a share) matters
only at the finitely many values that the rules in force write down: each of them, and just beside it.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from countenance.declared import Authorisation, AuthorisationKind, Basis, Consent, Listing, Origin, Venue
from countenance.policy.facts import (
    FACTS,
    Audit,
    Collection,
    Comparing,
    Governing,
    Grounds,
    Group,
    Offence,
    Org,
    Place,
    Purpose,
    Question,
    Scene,
    Telling,
)
from countenance.policy.partial import ABSENT, Facts
from countenance.types import INFERRED, Action, Attribute, Caller, OrganisationKind

__all__ = ["OWN", "Choice", "Dimension", "Written", "dimensions", "question"]

OWN, OTHER = Org("000000000001"), Org("000000000002")

STEP = Decimal("0.0001")
"""Shares and thresholds are read to four places (policy/facts.py)."""

SECOND = dt.timedelta(seconds=1)
HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to be. word: in words. fact: what a call is made of. tells: what rules then know."""

    word: str
    fact: Any
    tells: Facts


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing about a call. paths: the facts it holds, in the schema's words."""

    name: str
    paths: tuple[str, ...]
    choices: tuple[Choice, ...]

    def read_by(self, reads: Iterable[str]) -> bool:
        """Whether any of these facts is in it."""
        return any(read == path or read.startswith(f"{path}.") for read in reads for path in self.paths)


@dataclass(frozen=True, slots=True)
class Written:
    """What the rules in force write down. values: words as (type, id), texts, decimals, durations; by the
    facts that the same rule reads."""

    values: Sequence[tuple[frozenset[str], frozenset[object]]]

    def near(self, path: str, kind: type[Any]) -> list[Any]:
        """The values of a type that stand in a rule which reads a fact."""
        found = {
            value
            for reads, values in self.values
            if any(read == path or read.startswith(f"{path}.") for read in reads)
            for value in values
            if isinstance(value, kind)
        }
        return sorted(found)


def dimensions(
    now: dt.datetime, vocabulary: Mapping[str, frozenset[str]], written: Written, operation: str = ""
) -> tuple[Dimension, ...]:
    """All of them, in the order in which people would ask: who and where first, papers last."""
    org, scene, grounds = "principal.org", "context.scene", "context.grounds"
    return (
        _words("kind", f"{org}.kind", "OrgKind", list(OrganisationKind)),
        _words("seat", f"{org}.seat", "Place", _first("world", vocabulary["Place"])),
        _words("place", "context.place", "Place", _first("world", vocabulary["Place"])),
        _words("purpose", "context.purpose", "Purpose", _first("general", vocabulary["Purpose"])),
        _sets("groups", f"{org}.groups", "Group", vocabulary["Group"], written),
        _flag("policy owner", "principal.policyOwner"),
        Dimension(
            "collection",
            ("resource", "resource.owner"),
            (
                Choice("own", OWN, {"resource": "Collection", "resource.owner": OWN}),
                Choice("other", OTHER, {"resource": "Collection", "resource.owner": OTHER}),
                Choice("none", None, {"resource": "Service", "resource.owner": ABSENT}),
            ),
        ),
        _words("origin", "resource.origin", "Origin", list(Origin)),
        _words("basis", "resource.basis", "Basis", list(Basis)),
        _words("consent", "resource.consent", "Consent", list(Consent)),
        _flag("never suspects", "resource.neverSuspects"),
        *_tags(written),
        _words("venue", f"{scene}.venue", "Venue", list(Venue)),
        _flag("realtime", f"{scene}.realtime"),
        _flag("public space", f"{scene}.publicSpace"),
        _flag("mobile camera", f"{scene}.mobileCamera"),
        _sets("attributes", "context.attributes", "Attribute", frozenset(Attribute), written),
        _threshold(written),
        _flag("widens", "context.widens"),
        _text("operation", "context.operation", written, (operation,)),
        _text("case", f"{grounds}.case", written, (None, "", "C-1")),
        _text("evidence", f"{grounds}.evidence", written, (None, "", "a witness")),
        _words("listing", f"{grounds}.listing", "Listing", [None, *Listing]),
        _words("offence", f"{grounds}.offence", "Offence", [None, *sorted(vocabulary["Offence"])]),
        _reviewers(),
        _authorisations(now, written),
        _audits(now, written),
    )


def question(action: Action, now: dt.datetime, chosen: Mapping[str, Any]) -> Question:
    """The call that these facts make, by the dimensions' names; what is not chosen is each one's first."""
    kind = FACTS[action]
    own: dict[str, Any] = {}
    if issubclass(kind, Telling):
        told = chosen["attributes"]
        own["attributes"] = told & INFERRED if action is Action.INFER else told - INFERRED
    elif issubclass(kind, Comparing):
        own["threshold"] = chosen["threshold"]
    elif issubclass(kind, Governing):
        own["widens"] = chosen["widens"]
    caller = Caller(
        account=OWN,
        organisation="",
        kind=chosen["kind"],
        place=chosen["seat"],
        purpose=None,
        key="anybody",
        groups=chosen["groups"],
        policy_owner=chosen["policy owner"],
    )
    facts = kind(
        now=now,
        operation=chosen["operation"],
        place=Place(chosen["place"]),
        purpose=Purpose(chosen["purpose"]),
        scene=Scene(
            venue=chosen["venue"],
            realtime=chosen["realtime"],
            public_space=chosen["public space"],
            mobile_camera=chosen["mobile camera"],
        ),
        grounds=Grounds(
            case=chosen["case"],
            offence=None if chosen["offence"] is None else Offence(chosen["offence"]),
            authorisation=chosen["authorisation"],
            evidence=chosen["evidence"],
            listing=chosen["listing"],
            reviewers=frozenset(chosen["reviewers"]),
            two_reviewers=len(chosen["reviewers"]) > 1,
        ),
        audit=chosen["audit"],
        **own,
    )
    return Question(caller=caller, facts=facts, collection=_collection(chosen))


def _collection(chosen: Mapping[str, Any]) -> Collection | None:
    if chosen["collection"] is None:
        return None
    tags = {name.removeprefix("tag "): value for name, value in chosen.items() if name.startswith("tag ")}
    return Collection(
        owner=chosen["collection"],
        origin=chosen["origin"],
        basis=chosen["basis"],
        consent=chosen["consent"],
        never_suspects=chosen["never suspects"],
        tags={name: value for name, value in tags.items() if value is not None},
    )


def _first(word: str, words: Iterable[str]) -> list[str]:
    return sorted(words, key=lambda each: (each != word, each))


def _words(name: str, path: str, kind: str, words: Sequence[Any]) -> Dimension:
    choices = (
        Choice(
            "none" if word is None else str(word), word, {path: ABSENT if word is None else (kind, str(word))}
        )
        for word in words
    )
    return Dimension(name, (path,), tuple(choices))


def _flag(name: str, path: str) -> Dimension:
    words = (("no", False), ("yes", True))
    return Dimension(name, (path,), tuple(Choice(word, said, {path: said}) for word, said in words))


def _sets(name: str, path: str, kind: str, words: frozenset[str], written: Written) -> Dimension:
    """Every set of the words that rules name; and one with a word that none names, if there is one."""
    named = [word for of, word in written.near(path, tuple) if of == kind and word in words]
    unnamed = sorted(words - set(named))[:1]
    picked: list[str] = [*named, *unnamed]
    make: Any = Group if kind == "Group" else Attribute
    choices = (
        Choice(
            ", ".join(some) or "none",
            frozenset(map(make, some)),
            {path: frozenset((kind, one) for one in some)},
        )
        for size in range(len(picked) + 1)
        for some in itertools.combinations(picked, size)
    )
    return Dimension(name, (path,), tuple(choices))


def _text(name: str, path: str, written: Written, always: Sequence[str | None]) -> Dimension:
    """Absent, empty, given; and each text that a rule compares it with."""
    texts = [text for text in written.near(path, str) if text not in {*always, *AuthorisationKind}]
    return Dimension(name, (path,), tuple(_told(path, text) for text in (*always, *texts)))


def _told(path: str, text: str | None) -> Choice:
    words = {None: "none", "": "empty"}.get(text, text)
    return Choice(str(words), text, {path: ABSENT if text is None else text})


def _tags(written: Written) -> Iterator[Dimension]:
    """A tag that is none of ours is read by its name."""
    reads = {read for each, _ in written.values for read in each if read.startswith("resource.tags.")}
    for path in sorted(reads):
        yield _text(f"tag {path.removeprefix('resource.tags.')}", path, written, (None, "", "something"))


def _beside(values: Iterable[Decimal], least: Decimal, most: Decimal) -> list[Decimal]:
    """Each value and its neighbours, within bounds."""
    near = {value + step for value in values for step in (-STEP, Decimal(0), STEP)}
    return sorted(value for value in near if least <= value <= most)


def _threshold(written: Written) -> Dimension:
    path = "context.threshold"
    values = _beside(written.near(path, Decimal), Decimal(0), Decimal(100)) or [Decimal(99)]
    return Dimension("threshold", (path,), tuple(Choice(f"{v:g}", float(v), {path: v}) for v in values))


def _reviewers() -> Dimension:
    path, two = "context.grounds.reviewers", "context.grounds.twoReviewers"
    people = ((), ("one",), ("one", "another"))
    choices = (Choice(str(len(some)), some, {path: frozenset(some), two: len(some) > 1}) for some in people)
    return Dimension("reviewers", (path, two), tuple(choices))


def _authorisations(now: dt.datetime, written: Written) -> Dimension:
    """None; of each kind one not yet valid, one no longer, and one valid now for each length that matters."""
    path = "context.grounds.authorisation"
    lengths = written.near(path, dt.timedelta)
    spans = {"no longer valid": (-2 * HOUR, -HOUR), "not yet valid": (HOUR, 2 * HOUR)}
    for length in sorted({*lengths, *(each + HOUR for each in lengths)}) or [2 * HOUR]:
        spans[f"valid for {_length(length)}"] = (-HOUR, length - HOUR)
    names = ("A-1", "") if any(f"{path}.id" in reads for reads, _ in written.values) else ("A-1",)
    choices = [Choice("none", None, {path: ABSENT})]
    for kind, (words, span), name in itertools.product(AuthorisationKind, spans.items(), names):
        since, until = (now + each for each in span)
        seen = {
            "id": name,
            "kind": kind.value,
            "issuedBy": "an authority",
            "validFrom": since,
            "validUntil": until,
        }
        fact = Authorisation(name, kind, "an authority", since, until)
        choices.append(Choice(f"{kind}, {words}{'' if name else ', without an id'}", fact, {path: seen}))
    return Dimension("authorisation", (path,), tuple(choices))


def _audits(now: dt.datetime, written: Written) -> Dimension:
    """None; and of each age and each share that rules ask about one by somebody else and one of one's own."""
    path = "context.audit"
    ages = {"fresh": dt.timedelta(0), "of tomorrow": -dt.timedelta(days=1)}
    for length in written.near(path, dt.timedelta):
        ages[f"just under {_length(length)} old"] = length - SECOND
        ages[f"{_length(length)} old"] = length
    shares = _beside(written.near(path, Decimal), Decimal(0), Decimal(100)) or [Decimal(1)]
    read = {name for reads, _ in written.values for name in reads}
    true_positives = [s for s in shares if s <= 1] if f"{path}.leastTruePositives" in read else [Decimal(1)]
    ratios = shares if f"{path}.worstRatio" in read else [Decimal(1)]
    choices = [Choice("none", None, {path: ABSENT})]
    for (words, age), own, least, ratio in itertools.product(
        ages.items(), (False, True), true_positives, ratios
    ):
        audit = Audit(
            issued=now - age, by_operator=own, least_true_positives=float(least), worst_ratio=float(ratio)
        )
        seen = {"issued": now - age, "byOperator": own, "leastTruePositives": least, "worstRatio": ratio}
        by = "by the operator" if own else "by somebody else"
        told = f"{by}, {words}" + (f", {least:.4f} at worst" if len(true_positives) > 1 else "")
        choices.append(Choice(told, audit, {path: seen}))
    return Dimension("audit", (path,), tuple(choices))


def _length(length: dt.timedelta) -> str:
    hours = length // HOUR
    return f"{hours // 24} days" if hours >= 72 and hours % 24 == 0 else f"{hours} hours"
