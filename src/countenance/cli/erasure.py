"""`countenance erase` and `countenance subject`: a person is erased, or finds what was done with his face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from countenance import settings as homes
from countenance import subjects
from countenance.cli import declaring, door, terminal
from countenance.errors import HomeError
from countenance.subjects import Concerned, Subject

BACKUPS = (
    "Backups made before today still hold the faces and keys. Delete those, or restore none without "
    "erasing again."
)


@click.command(cls=declaring.Command)
@terminal.home_option
@click.option("--subject", metavar="NAME", help="The person, by the ExternalImageId of the faces.")
@click.option(
    "--face-id", metavar="ID", help="The person, by one face: all of its ExternalImageId and of its user go."
)
@click.option("--user", metavar="ID", help="The person, by the UserId: all faces of the user go.")
@click.option("--collection", metavar="ID", help="Only there; otherwise in all of your collections.")
@click.option("--reason", metavar="TEXT", help="Why. Kept encrypted; the ledger holds a commitment to it.")
@terminal.json_option
@declaring.options
def erase(
    *,
    home: Path,
    subject: str | None,
    face_id: str | None,
    user: str | None,
    collection: str | None,
    reason: str | None,
    as_json: bool,
    said: Mapping[str, str],
) -> None:
    """Erase a person: every template, the key to his entries, and what calls about him said in private.

    The ledger keeps that it was done, and all its proofs still hold. It returns once the bytes have left the
    database's files.
    """
    if [subject, face_id, user].count(None) != 2:
        raise click.UsageError("Name the person by --subject, --face-id or --user, one of them.")
    asked = {
        "ExternalImageId": subject,
        "FaceId": face_id,
        "UserId": user,
        "CollectionId": collection,
        "Reason": reason,
    }
    with door.opened(home, said=said) as client:
        answer = client.erase_subject(**{name: value for name, value in asked.items() if value is not None})
    answer.pop("ResponseMetadata")
    if as_json:
        terminal.print_json(answer)
        return
    _told(answer)


def _told(answer: Mapping[str, Any]) -> None:
    erased = answer["ErasedFaces"]
    where = sorted({face["CollectionId"] for face in erased})
    if erased:
        click.echo(f"Erased: {_count(len(erased), 'face')} in {', '.join(where)}, with the keys to them.")
    else:
        click.echo(
            "Nobody of that name is enrolled: nothing was there to erase. Is it spelt as it was enrolled?"
        )
        if not answer["ShreddedRecords"] and not answer["KeptRecords"]:
            return
    click.echo(f"Private records of calls that are unreadable now: {answer['ShreddedRecords']}.")
    if answer["KeptRecords"]:
        click.echo(
            f"Kept for now: {answer['KeptRecords']}, by the rule {answer['KeptBy']}; they are shredded by "
            f"{answer['KeptUntil']} while `countenance serve` runs, or by `countenance worker --once`."
        )
    click.echo(BACKUPS, err=True)


@click.group()
def subject() -> None:
    """Let a person find his own entries in the ledger."""


@subject.command("key")
@terminal.home_option
@click.option("--collection", metavar="ID", required=True)
@click.option("--face-id", metavar="ID", help="By one face.")
@click.option("--external-image-id", "external", metavar="NAME", help="By the ExternalImageId.")
@terminal.json_option
def key_of(home: Path, collection: str, face_id: str | None, external: str | None, as_json: bool) -> None:
    """Print the key of one person in one collection, to be handed to that person and nobody else."""
    if (face_id is None) == (external is None):
        raise click.UsageError("Name the person by --face-id or by --external-image-id, one of them.")
    found = subjects.keys(homes.load(home), collection, face_id=face_id, external=external)
    if as_json:
        terminal.print_json([_subject(each) for each in found])
        return
    for each in found:
        click.echo(each.key.hex())
    click.echo(
        "It opens no text and no face: it finds, in this home's ledger or a published copy, which calls "
        f"concerned this person in {collection}. It dies when the person is erased, so hand it over before.",
        err=True,
    )
    if len(found) > 1:
        accounts = ", ".join(each.account for each in found)
        click.echo(f"Several accounts have such a collection; in this order: {accounts}.", err=True)


@subject.command()
@terminal.home_option
@click.option("--subject", "key", metavar="HEX", required=True, help="The key: 64 hexadecimal digits.")
@terminal.json_option
def entries(home: Path, key: str, as_json: bool) -> None:
    """List what concerned the holder of a key: what was asked, why, and how it ended."""
    try:
        secret = bytes.fromhex(key)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise HomeError("a subject's key has 64 hexadecimal digits")
    with terminal.counting("Looking") as progress:
        task = progress.add_task("entries", total=None)
        found = list(
            subjects.own(
                homes.load(home),
                secret,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        )
    if as_json:
        terminal.print_json([{"decision": each.decision, each.entry["kind"]: each.entry} for each in found])
        return
    if not found:
        click.echo("Nothing in this ledger concerned the holder of this key.")
        return
    terminal.print_table(
        ("entry>", "when", "operation", "by", "purpose or rule", "collection", "ended"), map(_row, found)
    )


def _row(one: Concerned) -> tuple[object, ...]:
    if (said := one.decision) is None:
        entry = one.entry
        where = (entry["rule"], entry.get("collection", ""), f"{entry.get('removed', 0)} removed")
        return (entry["seq"], entry["time"], "retention", f"account {entry['account']}", *where)
    return (
        said["seq"],
        said["time"],
        said["operation"],
        f"{said['organisation_kind']} {said['account']}",
        said.get("purpose", ""),
        said.get("collection", ""),
        one.entry["result"],
    )


def _subject(one: Subject) -> dict[str, object]:
    return {"account": one.account, "collection": one.collection, "key": one.key.hex(), "faces": one.faces}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
