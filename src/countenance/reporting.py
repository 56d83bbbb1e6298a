"""A report of a period, read from a home or from a folder that one was exported to, which stay as they are.

What is counted is what was signed: no entry counts before a head vouches for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countenance.database import entries
from countenance.errors import HomeError, LedgerError
from countenance.ledger import checkpoint, export, reports
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.counting import Period
from countenance.ledger.export import Log
from countenance.ledger.merkle import Frontier, Tree, leaf_hash
from countenance.ledger.reports import Report
from countenance.ledger.verification import Progress, Snapshots, raw
from countenance.office import reading
from countenance.publication import log_of, signed_heads
from countenance.settings import Settings

__all__ = ["Reported", "Witness", "of_folder", "of_home", "witness"]

CHUNK = 4096
"""Entries read in one snapshot of a home's database; an open one holds back erasure."""

Witness = tuple[str, Ed25519PublicKey]


@dataclass(frozen=True, slots=True)
class Reported:
    """A report and what it stands on.

    log: the log's name. opening: the newest kept head (a signed note) that covers nothing of the period, None
    where there is none. closing: the one over all that was counted. witnesses: who of those whose keys were
    given cosigned it.
    """

    report: Report
    log: str
    opening: str | None
    closing: str
    witnesses: tuple[str, ...]

    def as_json(self, *, entries: bool = True) -> dict[str, Any]:
        """What docs/reports.md says. entries: whether with those that prove each count."""
        return {
            "report": reports.VERSION,
            "log": self.log,
            **reports.as_json(self.report, entries=entries),
            "heads": {"opening": self.opening, "closing": self.closing},
            "witnesses": list(self.witnesses),
        }


@dataclass(frozen=True, slots=True)
class Asked:
    """What to count.

    account: whose calls alone, None for all. least: the smallest count to print. witnesses: whose cosignature
    would count.
    """

    period: Period
    account: str | None = None
    least: int = reports.LEAST
    witnesses: tuple[Witness, ...] = ()


def of_home(
    settings: Settings, asked: Asked, key: Path | None = None, progress: Progress | None = None
) -> Reported:
    """key: a copy of ledger.pub to be believed instead of the home's. Raises LedgerError, HomeError."""
    with reading(settings) as snapshots:
        with snapshots() as connection:
            log = _log(key) if key else log_of(connection, settings)
            heads = signed_heads(connection)
        size = max(heads, default=0)
        return _reported(log, heads, _stored(snapshots, size), asked, progress)


def of_folder(
    folder: Path, asked: Asked, key: Path | None = None, progress: Progress | None = None
) -> Reported:
    """key: a copy of log.pub to be believed instead of the folder's. Raises LedgerError, HomeError."""
    log = _log(key or folder / export.KEYS)
    newest = _text(folder / export.CHECKPOINT)
    kept = {int(path.name): _text(path) for path in folder.glob(f"{export.KEPT}/*") if path.name.isdecimal()}
    size = log.head(newest).size
    heads = {**{known: note for known, note in kept.items() if known < size}, size: newest}
    return _reported(log, heads, export.published_entries(folder, size), asked, progress)


def witness(line: str) -> Witness:
    """A witness's name and key, in a C2SP verifier line. Raises LedgerError."""
    return checkpoint.read_witness_key(line)


def _reported(
    log: Log, heads: Mapping[int, str], bodies: Iterable[bytes], asked: Asked, progress: Progress | None
) -> Reported:
    if not heads:
        raise LedgerError("the ledger has no checkpoint: nothing was recorded yet, or it was removed")
    signed = {size: log.head(note) for size, note in heads.items()}
    read = _signed_entries(bodies, signed, progress)
    found = reports.report(read, asked.period, asked.account, asked.least)
    before = [size for size in heads if found.first is not None and 0 < size <= found.first]
    closing = heads[max(heads)]
    return Reported(
        report=found,
        log=log.origin,
        opening=heads[max(before)] if before else None,
        closing=closing,
        witnesses=tuple(name for name, key in asked.witnesses if checkpoint.cosigned(closing, name, key)),
    )


def _signed_entries(
    bodies: Iterable[bytes], heads: Mapping[int, Checkpoint], progress: Progress | None
) -> Iterator[dict[str, Any]]:
    """The entries, each once the tree has grown to a head that covers it."""
    tree, size = Tree(Frontier()), max(heads)
    waiting: list[bytes] = []
    for body in bodies:
        tree.append(leaf_hash(body))
        waiting.append(body)
        head = heads.get(tree.size)
        if head is None:
            continue
        if head.root != tree.root():
            raise LedgerError(
                f"entries {tree.size - len(waiting)} to {tree.size - 1} are not those that their checkpoint "
                "was signed over; nothing is reported of such a log"
            )
        yield from map(json.loads, waiting)
        waiting.clear()
        if progress:
            progress(tree.size, size)
    if tree.size != size:
        raise LedgerError(f"there are {tree.size} entries where the newest checkpoint was signed over {size}")


def _stored(snapshots: Snapshots, size: int) -> Iterator[bytes]:
    """The bytes of the first `size` entries of a home, as they lie there."""
    columns = sa.select(raw(entries.c.body)).order_by(entries.c.seq)
    for first in range(0, size, CHUNK):
        wanted = entries.c.seq.between(first, min(first + CHUNK, size) - 1)
        with snapshots() as connection:
            bodies = connection.execute(columns.where(wanted)).scalars().all()
        for number, body in enumerate(bodies, first):
            if not isinstance(body, bytes):
                raise LedgerError(f"entry {number} was changed: it is no bytes", number)
            yield body


def _log(path: Path) -> Log:
    """The log's name and keys in a file of verifier lines, oldest first."""
    try:
        known = [checkpoint.read_key(line) for line in _text(path).splitlines() if line.strip()]
    except LedgerError as fault:
        raise HomeError(f"{path} is not a log's verifier key: {fault}") from fault
    if len({name for name, _ in known}) != 1:
        raise HomeError(f"{path} should hold the keys of one log")
    return Log(known[0][0], tuple(key for _, key in known))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as fault:
        raise HomeError(f"{path} cannot be read ({fault})") from fault
