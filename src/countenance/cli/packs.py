"""Which packs and actions a command of `countenance policy` is about."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import click

from countenance import settings as homes
from countenance.errors import HomeError, PolicyError
from countenance.operations.catalogue import SERVED
from countenance.policy import pack
from countenance.policy.pack import Pack
from countenance.types import Action

ALL = ("ALL",)
"""The attributes of a request that asks for as much as it can."""

_ATTRIBUTES = ("Attributes", "DetectionAttributes")

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


def actions_of(operation: str, attributes: Collection[str] = ALL) -> tuple[Action, ...]:
    """What an operation asks for that is to tell these attributes. Raises HomeError for an unknown one."""
    if operation in set(Action):
        return (Action(operation),)
    if operation not in SERVED:
        known = ", ".join((*SERVED, *Action))
        raise HomeError(f"{operation!r} is no operation and no action; known are {known}")
    served = SERVED[operation]
    asked = {name: attributes for name in _ATTRIBUTES if name in served.defaults}
    return served.actions({**served.defaults, **asked})


def _folder(name: str, known: Iterable[str]) -> Path:
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise PolicyError(f"{name!r} is no folder, and no pack that ships: those are {', '.join(known)}")
    return folder
