"""`countenance video timeline`: who is seen in a clip, when, and what their faces show."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
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
    asked: dict[str, Any] = {"SamplesPerSecond": samples}
    asked |= {"CollectionId": collection} if collection else {}
    asked |= {"FaceMatchThreshold": threshold} if threshold is not None else {}
    settings = homes.load(home)
    with door.opened(home, said=said) as client, standing(settings, clip) as stored, worked(settings):
        job = client.start_face_timeline(Video={"S3Object": stored}, **asked)["JobId"]
        answer = _whole(client, job)
    people, told = answer["People"], answer["Samples"]
    if plot:
        duration = answer["VideoMetadata"].get("DurationMillis", 0)
        timeplot.save(clip.name, people, duration, plot, _thumbnails(clip, told) if faces else None)
    if table:
        table.write_text(timelines.table(people, told), "utf-8")
    if vtt:
        vtt.write_text(timelines.captions(people), "utf-8")
    if as_json:
        terminal.print_json({name: answer[name] for name in ("VideoMetadata", "People", "Samples")})
    else:
        _print(clip, people)


@contextmanager
def standing(settings: Settings, clip: Path) -> Iterator[dict[str, str]]:
    """The S3Object that a clip is, as long as this lasts. Raises VideoError where buckets are remote."""
    if settings.s3_endpoint:
        raise VideoError(
            "this home's buckets are an S3 service: put the clip there and call StartFaceTimeline"
        )
    folder = settings.buckets / BUCKET
    folder.mkdir(mode=0o700, exist_ok=True)
    place = folder / f"{uuid.uuid4()}{clip.suffix}"
    try:
        try:
            os.link(clip.resolve(), place)
        except OSError:  # another disk, or one without links
            shutil.copyfile(clip, place)
        yield {"Bucket": BUCKET, "Name": place.name}
    finally:
        place.unlink(missing_ok=True)


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
    """The first page of a job's results, once there are any; interrupted, the job is cancelled.

    read: the client's Get... method. what: what to say of the wait. Raises VideoError where it failed.
    """
    try:
        with terminal.counting(what) as bar:
            task = bar.add_task("", total=1)
            while (answer := read(JobId=job))["JobStatus"] == "IN_PROGRESS":
                note = answer["ResponseMetadata"]["HTTPHeaders"].get("x-countenance-job", "")
                done = next((part for part in note.split("; ") if part.startswith("progress=")), "progress=0")
                bar.update(task, completed=float(done.removeprefix("progress=")))
                time.sleep(0.25)
    except KeyboardInterrupt:
        with contextlib.suppress(client.exceptions.ClientError):
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
    """Of each person, by Index, the face that is largest and turned away least."""
    best: dict[int, Shape] = {}
    for sample in samples:
        known = best.get(sample["Index"])
        if known is None or _plainness(sample) > _plainness(known):
            best[sample["Index"]] = sample
    with open_clip(clip) as opened:
        return {index: _cut(opened.at(sample["Timestamp"]).pixels, sample) for index, sample in best.items()}


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
        terminal.print_table(("who", "seen from>", "to>", "for>", "shows"), map(_row, people))
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
        timelines.title(person),
        _seconds(start),
        _seconds(end),
        _seconds(whole),
        ", ".join(shows[:5]) + more,
    )


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.1f} s"
