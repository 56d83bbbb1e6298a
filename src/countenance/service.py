"""Settings -> a built Service. The only place that wires; what it builds is handed to the gate alone."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version

from countenance import jobs, results
from countenance.answer import Answer
from countenance.aws import declaration, model, sigv4
from countenance.aws.notify import Topics
from countenance.aws.objects import stored
from countenance.declared import NOTHING, Declared
from countenance.errors import AwsError, StorageError, UnrecognizedClient
from countenance.galleries import Galleries
from countenance.gate import Gate
from countenance.keys import Keys
from countenance.ledger import Vault
from countenance.ledger.presence import attend
from countenance.office import database_of, ledger_of, milvus_of, note_packs, note_settings, secret_of
from countenance.operations import SIMILARITY, Tools, queued
from countenance.policy import Policy
from countenance.settings import Settings
from countenance.types import Caller
from countenance.upkeep import Upkeep
from countenance.vision import Vision

LOG = logging.getLogger(__name__)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Service:
    """A home at work. What it can do for a caller is one verb: `call`; what was put off then, a worker does
    with `work` and `announce`.

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
                topics=Topics(settings.sns_endpoint, settings.sns_topics),
                most=settings.job_megabytes * 1_000_000,
            )
            self._topics = tools.topics
            self._gate = Gate(
                self._database,
                policy,
                ledger,
                tools,
                now,
                self._presence.name,
                settings.region,
                dt.timedelta(hours=settings.job_hours),
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

    def work(self, stopping: Callable[[], bool]) -> str | None:
        """Take a job that waits through the door: what became of it, None where none waits.

        stopping: whether to leave it to another worker. Raises StorageError, LedgerError.
        """
        job = self._gate.work(stopping)
        if job is None:
            return None
        with self._database.reading() as connection:
            job = jobs.find(connection, job.account, job.job_id) or job
        return f"{job.operation} {job.job_id}: {job.state}" + (f", {job.message}" if job.message else "")

    def announce(self) -> Iterator[str]:
        """Tell the topics that want to know of jobs that are over; whom, or why not. Raises StorageError."""
        while (job := self._to_tell()) is not None:
            fault = ""
            try:
                self._topics.publish(job.topic, queued.notice(job, self._keys))
            except AwsError as error:
                fault = error.message
                LOG.warning("%s was not told of the end of job %s: %s", job.topic, job.job_id, fault)
            self._database.write(partial(jobs.told, job=job, now=now(), error=fault))
            if not fault:
                yield f"{job.topic} told of the end of job {job.job_id}"

    def _to_tell(self) -> jobs.Job | None:
        with self._database.reading() as connection:
            if not jobs.anyone_to_tell(connection, now()):
                return None
        return self._database.write(lambda connection: jobs.to_tell(connection, now()))

    def sweep(self) -> Iterator[str]:
        """Destroy what jobs found and nobody may read any more; that something was. Raises StorageError."""
        if results.sweep(self._database):
            yield "discarded results destroyed"

    def forget(self, now: dt.datetime) -> Iterator[str]:
        """Forget jobs whose time is over; what was, in words. Raises StorageError."""
        tools = self._gate.tools
        home = Upkeep(tools.database, tools.ledger, tools.keys, tools.vault, tools.retention, tools.galleries)
        for done in home.expire_results(now):
            yield f"{done.what}, by {done.rule}"

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
