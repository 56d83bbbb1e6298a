"""A witness behind HTTP: C2SP tlog-witness on Python's own server, to be put behind a reverse proxy.

POST /add-checkpoint     a submission; the answer is the witness's signature, or why not
GET  /                   the witness's verifier key
"""

from __future__ import annotations

import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from countenance.errors import CountenanceError, HomeError
from countenance.ledger.submission import LONGEST
from countenance.witness import Answer, Witness

LOG = logging.getLogger(__name__)

CONNECTIONS = 64
"""Held at once; one more is closed. Logs come once a minute and stay for a second."""

READ_WITHIN = 10.0
"""Seconds a client may leave us waiting."""


class Serving(ThreadingHTTPServer):
    """One witness on an address of its own. port: 0 takes a free one. Raises HomeError where it is taken."""

    daemon_threads = True

    def __init__(self, witness: Witness, host: str = "127.0.0.1", port: int = 0) -> None:
        self.witness = witness
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as fault:
            raise HomeError(f"cannot listen on {host} port {port}: {fault}") from fault
        self.url = f"http://{host}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ARG002
        """A client that went away is no event."""
        LOG.debug("a connection from %s broke", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Serving
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "countenance-witness", ""
    timeout = READ_WITHIN

    def do_GET(self) -> None:
        found = self.path == "/"
        self._say(Answer(200, f"{self.server.witness.line}\n") if found else _NOWHERE)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._end(Answer(411, "say how long the submission is\n"))
        elif int(length) > LONGEST:
            self._end(Answer(413, f"a submission has {LONGEST} bytes at most\n"))
        else:
            body = self.rfile.read(int(length))
            self._say(self._answer(body) if self.path == "/add-checkpoint" else _NOWHERE)

    def _answer(self, body: bytes) -> Answer:
        try:
            answer = self.server.witness.add_checkpoint(body.decode())
        except UnicodeDecodeError:
            answer = Answer(400, "a submission is text in UTF-8\n")
        except (CountenanceError, OSError):
            LOG.exception("a submission could not be answered")
            return Answer(500, "this witness cannot sign just now\n")
        LOG.info("answered a submission from %s: %d", self.client_address[0], answer.status)
        return answer

    def _end(self, answer: Answer) -> None:
        """What is left of the request is not read, so the connection cannot be used again."""
        self.close_connection = True
        self._say(answer)

    def _say(self, answer: Answer) -> None:
        content = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as http.server names it
        LOG.debug(format, *args)


_NOWHERE = Answer(404, "POST /add-checkpoint (C2SP tlog-witness), or GET / for the witness's key\n")
