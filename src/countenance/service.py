"""Settings -> a built Service. The only place that wires; what it builds is handed to the gate alone."""

from __future__ import annotations

import base64
import datetime as dt
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from countenance import settings as homes
from countenance.aws import model, sigv4
from countenance.aws.objects import Endpoint, Folders
from countenance.database import Database
from countenance.errors import AwsError, HomeError, UnrecognizedClient
from countenance.galleries import Galleries
from countenance.gate import Answer, Gate
from countenance.keys import Key, Keys, Organisation
from countenance.ledger import Ledger, Verified, verification
from countenance.ledger.checkpoint import verifier_key
from countenance.ledger.presence import Presence
from countenance.operations import Tools
from countenance.policy import Policy
from countenance.settings import Settings, write_private
from countenance.types import Caller, OrganisationKind
from countenance.vision import Vision


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Vocabulary(NamedTuple):
    """The places and purposes that a home's policy knows."""

    places: frozenset[str]
    purposes: frozenset[str]


class Service:
    """A home at work. What it can do for a caller is one verb: `call`.

    vision: the senses, where a test brings its own. Raises HomeError, ModelError or PolicyError where
    the home, the weights or the packs are not sound.
    """

    def __init__(self, settings: Settings, vision: Vision | None = None) -> None:
        self.settings = settings
        self._keys = Keys(_secret(settings.master_key))
        policy = Policy.load(settings.packs)
        signer = Ed25519PrivateKey.from_private_bytes(_secret(settings.ledger_key))
        ledger = Ledger(signer, settings.log_name)
        self._database = _database(settings)
        self._database.before_commit(ledger.seal)
        self._presence = Presence(settings.processes)
        tools = Tools(
            vision=vision or Vision.load(embedder=settings.embedder, threads=settings.threads or None),
            galleries=Galleries(self._database),
            database=self._database,
            objects=Endpoint(settings.s3_endpoint) if settings.s3_endpoint else Folders(settings.buckets),
            keys=self._keys,
        )
        self._gate = Gate(self._database, policy, ledger, tools, now, self._presence.name, settings.region)
        self._gate.interrupt(self._presence.alive)
        self._presence.tidy()

    def call(self, target: str | None, body: bytes, caller: Caller) -> Answer:
        """One call through the door. target: `RekognitionService.<Operation>`. body: the JSON of the wire."""
        return self._gate.call(target, body, caller)

    def answer(self, request: sigv4.Request) -> Answer:
        """One signed request: who signed it, then `call`. The one way in for HTTP and for the shell."""
        found = {}

        def secret_of(access_key_id: str) -> str | None:
            if (signer := self._signer(access_key_id)) is None:
                return None
            found[access_key_id], secret = signer
            return secret

        try:
            key = sigv4.verify(request, secret_of, now())
        except AwsError as error:
            return failure(error)
        return self.call(request.header("x-amz-target"), request.body, found[key])

    def recognise(self, request: sigv4.Request) -> None:
        """Whether a request names a key in force, before its body is read. Raises NotAuthenticated."""
        if self._signer(sigv4.claimed_key(request)) is None:
            raise UnrecognizedClient

    def _signer(self, access_key_id: str) -> tuple[Caller, str] | None:
        """Who holds a key, and the secret that checks a signature; None where no such key is in force."""
        with self._database.reading() as connection:
            return self._keys.find(connection, access_key_id)

    def close(self) -> None:
        """Finish what was begun and let go of the home."""
        self._database.close()
        self._presence.leave()


def failure(error: AwsError) -> Answer:
    """The answer to a request that did not reach the door."""
    request_id = str(uuid.uuid4())
    status, body = model.encode_error(error, request_id)
    return Answer(status, body, request_id, error=error)


def vocabulary(settings: Settings) -> Vocabulary:
    """The words of the packs in force. Raises PolicyError."""
    policy = Policy.load(settings.packs)
    return Vocabulary(policy.places, policy.purposes)


