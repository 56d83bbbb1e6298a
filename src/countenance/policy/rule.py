"""A rule as people read it: its notes, and what its text says that no validator asks about.

Read from the syntax tree that the engine gives, so that a note cannot say one day and the rule another.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from countenance.policy.facts import NAMESPACE

CLOSED = frozenset({"Purpose", "Place", "Offence", "Group"})
"""The entity types whose ids are a closed vocabulary, written in the packs' entities.json."""

NOTES = ("id", "source", "advice", "effective", "quote")
"""What every rule is annotated with."""

ALWAYS = "always"
"""@effective of a rule that names no date."""

LONGEST_QUOTE = 400
"""Characters. A quotation, not a copy: for the rest there is the source."""

Word = tuple[str, str]
"""An entity as (type, id): ("Place", "US-CA")."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a pack.

    actions: what its scope names; empty where it covers every action. quote: the operative words.
    effective: the first day it applies, None for always. until: the first day it no longer applies, if any.
    dates: every date written in it. reads: the facts its conditions read, in the schema's words
    ("context.grounds.case", "resource.origin"). words: the places, purposes, offences and groups it names.
    """

    id: str
    permits: bool
    actions: frozenset[str]
    source: str
    advice: str
    quote: str
    effective: dt.date | None
    until: dt.date | None
    dates: frozenset[dt.date]
    reads: frozenset[str]
    words: frozenset[Word]


def read(tree: dict[str, Any]) -> Rule:
    """A rule from the engine's JSON of it. Raises ValueError saying what is wrong with its notes."""
    notes = tree["annotations"]
    for name in NOTES:
        if not notes.get(name):
            raise ValueError(f"@{name} is missing")
    if len(notes["quote"]) > LONGEST_QUOTE:
        raise ValueError(f"@quote is longer than {LONGEST_QUOTE} characters")
    effective = None if notes["effective"] == ALWAYS else _date("@effective", notes["effective"])
    until = _date("@until", notes["until"]) if "until" in notes else None
    if until is not None and (effective is None or until <= effective):
        raise ValueError("@until is not after @effective")
    dates = frozenset(_date("a datetime", written) for written in _datetimes(tree["conditions"]))
    said = {day for day in (effective, until) if day is not None}
    if dates != said:
        raise ValueError(f"its notes say {_shown(said)}, but it compares context.now with {_shown(dates)}")
    scope = tree["action"]
    named = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
    return Rule(
        id=notes["id"],
        permits=tree["effect"] == "permit",
        actions=frozenset(entity["id"] for entity in named),
        source=notes["source"],
        advice=notes["advice"],
        quote=notes["quote"],
        effective=effective,
        until=until,
        dates=dates,
        reads=frozenset((*_facts(tree["conditions"]), *_scope(tree))),
        words=frozenset(_words(tree)),
    )


def kind_of(uid: dict[str, str]) -> str:
    """An entity's type without the namespace."""
    return uid["type"].removeprefix(NAMESPACE)


def _date(what: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{what} is not a date: {error}") from error


def _shown(dates: set[dt.date] | frozenset[dt.date]) -> str:
    return " and ".join(sorted(map(str, dates))) or "no date"


def _branches(tree: object) -> Iterator[object]:
    if isinstance(tree, dict):
        yield from tree.values()
    elif isinstance(tree, list):
        yield from tree


def _datetimes(tree: object) -> Iterator[str]:
    """The text of every datetime("...")."""
    match tree:
        case {"datetime": [{"Value": str(text)}]}:
            yield text
        case _:
            for branch in _branches(tree):
                yield from _datetimes(branch)


def _facts(tree: object) -> Iterator[str]:
    """Every fact read, by its longest path: context.grounds has case is a reading of that case."""
    path = _path(tree)
    if path is not None:
        yield path
        return
    for branch in _branches(tree):
        yield from _facts(branch)


def _path(tree: object) -> str | None:
    match tree:
        case {"Var": str(name)}:
            return name
        case {".": {"left": left, "attr": str(name)}} | {"has": {"left": left, "attr": str(name)}}:
            return None if (before := _path(left)) is None else f"{before}.{name}"
        case {"hasTag": {"left": left, "right": {"Value": str(name)}}} | {
            "getTag": {"left": left, "right": {"Value": str(name)}}
        }:
            return None if (before := _path(left)) is None else f"{before}.tags.{name}"
        case _:
            return None


def _scope(tree: dict[str, Any]) -> Iterator[str]:
    """What a rule's head asks beyond which action it is; that a key calls is always so."""
    if tree["principal"]["op"] in {"==", "in"}:
        yield "principal"
    if tree["resource"]["op"] != "All":
        yield "resource"


def _words(tree: object) -> Iterator[Word]:
    """Every closed word a rule names. The engine's validator does not ask whether it exists."""
    if isinstance(tree, dict) and tree.keys() == {"type", "id"} and kind_of(tree) in CLOSED:
        yield kind_of(tree), tree["id"]
    for branch in _branches(tree):
        yield from _words(branch)
