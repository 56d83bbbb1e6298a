"""Which packs and words a command is about, and what is not in force."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable
from pathlib import Path

import click

from countenance import settings as homes
from countenance.cli import terminal
from countenance.errors import HomeError, PolicyError
from countenance.policy import Policy, pack
from countenance.policy.pack import Pack
from countenance.settings import Settings

option = click.option(
    "--packs",
    "named",
    metavar="NAMES",
    help="Packs, with commas between; without it those of the home, and without a home all that ship.",
)


def of_home(home: Path) -> tuple[str, ...]:
    """What is in force in a home; nothing where there is none."""
    return homes.load(home).packs if (home / homes.FILE).exists() else ()


def chosen(named: str | None, home: Path) -> list[str | Path]:
    """The packs named, else the home's, else all that ship. Raises PolicyError, HomeError."""
    if named is not None:
        return split(named)
    here = of_home(home)
    if not here:
        click.echo(f"{home} is no home yet; these are all packs that ship with Countenance.", err=True)
    return paths(here or pack.shipped())


def split(names: str) -> list[str | Path]:
    return paths(name.strip() for name in names.split(",") if name.strip())


def paths(names: Iterable[str]) -> list[str | Path]:
    """Each pack once: one that ships by its name, any other by the whole path of its folder."""
    known = pack.shipped()
    return list(dict.fromkeys(name if name in known else _folder(name, known) for name in names))


def is_named(each: Pack, names: Iterable[str]) -> bool:
    return any(each.name == name or each.folder == Path(name).expanduser().absolute() for name in names)


def check_word(policy: Policy, kind: str, word: str) -> None:
    """Raises HomeError for a word that these packs do not know, with the nearest that they do, or the pack
    that would bring it. kind: Place, Purpose, Offence or Group."""
    words = policy.vocabulary[kind]
    if word in words:
        return
    told = f"there is no {kind.lower()} {word!r} in these packs"
    if bringing := bring(kind, word):
        raise HomeError(f"{told}: the pack {bringing} defines it, and is not among them")
    known = "a code such as DE, US-CA, EU or world" if kind == "Place" else ", ".join(sorted(words)) or "none"
    raise HomeError(f"{told}{terminal.meant(word, words)}\nKnown: {known}.")


def bring(kind: str, word: str) -> str:
    """The pack among those that ship which defines a word; nothing where none does."""
    return next((each.name for each in Policy.read(pack.shipped()).packs if (kind, word) in each.words), "")


def laws_missing(settings: Settings, place: str, day: dt.date) -> list[str]:
    """The laws of a place, among the packs that ship and hold on a day, that are not in force in a home."""
    here = Policy.read(settings.packs)
    names = {each.name for each in here.packs}
    return [
        law.name
        for law in Policy.read(pack.shipped()).packs
        if law.name not in names
        and law.about.place != "world"
        and not law.about.grants
        and (law.about.in_force_until is None or day < law.about.in_force_until)
        and here.within(place, law.about.place)
    ]


def how_to_add(settings: Settings, names: Iterable[str]) -> str:
    """The line of settings.toml that puts further packs in force, and what to do with it."""
    line = json.dumps([*settings.packs, *names], ensure_ascii=False)
    return f"write this into {settings.home / homes.FILE} and start the server again:\npacks = {line}"


def _folder(name: str, known: Collection[str]) -> Path:
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise PolicyError(
            f"{name!r} is no folder, and no pack that ships{terminal.meant(name, known)}\n"
            f"Those are {', '.join(known)}."
        )
    return folder
