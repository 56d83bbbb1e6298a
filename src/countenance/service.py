"""Settings -> a built Service. The only place that wires; the tools it builds are handed to the gate alone."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance import settings as homes
from countenance.aws.objects import Endpoint, Folders
from countenance.database import Database
from countenance.errors import HomeError
from countenance.galleries import Galleries
from countenance.gate import Answer, Gate
from countenance.keys import Key, Keys, Organisation, caller
from countenance.ledger import Ledger
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

    Raises HomeError, ModelError or PolicyError where the home, the weights or the packs are not sound.
    """

    def __init__(self, settings: Settings, vision: Vision | None = None) -> None:
        self.settings = settings
        self.keys = Keys(_secret(settings.master_key))
        policy = Policy.load(settings.packs)
        self._presence = Presence(settings.processes)
        self.database = Database(settings.database_url)
        signer = Ed25519PrivateKey.from_private_bytes(_secret(settings.ledger_key))
        ledger = Ledger(self.database, signer, settings.log_name, now)
        self.database.before_commit(ledger.seal)
        tools = Tools(
            vision=vision or Vision.load(threads=settings.threads),
            galleries=Galleries(self.database),
            database=self.database,
            objects=Endpoint(settings.s3_endpoint) if settings.s3_endpoint else Folders(settings.buckets),
            keys=self.keys,
        )
        self._gate = Gate(self.database, policy, ledger, tools, now, self._presence.name)
        self._gate.interrupt(self._presence.alive)
        self._presence.tidy()

    def call(self, target: str | None, body: bytes, caller: Caller, region: str | None = None) -> Answer:
        """One call through the door. target: `RekognitionService.<Operation>`; body: JSON, blobs in base64."""
        return self._gate.call(target, body, caller, region or self.settings.region)

    def close(self) -> None:
        self.database.close()
        self._presence.leave()
