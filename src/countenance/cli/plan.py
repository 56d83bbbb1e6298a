"""`countenance plan`: of the alerts that a watch over a crowd would give, how many are right."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from countenance.audit import planning
from countenance.audit.planning import Row, Scene, Standing
from countenance.cli import odds, terminal

USUAL = (80.0, 90.0, 95.0, 99.0)
"""What clients hard-code."""

TARGETS = (0.01, 0.001, 0.0001)
"""One false alert in a hundred searches, in a thousand (as NIST SP 800-63-4 asks), in ten thousand."""

COLUMNS = ("similarity>", "cosine>", "FMR>", "rests on", "FPIR>", "right alerts>", "false alerts>", "right>")
ASSUMED = (
    "FPIR = 1 - (1 - FMR)^N takes comparisons to be independent. They are not: a few people look like many,",
    "and siblings and people of one age and origin look alike. Use this to plan, and measure FPIR in place.",
)


class _Share(click.FloatRange):
    """A share between 0 and 1; `nan` is none."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if number != number:  # noqa: PLR0124 - only nan differs from itself
            self.fail(f"{value!r} is no number from 0 to 1.", param, ctx)
        return number


@click.command()
@click.option("--gallery", type=click.IntRange(1), required=True, help="Faces in the collection.")
@click.option("--crowd", type=click.IntRange(1), required=True, help="People searched for in it, all told.")
@click.option("--listed", type=click.IntRange(0), required=True, help="How many of the crowd are in it.")
@click.option(
    "--tpir",
    type=_Share(0, 1),
    default=0.9,
    show_default=True,
    help="The share of them that is found: assumed, the same at every threshold.",
)
@click.option(
    "--model", type=click.Choice(planning.models()), default=planning.models()[0], show_default=True
)
@click.option("--population", default="adults", show_default=True, help="Whom the collection shows.")
@click.option(
    "--threshold", "thresholds", type=terminal.PERCENT, multiple=True, help="A Similarity. May be repeated."
)
@click.option(
    "--max-fpir",
    "targets",
    type=_Share(0, 1, min_open=True, max_open=True),
    multiple=True,
    help="The share of strangers' searches that may list anybody. May be repeated.",
)
@terminal.json_option
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PLAN.svg|PLAN.png",
    help="Draw it: of the alerts at each threshold, how many are right.",
)
def plan(
    *,
    gallery: int,
    crowd: int,
    listed: int,
    tpir: float,
    model: str,
    population: str,
    thresholds: Sequence[float],
    targets: Sequence[float],
    as_json: bool,
    save: Path | None,
) -> None:
    """Plan a watch: how often a search lists a stranger, and how many alerts are right.

    Reads a model's card and nothing else. Without --threshold and --max-fpir it shows the usual of both.
    """
    if listed > crowd:
        raise click.UsageError(f"--listed {listed} are more than the --crowd of {crowd}.")
    if population not in planning.populations(model):
        known = ", ".join(planning.populations(model))
        raise click.UsageError(f"{model} is calibrated for {known}, not for {population!r}.")
    if not thresholds and not targets:
        thresholds, targets = USUAL, TARGETS
    scene = Scene(gallery, crowd, listed, tpir)
    rows = planning.plan(planning.curve(model, population), scene, thresholds, targets)
    notes = _notes(model, population, scene)
    if save:
        drawn = [odds.Odds(_name(row), row.posterior, _counts(row)) for row in rows]
        odds.save(_title(population, scene), notes, drawn, save)
    if as_json:
        told = [{**dataclasses.asdict(row), "posterior": row.posterior} for row in rows]
        terminal.print_json({**_basis(model, population, scene), "notes": notes, "rows": told})
        return
    terminal.print_table(COLUMNS, [_cells(row) for row in rows], title=_title(population, scene))
    for note in notes:
        click.echo(note)


def _basis(model: str, population: str, scene: Scene) -> dict[str, Any]:
    """What the figures follow from. measured_to: a Similarity, percent."""
    calibration = planning.curve(model, population)
    return {
        **dataclasses.asdict(scene),
        "model": model,
        "population": population,
        "calibration": calibration.digest,
        "measured_to": calibration.measured_percent,
        "source": calibration.source,
    }


def _title(population: str, scene: Scene) -> str:
    return (
        f"{scene.crowd:,} people searched for among {scene.gallery:,} faces of {population}, "
        f"{scene.listed:,} of them listed"
    )


def _notes(model: str, population: str, scene: Scene) -> list[str]:
    reach = planning.curve(model, population).measured_percent
    notes = [
        f"A TPIR of {scene.tpir:g} is assumed; the higher the threshold, the fewer are found.",
        f"{model} was measured up to a Similarity of {reach:.1f}; beyond, its curve is extrapolated.",
        *ASSUMED,
    ]
    if population != "adults":
        times = planning.confused(model, population, USUAL[0])
        notes += [
            f"At the cosine that is {USUAL[0]:g} for adults, {population} are taken for each other "
            f"{times:,.0f} times as often.",
            f"There their collection is searched unless it is tagged countenance:subjects={population}.",
        ]
    return notes


def _cells(row: Row) -> tuple[str, ...]:
    return (
        "none" if row.similarity is None else f"{row.similarity:.2f}",
        "none" if row.cosine is None else f"{row.cosine:.3f}",
        f"{row.rate:.2g}",
        row.standing.value,
        _percent(row.fpir),
        _count(row.right),
        _count(row.wrong),
        "-" if row.posterior is None else _percent(row.posterior),
    )


def _name(row: Row) -> str:
    at = "no Similarity" if row.similarity is None else f"Similarity {row.similarity:.2f}"
    mark = {Standing.MEASURED: "", Standing.EXTRAPOLATED: " (extrapolated)", Standing.BEYOND: " (past scale)"}
    return f"{at}, FPIR {_percent(row.fpir)}{mark[row.standing]}"


def _counts(row: Row) -> str:
    if row.posterior is None:
        return "no alerts"
    return f"{_percent(row.posterior)} right: {_count(row.right)}, and {_count(row.wrong)} false"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.2g}"


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 10 else f"{percent:.2g} %"
