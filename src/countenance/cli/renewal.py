"""`countenance reindex`: a collection's templates made anew by the model that runs now, from the photos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from countenance import settings as homes
from countenance.cli import declaring, door, pictures, terminal
from countenance.cli.manifest import Manifest
from countenance.errors import PhotoError


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
    with door.opened(home, said=said) as client, Manifest.reading(settings.manifests, collection) as manifest:
        faces = _faces(client, collection)
        before = client.describe_collection(CollectionId=collection)["FaceModelVersion"]
        renewal = Renewal(model=before)
        if before != settings.embedder:
            _renew(client, collection, faces, manifest, renewal)
            if forget_lost and renewal.lost:
                _forget(client, collection, faces, manifest, renewal)
    _told(collection, before, settings.embedder, renewal, as_json=as_json)


def _faces(client: Any, collection: str) -> dict[str, list[str]]:
    """FaceIds by ExternalImageId, "" where a face has none."""
    found: dict[str, list[str]] = defaultdict(list)
    for page in client.get_paginator("list_faces").paginate(CollectionId=collection):
        for face in page["Faces"]:
            found[face.get("ExternalImageId", "")].append(face["FaceId"])
    return found


def _renew(
    client: Any,
    collection: str,
    faces: dict[str, list[str]],
    manifest: Manifest | None,
    renewal: Renewal,
) -> None:
    with terminal.counting("Reindexing") as progress:
        task = progress.add_task("photos", total=len(faces))
        for external, face_ids in faces.items():
            reason = _photo(client, collection, external, manifest, renewal)
            renewal.lost |= {
                face_id: reason or "the photo shows this face no more"
                for face_id in face_ids
                if face_id not in renewal.renewed
            }
            progress.update(task, advance=1)


def _photo(
    client: Any, collection: str, external: str, manifest: Manifest | None, renewal: Renewal
) -> str | None:
    """Send one photo again; why it could not be, if so."""
    path = manifest.path_of(external) if manifest and external else None
    if path is None:
        return "it was not enrolled by `countenance index`, so where its photo is is not known"
    try:
        answer = client.renew_faces(
            CollectionId=collection,
            Image={"Bytes": pictures.read(Path(path)).sent},
            ExternalImageId=external,
        )
    except PhotoError as fault:
        return str(fault)
    except ClientError as refusal:
        if refusal.response["Error"]["Code"] not in pictures.REFUSALS:
            raise
        return f"{path}: {refusal.response['Error']['Message']}"
    renewal.renewed.update(answer["RenewedFaces"])
    renewal.model = answer["FaceModelVersion"]
    return None


def _forget(
    client: Any,
    collection: str,
    faces: dict[str, list[str]],
    manifest: Manifest | None,
    renewal: Renewal,
) -> None:
    """Delete what was lost, then let any renewed photo complete the change."""
    lost = list(renewal.lost)
    for start in range(0, len(lost), 1000):
        client.delete_faces(CollectionId=collection, FaceIds=lost[start : start + 1000])
    for external in _renewed(faces, renewal):
        _photo(client, collection, external, manifest, renewal)
        return


def _renewed(faces: dict[str, list[str]], renewal: Renewal) -> Iterable[str]:
    return (external for external, ids in faces.items() if not renewal.renewed.isdisjoint(ids))


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
