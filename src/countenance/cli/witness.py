"""`countenance witness`: keep an eye on somebody else's record, and sign that it only grows."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path

import click
import platformdirs

from countenance import witness as witnesses
from countenance.cli import terminal
from countenance.errors import CountenanceError, HomeError
from countenance.witness import Witness
from countenance.witness.serving import Serving

DEFAULT_FOLDER = platformdirs.user_data_path("countenance-witness")


@click.group()
def witness() -> None:
    """Watch somebody else's ledger: sign its heads as long as it only grows, and keep what contradicts that.

    Meant for another organisation than the one whose ledger it is: a works council, an auditor, a newspaper.
    """


folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="COUNTENANCE_WITNESS",
    default=DEFAULT_FOLDER,
    show_default=True,
    show_envvar=True,
    help="The folder that holds the witness's key and what it signed.",
)


@witness.command()
@folder_option
@click.option("--name", required=True, help="The witness's name to the world, such as example.org/witness.")
def init(folder: Path, name: str) -> None:
    """Make a witness. Prints its public key, which those who rely on it have to be given."""
    made = witnesses.found(folder, name)
    click.echo(f"Made a witness in {folder}", err=True)
    click.echo(made.line)


@witness.command()
@folder_option
@click.argument("public", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def trust(folder: Path, public: Path) -> None:
    """Witness the log whose ledger.pub, or log.pub, is PUBLIC: got from its operator, not from its website.

    When a log has a new key, say it again with the new file.
    """
    try:
        lines = public.read_text("utf-8")
    except ValueError as fault:
        raise HomeError(f"{public} is no public key: it is no text") from fault
    log = Witness(folder).trust(lines)
    keys = "1 key" if len(log.keys) == 1 else f"{len(log.keys)} keys"
    click.echo(f"{log.origin} is witnessed, with {keys}")


@witness.command()
@folder_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0 takes a free one."
)
def serve(folder: Path, host: str, port: int) -> None:
    """Answer logs that come to be witnessed (C2SP tlog-witness), until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with Serving(Witness(folder), host, port) as serving:
        # shutdown waits for the loop that the signal interrupts, so it must not run in it
        for wanted in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wanted, lambda *_: threading.Thread(target=serving.shutdown).start())
        click.echo(f"{serving.witness.name} answers at {serving.url}")
        serving.serve_forever()


@witness.command()
@folder_option
@click.argument("source")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Go on until Ctrl-C, and say what was signed or not.",
)
def follow(folder: Path, source: str, every: float | None) -> None:
    """Read the ledger published at SOURCE, a folder or a URL, and sign its newest head if it only grew.

    Prints the head with the signature, which `countenance ledger cosign` takes at the log's side. Fails where
    the head was not signed.
    """
    ours = Witness(folder)
    if every is None:
        click.echo(ours.follow(source).note, nl=False)
        return
    while True:
        try:
            head = ours.follow(source)
        except CountenanceError as fault:
            click.echo(f"not signed: {fault}", err=True)
        else:
            click.echo(f"signed {head.size} entries of {head.checkpoint.origin}")
        time.sleep(every)


@witness.command()
@folder_option
@terminal.json_option
def status(folder: Path, as_json: bool) -> None:
    """List the logs that are witnessed: how far they were signed, and what speaks against them."""
    ours = Witness(folder)
    known = ours.known()
    if as_json:
        rows = [
            {
                "log": each.log.origin,
                "size": each.size,
                "signed": _when(each.signed),
                "evidence": [str(place) for place in each.evidence],
            }
            for each in known
        ]
        terminal.print_json({"witness": ours.line, "logs": rows})
        return
    click.echo(ours.line)
    terminal.print_table(
        ("Log", "Entries>", "Signed", "Evidence>"),
        [(each.log.origin, each.size, _when(each.signed), len(each.evidence)) for each in known],
    )
    for place in (place for each in known for place in each.evidence):
        click.echo(f"evidence: {place}")


def _when(seconds: int | None) -> str:
    return "never" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
