"""What an operator sets: one folder, the home, with one `settings.toml` in it."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from countenance.errors import HomeError

FILE = "settings.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """A home and how it is run. Every field but `home` is a line an operator may write in settings.toml.

    database: a PostgreSQL URL, postgresql://USER@HOST/NAME, which several servers may share
    (docs/postgresql.md); empty means the SQLite file in the home.
    index_url: a Milvus that keeps the search indexes, `milvus://[user:password@]host[:port][/database]`, by
    TLS with `milvus+tls`; empty means that each process keeps them in memory.
    packs: the policy packs in force: those that ship by name, others by the whole path of their folder.
    embedder: the card of the model that makes templates; after a change `countenance reindex` renews a
    collection from its photos.
    s3_endpoint: the URL of an S3 service for `S3Object`; empty means a bucket is a folder in `buckets`.
    sns_endpoint: the URL of an SNS service that is told when a job on stored video is over; empty means that
    a call with a NotificationChannel is refused.
    sns_topics: the topics that may be told, with this server's own credentials: each an ARN, or how one
    begins with a `*` behind it; `{account}` stands for the organisation that asks, and one that is written
    after a space may alone name it. Others are refused.
    job_hours: how long a job may take.
    job_megabytes: how much the results of a job may take in the database; the jobs of an organisation
    twenty times as much.
    region: the one that ARNs and the credentials file name; look-ups ignore it.
    threads: cores that models may use; 0 means all.
    waiting: calls that may be in the house at once; one more is told to slow down.
    publish: the folder that the worker keeps a published copy of the ledger in; empty for none.
    commercial_only: whether to load only models whose licence and training labels leave commercial use open;
    `countenance models list` says what disappears.
    signing_key: the file that holds the ledger's key where it is kept outside the home, on a volume that is
    mounted only while the server runs, say; empty means `ledger.key` in the home.
    witnesses: who outside signs the ledger's checkpoints too: each written "URL verifier-key", or with the
    verifier key alone where that one comes by itself and reads what is published.
    """

    home: Path
    log_name: str = "countenance.local/log"
    database: str = ""
    index_url: str = ""
    packs: tuple[str, ...] = ("base",)
    embedder: str = "sface-2021dec"
    s3_endpoint: str = ""
    sns_endpoint: str = ""
    sns_topics: tuple[str, ...] = ()
    job_hours: int = 12
    job_megabytes: int = 500
    region: str = "us-east-1"
    threads: int = 0
    waiting: int = 64
    commercial_only: bool = False
    signing_key: str = ""
    witnesses: tuple[str, ...] = ()
    publish: str = ""

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.database_file}"

    @property
    def database_file(self) -> Path:
        return self.home / "countenance.db"

    @property
    def master_key(self) -> Path:
        """32 random bytes that seal the secrets of API keys and page tokens."""
        return self.home / "master.key"

    @property
    def ledger_key(self) -> Path:
        """The Ed25519 seed that signs checkpoints."""
        return Path(self.signing_key) if self.signing_key else self.home / "ledger.key"

    @property
    def ledger_public_key(self) -> Path:
        """What a verifier needs: hand it to whoever audits this home."""
        return self.home / "ledger.pub"

    @property
    def credentials(self) -> Path:
        """The first key, as an AWS credentials file: point AWS_SHARED_CREDENTIALS_FILE at it."""
        return self.home / "credentials"

    @property
    def buckets(self) -> Path:
        return self.home / "buckets"

    @property
    def manifests(self) -> Path:
        """What the shell's bulk enrolment knows of the paths it took photos from."""
        return self.home / "manifests"

    @property
    def processes(self) -> Path:
        """One locked file for each process that is at work on this home."""
        return self.home / "processes"

    @property
    def server(self) -> Path:
        """Where a running server says its URL, so that the shell goes through it."""
        return self.home / "server.json"


def load(home: Path) -> Settings:
    """Read a home's settings. Raises HomeError where there is no home, or a line nobody knows."""
    path = home / FILE
    try:
        lines = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise HomeError(f"{home} is not a Countenance home: run `countenance init --home {home}`") from None
    except tomllib.TOMLDecodeError as error:
        raise HomeError(f"{path}: {error}") from None
    known = {field.name: field for field in dataclasses.fields(Settings) if field.name != "home"}
    if unknown := sorted(set(lines) - set(known)):
        raise HomeError(f"{path}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in lines.items()
    }
    for name, value in values.items():
        if type(value) is not type(known[name].default):
            like = _toml(known[name].default)
            raise HomeError(f"{path}: {name} must be written like {like}, not {value!r}")
    return Settings(home=home, **values)


def make(settings: Settings) -> None:
    """Lay out a new home: folders only its owner may enter, and the settings file.

    Raises HomeError where a home is there already.
    """
    if (settings.home / FILE).exists():
        raise HomeError(f"{settings.home} is a Countenance home already")
    for folder in (settings.home, settings.buckets, settings.manifests, settings.processes):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    lines = []
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        if field.name != "home" and (value != field.default or field.name == "packs"):
            lines.append(f"{field.name} = {_toml(value)}")
    write_private(settings.home / FILE, ("\n".join(lines) + "\n").encode())


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read. Raises FileExistsError rather than replace one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, int):
        return str(value).lower()  # true and false are integers to Python
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
