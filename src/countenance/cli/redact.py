"""`countenance redact`: a photo, a folder of photos or a clip without the faces in it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from countenance import settings as homes
from countenance.cli import declaring, door, pictures, redacted, terminal, videos
from countenance.errors import PhotoError
from countenance.settings import Settings

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
"""What a photo is written as, by its ending."""

CLIPS = (".webm", ".mkv", ".mp4")
"""What a clip is written as, by its ending (vision.filming.FORMS)."""

NAMED = 1_024
"""Pixels that a photo of somebody who is named keeps: many of them travel with each photo."""

_face = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(cls=declaring.Command)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, exists=True))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@terminal.home_option
@terminal.json_option
@click.option("--box", "method", flag_value="BOX", default=True, help="Cover with black. The default.")
@click.option("--blur", "method", flag_value="BLUR", help="Blur; something of a face is left.")
@click.option("--pixelate", "method", flag_value="PIXELATE", help="A few squares; something is left.")
@click.option("--keep", metavar="PERSON.jpg", multiple=True, type=_face, help="Whose face stays. Repeatable.")
@click.option("--only", metavar="PERSON.jpg", multiple=True, type=_face, help="Whose face alone goes.")
@click.option(
    "--threshold", type=terminal.PERCENT, help="The Similarity of theirs: 80 with --keep, 41 with --only."
)
@click.option("--sound/--no-sound", default=False, show_default=True, help="Keep a clip's sound.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.csv",
    help="Write what was covered and what to check.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write pictures of the frames to check, UNCOVERED.",
)
@click.option("--force", is_flag=True, help="Write over what OUT is now.")
@declaring.options
def redact(
    *,
    source: Path,
    target: Path,
    home: Path,
    as_json: bool,
    report: Path | None,
    check: Path | None,
    force: bool,
    sound: bool,
    said: Mapping[str, str],
    **asked: Any,
) -> None:
    """Write IN to OUT with every face covered, and without metadata.

    IN is a photo, a folder of photos or a clip; a clip's OUT ends in .webm, .mkv or .mp4. Whatever may be a
    face is covered unless it is known to stay. Look at the frames that are listed before you publish.
    """
    if asked["keep"] and asked["only"]:
        raise click.UsageError("--keep names who stays and --only who goes; take one of them")
    _vacant(source, target, _who(asked)[1], report, force=force)
    settings = homes.load(home)
    wanted = {"Method": asked["method"]}
    wanted |= {} if asked["threshold"] is None else {"SimilarityThreshold": asked["threshold"]}
    if target.suffix.lower() in CLIPS and source.is_file():
        with door.opened(home, said=said) as client:
            wanted |= {"KeepSound": sound}
            told = _clip(client, settings, source, target, wanted, _who(asked), force=force)
        if check:
            redacted.sheets(source, told["Checks"], check)
    else:
        if check or sound:
            raise click.UsageError(
                "--check and --sound are for a clip, whose OUT ends in .webm, .mkv or .mp4"
            )
        with door.opened(home, said=said) as client:
            told = _photos(client, source, target, wanted, _who(asked), force=force)
    if report:
        report.write_text(redacted.table(told), "utf-8")
    terminal.print_json(told) if as_json else redacted.show(target, told)
    if any("Error" in each for each in told.get("Photos", ())):
        raise SystemExit(1)


def _who(asked: Mapping[str, Any]) -> tuple[str, Sequence[Path]]:
    """The request's member that names people, and their photos; an empty name where nobody is named."""
    named = asked["keep"] or asked["only"]
    return ("Keep" if asked["keep"] else "Only") if named else "", named


def _vacant(source: Path, target: Path, named: Sequence[Path], report: Path | None, *, force: bool) -> None:
    """Raises UsageError where OUT or the report is what is read, or lies in it, or is there already."""
    _apart(report, [source, target, *named], force=force)
    if any(_same(each, target) for each in named):
        raise click.UsageError("OUT is a photo of somebody who is named; it needs a place of its own")
    if source.resolve() == target.resolve() or (target.exists() and target.samefile(source)):
        raise click.UsageError("OUT is IN; what is written needs a place of its own")
    if source.is_dir():
        if target.resolve().is_relative_to(source.resolve()):
            raise click.UsageError("OUT lies in IN; what is written needs a place of its own")
        if source.resolve().is_relative_to(target.resolve()):
            raise click.UsageError("IN lies in OUT; what is written needs a place of its own")
    elif target.suffix.lower() not in {*FORMATS, *CLIPS}:
        raise click.UsageError(f"OUT must end in {', '.join((*FORMATS, *CLIPS))}")
    elif target.exists() and not force:
        raise click.UsageError(f"{target} is there already; --force writes over it")


def _apart(report: Path | None, others: Sequence[Path], *, force: bool) -> None:
    """Raises UsageError where the report would take the place of anything else."""
    if report is None:
        return
    for other in others:
        folder = other.is_dir() and report.resolve().is_relative_to(other.resolve())
        if report.resolve() == other.resolve() or folder or _same(report, other):
            raise click.UsageError(f"--report would be written over {other}, or into it; name another file")
    if not report.parent.is_dir():
        raise click.UsageError(f"{report.parent} is no folder to write --report into")
    if report.exists() and not (force and report.suffix.lower() == ".csv"):
        raise click.UsageError(f"{report} is there already; --force writes over it if it ends in .csv")


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


