"""Kill -9 a process that does nothing but record, again and again, and look for loss.

    python -m tests.door.kills --kills 1000

Four threads write decisions and outcomes into one home's ledger; what is durable they say through a pipe. At
a random moment the process is killed. Then every acknowledged entry must be there with the leaf it was
acknowledged with, and the newest signed head must cover just what is on the disk.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countenance.database import Database
from countenance.ledger import Ledger, Result, Verified, Written, checkpoint, outcome_entry
from countenance.schema import checkpoints, entries

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "countenance.example/kills"
THREADS = 4
LINE = 8 + 32
"""Bytes of one acknowledgement: the entry's number and its leaf."""


def record(url: str, pipe: int) -> None:
    """Write until killed, and say what is durable."""
    database, ledger = Database(url), Ledger(KEY, ORIGIN)
    database.keep(ledger)

    def said(written: Written) -> Written:
        os.write(pipe, written.seq.to_bytes(8, "big") + written.leaf)  # shorter than a pipe's atomic 4 KiB
        return written

    def call() -> None:
        asked = {"v": 1, "kind": "decision", "operation": "SearchFaces"}
        decision = said(database.write(lambda connection: ledger.append(connection, asked)))
        ended = outcome_entry(now=dt.datetime.now(dt.UTC), decision=decision.seq, result=Result.ANSWERED)
        said(database.write(lambda connection: ledger.append(connection, ended)))

    def go_on() -> None:
        while True:
            call()

    for _ in range(THREADS):
        threading.Thread(target=go_on, daemon=True).start()
    threading.Event().wait()


def killed(url: str, after: float) -> dict[int, bytes]:
    """What a process acknowledged that was killed so many seconds after its first entry."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            record(url, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read(LINE)  # the first: it is at work
        threading.Timer(after, os.kill, (child, signal.SIGKILL)).start()
        said += pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended before it was killed"
    return {int.from_bytes(line[:8], "big"): line[8:] for line in _lines(said)}


def _lines(said: bytes) -> Iterator[bytes]:
    for start in range(0, len(said) - LINE + 1, LINE):
        yield said[start : start + LINE]


def check(url: str, acknowledged: dict[int, bytes]) -> int:
    """How many entries there are. Fails where one is lost, or a head is not over just what is there."""
    database = Database(url)
    try:
        database.write(lambda c: None)  # in our turn: a commit of the dead process's is over
        with database.reading() as connection:
            wanted = entries.c.seq >= min(acknowledged, default=0)
            rows = connection.execute(sa.select(entries.c.seq, entries.c.leaf).where(wanted))
            found = {row.seq: row.leaf for row in rows}
            count = connection.execute(sa.select(sa.func.count()).select_from(entries)).scalar_one()
            newest = sa.select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
            note = connection.execute(newest).scalar()
    finally:
        database.close()
    lost = {seq for seq, leaf in acknowledged.items() if found.get(seq) != leaf}
    assert not lost, f"acknowledged and lost: {sorted(lost)}"
    head = checkpoint.verify(note, ORIGIN, KEY.public_key())
    assert head.size == count, f"a head over {head.size} entries where {count} are on the disk"
    return int(count)


def verified(url: str) -> Verified:
    """The whole record, read back."""
    database = Database(url)
    try:
        return Ledger(KEY, ORIGIN).verify(database.reading)
    finally:
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--url", help="an empty database; a SQLite file of its own by default")
    asked = parser.parse_args()
    chance, began, acknowledged = random.Random(asked.seed), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        url = asked.url or f"sqlite:///{Path(folder)}/home.db"
        for kill in range(1, asked.kills + 1):
            said = killed(url, chance.uniform(0, 0.1))
            acknowledged += len(said)
            size = check(url, said)
            if sys.stderr.isatty() or kill % 100 == 0:
                print(f"\r{kill} kills, {size} entries", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        whole = verified(url)
    print(
        f"{asked.kills} kills in {time.monotonic() - began:.0f} s: {whole.size} entries verify, "
        f"{acknowledged} acknowledged, none lost, no head ahead of the disk"
    )


if __name__ == "__main__":
    main()
