"""`countenance worker`: the duties that `countenance serve` does beside its calls, done alone."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import click

from countenance import settings as homes
from countenance import upkeep
from countenance.cli import terminal
from countenance.worker import Worker, duties


@click.command()
@terminal.home_option
@click.option("--once", is_flag=True, help="Do every duty once, and end; fails if one of them does.")
@click.option(
    "--sweep",
    is_flag=True,
    help="Only rewrite the database's file, so that nothing that was ever deleted is left in it.",
)
def worker(home: Path, once: bool, sweep: bool) -> None:
    """Destroy what time is over for, show witnesses the checkpoint, publish the ledger: until Ctrl-C.

    `countenance serve` does so by itself. What the packs in force ask to be destroyed, `policy show` says.
    """
    settings = homes.load(home)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if sweep:
        with upkeep.opened(settings) as opened:
            opened.sweep()
        click.echo("The database's file was written anew: nothing that was deleted is left in it.")
        return
    doing = Worker(duties(settings))
    if not once:
        for wanted in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wanted, lambda *_: doing.stop())
        doing.work_here()
        return
    done, failed = doing.turn()
    for each in done:
        click.echo(each)
    if not done and not failed:
        click.echo("Nothing was due.")
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}; the log says more")
