"""What leaves the home of its record: the folder that anybody may read, and heads that others sign beside us.

None of it needs a secret of the home. Exporting changes nothing in the home; what witnesses signed is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from countenance.errors import HomeError, LedgerError
from countenance.ledger import KEPT_EVERY, checkpoint, stored_tree
from countenance.ledger.export import Log, Published, export
from countenance.ledger.submission import Witness
from countenance.office import database_of, public_keys, reading
from countenance.schema import checkpoints, handovers, witnessed
from countenance.settings import Settings

__all__ = ["Published", "Round", "cosigned", "exported", "heads", "newest_checkpoint", "submitted"]


@dataclass(frozen=True, slots=True)
class Round:
    """What came of showing witnesses a head of `size` entries: who signed, and why others did not.

    note: the head with their signatures. unasked: who has no URL, and comes by itself.
    """

    size: int
    note: str
    signed: tuple[str, ...]
    failed: Mapping[str, str]
    unasked: tuple[str, ...] = ()


def exported(
    settings: Settings,
    folder: Path,
    *,
    note: str | None = None,
    with_entries: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Published:
    """Bring a folder up to a head of the ledger, also while a server appends to it.

    note: the signed head. Where none is given the newest, as the witnesses sign it. with_entries: whether the
    entries are published, or only their hashes. progress: told how many entries are written, of how many.
    Raises LedgerError where what is stored, or what the folder holds, is not what was signed, and HomeError
    where the home lies in the folder: its secrets would be published with it.
    """
    if settings.home.resolve().is_relative_to(folder.resolve()):
        raise HomeError(f"the home lies in {folder}: what publishes that folder would publish its secrets")
    log = Log(*public_keys(settings.ledger_public_key))
    head = submitted(settings).note if note is None else note
    with reading(settings) as snapshots:
        with snapshots() as connection:
            kept = _kept(connection, log.head(head).size)
        return export(folder, log, head, snapshots, kept, with_entries=with_entries, progress=progress)


def submitted(settings: Settings) -> Round:
    """Have every witness that settings.toml names with a URL sign the newest head, and keep what they sign.

    Raises LedgerError for a line of `witnesses` that names none, and where the ledger's own head is not good.
    """
    witnesses = _witnesses(settings)
    log = Log(*public_keys(settings.ledger_public_key))
    signed, failed = [], {}
    with reading(settings) as snapshots:
        with snapshots() as connection:
            note = _newest(connection)
            known = max(_notes(connection, witnessed), default=0)
        size = log.head(note).size

        def prove(old: int) -> Sequence[bytes]:
            with snapshots() as connection:
                return stored_tree(connection, size).consistency(old, size)

        for witness in witnesses:
            if witness.url:
                try:
                    note = witness.submit(note, known, prove)
                    signed.append(witness.name)
                except LedgerError as fault:
                    failed[witness.name] = str(fault)
    if signed:
        _keep(settings, size, note)
    return Round(size, note, tuple(signed), failed, tuple(each.name for each in witnesses if not each.url))


def cosigned(settings: Settings, note: str) -> Round:
    """Keep a head that witnesses signed elsewhere, having followed what is published.

    Raises LedgerError where it is not a head of this ledger, or no witness in settings.toml signed it.
    """
    log = Log(*public_keys(settings.ledger_public_key))
    head = log.head(note)
    with reading(settings) as snapshots, snapshots() as connection:
        if head.size > checkpoint.peek(_newest(connection)).size:
            raise LedgerError(f"that head is of {head.size} entries: this ledger has fewer")
        if stored_tree(connection, head.size).root() != head.root:
            raise LedgerError(f"that head of {head.size} entries is not of what is stored here")
    whole, signed = _plain(log, note), []
    for witness in _witnesses(settings):
        if (more := witness.add_to(whole, note)) is not None:
            whole = more
            signed.append(witness.name)
    if not signed:
        raise LedgerError("no witness that settings.toml names has signed that head")
    _keep(settings, head.size, whole)
    return Round(head.size, whole, tuple(signed), {})


def newest_checkpoint(settings: Settings) -> str:
    """The newest signed head, with the signatures of witnesses, to be kept elsewhere.

    Raises LedgerError where it is not good.
    """
    name, keys = public_keys(settings.ledger_public_key)
    with reading(settings) as snapshots, snapshots() as connection:
        note = _newest(connection)
    checkpoint.verify(note, name, keys[-1])
    return note


def _newest(connection: Connection) -> str:
    """The newest signed head, with the signatures of witnesses where there are any."""
    own, others = _notes(connection, checkpoints), _notes(connection, witnessed)
    if not own:
        raise LedgerError("the ledger has no checkpoint: nothing was recorded yet, or it was removed")
    newest = max(own)
    return checkpoint.joined(own[newest], others.get(newest, own[newest]))


def _kept(connection: Connection, published: int) -> dict[int, str]:
    """The heads that are kept, by size, and of each witness the newest that it signed; but not the newest of
    our own, which may still go, nor a witnessed one that is published as the checkpoint itself."""
    own, both, others = (_notes(connection, table) for table in (checkpoints, handovers, witnessed))
    own.pop(max(own, default=0), None)
    others.pop(published, None)
    return _joined(own, both, others)


def heads(connection: Connection) -> dict[int, str]:
    """Every signed head by size, with every signature there is. Raises LedgerError where one is no text."""
    return _joined(*(_notes(connection, table) for table in (checkpoints, handovers, witnessed)))


def _joined(*several: Mapping[int, str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for notes in several:
        for size, note in notes.items():
            found[size] = checkpoint.joined(found[size], note) if size in found else note
    return found


def _notes(connection: Connection, table: sa.Table) -> dict[int, str]:
    """Signed heads by size. Raises LedgerError where something else lies in their place."""
    if not sa.inspect(connection).has_table(table.name):  # an older home is read as it lies
        return {}
    notes = {row.size: row.note for row in connection.execute(sa.select(table.c.size, table.c.note))}
    for size, note in notes.items():
        if not isinstance(size, int) or not isinstance(note, str):
            raise LedgerError(f"the checkpoint stored for size {size} is not text")
    return notes


def _plain(log: Log, note: str) -> str:
    """A head with the log's own signatures alone."""
    own = f"\N{EM DASH} {log.origin} "
    lines = [line for line in note.partition("\n\n")[2].splitlines(keepends=True) if line.startswith(own)]
    return f"{checkpoint.text_of(note)}\n{''.join(lines)}"


def _keep(settings: Settings, size: int, note: str) -> None:
    """Of the heads in each thousand entries the first one witnessed is kept for good, and of each witness
    the newest."""

    def store(connection: Connection) -> None:
        known = _notes(connection, witnessed)
        known[size] = checkpoint.joined(known.get(size, note), note)
        first = {each // KEPT_EVERY: each for each in sorted(known, reverse=True)}
        seen: set[str] = set()
        for each in sorted(known, reverse=True):
            newest_of = checkpoint.signers(known[each]) - seen
            seen |= newest_of
            if not newest_of and each not in first.values():
                connection.execute(witnessed.delete().where(witnessed.c.size == each))
        connection.execute(witnessed.delete().where(witnessed.c.size == size))
        connection.execute(witnessed.insert().values(size=size, note=known[size]))

    with closing(database_of(settings)) as database:
        database.write(store)


def _witnesses(settings: Settings) -> list[Witness]:
    return [Witness.read(line) for line in settings.witnesses]
