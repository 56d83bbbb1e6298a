"""The session's one server seen by its clients: keys of several organisations, boto3, HTTP by hand."""

from __future__ import annotations

import configparser
import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from countenance.database import Database
from countenance.keys import Keys
from countenance.settings import Settings
from countenance.testing import TestServer
from countenance.types import OrganisationKind
from tests.parity.wire import Key, Wire


@dataclass(frozen=True)
class House:
    """A server at work on a home. key: the first one."""

    settings: Settings
    url: str
    key: Key

    @classmethod
    def of(cls, server: TestServer) -> House:
        parser = configparser.ConfigParser()
        parser.read_string(server.settings.credentials.read_text())
        key = Key(parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"])
        return cls(server.settings, server.url, key)

    def client(self, key: Key | None = None, region: str = "us-east-1", url: str | None = None) -> Any:
        """An ordinary boto3 client: nothing but the endpoint is ours. Refusals are not tried again."""
        key = key or self.key
        return boto3.session.Session().client(
            "rekognition",
            endpoint_url=url or self.url,
            region_name=region,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def issue(self, kind: OrganisationKind, purpose: str | None = "general") -> Key:
        """A key of another organisation on the same home."""
        keys = Keys(self.settings.master_key.read_bytes())
        database = Database(self.settings.database_url)
        try:
            key, secret = database.write(
                lambda connection: keys.issue(
                    connection, keys.register(connection, f"some {kind}", kind, "US-CA"), purpose
                )
            )
        finally:
            database.close()
        return Key(key.access_key_id, secret)


SECOND = """
import pathlib, sys
from countenance import settings, testing

server = testing.TestServer(settings.load(pathlib.Path(sys.argv[1])))
print(server.url, flush=True)
sys.stdin.read()
server.close()
"""


@contextlib.contextmanager
def second_process(home: Settings) -> Iterator[str]:
    """Another server on the same home, in a process of its own, until its input ends; its URL."""
    command = [sys.executable, "-c", SECOND, str(home.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()
    assert process.returncode == 0


@pytest.fixture(scope="session", autouse=True)
def _without_the_users_aws() -> Iterator[None]:
    """What the user's own AWS configuration says must not change a test, nor a test's child."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def house(running: TestServer) -> House:
    return House.of(running)


@pytest.fixture(scope="session")
def client(house: House) -> Any:
    return house.client()


@pytest.fixture(scope="session")
def wire(house: House) -> Wire:
    port = urlsplit(house.url).port
    assert port is not None
    return Wire(port, house.key)


@pytest.fixture(scope="session")
def police(house: House) -> Key:
    return house.issue(OrganisationKind.POLICE)


@pytest.fixture
def new(client: Any) -> Callable[[], str]:
    """Makes a collection under a name nobody used."""

    def make() -> str:
        name = f"people-{uuid.uuid4()}"
        client.create_collection(CollectionId=name)
        return name

    return make


@pytest.fixture
def people(new: Callable[[], str]) -> str:
    return new()


@pytest.fixture
def buckets(house: House) -> Path:
    return house.settings.buckets


def refusal(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def names(faces: list[dict[str, Any]]) -> list[str]:
    return [face["ExternalImageId"] for face in faces]


def index(client: Any, collection: str, photo: bytes, name: str, **options: Any) -> list[dict[str, Any]]:
    answer = client.index_faces(
        CollectionId=collection, Image={"Bytes": photo}, ExternalImageId=name, **options
    )
    return [record["Face"] for record in answer["FaceRecords"]]
