"""What keeping and forgetting the results of a job costs.

    python bench/results.py [LINES [LANDMARKS]]

Lines are JSON as FaceDetail's, of random numbers, kept in both orders, read a page at a time, forgotten and
destroyed, while another thread writes and says how long it waited at most. DEFAULT leaves five landmarks.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from countenance import jobs, results
from countenance.database import Database
from countenance.leases import Lease
from countenance.results import Finding, Order

PEOPLE = 9


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def line(chance: random.Random, landmarks: int) -> str:
    shape = {
        "BoundingBox": {name: chance.random() for name in ("Width", "Height", "Left", "Top")},
        "Landmarks": [
            {"Type": "eyeLeft", "X": chance.random(), "Y": chance.random()} for _ in range(landmarks)
        ],
        "Pose": {name: chance.uniform(-90, 90) for name in ("Roll", "Yaw", "Pitch")},
        "Quality": {name: chance.uniform(0, 100) for name in ("Brightness", "Sharpness")},
        "Confidence": chance.uniform(0, 100),
    }
    return json.dumps(shape, separators=(",", ":"))


def kept(database: Database, lines: int, bodies: list[str]) -> None:
    values = {"account": "1", "key": "k", "operation": "S", "asked": b"", "question": b"", "started": 1}
    database.write(lambda connection: jobs.add(connection, job_id="a", created=0.0, **values))
    job = database.write(lambda connection: jobs.take(connection, "worker", now()))
    assert job is not None
    lease = Lease(database, job, now, lambda: False, dt.timedelta(hours=12), 10**12)
    database.write(lambda connection: lease.began(connection, 2))
    began = time.process_time()
    for order in (Order.TIME, Order.PERSON):
        for number in range(lines):
            person = number * PEOPLE // lines if order is Order.PERSON else number % PEOPLE
            lease.tell(found=[Finding(number, bodies[number % len(bodies)], person)], order=order)
    database.write(lambda connection: lease.ended(connection, jobs.State.SUCCEEDED))
    with database.reading() as connection:
        size = jobs.stored(connection, "1")
    print(f"kept in both orders: {size / 1e6:.0f} MB, {time.process_time() - began:.1f} s of processor")


def read(database: Database, lines: int) -> None:
    with database.reading() as connection:
        job = jobs.find(connection, "1", "a")
        assert job is not None
        for order in (Order.TIME, Order.PERSON):
            for start in (0, lines - 1000):
                began = time.process_time()
                found = jobs.found(connection, job, start, 1000, order)
                took = time.process_time() - began
                print(f"{len(found)} lines from {start:,} by {order.name}: {1000 * took:.0f} ms of processor")


@contextmanager
def another(database: Database) -> Iterator[list[float]]:
    """Somebody who writes all the while: the longest that a write took, in seconds."""
    worst, over = [0.0], threading.Event()

    def write() -> None:
        while not over.wait(0.002):
            began = time.perf_counter()
            database.write(lambda _: None)
            worst[0] = max(worst[0], time.perf_counter() - began)

    thread = threading.Thread(target=write)
    thread.start()
    yield worst
    over.set()
    thread.join()


def forgotten(database: Database) -> None:
    with another(database) as worst:
        began = time.perf_counter()
        database.write(lambda connection: jobs.expire(connection, "1", now(), 20))
        print(f"forgotten: {time.perf_counter() - began:.3f} s")
        slices = results.sweep(database)
        print(f"destroyed: {time.perf_counter() - began:.1f} s in {slices} transactions")
    print(f"another's write waited at most {worst[0]:.3f} s")


def main() -> None:
    lines, landmarks = (int(each) for each in (*sys.argv[1:], "300000", "5")[:2])
    chance = random.Random(0)  # the same figures each time
    bodies = [line(chance, landmarks) for _ in range(3000)]
    print(f"{lines:,} lines of {sum(map(len, bodies)) // len(bodies)} bytes")
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder)}/results.db")
        kept(database, lines, bodies)
        read(database, lines)
        forgotten(database)
        database.close()


if __name__ == "__main__":
    main()
