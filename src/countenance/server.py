"""HTTP and nothing else: bytes to the door, the door's answer to bytes.

POST / is the API. /healthz says that the house is open, /metrics counts what came through it.
`Server` is the application, `Running` is one that listens on a socket and says so in the home.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from countenance.answer import Answer
from countenance.aws import model, sigv4
from countenance.errors import (
    AwsError,
    HomeError,
    InternalServer,
    RequestEntityTooLarge,
    RequestTimeout,
    Throttling,
)
from countenance.service import Service, failure

LOG = logging.getLogger(__name__)
JSON = "application/x-amz-json-1.1"

LARGEST_BODY = 15 * 1024 * 1024
"""CompareFaces carries two images of 5 MiB, 7 MB each in base64."""

ARRIVING = 256 * 1024 * 1024
"""Bytes of bodies held at once: sixteen of the largest, hundreds of ordinary photos."""

SMALL = 64 * 1024
"""Bytes of a body that is read before anything is known of its sender."""

READ_WITHIN = 60.0
"""Seconds a client has to send its body."""

LARGEST_HEAD = 64 * 1024
"""Bytes of request line and headers. botocore sends about one KiB; httptools itself knows no bound."""

LARGEST_REQUEST = 2 * LARGEST_BODY
"""Bytes of a whole request on the wire, chunk sizes and trailers included."""

CLERKS = 16
"""Threads for calls that only read and record. They wait for the disk, and the more wait together the
more share one commit; as many as the database keeps readers."""

PICTURES = frozenset({"Image", "SourceImage"})
"""Members of a request that make models run."""


class Server:
    """The ASGI application of one Service.

    At most `settings.waiting` calls are in the house, and at most ARRIVING bytes of bodies on their way to
    it; one more is told to slow down. A body that dawdles holds its bytes and nobody's place.

    threads: for calls that look at pictures; the others have threads of their own, so that ten photos being
    indexed do not hold up a DescribeCollection.
    """

    def __init__(self, service: Service, threads: int) -> None:
        self._service = service
        self._inside = 0
        self._arriving = 0
        self._lookers = ThreadPoolExecutor(threads, thread_name_prefix="look")
        self._clerks = ThreadPoolExecutor(CLERKS, thread_name_prefix="call")
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._seconds: dict[str, float] = collections.defaultdict(float)
        self.app = Starlette(
            routes=[
                Route("/", self.post, methods=["POST"]),
                Route("/healthz", self.healthz),
                Route("/metrics", self.metrics),
            ]
        )

    def close(self) -> None:
        """Wait for the calls that are in the house."""
        self._lookers.shutdown()
        self._clerks.shutdown()

    async def post(self, request: Request) -> Response:
        started = time.monotonic()
        target = request.headers.get("x-amz-target")
        answer = await self._answer(request, target)
        name = target.rpartition(".")[2] if target and answer.receipt else "-"
        self._counts[name, answer.error.code if answer.error else "ok"] += 1
        self._seconds[name] += time.monotonic() - started
        headers = {"x-amzn-RequestId": answer.request_id, **answer.headers}
        return Response(answer.body, answer.status, headers, media_type=JSON)

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def metrics(self, _request: Request) -> Response:
        """Prometheus text: calls by operation and result, seconds spent, calls in the house."""
        lines = ["# TYPE countenance_calls_total counter"]
        for (name, result), count in sorted(self._counts.items()):
            lines.append(f'countenance_calls_total{{operation="{name}",result="{result}"}} {count}')
        lines.append("# TYPE countenance_call_seconds_total counter")
        for name, seconds in sorted(self._seconds.items()):
            lines.append(f'countenance_call_seconds_total{{operation="{name}"}} {seconds:.6f}')
        lines += ["# TYPE countenance_calls_inside gauge", f"countenance_calls_inside {self._inside}", ""]
        return PlainTextResponse("\n".join(lines))

    async def _answer(self, request: Request, target: str | None) -> Answer:
        try:
            async with self._received(request) as body:
                if self._inside >= self._service.settings.waiting:
                    return failure(Throttling())
                self._inside += 1
                try:
                    loop = asyncio.get_running_loop()
                    threads = self._lookers if _looks(target) else self._clerks
                    return await loop.run_in_executor(threads, self._service.answer, _signed(request, body))
                finally:
                    self._inside -= 1
        except AwsError as error:
            return failure(error)
        except ClientDisconnect:  # nobody is there to read this
            return failure(RequestTimeout("the client went away"))
        except Exception:  # the last line of defence: whatever is wrong, a client gets AWS's answer to it
            LOG.exception("a call failed in a way nobody foresaw")
            return failure(InternalServer())

    @contextlib.asynccontextmanager
    async def _received(self, request: Request) -> AsyncIterator[bytes]:
        """The request's body, counted among what is held for as long as it is.

        Raises NotAuthenticated before a large body is read for somebody who names no key of this home,
        RequestEntityTooLarge as soon as it is known to be too large, Throttling where too much is held
        already, RequestTimeout.
        """
        announced = request.headers.get("content-length", "")
        expected = int(announced) if announced.isdigit() else LARGEST_BODY
        if expected > LARGEST_BODY:
            raise RequestEntityTooLarge(f"a body may have {LARGEST_BODY} bytes")
        if expected > SMALL:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._clerks, self._service.recognise, _signed(request, b""))
        chunks, size = [], 0
        try:
            try:
                async with asyncio.timeout(READ_WITHIN):
                    async for chunk in request.stream():
                        size += len(chunk)
                        self._arriving += len(chunk)
                        if size > LARGEST_BODY:
                            raise RequestEntityTooLarge(f"a body may have {LARGEST_BODY} bytes")
                        if self._arriving > ARRIVING:
                            raise Throttling
                        chunks.append(chunk)
            except TimeoutError:
                raise RequestTimeout(f"the body did not arrive within {READ_WITHIN:.0f} seconds") from None
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self._arriving -= size


def _looks(target: str | None) -> bool:
    """Whether a target's operation takes a picture."""
    named = model.api().targets.get(target or "")
    return named is not None and not PICTURES.isdisjoint(model.members(named))


