"""What the commands share: the options every one takes, and how results and progress are shown."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import platformdirs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

DEFAULT_HOME = platformdirs.user_data_path("countenance")


def _home(_context: click.Context, _parameter: click.Parameter, value: Path) -> Path:
    return value.expanduser().absolute()


home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="COUNTENANCE_HOME",
    default=DEFAULT_HOME,
    show_default=True,
    show_envvar=True,
    callback=_home,
    help="The folder that holds everything.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


class _Percent(click.FloatRange):
    """A number from 0 to 100; `nan` is none, though it lies on neither side of them."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number from 0 to 100.", param, ctx)
        return number


class _Day(click.DateTime):
    """A day that the engine can hold, whose years have four digits, with room for the day after."""

    first, last = dt.date(1000, 1, 1), dt.date(9999, 12, 30)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        moment: dt.datetime = super().convert(value, param, ctx)
        if not self.first <= moment.date() <= self.last:
            self.fail(f"{value} is not between {self.first} and {self.last}.", param, ctx)
        return moment


PERCENT = _Percent(0, 100)
DAY = _Day(["%Y-%m-%d"])


def meant(word: str, known: Iterable[str]) -> str:
    """What to add to a sentence about a word that is not known: the nearest that is, where one is near."""
    spelt = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(word.casefold(), spelt, n=1, cutoff=0.65)
    return f"; did you mean {spelt[near[0]]}?" if near else ""


def out() -> Console:
    """Standard output; where it is no terminal, tables are as wide as they need to be."""
    console = Console(highlight=False, soft_wrap=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def aside() -> Console:
    """Standard error: progress, warnings, all that is not the result."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A plain table. A column whose name ends in ">" is set to the right."""
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.removesuffix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    out().print(table)


def _text(cell: object) -> str:
    from_float = f"{cell:.1f}" if isinstance(cell, float) else str(cell)
    shown = "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in from_float
    )
    return escape(shown)  # rich reads brackets as markup; a file's name may hold them


def counting(what: str) -> Progress:
    """A bar of things done, with the time that is left."""
    return Progress(
        SpinnerColumn(),
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=aside(),
        transient=True,
        disable=not aside().is_terminal,
    )


def fetching() -> Progress:
    """A bar of bytes fetched."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=aside(),
    )
