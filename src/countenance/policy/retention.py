"""How long what is kept may be kept, and must be: the [[retention]] tables of a pack's retention.toml. Pure.

id            unique, "pack/paragraph"
what          "templates", "private": what calls said that is nobody else's business, or "results": what jobs
              on stored video found
at_most       days after which it is destroyed
at_least      days for which it stays, though its subject is erased; only for "private"
counted_from  "enrolled", "ended" (the collection's tag countenance:ended) or "written"
kinds         of organisations that it binds; all where it is left out
effective     its first day; until: the first day it no longer is in force
source, quote
prevails      over which others an at_least holds: ids of at_most, or "erasure"; else they win
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from countenance.types import OrganisationKind

FILE = "retention.toml"
OWN_RULE = "countenance/results"
"""What the ledger calls the end of results that no rule of a pack wants gone sooner."""

ERASURE = "erasure"
"""What an at_least may prevail over beside the rules that destroy: a subject's erasure."""


class What(StrEnum):
    """What is kept."""

    TEMPLATES = "templates"
    PRIVATE = "private"
    RESULTS = "results"


class Since(StrEnum):
    """What the days are counted from."""

    ENROLLED = "enrolled"
    ENDED = "ended"
    WRITTEN = "written"


_FITS = {
    What.TEMPLATES: {Since.ENROLLED, Since.ENDED},
    What.PRIVATE: {Since.WRITTEN},
    What.RESULTS: {Since.WRITTEN},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One rule of retention, in days. place: of its pack; it binds the organisations in it."""

    id: str
    place: str
    what: What
    counted_from: Since
    effective: dt.date
    until: dt.date | None = None
    at_most: int | None = None
    at_least: int | None = None
    kinds: frozenset[OrganisationKind] = frozenset(OrganisationKind)
    source: str
    quote: str
    prevails: frozenset[str] = frozenset()

    def in_force(self, day: dt.date) -> bool:
        return self.effective <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True)
class Due:
    """What was enrolled or written until `before` is to be destroyed, by a rule."""

    rule: str
    before: dt.datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """A rule keeps something until then."""

    rule: str
    until: dt.datetime

    @property
    def day(self) -> dt.date:
        """The first on which it is kept no more at any hour."""
        return (self.until + dt.timedelta(1)).date()


class Retention:
    """The limits of the packs in force. within: whether a place lies in another."""

    def __init__(self, limits: Iterable[Limit], within: Callable[[str, str], bool]) -> None:
        self.limits = tuple(limits)
        self._within = within

    def destroys(self, what: What) -> bool:
        """Whether any limit in force, for whomever, ever destroys such."""
        return any(limit.what is what and limit.at_most is not None for limit in self.limits)

    def binding(self, what: What, kind: OrganisationKind, place: str, now: dt.datetime) -> list[Limit]:
        """What binds an organisation of this kind in this place today."""
        return [
            limit
            for limit in self.limits
            if limit.what is what
            and kind in limit.kinds
            and limit.in_force(now.date())
            and self._within(place, limit.place)
        ]

    def templates(
        self, kind: OrganisationKind, place: str, ended: dt.date | None, now: dt.datetime
    ) -> Due | None:
        """Which templates of a collection are due: those of the strictest rule. ended: its purpose."""
        found = []
        for limit in self.binding(What.TEMPLATES, kind, place, now):
            assert limit.at_most is not None  # `read` takes no other
            days = dt.timedelta(limit.at_most)
            if limit.counted_from is Since.ENROLLED:
                found.append(Due(limit.id, now - days))
            elif ended is not None and _midnight(ended) + days <= now:
                found.append(Due(limit.id, now))
        return max(found, key=lambda due: due.before, default=None)

    def results(self, kind: OrganisationKind, place: str, now: dt.datetime, longest: dt.timedelta) -> Due:
        """Which jobs are due, by when they ended. longest: kept so long where no rule is stricter."""
        found = self._written(What.RESULTS, kind, place, now)
        return max([Due(OWN_RULE, now - longest), *found], key=lambda due: due.before)

    def private(self, kind: OrganisationKind, place: str, now: dt.datetime) -> Due | None:
        """Which private records are due; what keeps one of them all the same says `kept`."""
        found = self._written(What.PRIVATE, kind, place, now)
        return max(found, key=lambda due: due.before, default=None)

    def _written(self, what: What, kind: OrganisationKind, place: str, now: dt.datetime) -> list[Due]:
        limits = self.binding(what, kind, place, now)
        return [
            Due(limit.id, now - dt.timedelta(limit.at_most)) for limit in limits if limit.at_most is not None
        ]

    def kept(
        self,
        kind: OrganisationKind,
        place: str,
        written: dt.datetime,
        now: dt.datetime,
        against: str = ERASURE,
    ) -> Kept | None:
        """Whether a private record stays for now: by the rule that keeps it longest, of those that say they
        prevail. against: what would destroy it, the id of a rule or ERASURE."""
        found = [
            Kept(limit.id, written + dt.timedelta(limit.at_least))
            for limit in self.binding(What.PRIVATE, kind, place, now)
            if limit.at_least is not None and against in limit.prevails
        ]
        return max((kept for kept in found if kept.until > now), key=lambda kept: kept.until, default=None)


def read(lines: Mapping[str, Any], place: str, since: dt.date) -> tuple[Limit, ...]:
    """The limits of a retention.toml. place, since: of its pack. Raises ValueError naming the one that is
    wrong."""
    if unknown := lines.keys() - {"retention"}:
        raise ValueError(f"unknown line {min(unknown)!r}; known is [[retention]]")
    limits = tuple(_limit(number, table, place) for number, table in enumerate(lines.get("retention", ()), 1))
    for limit in limits:
        if limit.effective < since:
            raise ValueError(f"{limit.id} applies since {limit.effective}, but its pack since {since}")
    return limits


def _limit(number: int, table: Mapping[str, Any], place: str) -> Limit:
    fields = {field.name: field for field in dataclasses.fields(Limit) if field.name != "place"}
    name = table.get("id", f"number {number}")
    if unknown := sorted(table.keys() - fields):
        raise ValueError(f"{name}: unknown line {unknown[0]!r}; known are {', '.join(fields)}")
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in table:
            raise ValueError(f"{name}: {field.name} is missing")
    try:
        limit = Limit(place=place, **{key: _READ.get(key, _text)(value) for key, value in table.items()})
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{name}: {fault}") from fault
    if unfit := _unfit(limit):
        raise ValueError(f"{name}: {unfit}")
    return limit


def _unfit(limit: Limit) -> str:
    if (limit.at_most is None) == (limit.at_least is None):
        return "says at_most or at_least, one of them"
    if limit.what is not What.PRIVATE and limit.at_least is not None:
        return f"no rule keeps {limit.what} against an erasure: at_least is for private alone"
    if limit.counted_from not in _FITS[limit.what]:
        return f"{limit.what} cannot be counted from {limit.counted_from}"
    if limit.prevails and limit.at_least is None:
        return "prevails is for at_least: what destroys wins unless it is told otherwise"
    return ""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a text is wanted, not {value!r}")
    return value


def _date(value: object) -> dt.date:
    if type(value) is not dt.date:
        raise ValueError(f"a date such as 2027-12-02 is wanted, not {value!r}")
    return value


def _days(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(f"days from 0 to {_MOST} are wanted, not {value!r}")
    return value


def _texts(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"a list of texts is wanted, not {value!r}")
    return [_text(each) for each in value]


_MOST = 36_500
_READ: Mapping[str, Callable[[Any], Any]] = {
    "what": What,
    "counted_from": Since,
    "effective": _date,
    "until": _date,
    "at_most": _days,
    "at_least": _days,
    "kinds": lambda value: frozenset(map(OrganisationKind, _texts(value))),
    "prevails": lambda value: frozenset(_texts(value)),
}


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