@contextmanager
def _written(target: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file that is there under its name once all of it is; left by an error, nothing is.

    Without force, what has come under that name meanwhile stays. Raises PhotoError then.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with draft.open("xb") as file:
            yield file
        if force:
            draft.replace(target)
        else:
            _linked(draft, target)
    except FileExistsError:
        raise PhotoError(f"{target} has come meanwhile; --force writes over it") from None
    finally:
        draft.unlink(missing_ok=True)


def _linked(draft: Path, target: Path) -> None:
    """Give a file its name, which none must have. Raises FileExistsError."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:  # a memory card's file system knows no links
        target.open("xb").close()
        draft.replace(target)


def _photos(
    client: Any,
    source: Path,
    target: Path,
    wanted: Mapping[str, Any],
    who: tuple[str, Sequence[Path]],
    *,
    force: bool,
) -> dict[str, Any]:
    """One photo, or all of a folder and those in it. A photo that fails is told, and the others go on."""
    member, faces = who
    named = {member: [{"Bytes": _small(path)} for path in faces]} if faces else {}
    pairs = [(source, target)] if source.is_file() else _pairs(source, target, faces)
    told = []
    with terminal.counting("covering faces") as bar:
        for one, other in bar.track(pairs):
            try:
                told.append(_photo(client, one, other, {**wanted, **named}, force=force))
            except PhotoError as fault:
                if source.is_file():
                    raise
                told.append({"Photo": str(one), "Error": str(fault)})
    return {"Photos": told}


def _pairs(source: Path, target: Path, named: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Every file below a folder and where it goes; what is no JPEG or PNG becomes a JPEG.

    Raises UsageError where two would become one file, or one would be written over a photo that is read.
    """
    found = sorted(path for path in source.rglob("*") if path.is_file())
    pairs = [
        (
            path,
            target
            / path.relative_to(source).with_suffix(path.suffix if path.suffix.lower() in FORMATS else ".jpg"),
        )
        for path in found
    ]
    inputs: dict[str, Path] = {}
    for path, made in pairs:
        other = inputs.setdefault(str(made).casefold(), path)
        if other is not path:
            raise click.UsageError(f"{other} and {path} would both become {made}; rename one of them")
    read = {os.path.realpath(each) for each in (*found, *named)}
    for path, made in pairs:
        if made.exists() and os.path.realpath(made) in read:
            raise click.UsageError(f"{path} would be written over {made}, which is read too")
    return pairs


def _photo(client: Any, one: Path, other: Path, wanted: Mapping[str, Any], *, force: bool) -> dict[str, Any]:
    if other.exists() and not force:
        raise PhotoError(f"{other} is there already; --force writes over it")
    photo = pictures.read(one)
    try:
        answer = client.redact_faces(
            Image={"Bytes": photo.sent}, Format=FORMATS[other.suffix.lower()], **wanted
        )
    except client.exceptions.ClientError as refusal:
        if refusal.response["Error"]["Code"] in pictures.REFUSALS:
            raise PhotoError(f"{one}: {refusal.response['Error']['Message']}") from refusal
        raise
    with _written(other, force=force) as file:
        file.write(answer["RedactedImage"])
    return {"Photo": str(one), "Faces": answer["Faces"]}


def _small(path: Path) -> bytes:
    """A photo of somebody who is named, as a small JPEG."""
    return pictures.encoded(pictures.read(path).upright(NAMED))


def _clip(
    client: Any,
    settings: Settings,
    source: Path,
    target: Path,
    wanted: Mapping[str, Any],
    who: tuple[str, Sequence[Path]],
    *,
    force: bool,
) -> dict[str, Any]:
    """A clip, by a job of the server that runs or of this process, in the shell's own bucket."""
    member, faces = who
    with ExitStack() as standing:
        stored = standing.enter_context(videos.standing(settings, source))
        named = [standing.enter_context(_shown(settings, path)) for path in faces]
        made = {"Bucket": videos.BUCKET, "Name": _name(target.suffix.lower())}
        standing.callback((settings.buckets / videos.BUCKET / made["Name"]).unlink, missing_ok=True)
        standing.enter_context(videos.worked(settings))
        job = client.start_face_redaction(
            Video={"S3Object": stored}, Output=made, **wanted, **({member: named} if named else {})
        )["JobId"]
        answer = videos.finished(client, client.get_face_redaction, job, "covering faces")
        told = _whole(client.get_face_redaction, job, answer)
        made_there = settings.buckets / videos.BUCKET / made["Name"]
        with _written(target, force=force) as file, made_there.open("rb") as whole:
            shutil.copyfileobj(whole, file, 1024 * 1024)
    return told


def _whole(read: Callable[..., dict[str, Any]], job: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What a job told, with all its pages."""
    names = ("VideoMetadata", "Frames", "CoveredFrames", "HasSound", "Checks")
    told = {**{name: answer[name] for name in names}, "Tracks": list(answer["Tracks"])}
    while token := answer.get("NextToken"):
        answer = read(JobId=job, NextToken=token)
        told["Tracks"] += answer["Tracks"]
    return told


def _name(suffix: str) -> str:
    """A new object of this process, which others leave alone while it lives."""
    return f"{os.getpid()}-{uuid.uuid4()}{suffix}"


@contextmanager
def _shown(settings: Settings, path: Path) -> Iterator[dict[str, str]]:
    """A photo of somebody who is named, as an object, as long as this lasts."""
    place = settings.buckets / videos.BUCKET / _name(".jpg")
    try:
        place.write_bytes(_small(path))
        yield {"Bucket": videos.BUCKET, "Name": place.name}
    finally:
        place.unlink(missing_ok=True)
