"""`countenance report`: what the record says of a period, from the ledger alone."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import click

from countenance import reporting
from countenance import settings as homes
from countenance.cli import chapters, paper, terminal
from countenance.settings import Settings

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@terminal.home_option
@click.option(
    "--from", "first", type=terminal.DAY, required=True, metavar="DAY", help="The first day, UTC: 2026-11-01."
)
@click.option(
    "--to", "last", type=terminal.DAY, required=True, metavar="DAY", help="The last day, which is included."
)
@click.option("--format", "form", type=click.Choice(["md", "html", "json"]), default="md", show_default=True)
@click.option(
    "--template",
    "law",
    type=click.Choice(chapters.templates()),
    help="Put the figures under the headings of a law.",
)
@click.option("--account", help="Count one organisation's calls and collections alone: its account.")
@click.option(
    "--log",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Count a folder that `countenance ledger export` made, instead of a home.",
)
@click.option("--key", type=_FILE, help="A copy of ledger.pub kept elsewhere, to be believed instead of it.")
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="A witness's verifier key, beside those that settings.toml names: what is counted ends with the "
    "newest checkpoint that one of them signed. May be repeated.",
)
@click.option(
    "--least",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="The smallest count to print; 1 prints all.",
)
@click.option("--without-entries", is_flag=True, help="Leave out the entries that prove each number.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file to write instead.")
def report(
    *,
    home: Path,
    first: dt.datetime,
    last: dt.datetime,
    form: str,
    law: str | None,
    account: str | None,
    folder: Path | None,
    key: Path | None,
    witnesses: tuple[str, ...],
    least: int,
    without_entries: bool,
    out: Path | None,
) -> None:
    """Count what the ledger says of a period: searches, refusals, candidates, how many were wrong.

    Nothing else is read, and nothing is changed. Each number comes with the entries that prove it.
    """
    if last < first:
        raise click.BadParameter("the last day is before the first", param_hint="--to")
    if law and form == "json":
        raise click.BadParameter("JSON has no headings; leave one of the two out", param_hint="--template")
    source = folder or homes.load(home)
    known = (*witnesses, *(source.witnesses if isinstance(source, Settings) else ()))
    asked = reporting.Asked(
        reporting.Period(first.date(), last.date()),
        account,
        least,
        tuple(map(reporting.Witness.read, known)),
    )
    found = _counted(source, asked, key)
    for doubt in _doubts(found):
        click.echo(doubt, err=True)
    text = _written(found.as_json(entries=not without_entries), form, law)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, "utf-8")
        click.echo(f"{out} holds the report", err=True)


def _counted(source: Settings | Path, asked: reporting.Asked, key: Path | None) -> reporting.Reported:
    """source: a home, or the folder that one was exported to."""
    with terminal.counting("Counting") as progress:
        task = progress.add_task("entries", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if isinstance(source, Settings):
            return reporting.of_home(source, asked, key, show)
        return reporting.of_folder(source, asked, key, show)


def _doubts(found: reporting.Reported) -> Iterator[str]:
    """What to say of a report beside it: where it may not be what was meant."""
    calls = found.report.totals["calls"]
    if found.later:
        yield f"{found.later} entries since {', '.join(found.witnesses)} last signed are not counted"
    if found.report.first is None:
        yield "The record has no entry of these days: are the dates right?"
    elif found.report.account and calls and calls.count == 0:
        yield f"The record has no call of {found.report.account} in these days: is the account right?"
    if found.report.period.last >= dt.datetime.now(dt.UTC).date():
        yield "These days are not over: the same report, made later, may count more"


def _written(found: chapters.Json, form: str, law: str | None) -> str:
    if form == "json":
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    headings = chapters.template(law) if law else None
    blocks = chapters.chapters(found, headings)
    return paper.markdown(blocks) if form == "md" else paper.html(blocks, chapters.title(found, headings))
