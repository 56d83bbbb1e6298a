"""A home on PostgreSQL from the shell."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.postgres import Server
from tests.unit.cli.conftest import Shell

PASSWORD = "hunter2"


@pytest.fixture
def url(postgres: Server) -> Iterator[str]:
    with postgres.fresh() as url:
        yield sa.make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)


def test_a_home_on_postgresql_is_made_used_and_never_tells_its_password(
    shell: Shell, tmp_path: Path, url: str
) -> None:
    home, said = tmp_path / "home", ""
    said += shell("init", "--home", home, "--database", url).output
    settings = home / "settings.toml"
    assert PASSWORD in settings.read_text()
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert not (home / "countenance.db").exists()
    said += shell("keys", "create", "--home", home).output
    said += shell("keys", "list", "--home", home).output
    said += shell("worker", "--once", "--sweep", "--home", home).output
    said += shell("ledger", "rotate", "--home", home).output
    told = shell("ledger", "verify", "--home", home).output
    assert re.search(r"entries +4\n", told), told
    refused = shell("backup", tmp_path / "b.tar", "--home", home, code=1).output
    assert "pg_dump --format=custom" in refused
    again = shell("init", "--home", tmp_path / "second", "--database", url, code=1).output
    assert "there is a home in" in again
    assert PASSWORD not in said + told + refused + again


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("mysql://ada:hunter2@db.example/home", "is no URL that Countenance knows"),
        ("ada:hunter2@db.example", "is no URL that Countenance knows"),
        ("postgresql://ada:hunter2@/home?host=/nowhere", "PostgreSQL cannot be reached"),
    ],
)
def test_a_database_that_cannot_be_had_leaves_no_half_a_home(
    shell: Shell, tmp_path: Path, bad: str, why: str
) -> None:
    told = shell("init", "--home", tmp_path / "home", "--database", bad, code=1).output
    assert why in told
    assert PASSWORD not in told
    assert not (tmp_path / "home").exists()
