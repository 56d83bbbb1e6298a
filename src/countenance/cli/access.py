"""Who may call: `countenance keys`, and the questions about an organisation that `init` asks too."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from countenance import office, reporting
from countenance import settings as homes
from countenance.cli import packs, terminal
from countenance.errors import HomeError
from countenance.keys import Key, Organisation
from countenance.settings import Settings, write_private
from countenance.types import LAW_ENFORCEMENT, OrganisationKind

KINDS = {
    OrganisationKind.INDIVIDUAL: "a person, for themselves",
    OrganisationKind.BUSINESS: "a company",
    OrganisationKind.NGO: "a charity, a church, a club",
    OrganisationKind.RESEARCH: "a university, a laboratory",
    OrganisationKind.MEDIA: "a newspaper, a broadcaster",
    OrganisationKind.ARCHIVE: "an archive, a museum, a library",
    OrganisationKind.PUBLIC_AGENCY: "a public office other than law enforcement",
    OrganisationKind.AUDITOR: "whoever examines a system of others",
    OrganisationKind.POLICE: "police and other local law enforcement",
    OrganisationKind.FEDERAL_LAW_ENFORCEMENT: "a national law-enforcement agency",
}
"""What the kinds mean. Policy decides by them, and the operator's word for one goes into the record."""

PLACE, PURPOSE = "world", "general"
"""Where nothing is said: no place in particular, no purpose in particular."""

kind_option = click.option(
    "--kind", type=click.Choice([kind.value for kind in KINDS]), help="What the organisation is."
)
place_option = click.option(
    "--place", help="Where it is: a code such as DE, US-CA, EU or world.", metavar="CODE"
)
purpose_option = click.option(
    "--purpose", help="What the key is for; policy decides by it. A wrong one lists them all.", metavar="WORD"
)


