"""`countenance models`: the weights this machine holds, what they are for and under which licence."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from rich.progress import TaskID

from countenance.cli import terminal
from countenance.errors import ModelError
from countenance.vision import zoo
from countenance.vision.zoo import Card


@click.group()
def models() -> None:
    """List, fetch and check the model weights."""


@models.command("list")
@terminal.json_option
def list_models(as_json: bool) -> None:
    """Show every model's card, and whether its weights are here."""
    cards = [_facts(card) for card in zoo.cards()]
    if as_json:
        terminal.print_json(cards)
        return
    terminal.print_table(
        ("model", "task", "size>", "licence", "here", "title"),
        [
            (c["id"], c["task"], _size(c["size"]), c["licence"], "yes" if c["present"] else "no", c["title"])
            for c in cards
        ],
    )
    click.echo(f"Weights are kept in {zoo.home()}.")
    if not all(card["present"] for card in cards):
        click.echo("`countenance models pull` fetches what is missing.")


@models.command()
@click.argument("names", metavar="[MODEL]...", nargs=-1)
def pull(names: tuple[str, ...]) -> None:
    """Fetch the weights that are missing, all of them or the MODELs named. Afterwards nothing is fetched."""
    fetched = pull_missing([zoo.card(name) for name in names] or list(zoo.cards()))
    if fetched:
        click.echo(f"Fetched {', '.join(card.id for card in fetched)} into {zoo.home()}.")
    else:
        click.echo(f"All weights are in {zoo.home()} already.")


@models.command()
@terminal.json_option
def verify(as_json: bool) -> None:
    """Check every weight file against the digest on its card; fails if one is missing or altered."""
    results = []
    with terminal.counting("Checking") as progress:
        task = progress.add_task("", total=len(zoo.cards()))
        for card in zoo.cards():
            results.append({"id": card.id, "error": _fault(card)})
            progress.advance(task)
    faults = [result["error"] for result in results if result["error"]]
    if as_json:
        terminal.print_json({"ok": not faults, "models": results})
    else:
        rows = [(result["id"], "altered or missing" if result["error"] else "good") for result in results]
        terminal.print_table(("model", "weights"), rows)
    if faults:
        raise ModelError("\n".join(str(fault) for fault in faults))


def pull_missing(cards: list[Card]) -> list[Card]:
    """Fetch the cards' files that are not here, with a bar for each package. Raises ModelError."""
    missing = [card for card in cards if not zoo.present(card)]
    if not missing:
        return []
    with terminal.fetching() as progress:
        bars: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done)

        zoo.pull(*missing, report=report)
    return missing


def _facts(card: Card) -> dict[str, Any]:
    return {
        "id": card.id,
        "title": card.title,
        "task": card.task,
        "size": card.size,
        "files": [
            {**dataclasses.asdict(file), "path": str(path)}
            for file, path in zip(card.files, zoo.paths(card), strict=True)
        ],
        "licence": card.licence,
        "licence_source": card.licence_source,
        "training": card.training,
        "commercial": card.commercial,
        "commercial_reason": card.commercial_reason,
        "intended_use": card.intended_use,
        "not_for": card.not_for,
        "measured": dict(card.measured),
        "present": zoo.present(card),
    }


def _fault(card: Card) -> str | None:
    try:
        zoo.verify(card)
    except ModelError as fault:
        return str(fault)
    return None


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