def _signed(request: Request, body: bytes) -> sigv4.Request:
    return sigv4.Request(
        method=request.method,
        path=request.scope["raw_path"].decode("latin-1"),
        query=request.scope["query_string"].decode("latin-1"),
        headers=tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw),
        body=body,
    )


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with two bounds it does not have: how large a request and how slow a head may be."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seen, self._reading_head = 0, True
        self._patience = self.loop.call_later(READ_WITHIN, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._seen > (LARGEST_HEAD if self._reading_head else LARGEST_REQUEST):
            self.send_400_response("Request is too large.")
            return
        self._seen += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._seen, self._reading_head = 0, True
        self._patience.cancel()
        self._patience = self.loop.call_later(READ_WITHIN, self.transport.close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._reading_head = False
        self._patience.cancel()
        super().on_headers_complete()


class Running(uvicorn.Server):
    """A Service behind HTTP on a socket of its own, from `serve` until `stop`.

    port: 0 takes a free one. certificate, private_key: PEM files, for HTTPS. The home's server.json
    says where it answers for as long as it does. Raises HomeError where the address cannot be had.
    """

    def __init__(
        self,
        service: Service,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        certificate: Path | None = None,
        private_key: Path | None = None,
    ) -> None:
        threads = service.settings.threads or len(os.sched_getaffinity(0))
        self._application = Server(service, threads + 2)  # two decode while each core has a model to run
        super().__init__(
            uvicorn.Config(
                self._application.app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,  # the ledger is the record of calls
                server_header=False,
                proxy_headers=False,
                backlog=512,
                limit_concurrency=1024,
                timeout_keep_alive=75,  # boto3 keeps connections; longer than its own pools' idle habits
                timeout_graceful_shutdown=60,
                ssl_certfile=certificate,
                ssl_keyfile=private_key,
            )
        )
        self._socket = _bind(host, port)
        self._notice = service.settings.server
        self._certificate = certificate
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if certificate else 'http'}://{shown}:{self._socket.getsockname()[1]}"

    def serve_here(self, ready: Callable[[], None] = lambda: None) -> None:
        """Answer until `stop`, or SIGTERM or SIGINT in the main thread; then finish the calls in flight."""
        self._ready = ready
        try:
            self.run(sockets=[self._socket])
        finally:
            self._application.close()

    def stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            if not self._another_answers():
                self._post_notice()
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            if json.loads(self._notice.read_text()).get("url") == self.url:  # else another server's
                self._notice.unlink()
        await super().shutdown(sockets)

    def _another_answers(self) -> bool:
        """Whether a server that serves the home already has its notice there; it keeps it to its end."""
        try:
            url = json.loads(self._notice.read_text())["url"]
            address = urlsplit(url)
            with socket.create_connection((address.hostname, address.port), 1):
                return bool(url != self.url)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _post_notice(self) -> None:
        """Whole or not at all, and for the owner alone."""
        notice = {"url": self.url, "pid": os.getpid()}
        if self._certificate:
            notice["certificate"] = str(self._certificate.resolve())
        draft = self._notice.with_name(f".{self._notice.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(notice, file)
        draft.replace(self._notice)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.ExitStack() as undo:
            undo.callback(listener.close)
            listener.bind(address)
            undo.pop_all()
    except (OSError, OverflowError) as fault:
        raise HomeError(
            f"cannot listen on {host} port {port}: {fault}. Choose another with --port; 0 takes a free one"
        ) from fault
    return listener
