"""A witness: somebody other than a log's operator, who signs its heads only as long as it keeps growing.

It remembers the newest head it signed of each log, signs a later one only once it is proven to begin with
that, and keeps whatever contradicts it as evidence. What it signs is on its disk before the signature
leaves. Logs come to it (C2SP tlog-witness, `serving`), or it goes and reads what they publish (`follow`).

    witness.key, witness.pub     its key; the second for everybody
    logs/<digest>/log.pub        a log it knows: that log's verifier keys
    logs/<digest>/checkpoint     the newest head it signed, with its signature
    logs/<digest>/evidence/      heads it did not sign, each with the one it contradicts, and what that means
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance.errors import HomeError, LedgerError
from countenance.ledger import checkpoint, tiles
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.export import CHECKPOINT, Log
from countenance.ledger.merkle import EMPTY_ROOT, verify_consistency
from countenance.ledger.submission import SIZE_TYPE, Submission
from countenance.settings import write_private
from countenance.witness.evidence import Contradiction, Head, keep, write
from countenance.witness.source import Source

KEY = "witness.key"
PUBLIC = "witness.pub"
LOGS = "logs"
KEYS = "log.pub"
EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the protocol says to a submission: HTTP status, body and its type."""

    status: int
    body: str
    kind: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Known:
    """A log that is witnessed: how many of its entries were signed and when, in Unix seconds; None never."""

    log: Log
    size: int
    signed: int | None
    evidence: tuple[Path, ...]


