"""`countenance bench`: our own figures on labelled sets that the user has. docs/numbers.md is its output."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.progress import Progress, TaskID

from countenance.audit import alarms, attributes, genuine, measured, similarity, splits
from countenance.audit import bench as questions
from countenance.audit import search as searching
from countenance.audit.bench import Bench, Cell, Table
from countenance.audit.faces import Looker
from countenance.audit.metrics import Estimate, Rate
from countenance.cli import terminal
from countenance.errors import DataError

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="A folder of labelled sets, each a folder by its name, such as lfw (docs/numbers.md has them all).",
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder to keep embeddings in between runs. They are biometric data: guard it, and delete it.",
)
markdown_option = click.option("--markdown", is_flag=True, help="Print Markdown, as in docs/numbers.md.")


@click.group()
def bench() -> None:
    """Measure the models on labelled sets of faces. A set that is absent is skipped."""


def _question(name: str, ask: Callable[[Bench], list[Table]], sentence: str) -> None:
    """A command that asks one question and prints its tables."""

    @bench.command(name, help=sentence)
    @data_option
    @cache_option
    @terminal.json_option
    @markdown_option
    def command(data: Path, cache: Path | None, as_json: bool, markdown: bool) -> None:
        with terminal.counting(name) as bar:
            try:
                tables = ask(_bench(data, cache, bar))
            except DataError as absent:
                raise click.ClickException(str(absent)) from absent
        _show(f"countenance bench {name} --data DIR", tables, as_json=as_json, markdown=markdown)


_question("lfw", questions.lfw, "Are two photos of one person? LFW's pairs.")
_question("wild", questions.wild, "Who is it? Uncropped web photos against one photo a person.")
_question("crowd", questions.crowd, "Are faces found? Crowds and masks, by the size of the face.")
_question("similarity", similarity.similarity, "How often are strangers alike? Each group, children first.")
_question("splits", splits.splits, "Do the curves hold for people they were not fitted to? Twenty splits.")
_question("alarms", alarms.alarms, "How often does a search list a stranger? Counted, and by the formula.")


@bench.command()
@data_option
@cache_option
def calibrate(data: Path, cache: Path | None) -> None:
    """Fit the curves of the Similarity scale, and print the lines for the model's card."""
    with terminal.counting("calibrate") as bar:
        tables, lines = similarity.calibrate(_bench(data, cache, bar))
    _show("countenance bench calibrate --data DIR", tables, as_json=False, markdown=True)
    click.echo(lines)


@bench.command("genuine")
@data_option
@cache_option
def true_accepts(data: Path, cache: Path | None) -> None:
    """How often do two photos of one person reach a threshold? With the lines for the model's card."""
    with terminal.counting("genuine") as bar:
        try:
            tables, lines = genuine.genuine(_bench(data, cache, bar))
        except DataError as absent:
            raise click.ClickException(str(absent)) from absent
    _show("countenance bench genuine --data DIR", tables, as_json=False, markdown=True)
    click.echo(lines)


@bench.command("attributes")
@data_option
@cache_option
@terminal.json_option
@markdown_option
@click.option(
    "--fit", is_flag=True, help="Fit every curve on half A, and print the lines for attributes.toml."
)
def describe(data: Path, cache: Path | None, as_json: bool, markdown: bool, fit: bool) -> None:
    """Is what is told of faces right, as sure as it says, and for whom is it worse?

    Writes the figures to measured.json beside the cards, from which docs/models.md is made. --fit needs
    scikit-learn: pip install 'countenance[bench]'.
    """
    try:
        with terminal.counting("attributes") as bar:
            looker = Looker.open(cache, _progress(bar))
            samples = attributes.look(data, looker)
        if fit:
            from countenance.audit import curves  # noqa: PLC0415 (scikit-learn is an extra)

            click.echo(curves.toml(samples, looker.describer.heads.keys()))
            return
    except DataError as absent:
        raise click.ClickException(str(absent)) from absent
    tables = measured.tables(samples, looker.describer)
    if len(samples) == len(attributes.READERS):
        measured.write(tables, looker)
    else:
        lacking = ", ".join(sorted(attributes.READERS.keys() - samples.keys()))
        terminal.aside().print(f"Not kept in measured.json: without {lacking} the figures have gaps.")
    _show(measured.COMMAND, tables, as_json=as_json, markdown=markdown)


