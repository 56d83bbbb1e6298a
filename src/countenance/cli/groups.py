"""`countenance groups`: who appears in a collection, or in a folder of photos that nobody labelled."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from countenance import settings as homes
from countenance.aws.objects import stored
from countenance.cli import declaring, door, pictures, sheet, sources, terminal
from countenance.cli.grouped import Face, Found
from countenance.cli.paper import Picture
from countenance.cli.pixels import Pixels, cut
from countenance.errors import PhotoError

MOST_FACES = 100
"""Of a user, and of a call that associates them (Rekognition's model)."""

PARALLEL = min(8, (os.cpu_count() or 1) + 1)
"""Photos under way at once."""


@click.command(cls=declaring.Command)
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--collection", "-c", metavar="NAME", help="Group what is enrolled here, instead of a FOLDER.")
@terminal.home_option
@terminal.json_option
@sheet.save_option
@sheet.photos_option
@click.option(
    "--threshold",
    type=terminal.PERCENT,
    default=80.0,
    show_default=True,
    help="The Similarity from which two faces speak for one person.",
)
@click.option(
    "--once/--not-once",
    default=True,
    show_default=True,
    help="Two faces of one photo are two people. Not so where mirrors or pictures are in the picture.",
)
@click.option(
    "--subjects", metavar="WORD", help="Whom the FOLDER shows: a population such as children. Else adults."
)
@click.option(
    "--as-users",
    "prefix",
    metavar="PREFIX",
    help="Make a user of each group, PREFIX-1 and on. Look at the sheet first: whoever is wrong goes along.",
)
@declaring.options
def groups(
    *,
    folder: Path | None,
    collection: str | None,
    home: Path,
    as_json: bool,
    targets: Sequence[Path],
    places: Path | None,
    threshold: float,
    once: bool,
    subjects: str | None,
    prefix: str | None,
    said: Mapping[str, str],
) -> None:
    """Sort the faces in FOLDER, or in a collection, into groups that may be of one person each.

    Of a FOLDER nothing stays: its faces are enrolled in a collection of their own, which is deleted when they
    are sorted. To try several thresholds, `countenance index` them once and name the --collection.
    """
    if (folder is None) == (collection is None):
        raise click.UsageError("Name either a FOLDER or a --collection.")
    if subjects and folder is None:
        raise click.UsageError("--subjects is for a FOLDER: a collection has the tag countenance:subjects.")
    if prefix and folder is not None:
        raise click.UsageError("--as-users is for a --collection: of a FOLDER nothing stays enrolled.")
    settings = homes.load(home)
    asked = {"FaceMatchThreshold": threshold, "OncePerImage": once}
    with door.opened(home, PARALLEL, said) as client:
        if folder is None:
            answer = client.group_faces(CollectionId=collection, **asked)
            pixels = Pixels(settings.manifests, stored(settings.s3_endpoint, settings.buckets), places)
            found = Found(str(collection), answer, threshold, _Enrolled(str(collection), pixels))
            if prefix:
                _associate(client, str(collection), prefix, found)
        else:
            album = _Album(folder)
            answer = album.grouped(client, subjects, asked)
            found = Found(str(folder), answer, threshold, album)
    if targets:
        sheet.save(found.blocks(home), found.title, targets)
    terminal.print_json(found.facts()) if as_json else found.show()


def _associate(client: Any, collection: str, prefix: str, found: Found) -> None:
    """A user of each group, with at most as many faces as a user may have, the most typical."""
    for number, group in enumerate(found.groups, 1):
        user = f"{prefix}-{number}"
        faces = [member["Face"]["FaceId"] for member in group]
        client.create_user(CollectionId=collection, UserId=user)
        answer = client.associate_faces(
            CollectionId=collection, UserId=user, FaceIds=faces[:MOST_FACES], UserMatchThreshold=0
        )
        left = len(faces) - len(answer["AssociatedFaces"])
        reasons = {word for each in answer["UnsuccessfulFaceAssociations"] for word in each["Reasons"]}
        reasons |= {"EXCEEDS_MAX_FACES"} if len(faces) > MOST_FACES else set()
        click.echo(f"{user}: {len(faces) - left} faces", nl=not left, err=True)
        if left:
            click.echo(f", {left} left as they are ({', '.join(sorted(reasons))})", err=True)


@dataclass(frozen=True)
class _Enrolled:
    """A collection."""

    collection: str
    pixels: Pixels
    lasting: bool = True
    left_out: Sequence[tuple[str, str]] = ()

    def names(self, faces: Iterable[Face]) -> Mapping[str, str]:
        return self.pixels.names(self.collection, faces)

    def pictures(self, faces: Iterable[Face]) -> Mapping[str, Picture]:
        return self.pixels.of(self.collection, faces)


class _Album:
    """A folder. left_out: photos and why."""

    lasting = False

    def __init__(self, folder: Path) -> None:
        self._places = [item.place for item in sources.Folder(folder)]
        self.left_out: list[tuple[str, str]] = []
        if not self._places:
            raise PhotoError(f"{folder} holds no file")

    def grouped(self, client: Any, subjects: str | None, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """GroupFaces of a collection that is there for just this long."""
        name = f"groups-{secrets.token_hex(8)}"
        client.create_collection(
            CollectionId=name, Tags={"countenance:subjects": subjects} if subjects else {}
        )
        try:
            self._enrol(client, name)
            answer: Mapping[str, Any] = client.group_faces(CollectionId=name, **asked)
            return answer
        finally:
            client.delete_collection(CollectionId=name)

    def _enrol(self, client: Any, name: str) -> None:
        pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="groups")
        try:
            with terminal.counting("Looking") as bar:
                task = bar.add_task("", total=len(self._places))
                for number, why in enumerate(
                    pool.map(lambda number: self._sent(client, name, number), range(len(self._places)))
                ):
                    bar.advance(task)
                    if why:
                        self.left_out.append((self._places[number], why))
        finally:
            pool.shutdown(cancel_futures=True)  # a refusal meets every photo: the rest is not sent

    def _sent(self, client: Any, name: str, number: int) -> str:
        """Enrol a photo's faces; why it was left out, or nothing."""
        try:
            photo = pictures.read(Path(self._places[number]))
            if not pictures.is_picture(photo):
                return "not a picture"
            answer = client.index_faces(
                CollectionId=name,
                Image={"Bytes": photo.sent},
                ExternalImageId=str(number),
                QualityFilter="AUTO",
            )
        except PhotoError as fault:
            return str(fault)
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] not in pictures.REFUSALS:
                raise
            return str(refusal.response["Error"]["Message"])
        return "" if answer["FaceRecords"] else "no face found that is good enough"

    def _place(self, face: Face) -> str:
        return self._places[int(face["ExternalImageId"])]

    def names(self, faces: Iterable[Face]) -> Mapping[str, str]:
        return {face["FaceId"]: self._place(face) for face in faces}

    def pictures(self, faces: Iterable[Face]) -> Mapping[str, Picture]:
        return {face["FaceId"]: self._picture(face) for face in faces}

    def _picture(self, face: Face) -> Picture:
        place = self._place(face)
        try:
            return Picture(f"Face in {place}", cut(pictures.read(Path(place)), face["BoundingBox"]))
        except PhotoError as fault:
            return Picture(str(fault))
