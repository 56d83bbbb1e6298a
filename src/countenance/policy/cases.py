"""A pack's own tests: hypothetical calls, and which rules are to decide them (tests.toml).

A case is asked once for each of its actions, of `base` and the pack alone. An "allow" or a "deny" names
exactly the rules that decide; "deny" by none says that no rule permits it. "no-effect" says that the pack
changes nothing: what is decided is what base alone decides.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
from countenance.errors import PolicyError
from countenance.policy.facts import Asked, Audit, Collection, Org, Question, question
from countenance.policy.pack import Pack, read_toml
from countenance.types import Action, Attribute, Caller, OrganisationKind

FILE = "tests.toml"

OWN, OTHER = Org("000000000001"), Org("000000000002")

THRESHOLD = 99.0
"""Percent, where a case says none and something is compared."""

Lines = dict[str, Any]


class Expect(StrEnum):
    ALLOW = "allow"
    DENY = "deny"
    NO_EFFECT = "no-effect"


@dataclass(frozen=True, slots=True)
class Case:
    """where: the file and the case's name. rules: the exact deciders; none for no-effect."""

    where: str
    questions: tuple[Question, ...]
    expect: Expect
    rules: frozenset[str]


def read(pack: Pack) -> tuple[Case, ...]:
    """The cases of a pack. Raises PolicyError where there are none, or where one is not understood, or where
    a rule of the pack decides none of them: nobody would notice if it never applied."""
    path = pack.folder / FILE
    written = read_toml(path).get("case", [])
    if not written:
        raise PolicyError(f"{path}: a pack without a [[case]] proves nothing; write at least one")
    found = []
    for lines in written:
        where = f"{path}: {lines.get('name', 'a case without a name')!r}"
        try:
            found.append(_case(where, lines))
        except KeyError as error:
            raise PolicyError(f"{where}: {error.args[0]} is missing or not known") from error
        except (AttributeError, TypeError, ValueError) as error:
            raise PolicyError(f"{where}: {error}") from error
    decided = {rule for case in found for rule in case.rules}
    for rule in pack.rules:
        if rule.id not in decided:
            raise PolicyError(f"{path}: no case is decided by {rule.id}; write the call that it is about")
    return tuple(found)


def _case(where: str, lines: Lines) -> Case:
    lines.pop("name")
    expect = Expect(lines.pop("expect"))
    rules = frozenset(() if expect is Expect.NO_EFFECT else lines.pop("rules"))
    return Case(where, questions(lines), expect, rules)


def questions(lines: Lines) -> tuple[Question, ...]:
    """The call that these lines describe, action by action. Takes them out of `lines`.

    Raises KeyError, TypeError, ValueError or AttributeError for a line that is missing, unknown or of
    another type.
    """
    actions = [Action(name) for name in lines.pop("actions")]
    declared = _declared(lines)
    caller = _caller(lines, declared)
    collection = _collection(lines)
    asked = Asked(
        now=_moment(lines.pop("now"), dt.time(12)),
        operation=lines.pop("operation", ""),
        threshold=float(lines.pop("threshold", THRESHOLD)),
        attributes=frozenset(Attribute(name) for name in lines.pop("attributes", [])),
        widens=lines.pop("widens", False),
        audit=_audit(lines.pop("audit", None)),
    )
    _check_empty("a case", lines)
    return tuple(question(action, caller, declared, asked, collection) for action in actions)


def _caller(lines: Lines, declared: Declared) -> Caller:
    return Caller(
        account=OWN,
        organisation="a test",
        kind=OrganisationKind(lines.pop("kind")),
        place=lines.pop("seat", declared.place),
        purpose=None,
        key="a key",
        groups=frozenset(lines.pop("groups", [])),
        policy_owner=lines.pop("policy-owner", False),
    )


def _collection(lines: Lines) -> Collection | None:
    owner = {"own": OWN, "other": OTHER, "none": None}[lines.pop("collection", "own")]
    tags = {name: lines.pop(name) for name in ("origin", "basis", "consent") if name in lines}
    never_suspects, others = lines.pop("never-suspects", False), lines.pop("tags", {})
    if owner is None:
        if tags or never_suspects or others:
            raise ValueError('collection = "none" has no tags')
        return None
    return Collection(
        owner=owner,
        origin=Origin(tags.get("origin", Origin.UNSTATED)),
        basis=Basis(tags.get("basis", Basis.UNSTATED)),
        consent=Consent(tags.get("consent", Consent.UNSTATED)),
        never_suspects=never_suspects,
        tags=others,
    )


def _declared(lines: Lines) -> Declared:
    listing, venue = lines.pop("listing", None), lines.pop("venue", None)
    return Declared(
        purpose=lines.pop("purpose", None),
        place=lines.pop("place"),
        venue=None if venue is None else Venue(venue),
        realtime=lines.pop("realtime", None),
        public_space=lines.pop("public-space", None),
        mobile_camera=lines.pop("mobile-camera", None),
        case=lines.pop("case", None),
        offence=lines.pop("offence", None),
        authorisation=_authorisation(lines.pop("authorisation", None)),
        evidence=lines.pop("evidence", None),
        listing=None if listing is None else Listing(listing),
        reviewers=frozenset(lines.pop("reviewers", [])),
        on_behalf_of=_requester(lines.pop("on-behalf-of", None)),
    )


def _authorisation(lines: Lines | None) -> Authorisation | None:
    if lines is None:
        return None
    stated = Authorisation(
        id=lines.pop("id"),
        kind=AuthorisationKind(lines.pop("kind")),
        issued_by=lines.pop("issued-by"),
        valid_from=_moment(lines.pop("from")),
        valid_until=_moment(lines.pop("until")),
    )
    _check_empty("an authorisation", lines)
    return stated


def _requester(lines: Lines | None) -> Requester | None:
    if lines is None:
        return None
    kind, groups = OrganisationKind(lines.pop("kind")), frozenset(lines.pop("groups", []))
    requester = Requester(kind, lines.pop("place"), groups)
    _check_empty("a requester", lines)
    return requester


def _audit(lines: Lines | None) -> Audit | None:
    if lines is None:
        return None
    audit = Audit(
        issued=_moment(lines.pop("issued")),
        by_operator=lines.pop("by-operator"),
        least_true_positives=float(lines.pop("least-true-positives")),
        worst_ratio=float(lines.pop("worst-ratio")),
    )
    _check_empty("an audit", lines)
    return audit


def _check_empty(what: str, lines: Lines) -> None:
    if lines:
        raise ValueError(f"{what} has no {', '.join(sorted(lines))}")


def _moment(day: dt.date | dt.datetime, time: dt.time = dt.time(0)) -> dt.datetime:
    """A day is its first moment, unless another is meant, in UTC."""
    if isinstance(day, dt.datetime):
        return day if day.tzinfo else day.replace(tzinfo=dt.UTC)
    return dt.datetime.combine(day, time, dt.UTC)
