"""What a cluster's workers do with a batch of photos: read them, then send them to a server.

A worker is a client like any other: it has a key to sign with and a way to the photos, and nothing of the
house. No model runs here, no database is opened, and no photo is kept on a disk.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from countenance.aws.objects import Objects, stored
from countenance.cli import enrolling, signing
from countenance.cli.enrolling import Order, Reply, Seen, Work
from countenance.cli.pictures import Photo
from countenance.cli.sources import Item
from countenance.client import carry
from countenance.errors import CountenanceError

HELD = 128 * 1024 * 1024
"""Bytes of photos that a worker keeps between reading and sending them; what is above it is read again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker has to know: no key, no password, only where they are.

    servers: URLs, of which each batch begins with another. credentials: the path of a credentials file on the
    worker; where it is not there, boto3's own places are looked in. verify: the path of the certificate of
    servers with one of their own. endpoint, buckets: where S3 objects are.
    """

    work: Work
    servers: tuple[str, ...]
    credentials: str
    region: str
    verify: str | None
    endpoint: str
    buckets: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What the service said of a batch's photos, one reply each, as far as it came. error: what ended it:
    the code and message of an answer that every photo would get, or a failure to reach any server."""

    replies: Sequence[Reply]
    error: Mapping[str, str] | None = None


def fit(terms: Terms) -> str:
    """What keeps this worker from working, in words; empty where nothing does."""
    for url in terms.servers:
        if why := signing.unreachable(url, terms.verify):
            return f"it cannot reach {url} ({why}); name an address that every worker can with --server"
    if _key(terms.credentials) is None and botocore.session.Session().get_credentials() is None:
        return (
            f"it finds no key: there is no {terms.credentials}, and nothing where boto3 looks. Put a "
            "credentials file there, or start the worker with AWS_SHARED_CREDENTIALS_FILE"
        )
    return ""


def read(terms: Terms, items: Sequence[Item]) -> list[Seen]:
    """Read a batch's photos and say what they are. Their bytes stay in this process for `sent`."""
    seen = []
    objects = _objects(terms.endpoint, terms.buckets)
    with ThreadPoolExecutor(terms.work.parallel) as threads:
        for told, photo in threads.map(lambda item: enrolling.look(item, objects), items):
            if photo is not None and told.picture:
                _held.put(told.digest, photo)
            seen.append(told)
    return seen


def sent(terms: Terms, orders: Sequence[Order], number: int) -> Sent:
    """Send a batch's photos. number: of the batch, which says at which server to begin."""
    servers = terms.servers[number % len(terms.servers) :] + terms.servers[: number % len(terms.servers)]
    replies: list[Reply] = []
    try:
        clients = [
            _client(terms.credentials, url, terms.region, terms.verify, _words(terms)) for url in servers
        ]
        with ThreadPoolExecutor(terms.work.parallel) as threads:
            waiting = [threads.submit(_one, terms, clients, order) for order in orders]
            try:
                replies.extend(future.result() for future in waiting)  # what came before an error counts
            finally:
                for future in waiting:
                    future.cancel()
    except ClientError as refusal:
        error = refusal.response["Error"]
        return Sent(replies, {"Code": error["Code"], "Message": error["Message"]})
    except (BotoCoreError, CountenanceError) as fault:
        return Sent(replies, {"Code": type(fault).__name__, "Message": str(fault)})
    return Sent(replies)


def _one(terms: Terms, clients: list[Any], order: Order) -> Reply:
    """Send one photo. A server that is not to be reached is the last that the photos after it try."""
    photo = _held.take(order.digest)
    if photo is None:
        seen, photo = enrolling.look(order.item, _objects(terms.endpoint, terms.buckets))
        if photo is None or seen.digest != order.digest:
            return Reply(fault=seen.fault or "was changed while it was enrolled")
    for client in (turns := clients[:])[:-1]:
        try:
            return enrolling.send(client, terms.work, order, photo)
        except (HTTPClientError, NoConnection):
            clients[:] = [*(other for other in clients if other is not client), client]
    return enrolling.send(turns[-1], terms.work, order, photo)


def forget() -> None:
    """Let go of photos that were read and are not to be sent."""
    _held.clear()


def _words(terms: Terms) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(terms.work.said.items()))


@functools.lru_cache(maxsize=8)
def _objects(endpoint: str, buckets: str) -> Objects:
    return stored(endpoint, Path(buckets))


@functools.lru_cache(maxsize=8)
def _client(
    credentials: str, url: str, region: str, verify: str | None, said: tuple[tuple[str, str], ...]
) -> Any:
    """A client of a server, made once a process: a change of the key takes a new worker."""
    client = signing.client(_key(credentials), url, region, _THREADS, verify)
    carry(client, dict(said))
    return client


def _key(credentials: str) -> Path | None:
    path = Path(credentials)
    return path if path.exists() else None


_THREADS = 64
"""Connections kept to a server: a worker's threads, times what each has under way."""


class _Held:
    """Photos read and not yet sent, the oldest given up first. Threads share it."""

    def __init__(self, most: int) -> None:
        self._photos: OrderedDict[str, Photo] = OrderedDict()
        self._most, self._bytes = most, 0
        self._lock = threading.Lock()

    def put(self, digest: str, photo: Photo) -> None:
        with self._lock:
            if digest not in self._photos:
                self._photos[digest] = photo
                self._bytes += len(photo.original)
            while self._bytes > self._most:
                self._bytes -= len(self._photos.popitem(last=False)[1].original)

    def take(self, digest: str) -> Photo | None:
        with self._lock:
            photo = self._photos.pop(digest, None)
            self._bytes -= len(photo.original) if photo else 0
            return photo

    def clear(self) -> None:
        with self._lock:
            self._photos.clear()
            self._bytes = 0


_held = _Held(HELD)
