"""docs/who-can.md and its picture: who may search faces, where, since when. Made from the packs that ship."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from xml.sax.saxutils import escape

from countenance.policy import Policy, pack
from countenance.policy.atlas import Atlas, Barrier
from countenance.policy.rule import Rule
from countenance.types import Action, OrganisationKind

NAMES = {
    "world": "The world",
    "US": "United States",
    "US-WA": "Washington",
    "US-CO": "Colorado",
    "US-MD": "Maryland",
    "US-VA": "Virginia",
    "US-IL": "Illinois",
    "US-TX": "Texas",
    "US-CA": "California",
    "US-CA-SF": "San Francisco",
    "US-OR-PDX": "Portland, Oregon",
    "US-MA-BOS": "Boston",
    "EU": "European Union",
    "GB": "United Kingdom",
}
"""Places that have rules, in the order of the page. A rule of a place that is missing here is an error."""

LAW = {"police": "police", "federal-law-enforcement": "federal law enforcement"}

NOTES = re.compile(r'^@id\("([^"]+)"\)(?:\n@.*)*?\n@confidence\("([^"]+)"\)', re.MULTILINE)
"""A rule's id and its own confidence; a pack's is the lowest of them."""

ALWAYS_SINCE = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Row:
    """A rule in one place. who: the kinds it refuses anything. place: the widest where it does. work_only:
    whether it binds others than law enforcement only for its purposes."""

    place: str
    rule: Rule
    who: frozenset[str]
    barrier: Barrier
    confidence: str
    work_only: bool

    @property
    def whom(self) -> str:
        everybody = {kind.value for kind in OrganisationKind}
        if self.work_only and self.who == everybody:
            return "law enforcement, and whoever does its work"
        if self.who == everybody:
            return "everybody"
        if self.who == everybody - {*LAW, "public-agency"}:
            return "private bodies"
        others = sorted(self.who - LAW.keys())
        return ", ".join([*(name for kind, name in LAW.items() if kind in self.who), *others])

    @property
    def purposes(self) -> str:
        """For what, in the fewest words."""
        if len(self.barrier.but) < len(self.barrier.purposes):
            return f"all but {', '.join(self.barrier.but)}"
        return ", ".join(self.barrier.purposes) or "anything"


@cache
def rows(action: Action) -> tuple[Row, ...]:
    """Every rule that refuses an action to anybody, by place and first day."""
    policy = Policy.read(pack.shipped())
    known = dict(each for one in policy.packs for each in NOTES.findall(one.text))
    found = []
    for rule in policy.rules.values():
        if rule.permits or (rule.actions and action not in rule.actions):
            continue
        atlas = Atlas(policy, rule.effective or ALWAYS_SINCE)
        for place in _widest(policy, atlas, rule, action):
            who = atlas.bound(rule.id, (action,), place)
            # Whom it binds most: law enforcement where that is meant.
            kind = next(one for one in (*LAW, *sorted(who)) if one in who)
            barrier = atlas.barrier(rule.id, (action,), kind=kind, seat=place, place=place)
            assert barrier is not None
            other = next((one for one in sorted(who) if one not in LAW), kind)
            beside = atlas.barrier(rule.id, (action,), kind=other, seat=place, place=place)
            work_only = beside is not None and beside.purposes == ("law-enforcement",) != barrier.purposes
            found.append(Row(place, rule, who, barrier, known[rule.id], work_only))
    order = list(NAMES)
    return tuple(
        sorted(found, key=lambda row: (order.index(row.place), str(row.rule.effective), row.rule.id))
    )


def _widest(policy: Policy, atlas: Atlas, rule: Rule, action: Action) -> list[str]:
    bound = [place for place in atlas.places() if atlas.bound(rule.id, (action,), place)]
    return [one for one in bound if not any(policy.within(one, other) for other in bound if other != one)]


def page() -> str:
    """docs/who-can.md."""
    return f"""<!-- Made from the code by `make docs`; do not edit. -->

# Who may search faces, where, since when

