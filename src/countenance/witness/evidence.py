"""What a witness keeps of a head it did not sign: that one, the one it contradicts, and what both prove."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from countenance.ledger import checkpoint
from countenance.ledger.checkpoint import Checkpoint

EXPLANATION = "README.txt"

MOST_HEARSAY = 1000
"""Pieces of a log's evidence beside which none is kept that proves nothing by itself: anybody can send such
heads, and fill a disk."""


@dataclass(frozen=True, slots=True)
class Head:
    """A head and its signed note; None stands for no entries at all, which nobody signed."""

    checkpoint: Checkpoint
    note: str | None

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root


class Contradiction(StrEnum):
    """How a signed head contradicts the one signed before. SPLIT and FORK prove that the log lied."""

    SPLIT = "split"
    FORK = "fork"
    SMALLER = "smaller"
    UNPROVEN = "unproven"


_HEARSAY = frozenset({Contradiction.SMALLER, Contradiction.UNPROVEN})

_MEANING = {
    Contradiction.SPLIT: """\
Both heads are of {size} entries, both carry a good signature of the log, and their roots differ. So two
different records were signed as one. This proves, whoever sent them, that the log's key was used to show
different people different records, or to write the record anew.
""",
    Contradiction.FORK: """\
Both heads carry a good signature of the log. The later one is of {size} entries. The file `proof` shows that
the first {known} of these have the root

    {instead}

but `signed` gave them another. So what was recorded before was changed afterwards. This proves it to
anybody: check both signatures, then the proof (RFC 9162, 2.1.4.2) from the root above to the later head's.
""",
    Contradiction.SMALLER: """\
The head that was refused is of {size} entries, after one of {known} had been signed. Its signature is good,
but old heads are no secret: an old copy in a cache, or anybody who kept one, looks the same. If the log goes
on from there, it was put back, and its later heads will contradict `signed`.
""",
    Contradiction.UNPROVEN: """\
The head that was refused is of {size} entries, and what came with it does not show that it begins with the
{known} entries of `signed`. That alone proves nothing: anybody who has a head can send it with a wrong proof.
Ask the log for the proof from one size to the other. If it cannot give one, its record was changed.
""",
}


def keep(
    shelf: Path,
    how: Contradiction,
    who: str,
    signed: Head,
    refused: Head,
    proof: Sequence[bytes] = (),
    instead: bytes | None = None,
) -> Path:
    """Keep a head that was not signed; the same one twice is kept once. Returns the folder it is in.

    who: when, and which witness. instead: the root that `proof` gives the entries that were signed before.
    """
    note = str(refused.note)
    digest = hashlib.sha256(checkpoint.text_of(note).encode()).hexdigest()[:8]
    place = shelf / f"{how}-{refused.size}-{digest}"
    full = how in _HEARSAY and len(list(shelf.glob("*"))) >= MOST_HEARSAY
    if full or (place / EXPLANATION).exists():
        return place
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    write(place / "signed", signed.note or "")
    write(place / "refused", note)
    if proof:
        write(place / "proof", "".join(f"{base64.b64encode(each).decode()}\n" for each in proof))
    meaning = _MEANING[how].format(
        size=refused.size, known=signed.size, instead=base64.b64encode(instead or b"").decode()
    )
    write(
        place / EXPLANATION,
        f"{refused.checkpoint.origin}\n\n{who} was shown the head in `refused`, and did not sign it, having "
        f"signed the one in `signed` before.\n\n{meaning}",
    )
    return place


def write(path: Path, content: str) -> None:
    """Whole or not at all, and on the disk."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
