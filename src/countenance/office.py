"""The operator's desk: a home is made, organisations registered, keys issued and revoked, the ledger read.

None of it needs the senses or passes the door: whoever can read a home's files is its operator. What
changes who may call is an entry in the ledger.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.engine import Connection

from countenance import postgresql
from countenance import settings as homes
from countenance.database import Database, refusals
from countenance.errors import HomeError, LedgerError, StorageError
from countenance.galleries import Milvus
from countenance.keys import Key, Keys, Organisation
from countenance.ledger import (
    Act,
    Ledger,
    Record,
    Vault,
    Verified,
    checkpoint,
    govern_entry,
    packs_entry,
    settings_entry,
    verification,
)
from countenance.ledger.presence import Presence
from countenance.ledger.submission import Witness
from countenance.ledger.verification import Snapshots
from countenance.policy import Policy, usual
from countenance.policy.pack import shipped
from countenance.postgresql import address
from countenance.schema import entries, home
from countenance.settings import Settings, write_private
from countenance.types import LAW_ENFORCEMENT, OrganisationKind

LOG_NAMES = "countenance.local"
"""What the ledgers' names begin with where the operator chose none. The rest is random, so that the
checkpoints of two homes cannot be taken for each other's."""


class Vocabulary(NamedTuple):
    """The words that a home's policy knows."""

    places: frozenset[str]
    purposes: frozenset[str]
    groups: frozenset[str]


def vocabulary(settings: Settings) -> Vocabulary:
    """The words of the packs in force. Raises PolicyError."""
    policy = Policy.read(settings.packs)
    return Vocabulary(policy.places, policy.purposes, policy.groups)


def usual_packs(place: str) -> tuple[str, ...]:
    """What a new home in a place begins with: base, three pledges and the laws of the place."""
    return usual(place)


def places() -> frozenset[str]:
    """Every place that a pack which ships with Countenance knows."""
    return Policy.read(shipped()).places


def note_packs(connection: Connection, ledger: Ledger, policy: Policy) -> bool:
    """Record in the ledger that other packs are in force than at the last start; whether that is so."""
    names = sorted(pack.name for pack in policy.packs)
    noted = json.dumps([policy.digest, names])
    before = connection.execute(sa.select(home.c.packs)).scalar_one()
    if before == noted:
        return False
    try:
        known = tuple(json.loads(before)) if before else None
        entry = packs_entry(now=dt.datetime.now(dt.UTC), digest=policy.digest, packs=names, before=known)
    except (IndexError, TypeError, ValueError) as fault:
        raise HomeError(f"the packs of the last start were changed in the database: {fault}") from fault
    ledger.append(connection, entry)
    connection.execute(home.update().values(packs=noted))
    return True


def note_settings(connection: Connection, ledger: Ledger, compares: Mapping[str, Any]) -> bool:
    """Record in the ledger that something else compares than at the last start; whether that is so.

    compares: models, curves and defaults, as the ledger writes them.
    """
    noted = json.dumps(compares, sort_keys=True)
    before = connection.execute(sa.select(home.c.models)).scalar_one()
    if before == noted:
        return False
    try:
        known = dict(json.loads(before)) if before else {}
        entry = settings_entry(now=dt.datetime.now(dt.UTC), settings=compares, before=known)
        ledger.append(connection, entry)
    except (TypeError, ValueError) as fault:
        raise HomeError(f"the models of the last start were changed in the database: {fault}") from fault
    connection.execute(home.update().values(models=noted))
    return True


def found(settings: Settings, name: str, kind: OrganisationKind, place: str, purpose: str | None) -> Key:
    """Make a home: folders, secrets, database, one organisation and its first key.

    purpose: what the key is for; law enforcement has to say it on each call. The key is written as an AWS
    credentials file. Raises HomeError where a home is there already, in the folder or in the database that
    the settings name, or policy does not know the place or the purpose; StorageError where that database does
    not answer.
    """
    purposes = [] if purpose is None else [purpose]
    _check_words(settings, place, purposes)
    if settings.database:
        _check_vacant(settings)
    if settings.log_name == Settings(home=settings.home).log_name:
        settings = dataclasses.replace(settings, log_name=f"{LOG_NAMES}/{secrets.token_hex(6)}")
    homes.make(settings)
    write_private(settings.master_key, os.urandom(32))
    signer = Ed25519PrivateKey.generate()
    write_private(settings.ledger_key, signer.private_bytes_raw())
    public = checkpoint.verifier_key(settings.log_name, signer.public_key())
    write_private(settings.ledger_public_key, f"{public}\n".encode())
    if not settings.database:
        write_private(settings.database_file, b"")

    def first(connection: Connection) -> tuple[Key, str]:
        return office.issue(connection, office.register(connection, name, kind, place), purposes)

    with _administered(settings) as office:
        key, secret = office.database.write(first)
    write_private(settings.credentials, credentials(key, secret, settings.region).encode())
    return key


