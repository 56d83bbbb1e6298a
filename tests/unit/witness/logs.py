"""Logs to be witnessed: honest ones, and ones whose operator has the key and no shame."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance.ledger import checkpoint
from countenance.ledger.checkpoint import Checkpoint
from countenance.ledger.merkle import Tree, leaf_hash
from countenance.ledger.submission import Submission
from countenance.ledger.tiles import WIDTH, path, tiles

ORIGIN = "countenance.example/log"


class Nodes(dict[tuple[int, int], bytes]):
    """Complete nodes in memory."""

    def get(self, level: int, index: int) -> bytes:  # type: ignore[override]
        return self[level, index]

    def put(self, level: int, index: int, value: bytes) -> None:
        self[level, index] = value


class FakeLog:
    """A log that signs whatever it is told to. changed: entries that differ from another such log's."""

    def __init__(
        self,
        size: int,
        changed: tuple[int, ...] = (),
        key: Ed25519PrivateKey | None = None,
        origin: str = ORIGIN,
    ) -> None:
        self.origin = origin
        self.key = key or Ed25519PrivateKey.from_private_bytes(bytes(32))
        self.tree = Tree(Nodes())
        for number in range(size):
            self.tree.append(leaf_hash(b"changed" if number in changed else str(number).encode()))

    @property
    def public(self) -> str:
        return checkpoint.verifier_key(self.origin, self.key.public_key()) + "\n"

    def head(self, size: int) -> str:
        return checkpoint.sign(Checkpoint(self.origin, size, self.tree.root(size)), self.key)

    def submission(self, old: int, size: int) -> str:
        """What an honest client of this log sends."""
        return Submission(old, tuple(self.tree.consistency(old, size)), self.head(size)).written()


def publish(log: FakeLog, size: int, out: Path, *, keep_partial: bool = True) -> None:
    """Tiles and head, without entries: straight from the tree."""
    for level, index, wide in tiles(size):
        file = out / path(level, index, wide)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"".join(log.tree.nodes.get(8 * level, index * WIDTH + at) for at in range(wide)))
        if wide == WIDTH and not keep_partial:
            for old in file.with_name(f"{file.name}.p").glob("*"):
                old.unlink()
    out.mkdir(parents=True, exist_ok=True)
    (out / "checkpoint").write_text(log.head(size))
