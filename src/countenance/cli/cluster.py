"""`countenance index --cluster`: the same, with the workers of an existing Dask scheduler to read and send.

The shell keeps the desk and the manifest; a worker gets places to read, says what is there, and is told what
to send under which ExternalImageId (docs/decisions/0014-bulk.md). Two tasks a batch, so that a claim is on
disk before its photo is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import click
from botocore.exceptions import ClientError

from countenance.cli import batch, door
from countenance.cli.batch import Sent, Terms
from countenance.cli.door import Notice
from countenance.cli.enrolling import Desk, Order, Outcome, Work
from countenance.cli.sources import Item, Source
from countenance.errors import HomeError, PhotoError
from countenance.settings import Settings

BATCH = 16
"""Photos a task: a second of work, against a millisecond that the scheduler takes for a task."""

AHEAD = 2
"""Batches under way for each thread of the workers: one at work, one that waits for it."""

PATIENCE = 30
"""Seconds to wait for the scheduler, and for its first worker."""

RECOUNTED = 5.0
"""Seconds after which the workers' threads are counted anew."""

GONE = (TimeoutError, OSError, CancelledError)
"""What Dask raises where the scheduler is there no more."""

LAST = 60.0
"""Seconds to wait, at an interruption, for photos that are being sent."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A scheduler with workers, and the server that they and the shell send to."""

    client: Any
    settings: Settings
    servers: tuple[str, ...]
    notice: Notice

    def outcomes(self, desk: Desk, source: Source, work: Work) -> Generator[Outcome, None, None]:
        """Every photo's fate. Whatever ends it, what was sent is waited for and noted."""
        terms = self._terms(work)
        self._examine(terms)
        return _Run(self.client, terms, desk).outcomes(source)

    def _terms(self, work: Work) -> Terms:
        settings = self.settings
        return Terms(
            work=work,
            servers=self.servers,
            credentials=str(settings.credentials),
            region=settings.region,
            verify=self.notice.certificate,
            endpoint=settings.s3_endpoint,
            buckets=str(settings.buckets),
        )

    def _examine(self, terms: Terms) -> None:
        """Raises HomeError that names the workers that cannot do it, and why."""

        def installed() -> (
            str
        ):  # within, so that it is sent by value: the worker may lack what has to be there
            from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

            try:
                return version("countenance")
            except PackageNotFoundError:
                return "none"

        ours, versions = installed(), self._asked(installed)
        strange = {worker: told for worker, told in versions.items() if told != ours}
        if strange:
            raise HomeError(
                f"every worker needs Countenance {ours}, as here: "
                + "; ".join(f"{worker} has {told}" for worker, told in strange.items())
            )
        unfit = {worker: why for worker, why in self._asked(batch.fit, terms).items() if why}
        if unfit:
            raise HomeError("; ".join(f"worker {worker}: {why}" for worker, why in unfit.items()))

    def _asked(self, question: Any, *about: Any) -> Mapping[str, str]:
        answers: Mapping[str, str] = self.client.run(question, *about)
        return answers


