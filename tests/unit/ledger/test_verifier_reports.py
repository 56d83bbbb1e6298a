"""The stand-alone file counts what `reports` counts, and withholds what it withholds, without its code."""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.ledger.exported import (
    FIRST,
    ORIGIN,
    Entry,
    body,
    cosign,
    grow,
    note,
    published,
    witness_line,
    write,
)
from tests.unit.ledger.test_verifier import Ask, ask, verifier

from countenance.ledger.counting import Period
from countenance.ledger.reports import as_json, report

__all__ = ["ask"]

NEVER = "countenance:never-suspects"
PERIOD = Period(dt.date(2026, 11, 5), dt.date(2026, 11, 25))


class Month:
    """Calls by chance, from before the period until after it, of everything that a report looks at."""

    def __init__(self, seed: int, calls: int) -> None:
        self.chance = random.Random(seed)
        self.entries: list[Entry] = []
        self.listed: list[tuple[int, list[str]]] = []
        self.counters: dict[str, int] = {}
        for number in range(calls):
            self.day = f"2026-11-{1 + 29 * number // calls:02d}"
            self.chance.choice(
                [self.search, self.search, self.search, self.review, self.keep, self.govern, self.erase]
            )()

    def add(self, kind: str, **members: Any) -> int:
        seq = len(self.entries)
        self.entries.append(
            {"v": 1, "seq": seq, "kind": kind, "time": f"{self.day}T10:00:00.000Z", **members}
        )
        return seq

    def some(self, **members: tuple[Any, ...]) -> Entry:
        """Each of the members with one of its values; None leaves it out."""
        chosen = {name: self.chance.choice(values) for name, values in members.items()}
        return {name: value for name, value in chosen.items() if value is not None}

    def decide(self, operation: str, actions: list[str], **members: Any) -> int:
        account = self.chance.choice(["111", "111", "222"])
        caller = f"key of {account}"
        self.counters[caller] = self.counters.get(caller, 0) + 1
        said: Entry = {
            "operation": operation,
            "actions": actions,
            "allowed": self.chance.random() < 0.8,
            "rules": self.chance.choice([[], ["a/permit"], ["a/permit", "b/permit"], ["a/forbid"]]),
            "account": account,
            "caller": caller,
            "counter": self.counters[caller],
            "organisation_kind": "police" if account == "222" else "business",
            "place": "US-CA",
        }
        return self.add("decision", **{**said, **members})

    def end(self, decision: int, **members: Any) -> str:
        if not self.entries[decision]["allowed"]:
            self.add("outcome", decision=decision, result="refused", error="AccessDeniedException")
            return "refused"
        result: str = self.chance.choice(["answered"] * 8 + ["failed", "interrupted", ""])
        if result == "answered":
            self.add("outcome", decision=decision, result=result, **members)
        elif result:
            self.add("outcome", decision=decision, result=result, **self.some(error=("Broken", None)))
        return result

    def search(self) -> None:
        declared = self.some(
            purpose=("general", "criminal-investigation", None),
            offence=("theft", "violent", None, None),
            called_from=("DE", None, None),
            requester=(["police", "DE", "x"], None, None),
            case=("0" * 64, None),
            authorisation=("1" * 64, None),
            realtime=(True, None, None),
            collection=("album", "drivers", "other"),
        )
        decision = self.decide(
            *self.chance.choice([("SearchFaces", ["identify"]), ("Watch", ["watch", "infer"])]), **declared
        )
        people = [f"{decision}-{n}" for n in range(self.chance.choice([0, 0, 1, 2, 4]))]
        members = (
            self.some(candidates=(len(people), len(people) + 1))
            if people
            else self.some(candidates=(0, None))
        )
        if self.end(decision, **members, **({"subjects": people} if people else {})) == "answered" and people:
            self.listed.append((decision, people))

    def review(self) -> None:
        decision = self.decide("RecordReview", ["manage"])
        if self.listed:
            about, people = self.chance.choice(self.listed)
            verdict = self.chance.choice(["confirmed", "wrong", "wrong", "undecided"])
            candidate = self.chance.choice([*people, "nobody"])
            self.end(decision, review=about, candidate=candidate, verdict=verdict)

    def keep(self) -> None:
        collection = self.chance.choice(["album", "drivers"])
        operation = self.chance.choice(
            ["CreateCollection", "IndexFaces", "DeleteFaces", "TagResource", "DeleteCollection"]
        )
        tags = [[NEVER, "", self.chance.choice(["true", "false"])]] if operation == "TagResource" else []
        decision = self.decide(
            operation, ["manage"], collection=collection, **({"tags": tags} if tags else {})
        )
        grown = {"IndexFaces": {"enrolled": self.chance.randint(0, 3)}, "DeleteFaces": {"removed": 1}}
        self.end(decision, **grown.get(operation, {}))

    def erase(self) -> None:
        decision = self.decide("EraseSubject", ["manage"])
        self.end(
            decision, removed=3, removed_from=[["album", 2], [self.chance.choice(["drivers", "gone"]), 1]]
        )

    def govern(self) -> None:
        act = self.chance.choice(["issue", "revoke", "packs", "expire"])
        collection = {"account": "111", "collection": "album", "removed": 1} if act == "expire" else {}
        self.add("govern", act=act, **collection)


