"""`countenance reindex`: a collection's templates made anew by the model that runs now, from the photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import click
from botocore.exceptions import ClientError

from countenance import settings as homes
from countenance.aws.objects import Objects, stored
from countenance.cli import declaring, door, pictures, sources, terminal
from countenance.cli.manifest import Manifest
from countenance.errors import AwsError, PhotoError


@dataclass
class Renewal:
    """What a run came to. lost: FaceIds without a new template, each with the reason. model: the
    collection's at the end."""

    renewed: set[str] = field(default_factory=set)
    lost: dict[str, str] = field(default_factory=dict)
    model: str = ""


@click.command(cls=declaring.Command)
@click.argument("collection")
@terminal.home_option
@terminal.json_option
@click.option(
    "--forget-lost",
    is_flag=True,
    help="Delete the faces whose photo is gone, or shows them no more; without it they keep the "
    "collection on its old model.",
)
@declaring.options
def reindex(
    *, collection: str, home: Path, as_json: bool, forget_lost: bool, said: Mapping[str, str]
) -> None:
    """Renew COLLECTION after `embedder` in settings.toml was changed: another model, the same FaceIds.

    The photos are read again from where `countenance index` found them. The collection changes over in one
    step, once every face has its new template; until then searches in it say which model they wait for.
    """
    settings = homes.load(home)
    objects = stored(settings.s3_endpoint, settings.buckets)
    with door.opened(home, said=said) as client, Manifest.reading(settings.manifests, collection) as manifest:
        faces = _faces(client, collection)
        before = client.describe_collection(CollectionId=collection)["FaceModelVersion"]
        renewal = Renewal(model=before)
        if before != settings.embedder:
            _renew(client, objects, collection, faces, manifest, renewal)
            if forget_lost and renewal.lost:
                _forget(client, objects, collection, faces, manifest, renewal)
    _told(collection, before, settings.embedder, renewal, as_json=as_json)


class _Photo(NamedTuple):
    """ExternalImageId, "" where a face has none, and ImageId: a list may give many photos one name."""

    external: str
    image_id: str


def _faces(client: Any, collection: str) -> dict[_Photo, list[str]]:
    """FaceIds by photo."""
    found: dict[_Photo, list[str]] = defaultdict(list)
    for page in client.get_paginator("list_faces").paginate(CollectionId=collection):
        for face in page["Faces"]:
            found[_Photo(face.get("ExternalImageId", ""), face["ImageId"])].append(face["FaceId"])
    return found


def _renew(
    client: Any,
    objects: Objects,
    collection: str,
    faces: dict[_Photo, list[str]],
    manifest: Manifest | None,
    renewal: Renewal,
) -> None:
    with terminal.counting("Reindexing") as progress:
        task = progress.add_task("photos", total=len(faces))
        for photo, face_ids in faces.items():
            reason = _again(client, objects, collection, photo, manifest, renewal)
            renewal.lost |= {
                face_id: reason or "the photo shows this face no more"
                for face_id in face_ids
                if face_id not in renewal.renewed
            }
            progress.update(task, advance=1)


def _again(
    client: Any, objects: Objects, collection: str, photo: _Photo, manifest: Manifest | None, renewal: Renewal
) -> str | None:
    """Send one photo again; why it could not be, if so."""
    place = manifest.path_of(*photo) if manifest and photo.external else None
    if place is None:
        return "it was not enrolled by `countenance index`, so where its photo is is not known"
    try:
        answer = client.renew_faces(
            CollectionId=collection,
            Image={"Bytes": sources.read(place, objects).sent},
            ExternalImageId=photo.external,
        )
    except PhotoError as fault:
        return str(fault)
    except AwsError as fault:
        return f"{place}: {fault.message}"
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] not in pictures.REFUSALS:
            raise
        return f"{place}: {refusal.response['Error']['Message']}"
    renewal.renewed.update(answer["RenewedFaces"])
    renewal.model = answer["FaceModelVersion"]
    return None


def _forget(
    client: Any,
    objects: Objects,
    collection: str,
    faces: dict[_Photo, list[str]],
    manifest: Manifest | None,
    renewal: Renewal,
) -> None:
    """Delete what was lost, then let any renewed photo complete the change. A user's face is the user's no
    more, or it would stay."""
    lost = list(renewal.lost)
    for start in range(0, len(lost), 100):
        some = lost[start : start + 100]
        known = client.list_faces(CollectionId=collection, FaceIds=some)["Faces"]
        for user in {face["UserId"] for face in known if "UserId" in face}:
            client.disassociate_faces(CollectionId=collection, UserId=user, FaceIds=some)
        client.delete_faces(CollectionId=collection, FaceIds=some)
    for photo in _renewed(faces, renewal):
        _again(client, objects, collection, photo, manifest, renewal)
        return


def _renewed(faces: dict[_Photo, list[str]], renewal: Renewal) -> Iterable[_Photo]:
    return (photo for photo, ids in faces.items() if not renewal.renewed.isdisjoint(ids))


def _told(collection: str, before: str, wanted: str, renewal: Renewal, *, as_json: bool) -> None:
    changed = renewal.model == wanted != before
    if as_json:
        terminal.print_json(
            {
                "collection": collection,
                "before": before,
                "model": renewal.model,
                "renewed": len(renewal.renewed),
                "lost": renewal.lost,
            }
        )
    elif before == wanted:
        click.echo(f"{collection} holds templates of {wanted} already.")
    elif changed:
        click.echo(f"{collection} holds templates of {wanted} now: {len(renewal.renewed)} faces.")
    else:
        for face_id, reason in renewal.lost.items():
            click.echo(f"{face_id}: {reason}", err=True)
        click.echo(
            f"{collection} stays on {before}: {len(renewal.renewed)} faces are ready for {wanted}, "
            f"{len(renewal.lost)} are lost. Put their photos back, or delete them with --forget-lost."
        )
    if before != wanted and not changed:
        raise SystemExit(1)
