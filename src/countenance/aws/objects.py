"""The bytes an S3Object names: from folders under the home, or from a real S3 endpoint.

Both refuse with AWS's one sentence, whether a bucket or key is missing or may not be read: what exists is
nobody's business who cannot have it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from countenance import errors

# Rekognition's limits page: 15 MB for an image in S3. Binary ones, as the model's 5 MB in a request are.
LARGEST = 15 * 1024 * 1024

LARGEST_VIDEO = 10 * 1024**3
"""Bytes of a clip (Rekognition's limit)."""

LARGEST_PUT = 5 * 1024**3
"""Bytes that one request can put into a bucket, S3's limit. Only such a one can ask that nothing be there."""

TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""What S3 answers where an object is there, or is being put there, that must not be."""

MALFORMED = "Request has invalid S3 object."

# The model's pattern, and S3's own rule that a name starts with a letter or digit: it is never "." or "..".
BUCKET = re.compile(r"[0-9A-Za-z][0-9A-Za-z.\-_]{2,254}")

# What a path that does not name a readable file of ours can raise; any other error is the disk's.
NOT_OURS = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENXIO,
    }
)

# Seconds. A caller waits for the answer meanwhile.
CONNECT, READ = 5, 20
CHUNK = 1024 * 1024

CONNECTIONS = 64
"""Kept open to an endpoint: as many photos as may be under way at once."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing tells of it. size: bytes. version: another number once its content changed."""

    key: str
    size: int
    version: int


class Draft(Protocol):
    """An object that is being written. Until it is published nobody finds it; left alone, nothing stays of
    it, not even after a kill."""

    @property
    def file(self) -> BinaryIO:
        """Where it is written."""
        ...

    def publish(self) -> None:
        """Put it under its name. Raises InvalidParameter where one of that name has come meanwhile, OSError,
        and what `read` raises where it may not be put there."""
        ...


class Objects(Protocol):
    def read(self, reference: Mapping[str, Any]) -> bytes:
        """The bytes of an S3Object (Bucket, Name and perhaps Version, as decoded from a request).

        Raises InvalidS3Object where there is none to be had, ImageTooLarge above 15 MB.
        """
        ...

    def open(self, reference: Mapping[str, Any], arrived: Callable[[int], None]) -> BinaryIO:
        """A clip as a file, to be closed. arrived: told now and then how many bytes came over the network;
        what it raises ends that. No other process finds the file, and nothing of it is left behind.

        Raises as `read` does, VideoTooLarge above 10 GiB, OSError where the disk has no room for it.
        """
        ...

    def list(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """Every object whose key begins with a prefix, as they come. Raises as `read` does."""
        ...

    def stat(self, reference: Mapping[str, Any]) -> Listed:
        """What a listing would tell of one object. Raises as `read` does."""
        ...

    def draft(self, reference: Mapping[str, Any]) -> AbstractContextManager[Draft]:
        """An object to write. Nothing is written over, not even what an earlier attempt has put there: who
        else may have, nobody can tell.

        Raises as `read` does where its bucket is not to be had, InvalidParameter where there is one of that
        name, OSError.
        """
        ...


def stored(endpoint: str, buckets: Path) -> Objects:
    """What a home's settings name: an S3 endpoint's objects, or those of the folder of buckets."""
    return Endpoint(endpoint) if endpoint else Folders(buckets)


def _named(reference: Mapping[str, Any]) -> tuple[str, str]:
    bucket, key = reference.get("Bucket", ""), reference.get("Name", "")
    if not BUCKET.fullmatch(bucket) or not key or "\0" in key:
        raise errors.InvalidS3Object(MALFORMED)
    return bucket, key


class Folders:
    """A bucket is a folder under the root; a key is a file's path in it.

    A symbolic link may lead elsewhere in the same bucket, never out of it. Folders keep no versions.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, reference: Mapping[str, Any]) -> bytes:
        try:
            return _contents(self._path(reference))
        except OSError as error:
            if error.errno in NOT_OURS:
                raise errors.InvalidS3Object from None
            raise

    def open(self, reference: Mapping[str, Any], arrived: Callable[[int], None]) -> BinaryIO:  # noqa: ARG002
        """The object itself: nothing is copied."""
        try:
            return _opened(self._path(reference), LARGEST_VIDEO, too_large)
        except OSError as error:
            if error.errno in NOT_OURS:
                raise errors.InvalidS3Object from None
            raise

    def stat(self, reference: Mapping[str, Any]) -> Listed:
        try:
            found = self._path(reference).stat()
        except OSError as error:
            if error.errno in NOT_OURS:
                raise errors.InvalidS3Object from None
            raise
        if not stat.S_ISREG(found.st_mode):
            raise errors.InvalidS3Object
        return Listed(reference["Name"], found.st_size, found.st_mtime_ns)

    @contextmanager
    def draft(self, reference: Mapping[str, Any]) -> Iterator[Draft]:
        """Written beside its place, into a file without a name."""
        try:
            path = self._path(reference, strict=False)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in NOT_OURS:
                raise errors.InvalidS3Object from None
            raise
        if path.exists():
            raise _taken(path.name)
        with _nameless(path.parent) as file:
            yield _Folded(file, path)

    def _path(self, reference: Mapping[str, Any], *, strict: bool = True) -> Path:
        """Where an object is, or would be. Raises InvalidS3Object or OSError."""
        bucket, key = _named(reference)
        if any(part in {"", ".", ".."} for part in key.split("/")):
            raise errors.InvalidS3Object(MALFORMED)
        if reference.get("Version") is not None:
            raise errors.InvalidS3Object(detail="a bucket that is a folder keeps no versions")
        root = Path(os.path.realpath(self._root, strict=True))
        home = Path(os.path.realpath(root / bucket, strict=True))
        path = Path(os.path.realpath(home / key, strict=strict))
        if home.parent != root or not path.is_relative_to(home):
            raise errors.InvalidS3Object
        return path

    def list(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """In the order of the folders. Links to folders are not followed."""
        if not BUCKET.fullmatch(bucket):
            raise errors.InvalidS3Object(MALFORMED)
        home = self._root / bucket
        if home.is_symlink() or not home.is_dir():
            raise errors.InvalidS3Object
        for parent, folders, names in os.walk(home):
            within = os.path.relpath(parent, home)
            stem = "" if within == "." else f"{within}/"
            folders[:] = sorted(name for name in folders if _begins(f"{stem}{name}/", prefix))
            for key in sorted(f"{stem}{name}" for name in names):
                with contextlib.suppress(FileNotFoundError):  # gone again since
                    if key.startswith(prefix):
                        found = os.lstat(home / key)
                        yield Listed(key, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class _Folded:
    """A draft in a folder. file: without a name where the operating system can give it one later."""

    file: BinaryIO
    path: Path

    def publish(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        number = self.file.fileno()
        named = f"/proc/self/fd/{number}" if isinstance(self.file.name, int) else self.file.name
        try:
            os.link(named, self.path, src_dir_fd=number)  # a folder that is not used: links are followed so
        except FileExistsError:
            raise _taken(self.path.name) from None


@contextmanager
def _nameless(folder: Path) -> Iterator[BinaryIO]:
    """A file of a folder's disk that nobody finds; where there is none such, one whose name is taken away at
    the end."""
    descriptor = -1
    if hasattr(os, "O_TMPFILE") and Path("/proc/self/fd").exists():
        with contextlib.suppress(OSError):  # a file system that knows none
            descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    if descriptor >= 0:
        with os.fdopen(descriptor, "w+b") as unnamed:
            yield unnamed
    else:
        with tempfile.NamedTemporaryFile("w+b", dir=folder, prefix=".draft-") as file:
            yield cast("BinaryIO", file)


def _taken(name: str) -> errors.InvalidParameter:
    return errors.InvalidParameter(detail=f"there is an object {name} already, and none is written over")


def _begins(folder: str, prefix: str) -> bool:
    """Whether keys in a folder may begin with a prefix."""
    return folder.startswith(prefix) or prefix.startswith(folder)


def _contents(path: Path) -> bytes:
    with _opened(path, LARGEST, lambda _size: errors.ImageTooLarge()) as file:
        contents = file.read(LARGEST + 1)
    if len(contents) > LARGEST:
        raise errors.ImageTooLarge
    return contents


def _opened(path: Path, most: int, larger: Callable[[int], errors.AwsError]) -> BinaryIO:
    """A regular file. A pipe or a device is refused without waiting for it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        os.close(descriptor)
        raise larger(found.st_size) if stat.S_ISREG(found.st_mode) else errors.InvalidS3Object()
    return os.fdopen(descriptor, "rb")


def too_large(size: int) -> errors.VideoTooLarge:
    return errors.VideoTooLarge(
        f"Video size in bytes: {size} is more than the maximum limit of: {LARGEST_VIDEO} bytes"
    )


class Endpoint:
    """A real S3 endpoint, read with the service's own credentials (boto3's chain unless given).

    url: None for AWS itself. Path-style addresses, which every S3 server understands.
    """

    def __init__(
        self,
        url: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        config = Config(
            connect_timeout=CONNECT,
            read_timeout=READ,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": "path"},
            signature_version="s3v4",
        )
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=config,
        )
        self._client.meta.events.register("before-call.s3", _stay)

    def read(self, reference: Mapping[str, Any]) -> bytes:
        """As Objects.read; an endpoint that does not answer is InternalServer, which clients try again."""
        try:
            found = self._client.get_object(**_wanted(reference))
            with contextlib.closing(found["Body"]) as body:
                if found.get("ContentLength", 0) > LARGEST:
                    raise errors.ImageTooLarge
                return _bounded(body)
        except ClientError as error:
            raise _refusal(error) from error
        except BotoCoreError as error:
            raise _silence(error) from error

    def open(self, reference: Mapping[str, Any], arrived: Callable[[int], None]) -> BinaryIO:
        """Downloaded to a file without a name, which the operating system removes whatever becomes of us."""
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(tempfile.TemporaryFile())
            try:
                found = self._client.get_object(**_wanted(reference))
                with contextlib.closing(found["Body"]) as body:
                    _make_sure_of_room(found.get("ContentLength", 0))
                    for chunk in body.iter_chunks(CHUNK):
                        file.write(chunk)
                        if (size := file.tell()) > LARGEST_VIDEO:
                            raise too_large(size)
                        arrived(size)
            except ClientError as error:
                raise _refusal(error) from error
            except BotoCoreError as error:
                raise _silence(error) from error
            file.seek(0)
            undo.pop_all()
        return file

    def list(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """A thousand keys at a time; the version is made of the ETag, which changes with the content."""
        if not BUCKET.fullmatch(bucket):
            raise errors.InvalidS3Object(MALFORMED)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                for found in page.get("Contents", ()):
                    if not found["Key"].endswith("/"):  # how consoles mark a folder
                        yield Listed(found["Key"], found["Size"], _version(found["ETag"]))
        except ClientError as error:
            raise _refusal(error) from error
        except BotoCoreError as error:
            raise _silence(error) from error

    def stat(self, reference: Mapping[str, Any]) -> Listed:
        try:
            found = self._client.head_object(**_wanted(reference))
        except ClientError as error:
            raise _refusal(error) from error
        except BotoCoreError as error:
            raise _silence(error) from error
        return Listed(reference["Name"], found["ContentLength"], _version(found["ETag"]))

    @contextmanager
    def draft(self, reference: Mapping[str, Any]) -> Iterator[Draft]:
        """Written to a file without a name, and uploaded when it is published."""
        bucket, key = _named(reference)
        with tempfile.TemporaryFile() as file:
            if self.has(bucket, key):
                raise _taken(key)
            yield _Uploaded(self, file, bucket, key)

    def upload(self, file: BinaryIO, bucket: str, key: str) -> None:
        """At once and only where there is none of that name, which S3 itself sees to: two who upload at one
        time do not both. Raises InvalidParameter where there is one, or the file is too large for that."""
        if (size := file.seek(0, os.SEEK_END)) > LARGEST_PUT:
            raise errors.InvalidParameter(
                detail=f"the clip has {size:,} bytes; at most {LARGEST_PUT:,} can be put into a bucket"
            )
        file.seek(0)
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=file, IfNoneMatch="*")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in TAKEN:
                raise _taken(key) from error
            raise _refusal(error) from error
        except BotoCoreError as error:
            raise _silence(error) from error

    def has(self, bucket: str, key: str) -> bool:
        """Raises InternalServer, and InvalidS3Object where the bucket may not be asked."""
        try:
            found = self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        except ClientError as error:
            raise _refusal(error) from error
        except BotoCoreError as error:
            raise _silence(error) from error
        return any(each["Key"] == key for each in found.get("Contents", ()))


@dataclass(frozen=True, slots=True)
class _Uploaded:
    """A draft for an endpoint."""

    endpoint: Endpoint
    file: BinaryIO
    bucket: str
    key: str

    def publish(self) -> None:
        self.endpoint.upload(self.file, self.bucket, self.key)


def _make_sure_of_room(size: int) -> None:
    """Raises OSError where a download would take more than half of the room that is left.

    The ledger may be on the same disk. TMPDIR says where downloads go."""
    if 2 * size > shutil.disk_usage(tempfile.gettempdir()).free:
        raise OSError(errno.ENOSPC, f"too little room for {size} bytes in {tempfile.gettempdir()}")


def _wanted(reference: Mapping[str, Any]) -> dict[str, str]:
    bucket, key = _named(reference)
    version = {"VersionId": reference["Version"]} if "Version" in reference else {}
    return {"Bucket": bucket, "Key": key, **version}


def _version(tag: str) -> int:
    """An ETag, which changes with the content, as a number of 56 bits."""
    return int.from_bytes(hashlib.sha256(tag.encode()).digest()[:7], "big")


def _silence(error: BotoCoreError) -> errors.InternalServer:
    """A timeout, a broken connection, credentials that are missing."""
    return errors.InternalServer(detail=f"the S3 endpoint did not answer ({type(error).__name__})")


def _stay(context: dict[str, Any], **_: object) -> None:
    """Tell botocore not to look for the bucket in other regions: Rekognition refuses those too.

    Left alone it asks an endpoint that always answers 301 until Python's stack is full.
    """
    context["s3_redirect"]["redirected"] = True


def _bounded(body: Any) -> bytes:
    """All of a body, whatever length it announced. Reading to its end also checks S3's own checksum."""
    contents = bytearray()
    for chunk in body.iter_chunks(CHUNK):
        contents += chunk
        if len(contents) > LARGEST:
            raise errors.ImageTooLarge
    return bytes(contents)


def _refusal(error: ClientError) -> errors.AwsError:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if error.response.get("Error", {}).get("Code") in {"SlowDown", "Throttling", "RequestLimitExceeded"}:
        return errors.Throttling("S3 download limit exceeded")
    if status >= 500:
        return errors.InternalServer(detail="the S3 endpoint failed")
    return errors.InvalidS3Object()
