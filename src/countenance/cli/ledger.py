"""`countenance ledger`: the record is examined, published, and witnessed by others."""

from __future__ import annotations

import time
from pathlib import Path

import click

from countenance import office, publication
from countenance import settings as homes
from countenance.cli import terminal
from countenance.errors import HomeError, LedgerError
from countenance.settings import Settings


@click.group()
def ledger() -> None:
    """Examine the record of every decision."""


_kept = click.Path(path_type=Path, exists=True, dir_okay=False)


@ledger.command()
@terminal.home_option
@click.option(
    "--checkpoint", "known", type=_kept, help="A checkpoint kept elsewhere: the ledger must extend it."
)
@click.option("--key", type=_kept, help="A copy of ledger.pub kept elsewhere, to be believed instead of it.")
@terminal.json_option
def verify(home: Path, known: Path | None, key: Path | None, as_json: bool) -> None:
    """Recompute the whole ledger; fails naming the first bad entry. A server may be at work meanwhile.

    Nothing in the home is changed, and no secret of it is needed.
    """
    settings = homes.load(home)
    with terminal.counting("Verifying") as progress:
        task = progress.add_task("entries", total=None)
        try:
            found = office.verified(
                settings,
                lambda done, total: progress.update(task, completed=done, total=total),
                public_key=key,
                known=known,
            )
        except LedgerError as fault:
            if as_json:
                terminal.print_json({"ok": False, "entry": fault.entry, "error": str(fault)})
            where = "the ledger does not verify" if fault.entry is None else f"entry {fault.entry} is bad"
            raise LedgerError(
                f"{where}: {fault}\n"
                "Something other than Countenance changed this home; compare it with a backup.",
                fault.entry,
            ) from fault
    facts = {
        "size": found.size,
        "root": found.root.hex(),
        "decisions": found.decisions,
        "outcomes": found.outcomes,
        "administered": found.administered,
        "unfinished": list(found.without_outcome),
    }
    if as_json:
        terminal.print_json({"ok": True, **facts})
        return
    facts["unfinished"] = ", ".join(map(str, found.without_outcome)) or "none"
    click.echo("The ledger verifies: every entry is as it was written.")
    if known:
        click.echo(f"It begins with what {known} was signed over.")
    for name, value in {"entries": facts.pop("size"), **facts}.items():
        click.echo(f"  {name:<14}{value}")


@ledger.command()
@terminal.home_option
def checkpoint(home: Path) -> None:
    """Print the newest signed head of the ledger: kept elsewhere, it shows later what was rewritten."""
    click.echo(publication.newest_checkpoint(homes.load(home)), nl=False)


@ledger.command()
@terminal.home_option
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--without-entries", is_flag=True, help="Publish the hashes of the entries, not the entries.")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Go on until Ctrl-C, and publish what is new each time.",
)
def export(home: Path, folder: Path, without_entries: bool, every: float | None) -> None:
    """Publish the ledger as FOLDER: static files (C2SP tlog-tiles) that any web host can serve.

    A folder that an earlier export made is brought up to the newest checkpoint; only what is new is written.
    The witnesses that settings.toml names sign it first. A server may be at work meanwhile.
    """
    settings = homes.load(home)
    _tell(folder, _export(settings, folder, with_entries=not without_entries))
    while every is not None:
        time.sleep(every)
        done = _export(settings, folder, with_entries=not without_entries)
        if done.size != done.before:
            _tell(folder, done)


def _tell(folder: Path, done: publication.Published) -> None:
    click.echo(f"{folder} holds {done.size} entries, {done.size - done.before} of them new")


def _export(settings: Settings, folder: Path, *, with_entries: bool) -> publication.Published:
    note = _witnessed(settings).note
    with terminal.counting("Publishing") as progress:
        task = progress.add_task("entries", total=None)
        return publication.exported(
            settings,
            folder,
            note=note,
            with_entries=with_entries,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _witnessed(settings: Settings) -> publication.Round:
    done = publication.submitted(settings)
    for fault in done.failed.values():
        click.echo(f"Not witnessed: {fault}", err=True)
    return done


@ledger.command()
@terminal.home_option
def witness(home: Path) -> None:
    """Show the newest checkpoint to the witnesses that settings.toml names, and keep what they sign.

    Fails where one of them did not sign.
    """
    settings = homes.load(home)
    if not settings.witnesses:
        raise HomeError(f'{home / homes.FILE} names no witness: witnesses = ["URL verifier-key"]')
    done = _witnessed(settings)
    for name in done.signed:
        click.echo(f"{name} signed {done.size} entries")
    for name in done.unasked:
        click.echo(
            f"{name} has no URL: it comes by itself, and `countenance ledger cosign` takes what it signed"
        )
    if done.failed:
        raise LedgerError(f"{', '.join(done.failed)} did not sign")


@ledger.command()
@terminal.home_option
@click.argument("signed", type=_kept)
def cosign(home: Path, signed: Path) -> None:
    """Keep a checkpoint that a witness signed elsewhere: SIGNED is what its `follow` printed."""
    done = publication.cosigned(homes.load(home), signed.read_bytes().decode("utf-8", "replace"))
    click.echo(f"{', '.join(done.signed)} signed {done.size} entries")


@ledger.command()
@terminal.home_option
def rotate(home: Path) -> None:
    """Have a new key sign the ledger from here on. No server may be at work meanwhile.

    Whoever holds the old public key is led to the new one by the checkpoint that both keys sign. A rotation
    that was cut off is finished.
    """
    settings = homes.load(home)
    line = office.rotate(settings)
    click.echo(f"A new key signs the ledger: {line}")
    click.echo(f"Give {settings.ledger_public_key} to whoever holds the old one; it lists both.")


@ledger.command()
@terminal.home_option
@click.argument("number", type=click.IntRange(min=0))
@terminal.json_option
def disclose(home: Path, number: int, as_json: bool) -> None:
    """Show what the call of decision NUMBER said in private: a case, a warrant, who reviewed.

    Whoever is shown the record's key as well can hold each text to the entry, and learns nothing of others.
    """
    record = office.disclosed(homes.load(home), number)
    if as_json:
        terminal.print_json({"entry": number, "record_key": record.key.hex(), "said": dict(record.said)})
        return
    for name, value in record.said.items():
        click.echo(f"  {name:<14}{value}")
    click.echo(f"  {'record key':<14}{record.key.hex()}")
    click.echo("Held to the entry by `countenance_verify.py open`, which needs the receipt and this key.")