def told(entries: list[Entry], account: str | None = None, least: int = 5, period: Period = PERIOD) -> Any:
    return json.loads(json.dumps(as_json(report(entries, period, account, least))))


def counted(entries: list[Entry], account: str | None = None, least: int = 5, size: int = 10**9) -> Any:
    recount = verifier.Recount(min(size, len(entries)), "2026-11-05", "2026-11-25", account)
    for number, entry in enumerate(entries):
        recount.see(number, entry)
    return recount.report(least)


@given(
    st.integers(0),
    st.integers(0, 120),
    st.sampled_from([None, "111", "222", "333"]),
    st.sampled_from([1, 5, 9]),
)
@settings(max_examples=40, deadline=None)
def test_both_count_and_withhold_the_same(seed: int, calls: int, account: str | None, least: int) -> None:
    entries = Month(seed, calls).entries
    assert counted(entries, account, least) == told(entries, account, least)


def test_a_busy_month_too() -> None:
    entries = Month(1, 2500).entries
    ours = told(entries)
    assert counted(entries) == ours
    assert counted(entries, size=2000) == told(entries[:2000])
    cells = [cell for rows in ours["tables"].values() for row in rows for cell in row.values()]
    assert None in cells
    assert ours["totals"]["wrong"]["count"] > 30


# ---- The command

BUSY = Month(2, 200).entries
BODIES = [body(entry) for entry in BUSY]
SIZE = len(BODIES) - 7


def written(**changes: Any) -> Any:
    first = told(BUSY[:SIZE])["period"]["first"]
    heads = {
        "opening": note(grow(BODIES), first, FIRST).decode(),
        "closing": cosign(note(grow(BODIES), SIZE, FIRST)).decode(),
    }
    found = {
        "report": 1,
        "log": ORIGIN,
        **told(BUSY[:SIZE]),
        "heads": heads,
        "witnesses": ["witness.example"],
    }
    return {**found, **changes}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("log"), published(BODIES, kept=[1]))


def test_a_report_of_an_older_head_is_counted_again(ask: Ask, tmp_path: Path, log: Path) -> None:
    file, keys = tmp_path / "report.json", tmp_path / "witness.pub"
    file.write_text(json.dumps(written(), indent=1))
    keys.write_text(witness_line())
    found = ask("report", file, "--log", log, "--witness", keys)
    assert found.good, found.fault
    assert found.said["figures"] > 80
    assert found.said["withheld"] > 0
    assert [seen["name"] for seen in found.said["witnesses"]] == ["witness.example"]
    assert ask("report", file, "--log", log).said["witnesses"] == []
    file.write_text(json.dumps(verifier.without_entries(written())))
    assert ask("report", file, "--log", log).good


def test_any_changed_figure_is_found_and_named(ask: Ask, tmp_path: Path, log: Path) -> None:
    good, file = written(), tmp_path / "report.json"
    chance = random.Random(3)
    for path in chance.sample(list(paths(good)), 40):
        changed = copy.deepcopy(good)
        *holders, last = path
        holder = changed
        for step in holders:
            holder = holder[step]
        holder[last] = another(holder[last])
        file.write_text(json.dumps(changed))
        found = ask("report", file, "--log", log)
        assert found.status == 1, path
        if path[0] in ("totals", "tables"):
            assert str(path[1]) in found.fault


def paths(value: Any, *before: Any) -> Any:
    """The way to every figure, name and list of entries."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        if before == () and name in ("heads", "witnesses"):
            continue
        if isinstance(each, dict | list) and each:
            yield from paths(each, *before, name)
        else:
            yield (*before, name)


def another(value: Any) -> Any:
    if value is None:
        return {"count": 3, "entries": "1-3"}
    if isinstance(value, str):
        return value + "1" if value.isdigit() else value[:-1] + ("0" if value[-1:] != "0" else "9")
    return value + 1 if isinstance(value, int) else [{}]


@pytest.mark.parametrize(
    "heads",
    [
        {"closing": note(grow(BODIES), SIZE + 1, FIRST).decode()},
        {"closing": note(grow([*BODIES[:3], *BODIES[4:]]), SIZE, FIRST).decode()},
        {"opening": note(grow([*BODIES[:3], *BODIES[4:]]), 10, FIRST).decode()},
        {"opening": note(grow(BODIES), SIZE - 1, FIRST).decode()},
        {"closing": ""},
    ],
)
def test_a_report_on_other_heads_is_refused(
    heads: dict[str, str], ask: Ask, tmp_path: Path, log: Path
) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(written(heads={**written()["heads"], **heads})))
    assert ask("report", file, "--log", log).status == 1


@pytest.mark.parametrize("name", ["report", "log", "size", "period", "account", "least", "heads", "totals"])
def test_what_is_no_report_is_refused_in_words(name: str, ask: Ask, tmp_path: Path, log: Path) -> None:
    file = tmp_path / "report.json"
    values: list[Any] = [None, 7, "x", [], {}, -1, {"from": "2026-11-01", "to": 3}]
    for value in values:
        if value is not None or name != "account":
            file.write_text(json.dumps(written(**{name: value})))
            assert ask("report", file, "--log", log).status == 1
