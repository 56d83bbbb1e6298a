"""`countenance models`: the weights this machine holds, what they are for and under which licence."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import click
from rich.progress import TaskID

from countenance import settings as homes
from countenance.cli import terminal
from countenance.errors import ModelError
from countenance.vision import zoo
from countenance.vision.attributes import readings
from countenance.vision.zoo import Card

commercial_option = click.option(
    "--commercial-only", is_flag=True, help="As if the home's settings.toml said commercial_only = true."
)


@click.group()
def models() -> None:
    """List, fetch and check the model weights."""


@models.command("list")
@terminal.home_option
@commercial_option
@terminal.json_option
def list_models(home: Path, commercial_only: bool, as_json: bool) -> None:
    """Show every model's card, whether its weights are here, and whether the home may load them."""
    offered = zoo.offered(commercial_only=commercial_only or _set(home))
    cards = [_facts(card, withheld=card not in offered) for card in zoo.cards()]
    if as_json:
        terminal.print_json(cards)
        return
    terminal.print_table(
        ("model", "task", "extra", "backs", "licence", "commercial", "size>", "here"),
        [
            (
                card["id"],
                card["task"],
                card["extra"],
                ", ".join(card["backs"]),
                card["licence"],
                "yes" if card["commercial"] else "no",
                _size(card["size"]),
                "yes" if card["present"] else "no",
            )
            for card in cards
        ],
    )
    _explain(offered)
    click.echo(f"Weights are kept in {zoo.home()}.")
    missing = [card for card in cards if not card["present"] and not card["withheld"]]
    if any(not card["extra"] for card in missing):
        click.echo("`countenance models pull` fetches what is missing.")
    partly = {card["extra"] for card in cards if card["withheld"]}
    for extra in sorted({card["extra"] for card in missing} - partly - {""}):
        click.echo(f"`countenance models pull {extra}` fetches what is fetched only when asked: {extra}.")


@models.command()
@click.argument("names", metavar="[MODEL|EXTRA]...", nargs=-1)
@terminal.home_option
@commercial_option
def pull(names: tuple[str, ...], home: Path, commercial_only: bool) -> None:
    """Fetch the weights that are missing: those that every home has, or the MODELs and EXTRAs named.

    Afterwards nothing is fetched. `countenance models list` shows the extras, such as text. What the home may
    not load is not fetched.
    """
    commercial_only = commercial_only or _set(home)
    offered = zoo.offered(commercial_only=commercial_only)
    wanted = [card for name in names or ("",) for card in _named(name, commercial_only=commercial_only)]
    fetched = pull_missing(wanted)
    if fetched:
        click.echo(f"Fetched {', '.join(card.id for card in fetched)} into {zoo.home()}.")
    else:
        click.echo(f"All weights asked for are in {zoo.home()} already.")
    if not names:
        _explain(offered)


@models.command()
@terminal.home_option
@commercial_option
@terminal.json_option
def verify(home: Path, commercial_only: bool, as_json: bool) -> None:
    """Check every weight file against the digest on its card; fails if one is missing or altered."""
    cards = zoo.offered(commercial_only=commercial_only or _set(home))
    cards = tuple(card for card in cards if not card.extra or zoo.present(card))
    results = []
    with terminal.counting("Checking") as progress:
        task = progress.add_task("", total=len(cards))
        for card in cards:
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


def pull_missing(cards: Iterable[Card]) -> list[Card]:
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


def _named(name: str, *, commercial_only: bool) -> tuple[Card, ...]:
    """The cards of an extra, or the one of that id. Raises ModelError, for an extra if the home may not load
    all of it: a part is of no use."""
    if not name:
        return zoo.fetched_for(name, commercial_only=commercial_only)
    if name in zoo.extras():
        return tuple(
            zoo.card(each.id, commercial_only=commercial_only) for each in zoo.cards() if each.extra == name
        )
    return (zoo.card(name, commercial_only=commercial_only),)


def _set(home: Path) -> bool:
    """Whether the home says commercial_only; there may be none yet."""
    return (home / homes.FILE).exists() and homes.load(home).commercial_only


def _explain(offered: Collection[Card]) -> None:
    """Say what is withheld, and why."""
    withheld = [card for card in zoo.cards() if card not in offered]
    if withheld:
        click.echo("Commercial use only: neither fetched nor loaded, and what they tell is left out:")
    for card in withheld:
        without = _backed(card) or [card.extra]
        lost = f" ({', '.join(without)})" if any(without) else ""
        click.echo(f"  {card.id}{lost}: {card.commercial_reason}")


def _backed(card: Card) -> list[str]:
    """The attributes that cannot be told without this model."""
    return [reading.attribute for reading in readings() if card.id in reading.nets and not reading.off]


def _facts(card: Card, *, withheld: bool) -> dict[str, Any]:
    return {
        "id": card.id,
        "title": card.title,
        "task": card.task,
        "extra": card.extra,
        "backs": _backed(card),
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
        "withheld": withheld,
    }


def _fault(card: Card) -> str | None:
    try:
        zoo.verify(card)
    except ModelError as fault:
        return str(fault)
    return None


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