def organisations(settings: Settings) -> list[Organisation]:
    with _administered(settings) as office, office.database.reading() as connection:
        return office.keys.organisations(connection)


def register(
    settings: Settings,
    name: str,
    kind: OrganisationKind,
    place: str,
    groups: Collection[str] = (),
    purposes: Collection[str] = (),
) -> Organisation:
    """A further organisation. purposes: what its first key is to be for, if that is known: what is
    registered stays, so no misspelt word may leave it behind.

    Raises HomeError where policy does not know the place, a group or a purpose.
    """
    _check_words(settings, place, purposes, groups)
    with _administered(settings) as office:
        return office.database.write(
            lambda connection: office.register(connection, name, kind, place, groups)
        )


def issue(
    settings: Settings,
    organisation: Organisation,
    purposes: Sequence[str],
    *,
    policy_owner: bool = False,
    quota: int | None = None,
) -> tuple[Key, str]:
    """A further key and its secret, which nothing shows again.

    purposes: what its calls may be for; the first is for those that do not say, except with law enforcement,
    whose every call has to. quota: calls a day that it may make. Raises HomeError where policy does not know
    a purpose.
    """
    _check_words(settings, organisation.place, purposes)
    with _administered(settings) as office:
        return office.database.write(
            lambda connection: office.issue(
                connection, organisation, purposes, policy_owner=policy_owner, quota=quota
            )
        )


def issued(settings: Settings) -> list[Key]:
    """Every key of the home, revoked ones too, oldest first."""
    with _administered(settings) as office, office.database.reading() as connection:
        return office.keys.list(connection)


def revoke(settings: Settings, access_key_id: str) -> bool:
    """Whether there was such a key in force. A running server refuses it from its next call on."""
    with _administered(settings) as office:
        return office.database.write(lambda connection: office.revoke(connection, access_key_id))


def limit(settings: Settings, access_key_id: str, quota: int | None) -> bool:
    """Give a key in force another quota of calls a day, None for any number; whether there was such a key."""
    with _administered(settings) as office:
        return office.database.write(lambda connection: office.limit(connection, access_key_id, quota))


def verified(
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
    *,
    public_key: Path | None = None,
    known: Path | None = None,
) -> Verified:
    """Read the whole ledger back, also while a server appends to it, and change nothing. Needs no secret.

    progress: told how many entries are verified, of how many. public_key: a copy of `ledger.pub` that was
    kept outside the home. known: a file with a checkpoint that the ledger must extend.
    Raises LedgerError with the first bad entry, and HomeError where a file that was kept is not of this log.
    """
    name, keys = public_keys(public_key or settings.ledger_public_key)
    _check_log(settings, public_key, name)
    note = _kept(settings, known) if known else None
    with reading(settings) as snapshots:
        seals = [(each.name, each.key) for each in map(Witness.read, settings.witnesses)]
        return verification.verify(snapshots, name, keys[0], progress, note, seals)


def rotate(settings: Settings) -> str:
    """Have a new key sign the ledger from here on; its verifier key.

    The head that both keys signed leads whoever holds the old one to the new one. The new key lies beside
    the old one until the change is on the disk, then in its place; a rotation that was cut off is finished.
    Raises HomeError while another process is at work on the home: it would go on with the old key.
    """
    files = settings.ledger_key, settings.ledger_key.with_name(f"{settings.ledger_key.name}.new")
    if Presence.others(settings.processes) or _anybody_connected(settings):
        raise HomeError("a server is at work on this home: stop it first, then change the key")
    if not files[1].exists():
        write_private(files[1], Ed25519PrivateKey.generate().private_bytes_raw())
    successor = Ed25519PrivateKey.from_private_bytes(secret_of(files[1]))
    line = checkpoint.verifier_key(settings.log_name, successor.public_key())
    with reading(settings) as snapshots, snapshots() as connection:
        done = verification.newest_key(connection) == line
    if not done:
        with _administered(settings) as office:
            now = dt.datetime.now(dt.UTC)
            office.database.write(lambda connection: office.ledger.hand_over(connection, successor, now))
    known = settings.ledger_public_key.read_text("utf-8").splitlines()
    if line not in known:
        draft = settings.ledger_public_key.with_name(".ledger.pub.new")
        draft.unlink(missing_ok=True)
        write_private(draft, "".join(f"{each}\n" for each in [*known, line]).encode())
        draft.replace(settings.ledger_public_key)
    files[1].replace(files[0])
    return line


