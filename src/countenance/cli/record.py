"""`countenance receipt` and `review`: what proves a call, and what somebody found who looked closer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from countenance.cli import declaring, door, terminal

VERDICTS = ("confirmed", "wrong", "undecided")


@click.command(cls=declaring.Command)
@click.argument("decision", type=click.IntRange(min=0))
@terminal.home_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file to write instead of printing. One that is there is not replaced.",
)
@declaring.options
def receipt(decision: int, home: Path, out: Path | None, said: Mapping[str, str]) -> None:
    """Get the receipt of the call whose decision is entry DECISION: it proves itself without Countenance.

    The number is the first one in the answer's header x-countenance-receipt.
    """
    with door.opened(home, said=said) as client:
        answer = client.get_receipt(Decision=decision)
    answer.pop("ResponseMetadata")
    text = json.dumps(answer, indent=2, ensure_ascii=False)
    if out is None:
        click.echo(text)
        return
    with out.open("x", encoding="utf-8") as file:
        file.write(f"{text}\n")
    click.echo(f"Wrote {out}. Whoever has ledger.pub verifies it:")
    click.echo(f"  python3 countenance_verify.py receipt {out} --key ledger.pub")


@click.command(cls=declaring.Command)
@click.argument("decision", type=click.IntRange(min=0))
@click.argument("face_id")
@click.argument("verdict", type=click.Choice(VERDICTS))
@terminal.home_option
@click.option("--by", "reviewer", required=True, metavar="NAME", help="Who looked. Kept encrypted.")
@declaring.options
def review(
    *, decision: int, face_id: str, verdict: str, home: Path, reviewer: str, said: Mapping[str, str]
) -> None:
    """Record what a person found who looked at the candidate FACE_ID of the search with entry DECISION.

    A later review of the same candidate counts instead of this one. Reports count reviews, so that how often
    candidates were wrong need not be guessed.
    """
    with door.opened(home, said=said) as client:
        client.record_review(Decision=decision, FaceId=face_id, Verdict=verdict.upper(), Reviewer=reviewer)
    click.echo(f"Recorded: {face_id} of search {decision} is {verdict}.")
