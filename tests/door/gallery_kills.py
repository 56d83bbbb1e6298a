"""Kill -9 a process in the middle of a bulk insert, a delete or an index's rebuild, and look for loss.

    python -m tests.door.gallery_kills --kills 300

One process enrols hundreds of templates in one transaction, deletes some, and reads its index anew, by turns.
It says through a pipe what it is about to do and what is durable, and is killed in a phase of its own
choosing. Then nothing acknowledged may be lost or come back, no transaction may be half there, and search in
a fresh process must be the float64 ranking of just what the database holds.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from countenance.database import Database
from countenance.galleries import Galleries, store
from countenance.galleries.index import ranked
from countenance.schema import collections, faces
from countenance.types import Box, Embedding, Gallery, Probe, Template, Vector

MODEL, ACCOUNT, NAME = "kills-1", "111122223333", "people"
DIMENSIONS = 32
BULK = 400
"""Templates of one bulk insert."""
KEPT = 4000
"""Templates above which more are deleted than enrolled."""
PHASES = ("insert", "delete", "rebuild")
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


def vector(face_id: str) -> Vector:
    """A face's vector, always the same."""
    drawn = np.random.default_rng(uuid.UUID(face_id).int % 2**63).standard_normal(DIMENSIONS)
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


def template(face_id: str) -> Template:
    image = str(uuid.UUID(int=uuid.UUID(face_id).int ^ 1))
    return Template(face_id, image, None, Box(0.25, 0.25, 0.5, 0.5), 99.0, Embedding(vector(face_id), MODEL))


def gallery(database: Database) -> Gallery:
    def write(connection: sa.Connection) -> Gallery | None:
        return store.find(connection, ACCOUNT, NAME) or store.create(
            connection, ACCOUNT, NAME, MODEL, {}, NOW
        )

    found = database.write(write)
    assert found is not None
    return found


def work(url: str, pipe: int, seed: int) -> None:
    """Insert, delete and rebuild until killed, and say so: a line before each act and one after."""
    database, chance = Database(url), random.Random(seed)

    def say(act: str, ids: list[str], *, done: bool) -> None:
        line = json.dumps({"act": act, "ids": ids, "done": done}) + "\n"
        os.write(pipe, line.encode())

    def act(name: str, ids: list[str], write: Callable[[sa.Connection], Any]) -> None:
        say(name, ids, done=False)
        database.write(write)
        say(name, ids, done=True)

    with database.reading() as connection:
        known = list(connection.execute(sa.select(faces.c.face_id)).scalars())
    while True:
        mine = gallery(database)
        new = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(BULK)]
        act("insert", new, partial(store.enrol, gallery=mine, templates=[*map(template, new)], now=NOW))
        known += new
        gone = chance.sample(known, min(len(known), BULK if len(known) < KEPT else 2 * BULK) // 2 * 2)
        known = [face_id for face_id in known if face_id not in set(gone)]
        act("delete", gone, partial(store.forget, gallery=mine, face_ids=gone))
        say("rebuild", [], done=False)
        Galleries(database).identify(gallery(database), Probe(Embedding(vector(new[0]), MODEL)), 5, -1.0)
        say("rebuild", [], done=True)


@dataclass
class Known:
    """What the processes before said. present, gone: FaceIds that must, and must not, be there."""

    present: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))

    def hear(self, line: dict[str, Any]) -> None:
        ids = set(line["ids"])
        if line["done"] and line["act"] == "insert":
            self.present |= ids
        if line["done"] and line["act"] == "delete":
            self.gone |= ids
        if line["act"] == "delete":
            self.present -= ids  # from when it is begun, nobody knows


def kill(url: str, known: Known, phase: str, chance: random.Random) -> set[str]:
    """Let a process work, and kill it in a phase. The ids of the act that it was in."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work(url, writing, chance.getrandbits(63))
        finally:
            os._exit(1)
    os.close(writing)
    turns, last = chance.randrange(1, 4), None
    with os.fdopen(reading, "rb") as pipe:
        for written in pipe:
            if not written.endswith(b"\n"):
                break  # killed while it said so: what it said is not heard
            last = json.loads(written)
            known.hear(last)
            turns -= last["act"] == phase and not last["done"]
            if turns == 0:
                turns = -1
                threading.Timer(chance.uniform(0, 0.03), os.kill, (child, signal.SIGKILL)).start()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended before it was killed"
    assert last is not None
    if last["done"]:
        return set()
    known.kills[last["act"]] += 1
    return set(last["ids"])


def check(url: str, known: Known, open_act: set[str]) -> int:
    """How many templates there are. Fails where one is lost or back, or an act is half there; what the open
    act came to is known from here on."""
    database = Database(url)
    try:
        database.write(lambda c: None)  # in our turn: a commit of the dead process's is over
        with database.reading() as connection:
            rows = connection.execute(sa.select(faces.c.face_id, faces.c.vector)).all()
            size = connection.execute(sa.select(collections.c.size)).scalar_one()
        found = {row.face_id: np.frombuffer(row.vector, "<f4") for row in rows}
        assert size == len(found), f"a collection of {len(found)} that says it has {size}"
        assert not (lost := known.present - found.keys()), f"acknowledged and lost: {len(lost)}"
        assert not (back := (known.gone - open_act) & found.keys()), f"deleted and back: {len(back)}"
        there = open_act & found.keys()
        assert there in (set(), open_act), f"half of one transaction: {len(there)} of {len(open_act)}"
        known.present, known.gone = set(found), known.gone | (open_act - there)
        assert all((found[each] == vector(each)).all() for each in there)
        _searched(database, found)
    finally:
        database.close()
    return len(found)


def _searched(database: Database, found: dict[str, Vector]) -> None:
    """Search, by an index read anew, is the float64 ranking."""
    mine, ids = gallery(database), list(found)
    rows = np.stack([found[each] for each in ids]) if ids else np.zeros((0, DIMENSIONS), np.float32)
    galleries = Galleries(database)
    for number, (limit, floor) in enumerate(((5, -1.0), (1, -1.0), (80, 0.3))):
        probe = vector(str(uuid.UUID(int=number + 1)))
        wanted = [(ids[place], score) for place, score in ranked(ids, rows, probe, limit, floor)]
        candidates = galleries.identify(mine, Probe(Embedding(probe, MODEL)), limit, floor)
        assert [(each.face.face_id, each.score) for each in candidates] == wanted


def rounds(url: str, kills: int, seed: int) -> tuple[Known, int]:
    """So many kills, in each phase by turns, each looked into. (what is known, templates at the end)."""
    chance, known, size = random.Random(seed), Known(), 0
    gallery_made(url)
    for number in range(kills):
        open_act = kill(url, known, PHASES[number % len(PHASES)], chance)
        size = check(url, known, open_act)
        if sys.stderr.isatty():
            print(f"\r{number + 1} kills, {size} templates", end="", file=sys.stderr, flush=True)
    return known, size


def gallery_made(url: str) -> None:
    database = Database(url)
    try:
        gallery(database)
    finally:
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--url", help="a database that may be filled; a SQLite file of its own by default")
    asked, began = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        url = asked.url or f"sqlite:///{Path(folder)}/home.db"
        known, size = rounds(url, asked.kills, asked.seed)
    told = ", ".join(f"{phase} {count}" for phase, count in known.kills.items())
    print(
        f"\n{asked.kills} kills in {time.monotonic() - began:.0f} s ({told}): {size} templates and "
        f"{len(known.gone)} deleted ones, none lost, none back, every search the float64 ranking"
    )


if __name__ == "__main__":
    main()
