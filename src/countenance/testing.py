"""A real server for tests of programs that use Countenance, or Amazon Rekognition.

    @pytest.fixture(scope="session")
    def rekognition():
        with countenance.testing.server() as running:
            yield running.client()

It has a home of its own in a temporary folder, a free loopback port and the real models; nothing in the
environment or in ~/.aws is read or changed.
"""

from __future__ import annotations

import configparser
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from countenance import office, service
from countenance import settings as homes
from countenance.server import Running
from countenance.settings import Settings
from countenance.types import OrganisationKind
from countenance.worker import Crew


class TestServer:
    """A server in a thread of this process. home: its folder. url: what `endpoint_url` takes."""

    __test__ = False  # pytest collects by name

    def __init__(self, settings: Settings) -> None:
        self._closed = False
        self.home = settings.home
        self.settings = settings
        self._service = service.Service(homes.load(settings.home))
        self._running = Running(self._service)
        self._crew = Crew(self._service)
        self.url = self._running.url
        ready = threading.Event()
        self._thread = threading.Thread(target=self._running.serve_here, args=(ready.set,), daemon=True)
        self._thread.start()
        while not ready.wait(0.1):
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start; its log says why")
        self._crew.start()

    def client(self, name: str = "rekognition", credentials: Path | None = None, **arguments: Any) -> Any:
        """A boto3 client of this server. credentials: another AWS credentials file than the home's.

        Further arguments go to boto3 as they are.
        """
        config = Config(proxies={}, read_timeout=300).merge(arguments.pop("config", None) or Config())
        key = configparser.ConfigParser()
        key.read_string((credentials or self.settings.credentials).read_text())
        return boto3.session.Session().client(
            name,
            endpoint_url=self.url,
            config=config,
            **{
                "region_name": key["default"]["region"],
                "aws_access_key_id": key["default"]["aws_access_key_id"],
                "aws_secret_access_key": key["default"]["aws_secret_access_key"],
                **arguments,
            },
        )

    def close(self) -> None:
        """Finish the calls in flight and let go of the home. The home stays; `server` removes it."""
        if self._closed:
            return
        self._closed = True
        self._running.stop()
        self._thread.join()
        self._crew.stop()
        self._service.close()


@contextmanager
def server(
    *,
    kind: OrganisationKind = OrganisationKind.INDIVIDUAL,
    place: str = "world",
    purpose: str | None = "development",
    packs: Sequence[str] = ("base",),
) -> Iterator[TestServer]:
    """A new home and a server on it, for as long as the block lasts.

    kind, place, purpose: of the organisation that holds the first key, as `countenance init` takes them.
    packs: the policy packs in force.
    """
    with tempfile.TemporaryDirectory(prefix="countenance-") as folder:
        settings = Settings(home=Path(folder) / "home", packs=tuple(packs))
        office.found(settings, "tests", kind, place, purpose)
        running = TestServer(settings)
        try:
            yield running
        finally:
            running.close()