Made from the packs that ship, by counting every call that the vocabulary allows. It says what these rules do,
not what the law is: each rule's source, and what nobody has read of it, is in its pack
(`countenance policy show PACK`). For one day and your own packs ask
`countenance policy who-can SearchFacesByImage`.

![A timeline for each place: which rule refuses searches, to whom, since when and until when](who-can.svg)

Where no rule speaks, [base](policies.md) permits a search in collections of one's own to everybody but the
police and federal law enforcement. To them nothing permits it: the rules below say what refuses it besides,
and would still refuse it where a pack that grants it is put in force. A place has the rules of the places
around it too. Whoever asks on somebody's behalf is decided as that body as well.

*Refused* is "all" where nothing that a call could say turns the rule, and "some" where it depends: on what
the call is like, or on what it states. *Confidence* is how well the rule's source is known.

## Searching (1:N)

{_table(rows(Action.IDENTIFY))}

## Enrolling, where searching is free

{_table(_only_enrolling())}

## What turns them

{_advice([*rows(Action.IDENTIFY), *_only_enrolling()])}
"""


def _only_enrolling() -> list[Row]:
    searching = {row.rule.id for row in rows(Action.IDENTIFY)}
    return [row for row in rows(Action.ENROL) if row.rule.id not in searching]


def _table(some: Sequence[Row]) -> str:
    lines = [
        "| Where | Since | Until | Who | For | Refused | Rule | Confidence |",
        "|---|---|---|---|---|---|---|---|",
    ]
    before = ""
    for row in some:
        place = "" if row.place == before else f"**{NAMES[row.place]}**"
        before = row.place
        since, until = row.rule.effective or "always", row.rule.until or ""
        refused = "all" if row.barrier.always else "some"
        cells = (place, since, until, row.whom, row.purposes, refused, f"`{row.rule.id}`", row.confidence)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _advice(some: Sequence[Row]) -> str:
    return "\n".join(f"- `{row.rule.id}`: {row.rule.advice}" for row in some)


FIRST, LAST = 2019, 2029
LEFT, RIGHT, TOP = 168, 984, 130
LANE, BAR, GAP = 21, 16, 11

INK, FAINT, PAPER = "#1d2733", "#dfe4ea", "#ffffff"
COLOURS = {
    "police": "#2a5b9c",
    "law enforcement": "#1f7a7a",
    "public bodies": "#6a4c93",
    "everybody, or private bodies": "#b5541c",
}
"""Whom a rule binds; each at least 4.5:1 on white, so that words may be written in it and on it."""


def _group(row: Row) -> str:
    if row.who <= {"police"}:
        return "police"
    if row.who <= set(LAW) or row.work_only or row.barrier.purposes == ("law-enforcement",):
        return "law enforcement"
    if row.who <= {*LAW, "public-agency"}:
        return "public bodies"
    return "everybody, or private bodies"


def _x(day: dt.date) -> float:
    year = dt.date(day.year, 1, 1)
    share = (day - year).days / (dt.date(day.year + 1, 1, 1) - year).days
    return round(LEFT + (RIGHT - LEFT) * (day.year + share - FIRST) / (LAST - FIRST), 1)


def picture() -> str:
    """docs/who-can.svg: a lane for each rule, grouped by place."""
    read_on = max(each.about.read_on for each in Policy.read(pack.shipped()).packs)
    lanes = list(_lanes())
    bottom = lanes[-1][1] + LANE + 4
    height = bottom + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 {height}" width="1000" height="{height}" '
        'role="img" font-family="system-ui, Helvetica, Arial, sans-serif">',
        "<title>Which rules refuse a search for faces, to whom, since when</title>",
        f'<rect width="1000" height="{height}" fill="{PAPER}"/>',
        *_legend(),
        f'<rect x="{_x(read_on)}" y="{TOP - 8}" width="{RIGHT - _x(read_on):g}" '
        f'height="{bottom - TOP + 8}" fill="#f5f7f9"/>',
        *_years(bottom),
        _line(_x(read_on), TOP - 8, _x(read_on), bottom, colour=INK, dash="3 3"),
    ]
    before = ""
    for row, y in lanes:
        if row.place != before:
            if before:
                parts.append(_line(16, y - GAP / 2, RIGHT, y - GAP / 2))
            parts.append(_words(16, y + 12.5, NAMES[row.place], size=13, weight=600))
        before = row.place
        parts += _bar(row, y)
    parts.append(_words(_x(read_on), bottom + 16, f"as read on {read_on}", size=11, anchor="middle"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lanes() -> Iterator[tuple[Row, int]]:
    """Each rule with its height; a gap after each place."""
    y, before = TOP, ""
    for row in rows(Action.IDENTIFY):
        if before and row.place != before:
            y += GAP
        yield row, y
        before = row.place
        y += LANE


def _legend() -> Iterator[str]:
    yield _words(16, 30, "Who is refused a search for faces, where, since when", size=19, weight=700)
    x = 16
    for name, colour in COLOURS.items():
        yield f'<rect x="{x}" y="48" width="22" height="12" rx="3" fill="{colour}"/>'
        yield _words(x + 28, 58.5, name, size=12)
        x += 54 + 7 * len(name)
    x = 16
    yield f'<rect x="{x}" y="70" width="22" height="12" rx="3" fill="{INK}"/>'
    yield _words(x + 28, 80.5, "all such searches", size=12)
    x += 173
    yield (
        f'<rect x="{x + 0.75}" y="70.75" width="20.5" height="10.5" rx="3" fill="{INK}" fill-opacity="0.12" '
        f'stroke="{INK}" stroke-width="1.5"/>'
    )
    yield _words(x + 28, 80.5, "some: it depends on what the call is like, or on what it states", size=12)


def _years(bottom: int) -> Iterator[str]:
    for year in range(FIRST, LAST + 1):
        x = _x(dt.date(year, 1, 1))
        yield _line(x, TOP - 8, x, bottom)
        if year < LAST:
            yield _words(x + 4, TOP - 14, str(year), size=11, colour="#5b6875")


def _bar(row: Row, y: int) -> Iterator[str]:
    """Solid where nothing turns the rule, pale where something does; open where no end is written."""
    colour = COLOURS[_group(row)]
    since = row.rule.effective or ALWAYS_SINCE
    start = max(_x(since), LEFT)
    end = min(_x(row.rule.until), RIGHT) if row.rule.until else RIGHT
    inset, look = 0.0, f'fill="{colour}"'
    if not row.barrier.always:
        inset, look = 0.75, f'fill="{_pale(colour)}" stroke="{colour}" stroke-width="1.5"'
    yield (
        f'<rect x="{start + inset:g}" y="{y + inset:g}" width="{end - start - 2 * inset:g}" '
        f'height="{BAR - 2 * inset:g}" rx="3" {look}/>'
    )
    purposes = "" if row.purposes == "anything" else f", for {row.purposes}"
    label, room = f"{row.rule.id}: {row.whom}{purposes}", end - start - 12
    size = 11
    length = 5.7 * len(label)
    if length <= room:
        yield _words(
            start + 7, y + 12, label, size=size, colour=PAPER if row.barrier.always else colour, weight=500
        )
    elif end + 6 + length <= RIGHT:
        yield _words(end + 6, y + 12, label, size=size, colour=colour, weight=500)
    else:
        yield _words(start - 6, y + 12, label, size=size, colour=colour, anchor="end", weight=500)


def _pale(colour: str) -> str:
    """An eighth of a colour on white. Not a transparent one: lines behind it would cross its words."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{255 - (255 - part) // 8:02x}" for part in parts)


def _words(
    x: float, y: float, text: str, *, size: int, colour: str = INK, weight: int = 400, anchor: str = "start"
) -> str:
    halo = f' stroke="{PAPER}" stroke-width="4" paint-order="stroke"' if anchor == "end" else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}"{halo}>{escape(text)}</text>'
    )


def _line(x: float, y: float, to_x: float, to_y: float, *, colour: str = FAINT, dash: str = "none") -> str:
    ends = f'x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}"'
    return f'<line {ends} stroke="{colour}" stroke-dasharray="{dash}"/>'
