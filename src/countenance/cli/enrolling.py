"""What becomes of each photo on its way into a collection, wherever it is read and sent.

`look` and `send` are done beside the photos: by threads of the shell, or by a cluster's workers. `Desk`
decides in between, in the shell alone: it holds the manifest, which knows what is known, a copy or claimed.
"""

from __future__ import annotations

import collections
import contextlib
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from countenance.aws.objects import Objects
from countenance.cli import pictures, sources
from countenance.cli.manifest import Known, Manifest, Pace, Stamp, external_image_id
from countenance.cli.pictures import Photo
from countenance.cli.sources import Item
from countenance.errors import AwsError, InternalServer, PhotoError, Throttling

PATIENCE = 10
"""Failures in a row that are no photo's own fault, after which something else must be wrong."""

KINDS = 40
"""Different reasons that are counted apart: what else there is, the report lists."""

NAMED = 5
"""Photos that could not be read that are told by name: what else there is, the report lists."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every photo of a run has in common.

    options: of IndexFaces. said: headers by which its calls say what they are for. parallel: photos at once.
    """

    collection: str
    options: Mapping[str, Any]
    said: Mapping[str, str]
    parallel: int


class Fate(StrEnum):
    """What became of a file, or would with --dry-run."""

    ENROLLED = "enrolled"
    FACELESS = "without a face that was enrolled"
    KNOWN = "known already"
    COPY = "copies of photos that were met before"
    UNREADABLE = "could not be read or were refused"
    OTHER = "not pictures"
    NEW = "would be sent"
    LEFT = "left for another run"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One photo's fate. faces: enrolled by this run. remarks: why faces, or the photo, were left out."""

    place: str
    fate: Fate
    faces: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What reading a photo told. digest: SHA-256 (hex) of its content. fault: why it could not be read;
    ours: and that was not the photo's own doing."""

    item: Item
    digest: str = ""
    picture: bool = True
    fault: str = ""
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """A photo to send under an ExternalImageId."""

    item: Item
    digest: str
    external: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service said of one photo. faces: enrolled. fault: why it took none; ours: as in Seen."""

    faces: int = 0
    remarks: tuple[str, ...] = ()
    image_id: str | None = None
    fault: str = ""
    ours: bool = False


def look(item: Item, objects: Objects) -> tuple[Seen, Photo | None]:
    """Read a photo. Whatever is wrong with it is told, not raised."""
    if item.fault:
        return Seen(item, fault=item.fault), None
    try:
        if item.stamp is None:
            item = replace(item, stamp=sources.stamped(item.place, objects))
        photo = sources.read(item.place, objects)
    except PhotoError as fault:
        return Seen(item, fault=_about(item, fault)), None
    except OSError as fault:
        return Seen(item, fault=f"cannot be read: {fault.strerror}"), None
    except AwsError as fault:
        return Seen(item, fault=fault.message, ours=isinstance(fault, InternalServer | Throttling)), None
    return Seen(item, photo.digest, pictures.is_picture(photo)), photo


def send(client: Any, work: Work, order: Order, photo: Photo) -> Reply:
    """Enrol a photo's faces. Raises ClientError where no further photo would fare better."""
    try:
        answer = client.index_faces(
            CollectionId=work.collection,
            Image={"Bytes": photo.sent},
            ExternalImageId=order.external,
            **work.options,
        )
    except PhotoError as fault:
        return Reply(fault=_about(order.item, fault))
    except ClientError as refusal:
        error = refusal.response["Error"]
        if error["Code"] in pictures.REFUSALS:
            return Reply(fault=f"{error['Code']}: {error['Message']}")
        if error["Code"] == InternalServer.code:
            return Reply(fault=f"{error['Code']}: {error['Message']}", ours=True)
        raise
    records = answer["FaceRecords"]
    remarks = tuple(f"face refused ({', '.join(face['Reasons'])})" for face in answer["UnindexedFaces"])
    if not records and not remarks:
        remarks = ("no face found",)
    if order.item.user and records:
        remarks += _given(client, work.collection, order.item.user, records)
    return Reply(len(records), remarks, records[0]["Face"]["ImageId"] if records else None)


