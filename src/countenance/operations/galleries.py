"""Collections (Create, Describe, List, Delete) and their tags (TagResource, UntagResource, ListTags...)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from countenance.declared import ENDED, TAG, TAGS, changes, day
from countenance.errors import (
    InvalidParameter,
    ResourceAlreadyExists,
    ResourceNotFound,
    ServiceQuotaExceeded,
    Throttling,
)
from countenance.galleries import rows, store
from countenance.ledger import Told
from countenance.operations import Call, Commit, Done, Operation, Request, Tools, always, pages, render
from countenance.types import Action, Caller, Gallery
from countenance.vision.calibration import ADULTS

SUBJECTS = f"{TAG}subjects"
"""The tag that names the population whose calibration a collection's Similarity uses."""

ONCE = f"{TAG}once-per-photo"
"""The tag that says, by "true", that nobody appears twice in a photo: a user takes one face of each."""

PEOPLE = f"{TAG}external-image-id"
"""The tag that says, by "one-person", that each ExternalImageId is one person and no two are the same."""

MOST_TAGS = 200
_ARN = re.compile(r"arn:[^:]+:rekognition:[^:]*:(?P<account>\d{12}):collection/(?P<id>[a-zA-Z0-9_.\-]+)")


def present(call: Call) -> Gallery:
    """The collection a call names. Raises ResourceNotFound in AWS's words."""
    if call.gallery is None:
        raise ResourceNotFound(f"The collection id: {_named(call.request)} does not exist")
    return call.gallery


def still(connection: Connection, call: Call) -> Gallery:
    """The same collection inside the transaction, which nobody else changes till its end: it may have been
    deleted since policy was asked."""
    gallery = present(call)
    rows.hold(connection, gallery)
    now = store.find(connection, gallery.account, gallery.collection_id)
    if now is None or now.number != gallery.number:
        raise ResourceNotFound(f"The collection id: {gallery.collection_id} does not exist")
    return now


def population(gallery: Gallery) -> str:
    return gallery.tags.get(SUBJECTS, ADULTS)


def create_collection(call: Call, tools: Tools) -> Commit:
    request = call.request
    tagged: Mapping[str, str] = request["Tags"]
    _check_tags(tools, tagged)

    def write(connection: Connection) -> Done:
        gallery = store.create(
            connection, call.caller.account, request["CollectionId"], tools.vision.model, tagged, call.now
        )
        if gallery is None:
            raise ResourceAlreadyExists(f"The collection id: {request['CollectionId']} already exists")
        arn = render.collection_arn(gallery, call.region)
        return Done({"StatusCode": 200, "CollectionArn": arn, "FaceModelVersion": gallery.model})

    return Commit(write)


def describe_collection(call: Call, tools: Tools) -> Done:
    gallery = call.gallery
    if gallery is None:
        raise ResourceNotFound(f"Collection:{_named(call.request)} not found!")
    return Done(
        {
            "FaceCount": gallery.size,
            "FaceModelVersion": gallery.model,
            "CollectionARN": render.collection_arn(gallery, call.region),
            "CreationTimestamp": gallery.created,
            "UserCount": gallery.users,
        }
    )


def list_collections(call: Call, tools: Tools) -> Done:
    start, limit = pages.after(tools.keys, call), pages.limit(call)
    with tools.database.reading() as connection:
        found = store.page(connection, call.caller.account, start, limit + 1)
    shown = found[:limit]
    answer: dict[str, Any] = {
        "CollectionIds": [gallery.collection_id for gallery in shown],
        "FaceModelVersions": [gallery.model for gallery in shown],
    }
    if len(found) > limit:
        answer["NextToken"] = pages.seal(tools.keys, call, shown[-1].number)
    return Done(answer)


def delete_collection(call: Call, tools: Tools) -> Commit:
    gallery = present(call)

    def write(connection: Connection) -> Done:
        current = still(connection, call)
        traces = store.traces(connection, current)
        store.delete(connection, current)
        return Done({"StatusCode": 200}, Told(removed=current.size), traces=traces)

    return Commit(write, erases=True, after=lambda: tools.galleries.lose(gallery))


def tag_resource(call: Call, tools: Tools) -> Commit:
    present(call)
    added: Mapping[str, str] = call.request["Tags"]
    _check_tags(tools, added)

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        if len({*gallery.tags, *added}) > MOST_TAGS:
            raise ServiceQuotaExceeded(f"a collection carries at most {MOST_TAGS} tags")
        _check_unchanged(call, gallery)
        store.tag(connection, gallery.number, added)
        return Done({})

    return Commit(write)


def untag_resource(call: Call, tools: Tools) -> Commit:
    present(call)
    names: Iterable[str] = call.request["TagKeys"]

    def write(connection: Connection) -> Done:
        gallery = still(connection, call)
        _check_unchanged(call, gallery)
        store.untag(connection, gallery.number, names)
        return Done({})

    return Commit(write)


def list_tags(call: Call, tools: Tools) -> Done:
    return Done(render.tags(present(call).tags))


def _check_tags(tools: Tools, tagged: Mapping[str, str]) -> None:
    """Raises InvalidParameter for a name that begins as ours do and is none, or a word that is none."""
    known = {name: sorted(tag.words) for name, tag in TAGS.items()} | {
        SUBJECTS: tools.vision.populations,
        ONCE: ("false", "true"),
        PEOPLE: ("one-person", "unstated"),
    }
    for name, value in tagged.items():
        if name.startswith(TAG) and name not in {*known, ENDED}:
            raise InvalidParameter(
                detail=f"there is no tag {name[:128]}; known are {', '.join((*known, ENDED))}"
            )
        if name == ENDED and day(value) is None:
            raise InvalidParameter(detail=f"the tag {name} must be a day such as 2026-11-22")
        if name in known and value not in known[name]:
            raise InvalidParameter(detail=f"the tag {name} must be one of {', '.join(known[name])}")


def _check_unchanged(call: Call, gallery: Gallery) -> None:
    """What a change of tags opens was judged by the tags of then. Raises Throttling: a client asks again."""
    if changes(present(call).tags, gallery.tags):
        raise Throttling(detail="the collection's tags changed meanwhile")


def _named(request: Request) -> str:
    return str(request.get("CollectionId") or request.get("ResourceArn"))


def _of_arn(request: Request, caller: Caller) -> str | None:
    """The CollectionId a resource ARN names, if it is the caller's; the region is ignored."""
    arn = _ARN.fullmatch(request["ResourceArn"])
    return arn["id"] if arn and arn["account"] == caller.account else None


OPERATIONS = {
    "CreateCollection": Operation(create_collection, always(Action.MANAGE), {"Tags": {}}),
    "DescribeCollection": Operation(describe_collection, always(Action.MANAGE)),
    "ListCollections": Operation(list_collections, always(Action.MANAGE)),
    "DeleteCollection": Operation(delete_collection, always(Action.MANAGE)),
    "TagResource": Operation(tag_resource, always(Action.GOVERN), collection=_of_arn),
    "UntagResource": Operation(untag_resource, always(Action.GOVERN), collection=_of_arn),
    "ListTagsForResource": Operation(list_tags, always(Action.MANAGE), collection=_of_arn),
}
