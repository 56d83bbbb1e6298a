"""`countenance detect`, `compare` and `search`: a few photos, answered at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from countenance import settings as homes
from countenance.cli import declaring, door, drawing, pictures, terminal
from countenance.cli.drawing import Mark
from countenance.cli.manifest import Manifest
from countenance.cli.pictures import Photo
from countenance.cli.record import VERDICTS
from countenance.client import decision
from countenance.errors import PhotoError
from countenance.types import Attribute

SCALE = "Similarity 80 stands for one false match in 10,000 comparisons, 90 in 100,000, 99 in 10 million."
WORDS = {
    "Smile": ("smiles", "no smile"),
    "EyesOpen": ("eyes open", "eyes shut"),
    "MouthOpen": ("mouth open", "mouth shut"),
    "Eyeglasses": ("glasses", "no glasses"),
    "Sunglasses": ("sunglasses", "no sunglasses"),
    "Beard": ("beard", "no beard"),
    "Mustache": ("mustache", "no mustache"),
    "FaceOccluded": ("covered", "not covered"),
}
"""How each attribute of FaceDetail reads where there is little room."""

LEADS = "Candidates are leads for a person to judge, not identities."

photo_argument = click.Path(path_type=Path, exists=True, dir_okay=False)
save_option = click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.jpg",
    help="Write the photo with boxes and words drawn in.",
)
threshold_option = click.option(
    "--threshold",
    type=terminal.PERCENT,
    default=80.0,
    show_default=True,
    help="The least Similarity that is shown.",
)


@click.command(cls=declaring.Command)
@click.argument("paths", metavar="PHOTO...", nargs=-1, required=True, type=photo_argument)
@terminal.home_option
@terminal.json_option
@save_option
@click.option(
    "--attributes",
    "-a",
    metavar="NAMES",
    default="DEFAULT",
    callback=lambda _context, _option, names: _attributes(names),
    help=f"What else to tell of each face: ALL, or some of {', '.join(Attribute)}, with commas between.",
)
@declaring.options
def detect(
    *,
    paths: tuple[Path, ...],
    home: Path,
    as_json: bool,
    save: Path | None,
    attributes: Sequence[str],
    said: Mapping[str, str],
) -> None:
    """Find the faces in each PHOTO. --attributes tells more of each."""
    if save and len(paths) > 1:
        raise PhotoError("--save draws into one photo; name just one")
    found, faults = [], 0
    with door.opened(home, said=said) as client:
        for path in paths:
            try:
                photo = pictures.read(path)
                answer = ask(client.detect_faces, photo, Image={"Bytes": photo.sent}, Attributes=attributes)
            except PhotoError as fault:  # the next may well be good
                click.echo(f"Error: {fault}", err=True)
                found.append({"photo": str(path), "error": str(fault)})
                faults += 1
                continue
            found.append(facts_of(photo, answer, FaceDetails=answer["FaceDetails"]))
            if not as_json:
                _show_faces(photo, answer)
            if save:
                marks = [
                    Mark(face["BoundingBox"], "\n".join([str(n), *_told(face, likely=True)]))
                    for n, face in enumerate(answer["FaceDetails"], 1)
                ]
                drawing.save(photo, marks, save)
    if as_json:
        terminal.print_json(found)
    if faults:
        raise SystemExit(1)


def _show_faces(photo: Photo, answer: Mapping[str, Any]) -> None:
    """A table of the faces, what is told of each, and what was asked for and cannot be told of any."""
    faces = answer["FaceDetails"]
    width, height = photo.size
    noun = "face" if len(faces) == 1 else "faces"
    rows = [
        (
            number,
            face["Confidence"],
            in_pixels(face["BoundingBox"], width, height),
            *(f"{face['Pose'][axis]:+.0f}°" for axis in ("Yaw", "Pitch", "Roll")),
            *(f"{face['Quality'][name]:.0f}" for name in ("Brightness", "Sharpness")),
        )
        for number, face in enumerate(faces, 1)
    ]
    click.echo(f"{photo.path}: {width} x {height}, {len(faces) or 'no'} {noun}")
    if rows:
        columns = "face> confidence> place yaw> pitch> roll> brightness> sharpness>"
        terminal.print_table(columns.split(), rows)
    for number, face in enumerate(faces, 1):
        if told := _told(face):
            click.echo(f"  face {number}: {'; '.join(told)}")
    if lacking := answer["ResponseMetadata"]["HTTPHeaders"].get("x-countenance-not-offered"):
        click.echo(f"  No model here tells {lacking}.")


def _attributes(names: str) -> list[str]:
    """The names between the commas. Raises click.BadParameter."""
    asked = [name.strip().upper().replace("-", "_") for name in names.split(",")]
    if strange := [name for name in asked if name not in {"DEFAULT", "ALL", *Attribute}]:
        raise click.BadParameter(f"{', '.join(strange)}: choose of DEFAULT, ALL, {', '.join(Attribute)}")
    return asked


def _told(face: Mapping[str, Any], *, likely: bool = False) -> list[str]:
    """What an answer tells of a face beyond DEFAULT, in words, each with its probability.

    likely: of what a face shows or not, only what it shows more probably than not.
    """
    words = []
    if gender := face.get("Gender"):
        words.append(f"{gender['Value'].lower()} {gender['Confidence']:.0f} %")
    if years := face.get("AgeRange"):
        words.append(f"{years['Low']}-{years['High']} years")
    if expressions := face.get("Emotions"):
        words.append(f"{expressions[0]['Type'].lower()} {expressions[0]['Confidence']:.0f} %")
    for member, (yes, no) in WORDS.items():
        trait = face.get(member)
        if trait and (not likely or (trait["Value"] and trait["Confidence"] >= 50)):
            words.append(f"{yes if trait['Value'] else no} {trait['Confidence']:.0f} %")
    return words


@click.command(cls=declaring.Command)
@click.argument("source", type=photo_argument)
@click.argument("target", type=photo_argument)
@terminal.home_option
@terminal.json_option
@save_option
@threshold_option
@declaring.options
def compare(
    *,
    source: Path,
    target: Path,
    home: Path,
    as_json: bool,
    save: Path | None,
    threshold: float,
    said: Mapping[str, str],
) -> None:
    """Compare the largest face in SOURCE with every face in TARGET. --save draws into TARGET."""
    one, other = pictures.read(source), pictures.read(target)
    with door.opened(home, said=said) as client:
        answer = ask(
            client.compare_faces,
            f"{source}, {target}",
            SourceImage={"Bytes": one.sent},
            TargetImage={"Bytes": other.sent},
            SimilarityThreshold=threshold,
        )
    similar, others = answer["FaceMatches"], answer["UnmatchedFaces"]
    if save:
        marks = [Mark(face["BoundingBox"], strong=False) for face in others]
        marks += [Mark(m["Face"]["BoundingBox"], f"{m['Similarity']:.1f}") for m in similar]
        drawing.save(other, marks, save)
    if as_json:
        facts = {"source": str(source), "SourceImageFace": answer["SourceImageFace"]}
        terminal.print_json(facts_of(other, answer, **facts, FaceMatches=similar, UnmatchedFaces=others))
        return
    size = other.size
    rows = [(f"{m['Similarity']:.2f}", in_pixels(m["Face"]["BoundingBox"], *size)) for m in similar]
    rows += [(f"under {threshold:g}", in_pixels(face["BoundingBox"], *size)) for face in others]
    click.echo(f"The largest face in {source} beside {len(rows) or 'no'} in {target}:")
    terminal.print_table(("similarity>", "place in the target"), rows)
    click.echo(f"{SCALE}\n{_strangers(answer)}")


@click.command(cls=declaring.Command)
@click.argument("collection")
@click.argument("path", metavar="PHOTO", type=photo_argument)
@terminal.home_option
@terminal.json_option
@save_option
@click.option(
    "--threshold",
    type=terminal.PERCENT,
    help="The least Similarity that is shown: 80, unless --max-fpir sets it.",
)
@click.option("--max", "most", type=click.IntRange(1, 4096), default=10, show_default=True)
@declaring.options
def search(
    *,
    collection: str,
    path: Path,
    home: Path,
    as_json: bool,
    save: Path | None,
    threshold: float | None,
    most: int,
    said: Mapping[str, str],
) -> None:
    """Search a COLLECTION for the largest face in PHOTO."""
    photo = pictures.read(path)
    with door.opened(home, said=said) as client:
        answer = ask(
            client.search_faces_by_image,
            photo,
            CollectionId=collection,
            Image={"Bytes": photo.sent},
            MaxFaces=most,
            **({} if threshold is None else {"FaceMatchThreshold": threshold}),
        )
    named = _named(homes.load(home).manifests, collection, answer["FaceMatches"])
    if save:
        best = f"{named[0][1]} {named[0][0]['Similarity']:.1f}" if named else "no candidate"
        drawing.save(photo, [Mark(answer["SearchedFaceBoundingBox"], best)], save)
    if as_json:
        matches = [{**candidate, "photo": name} for candidate, name in named]
        box = answer["SearchedFaceBoundingBox"]
        terminal.print_json(facts_of(photo, answer, SearchedFaceBoundingBox=box, FaceMatches=matches))
        return
    if not named:
        click.echo(f"No candidate in {collection}.\n{_expected(answer)}")
        return
    terminal.print_table(
        ("", "similarity>", "photo", "face id"),
        [(n, f"{c['Similarity']:.2f}", name, c["Face"]["FaceId"]) for n, (c, name) in enumerate(named, 1)],
    )
    click.echo(f"{LEADS}\n{SCALE}\n{_expected(answer)}")
    click.echo(
        f"This search is entry {decision(answer)}: `countenance review {decision(answer)} FACE-ID "
        f"{'|'.join(VERDICTS)} --by NAME` records what you find."
    )


def _expected(answer: Mapping[str, Any]) -> str:
    """What the answer's headers say of strangers, in words for people."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    false, _, how = headers["x-countenance-expected-false-candidates"].partition("; ")
    share, _, at = headers["x-countenance-fpir"].partition("; ")
    lines = [
        f"A search for somebody who is not in it lists {false} false candidates on average ({how}).",
        f"It lists any at all with a chance of {share} ({at}).",
        _right(headers),
        headers.get("x-countenance-warning", ""),
    ]
    return "\n".join(filter(None, lines))


