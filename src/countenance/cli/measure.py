"""`countenance measure`: how often the strangers of one collection are taken for each other, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from countenance.cli import declaring, door, terminal

USUAL = (60.0, 70.0, 80.0, 90.0)
"""Where a collection of hundreds has errors to count, and what clients hard-code."""

COLUMNS = ("similarity>", "pairs>", "false>", "FMR counted>", "95 % interval>", "FMR by the card>")


@click.command(cls=declaring.Command)
@click.argument("collection")
@terminal.home_option
@terminal.json_option
@click.option(
    "--threshold", "thresholds", type=terminal.PERCENT, multiple=True, help="A Similarity. May be repeated."
)
@declaring.options
def measure(
    *, collection: str, home: Path, as_json: bool, thresholds: Sequence[float], said: Mapping[str, str]
) -> None:
    """Count how often two people of a COLLECTION reach a threshold, among 2,000 of them at most.

    Needs labels: faces of different users, or the tag countenance:external-image-id=one-person on the
    collection. Every threshold is a call of its own, decided as a search, with people drawn anew.
    """
    with door.opened(home, said=said) as client:
        answers = [
            client.measure_collection(CollectionId=collection, FaceMatchThreshold=each)
            for each in sorted(thresholds or USUAL)
        ]
    rows = [{name: each[name] for name in each if name != "ResponseMetadata"} for each in answers]
    if as_json:
        terminal.print_json({"collection": collection, "rows": rows})
        return
    first = rows[0]
    title = f"{collection}: {first['People']:,} people by their {first['LabelledBy']}, a face of each"
    terminal.print_table(COLUMNS, [_cells(row) for row in rows], title=title)
    click.echo(
        "Counted are pairs that the labels call two people; where a label is wrong, one person counts as a "
        "false match.\nWithout an error the interval ends at 3 over the number of people."
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    card = row["Countenance"]
    mark = "" if card["Measured"] else " (extrapolated)"
    return (
        f"{card['Threshold']:g}",
        f"{row['Pairs']:,}",
        f"{row['FalseMatches']:,}",
        f"{row['FalseMatchRate']:.2g}",
        f"{row['FalseMatchRateLow']:.2g} to {row['FalseMatchRateHigh']:.2g}",
        f"{card['FalseMatchRate']:.2g}{mark}",
    )
