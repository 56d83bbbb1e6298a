"""A report as a document: the general one, and the ones that laws ask for, from templates.

A template (templates/*.toml) holds what a law asks, part by part: in our words, which figures answer it, what
the record cannot say, and what is left for a person to write.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from countenance.cli import plots
from countenance.cli.paper import (
    HIDDEN,
    Blank,
    Block,
    Chart,
    Grid,
    Heading,
    Notice,
    Number,
    Quote,
    Text,
    Verbatim,
)

Json = dict[str, Any]
"""A report as docs/reports.md says it is written."""

NOTHING = "–"
"""What stands for a share of nothing."""

DRAWN = 12
"""Bars in one plot; the table below it has every row."""

SPLIT_VIEW = (
    "A split view is not excluded: no witness cosigned the last checkpoint, so others could have been shown "
    "another log."
)

NAMES = {
    "calls": "calls",
    "answered": "calls answered",
    "refused": "calls refused",
    "failed": "calls failed",
    "interrupted": "calls interrupted: their process died",
    "unfinished": "calls without an end yet",
    "searches": "searches",
    "searches_refused": "searches refused",
    "searches_empty": "searches answered with nobody",
    "candidates": "candidates in the answers",
    "listed": "people listed, each once an answer",
    "reviewed": "people listed and reviewed",
    "confirmed": "reviewed and confirmed",
    "wrong": "reviewed and found wrong",
    "undecided": "reviewed, undecided",
    "share_wrong": "share wrong of those reviewed",
    "faces": "faces in collections at the end",
}

COLUMNS = {**{name: name for name in NAMES}, "searches_refused": "refused", "share_wrong": "share wrong"}

TITLES = {
    "calls_by_operation": ("Calls by operation", "operation"),
    "failures_by_error": ("Failed calls by error", "error"),
    "refusals_by_rule": ("Refused calls by rule", "rule"),
    "searches_by_organisation": ("Searches by organisation", "account"),
    "searches_by_kind": ("Searches by kind of organisation", "kind"),
    "searches_by_place": ("Searches by place", "place"),
    "searches_by_requester": ("Searches by whom they were made for", "requester"),
    "searches_by_purpose": ("Searches by purpose", "purpose"),
    "searches_by_offence": ("Searches by class of offence", "offence"),
    "searches_by_authorisation": (
        "Searches by whether an authority's permission was stated",
        "authorisation",
    ),
    "searches_by_case": ("Searches by whether a case was stated", "case"),
    "searches_by_realtime": ("Searches by whether they were live", "live"),
    "searches_by_rule": ("Searches by the rules that decided", "rule"),
    "searches_by_collection": ("Searches by collection", "collection"),
    "searches_by_never_suspects": (
        "Searches by whether the collection's people were never suspects",
        "never suspects",
    ),
    "faces_by_collection": ("Faces by collection, at the end of the period", "collection"),
    "faces_by_never_suspects": ("Faces of people who were never suspects", "never suspects"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one clause asks, in our words. totals, tables: what answers it.

    unknown: what of it the record cannot say. blanks: what a person has to add.
    """

    title: str
    asks: str
    totals: tuple[str, ...]
    tables: tuple[str, ...]
    unknown: str
    blanks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A law's own report. read: what its text was read in, and when. unread: what of it was not."""

    title: str
    law: str
    due: str
    read: str
    unread: str
    parts: tuple[Part, ...]


def templates() -> tuple[str, ...]:
    """Their names."""
    files = resources.files(__package__).joinpath("templates").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def template(name: str) -> Template:
    """One of `templates`."""
    text = resources.files(__package__).joinpath("templates", f"{name}.toml").read_text("utf-8")
    written = tomllib.loads(text)
    parts = tuple(
        Part(
            title=part["title"],
            asks=part["asks"],
            totals=tuple(part.get("totals", ())),
            tables=tuple(part.get("tables", ())),
            unknown=part.get("unknown", ""),
            blanks=tuple(part.get("blanks", ())),
        )
        for part in written.pop("part")
    )
    return Template(**written, parts=parts)


def title(report: Json, form: Template | None) -> str:
    return f"{form.title if form else 'What the record says'}: {_span(report)}"


def chapters(report: Json, form: Template | None) -> list[Block]:
    """The whole document. form: the law whose headings it has, None for the general report."""
    return [
        Heading(title(report, form), 1),
        *_preface(report),
        *(_returned(report, form) if form else _general(report)),
        *_grounds(report),
    ]


def _preface(report: Json) -> Iterator[Block]:
    whose = f"organisation `{report['account']}` alone" if report["account"] else "all organisations"
    yield Text(
        f"Counted from the first {report['size']:,} entries of the log `{report['log']}`, for {whose}, "
        "and from nothing else. What each figure counts is defined in Countenance's docs/reports.md."
    )
    if report["least"] > 1:
        yield Text(
            f"A count from 1 to {report['least'] - 1} is not printed, and nor is one that would give it "
            f"away: there stands `{HIDDEN}`. Purposes, offences, kinds and verdicts are the word of whoever "
            "called."
        )
    names = ", ".join(report["witnesses"])
    yield Notice(f"The last checkpoint is cosigned by {names}." if names else SPLIT_VIEW, warning=not names)


def _general(report: Json) -> Iterator[Block]:
    yield Heading("In short")
    yield from _review(report)
    yield _totals(report, "What the record comes to", tuple(NAMES))
    for heading, names in (
        ("Who searched, and where", ("organisation", "kind", "place", "requester")),
        ("What for", ("purpose", "offence", "authorisation", "case", "realtime")),
        ("Among whom", ("collection", "never_suspects")),
    ):
        yield Heading(heading)
        for name in names:
            yield _table(report, f"searches_by_{name}")
    yield _table(report, "faces_by_collection")
    yield _table(report, "faces_by_never_suspects")
    yield Heading("By which rules")
    yield _table(report, "refusals_by_rule")
    yield _table(report, "searches_by_rule")
    yield Heading("How the machine fared, and what its operator changed")
    yield _table(report, "calls_by_operation")
    yield _table(report, "failures_by_error")
    yield _changes(report)