def _strangers(answer: Mapping[str, Any]) -> str:
    """What a comparison's headers say of strangers."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    false, _, how = headers["x-countenance-expected-false-candidates"].partition("; ")
    lines = [f"Of strangers it lists {false} on average ({how}).", _right(headers)]
    return "\n".join(filter(None, [*lines, headers.get("x-countenance-warning", "")]))


def _right(headers: Mapping[str, str]) -> str:
    """What a stated prior comes to; nothing where none was."""
    right, _, how = headers.get("x-countenance-posterior", "").partition("; ")
    return f"Of the candidates of such calls the share that is right is {right} ({how})." if right else ""


def _named(
    manifests: Path, collection: str, candidates: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], str]]:
    """Each candidate with the path of its photo, or its ExternalImageId where the shell did not enrol it."""
    with Manifest.reading(manifests, collection) as manifest:
        return [(candidate, _name(candidate["Face"], manifest)) for candidate in candidates]


def _name(face: Mapping[str, str], manifest: Manifest | None) -> str:
    external = face.get("ExternalImageId", "")
    path = manifest.path_of(external, face["ImageId"]) if manifest and external else None
    return path or external or "(unnamed)"


def ask(operation: Any, about: Photo | str, **request: Any) -> Mapping[str, Any]:
    """A call whose error says which photo it was about."""
    try:
        answer: Mapping[str, Any] = operation(**request)
    except ClientError as refusal:
        name = about.path if isinstance(about, Photo) else about
        if refusal.response["Error"]["Code"] in pictures.REFUSALS:
            raise PhotoError(f"{name}: {refusal.response['Error']['Message']}") from refusal
        raise
    return answer


def facts_of(photo: Photo, answer: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What --json prints of a photo: its upright size beside AWS's members, and the call's receipt."""
    width, height = photo.size
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    told = {
        name.removeprefix("x-countenance-"): value
        for name, value in headers.items()
        if name.startswith("x-countenance-")
    }
    return {"photo": str(photo.path), "width": width, "height": height, **more, **told}


def in_pixels(box: Mapping[str, float], width: int, height: int) -> str:
    """A box in pixels of the upright original: size and the corner it starts from."""
    return (
        f"{box['Width'] * width:.0f} x {box['Height'] * height:.0f} "
        f"at {box['Left'] * width:.0f}, {box['Top'] * height:.0f}"
    )
