"""`countenance users`: who is in a collection as a user, and by which faces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from countenance.cli import declaring, door, terminal


@click.group()
def users() -> None:
    """See the people of whom a collection has several faces."""


@users.command("list", cls=declaring.Command)
@click.argument("collection")
@terminal.home_option
@terminal.json_option
@declaring.options
def list_(*, collection: str, home: Path, as_json: bool, said: Mapping[str, str]) -> None:
    """List the users of COLLECTION in the order they were made. ACTIVE has faces, CREATED none yet."""
    with door.opened(home, said=said) as client:
        pages = client.get_paginator("list_users").paginate(CollectionId=collection)
        found = [user for page in pages for user in page["Users"]]
    if as_json:
        terminal.print_json(found)
        return
    if found:
        terminal.print_table(("user", "status"), ((user["UserId"], user["UserStatus"]) for user in found))
    else:
        click.echo("There is no user yet. AssociateFaces gives one faces (docs/users.md).", err=True)


@users.command(cls=declaring.Command)
@click.argument("collection")
@click.argument("user")
@terminal.home_option
@terminal.json_option
@declaring.options
def show(*, collection: str, user: str, home: Path, as_json: bool, said: Mapping[str, str]) -> None:
    """Show the faces of USER in COLLECTION."""
    with door.opened(home, said=said) as client:
        pages = client.get_paginator("list_faces").paginate(CollectionId=collection, UserId=user)
        found: list[Mapping[str, Any]] = [face for page in pages for face in page["Faces"]]
    if as_json:
        terminal.print_json(found)
        return
    if found:
        terminal.print_table(
            ("face", "photo", "name"),
            ((face["FaceId"], face["ImageId"], face.get("ExternalImageId", "")) for face in found),
        )
    else:
        click.echo(f"No face of {collection} is {user}'s. Is the user spelt as it was made?", err=True)
