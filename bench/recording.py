"""Calls a second that a long record takes in, durably, and what its length costs.

    python bench/recording.py [--entries 1000000] [--seconds 10] [--rounds 3] [--home FOLDER] [--url URL]

A home is made and filled with calls by the ledger's own code, up to so many entries; --home keeps it for the
next run, --url has it in a PostgreSQL database. Then threads record: each call's decision, durable, then its
outcome, durable, by the gate's own code, without policy, senses and network. Beside it the same with commits
of one write each, on a disk whose fsync takes 5 ms longer (a pause inside every commit), and the whole door,
policy included. Then proofs of random entries, the start of a fresh process, and the whole record read back.
"""

# ruff: noqa: SLF001 - what is timed is the gate's own way of recording, which nothing else may use
from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from countenance import database, office, settings
from countenance.declared import NOTHING
from countenance.ledger import Record, Result, Told, checkpoint, decision_entry
from countenance.ledger.merkle import leaf_hash, verify_inclusion
from countenance.service import Service
from countenance.settings import Settings
from countenance.types import Action, OrganisationKind

SLOW = 0.005  # seconds
TOLD = Told(candidates=3, top=99.5, subjects=[bytes([n]) * 32 for n in range(3)])
START = """
import sys, time
from pathlib import Path
from countenance import settings
from countenance.service import Service
began = time.perf_counter()
service = Service(settings.load(Path(sys.argv[1])))
print(time.perf_counter() - began)
service.close()
"""


class Disk:
    """A journal whose commits take longer, as on a slower disk."""

    def __init__(self) -> None:
        self.pause = 0.0

    def begin(self, connection: Any) -> None: ...

    def seal(self, connection: Any) -> None:  # noqa: ARG002
        time.sleep(self.pause)

    def settled(self) -> None: ...


class Recorder:
    """The gate of a home, and one call to record again and again."""

    def __init__(self, home: Settings) -> None:
        self.service = Service(home)
        self.gate = self.service._gate
        key, _ = home.credentials.read_text().split("aws_access_key_id = ")[1].split("\n", 1)
        signer = self.service._signer(key)
        assert signer is not None
        self.caller = signer[0]
        self._call = self.gate._found("ListCollections", {}, self.caller, NOTHING)
        self._matter = self.gate._matter(self._call)
        self._decision = self.gate._decide(self._call, self._matter)

    def record(self) -> None:
        recorded = self.gate._record(self._call, self._matter, self._decision, str(uuid.uuid4()))
        number = recorded.decision.seq
        self.gate.database.write(
            lambda connection: self.gate._conclude(connection, number, Result.ANSWERED, told=TOLD)
        )

    def door(self) -> None:
        answer = self.gate.call("RekognitionService.ListCollections", b"{}", self.caller)
        assert answer.status == 200

    def size(self) -> int:
        with self.gate.database.reading() as connection:
            return self.gate.ledger.size(connection)

    def fill(self, entries: int) -> None:
        """Record calls, many in one commit, until there are so many entries."""
        began = time.perf_counter()
        before = size = self.size()
        while size < entries:
            self.gate.database.write(lambda connection: [self._both(connection) for _ in range(500)])
            size = self.size()
        if size > before:
            took = time.perf_counter() - began
            print(f"filled {size - before} entries in {took:.0f} s, {(size - before) / took:.0f} a second")

    def _both(self, connection: Any) -> None:
        entry = decision_entry(
            now=self._call.now,
            request=str(uuid.uuid4()),
            operation="SearchFaces",
            actions=[Action.IDENTIFY],
            decision=self._decision,
            caller=self.caller,
            pseudonym=self.gate.tools.keys.pseudonym(self.caller.key),
            model=self.gate._model(self._call),
            collection="people",
            size=1000,
            threshold=80.0,
        )
        admitted = self.gate._admit(connection, self._call, entry, Record({}), "")
        self.gate._conclude(connection, admitted.decision.seq, Result.ANSWERED, told=TOLD)

    def prove(self, number: int) -> float:
        """Seconds to read an entry and prove it."""
        ledger = self.gate.ledger
        with self.gate.database.reading() as connection:
            began = time.perf_counter()
            proven = ledger.prove(connection, [number])
            took = time.perf_counter() - began
        head = checkpoint.verify(proven.note, ledger.origin, ledger.public_key)
        [proof] = proven.proofs
        assert verify_inclusion(leaf_hash(proof.body), number, head.size, proof.path, head.root)
        return took


def rate(threads: int, seconds: float, work: Callable[[], None]) -> tuple[float, list[float]]:
    """Calls a second, and how long each took."""
    took: list[float] = []
    stop = time.perf_counter() + seconds

    def go() -> None:
        mine = []
        while (began := time.perf_counter()) < stop:
            work()
            mine.append(time.perf_counter() - began)
        took.extend(mine)

    running = [threading.Thread(target=go) for _ in range(threads)]
    began = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return len(took) / (time.perf_counter() - began), took


def told(name: str, threads: int, seconds: float, rounds: int, work: Callable[[], None]) -> None:
    """One line of the table."""
    rates, took = [], []
    for _ in range(rounds):
        calls, each = rate(threads, seconds, work)
        rates.append(calls)
        took += each
    took.sort()
    middle, late = took[len(took) // 2], took[int(len(took) * 0.99)]
    print(
        f"{name:<44} {threads:>7} {statistics.median(rates):>8.0f} {min(rates):>6.0f}-{max(rates):<6.0f} "
        f"{middle * 1e3:>7.2f} {late * 1e3:>7.2f} {took[-1] * 1e3:>8.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--url", default="", help="of an empty PostgreSQL database")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Settings(home=asked.home or Path(folder) / "home", database=asked.url)
        if not (home.home / settings.FILE).exists():
            office.found(home, "bench", OrganisationKind.RESEARCH, "world", "general")
        run(settings.load(home.home), asked.entries, asked.seconds, asked.rounds)


def run(home: Settings, entries: int, seconds: float, rounds: int) -> None:
    recorder, disk = Recorder(home), Disk()
    recorder.fill(entries)
    recorder.gate.database.keep(disk)
    print(f"{recorder.size()} entries\n{'':<44} threads  calls/s    of runs   median     p99  longest (ms)")
    for threads in (1, 8, 32):
        told("decision and outcome, durable", threads, seconds, rounds, recorder.record)
    many, database.BATCH = database.BATCH, 1
    told("  one write a commit", 8, seconds, rounds, recorder.record)
    database.BATCH, disk.pause = many, SLOW
    for threads in (8, 32):
        told(f"  fsync {SLOW * 1e3:.0f} ms slower", threads, seconds, rounds, recorder.record)
    disk.pause = 0.0
    told("the whole door, policy included", 8, seconds, rounds, recorder.door)
    size = recorder.size()
    took = sorted(recorder.prove(random.randrange(size)) for _ in range(2000))
    print(f"proof of an entry among {size}: median {took[1000] * 1e3:.3f} ms, p99 {took[1980] * 1e3:.3f} ms")
    recorder.service.close()
    command = [sys.executable, "-c", START, str(home.home)]
    starts = [float(subprocess.check_output(command)) for _ in range(5)]
    print(f"start of a fresh process: median {statistics.median(starts):.2f} s, longest {max(starts):.2f} s")
    began = time.perf_counter()
    office.verified(home)
    print(f"the whole record read back from the database: {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
