"""`countenance video timeline`: who is seen in a clip, when, and what their faces show."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError
from PIL import Image

from countenance import settings as homes
from countenance.cli import declaring, door, terminal, timelines, timeplot
from countenance.errors import VideoError
from countenance.service import Service
from countenance.settings import Settings
from countenance.vision.video import open_clip
from countenance.worker import Crew

BUCKET = "countenance-shell"
"""The folder under the home's buckets where a clip of the shell's stands while its job runs."""

MARGIN = 0.25
"""Of a face's box, kept around it in a thumbnail."""

DRAWN = (".png", ".svg")

SOONEST, LATEST = 0.25, 5.0
"""Seconds between two looks at a job, the first and the longest: each is a call and stands in the ledger."""

UNBEGUN = 10.0
"""Seconds after which whoever waits for a job to begin is told what may be missing."""

_UNSAID = re.compile(r"[^a-zA-Z0-9_.\-:+=/]")
"""What a JobTag cannot hold."""

Shape = Mapping[str, Any]

_target = click.Path(path_type=Path, dir_okay=False, writable=True)


@click.group()
def video() -> None:
    """Look at stored video."""


@video.command("timeline", cls=declaring.Command)
@click.argument("clip", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@terminal.home_option
@terminal.json_option
@click.option("--plot", type=_target, metavar="OUT.png|OUT.svg", help="Draw it: a row for each person.")
@click.option(
    "--faces/--no-faces", default=True, show_default=True, help="Show faces of the clip in the plot."
)
@click.option(
    "--csv", "table", type=_target, metavar="OUT.csv", help="Write a row for each person and sample."
)
@click.option("--vtt", type=_target, metavar="OUT.vtt", help="Write captions for a player (WebVTT).")
@click.option("--collection", metavar="ID", help="Also say who of this collection each may be.")
@click.option("--threshold", type=terminal.PERCENT, help="The least Similarity of who it may be.")
@click.option(
    "--samples",
    type=click.FloatRange(0.1, 30),
    default=5.0,
    show_default=True,
    help="How many frames a second are looked at.",
)
@declaring.options
def show(
    *,
    clip: Path,
    home: Path,
    as_json: bool,
    plot: Path | None,
    faces: bool,
    table: Path | None,
    vtt: Path | None,
    collection: str | None,
    threshold: float | None,
    samples: float,
    said: Mapping[str, str],
) -> None:
    """Lay out over time who is seen in CLIP and what each face shows.

    An expression is what a face shows, not what somebody feels. Without --collection nobody has a name.
    """
    _writable(plot, table, vtt)
    asked: dict[str, Any] = {"SamplesPerSecond": samples, "JobTag": _UNSAID.sub("_", clip.name)}
    asked |= {"CollectionId": collection} if collection else {}
    asked |= {"FaceMatchThreshold": threshold} if threshold is not None else {}
    settings = homes.load(home)
    with door.opened(home, said=said) as client, standing(settings, clip) as stored, worked(settings):
        job = client.start_face_timeline(Video={"S3Object": stored}, **asked)["JobId"]
        answer = _whole(client, job)
    people, told = answer["People"], answer["Samples"]
    if table:
        table.write_text(timelines.table(people, told), "utf-8")
    if vtt:
        vtt.write_text(timelines.captions(people), "utf-8")
    if plot:
        duration = answer["VideoMetadata"].get("DurationMillis", 0)
        timeplot.save(clip.name, people, duration, plot, _thumbnails(clip, told) if faces else None)
    if as_json:
        terminal.print_json({name: answer[name] for name in ("VideoMetadata", "People", "Samples")})
    else:
        _print(clip, people)


def _writable(*targets: Path | None) -> None:
    """Raises UsageError for a file that cannot be written, before the work rather than after it."""
    plot = targets[0]
    if plot is not None and plot.suffix.lower() not in DRAWN:
        raise click.UsageError(f"--plot {plot} must end in {' or '.join(DRAWN)}.")
    for target in targets:
        if target is not None and not os.access(target.resolve().parent, os.W_OK):
            raise click.UsageError(f"{target.parent} is no folder that can be written to.")


@contextmanager
def standing(settings: Settings, clip: Path) -> Iterator[dict[str, str]]:
    """The S3Object that a clip is, as long as this lasts. Raises VideoError where buckets are remote.

    SIGTERM and SIGHUP end it as Ctrl-C does. What a killed process left there goes first.
    """
    if settings.s3_endpoint:
        raise VideoError(
            "this home's buckets are an S3 service: put the clip there and call StartFaceTimeline"
        )
    folder = settings.buckets / BUCKET
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.iterdir():
        if not _lives(left.name.partition("-")[0]):
            left.unlink(missing_ok=True)
    place = folder / f"{os.getpid()}-{uuid.uuid4()}{clip.suffix}"
    try:
        with _signalled():
            try:
                os.link(clip.resolve(), place)
            except OSError:  # another disk, or one without links
                shutil.copyfile(clip, place)
            yield {"Bucket": BUCKET, "Name": place.name}
    finally:
        place.unlink(missing_ok=True)


def _lives(process: str) -> bool:
    """Whether a process of that number runs here."""
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return True


@contextmanager
def _signalled() -> Iterator[None]:
    """SIGTERM and SIGHUP are KeyboardInterrupt, as long as this lasts; in the main thread alone."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = [(each, signal.signal(each, end)) for each in wanted]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


@contextmanager
def worked(settings: Settings) -> Iterator[None]:
    """Somebody who does jobs, as long as this lasts: the server that runs, else this process."""
    if door.find(settings):
        yield
        return
    service = Service(settings)
    crew = Crew(service)
    crew.start()
    try:
        yield
    finally:
        crew.stop()
        service.close()


def finished(client: Any, read: Callable[..., dict[str, Any]], job: str, what: str) -> dict[str, Any]:
    """The first page of a job's results, once there are any. However else this ends, the job is cancelled.

    read: the client's Get... method; each time is a call. what: what to say of the wait. Raises VideoError
    where it failed.
    """
    begun, pause, warned = time.monotonic(), SOONEST, False
    try:
        with terminal.counting(what) as bar:
            task = bar.add_task("", total=1)
            while (answer := read(JobId=job))["JobStatus"] == "IN_PROGRESS":
                note = answer["ResponseMetadata"]["HTTPHeaders"].get("x-countenance-job", "")
                done = next((part for part in note.split("; ") if part.startswith("progress=")), "progress=0")
                bar.update(task, completed=float(done.removeprefix("progress=")))
                if not warned and note.startswith("waiting") and time.monotonic() - begun > UNBEGUN:
                    warned = True
                    click.echo(
                        "The job waits: another is done before it, or nobody does jobs. ", err=True, nl=False
                    )
                    click.echo(
                        "`countenance serve` does (without --no-jobs), and `countenance work`.", err=True
                    )
                time.sleep(pause)
                pause = min(LATEST, pause * 1.5)
    except BaseException:
        with contextlib.suppress(client.exceptions.ClientError, BotoCoreError):
            client.cancel_job(JobId=job)
        raise
    if answer["JobStatus"] != "SUCCEEDED":
        raise VideoError(answer.get("StatusMessage", "the job failed"))
    return answer


def _whole(client: Any, job: str) -> dict[str, Any]:
    """A timeline with the samples of all its pages."""
    answer = finished(client, client.get_face_timeline, job, "looking at the clip")
    whole = {**answer, "Samples": list(answer["Samples"])}
    while token := answer.get("NextToken"):
        answer = client.get_face_timeline(JobId=job, NextToken=token)
        whole["Samples"] += answer["Samples"]
    return whole


def _thumbnails(clip: Path, samples: Sequence[Shape]) -> dict[int, Image.Image]:
    """Of each person, by Index, the face that is largest and turned away least.

    Nobody's where the clip cannot be wound to it."""
    best: dict[int, Shape] = {}
    for sample in samples:
        known = best.get(sample["Index"])
        if known is None or _plainness(sample) > _plainness(known):
            best[sample["Index"]] = sample
    try:
        with open_clip(clip) as opened:
            return {
                index: _cut(opened.at(sample["Timestamp"]).pixels, sample) for index, sample in best.items()
            }
    except VideoError as fault:
        click.echo(f"No faces in the plot: {fault}.", err=True)
        return {}


def _plainness(sample: Shape) -> float:
    turn = math.cos(math.radians(sample.get("Pose", {}).get("Yaw", 0.0)))
    return float(sample["BoundingBox"]["Width"]) * max(0.1, turn)


def _cut(pixels: Any, sample: Shape) -> Image.Image:
    """A square around the face, black outside the frame."""
    height, width = pixels.shape[:2]
    box = sample["BoundingBox"]
    side = (1 + 2 * MARGIN) * max(box["Width"] * width, box["Height"] * height)
    left = (box["Left"] + box["Width"] / 2) * width - side / 2
    top = (box["Top"] + box["Height"] / 2) * height - side / 2
    return Image.fromarray(pixels).crop((round(left), round(top), round(left + side), round(top + side)))


def _print(clip: Path, people: Sequence[Shape]) -> None:
    noun = "person" if len(people) == 1 else "people"
    click.echo(f"{clip}: {len(people) or 'no'} {noun}")
    if people:
        names = timelines.titles(people)
        rows = [(names[person["Index"]], *_row(person)) for person in people]
        terminal.print_table(("who", "seen from>", "to>", "for>", "shows"), rows)
    if any(person.get("FaceMatches") for person in people):
        click.echo("A name with a question mark is a candidate for a person to judge, not an identity.")


def _row(person: Shape) -> tuple[object, ...]:
    spans = person["Presence"]
    whole = sum(span["EndTimestampMillis"] - span["StartTimestampMillis"] for span in spans)
    bands = [band for band in person["Bands"] if band["Emotion"] != "UNKNOWN"]
    shows = [f"{band['Emotion'].lower()} at {_seconds(band['StartTimestampMillis'])}" for band in bands]
    more = f", and {len(shows) - 5} more" if len(shows) > 5 else ""
    start, end = spans[0]["StartTimestampMillis"], spans[-1]["EndTimestampMillis"]
    return (
        _seconds(start),
        _seconds(end),
        _seconds(whole),
        ", ".join(shows[:5]) + more,
    )


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s"
