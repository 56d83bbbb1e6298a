"""HTTP and nothing else: bytes to the door, the door's answer to bytes.

POST / is the API. /healthz says that the house is open, /metrics counts what came through it.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from countenance.aws import model, sigv4
from countenance.errors import AwsError, InternalServer, RequestEntityTooLarge, Throttling
from countenance.gate import Answer
from countenance.service import Service, now

LOG = logging.getLogger(__name__)
JSON = "application/x-amz-json-1.1"

LARGEST_BODY = 15 * 1024 * 1024
"""CompareFaces carries two images of 5 MiB, 7 MB each in base64."""

READ_WITHIN = 60.0
"""Seconds a client has to send its body: one that dawdles holds a place others wait for."""


class Server:
    """The ASGI application of one Service.

    At most `settings.waiting` calls are in the house; one more is told to slow down before its body
    is read, so that a crowd costs no memory.
    """

    def __init__(self, service: Service, threads: int) -> None:
        self._service = service
        self._inside = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._counts: collections.Counter[tuple[str, str]] = collections.Counter()
        self._seconds: dict[str, float] = collections.defaultdict(float)
        self.app = Starlette(
            routes=[
                Route("/", self.post, methods=["POST"]),
                Route("/healthz", self.healthz),
                Route("/metrics", self.metrics),
            ]
        )

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
        if self._inside >= self._service.settings.waiting:
            return _failure(Throttling())
        self._inside += 1
        try:
            body = await asyncio.wait_for(_body(request), READ_WITHIN)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._call, request, target, body)
        except AwsError as error:
            return _failure(error)
        except TimeoutError:
            return _failure(
                RequestEntityTooLarge(f"the body did not arrive within {READ_WITHIN:.0f} seconds")
            )
        except Exception:  # the last line of defence: whatever is wrong, a client gets AWS's answer to it
            LOG.exception("a call failed in a way nobody foresaw")
            return _failure(InternalServer())
        finally:
            self._inside -= 1

    def _call(self, request: Request, target: str | None, body: bytes) -> Answer:
        signed = sigv4.Request(
            method=request.method,
            path=request.scope["raw_path"].decode("latin-1"),
            query=request.scope["query_string"].decode("latin-1"),
            headers=tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw),
            body=body,
        )
        found = {}

        def secret_of(access_key_id: str) -> str | None:
            if (signer := self._service.signer(access_key_id)) is None:
                return None
            found[access_key_id], secret = signer
            return secret

        key = sigv4.verify(signed, secret_of, now())
        return self._service.call(target, body, found[key])


async def _body(request: Request) -> bytes:
    """The request's body. Raises RequestEntityTooLarge as soon as it is known to be too large."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        raise RequestEntityTooLarge(f"a body may have {LARGEST_BODY} bytes")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY:
            raise RequestEntityTooLarge(f"a body may have {LARGEST_BODY} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _failure(error: AwsError) -> Answer:
    request_id = str(uuid.uuid4())
    status, body = model.encode_error(error, request_id)
    return Answer(status, body, request_id, error=error)
