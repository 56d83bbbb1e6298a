"""`countenance backup` and `restore`: a whole home in one tar file, also while a server writes to it."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

import click

from countenance import office
from countenance import settings as homes
from countenance.cli import terminal
from countenance.errors import HomeError, StorageError
from countenance.postgresql import address
from countenance.settings import Settings

PLAIN = ("settings.toml", "master.key", "ledger.key", "ledger.pub", "credentials")
"""Files that are written once; a backup takes them as they are."""

DATABASE, MANIFESTS, BUCKETS = "countenance.db", "manifests", "buckets"
FOLDERS = (MANIFESTS, BUCKETS, "processes")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@terminal.home_option
@click.option(
    "--without-private",
    is_flag=True,
    help="Leave out the keys to what calls said in private, and jobs: a copy restored from FILE cannot read "
    "it, and brings back nothing that is shredded later.",
)
def backup(file: Path, home: Path, without_private: bool) -> None:
    """Write the whole home into FILE.tar: faces, ledger, keys, settings, manifests, buckets.

    The file holds every secret of the home: keep it as you keep the home itself. Nobody who is erased later
    is erased in it.
    """
    settings = homes.load(home)
    if settings.database:
        raise HomeError(_elsewhere(settings))
    if file.exists():
        raise HomeError(f"{file} exists; name a new file, or move that one away")
    with (
        _draft(file) as draft,
        tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as folder,
        tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive,
    ):
        left_out = _pack(settings, Path(folder), archive, without_private=without_private)
    click.echo(f"Wrote {file} ({file.stat().st_size / 1e6:.1f} MB). It holds this home's secrets.")
    click.echo(
        "It keeps the faces and keys of everybody enrolled today: who is erased later is not erased in it. "
        "Delete it when its time is over, and the older ones after an erasure.",
        err=True,
    )
    if not without_private:
        click.echo(
            "It also keeps what calls said in private, and the keys to it; --without-private leaves the keys "
            "out.",
            err=True,
        )
    for path in left_out:
        click.echo(f"Left out {path}: only plain files are kept.", err=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@terminal.home_option
def restore(file: Path, home: Path) -> None:
    """Make a home of FILE.tar, where there is none, and verify its ledger."""
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise HomeError(f"{home} is not empty; restore into a new folder with --home")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=home.parent) as folder:
        draft = Path(folder) / "home"
        _unpack(file, draft)
        found = office.verified(homes.load(draft))
        unreadable = _unreadable(draft / DATABASE)
        if home.exists():
            home.rmdir()
        draft.rename(home)
    click.echo(f"Restored {home}. Its ledger verifies: {found.size} entries, root {found.root.hex()}.")
    if unreadable:
        click.echo(
            f"What {unreadable} calls said in private cannot be read: the backup was made without the keys."
        )
    click.echo("Whoever was erased since the backup was made is back: erase them again before you serve.")
    click.echo("The home that was backed up must not be used beside it: their ledgers would part.")
    click.echo(f"Start it:  countenance serve --home {shlex.quote(str(home))}")


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    """Where a file is written that appears whole or not at all, for its owner's eyes alone."""
    draft = file.with_name(f".{file.name}.part")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
        descriptor = os.open(draft, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        draft.rename(file)
    finally:
        draft.unlink(missing_ok=True)


def _pack(settings: Settings, folder: Path, archive: tarfile.TarFile, *, without_private: bool) -> list[Path]:
    """Everything of a home that lasts; what was left out. folder: for copies of databases at one moment."""
    for name in PLAIN:
        if (path := settings.home / name).exists():
            archive.add(path, name)
    databases = [settings.database_file, *sorted(settings.manifests.glob("*.manifest"))]
    for number, path in enumerate(databases):
        copy = folder / str(number)
        _copy(path, copy)
        if without_private and path == settings.database_file:
            _forget_keys(copy)
        archive.add(copy, str(path.relative_to(settings.home)), filter=_private)
        copy.unlink()
    left_out = []
    for parent, folders, names in os.walk(settings.buckets):
        folders.sort()
        for path in (Path(parent, name) for name in sorted(names)):
            if path.is_symlink() or not path.is_file():
                left_out.append(path)
                continue
            archive.add(path, str(path.relative_to(settings.home)))
    return left_out


def _copy(database: Path, target: Path) -> None:
    """A SQLite file as of one moment, whatever is being written; what was deleted is not in it.

    Raises StorageError.
    """
    target.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=30)) as source:
            source.execute("PRAGMA temp_store=MEMORY")
            source.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as fault:
        raise StorageError(f"{database} cannot be copied: {fault}") from fault