class Witness:
    """The witness that lives in a folder. clock: Unix seconds.

    Several processes may work in one folder: each takes a lock before it looks at what was signed.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        try:
            self.line = (folder / PUBLIC).read_text("utf-8").strip()
            self._key = Ed25519PrivateKey.from_private_bytes((folder / KEY).read_bytes())
            self.name, public = checkpoint.read_witness_key(self.line)
        except (OSError, ValueError, LedgerError) as fault:
            raise HomeError(
                f"{folder} holds no witness ({fault}): `countenance witness init` makes one"
            ) from fault
        if public.public_bytes_raw() != self._key.public_key().public_bytes_raw():
            raise HomeError(f"{folder / KEY} is not the key of {folder / PUBLIC}")

    def trust(self, lines: str) -> Log:
        """Witness a log from now on, given its `log.pub`. Of a log that is known, further keys are added."""
        new = _read_log(lines)
        place = self._place(new.origin)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(place):
            before = known.lines() if (known := self._log(new.origin)) else ""
            added = [line for line in new.lines().splitlines() if line not in before.splitlines()]
            if added:
                write(place / KEYS, before + "".join(f"{line}\n" for line in added))
        return _read_log((place / KEYS).read_text("utf-8"))

    def known(self) -> list[Known]:
        """The logs that are witnessed. Raises LedgerError where what was signed of one was changed."""
        found = []
        for place in sorted((self._folder / LOGS).glob("*")):
            log = _read_log((place / KEYS).read_text("utf-8"))
            head = self._signed(log)
            when = head.note and checkpoint.cosigned(head.note, self.name, self._key.public_key())
            found.append(Known(log, head.size, when or None, tuple(sorted((place / EVIDENCE).glob("*")))))
        return found

    def add_checkpoint(self, text: str) -> Answer:
        """What C2SP tlog-witness answers to a submission, with everything that has to be kept on the disk."""
        try:
            submission = Submission.read(text)
            head = Head(checkpoint.peek(submission.note), submission.note)
        except LedgerError as fault:
            return Answer(400, f"{fault}\n")
        log = self._log(head.checkpoint.origin)
        if log is None:
            return Answer(404, "this witness does not know that log\n")
        try:
            log.head(submission.note)
        except LedgerError as fault:
            return Answer(403, f"{fault}\n")
        if submission.old > head.size:
            return Answer(400, f"the old size is {submission.old}, and the head's is {head.size}\n")
        with _alone(self._place(log.origin)):
            return self._judge(self._signed(log), submission, head)

    def _judge(self, known: Head, submission: Submission, head: Head) -> Answer:
        if known.note is not None and head.size == known.size and head.root != known.root:
            self._accuse(Contradiction.SPLIT, known, head)
            if submission.old == known.size:
                return Answer(409, "another head of this size was signed before: both are kept\n")
        if submission.old != known.size:
            if head.size < known.size:
                self._accuse(Contradiction.SMALLER, known, head)
            return Answer(409, f"{known.size}\n", SIZE_TYPE)
        if not verify_consistency(known.size, head.size, known.root, head.root, submission.proof):
            if known.note is not None:
                self._accuse(Contradiction.UNPROVEN, known, head, submission.proof)
            return Answer(422, f"the proof does not lead from size {known.size} to size {head.size}\n")
        return Answer(200, self._cosign(head))

    def follow(self, source: str) -> Head:
        """Read what a log publishes, check that it begins with what was signed before, and sign its head.

        source: a folder, or an http(s) URL. Returns the head with our signature. Raises LedgerError where it
        was not signed, naming the evidence if there is any.
        """
        read = Source(source)
        note = read.text(CHECKPOINT)
        head = Head(checkpoint.peek(note), note)
        log = self._log(head.checkpoint.origin)
        if log is None:
            raise LedgerError(
                f"{source} publishes {head.checkpoint.origin}, which is not witnessed here: get its log.pub "
                "from its operator, and say `countenance witness trust`"
            )
        log.head(note)
        with _alone(self._place(log.origin)):
            self._examine(self._signed(log), head, read)
            return Head(head.checkpoint, note + self._cosign(head))

    def _examine(self, known: Head, head: Head, read: Source) -> None:
        """Raises LedgerError where a head contradicts what we signed, or its tiles do not lead to it.

        Tiles are believed only as far as they make up a proof: one that was changed may fit in one place.
        """
        tree = tiles.tree(read.tile, head.size)
        if tree.root() != head.root:
            raise LedgerError(f"{read}: the tiles do not lead to the checkpoint of size {head.size}")
        if head.size < known.size:
            raise self._refused(read, Contradiction.SMALLER, known, head)
        if head.size == known.size and head.root != known.root:
            raise self._refused(read, Contradiction.SPLIT, known, head)
        proof = tree.consistency(known.size, head.size)
        if not verify_consistency(known.size, head.size, known.root, head.root, proof):
            instead = tree.root(known.size)
            if not verify_consistency(known.size, head.size, instead, head.root, proof):
                raise LedgerError(f"{read}: the tiles do not fit each other")
            raise self._refused(read, Contradiction.FORK, known, head, proof, instead)

    def _refused(
        self,
        read: Source,
        how: Contradiction,
        known: Head,
        head: Head,
        proof: list[bytes] | None = None,
        instead: bytes | None = None,
    ) -> LedgerError:
        place = self._accuse(how, known, head, proof or (), instead)
        return LedgerError(
            f"{read}: the head of size {head.size} contradicts the one of size {known.size} that was signed "
            f"before. It is not signed; {place / 'README.txt'} says what that means"
        )

    def _accuse(
        self,
        how: Contradiction,
        known: Head,
        head: Head,
        proof: tuple[bytes, ...] | list[bytes] = (),
        instead: bytes | None = None,
    ) -> Path:
        shelf = self._place(head.checkpoint.origin) / EVIDENCE
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self._clock()))
        return keep(shelf, how, f"{when}: {self.name}", known, head, proof, instead)

    def _cosign(self, head: Head) -> str:
        """Our signature line under a head, once it is on the disk that we signed it."""
        note = str(head.note)
        line = checkpoint.cosign(note, self.name, self._key, int(self._clock()))
        write(self._place(head.checkpoint.origin) / CHECKPOINT, checkpoint.joined(note, note + line))
        return line

    def _signed(self, log: Log) -> Head:
        """The newest head of a log that we signed. Raises LedgerError where the file was changed."""
        path = self._place(log.origin) / CHECKPOINT
        try:
            note = path.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return Head(Checkpoint(log.origin, 0, EMPTY_ROOT), None)
        head = log.head(note)
        if checkpoint.cosigned(note, self.name, self._key.public_key()) is None:
            raise LedgerError(f"{path} was changed: it is not signed by this witness")
        return Head(head, note)

    def _log(self, origin: str) -> Log | None:
        try:
            return _read_log((self._place(origin) / KEYS).read_text("utf-8"))
        except FileNotFoundError:
            return None

    def _place(self, origin: str) -> Path:
        return self._folder / LOGS / hashlib.sha256(origin.encode()).hexdigest()[:16]


def found(folder: Path, name: str) -> Witness:
    """Make a witness with a new key. Raises HomeError where there is one, or the name cannot be one."""
    try:
        checkpoint.check_name(name)
    except ValueError as fault:
        raise HomeError(str(fault)) from fault
    if (folder / KEY).exists():
        raise HomeError(f"{folder} holds a witness already")
    (folder / LOGS).mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    write_private(folder / KEY, key.private_bytes_raw())
    write(folder / PUBLIC, f"{checkpoint.witness_key(name, key.public_key())}\n")
    return Witness(folder)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """What is known of a log is compared and replaced by one at a time, or a late one would roll it back."""
    file = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _read_log(lines: str) -> Log:
    """A log as its `log.pub` tells it. Raises LedgerError."""
    keys = [checkpoint.read_key(line) for line in lines.splitlines() if line.strip()]
    if len({name for name, _ in keys}) != 1:
        raise LedgerError("a log's public file holds the verifier keys of one log, a line each")
    return Log(keys[0][0], tuple(key for _, key in keys))
