"""`countenance jobs` and `work`: what waits, runs and ended on stored video, and the doing of it."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from countenance import settings as homes
from countenance.cli import declaring, door, terminal, videos, weights
from countenance.service import Service
from countenance.vision import zoo
from countenance.worker import Crew

SHORT = 12
"""Characters of a JobId in the table: enough to name it to --cancel."""


@click.command(cls=declaring.Command)
@terminal.home_option
@click.option("--cancel", metavar="ID", help="End this job: its JobId, or how that begins.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many to list.")
@terminal.json_option
@declaring.options
def jobs(*, home: Path, cancel: str | None, last: int, as_json: bool, said: Mapping[str, str]) -> None:
    """List your jobs on stored video, the newest first: how far each is, what became of it, and why.

    Start... calls of the API make them; `countenance serve` and `countenance work` do them.
    """
    with door.opened(home, said=said) as client:
        if cancel is not None:
            job = _named(client, cancel)
            client.cancel_job(JobId=job)
            click.echo(f"Cancelled: {job}")
            return
        found = client.list_jobs(MaxResults=last)["Jobs"]
    if as_json:
        terminal.print_json(found)
    elif not found:
        click.echo("No jobs. A Start... call of the API makes one, such as start_face_detection.")
    else:
        columns = ("job", "operation", "clip", "state", "done>", "started")
        terminal.print_table(columns, map(_row, found))
        for job in found:
            for told in _told(job):
                terminal.out().print(f"{job['JobId'][:SHORT]}: {told}", markup=False)


def _named(client: Any, beginning: str) -> str:
    """The one job whose id begins so. Raises UsageError where it is not one."""
    if not beginning:
        raise click.UsageError("--cancel wants a JobId, or how one begins.")
    listed = client.list_jobs(MaxResults=1000)["Jobs"]
    ids = [job["JobId"] for job in listed if job["JobId"].startswith(beginning)]
    if len(ids) != 1:
        raise click.UsageError(
            f"{len(ids)} of your last {len(listed)} jobs begin with {beginning!r}; `countenance jobs` lists "
            "them."
        )
    return str(ids[0])


def _row(job: Mapping[str, Any]) -> tuple[object, ...]:
    stored = job["Video"]["S3Object"]
    mine = stored["Bucket"] == videos.BUCKET
    return (
        job["JobId"][:SHORT],
        job["Operation"].removeprefix("Start"),
        job.get("JobTag", "") if mine else f"{stored['Bucket']}/{stored['Name']}",
        job["JobState"],
        f"{job['Progress']:.0f} %",
        f"{job['CreationTimestamp'].astimezone():%Y-%m-%d %H:%M}",
    )


def _told(job: Mapping[str, Any]) -> Iterator[str]:
    """What became of a job, in words, under a table that stays narrow without them."""
    if message := job.get("StatusMessage"):
        yield message
    if fault := job.get("NotificationError"):
        yield f"the topic was not told: {fault}"


@click.command()
@terminal.home_option
@click.option("--once", is_flag=True, help="Do what waits now, and end; fails where that could not be done.")
def work(home: Path, once: bool) -> None:
    """Do the jobs on stored video that wait, one after another, until Ctrl-C.

    `countenance serve` does so by itself unless it runs with --no-jobs. Several may work on one home: a job
    is one worker's, and begins anew with another should that one die. A job in hand at Ctrl-C waits again.
    """
    settings = homes.load(home)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    weights.pull_missing(zoo.fetched_for("", commercial_only=settings.commercial_only))
    service = Service(settings)
    try:
        crew = Crew(service)
        for wanted in (signal.SIGTERM, signal.SIGINT):
            signal.signal(wanted, lambda *_: crew.ask_to_stop())
        if not once:
            crew.work_here()
            return
        done, failed = crew.turn()
    finally:
        service.close()
    for each in done:
        click.echo(each)
    if not done and not failed:
        click.echo("Nothing waits.")
    if failed:
        raise click.ClickException(f"failed: {', '.join(failed)}; the log says more")
