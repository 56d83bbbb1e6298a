"""Which processes are at work on a home: a call cut off by a crash can so be told from one still running.

Each process holds a lock, on a file of its own or in the PostgreSQL database that it shares with other
machines, which is let go of however the process ends. Whoever can take the lock knows that its owner is gone.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path
from typing import Protocol

from countenance.database import Database


class Attendance(Protocol):
    """This process among those at work on a home."""

    name: str

    def alive(self, name: str) -> bool:
        """Whether the process of that name is at work."""

    def tidy(self) -> None:
        """Remove what dead processes left."""

    def leave(self) -> None:
        """Say that this process is gone. A second time changes nothing."""


class Presence:
    """This process among those of a home. folder: the home's `processes`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = uuid.uuid4().hex
        unlocked = folder / f".{self.name}"  # renamed once locked: nobody may take us for dead before
        self._file = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unlocked.rename(folder / self.name)

    def alive(self, name: str) -> bool:
        """Whether the process of that name is at work."""
        if name == self.name:
            return True
        try:
            file = os.open(self._folder / name, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    @classmethod
    def others(cls, folder: Path) -> bool:
        """Whether any process is at work on the home."""
        observer = cls(folder)
        try:
            return any(
                observer.alive(path.name) for path in folder.glob("[!.]*") if path.name != observer.name
            )
        finally:
            observer.leave()

    def tidy(self) -> None:
        """Remove the files that dead processes left."""
        for path in self._folder.glob("[!.]*"):
            if not self.alive(path.name):
                path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Say that this process is gone. A second time changes nothing."""
        (self._folder / self.name).unlink(missing_ok=True)
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class Connected:
    """This process among those that are connected to one PostgreSQL database, on whatever machine.

    The lock is the connection's: after a restart of PostgreSQL it is back with the next write. Who takes this
    process for gone meanwhile gives its open calls their `interrupted` entries, and they fail.
    """

    def __init__(self, database: Database) -> None:
        self.name, self.alive = database.name, database.alive

    def tidy(self) -> None:
        """PostgreSQL does."""

    def leave(self) -> None:
        """The database's `close` does."""


def attend(database: Database, folder: Path) -> Attendance:
    """Say that this process is at work. folder: the home's `processes`, where the database has no locks."""
    return Connected(database) if database.shared else Presence(folder)
