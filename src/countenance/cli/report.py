"""`countenance report`: what the record says of a period, from the ledger alone."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import click

from countenance import reporting
from countenance import settings as homes
from countenance.cli import chapters, paper, terminal

_DAY = click.DateTime(["%Y-%m-%d"])
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@terminal.home_option
@click.option(
    "--from", "first", type=_DAY, required=True, metavar="DAY", help="The first day, UTC: 2026-11-01."
)
@click.option(
    "--to", "last", type=_DAY, required=True, metavar="DAY", help="The last day, which is included."
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
    settings = None if folder else homes.load(home)
    known = (*witnesses, *(settings.witnesses if settings else ()))
    asked = reporting.Asked(
        reporting.Period(first.date(), last.date()),
        account,
        least,
        tuple(map(reporting.Witness.read, known)),
    )
    with terminal.counting("Counting") as progress:
        task = progress.add_task("entries", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if settings:
            found = reporting.of_home(settings, asked, key, show)
        else:
            assert folder is not None
            found = reporting.of_folder(folder, asked, key, show)
    if found.later:
        names = ", ".join(found.witnesses)
        click.echo(f"{found.later} entries since {names} last signed are not counted", err=True)
    text = _written(found.as_json(entries=not without_entries), form, law)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, "utf-8")
        click.echo(f"{out} holds the report", err=True)


def _written(found: chapters.Json, form: str, law: str | None) -> str:
    if form == "json":
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    headings = chapters.template(law) if law else None
    blocks = chapters.chapters(found, headings)
    return paper.markdown(blocks) if form == "md" else paper.html(blocks, chapters.title(found, headings))
