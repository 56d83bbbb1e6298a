"""Settings -> a built Service. The only place that wires; what it builds is handed to the gate alone."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance import settings as homes
from countenance.aws.objects import Endpoint, Folders
from countenance.database import Database
from countenance.errors import HomeError
from countenance.galleries import Galleries
from countenance.gate import Answer, Gate
from countenance.keys import Key, Keys
from countenance.ledger import Ledger
from countenance.ledger.checkpoint import verifier_key
from countenance.ledger.presence import Presence
from countenance.operations import Tools
from countenance.policy import Policy
from countenance.settings import Settings, write_private
from countenance.types import Caller, OrganisationKind
from countenance.vision import Vision


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


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
        self._database = Database(settings.database_url)
        self._database.before_commit(ledger.seal)
        self._presence = Presence(settings.processes)
        tools = Tools(
            vision=vision or Vision.load(threads=settings.threads or None),
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

    def signer(self, access_key_id: str) -> tuple[Caller, str] | None:
        """Who holds a key, and the secret that checks a signature; None where no such key is in force."""
        with self._database.reading() as connection:
            return self._keys.find(connection, access_key_id)

    def close(self) -> None:
        """Finish what was begun and let go of the home."""
        self._database.close()
        self._presence.leave()


def found(settings: Settings, name: str, kind: OrganisationKind, place: str, purpose: str | None) -> Key:
    """Make a home: folders, secrets, database, one organisation and its first key.

    The key is written as an AWS credentials file. Raises HomeError where a home is there already or
    policy does not know the place or the purpose.
    """
    policy = Policy.load(settings.packs)
    if place not in policy.places:
        raise HomeError(
            f"the place {place!r} is not in the vocabulary; use a code such as US-CA, DE or world"
        )
    if purpose is not None and purpose not in policy.purposes:
        raise HomeError(f"the purpose {purpose!r} is not one of {', '.join(sorted(policy.purposes))}")
    homes.make(settings)
    write_private(settings.master_key, os.urandom(32))
    signer = Ed25519PrivateKey.generate()
    write_private(settings.ledger_key, signer.private_bytes_raw())
    write_private(
        settings.ledger_public_key, (verifier_key(settings.log_name, signer.public_key()) + "\n").encode()
    )
    keys = Keys(_secret(settings.master_key))
    os.close(os.open(settings.database_file, os.O_CREAT | os.O_WRONLY, 0o600))
    database = Database(settings.database_url)
    try:
        key, secret = database.write(
            lambda connection: keys.issue(connection, keys.register(connection, name, kind, place), purpose)
        )
    finally:
        database.close()
    write_private(settings.credentials, credentials(key, secret, settings.region).encode())
    return key


def credentials(key: Key, secret: str, region: str) -> str:
    """A key as AWS_SHARED_CREDENTIALS_FILE wants it."""
    return (
        "[default]\n"
        f"aws_access_key_id = {key.access_key_id}\n"
        f"aws_secret_access_key = {secret}\n"
        f"region = {region}\n"
    )


def _secret(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise HomeError(f"{path} is missing: restore it from a backup; nothing can replace it") from None
