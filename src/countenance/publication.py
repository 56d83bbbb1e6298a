"""What leaves the home of its record: the folder that anybody may read, and heads that others sign beside us.

None of it needs a secret of the home. Exporting changes nothing in the home; what witnesses signed is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.engine import Connection

from countenance.database import checkpoints
from countenance.errors import HomeError, LedgerError
from countenance.ledger import checkpoint, verification
from countenance.ledger.export import Log, Published, export
from countenance.office import reading
from countenance.settings import Settings

__all__ = ["Published", "exported", "log_of", "signed_heads"]

_HANDOVERS = sa.table("handovers", sa.column("size", sa.BigInteger), sa.column("note", sa.Text))
_WITNESSED = sa.table("witnessed", sa.column("size", sa.BigInteger), sa.column("note", sa.Text))


def exported(
    settings: Settings,
    folder: Path,
    *,
    with_entries: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Published:
    """Bring a folder up to the newest head of the ledger, also while a server appends to it.

    with_entries: whether the entries are published, or only their hashes. progress: told how many entries
    are written, of how many. Raises LedgerError where what is stored, or what the folder holds, is not what
    was signed.
    """
    with reading(settings) as snapshots:
        with snapshots() as connection:
            log = log_of(connection, settings)
            heads = signed_heads(connection)
        newest = max(heads, default=None)
        if newest is None:
            raise LedgerError("the ledger has no checkpoint: nothing was recorded yet, or it was removed")
        note = heads.pop(newest)
        return export(folder, log, note, snapshots, heads, with_entries=with_entries, progress=progress)


def signed_heads(connection: Connection) -> dict[int, str]:
    """The signed heads by size: the newest, and those that are kept; with every signature there is."""
    heads: dict[int, str] = {}
    for table in (checkpoints, _HANDOVERS, _WITNESSED):
        if sa.inspect(connection).has_table(table.name):  # an older home is read as it lies
            for size, note in connection.execute(sa.select(table.c.size, table.c.note)).all():
                if not isinstance(size, int) or not isinstance(note, str):
                    raise LedgerError(f"the checkpoint stored for size {size} is not text")
                heads[size] = checkpoint.joined(heads[size], note) if size in heads else note
    return heads


def log_of(connection: Connection, settings: Settings) -> Log:
    """The log's name and all its keys. Raises LedgerError where a handover between two does not fit."""
    origin, newest = _public_key(settings)
    if not sa.inspect(connection).has_table(_HANDOVERS.name):
        return Log(origin, (newest,))
    keys = [newest]
    rows = connection.execute(sa.select(_HANDOVERS).order_by(_HANDOVERS.c.size.desc()))
    for size, note in rows.all():
        rotation = verification.read(connection, size - 1)
        after, before = (_key(rotation.get(name), origin) for name in ("key", "key_before"))
        if after != keys[0]:
            raise LedgerError(f"entry {size - 1} hands the log over to another key than the next", size - 1)
        for key in (before, after):
            checkpoint.verify(note, origin, key)
        keys.insert(0, before)
    return Log(origin, tuple(keys))


def _key(line: object, origin: str) -> Ed25519PublicKey:
    name, key = checkpoint.read_key(str(line))
    if name != origin:
        raise LedgerError(f"a key of {name} cannot sign {origin}")
    return key


def _public_key(settings: Settings) -> tuple[str, Ed25519PublicKey]:
    """The log's name and the key that signs now: the last line of ledger.pub."""
    path = settings.ledger_public_key
    try:
        return checkpoint.read_key(path.read_text("utf-8").strip().rpartition("\n")[2])
    except (OSError, ValueError, LedgerError) as fault:
        raise HomeError(f"{path} is not a verifier key: {fault}") from fault
