"""What the log comes to over a period, pure: entries in, a report out. docs/reports.md defines each figure.

`counting` says what counts as what, `suppression` what may be printed; here it is put into tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from countenance.ledger.counting import Entry, Period, Proof, Reading, Thing, Words
from countenance.ledger.suppression import Sum, printable

VERSION = 1

LEAST = 5
"""Counts under it are not printed (the reference, C 6: small towns, rare purposes)."""

MACHINE = frozenset({"failed", "interrupted", "unfinished"})
"""Measures that are printed however small: they tell of the machine, and of nobody who was searched for."""

TOTALS = (
    *("calls", "answered", "refused", "failed", "interrupted", "unfinished"),
    *("searches", "searches_refused", "searches_empty"),
    *("candidates", "listed", "reviewed", "confirmed", "wrong", "undecided", "faces"),
)

_SEARCHED = ("searches", "searches_refused", "candidates", "reviewed", "wrong")

TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "calls_by_operation": ("operation", ("calls", "refused")),
    "failures_by_error": ("error", ("failed",)),
    "refusals_by_rule": ("rule", ("refused",)),
    "searches_by_organisation": ("organisation", _SEARCHED),
    "searches_by_kind": ("kind", _SEARCHED),
    "searches_by_place": ("place", _SEARCHED),
    "searches_by_requester": ("requester", _SEARCHED),
    "searches_by_purpose": ("purpose", _SEARCHED),
    "searches_by_offence": ("offence", _SEARCHED),
    "searches_by_authorisation": ("authorisation", _SEARCHED),
    "searches_by_case": ("case", _SEARCHED),
    "searches_by_realtime": ("realtime", _SEARCHED),
    "searches_by_rule": ("rule", _SEARCHED),
    "searches_by_collection": ("collection", _SEARCHED),
    "searches_by_never_suspects": ("never_suspects", _SEARCHED),
    "faces_by_collection": ("collection", ("faces",)),
    "faces_by_never_suspects": ("never_suspects", ("faces",)),
}
"""Each table's dimension and measures. Only in those by rule may a call be in several rows."""