def _given(client: Any, collection: str, user: str, records: Sequence[Any]) -> tuple[str, ...]:
    """Give a photo's face to the user it was listed for, made if it is missing; why not, if so.

    Only a lone face: which of several is meant, no list says.
    """
    if len(records) > 1:
        return ("given to no user, for there are several faces",)
    face = records[0]["Face"]["FaceId"]
    try:
        answer = client.associate_faces(CollectionId=collection, UserId=user, FaceIds=[face])
    except client.exceptions.ResourceNotFoundException:
        with contextlib.suppress(client.exceptions.ConflictException):  # another photo's thread was first
            client.create_user(CollectionId=collection, UserId=user)
        answer = client.associate_faces(CollectionId=collection, UserId=user, FaceIds=[face])
    refused = answer["UnsuccessfulFaceAssociations"]
    return tuple(f"not given to its user ({', '.join(each['Reasons'])})" for each in refused)


def _about(item: Item, fault: PhotoError) -> str:
    """A sentence about a photo without the place that it begins with."""
    return str(fault).removeprefix(item.place).removeprefix(":").lstrip()


class Desk:
    """Decides about photos and keeps the manifest. Threads share it.

    most: photos to send, None for all. manifest: None where --dry-run asks about a missing collection.
    began: when the first photo was ordered, on the monotonic clock. stopped: set to order no more.
    """

    def __init__(
        self,
        manifest: Manifest | None,
        *,
        dry_run: bool = False,
        again: bool = False,
        most: int | None = None,
    ) -> None:
        self._manifest, self._dry_run, self._again, self._most = manifest, dry_run, again, most
        self._met = _Met()
        self._lock = threading.Lock()
        self._failures = self._ordered = 0
        self.began = 0.0
        self.stopped = False

    @property
    def full(self) -> bool:
        """Whether no further photo is to be sent."""
        return self.stopped or (self._most is not None and self._ordered >= self._most)

    def known(self, item: Item) -> Outcome | None:
        """What can be said of a photo that looks as it did, without reading it."""
        if self._manifest is None or self._again or item.stamp is None:
            return None
        known = self._manifest.unchanged(item.place, item.name, item.stamp)
        return _recognised(item, known, copy=not self._met.add(known.digest, item.name)) if known else None

    def decide(self, seen: Seen) -> Outcome | Order:
        """What is to be done with a photo that was read. An order is in the manifest when it is given."""
        item = seen.item
        if seen.fault:
            self._failed(seen.fault, ours=seen.ours)
            return Outcome(item.place, Fate.UNREADABLE, remarks=(seen.fault,))
        if not seen.picture:
            return Outcome(item.place, Fate.OTHER, remarks=("not a picture",))
        known = None
        if self._manifest and not self._again:
            known = self._manifest.known(seen.digest, item.name)
        if self._dry_run or self._manifest is None:
            return self._foreseen(seen, known)
        assert item.stamp is not None  # `look` sees to it
        if known:
            self._manifest.place(seen.digest, item.place, item.stamp, known.name)
            return _recognised(item, known, copy=not self._met.add(seen.digest, item.name))
        return self._ordered_or_not(item, item.stamp, seen.digest, self._manifest)

    def _ordered_or_not(self, item: Item, stamp: Stamp, digest: str, manifest: Manifest) -> Outcome | Order:
        with self._lock:
            if self.full:
                return Outcome(item.place, Fate.LEFT)
            wanted = item.name or external_image_id(item.within, digest)
            external = manifest.claim(digest, item.name, wanted, item.place, stamp)
            if not self._met.add(digest, item.name):  # another is under way and says what came of it
                return _copy(item)
            self._ordered += 1
            self.began = self.began or time.monotonic()
        return Order(item, digest, external)

    def _foreseen(self, seen: Seen, known: Known | None) -> Outcome:
        if not self._met.add(seen.digest, seen.item.name):
            return _copy(seen.item)
        return Outcome(seen.item.place, Fate.KNOWN if known else Fate.NEW)

    def settle(self, order: Order, reply: Reply) -> Outcome:
        """What came of an order. Raises PhotoError where too many in a row failed by no fault of theirs."""
        assert self._manifest is not None
        if reply.fault:
            self._met.remove(order.digest, order.item.name)  # it may work next time, or as another file
            self._failed(reply.fault, ours=reply.ours)
            return Outcome(order.item.place, Fate.UNREADABLE, remarks=(reply.fault,))
        with self._lock:
            self._failures = 0
        self._manifest.settle(
            order.digest,
            reply.faces,
            "\n".join(reply.remarks),
            name=order.item.name,
            image_id=reply.image_id,
        )
        fate = Fate.ENROLLED if reply.faces else Fate.FACELESS
        return Outcome(order.item.place, fate, reply.faces, reply.remarks)

    def _failed(self, fault: str, *, ours: bool) -> None:
        with self._lock:
            self._failures += ours
            if self._failures >= PATIENCE:
                raise PhotoError(f"{PATIENCE} photos failed without one that did not; the last: {fault}")