def entry(settings: Settings, number: int) -> dict[str, Any]:
    """One entry of the ledger as it is written, not verified. Raises LedgerError where there is none."""
    query = sa.select(verification.raw(entries.c.body)).where(entries.c.seq == number)
    with reading(settings) as snapshots, snapshots() as connection:
        body: bytes | None = connection.execute(query).scalar_one_or_none()
    if body is None:
        raise LedgerError(f"the ledger has no entry {number}")
    written: dict[str, Any] = json.loads(bytes(body))
    return written


def disclosed(settings: Settings, number: int) -> Record:
    """What a call said that the ledger only commits to, with the record's key: whoever is shown both can hold
    them to the entry. Raises LedgerError where there is no such entry, where nothing private was said, and
    where its key was destroyed."""
    with reading(settings) as snapshots, snapshots() as connection:
        record = Vault(Keys(secret_of(settings.master_key))).open(connection, number)
    if record is None:
        entry(settings, number)
        raise LedgerError(
            f"entry {number} has no private record: nothing private was said, or its key was destroyed",
            number,
        )
    return record


def credentials(key: Key, secret: str, region: str) -> str:
    """A key as AWS_SHARED_CREDENTIALS_FILE wants it."""
    return (
        "[default]\n"
        f"aws_access_key_id = {key.access_key_id}\n"
        f"aws_secret_access_key = {secret}\n"
        f"region = {region}\n"
    )


def _kept(settings: Settings, file: Path) -> str:
    note = text_of(file)
    try:
        _check_log(settings, file, checkpoint.peek(note).origin)
    except LedgerError as fault:
        raise HomeError(f"{file} holds no checkpoint: {fault}") from fault
    return note


def _check_log(settings: Settings, kept: Path | None, name: str) -> None:
    if kept and name != settings.log_name:
        raise HomeError(
            f"{kept} is of the log {name}, and this home's is {settings.log_name}: it is the wrong file, or "
            "another ledger was put in the place of the one you knew"
        )


def _check_words(
    settings: Settings, place: str, purposes: Collection[str], groups: Collection[str] = ()
) -> None:
    known = vocabulary(settings)
    if place not in known.places:
        raise HomeError(
            f"the place {place!r} is not in the vocabulary; use a code such as US-CA, DE or world"
        )
    for what, said, words in (("purpose", purposes, known.purposes), ("group", groups, known.groups)):
        if unknown := [word for word in said if word not in words]:
            raise HomeError(f"the {what} {unknown[0]!r} is not one of {', '.join(sorted(words))}")


@dataclass(frozen=True, slots=True)
class _Office:
    """Where it is changed who may call. The change and its entry in the ledger are one transaction."""

    keys: Keys
    database: Database
    ledger: Ledger

    def register(
        self,
        connection: Connection,
        name: str,
        kind: OrganisationKind,
        place: str,
        groups: Collection[str] = (),
    ) -> Organisation:
        organisation = self.keys.register(connection, name, kind, place, groups)
        self._record(connection, Act.REGISTER, organisation)
        return organisation

    def issue(
        self,
        connection: Connection,
        organisation: Organisation,
        purposes: Sequence[str],
        *,
        policy_owner: bool = False,
        quota: int | None = None,
    ) -> tuple[Key, str]:
        default = None if organisation.kind in LAW_ENFORCEMENT or not purposes else purposes[0]
        others = set(purposes) - {default}
        key, secret = self.keys.issue(
            connection, organisation, default, others, policy_owner=policy_owner, quota=quota
        )
        self._record(connection, Act.ISSUE, organisation, key)
        return key, secret

    def revoke(self, connection: Connection, access_key_id: str) -> bool:
        key = self.keys.revoke(connection, access_key_id)
        if key is not None:
            self._record(connection, Act.REVOKE, key.organisation, key)
        return key is not None

    def limit(self, connection: Connection, access_key_id: str, quota: int | None) -> bool:
        key = self.keys.limit(connection, access_key_id, quota)
        if key is not None:
            self._record(connection, Act.LIMIT, key.organisation, key)
        return key is not None

    def _record(
        self, connection: Connection, act: Act, organisation: Organisation, key: Key | None = None
    ) -> None:
        entry = govern_entry(
            now=dt.datetime.now(dt.UTC),
            act=act,
            account=organisation.account,
            kind=organisation.kind,
            place=organisation.place,
            groups=organisation.groups,
            purpose=key.purpose if key else None,
            purposes=key.purposes if key else (),
            policy_owner=key is not None and key.policy_owner,
            quota=key.quota if key else None,
            pseudonym=self.keys.pseudonym(key.access_key_id) if key else None,
        )
        self.ledger.append(connection, entry)