_Key = tuple[str, str, str]
"""Table, row and measure. The totals are the table "" and its row ""."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A count and the numbers of the entries that prove it, in order."""

    count: int
    entries: Proof


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of their names; each has a cell for every measure, None where it is not printed.

    facts: what else is known of a row.
    """

    measures: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Cell | None]]
    facts: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """What the first `size` entries say of a period. account: whose calls alone are counted, None for all.

    first, last: numbers of the first and last entry written in the period, None where there is none.
    least: the smallest count that is printed. changes: what the operator did, by act.
    """

    size: int
    period: Period
    account: str | None
    least: int
    first: int | None
    last: int | None
    totals: Mapping[str, Cell | None]
    tables: Mapping[str, Table]
    changes: Mapping[str, Cell]


def report(
    entries: Iterable[Entry], period: Period, account: str | None = None, least: int = LEAST
) -> Report:
    """Count. entries: from number 0 on. account: only this organisation's calls and collections.

    Raises LedgerError where an entry is missing or out of order.
    """
    reading = Reading(period, account)
    for entry in entries:
        reading.take(entry)
    tallies = _tallies(reading.things())
    cells = _cells(tallies, least)
    facts = {
        name: {"never_suspects": "true" if each.never_suspects else "false"}
        for name, each in reading.collections.items()
    }
    return Report(
        size=reading.size,
        period=period,
        account=account,
        least=least,
        first=reading.within[0] if reading.within else None,
        last=reading.within[-1] if reading.within else None,
        totals={measure: cells["", "", measure] for measure in TOTALS},
        tables={
            name: Table(measures, _rows(cells, name), facts if name == "faces_by_collection" else {})
            for name, (_, measures) in TABLES.items()
        },
        changes={act: Cell(len(seqs), tuple(seqs)) for act, seqs in sorted(reading.changes.items())},
    )


def share(part: Cell | None, whole: Cell | None) -> str | None:
    """Percent with one decimal, halves up; None where a count is not printed or there is nothing to share."""
    if part is None or whole is None or not whole.count:
        return None
    tenths = (2000 * part.count + whole.count) // (2 * whole.count)
    return f"{tenths // 10}.{tenths % 10}"


def ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers, runs of two and more as first-last: "14-20,25"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def as_json(found: Report, *, entries: bool = True) -> dict[str, Any]:
    """The counts as docs/reports.md says. entries: whether with those that prove each."""

    def cell(value: Cell | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {"count": value.count} | ({"entries": ranges(value.entries)} if entries else {})

    def row(table: Table, name: str) -> dict[str, Any]:
        cells = table.rows[name]
        shown = {measure: cell(cells[measure]) for measure in table.measures}
        shared = {"share_wrong": share(cells["wrong"], cells["reviewed"])} if "wrong" in cells else {}
        return {"key": name, **table.facts.get(name, {}), **shown, **shared}

    first, last = (day.isoformat() for day in found.period)
    return {
        "size": found.size,
        "period": {"from": first, "to": last, "first": found.first, "last": found.last},
        "account": found.account,
        "least": found.least,
        "totals": {name: cell(value) for name, value in found.totals.items()},
        "share_wrong": share(found.totals["wrong"], found.totals["reviewed"]),
        "tables": {name: [row(table, each) for each in table.rows] for name, table in found.tables.items()},
        "changes": [{"act": act, **(cell(value) or {})} for act, value in found.changes.items()],
    }


@dataclass(slots=True)
class _Atom:
    """Things that no measure and no word tells apart. proof: for each measure, the entries that prove it."""

    count: int
    proof: dict[str, list[int]]


@dataclass(slots=True)
class _Tally:
    """A count as it grows. entries: the proof; atoms: what it is the sum of."""

    count: int = 0
    entries: list[int] = field(default_factory=list)
    atoms: set[int] = field(default_factory=set)


def _tallies(things: Iterable[Thing]) -> dict[_Key, _Tally]:
    """Every count there is."""
    tallies: dict[_Key, _Tally] = {("", "", measure): _Tally() for measure in TOTALS}
    for number, ((measures, words), atom) in enumerate(_atoms(things).items()):
        for key in _places(measures, words):
            tally = tallies.setdefault(key, _Tally())
            if atom.count:
                tally.count += atom.count
                tally.entries += atom.proof[key[2]]
                tally.atoms.add(number)
    return tallies


def _atoms(things: Iterable[Thing]) -> dict[tuple[frozenset[str], Words], _Atom]:
    atoms: dict[tuple[frozenset[str], Words], _Atom] = {}
    for thing in things:
        mark = frozenset(thing.measures), thing.words
        atom = atoms.get(mark)
        if atom is None:
            atom = atoms[mark] = _Atom(0, {measure: [] for measure in thing.measures})
        if thing.count:
            atom.count += thing.count
            for measure, proof in thing.measures.items():
                atom.proof[measure] += proof
    return atoms


def _places(measures: frozenset[str], words: Words) -> Iterator[_Key]:
    """Where things are counted."""
    for measure in measures:
        yield "", "", measure
    sorted_by = dict(words)
    for name, (dimension, counted) in TABLES.items():
        for word in dict.fromkeys(sorted_by.get(dimension, ())):
            for measure in counted:
                if measure in measures:
                    yield name, word, measure


def _cells(tallies: Mapping[_Key, _Tally], least: int) -> dict[_Key, Cell | None]:
    """The counts, None for those that are not to be printed."""
    sums = [
        Sum(key, (key[0], key[2]), tally.count, frozenset(tally.atoms), free=key[2] in MACHINE)
        for key, tally in sorted(tallies.items(), key=lambda each: each[0])
    ]
    shown = printable(sums, least)
    return {
        key: Cell(tally.count, tuple(sorted(set(tally.entries)))) if key in shown else None
        for key, tally in tallies.items()
    }


def _rows(cells: Mapping[_Key, Cell | None], table: str) -> dict[str, dict[str, Cell | None]]:
    """A row for every word that anything of the table was counted under; what was not, is 0 there."""
    nothing = Cell(0, ())
    words = sorted({word for name, word, _ in cells if name == table})
    measures = TABLES[table][1]
    return {
        word: {measure: cells.get((table, word, measure), nothing) for measure in measures} for word in words
    }