def found(settings: Settings, name: str, kind: OrganisationKind, place: str, purpose: str | None) -> Key:
    """Make a home: folders, secrets, database, one organisation and its first key.

    The key is written as an AWS credentials file. Raises HomeError where a home is there already or
    policy does not know the place or the purpose.
    """
    _check_words(settings, place, purpose)
    homes.make(settings)
    write_private(settings.master_key, os.urandom(32))
    signer = Ed25519PrivateKey.generate()
    write_private(settings.ledger_key, signer.private_bytes_raw())
    write_private(
        settings.ledger_public_key, (verifier_key(settings.log_name, signer.public_key()) + "\n").encode()
    )
    if not settings.database:
        write_private(settings.database_file, b"")
    with _administered(settings) as (keys, database):
        key, secret = database.write(
            lambda connection: keys.issue(connection, keys.register(connection, name, kind, place), purpose)
        )
    write_private(settings.credentials, credentials(key, secret, settings.region).encode())
    return key


def organisations(settings: Settings) -> list[Organisation]:
    with _administered(settings) as (keys, database), database.reading() as connection:
        return keys.organisations(connection)


def register(settings: Settings, name: str, kind: OrganisationKind, place: str) -> Organisation:
    """A further organisation. Raises HomeError where policy does not know the place."""
    _check_words(settings, place, None)
    with _administered(settings) as (keys, database):
        return database.write(lambda connection: keys.register(connection, name, kind, place))


def issue(settings: Settings, organisation: Organisation, purpose: str | None) -> tuple[Key, str]:
    """A further key and its secret, which nothing shows again.

    Raises HomeError where policy does not know the purpose.
    """
    _check_words(settings, organisation.place, purpose)
    with _administered(settings) as (keys, database):
        return database.write(lambda connection: keys.issue(connection, organisation, purpose))


def issued(settings: Settings) -> list[Key]:
    """Every key of the home, revoked ones too, oldest first."""
    with _administered(settings) as (keys, database), database.reading() as connection:
        return keys.list(connection)


def revoke(settings: Settings, access_key_id: str) -> bool:
    """Whether there was such a key in force. A running server refuses it from its next call on."""
    with _administered(settings) as (keys, database):
        return database.write(lambda connection: keys.revoke(connection, access_key_id))


def verified(settings: Settings, progress: Callable[[int, int], None] | None = None) -> Verified:
    """Read the whole ledger back, also while a server appends to it. Needs no secret of the home.

    progress: told how many entries are verified, of how many. Raises LedgerError with the first bad entry.
    """
    key = _public_key(settings.ledger_public_key)
    database = _database(settings)
    try:
        with database.reading() as connection:
            return verification.verify(connection, settings.log_name, key, progress)
    finally:
        database.close()


def credentials(key: Key, secret: str, region: str) -> str:
    """A key as AWS_SHARED_CREDENTIALS_FILE wants it."""
    return (
        "[default]\n"
        f"aws_access_key_id = {key.access_key_id}\n"
        f"aws_secret_access_key = {secret}\n"
        f"region = {region}\n"
    )


def _check_words(settings: Settings, place: str, purpose: str | None) -> None:
    known = vocabulary(settings)
    if place not in known.places:
        raise HomeError(
            f"the place {place!r} is not in the vocabulary; use a code such as US-CA, DE or world"
        )
    if purpose is not None and purpose not in known.purposes:
        raise HomeError(f"the purpose {purpose!r} is not one of {', '.join(sorted(known.purposes))}")


@contextmanager
def _administered(settings: Settings) -> Iterator[tuple[Keys, Database]]:
    keys, database = Keys(_secret(settings.master_key)), _database(settings)
    try:
        yield keys, database
    finally:
        database.close()


def _database(settings: Settings) -> Database:
    if not settings.database and not settings.database_file.exists():
        raise HomeError(f"{settings.database_file} is missing: restore this home from a backup")
    return Database(settings.database_url)


def _public_key(path: Path) -> Ed25519PublicKey:
    """The key of a C2SP verifier line: name+id+base64 of an algorithm byte and the key."""
    try:
        encoded = path.read_text().strip().split("+", 2)[2]
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded, validate=True)[1:])
    except (OSError, IndexError, ValueError) as fault:
        raise HomeError(f"{path} cannot be read as a verifier key: restore it from a backup") from fault


def _secret(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise HomeError(f"{path} is missing: restore it from a backup; nothing can replace it") from None