@contextmanager
def _administered(settings: Settings) -> Iterator[_Office]:
    keys, ledger, database = Keys(secret_of(settings.master_key)), ledger_of(settings), database_of(settings)
    database.keep(ledger)
    try:
        yield _Office(keys, database, ledger)
    finally:
        database.close()


def ledger_of(settings: Settings) -> Ledger:
    return Ledger(Ed25519PrivateKey.from_private_bytes(secret_of(settings.ledger_key)), settings.log_name)


def database_of(settings: Settings) -> Database:
    _check_database(settings)
    return Database(settings.database_url)


def milvus_of(settings: Settings) -> Milvus | None:
    """Where a home's search indexes are, if not in memory. Nobody is asked yet. Raises HomeError."""
    return Milvus(settings.index_url, settings.log_name) if settings.index_url else None


def _check_database(settings: Settings) -> None:
    if not settings.database and not settings.database_file.exists():
        raise HomeError(f"{settings.database_file} is missing: restore this home from a backup")


def _check_vacant(settings: Settings) -> None:
    """Raises HomeError where the database of a home that is to be made holds one already."""
    with reading(settings) as snapshots, snapshots() as connection:
        if sa.inspect(connection).has_table(home.name):
            raise HomeError(
                f"there is a home in {address(settings.database)} already: give a database of its own, or "
                "copy that home's folder to here for another server on it (docs/postgresql.md)"
            )


def _anybody_connected(settings: Settings) -> bool:
    """Whether any process, on whatever machine, has the home's PostgreSQL database open to write."""
    with reading(settings) as snapshots, snapshots() as connection:
        return connection.dialect.name == postgresql.NAME and postgresql.at_work(connection)


@contextmanager
def reading(settings: Settings) -> Iterator[Snapshots]:
    """Reads of a home's database that change nothing in it: no migration, no writer."""
    _check_database(settings)
    url = address(settings.database_url)
    if url.get_backend_name() == postgresql.NAME:
        engine = postgresql.engine(url, size=1, writes=False)
    else:
        file = Path(str(url.database))
        query = {"mode": "ro", "uri": "true"}
        if not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists():
            query["immutable"] = "1"  # SQLite has nowhere to put its locks; nobody writes there either
        url = sa.URL.create("sqlite", database=f"file:{quote(str(file))}", query=query)
        engine = sa.create_engine(url, connect_args={"isolation_level": None, "timeout": 10})

    @contextmanager
    def snapshot() -> Iterator[Connection]:
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection

    try:
        yield snapshot
    except refusals() as fault:
        why = postgresql.told(fault)
        hint = "; `countenance worker --once` brings an older home up to date" if "no such" in why else ""
        raise StorageError(f"the database cannot be read: {why}{hint}") from fault
    finally:
        engine.dispose()


def public_keys(path: Path) -> tuple[str, tuple[Ed25519PublicKey, ...]]:
    """A log's name and its keys, oldest first, of a file of C2SP verifier lines. Raises HomeError."""
    try:
        lines = [checkpoint.read_key(line) for line in text_of(path).splitlines() or [""]]
    except LedgerError as fault:
        raise HomeError(f"{path} is not a verifier key: {fault}") from fault
    if len({name for name, _ in lines}) != 1:
        raise HomeError(f"{path} holds keys of more than one log")
    return lines[0][0], tuple(key for _, key in lines)


def text_of(path: Path) -> str:
    """Raises HomeError, also where the file is no text."""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "it is no text"
        raise HomeError(f"{path} cannot be read: {why}") from fault


def secret_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise HomeError(f"{path} is missing: restore it from a backup; nothing can replace it") from None
