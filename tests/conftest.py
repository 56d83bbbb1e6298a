"""What many tests share: one real server, with the real models, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from countenance import testing


@pytest.fixture(scope="session")
def running() -> Iterator[testing.TestServer]:
    """A server on a home of its own. Tests that use it name their collections apart."""
    with testing.server() as server:
        yield server
