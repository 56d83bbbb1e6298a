"""What many tests share: one real server, with the real models, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from countenance import testing
from tests import milvus as milvus_server


@pytest.fixture(scope="session")
def running() -> Iterator[testing.TestServer]:
    """A server on a home of its own. Tests that use it name their collections apart."""
    with testing.server() as server:
        yield server


@pytest.fixture(scope="session")
def milvus() -> Iterator[milvus_server.Server]:
    """A Milvus of this session's own; only under `make test-milvus`."""
    if not milvus_server.possible():
        pytest.skip("run by `make test-milvus`")
    with milvus_server.running() as server:
        yield server
