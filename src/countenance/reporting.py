"""A report of a period, read from a home or from a folder that one was exported to, which stay as they are.

What is counted is what was signed: no entry counts before a head vouches for it. Where witnesses are named,
what is counted is what one of them signed too.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from countenance import publication
from countenance.errors import HomeError, LedgerError
from countenance.keys import Keys
from countenance.ledger import checkpoint, counting, export, reports
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.counting import Period
from countenance.ledger.export import Log
from countenance.ledger.merkle import Frontier, Tree, leaf_hash
from countenance.ledger.reports import Report
from countenance.ledger.submission import Witness
from countenance.ledger.verification import Progress, Snapshots, raw
from countenance.office import issued, public_keys, reading, secret_of, text_of
from countenance.schema import entries
from countenance.settings import Settings

__all__ = ["Asked", "Period", "Reported", "Use", "Witness", "of_folder", "of_home", "usage"]

CHUNK = 4096
"""Entries read in one snapshot of a home's database; an open one holds back erasure."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to count.

    account: whose calls alone, None for all. least: the smallest count to print. witnesses: who outside is
    known to sign the log's heads.
    """

    period: Period
    account: str | None = None
    least: int = reports.LEAST
    witnesses: tuple[Witness, ...] = ()


@dataclass(frozen=True, slots=True)
class Reported:
    """A report and what it stands on.

    log: the log's name. opening: the newest kept head (a signed note) that covers nothing of the period, None
    where there is none. closing: the one over all that was counted. witnesses: who of those asked for
    cosigned that one. later: how many signed entries there are after it, which were not counted.
    """

    report: Report
    log: str
    opening: str | None
    closing: str
    witnesses: tuple[str, ...]
    later: int

    def as_json(self, *, entries: bool = True) -> dict[str, Any]:
        """What docs/reports.md says. entries: whether with those that prove each count."""
        return {
            "report": reports.VERSION,
            "log": self.log,
            **reports.as_json(self.report, entries=entries),
            "heads": {"opening": self.opening, "closing": self.closing},
            "witnesses": list(self.witnesses),
        }


def of_home(
    settings: Settings, asked: Asked, key: Path | None = None, progress: Progress | None = None
) -> Reported:
    """key: a copy of ledger.pub to be believed instead of the home's. Raises LedgerError, HomeError."""
    log = Log(*public_keys(key or settings.ledger_public_key))
    with reading(settings) as snapshots:
        with snapshots() as connection:
            heads = publication.heads(connection)
        return _reported(log, heads, lambda size: _stored(snapshots, size), asked, progress)


def of_folder(
    folder: Path, asked: Asked, key: Path | None = None, progress: Progress | None = None
) -> Reported:
    """key: a copy of log.pub to be believed instead of the folder's. Raises LedgerError, HomeError."""
    log = Log(*public_keys(key or folder / export.KEYS))
    newest = text_of(folder / export.CHECKPOINT)
    kept = {
        int(path.name): text_of(path) for path in folder.glob(f"{export.KEPT}/*") if path.name.isdecimal()
    }
    heads = {**kept, log.head(newest).size: newest}
    return _reported(log, heads, lambda size: export.published_entries(folder, size), asked, progress)


def _reported(
    log: Log,
    heads: Mapping[int, str],
    bodies: Callable[[int], Iterable[bytes]],
    asked: Asked,
    progress: Progress | None,
) -> Reported:
    """bodies: reads the first so many entries."""
    if not heads:
        raise LedgerError("the ledger has no checkpoint: nothing was recorded yet, or it was removed")
    size, names = _end(heads, asked.witnesses)
    signed = {each: log.head(note) for each, note in heads.items() if each <= size}
    read = _signed_entries(bodies(size), signed, progress)
    found = reports.report(read, asked.period, asked.account, asked.least)
    before = [each for each in signed if found.first is not None and 0 < each <= found.first]
    return Reported(
        report=found,
        log=log.origin,
        opening=heads[max(before)] if before else None,
        closing=heads[size],
        witnesses=names,
        later=max(heads) - size,
    )


def _end(heads: Mapping[int, str], witnesses: Iterable[Witness]) -> tuple[int, tuple[str, ...]]:
    """The head to count up to, and the witnesses under it: the newest that one of them signed, or else the
    newest."""
    for size in sorted(heads, reverse=True):
        names = tuple(
            each.name for each in witnesses if checkpoint.cosignature(heads[size], each.name, each.key)
        )
        if names:
            return size, names
    return max(heads), ()


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


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """What calls are counted by. day: 2026-11-22, UTC. key: its id, or what the ledger calls it where the
    home knows no such key."""

    day: str
    key: str
    operation: str


def usage(settings: Settings, period: Period, key: str | None = None) -> dict[Use, tuple[int, int]]:
    """How many calls were made and how many of them refused, as the ledger says without being verified.

    key: the id of the only one to count. Reads from the newest entry back to the period's first day. Raises
    HomeError for a key that the home does not know.
    """
    pseudonym = Keys(secret_of(settings.master_key)).pseudonym
    names = {pseudonym(each.access_key_id): each.access_key_id for each in issued(settings)}
    if key is not None and key not in names.values():
        raise HomeError(f"no key {key} is known here; `countenance keys list` shows them")
    calls: collections.Counter[Use] = collections.Counter()
    refused: collections.Counter[Use] = collections.Counter()
    with reading(settings) as snapshots:
        for entry in _newest_first(snapshots):
            day = counting.day(entry)
            if day < period.first.isoformat():
                break
            if entry["kind"] != "decision" or day > period.last.isoformat():
                continue
            use = Use(day, names.get(entry["caller"], entry["caller"]), entry["operation"])
            if key in (None, use.key):
                calls[use] += 1
                refused[use] += not entry["allowed"]
    return {use: (count, refused[use]) for use, count in calls.items()}


def _newest_first(snapshots: Snapshots) -> Iterator[Mapping[str, Any]]:
    columns = sa.select(entries.c.seq, raw(entries.c.body).label("body")).order_by(entries.c.seq.desc())
    before: int | None = None
    while True:
        wanted = columns if before is None else columns.where(entries.c.seq < before)
        with snapshots() as connection:
            rows = connection.execute(wanted.limit(CHUNK)).all()
        for row in rows:
            yield json.loads(bytes(row.body))
        if len(rows) < CHUNK:
            return
        before = rows[-1].seq


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