def _returned(report: Json, form: Template) -> Iterator[Block]:
    yield Text(f"{form.law}. {form.due}")
    yield Text(
        f"What it asks is told here in other words than its own, as read in {form.read}. {form.unread} "
        "No lawyer looked at this form."
    )
    for part in form.parts:
        yield Heading(part.title)
        yield Quote(part.asks)
        if "reviewed" in part.totals:
            yield from _review(report)
        if part.totals:
            yield _totals(report, "From the record", part.totals)
        for name in part.tables:
            yield _changes(report) if name == "changes" else _table(report, name)
        if part.unknown:
            yield Text(f"**The record cannot say:** {part.unknown}")
        yield from map(Blank, part.blanks)


def _review(report: Json) -> Iterator[Block]:
    """The one sentence that people had to ask for, and its plot."""
    totals, share = report["totals"], report["share_wrong"]
    searches, refused, listed, reviewed, wrong = (
        _count(totals[name]) for name in ("searches", "searches_refused", "listed", "reviewed", "wrong")
    )
    sentence = (
        f"Searches asked for: **{searches}**, of them refused: **{refused}**. The others listed people "
    )
    if share is None:
        sentence += f"**{listed}** times; reviewed: **{reviewed}**."
    else:
        sentence += (
            f"**{listed}** times; of the **{reviewed}** times that were reviewed, **{wrong}** were wrong: "
            f"**{share} %**."
        )
    yield Text(sentence.replace(HIDDEN, f"`{HIDDEN}`"))
    cells = {name: totals[name] for name in ("listed", "reviewed", "confirmed", "undecided", "wrong")}
    if None not in cells.values() and cells["listed"]["count"]:
        counts = {name: cell["count"] for name, cell in cells.items()}
        parts = [plots.Part(name, counts[name], name) for name in ("confirmed", "undecided", "wrong")]
        parts.append(plots.Part("not reviewed", counts["listed"] - counts["reviewed"], "left"))
        yield Chart(plots.strip("What reviewers said of the people listed", parts))


def _totals(report: Json, caption: str, names: Sequence[str]) -> Grid:
    rows: list[list[str | Number]] = []
    for name in names:
        if name == "share_wrong":
            rows.append([NAMES[name], _share(report["share_wrong"], report["totals"])])
        else:
            rows.append([NAMES[name], _number(report["totals"][name])])
    return Grid(caption, ("", "count"), rows)


def _table(report: Json, name: str) -> Grid:
    rows: list[Json] = report["tables"][name]
    caption, first = TITLES[name]
    measures = [column for column in (rows[0] if rows else {}) if column != "key"]
    return Grid(
        caption,
        [first, *(COLUMNS.get(each, each.replace("_", " ")) for each in measures)],
        [[row["key"], *(_cell(row, each) for each in measures)] for row in rows],
        _plot(caption, rows, measures) if rows else "",
    )


def _plot(caption: str, rows: Sequence[Json], measures: Sequence[str]) -> str:
    """The first measure as bars, the longest first; nothing where there is nothing to compare."""
    whole = next(each for each in measures if each != "never_suspects")
    part = next(
        (each for each in measures if each in ("searches_refused", "refused") and each != whole), None
    )
    shown = [
        plots.Bar(row["key"], row[whole]["count"], (row[part] or {}).get("count") if part else None)
        for row in rows
        if row[whole] and row[whole]["count"]
    ]
    if len(shown) < 2:
        return ""
    shown.sort(key=lambda bar: -bar.whole)
    return plots.bars(caption, shown[:DRAWN], COLUMNS[whole], "refused" if part else None)


def _changes(report: Json) -> Grid:
    rows = [[change["act"], _number(change)] for change in report["changes"]]
    return Grid("What the operator did", ("act", "times"), rows)


def _grounds(report: Json) -> Iterator[Block]:
    opening, closing = report["heads"]["opening"], report["heads"]["closing"]
    yield Heading("What this rests on")
    yield Text(
        "The log was read up to this signed checkpoint, and every entry led to it. Who kept an earlier one "
        "can check that this log continues it."
    )
    yield Verbatim(closing)
    if opening:
        yield Text("The newest checkpoint that covers nothing of the period:")
        yield Verbatim(opening)
    yield Text(
        "To count all of it again without Countenance, take this report as JSON, the published log, its "
        "public key, and the stand-alone file:"
    )
    yield Verbatim("python3 countenance_verify.py report REPORT.json --log FOLDER --key log.pub")


def _cell(row: Json, column: str) -> str | Number:
    if column == "share_wrong":
        return _share(row[column], row)
    return row[column] if isinstance(row[column], str) else _number(row[column])


def _share(share: str | None, cells: Json) -> str:
    """Percent; a dash where nothing was reviewed."""
    nothing = cells["reviewed"] is not None and not cells["reviewed"]["count"]
    return NOTHING if nothing else f"{share} %" if share else HIDDEN


def _number(cell: Json | None) -> Number:
    return Number(_count(cell), "" if cell is None else cell.get("entries", ""))


def _count(cell: Json | None) -> str:
    return HIDDEN if cell is None else f"{cell['count']:,}"


def _span(report: Json) -> str:
    first, last = (dt.date.fromisoformat(report["period"][each]) for each in ("from", "to"))
    return f"{first.day} {first:%B %Y} to {last.day} {last:%B %Y}"
