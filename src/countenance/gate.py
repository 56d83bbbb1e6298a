"""THE ONE DOOR. Every call of every client comes through `Gate.call`, and nothing else runs an operation.

1 decode    by the service model; bad input is AWS's error and nothing is used
2 decide    facts of the call -> policy; whatever is not clearly permitted is refused
3 record    the decision is in the ledger before any work; if it cannot be, the call fails
4 refuse    AccessDeniedException, naming the rule, its source and what would change the answer; a key whose
            day's quota is spent: ProvisionedThroughputExceededException
5 run       the operation computes, outside any transaction, and returns what to commit
6 commit    one short transaction: its writes and the outcome's entry
7 answer    encode by the service model, with a receipt that names both entries

A call that puts its work off (Start...) ends with a job in the queue. `Gate.work` takes a job through the
same steps once more, as the call that started it: 2 by the rules and the holder of the key of that day, 3 to
6 as above, with the job's end in the transaction of its outcome. A call that reads what it found (Get...) is
decided by what was asked for at its start (docs/decisions/0018-jobs.md).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance import jobs, refusal
from countenance.answer import Answer, failure
from countenance.aws import model
from countenance.database import Database, Statement
from countenance.declared import NOTHING, Change, Declared, changes, stated, widens
from countenance.errors import (
    AccessDenied,
    AwsError,
    CountenanceError,
    IndexFault,
    InternalServer,
    LedgerError,
    ProvisionedThroughputExceeded,
    StorageError,
)
from countenance.galleries import store
from countenance.jobs import Job, State
from countenance.leases import Halted, Lease, Refused
from countenance.ledger import (
    SILENCE,
    Entry,
    Ledger,
    Model,
    Record,
    Result,
    Stage,
    Told,
    Written,
    decision_entry,
    outcome_entry,
    private,
)
from countenance.operations import Call, Commit, Done, Operation, Request, Tools, started
from countenance.operations.catalogue import catalogue
from countenance.operations.galleries import population
from countenance.policy import Asked, Collection, Org, Policy, defaults, question
from countenance.schema import calls
from countenance.types import EMPTY, Caller, Decision, Receipt

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Matter:
    """What a call puts to policy. collection: None where it concerns none. changed: tags it would change."""

    asked: Asked
    collection: Collection | None
    changed: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision in the ledger. receipt: both entries, where the refusal was the outcome. spent: the key's
    quota, where that is what refused."""

    decision: Written
    receipt: Receipt | None
    spent: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A call whose writes and outcome are durable. error: what the caller must be told all the same."""

    body: bytes
    done: Done
    receipt: Receipt
    error: AwsError | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The door to the tools. Policy and ledger are not optional; there is no flag around either.

    process: the name under which this process is known to be at work on the home. region: the one that
    ARNs name. longest: how long a job may take.
    """

    database: Database
    policy: Policy
    ledger: Ledger
    tools: Tools
    clock: Callable[[], dt.datetime]
    process: str
    region: str
    longest: dt.timedelta = dt.timedelta(hours=12)
    operations: Mapping[str, Operation] = field(default_factory=lambda: catalogue(model.operations()))

    def call(self, target: str | None, body: bytes, caller: Caller, declared: Declared = NOTHING) -> Answer:
        """One call from anywhere. target: the X-Amz-Target header. body: JSON. declared: what else it says.

        What a caller, a model or the disk can cause comes back as the Answer's error, never as an exception.
        """
        request_id = str(uuid.uuid4())
        try:
            name = model.operation(target)
            call = self._found(name, model.decode(name, body), caller, declared)
            matter = self._matter(call)
            decision = self._decide(call, matter)
            recorded = self._record(call, matter, decision, request_id)
        except AwsError as error:
            return failure(error, request_id, None)
        except CountenanceError:
            LOG.exception("call %s was not recorded, so it was not run", request_id)
            return failure(InternalServer(detail="nothing was done or recorded"), request_id, None)
        if recorded.receipt is not None:
            return _refused(call, decision, recorded.spent, request_id, recorded.receipt)
        try:
            ended = self._run(call, recorded.decision)
        except AwsError as error:
            return failure(error, request_id, self._failed(call, recorded.decision, error))
        if ended.error is not None:
            return failure(ended.error, request_id, ended.receipt)
        done = ended.done
        return Answer(200, ended.body, request_id, done.answer, None, ended.receipt, done.notes)

    def work(self, stopping: Callable[[], bool]) -> Job | None:
        """Take a job that waits through the door; which it was, None where none waits.

        What becomes of it is in its row. stopping: whether to leave it to another worker. Raises StorageError
        or LedgerError where not even that could be written: then its lease runs out, and it is run again.
        """
        lease = self._lease(stopping)
        if lease is None:
            return None
        LOG.info("job %s begins: %s, attempt %s", lease.job.job_id, lease.job.operation, lease.job.attempts)
        try:
            with lease.renewing():
                self._resume(lease)
        except Halted as halt:
            LOG.info("job %s: %s", lease.job.job_id, type(halt).__name__)
        return lease.job

    def _resume(self, lease: Lease) -> None:
        """Steps 2 to 6 for a job. Raises Halted where somebody else has said already how it ends."""
        try:
            call = self._resumed(lease)
            matter = self._matter(call)
            decision = self._decide(call, matter)
            recorded = self._record(call, matter, decision, str(uuid.uuid4()))
        except AwsError as error:
            message = error.message
            self.database.write(lambda connection: lease.ended(connection, State.FAILED, message))
            return
        except (StorageError, LedgerError) as fault:
            message = f"the database refused a write: {fault}"
            self.database.write(lambda connection: lease.ended(connection, State.WAITING, message))
            return
        if not decision.allowed:
            return
        try:
            self._run(call, recorded.decision)
        except AwsError as error:
            self._failed(call, recorded.decision, error)
        except Halted as halt:
            self._halted(lease, recorded.decision, halt)

    def _lease(self, stopping: Callable[[], bool]) -> Lease | None:
        now = self.clock()
        with self.database.reading() as connection:
            if not jobs.anyone_waiting(connection, now):
                return None

        def write(connection: Connection) -> Job | None:
            for job in jobs.give_up(connection, now):
                if job.decision is not None and self.ledger.outcome(connection, job.decision) is None:
                    self._conclude(connection, job.decision, Result.INTERRUPTED)
            return jobs.take(connection, self.process, now)

        if (job := self.database.write(write)) is None:
            return None
        return Lease(self.database, job, self.clock, stopping, self.longest, self.tools.most)

    def _resumed(self, lease: Lease) -> Call:
        """The call that put the job off, by the holder of its key as he is registered today, of a collection
        as it is today. Raises AccessDenied where the key is no longer in force."""
        job = lease.job
        asked = started.read(job, self.tools.keys, self.policy.vocabulary)
        with self.database.reading() as connection:
            held = self.tools.keys.find(connection, job.key)
        if held is None:
            raise AccessDenied(detail=f"the key {job.key}, which started the job, is no longer in force")
        call = self._call(job.operation, asked.request, held[0], asked.declared)
        return dataclasses.replace(call, job=job, lease=lease, defaulted=asked.defaulted)

    def _halted(self, lease: Lease, decision: Written, halt: Halted) -> None:
        """Record that a job's work was broken off; where another worker took it over, that one did so."""

        def write(connection: Connection) -> None:
            if halt.state is not None:
                lease.ended(connection, halt.state, halt.message)
            if self.ledger.outcome(connection, decision.seq) is None:
                result = Result.INTERRUPTED if halt.error is None else Result.FAILED
                self._conclude(connection, decision.seq, result, halt.error)

        try:
            self.database.write(write)
        except Halted as sooner:
            self._halted(lease, decision, sooner)

    def interrupt(self, alive: Callable[[str], bool]) -> int:
        """Give every decision whose process is gone its `interrupted` entry; how many there were.

        The ledger says which they are: what the table of calls says otherwise is put right.
        """

        def write(connection: Connection) -> int:
            opened = sa.select(calls).where(calls.c.outcome.is_(None))
            left = [row.decision for row in connection.execute(opened) if not alive(row.process)]
            ended = self.ledger.outcomes(connection, left)
            lost = sorted(decision for decision, outcome in ended.items() if outcome is None)
            for decision in lost:
                self._conclude(connection, decision, Result.INTERRUPTED)
            for decision in set(left) - set(lost):
                row = calls.c.decision == decision
                if decision in ended:
                    connection.execute(
                        calls.update().where(row).values(outcome=ended[decision], process=None)
                    )
                else:
                    connection.execute(calls.delete().where(row))
            return len(lost)

        return self.database.write(write)

    def _found(self, name: str, asked: Request, caller: Caller, declared: Declared) -> Call:
        """The call, defaults filled in, with the caller's collection it names, if there is one.

        A call that reads a job's results is about what was asked for when the job was started.
        """
        operation = self.operations[name]
        request, said, defaulted = {**operation.defaults, **asked}, None, False
        job = self._named(operation, asked, caller)
        if job is not None and operation.reads:
            before = started.read(job, self.tools.keys, self.policy.vocabulary)
            request, said, defaulted = {**before.request, **asked}, declared, before.defaulted
            declared = before.again(declared)
        call = self._call(name, request, caller, declared)
        settled = operation.settled(asked, call.gallery, declared)
        request = {**call.request, **settled}
        return dataclasses.replace(call, request=request, said=said, defaulted=defaulted, job=job)

    def _named(self, operation: Operation, asked: Request, caller: Caller) -> Job | None:
        """The caller's job that a request is about; one whose time is over is gone, whoever still has to
        see to that."""
        if not (operation.reads or operation.names_job):
            return None
        due = self.policy.retention.results(caller.kind, caller.place, self.clock(), jobs.KEPT)
        with self.database.reading() as connection:
            return jobs.find(
                connection, caller.account, asked["JobId"], operation.reads or None, since=due.before
            )

    def _call(self, name: str, request: Request, caller: Caller, declared: Declared) -> Call:
        """The call, with the caller's collection it names, if there is one."""
        collection = self.operations[name].collection(request, caller)
        gallery = None
        if collection is not None:
            with self.database.reading() as connection:
                gallery = store.find(connection, caller.account, collection)
        return Call(name, request, caller, self.region, self.clock(), gallery, declared)

    def _matter(self, call: Call) -> Matter:
        """A collection that is missing is an empty one of the caller's: only who may ask learns that it is
        missing. Tags a call sets count as set."""
        operation = self.operations[call.operation]
        collection, changed = None, tuple[Change, ...]()
        if operation.collection(call.request, call.caller) is not None:
            before = call.gallery.tags if call.gallery else EMPTY
            gone = set(call.request.get("TagKeys", ()))
            tags = {**before, **call.request.get("Tags", EMPTY)}
            tags = {name: value for name, value in tags.items() if name not in gone}
            changed = changes(before, tags)
            collection = Collection(owner=Org(call.caller.account), tags=tags, **stated(tags)._asdict())
        asked = Asked(
            now=call.now,
            operation=call.operation,
            threshold=self._threshold(call),
            attributes=operation.attributes(call.request),
            widens=widens(changed),
        )
        return Matter(asked, collection, changed)

    def _decide(self, call: Call, matter: Matter) -> Decision:
        """Policy's word on every action of the call."""
        return self.policy.beyond(call.caller, call.declared) or self.policy.decide_all(
            [
                question(action, call.caller, call.declared, matter.asked, matter.collection)
                for action in self.operations[call.operation].actions(call.request)
            ]
        )

    def _threshold(self, call: Call) -> float | None:
        """The Similarity asked for, to four places; rounded down, never to claim more than was used."""
        asked = self.operations[call.operation].threshold(call.request)
        return None if asked is None else math.floor(asked * 10_000) / 10_000

    def _record(self, call: Call, matter: Matter, decision: Decision, request_id: str) -> Recorded:
        """The decision, durable before any work; a refusal's outcome goes with it."""
        operation = self.operations[call.operation]
        said = call.declared if call.said is None else call.said
        held = dataclasses.replace(call.declared, purpose=None) if call.defaulted else call.declared
        record = Record({**private(said), **operation.private(call.request)})
        entry = decision_entry(
            now=call.now,
            request=request_id,
            operation=call.operation,
            actions=operation.actions(call.request),
            decision=decision,
            caller=call.caller,
            pseudonym=self.tools.keys.pseudonym(call.caller.key),
            purpose=call.declared.purpose or call.caller.purpose,
            model=self._model(call),
            collection=operation.collection(call.request, call.caller),
            size=call.gallery.size if call.gallery else None,
            threshold=matter.asked.threshold,
            attributes=matter.asked.attributes,
            declared=said,
            private=record.commitments,
            defaults=defaults(held, matter.collection, self.policy.reads),
            changed=matter.changed,
            refusal="" if decision.allowed else refusal.note(decision),
            stage=_stage(call, operation),
            started=call.job.started if call.job else None,
        )
        why = "" if decision.allowed else refusal.denied(call, decision).message
        return self.database.write(lambda connection: self._admit(connection, call, entry, record, why))

    def _admit(self, connection: Connection, call: Call, entry: Entry, record: Record, why: str) -> Recorded:
        """Write a decision, counted among its key's calls; a refusal, and why, with its outcome. What policy
        permits, a spent quota refuses, where it was not put off: every process counts in this row, within the
        transaction."""
        count = self.tools.keys.count(connection, call.caller.key, call.now.timestamp())
        spent = count.spent if entry["allowed"] and call.lease is None else None
        if spent is not None:
            note = refusal.spent_note(spent, str(entry["pack"]))
            entry = {**entry, "allowed": False, "rules": [refusal.QUOTA], "refusal": note}
        written = self.ledger.append(connection, {**entry, "counter": count.calls})
        if record.said:
            self.tools.vault.put(connection, written.seq, record, call.now)
        _OPEN.run(connection, decision=written.seq, process=self.process, outcome=None)
        if call.lease is not None:
            self._take_over(connection, call.lease, written)
        if entry["allowed"]:
            return Recorded(written, None)
        error = AccessDenied.code if spent is None else ProvisionedThroughputExceeded.code
        outcome = self._conclude(connection, written.seq, Result.REFUSED, error)
        if call.lease is not None:
            call.lease.ended(connection, State.FAILED, why)
        return Recorded(written, _receipt(written, outcome), spent)

    def _take_over(self, connection: Connection, lease: Lease, decision: Written) -> None:
        """A job's attempt begins: an earlier one, whose worker is gone, is over."""
        before = lease.job.decision
        lease.began(connection, decision.seq)
        if before is not None and self.ledger.outcome(connection, before) is None:
            self._conclude(connection, before, Result.INTERRUPTED)

    def _model(self, call: Call) -> Model:
        vision = self.tools.vision
        curve = vision.calibration(population(call.gallery)) if call.gallery else vision.calibration()
        return Model(vision.model, vision.digest, f"{curve.population}:{curve.digest}")

    def _run(self, call: Call, decision: Written) -> Ended:
        """The operation, then its writes and the outcome's entry in one transaction.

        Raises the operation's AwsError, or InternalServer where models or disk failed it; Halted of a job.
        """
        operation = self.operations[call.operation]
        call = dataclasses.replace(call, decision=decision.seq)
        try:
            work = operation.run(call, self.tools) if call.lease is None else operation.job(call, self.tools)
            ready = model.encode(call.operation, work.answer) if isinstance(work, Done) else None

            def write(connection: Connection) -> Ended:
                done = work if isinstance(work, Done) else work.write(connection)
                encoded = ready or model.encode(call.operation, done.answer)
                outcome = self._conclude(connection, decision.seq, Result.ANSWERED, told=done.told)
                return Ended(encoded, done, _receipt(decision, outcome))

            ended = self.database.write(write, late=isinstance(work, Commit))
            return self._follow(work, ended) if isinstance(work, Commit) else ended
        except (AwsError, Halted):
            raise
        except IndexFault as fault:
            raise InternalServer(detail=str(fault)) from fault
        except Exception as error:  # whatever it was, an allowed call gets its outcome
            LOG.exception("%s failed", call.operation)
            if call.lease is not None and isinstance(error, (StorageError, LedgerError)):
                raise Refused(f"the database refused a write: {error}") from error
            raise InternalServer(detail=type(error).__name__) from error

    def _follow(self, work: Commit, ended: Ended) -> Ended:
        """What is to happen once the writes are durable: the call has its outcome, whatever comes of this."""
        left = []
        try:
            work.after()
        except StorageError as fault:
            left.append(str(fault))
        try:
            if work.erases and not self.database.scrub(traces=ended.done.traces):
                left.append("somebody read the database all the while")
        except StorageError as fault:
            left.append(str(fault))
        if not left or not work.erases:
            return ended
        LOG.warning("deleted, but bytes are left: %s", "; ".join(left))
        error = InternalServer(
            detail="the deletion is done and recorded, but bytes of what was deleted are still in a file of "
            f"the database or in its index ({'; '.join(left)}); repeat the call to erase them"
        )
        return dataclasses.replace(ended, error=error)

    def _failed(self, call: Call, decision: Written, error: AwsError) -> Receipt | None:
        """Record that an allowed call failed, and its job with it. Where even that fails, the decision stays
        open: the next start calls it interrupted."""

        def write(connection: Connection) -> Written:
            if call.lease is not None:
                call.lease.ended(connection, State.FAILED, error.message)
            return self._conclude(connection, decision.seq, Result.FAILED, error.code)

        try:
            return _receipt(decision, self.database.write(write))
        except Halted as sooner:
            assert call.lease is not None
            self._halted(call.lease, decision, sooner)
            return None
        except CountenanceError:
            LOG.exception("the outcome of decision %s was not recorded", decision.seq)
            return None

    def _conclude(
        self,
        connection: Connection,
        decision: int,
        result: Result,
        error: str | None = None,
        told: Told = SILENCE,
    ) -> Written:
        """The second entry of a call, in the transaction that holds its writes. A call has just one.

        Raises StorageError where the decision awaits none.
        """
        self.database.take_turn(connection)
        entry = outcome_entry(now=self.clock(), decision=decision, result=result, error=error, told=told)
        written = self.ledger.append(connection, entry)
        if _CLOSE.count(connection, closing=decision, at=written.seq) != 1:
            raise StorageError(f"decision {decision} has its outcome already")
        return written


_OPEN = Statement(calls.insert())
_CLOSE = Statement(
    calls.update()
    .where(calls.c.decision == sa.bindparam("closing"), calls.c.outcome.is_(None))
    .values(outcome=sa.bindparam("at"), process=None)
)


def _stage(call: Call, operation: Operation) -> Stage | None:
    """What of a job a decision lets in; None where there is none."""
    if call.lease is not None:
        return Stage.RUN
    if operation.reads:
        return Stage.READ
    return Stage.START if operation.puts_off else None


def _refused(call: Call, decision: Decision, spent: int | None, request_id: str, receipt: Receipt) -> Answer:
    """By policy, or by the quota that is spent."""
    if spent is None:
        notes = {refusal.HEADER: refusal.note(decision)}
        return failure(refusal.denied(call, decision), request_id, receipt, notes)
    notes = {refusal.HEADER: refusal.spent_note(spent, decision.pack)}
    return failure(refusal.spent(spent), request_id, receipt, notes)


def _receipt(decision: Written, outcome: Written) -> Receipt:
    return Receipt(decision.seq, decision.leaf, outcome.seq, outcome.leaf)
