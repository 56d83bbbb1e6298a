"""What policy may know of a call: one frozen dataclass for each action, as schema.cedarschema has them.

A test compares the two field by field, both ways. `cedar` turns any of them into what the engine reads,
by the declared types of its fields alone; there is no second list of them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, NewType, Union, get_args, get_origin, get_type_hints

from countenance.declared import (
    TAG,
    TAGS,
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
from countenance.types import EMPTY, Action, Attribute, Caller, OrganisationKind, told_by

NAMESPACE = "Countenance::"

Place = NewType("Place", str)
Purpose = NewType("Purpose", str)
Offence = NewType("Offence", str)
Group = NewType("Group", str)
Org = NewType("Org", str)
"""Entities, by their ids; an Org by its account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How and where the photo or video is taken."""

    venue: Venue = Venue.UNSTATED
    realtime: bool = False
    public_space: bool = False
    mobile_camera: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """On what grounds somebody is looked for; None where nothing is said."""

    case: str | None = None
    offence: Offence | None = None
    authorisation: Authorisation | None = None
    evidence: str | None = None
    listing: Listing | None = None
    reviewers: frozenset[str] = frozenset()
    two_reviewers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The bias audit in force. least_true_positives, worst_ratio: ratios, read to four places."""

    issued: dt.datetime
    by_operator: bool
    least_true_positives: float
    worst_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What every action tells. now: with its zone. purpose: "" where neither call nor key says one."""

    now: dt.datetime
    operation: str
    place: Place
    purpose: Purpose
    scene: Scene = Scene()
    grounds: Grounds = Grounds()
    audit: Audit | None = None
    action: ClassVar[Action]

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("policy needs to know the time zone of now")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling(Call):
    """attributes: what the action would tell of each face."""

    attributes: frozenset[Attribute] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing(Call):
    """threshold: similarity in percent [0, 100], after defaults; read to four places."""

    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Governing(Call):
    """widens: whether a change of tags would open what was shut."""

    widens: bool = False


class Detect(Call):
    action = Action.DETECT


class Describe(Telling):
    action = Action.DESCRIBE


class Infer(Telling):
    action = Action.INFER


class Verify(Comparing):
    action = Action.VERIFY


class Enrol(Call):
    action = Action.ENROL


class Identify(Comparing):
    action = Action.IDENTIFY


class Watch(Comparing):
    action = Action.WATCH


class Label(Call):
    action = Action.LABEL


class Manage(Call):
    action = Action.MANAGE


class Govern(Governing):
    action = Action.GOVERN


FACTS: Mapping[Action, type[Call]] = types.MappingProxyType(
    {
        kind.action: kind
        for kind in (Detect, Describe, Infer, Verify, Enrol, Identify, Watch, Label, Manage, Govern)
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """What policy knows of who calls, or on whose behalf."""

    kind: OrganisationKind
    seat: Place
    groups: frozenset[Group] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A key, with its organisation by the account."""

    org: Org
    policy_owner: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What policy may know of a collection. owner: the account that holds it. tags: all of them, as set."""

    owner: Org
    origin: Origin = Origin.UNSTATED
    basis: Basis = Basis.UNSTATED
    consent: Consent = Consent.UNSTATED
    never_suspects: bool = False
    tags: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this caller do one action? collection: None where the call concerns none.

    requester: on whose behalf it is asked; then both must be allowed to.
    """

    caller: Caller
    facts: Call
    collection: Collection | None = None
    requester: Requester | None = None

    @property
    def action(self) -> Action:
        return self.facts.action


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the request itself tells, beside its actions and what it declares."""

    now: dt.datetime
    operation: str
    threshold: float | None = None
    attributes: frozenset[Attribute] = frozenset()
    widens: bool = False
    audit: Audit | None = None


def question(
    action: Action, caller: Caller, declared: Declared, asked: Asked, collection: Collection | None
) -> Question:
    """One action of a call. What is not declared is the key's default, false or "unstated".

    Raises TypeError where an action that compares has no threshold.
    """
    kind = FACTS[action]
    own = {
        "attributes": asked.attributes & told_by(action),
        "threshold": asked.threshold,
        "widens": asked.widens,
    }
    told = {name: value for name, value in own.items() if name in kind.__dataclass_fields__}
    if None in told.values():
        raise TypeError(f"{action} compares, and needs a threshold")
    facts = kind(
        now=asked.now,
        operation=asked.operation,
        place=Place(declared.place or caller.place),
        purpose=Purpose(declared.purpose or caller.purpose or ""),
        scene=_said(Scene, declared),
        grounds=_said(Grounds, declared),
        audit=asked.audit,
        **told,
    )
    return Question(caller=caller, facts=facts, collection=collection, requester=declared.on_behalf_of)


def _said(kind: type[Any], declared: Declared) -> Any:
    """A Scene or Grounds of what is declared; where nothing is, its own defaults."""
    fields = (each.name for each in dataclasses.fields(kind))
    return kind(**{name: said for name in fields if (said := getattr(declared, name)) is not None})


def _names(kind: type[Any], path: str) -> dict[str, str]:
    return {f"{path}.{camel(each.name)}": each.name for each in dataclasses.fields(kind)}


def camel(name: str) -> str:
    """The schema's spelling of a field: public_space is publicSpace."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