def _forget_keys(copy: Path) -> None:
    """Take the keys to private records out of a copy, so that no byte of them is in it; and jobs, which hold
    the same until they are forgotten."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as database:
        for pragma in ("temp_store=MEMORY", "journal_mode=MEMORY", "secure_delete=ON"):
            database.execute(f"PRAGMA {pragma}")
        for table in ("vault_keys", "findings", "jobs"):
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                database.execute(f"DELETE FROM {table}")  # noqa: S608 - one of the three above
        database.execute("VACUUM")


def _unreadable(database: Path) -> int:
    """How many private records of a home have no key."""
    query = "SELECT count(*) FROM vault WHERE decision NOT IN (SELECT decision FROM vault_keys)"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'vault_keys'").fetchone():
            return 0
        return int(opened.execute(query).fetchone()[0])


def _private(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o600
    return member


def _unpack(file: Path, home: Path) -> None:
    """Write a backup's files where they belong, and nothing anywhere else. Raises HomeError."""
    for folder in (home, *(home / name for name in FOLDERS)):
        folder.mkdir(mode=0o700)
    try:
        with tarfile.open(file, "r:") as archive:
            for member in archive:
                target = home / _checked(member)
                for parent in reversed(target.relative_to(home).parents):
                    (home / parent).mkdir(mode=0o700, exist_ok=True)
                content = archive.extractfile(member)
                assert content is not None  # it is a regular file
                with content, os.fdopen(_new(target), "wb") as out:
                    shutil.copyfileobj(content, out)
                    out.flush()
                    os.fsync(out.fileno())
    except (tarfile.TarError, EOFError, FileExistsError) as fault:
        raise HomeError(f"{file} is not a whole backup: {fault}") from fault
    for name in ("settings.toml", DATABASE, "master.key", "ledger.key", "ledger.pub"):
        if not (home / name).exists():
            raise HomeError(f"{file} is not a whole backup: {name} is not in it")


def _new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _checked(member: tarfile.TarInfo) -> PurePosixPath:
    """A member's place in the home. Only what `backup` writes: no link, no device, no way out."""
    path = PurePosixPath(member.name)
    known = (
        member.name in {*PLAIN, DATABASE}
        or (path.parts[:1] == (MANIFESTS,) and len(path.parts) == 2 and path.suffix == ".manifest")
        or (path.parts[:1] == (BUCKETS,) and len(path.parts) > 2)
    )
    if not member.isreg() or not known or ".." in path.parts or str(path) != member.name:
        raise HomeError(f"the archive holds {member.name!r}, which no backup of Countenance does")
    return path


def _elsewhere(settings: Settings) -> str:
    """What to do about a database that is not in the home. No password is shown."""
    url = address(settings.database)
    if url.get_backend_name() == "sqlite":
        return (
            f"this home's database is {url}: back that up by its own means, and the folder {settings.home} "
            "beside it"
        )
    plain = url.set(drivername="postgresql", password=None).render_as_string()
    return (
        f"this home's database is PostgreSQL's, which has its own means: `pg_dump --format=custom "
        f"--file=FILE {shlex.quote(plain)}`, and the folder {settings.home}, which holds the keys, beside it "
        "(docs/postgresql.md)"
    )
