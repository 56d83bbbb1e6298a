"""`countenance init` and `serve`: a home is made, and answers."""

from __future__ import annotations

import ipaddress
import logging
import shlex
import signal
from pathlib import Path

import click

from countenance import office
from countenance import settings as homes
from countenance.cli import access, door, terminal, weights
from countenance.errors import HomeError
from countenance.server import Running
from countenance.service import Service
from countenance.settings import Settings
from countenance.vision import zoo
from countenance.worker import Crew, Worker, duties

LOG = logging.getLogger("countenance")


@click.command()
@terminal.home_option
@click.option("--name", help="Name of the organisation that holds the first key.")
@access.kind_option
@access.place_option
@access.purpose_option
@click.option(
    "--pack",
    "packs",
    multiple=True,
    metavar="NAME",
    help="A policy pack beside those that are usual in the place: a name, or the whole path of a folder. "
    "May be repeated.",
)
@click.option(
    "--database",
    default="",
    metavar="URL",
    help="A PostgreSQL database, postgresql://USER@HOST/NAME, instead of a file in the home. A password "
    "belongs in PGPASSWORD or ~/.pgpass: who lists processes sees what is written here.",
)
@click.option(
    "--commercial-only",
    is_flag=True,
    help="Load only models whose licence and training labels leave commercial use open.",
)
def init(
    *,
    home: Path,
    name: str | None,
    kind: str | None,
    place: str | None,
    purpose: str | None,
    packs: tuple[str, ...],
    database: str,
    commercial_only: bool,
) -> None:
    """Make a home: database, ledger, keys. Asks what no option says; without a terminal takes defaults."""
    settings = Settings(home=home, packs=packs, database=database, commercial_only=commercial_only)
    if (home / homes.FILE).exists():
        raise HomeError(f"{home} is a Countenance home already; `countenance serve` starts it")
    if home.exists() and any(home.iterdir()):
        raise HomeError(f"{home} is not empty; give a new folder with --home")
    settings, holder = access.holder(settings, name, kind, place, purpose)
    key = office.found(settings, holder.name, holder.kind, holder.place, holder.purpose)
    click.echo(f"Made a home in {home}")
    click.echo(f"  for      {holder.name}: {holder.kind}, {holder.place}, {holder.purpose or 'no purpose'}")
    click.echo(f"  account  {key.organisation.account}")
    click.echo(f"  key      {key.access_key_id}, in {settings.credentials}")
    click.echo(f"  packs    {', '.join(settings.packs)}")
    access.warn_without_purpose(key)
    if holder.place == access.PLACE:
        click.echo(
            "No law is in force here, because the place is world: base and three vendors' promises decide. "
            "A home made with --place CODE has the laws of that place as well.",
            err=True,
        )
    where = "" if home == terminal.DEFAULT_HOME else f" --home {shlex.quote(str(home))}"
    click.echo(
        f"""
Start it:
  countenance serve{where}

Then, in another shell:
  export AWS_SHARED_CREDENTIALS_FILE={shlex.quote(str(settings.credentials))}
  python3 - <<'END'
  import boto3
  rekognition = boto3.client("rekognition", endpoint_url="http://127.0.0.1:8080")
  print(rekognition.detect_faces(Image={{"Bytes": open("photo.jpg", "rb").read()}}))
  END"""
    )


@click.command()
@terminal.home_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one."
)
@click.option("--tls-cert", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="PEM chain.")
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="PEM key.")
@click.option(
    "--insecure-network",
    is_flag=True,
    help="Listen beyond this machine without TLS: photos then cross the network in the clear.",
)
@click.option(
    "--no-jobs",
    is_flag=True,
    help="Leave jobs on stored video to `countenance work`, in another process or on another machine.",
)
def serve(
    home: Path,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure_network: bool,
    no_jobs: bool,
) -> None:
    """Answer Rekognition's API until SIGTERM or Ctrl-C; calls in flight are finished first."""
    _check_network(host, tls_cert, tls_key, allowed=insecure_network)
    settings = homes.load(home)
    if notice := door.find(settings):
        raise HomeError(
            f"a server (process {notice.pid}) answers for this home at {notice.url} already; stop it first"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    weights.pull_missing(zoo.fetched_for("", commercial_only=settings.commercial_only))
    built, worker = Service(settings), Worker(duties(settings))
    crew = None if no_jobs else Crew(built)
    try:
        running = Running(built, host, port, certificate=tls_cert, private_key=tls_key)
        for wanted in (signal.SIGTERM, signal.SIGINT):  # uvicorn repeats the signal it ended by
            signal.signal(wanted, lambda *_: running.stop())
        worker.start()
        if crew is not None:
            crew.start()
        running.serve_here(lambda: click.echo(f"Countenance answers at {running.url} for {home}"))
    finally:
        if crew is not None:
            crew.stop()
        worker.stop()
        built.close()
    LOG.info("stopped; every call that was begun is finished")


def _check_network(host: str, certificate: Path | None, private_key: Path | None, *, allowed: bool) -> None:
    if (certificate is None) != (private_key is None):
        raise HomeError("TLS needs both files: --tls-cert and --tls-key")
    if certificate is None and not allowed and not _loopback(host):
        raise HomeError(
            f"{host} can be reached from other machines: give --tls-cert and --tls-key, or "
            "--insecure-network if photos may cross that network in the clear"
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