SAID_BY: Mapping[str, str] = types.MappingProxyType(
    {
        "context.purpose": "purpose",
        "context.place": "place",
        **_names(Scene, "context.scene"),
        **_names(Grounds, "context.grounds"),
        "context.grounds.twoReviewers": "reviewers",
        **{f"resource.{camel(name)}": f"{TAG}{name}" for name in ("origin", "basis", "consent")},
        "resource.neverSuspects": f"{TAG}never-suspects",
    }
)
"""What a caller would say a fact with: a field of Declared, or a tag of the collection."""


def tags_of(reads: Iterable[str]) -> frozenset[str]:
    """The tags that rules read which read these facts, as a fact or by their names."""
    said = {SAID_BY.get(path, path.removeprefix("resource.tags.")) for path in reads}
    return frozenset(said & TAGS.keys())


@cache
def _said_by(reads: frozenset[str]) -> frozenset[str | None]:
    """What would say the facts that rules read. Asked at every call, and the same while the packs are."""
    return frozenset(SAID_BY.get(".".join(path.split(".")[:3])) for path in reads)


def defaults(declared: Declared, collection: Collection | None, reads: frozenset[str]) -> tuple[str, ...]:
    """What rules read that the call leaves to a default, by what would say it. Grounds have none."""
    fields = {"purpose", "place", *Scene.__slots__}
    unsaid = {name for name in fields if getattr(declared, name) is None}
    if collection is not None:
        unsaid |= TAGS.keys() - collection.tags.keys()
    return tuple(sorted(unsaid & _said_by(reads)))


def organisation(caller: Caller) -> Organisation:
    return Organisation(
        kind=caller.kind, seat=Place(caller.place), groups=frozenset(Group(name) for name in caller.groups)
    )


def agent(caller: Caller) -> Agent:
    return Agent(org=Org(caller.account), policy_owner=caller.policy_owner)


def uid(kind: str, name: str) -> dict[str, str]:
    return {"type": NAMESPACE + kind, "id": name}


def reference(kind: str, name: str) -> dict[str, dict[str, str]]:
    return {"__entity": uid(kind, name)}


def cedar(value: Any) -> dict[str, Any]:
    """A dataclass of facts as a Cedar record in JSON. What is None is left out; so are tags, which are none
    of an entity's attributes."""
    kind: Any = type(value)
    return {
        written: write(content)
        for name, written, write in _writers(kind)
        if (content := getattr(value, name)) is not None
    }


@cache
def _writers(kind: type[Any]) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    hints = get_type_hints(kind)
    names = [each.name for each in dataclasses.fields(kind) if each.name != "tags"]
    return tuple((name, camel(name), _writer(hints[name])) for name in names)


def _writer(hint: Any) -> Callable[[Any], Any]:
    """How a value of a declared type is written for the engine."""
    if get_origin(hint) in (types.UnionType, Union):
        return _writer(next(part for part in get_args(hint) if part is not types.NoneType))
    if get_origin(hint) is frozenset:
        each = _writer(get_args(hint)[0])
        return lambda values: [each(value) for value in sorted(values)]
    if dataclasses.is_dataclass(hint):
        return cedar
    if (name := entity(hint)) is not None:
        return lambda value: reference(name, value)
    return _PLAIN[hint]


def _moment(value: dt.datetime) -> dict[str, Any]:
    return _extension("datetime", f"{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}Z")


def _decimal(value: float) -> dict[str, Any]:
    return _extension("decimal", f"{value:.4f}")


def _extension(function: str, argument: str) -> dict[str, Any]:
    return {"__extn": {"fn": function, "arg": argument}}


_PLAIN: Mapping[Any, Callable[[Any], Any]] = types.MappingProxyType(
    {str: str, AuthorisationKind: str, bool: bool, dt.datetime: _moment, float: _decimal}
)


def entity(hint: Any) -> str | None:
    """The entity type that a declared type stands for, if it stands for one."""
    if isinstance(hint, NewType):
        return hint.__name__
    if hint in _PLAIN or not (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return None
    return "OrgKind" if hint is OrganisationKind else hint.__name__