class _Run:
    """The batches of one run: at most AHEAD for each thread of the workers are under way."""

    def __init__(self, client: Any, terms: Terms, desk: Desk) -> None:
        from distributed import as_completed  # noqa: PLC0415 - an extra

        self._client, self._terms, self._desk = client, terms, desk
        self._done = as_completed(raise_errors=False)
        self._under: dict[str, tuple[Any, tuple[Order, ...]]] = {}
        self._name, self._numbers = uuid4().hex[:12], itertools.count()
        self._width, self._counted = 0, -RECOUNTED

    def outcomes(self, source: Source) -> Generator[Outcome, None, None]:
        left = self._batches(source)
        try:
            yield from self._fill(left)
            for future in self._done:
                yield from self._took(future)
                yield from self._fill(left)
            self._forget()
        except Exception:  # not for the second Ctrl-C: nobody wants to wait
            self._drain()
            raise
        finally:
            self._client.close()

    def _batches(self, source: Source) -> Iterator[Outcome | tuple[Item, ...]]:
        """What is known at a glance, and batches of what has to be read."""
        batched: list[Item] = []
        for item in source:
            if known := self._desk.known(item):
                yield known
                continue
            batched.append(item)
            if len(batched) == BATCH:
                yield tuple(batched)
                batched = []
            if self._desk.full:
                return
        if batched:
            yield tuple(batched)

    def _fill(self, left: Iterator[Outcome | tuple[Item, ...]]) -> Iterator[Outcome]:
        while len(self._under) < self._room():
            found = next(left, None)
            if found is None:
                return
            if isinstance(found, Outcome):
                yield found
            else:
                self._submit(batch.read, found)

    def _room(self) -> int:
        """Batches that may be under way. Workers come and go."""
        if time.monotonic() - self._counted > RECOUNTED:
            self._width = max(AHEAD * sum(self._client.nthreads().values()), 1)
            self._counted = time.monotonic()
        return self._width

    def _submit(self, task: Any, about: tuple[Any, ...], *more: Any, orders: tuple[Order, ...] = ()) -> None:
        key = f"countenance-{task.__name__}-{self._name}-{next(self._numbers)}"
        future = self._client.submit(task, self._terms, about, *more, key=key, pure=False)
        self._under[key] = future, orders
        self._done.add(future)

    def _took(self, future: Any) -> Iterator[Outcome]:
        """A task is done. What was read is decided about and sent, what was sent is noted."""
        _, orders = self._under.pop(future.key)
        result = _result(future)
        if isinstance(result, Sent):
            yield from self._noted(result, orders)
            return
        decided = [self._desk.decide(seen) for seen in result]
        orders = tuple(each for each in decided if isinstance(each, Order))
        if orders:
            self._submit(batch.sent, orders, next(self._numbers), orders=orders)
        yield from (each for each in decided if isinstance(each, Outcome))

    def _noted(self, result: Sent, orders: tuple[Order, ...]) -> Iterator[Outcome]:
        for order, reply in zip(orders, result.replies, strict=False):  # short where an error ended it
            yield self._desk.settle(order, reply)
        if result.error:
            raise ClientError({"Error": result.error}, "IndexFaces")

    def _drain(self) -> None:
        """Read no more; wait for what is being sent, and note it."""
        from distributed import wait  # noqa: PLC0415 - an extra

        self._client.cancel([future for future, orders in self._under.values() if not orders])
        sent = [(future, orders) for future, orders in self._under.values() if orders]
        with contextlib.suppress(*GONE):
            wait([future for future, _ in sent], timeout=LAST)
        for future, orders in sent:
            if future.status == "finished":
                for order, reply in zip(orders, future.result().replies, strict=False):
                    self._desk.settle(order, reply)
        self._forget()

    def _forget(self) -> None:
        """Have the workers let go of photos that they read and did not send."""
        with contextlib.suppress(*GONE):
            self._client.run(batch.forget)


def _result(future: Any) -> Any:
    """Raises PhotoError where a batch was lost with its workers, or the scheduler is gone."""
    if future.cancelled():
        raise PhotoError("the scheduler let go of a batch, or is gone; the same command goes on from here")
    if (fault := future.exception()) is not None:
        raise PhotoError(f"a batch failed on its worker: {type(fault).__name__}: {fault}") from fault
    return future.result()


async def _greet(address: str) -> None:
    """Exchange Dask's first words. Its Client waits for ever for a server that accepts and says nothing."""
    from distributed import Security  # noqa: PLC0415 - an extra
    from distributed.comm import connect  # noqa: PLC0415

    comm = await connect(address, timeout=PATIENCE, **Security().get_connection_args("client"))
    await comm.close()


def opened(address: str, settings: Settings, servers: tuple[str, ...]) -> Cluster:
    """A cluster to work with. Raises HomeError where scheduler, workers or server are not to be had."""
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as absent:
        raise HomeError("--cluster takes Dask: pip install 'countenance[cluster]'") from absent
    notice = door.find(settings)
    if not servers and notice is None:
        raise HomeError(
            "the workers of a cluster send photos to a server, and none runs on this home: start "
            "`countenance serve`, or name one with --server"
        )
    if servers:
        certificate = notice.certificate if notice else None
        notice = Notice(servers[0], 0, certificate)
    assert notice is not None
    click.echo(f"Waiting for the scheduler at {address}, {PATIENCE} s at most.", err=True)
    try:
        asyncio.run(asyncio.wait_for(_greet(address), PATIENCE))
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, MemoryError) as fault:  # the last of an answer that is no Dask's
        strange = isinstance(fault, MemoryError) or not str(fault)
        why = "what listens there does not speak Dask's language" if strange else fault
        raise HomeError(f"no Dask scheduler answers at {address} within {PATIENCE} s: {why}") from fault
    if not client.nthreads():
        click.echo(f"Waiting for its first worker, {PATIENCE} s at most.", err=True)
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as fault:
        client.close()
        raise HomeError(
            f"the scheduler at {address} got no worker in {PATIENCE} s: start some with `dask worker`"
        ) from fault
    return Cluster(client, settings, servers or (notice.url,), notice)
