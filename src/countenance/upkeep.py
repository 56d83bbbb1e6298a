"""What time does to a home: templates, private records and results of jobs whose time is over are destroyed,
by rule.

Nothing goes without its entry in the ledger, in the same transaction. Every function may run beside a server,
and beside another that does the same.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from countenance import jobs, results
from countenance.database import NO_TRACES, Database, Traces, together
from countenance.declared import ended
from countenance.errors import StorageError
from countenance.galleries import Galleries, concerned, rows, store
from countenance.keys import Keys, Organisation
from countenance.ledger import Ledger, Vault, erasure, expire_entry, subject_tag
from countenance.ledger.erasure import Private
from countenance.office import database_of, ledger_of, milvus_of, secret_of
from countenance.policy import Policy, Retention
from countenance.policy.retention import Due, Kept, What
from countenance.settings import Settings
from countenance.types import Gallery, OrganisationKind

BATCH = 500
"""Faces, or records, of one transaction: others write in between."""

JOBS = 20
"""Jobs of one transaction: a row holds what belongs to every page of its results, megabytes perhaps."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What a rule did in one transaction. what: in words, with a number before."""

    rule: str
    what: str


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A home in the hands of whoever keeps its times. `opened` makes one."""

    database: Database
    ledger: Ledger
    keys: Keys
    vault: Vault
    retention: Retention
    galleries: Galleries

    def expire_templates(self, now: dt.datetime) -> list[Expired]:
        """Destroy the templates that a rule gives no more time. Raises StorageError, also where bytes of them
        are left in a file."""
        done: list[Expired] = []
        gone: list[Traces | None] = []
        for organisation, gallery in self._galleries():
            due = self.retention.templates(organisation.kind, organisation.place, ended(gallery.tags), now)
            while due is not None and (batch := self._forget(gallery, due, now)):
                removed, traces = batch
                gone.append(traces)
                done.append(Expired(due.rule, f"{removed} faces of {gallery.collection_id} destroyed"))
        self._scrub(gone)
        return done

    def _forget(self, gallery: Gallery, due: Due, now: dt.datetime) -> tuple[int, Traces | None] | None:
        """Up to BATCH templates of a gallery, in one transaction; None where none is due."""

        def write(connection: Connection) -> tuple[int, Traces | None] | None:
            rows.hold(connection, gallery)
            face_ids = concerned.enrolled_by(connection, gallery, due.before, BATCH)
            if not face_ids:
                return None
            traces = concerned.traces(connection, gallery, face_ids)
            subjects = dict.fromkeys(concerned.subjects(connection, gallery, face_ids))
            gone = store.forget(connection, gallery, face_ids)
            self.database.take_turn(connection)
            number = self.ledger.size(connection)
            entry = expire_entry(
                now=now,
                rule=due.rule,
                account=gallery.account,
                collection=gallery.collection_id,
                removed=len(gone),
                subjects=[subject_tag(subject, number) for subject in subjects],
            )
            self.ledger.append(connection, entry)
            return len(gone), traces

        return self.database.write(write, late=True)

    def expire_results(self, now: dt.datetime) -> list[Expired]:
        """Forget jobs that a rule gives no more time since they ended, and destroy what they found, and what
        is discarded already; end those that no worker takes. Raises StorageError, also where bytes of it are
        left in a file."""
        done: list[Expired] = []
        self.database.write(lambda connection: jobs.time_out(connection, now))
        with self.database.reading() as connection:
            organisations = self.keys.organisations(connection)
        for organisation in organisations:
            due = self.retention.results(organisation.kind, organisation.place, now, jobs.KEPT)
            while gone := self._expire(organisation.account, due, now):
                done.append(Expired(due.rule, f"{gone} jobs of account {organisation.account} forgotten"))
        self._scrub([NO_TRACES] * (len(done) + results.sweep(self.database)))
        return done

    def _expire(self, account: str, due: Due, now: dt.datetime) -> int:
        """Up to JOBS, in one transaction; how many."""

        def write(connection: Connection) -> int:
            gone = jobs.expire(connection, account, due.before, JOBS)
            if gone:
                entry = expire_entry(now=now, rule=due.rule, account=account, jobs=gone)
                self.ledger.append(connection, entry)
            return gone

        with self.database.reading() as connection:
            if not jobs.anyone_over(connection, account, due.before):
                return 0
        return self.database.write(write)

    def shred_private(self, now: dt.datetime) -> list[Expired]:
        """Destroy what calls said in private: what was condemned and is kept no longer, and what a rule gives
        no more time; unless another that prevails keeps it, which is recorded once. Raises StorageError."""
        done: list[Expired] = []
        gone: list[Traces | None] = []
        while released := self.database.write(lambda connection: self._release(connection, now)):
            done += released.done
            gone.append(released.traces)
        after: int | None = -1 if self.retention.destroys(What.PRIVATE) else None
        while after is not None:
            judged = self.database.write(functools.partial(self._judge, now=now, after=after))
            done += judged.done
            gone.append(judged.traces)
            after = judged.last
        results.sweep(self.database)
        self._scrub(gone)
        return done

    def _release(self, connection: Connection, now: dt.datetime) -> _Batch | None:
        """Shred up to BATCH records that were condemned and whose time is over; None where there is none."""
        over = dict(erasure.condemned_until(connection, now, BATCH))
        batch = _Batch()
        for rule in dict.fromkeys(over.values()):
            of_rule = [decision for decision, by in over.items() if by == rule]
            self._shred(connection, erasure.records(connection, of_rule), rule, now, batch)
        erasure.acquit(connection, list(over))
        return batch if over else None

    def _judge(self, connection: Connection, now: dt.datetime, after: int) -> _Batch:
        """Up to BATCH records past one: those that are due are shredded, or condemned where a rule that
        prevails keeps them."""
        records = erasure.waiting(connection, after, BATCH)
        batch = _Batch(last=records[-1].decision if len(records) == BATCH else None)
        due: dict[tuple[str, Kept | None], list[Private]] = {}
        for record in records:
            kind = OrganisationKind(record.kind)
            by = self.retention.private(kind, record.place, now)
            if by is not None and record.written <= by.before:
                kept = self.retention.kept(kind, record.place, record.written, now, by.rule)
                due.setdefault((by.rule, kept), []).append(record)
        for (rule, kept), some in due.items():
            if kept is None:
                self._shred(connection, some, rule, now, batch)
            else:
                self._keep(connection, some, rule, kept, now, batch)
        return batch

    def _shred(
        self, connection: Connection, records: Sequence[Private], rule: str, now: dt.datetime, batch: _Batch
    ) -> None:
        for account, decisions in _by_account(records).items():
            batch.secrets += erasure.traces(connection, decisions)
            shredded = self.vault.shred(connection, decisions)
            jobs.drop(connection, decisions)
            entry = expire_entry(now=now, rule=rule, account=account, shredded=shredded)
            self.ledger.append(connection, entry)
            batch.done.append(Expired(rule, f"{shredded} private records of account {account} destroyed"))

    def _keep(
        self,
        connection: Connection,
        records: Sequence[Private],
        rule: str,
        kept: Kept,
        now: dt.datetime,
        batch: _Batch,
    ) -> None:
        for account, decisions in _by_account(records).items():
            for decision in decisions:
                erasure.condemn(connection, decision, kept.until, kept.rule)
            entry = expire_entry(
                now=now,
                rule=rule,
                account=account,
                kept=len(decisions),
                kept_by=kept.rule,
                kept_until=kept.day.isoformat(),
            )
            self.ledger.append(connection, entry)
            what = f"{len(decisions)} private records of account {account} kept by {kept.rule}"
            batch.done.append(Expired(rule, what))

    def _galleries(self) -> list[tuple[Organisation, Gallery]]:
        """Every collection of the home with its tags, and whose it is."""
        with self.database.reading() as connection:
            return [
                (organisation, gallery)
                for organisation in self.keys.organisations(connection)
                for gallery in store.all_of(connection, organisation.account)
            ]

    def _scrub(self, gone: Sequence[Traces | None]) -> None:
        traces = together(gone)
        if traces is not None and len(traces.secrets) > 2 * concerned.MANY:
            traces = None
        if gone and not self.database.scrub(traces=traces):
            raise StorageError(
                "what is destroyed is gone and recorded, but bytes of it are left in a file of the database: "
                "somebody read it all the while; `countenance worker --sweep` rewrites it"
            )

    def tidy_indexes(self) -> list[str]:
        """Bring the indexes that are kept outside the database up to date; what was done, in words. Raises
        IndexFault where they do not answer."""
        return list(self.galleries.tidy())

    def sweep(self) -> None:
        """Rewrite the database's file, so that nothing that was ever deleted is left in it."""
        if not self.database.scrub(traces=None):
            raise StorageError("somebody read the database all the while: try again")


@dataclass(slots=True)
class _Batch:
    """What one transaction did. last: the record it got to, None at the end."""

    done: list[Expired] = field(default_factory=list)
    secrets: list[bytes] = field(default_factory=list)
    last: int | None = None

    @property
    def traces(self) -> Traces:
        return Traces(tuple(self.secrets))


@contextmanager
def opened(settings: Settings) -> Iterator[Upkeep]:
    """The home's own database, ledger and packs, for as long as the block lasts. Raises HomeError,
    LedgerError or PolicyError where they are not sound."""
    keys, ledger, policy = (
        Keys(secret_of(settings.master_key)),
        ledger_of(settings),
        Policy.read(settings.packs),
    )
    milvus = milvus_of(settings)
    database = database_of(settings)
    database.keep(ledger)
    galleries = Galleries(database, milvus)
    try:
        yield Upkeep(database, ledger, keys, Vault(keys), policy.retention, galleries)
    finally:
        database.close()


def _by_account(records: Sequence[Private]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for record in records:
        found.setdefault(record.account, []).append(record.decision)
    return found
