"""Search with the index in Milvus: by how much it is slower than in memory, and what being current costs.

python -m tests.milvus python -m bench.milvus --faces 100000

The server is the one of `make test-milvus`, on this machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench.gallery import NOW, fill
from tests import milvus as milvus_server

from countenance.audit import search
from countenance.database import Database
from countenance.galleries import Galleries, Milvus, store
from countenance.types import Box, Embedding, Gallery, Probe, Template


def timed(label: str, work: Callable[[int], object], times: int) -> None:
    took = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        took.append((time.perf_counter() - began) * 1e3)
    low, *_, high = statistics.quantiles(took, n=20)
    print(f"{label:<58} {statistics.median(took):7.1f} ms   5 to 95 % {low:.1f} to {high:.1f}", flush=True)


def enrol(database: Database, gallery: Gallery, row: np.ndarray) -> str:
    one = Template(
        str(uuid.uuid4()),
        str(uuid.uuid4()),
        None,
        Box(0.25, 0.25, 0.5, 0.5),
        99.5,
        Embedding(row, "made-up"),
    )
    [face] = database.write(lambda c: store.enrol(c, gallery, [one], NOW))
    return face.face_id


def forget(database: Database, gallery: Gallery, galleries: Galleries) -> None:
    with database.reading() as connection:
        [(_, face)] = store.enrolled(connection, gallery, limit=1)
    database.write(lambda c: store.forget(c, gallery, [face.face_id]))
    galleries.refresh(gallery)


def levels(milvus: Milvus, gallery: Gallery, probes: list[Probe], sees: int) -> None:
    """Milvus's own search, at each level of consistency."""
    name = milvus.resolve(milvus.alias(gallery.number, gallery.model, "faces"))
    with milvus._asked() as client:  # noqa: SLF001 - the levels that we do not use
        for level in ("Eventually", "Bounded", "Customized", "Strong"):

            def ask(number: int, level: str = level) -> None:
                client.search(
                    name,
                    data=[probes[number].embedding.vector],
                    limit=21,
                    search_params={"metric_type": "IP"},
                    consistency_level=level,
                    guarantee_timestamp=sees,
                )

            told = "as of our last write (what we use)" if level == "Customized" else level
            timed(f"Milvus alone, {told}", ask, 40)


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--faces", type=int, default=100_000)
    ask.add_argument("--searches", type=int, default=100)
    options = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder, milvus_server.running():
        rows = np.zeros((options.faces, 128), np.float32)
        list(search.made(options.faces, 128, rows))
        database = Database(f"sqlite:///{Path(folder) / 'many.db'}")
        gallery = database.write(lambda c: store.create(c, "111122223333", "many", "made-up", {}, NOW))
        assert gallery is not None
        fill(database, gallery, rows)
        home = str(uuid.uuid4())
        milvus = Milvus(milvus_server.URL, home)
        memory, one = Galleries(database), Galleries(database, milvus)
        other = Galleries(database, Milvus(milvus_server.URL, home))
        probes = [Probe(Embedding(each, "made-up")) for each in search.asked(options.searches, rows)]
        for label, galleries in (("memory", memory), ("Milvus", one), ("Milvus, another process", other)):
            began = time.perf_counter()
            galleries.identify(gallery, probes[0], 5, 0.5)
            print(f"{options.faces:,} x 128, first search, {label}: {time.perf_counter() - began:.1f} s")
        for floor in (0.5, -1.0):
            same = [
                memory.identify(gallery, probe, 5, floor) == one.identify(gallery, probe, 5, floor)
                for probe in probes
            ]
            print(f"cosine >= {floor}: {sum(same)} of {len(same)} answers identical to the index in memory")
            for label, galleries in (("in memory", memory), ("in Milvus", one)):
                timed(
                    f"search, index {label}, cosine >= {floor}",
                    lambda n, g=galleries, f=floor: g.identify(gallery, probes[n], 5, f),  # type: ignore[misc]
                    options.searches,
                )
        [index] = one._indexes.values()  # noqa: SLF001
        levels(milvus, gallery, probes, index._at.sees)  # type: ignore[attr-defined] # noqa: SLF001
        timed("enrolment of one, without a search", lambda n: enrol(database, gallery, rows[n]), 20)

        for label, wait, galleries in (
            ("search by who comes first after an enrolment", 0.0, one),
            ("then by another process at once", 0.0, other),
            ("by another process .5 s after that", 0.5, other),
        ):
            took = []
            for number in range(20):
                enrol(database, gallery, rows[number])
                if galleries is other:
                    one.identify(gallery, probes[number], 5, 0.5)
                    time.sleep(wait)
                began = time.perf_counter()
                galleries.identify(gallery, probes[number], 5, 0.5)
                took.append((time.perf_counter() - began) * 1e3)
            print(f"{label:<58} {statistics.median(took):7.1f} ms   most {max(took):.1f}", flush=True)
        timed("a deletion, and out of the index", lambda _: forget(database, gallery, one), 10)


if __name__ == "__main__":
    main()