def _quota(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
    """Calls a day, written 1000 or 1000/day; None for `none` and for nothing. Raises click.BadParameter."""
    if value in (None, "none"):
        return None
    number = value.removesuffix("/day")
    if not number.isdecimal() or not 0 < int(number) < 2**53:
        raise click.BadParameter(f"{value!r} is not written as 1000 or 1000/day, or none for any number.")
    return int(number)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is to hold a key, and what for."""

    name: str
    kind: OrganisationKind
    place: str
    purpose: str | None


def interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def holder(
    settings: Settings, name: str | None, kind: str | None, place: str | None, purpose: str | None
) -> tuple[Settings, Holder]:
    """The flags, and for what they leave open the answers of who sits at the terminal, or defaults; and the
    settings with the packs that are usual in the place."""
    ask = interactive()
    if name is None:
        name = _prompt("Name of the organisation", "me") if ask else "me"
    if kind is None:
        kind = _choice("Kind", KINDS, OrganisationKind.INDIVIDUAL) if ask else OrganisationKind.INDIVIDUAL
    if place is None:
        known = office.places() if ask else ()
        place = _word("Place, a code such as DE, US-CA, EU or world", known, PLACE) if ask else PLACE
    usual = tuple(dict.fromkeys((*office.usual_packs(place), *settings.packs)))
    settings = dataclasses.replace(settings, packs=usual)
    if purpose is None:
        purpose = _purpose(OrganisationKind(kind), office.vocabulary(settings).purposes, ask=ask)
    return settings, Holder(name, OrganisationKind(kind), place, purpose)


def _purpose(kind: OrganisationKind, words: Collection[str], *, ask: bool) -> str | None:
    """Law enforcement has no default purpose: whoever registers it says which, or each call must."""
    default = None if kind in LAW_ENFORCEMENT else PURPOSE
    if not ask:
        return default
    click.echo(f"Purposes: {', '.join(sorted(words))}", err=True)
    return _word("Purpose of the key", words, default)


def _choice(question: str, meanings: dict[OrganisationKind, str], default: OrganisationKind) -> str:
    for kind, meaning in meanings.items():
        click.echo(f"  {kind.value:26}{meaning}", err=True)
    return _word(question, {kind.value for kind in meanings}, default.value)


def _word(question: str, words: Collection[str], default: str | None) -> str:
    while (answer := _prompt(question, default)) not in words:
        click.echo(f"{answer!r} is not known here.", err=True)
    return answer


def _prompt(question: str, default: str | None) -> str:
    answer: str = click.prompt(question, default=default, type=str, err=True)
    return answer.strip()


@click.group()
def keys() -> None:
    """Make, list, limit and revoke the keys that clients sign with."""


@keys.command()
@terminal.home_option
@click.option("--organisation", metavar="NAME", help="Who holds the key. A new name needs --kind.")
@kind_option
@place_option
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="WORD",
    help="What rules call a new organisation by name for, such as child-protection. May be repeated.",
)
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    metavar="WORD",
    help="What its calls may be for. May be repeated: the first is for calls that do not say, except with "
    "law enforcement, whose every call has to.",
)
@click.option("--policy-owner", is_flag=True, help="The key may also open what a collection's tags had shut.")
@click.option(
    "--quota", callback=_quota, metavar="N/day", help="Refuse its calls beyond so many a day (UTC)."
)
@click.option(
    "--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the key to a new file, mode 0600."
)
@terminal.json_option
def create(
    *,
    home: Path,
    organisation: str | None,
    kind: str | None,
    place: str | None,
    groups: tuple[str, ...],
    purposes: tuple[str, ...],
    policy_owner: bool,
    quota: int | None,
    save: Path | None,
    as_json: bool,
) -> None:
    """Make a key and show it once, as an AWS credentials file."""
    settings = homes.load(home)
    if save and save.exists():
        raise HomeError(f"{save} exists; name a new file, or move that one away")
    who = _organisation(settings, organisation, kind, place, groups, purposes)
    default = _purpose(who.kind, (), ask=False)
    purposes = purposes or (() if default is None else (default,))
    key, secret = office.issue(settings, who, purposes, policy_owner=policy_owner, quota=quota)
    block = office.credentials(key, secret, settings.region)
    if save:
        write_private(save, block.encode())
        block = f"Written to {save}.\n"
    if as_json:
        terminal.print_json(facts(key) | ({} if save else {"secret_access_key": secret}))
    else:
        click.echo(block, nl=False)
    if not save:
        click.echo("# This secret is not shown again.", err=True)
    warn_without_purpose(key)
    _warn_of_laws(settings, who)


@keys.command("list")
@terminal.home_option
@terminal.json_option
def list_keys(home: Path, as_json: bool) -> None:
    """Show every key, without its secret, and how many calls it has made."""
    found = [facts(key) for key in office.issued(homes.load(home))]
    if as_json:
        terminal.print_json(found)
        return
    terminal.print_table(
        (
            "key",
            "organisation",
            "kind",
            "place",
            "purposes",
            "default purpose",
            "policy owner",
            "calls>",
            "today>",
            "quota a day>",
            "created",
            "revoked",
        ),
        [
            (
                *(key[name] for name in ("access_key_id", "organisation", "kind", "place")),
                ", ".join(key["purposes"]) or "-",
                key["purpose"] or "-",
                "yes" if key["policy_owner"] else "-",
                key["calls"],
                key["calls_today"],
                key["quota"] or "-",
                key["created"],
                key["revoked"] or "-",
            )
            for key in found
        ],
    )


@keys.command()
@click.argument("access_key_id", metavar="KEY")
@terminal.home_option
def revoke(access_key_id: str, home: Path) -> None:
    """Revoke a KEY for good. A running server refuses it from the next call on."""
    if not office.revoke(homes.load(home), access_key_id):
        raise HomeError(f"no key {access_key_id} is in force; `countenance keys list` shows them")
    click.echo(f"Revoked {access_key_id}.")


@keys.command("quota")
@click.argument("access_key_id", metavar="KEY")
@click.argument("quota", metavar="N/day|none", callback=_quota)
@terminal.home_option
def limit(access_key_id: str, quota: int | None, home: Path) -> None:
    """Let a KEY make so many calls a day (UTC), or any number. It counts from the next call on, what was made
    today included."""
    if not office.limit(homes.load(home), access_key_id, quota):
        raise HomeError(f"no key {access_key_id} is in force; `countenance keys list` shows them")
    click.echo(f"{access_key_id} may make {'any number of' if quota is None else quota} calls a day.")


@keys.command()
@click.argument("access_key_id", metavar="KEY", required=False)
@terminal.home_option
@terminal.json_option
@click.option("--from", "first", type=terminal.DAY, help="The first day; a week ago unless set.")
@click.option("--to", "last", type=terminal.DAY, help="The last day; today unless set.")
def usage(
    access_key_id: str | None,
    home: Path,
    as_json: bool,
    first: dt.datetime | None,
    last: dt.datetime | None,
) -> None:
    """Count the calls of each key, or of one KEY, by day (UTC) and operation, as the ledger has them."""
    today = dt.datetime.now(dt.UTC).date()
    until = last.date() if last else today
    since = first.date() if first else until - dt.timedelta(days=6)
    found = reporting.usage(homes.load(home), reporting.Period(since, until), access_key_id)
    rows = [
        {"day": use.day, "key": use.key, "operation": use.operation, "calls": calls, "refused": refused}
        for use, (calls, refused) in sorted(found.items())
    ]
    if as_json:
        terminal.print_json(rows)
        return
    terminal.print_table(
        ("day", "key", "operation", "calls>", "refused>"), [list(row.values()) for row in rows]
    )


def warn_without_purpose(key: Key) -> None:
    if key.purpose is None and key.purposes:
        click.echo(
            f"Every call of this key has to say what it is for, {' or '.join(sorted(key.purposes))}, in the "
            "signed header x-countenance-purpose (the shell's --purpose, or countenance.client.declare for "
            "boto3).",
            err=True,
        )
    elif key.purpose is None:
        click.echo(
            "This key has no purpose, so policy refuses its calls. "
            "`countenance keys create --purpose WORD` makes one that has.",
            err=True,
        )


def _warn_of_laws(settings: Settings, who: Organisation) -> None:
    """Say which laws of its place do not hold for an organisation: a home is made with those of one place."""
    if who.place == PLACE:
        click.echo(
            f"No law of a place holds for {who.name}, because its place is {PLACE}. If it is somewhere, "
            "register it there under another name, with --organisation NAME --kind KIND --place CODE.",
            err=True,
        )
    today = dt.datetime.now(dt.UTC).date()
    if missing := packs.laws_missing(settings, who.place, today):
        click.echo(
            f"Not in force in this home, though {who.name} is in {who.place}: {', '.join(missing)}. "
            f"To have calls decided by {'it' if len(missing) == 1 else 'them'} too, "
            f"{packs.how_to_add(settings, missing)}",
            err=True,
        )


def facts(key: Key) -> dict[str, Any]:
    """A key as it may be shown."""
    return {
        "access_key_id": key.access_key_id,
        "account": key.organisation.account,
        "organisation": key.organisation.name,
        "kind": key.organisation.kind.value,
        "place": key.organisation.place,
        "groups": sorted(key.organisation.groups),
        "purpose": key.purpose,
        "purposes": sorted(key.purposes),
        "policy_owner": key.policy_owner,
        "calls": key.calls,
        "calls_today": key.used_on(time.time()),
        "quota": key.quota,
        "created": _time(key.created),
        "revoked": _time(key.revoked),
    }


def _organisation(
    settings: Settings,
    name: str | None,
    kind: str | None,
    place: str | None,
    groups: tuple[str, ...],
    purposes: tuple[str, ...],
) -> Organisation:
    """The organisation of that name, the only one where none is named, or a new one."""
    known = office.organisations(settings)
    if name is None:
        if len(known) != 1:
            raise HomeError(f"say which with --organisation: {', '.join(each.name for each in known)}")
        name = known[0].name
    for each in known:
        if each.name == name:
            same = (kind or each.kind) == each.kind and (place or each.place) == each.place
            if not same or (groups and set(groups) != each.groups):
                raise HomeError(
                    f"{name!r} is registered here as {each.kind} in {each.place}, and that stays; "
                    "leave out --kind, --place and --group, or give another name"
                )
            return each
    if kind is None:
        raise HomeError(f"{name!r} is new here: say what it is with --kind, and where with --place")
    if place and place not in office.vocabulary(settings).places and (law := packs.bring("Place", place)):
        raise HomeError(
            f"the pack {law} knows {place}, and is not in force: {packs.how_to_add(settings, [law])}"
        )
    return office.register(settings, name, OrganisationKind(kind), place or PLACE, groups, purposes)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(" ", "seconds")
