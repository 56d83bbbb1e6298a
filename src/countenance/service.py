"""Settings -> a built Service. The only place that wires; what it builds is handed to the gate alone."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from contextlib import ExitStack
from importlib.metadata import version

from countenance.aws import declaration, model, sigv4
from countenance.aws.objects import stored
from countenance.declared import NOTHING, Declared
from countenance.errors import AwsError, StorageError, UnrecognizedClient
from countenance.galleries import Galleries
from countenance.gate import Answer, Gate
from countenance.keys import Keys
from countenance.ledger import Vault
from countenance.ledger.presence import attend
from countenance.office import database_of, ledger_of, milvus_of, note_packs, note_settings, secret_of
from countenance.operations import SIMILARITY, Tools
from countenance.policy import Policy
from countenance.settings import Settings
from countenance.types import Caller
from countenance.vision import Vision

LOG = logging.getLogger(__name__)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Service:
    """A home at work. What it can do for a caller is one verb: `call`.

    vision: the senses, where a test brings its own. Raises HomeError, ModelError, PolicyError or
    LedgerError where the home, the weights, the packs or the record are not sound.
    """

    def __init__(self, settings: Settings, vision: Vision | None = None) -> None:
        self.settings = settings
        self._keys = Keys(secret_of(settings.master_key))
        policy = Policy.load(settings.packs)
        ledger = ledger_of(settings)
        with ExitStack() as undo:
            self._database = database_of(settings)
            undo.callback(self._database.close)
            self._database.keep(ledger)
            self._warn_of_unusable_keys()
            self._presence = attend(self._database, settings.processes)
            undo.callback(self._presence.leave)
            tools = Tools(
                vision=vision
                or Vision.load(
                    embedder=settings.embedder,
                    threads=settings.threads or None,
                    commercial_only=settings.commercial_only,
                ),
                galleries=Galleries(self._database, milvus_of(settings)),
                database=self._database,
                objects=stored(settings.s3_endpoint, settings.buckets),
                keys=self._keys,
                ledger=ledger,
                vault=Vault(self._keys),
                retention=policy.retention,
            )
            self._gate = Gate(
                self._database, policy, ledger, tools, now, self._presence.name, settings.region
            )
            self._gate.interrupt(self._presence.alive)
            if self._database.write(lambda connection: note_packs(connection, ledger, policy)):
                LOG.info("packs in force: %s", ", ".join(pack.name for pack in policy.packs))
            if self._database.write(lambda connection: note_settings(connection, ledger, compares(tools))):
                LOG.info("what compares is noted in the ledger: %s", tools.vision.model)
            self._presence.tidy()
            self._scrub_after_a_crash()
            undo.pop_all()

    def call(self, target: str | None, body: bytes, caller: Caller, declared: Declared = NOTHING) -> Answer:
        """One call through the door. target: `RekognitionService.<Operation>`. body: the JSON of the wire."""
        return self._gate.call(target, body, caller, declared)

    def answer(self, request: sigv4.Request) -> Answer:
        """One signed request: who signed it, what it declares, then `call`. HTTP and shell come in here."""
        found = {}

        def secret_of(access_key_id: str) -> str | None:
            if (signer := self._signer(access_key_id)) is None:
                return None
            found[access_key_id], secret = signer
            return secret

        try:
            key = sigv4.verify(request, secret_of, now())
            declared = declaration.read(request.headers, self._gate.policy.vocabulary)
        except AwsError as error:
            return failure(error)
        return self.call(request.header("x-amz-target"), request.body, found[key], declared)

    def recognise(self, request: sigv4.Request) -> None:
        """Whether a request names a key in force, before its body is read. Raises NotAuthenticated."""
        if self._signer(sigv4.claimed_key(request)) is None:
            raise UnrecognizedClient

    def _signer(self, access_key_id: str) -> tuple[Caller, str] | None:
        """Who holds a key, and the secret that checks a signature; None where no such key is in force."""
        with self._database.reading() as connection:
            return self._keys.find(connection, access_key_id)

    def _warn_of_unusable_keys(self) -> None:
        """Raises HomeError where no key in force can be used."""
        with self._database.reading() as connection:
            for key in self._keys.unusable(connection):
                LOG.warning("key %s is refused: it or its organisation was changed in the database", key)

    def _scrub_after_a_crash(self) -> None:
        """A process that died between a deletion and its scrub left the bytes in the write-ahead log."""
        try:
            if not self._database.scrub(patience=0.1):
                LOG.info("somebody reads the database; its write-ahead log is emptied by the next deletion")
        except StorageError as fault:
            LOG.warning("what was deleted before a crash may be in the write-ahead log still: %s", fault)

    def close(self) -> None:
        """Finish what was begun and let go of the home."""
        self._database.close()
        self._presence.leave()


def compares(tools: Tools) -> dict[str, str | list[str]]:
    """What a Similarity of this home rests on, for the ledger."""
    vision = tools.vision
    curves = [vision.calibration(population) for population in sorted(vision.populations)]
    return {
        "model": vision.model,
        "model_digest": vision.digest,
        "calibrations": [f"{curve.population}:{curve.digest}" for curve in curves],
        "threshold": f"{SIMILARITY:.4f}",
        "version": version("countenance"),
    }


def failure(error: AwsError) -> Answer:
    """The answer to a request that did not reach the door."""
    request_id = str(uuid.uuid4())
    status, body = model.encode_error(error, request_id)
    return Answer(status, body, request_id, error=error)
