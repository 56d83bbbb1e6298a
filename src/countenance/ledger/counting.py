"""What a period's entries count as, pure: calls, the candidates and people they listed, faces kept.

One pass over the entries, the oldest first. A call belongs to the period by the day its decision was written
(UTC); how it ended and what reviewers said of it counts however much later it was written, as far as the
entries go that are read. docs/reports.md defines every measure and word.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from countenance.errors import LedgerError

SEARCHES = frozenset({"identify", "watch"})
"""The actions of a search: whose face is it, of those in a collection?"""

NEVER_SUSPECTS = "countenance:never-suspects"
UNSTATED = "unstated"

Entry = Mapping[str, Any]
Words = tuple[tuple[str, tuple[str, ...]], ...]
"""By what tables sort something: for each dimension its words, more than one only for rules."""

Proof = tuple[int, ...]
"""Numbers of entries."""


class Period(NamedTuple):
    """Whole days, UTC, the first and the last included."""

    first: dt.date
    last: dt.date


def day(entry: Entry) -> str:
    """When it was written: 2026-11-22."""
    return str(entry["time"])[:10]


@dataclass(frozen=True, slots=True)
class Thing:
    """Something counted.

    measures: what it adds to, each with the entries that prove it.
    """

    measures: Mapping[str, Proof]
    words: Words
    count: int = 1


@dataclass(slots=True)
class Collection:
    """A collection as the entries tell of it. proof: those that say how many faces it has."""

    faces: int = 0
    never_suspects: bool = False
    proof: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Call:
    """A decision and what came of it. result: how it ended. ended: its outcome's number.

    lines: how many candidates its answer held. people: the tags of those it listed, each with the last
    verdict on it and where that was written.
    """

    number: int
    searches: bool
    words: Words
    result: str
    ended: Proof = ()
    lines: int = 0
    people: dict[str, tuple[str, int] | None] = field(default_factory=dict)


class Reading:
    """Takes the entries one by one and remembers what is to be counted.

    account: the organisation whose calls and collections alone count; None for all. size: how many entries
    were taken. within: numbers of the first and the last that were written in the period. changes: what the
    operator did in it, by act. collections: those there were at its end, as account/CollectionId.
    """

    def __init__(self, period: Period, account: str | None) -> None:
        self.size = 0
        self.within: list[int] = []
        self.changes: dict[str, list[int]] = {}
        self.collections: dict[str, Collection] = {}
        self._first, self._last = (each.isoformat() for each in period)
        self._account = account
        self._waiting: dict[int, Entry] = {}  # decisions without their outcome
        self._calls: dict[int, _Call] = {}  # those that count
        self._words: dict[Words, Words] = {}  # calls mostly share theirs

    def take(self, entry: Entry) -> None:
        """Raises LedgerError where it is not the next entry, or the outcome of no decision before it."""
        if entry.get("seq") != self.size:
            raise LedgerError(f"entry {self.size} is missing", self.size)
        if self._within(entry):
            self.within = [*self.within[:1], self.size]
        match entry["kind"]:
            case "decision":
                self._decided(entry)
            case "outcome":
                self._ended(entry)
            case "govern":
                self._governed(entry)
        self.size += 1

    def things(self) -> Iterator[Thing]:
        """All that counts."""
        for call in self._calls.values():
            yield from _things(call)
        for name, collection in self.collections.items():
            words = (("collection", (name,)), ("never_suspects", (_word(collection),)))
            yield Thing({"faces": tuple(collection.proof)}, words, collection.faces)

    def _within(self, entry: Entry) -> bool:
        return self._first <= day(entry) <= self._last

    def _ours(self, entry: Entry) -> bool:
        return self._account is None or entry.get("account", self._account) == self._account

    def _decided(self, entry: Entry) -> None:
        self._waiting[self.size] = entry
        if self._within(entry) and self._ours(entry):
            searches = _searches(entry)
            words: Words = (
                ("operation", (entry["operation"],)),
                ("rule", tuple(entry["rules"]) or ("none",)),
            )
            if searches:
                words += _searched(entry, self.collections.get(named(entry)))
            shared = self._words.setdefault(words, words)
            result = "unfinished" if entry["allowed"] else "refused"
            self._calls[self.size] = _Call(self.size, searches, shared, result)

    def _ended(self, entry: Entry) -> None:
        decision = self._waiting.pop(entry["decision"], None)
        if decision is None:
            raise LedgerError(f"entry {self.size} is the outcome of no decision before it", self.size)
        call = self._calls.get(entry["decision"])
        if call and decision["allowed"]:
            call.result, call.ended = entry["result"], (self.size,)
            if entry["result"] == "failed":
                call.words += (("error", (entry.get("error", UNSTATED),)),)
        if entry["result"] != "answered":
            return
        if call and call.searches:
            call.lines = entry.get("candidates", 0)
            call.people = dict.fromkeys(entry.get("subjects", ()))
        reviewed = self._calls.get(entry.get("review", -1))
        if reviewed and entry.get("candidate") in reviewed.people:
            reviewed.people[entry["candidate"]] = entry["verdict"], self.size
        if self._ours(decision):
            self._keep(entry, decision)

    def _governed(self, entry: Entry) -> None:
        if self._ours(entry):
            if self._within(entry):
                self.changes.setdefault(entry["act"], []).append(self.size)
            self._keep(entry, entry)

    def _keep(self, entry: Entry, cause: Entry) -> None:
        """Follow collections' faces and tags, up to the period's last day. cause: what names the collection,
        where the entry itself does not say from which ones it removed."""
        if day(entry) > self._last:
            return
        for collection, removed in entry.get("removed_from", ()):
            self._grow(f"{cause['account']}/{collection}", -removed)
        if "removed_from" in entry or "collection" not in cause:
            return
        name, operation = named(cause), cause.get("operation")
        if operation == "DeleteCollection":
            self.collections.pop(name, None)
            return
        word = next((after for tag, _, after in cause.get("tags", ()) if tag == NEVER_SUSPECTS), None)
        grown = entry.get("enrolled", 0) - entry.get("removed", 0)
        if grown or word or operation == "CreateCollection":
            collection = self._grow(name, grown)
            if word:
                collection.never_suspects = word == "true"

    def _grow(self, name: str, by: int) -> Collection:
        collection = self.collections.setdefault(name, Collection())
        collection.faces += by
        collection.proof.append(self.size)
        return collection


def _searches(entry: Entry) -> bool:
    """Whether it is the decision of a search. One that was put off is counted once: where it is done, or
    where its start was refused."""
    stage = entry.get("stage", "run")
    done = stage == "run" or (stage == "start" and not entry["allowed"])
    return done and not SEARCHES.isdisjoint(entry["actions"])


def named(entry: Entry) -> str:
    """The collection an entry names, with its account: those of two organisations may have one id."""
    return f"{entry['account']}/{entry['collection']}" if "collection" in entry else UNSTATED


def _searched(entry: Entry, collection: Collection | None) -> Words:
    """The words of a search. collection: as it was when the search was decided."""
    requester = entry.get("requester")
    words = {
        "organisation": (entry["account"],),
        "kind": (entry["organisation_kind"],),
        "place": (entry.get("called_from", entry["place"]),),
        "purpose": (entry.get("purpose", UNSTATED),),
        "offence": (entry.get("offence", UNSTATED),),
        "authorisation": (_stated(entry, "authorisation"),),
        "case": (_stated(entry, "case"),),
        "realtime": ("true" if entry.get("realtime") else "false",),
        "requester": (f"{requester[0]} {requester[1]}" if requester else "itself",),
        "collection": (named(entry),),
        "never_suspects": (_word(collection),),
    }
    return tuple(words.items())


def _stated(entry: Entry, member: str) -> str:
    return "stated" if member in entry else UNSTATED


def _word(collection: Collection | None) -> str:
    return "true" if collection and collection.never_suspects else "false"


def _things(call: _Call) -> Iterator[Thing]:
    """What a call counts as: itself, the candidates it listed, the people behind them."""
    decision = (call.number,)
    measures = {"calls": decision, call.result: call.ended or decision}
    if not call.searches:
        yield Thing(measures, call.words)
        return
    measures["searches"] = decision
    if call.result == "refused":
        measures["searches_refused"] = decision
    if call.result == "answered" and not call.lines:
        measures["searches_empty"] = call.ended
    yield Thing(measures, call.words)
    yield Thing({"candidates": call.ended}, call.words, call.lines)
    for verdict in call.people.values():
        said = {} if verdict is None else {"reviewed": (verdict[1],), verdict[0]: (verdict[1],)}
        yield Thing({"listed": call.ended, **said}, call.words)