@bench.command("search")
@click.option("--faces", type=click.IntRange(100), default=100_000, show_default=True, help="How many.")
@click.option("--dim", type=click.IntRange(2, 4096), default=128, show_default=True, help="Of each vector.")
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True, help="Turns of everybody.")
@click.option("--queries", type=click.IntRange(1), default=1000, show_default=True, help="Answers checked.")
@terminal.json_option
@markdown_option
def search(faces: int, dim: int, rounds: int, queries: int, as_json: bool, markdown: bool) -> None:
    """How fast is a search, and is it right? Beside numpy, and faiss and peers' ways where they can be.

    The vectors are made up and lie in a temporary file meanwhile: 512 MB for a million of 128.
    """
    with terminal.counting("search") as bar:
        tables = searching.search(faces, dim, rounds, queries, _progress(bar))
    command = f"countenance bench search --faces {faces} --dim {dim}"
    _show(command, tables, as_json=as_json, markdown=markdown)


def _bench(data: Path, cache: Path | None, bar: Progress) -> Bench:
    return Bench.open(data, cache, _progress(bar))


def _progress(bar: Progress) -> Callable[[str, int, int], None]:
    tasks: dict[str, TaskID] = {}

    def progress(what: str, done: int, of: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=of)
        bar.update(tasks[what], completed=done)

    return progress


def _show(command: str, tables: list[Table], *, as_json: bool, markdown: bool) -> None:
    if as_json:
        terminal.print_json({"command": command, "tables": [_plain(table) for table in tables]})
        return
    if markdown:
        click.echo("\n".join(written(table) for table in tables) + f"\nMade by `{command}`.\n")
        return
    for table in tables:
        rows = [[_text(cell) for cell in row] for row in table.rows]
        terminal.print_table(table.columns, rows, title=table.title)
        if table.note:
            terminal.out().print(table.note + "\n", markup=False)
    click.echo(f"Intervals are of 95 %. Made by `{command}`.")


def _plain(table: Table) -> dict[str, Any]:
    rows = [dict(zip(table.columns, (_value(cell) for cell in row), strict=True)) for row in table.rows]
    return {"title": table.title, "note": table.note, "rows": rows}


def _value(cell: Cell) -> Any:
    if isinstance(cell, Rate):
        counts = {"events": cell.events, "trials": cell.trials}
        return {**counts, "rate": cell.value, "low": cell.low, "high": cell.high}
    if isinstance(cell, Estimate):
        return {"value": cell.value, "low": cell.low, "high": cell.high}
    return cell


def written(table: Table) -> str:
    """A table as Markdown."""
    lines = [f"**{table.title}**", "", _row(table.columns), _row(["---"] * len(table.columns))]
    lines += [_row([_text(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", table.note, ""])


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(cell: Cell) -> str:
    if isinstance(cell, Rate):
        if not cell.trials:
            return "no trials"
        share = f"{cell.events:,} of {cell.trials:,}"
        return f"{_share(cell.value)} [{_share(cell.low)}, {_share(cell.high)}] ({share})"
    if isinstance(cell, Estimate):
        return f"{_share(cell.value)} [{_share(cell.low)}, {_share(cell.high)}]"
    if isinstance(cell, float):
        return _share(cell)
    return f"{cell:,}" if isinstance(cell, int) else cell


def _share(value: float) -> str:
    """Four places, or powers of ten where those would say nothing; years and the like by one place."""
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "unknown"
    if abs(value) >= 2:
        return f"{value:.1f}"
    return f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.1e}"