def _recognised(item: Item, known: Known, *, copy: bool) -> Outcome:
    """Known already. What was left out then is still left out, and is said again."""
    if copy:
        return _copy(item)
    return Outcome(item.place, Fate.KNOWN, remarks=tuple(filter(None, known.remarks.split("\n"))))


def _copy(item: Item) -> Outcome:
    return Outcome(item.place, Fate.COPY, remarks=("a copy of a photo that was met before",))


class _Met:
    """The contents that a run has met, in a file of SQLite's own that is gone when the process is: three
    hundred thousand of them would be tens of megabytes of strings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute(
            "CREATE TABLE met (digest BLOB, name TEXT, PRIMARY KEY (digest, name)) WITHOUT ROWID"
        )

    def add(self, digest: str, name: str) -> bool:
        """Whether it is new."""
        with self._lock:
            row = (bytes.fromhex(digest), name)
            return self._db.execute("INSERT OR IGNORE INTO met VALUES (?, ?)", row).rowcount == 1

    def remove(self, digest: str, name: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM met WHERE digest = ? AND name = ?", (bytes.fromhex(digest), name))


@dataclass
class Tally:
    """What a run came to. unread: the first photos that could not be read, and why. ended: when the last
    photo was answered, on the monotonic clock."""

    fates: collections.Counter[Fate] = field(default_factory=collections.Counter)
    reasons: collections.Counter[str] = field(default_factory=collections.Counter)
    faces: int = 0
    refused: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)
    ended: float = 0.0

    def add(self, outcome: Outcome) -> None:
        self.fates[outcome.fate] += 1
        self.faces += outcome.faces
        if outcome.fate in SENT:
            self.ended = time.monotonic()
            self.refused += sum(remark.startswith(REFUSED) for remark in outcome.remarks)
        if outcome.fate is Fate.UNREADABLE and len(self.unread) < NAMED:
            self.unread.append((outcome.place, "; ".join(outcome.remarks)))
        for remark in outcome.remarks:
            kind = remark.partition(": ")[0]
            known = kind in self.reasons or len(self.reasons) < KINDS
            self.reasons[kind if known else "something else"] += 1

    @property
    def seen(self) -> int:
        return self.fates.total() - self.fates[Fate.LEFT]

    @property
    def sent(self) -> int:
        """Photos that the service looked at."""
        return sum(self.fates[fate] for fate in SENT)

    def pace(self, began: float) -> Pace | None:
        """How fast they went since the first was sent; None where none did."""
        return Pace(time.time(), self.sent, self.faces, self.ended - began) if self.sent else None


REFUSED = ("face refused", "no face found")
"""How remarks about faces that were not enrolled begin."""

SENT = (Fate.ENROLLED, Fate.FACELESS)
