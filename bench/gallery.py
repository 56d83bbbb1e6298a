"""Search through the database: how long an index takes to load, and a search, alone and eight at once.

python bench/gallery.py --faces 1000000
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from countenance.audit import search
from countenance.database import Database
from countenance.galleries import Galleries, store
from countenance.galleries import rows as rows_of
from countenance.schema import collections, faces
from countenance.types import Embedding, Gallery, Probe

NOW = dt.datetime.now(dt.UTC)
PIECE = 20_000


def fill(database: Database, made: Gallery, rows: np.ndarray) -> None:
    """These vectors into a gallery, past the functions that check a template at a time."""

    def some(start: int) -> list[dict[str, object]]:
        return [
            {
                "collection": made.number,
                "change": 1,
                "face_id": str(uuid.uuid4()),
                "image_id": str(uuid.uuid4()),
                "external_image_id": "",
                "box": "0.250000 0.250000 0.500000 0.500000",
                "confidence": 99.5,
                "vector": row.tobytes(),
                "subject": b"0" * 32,
                "enrolled": 0.0,
            }
            for row in rows[start : start + PIECE]
        ]

    for start in range(0, len(rows), PIECE):
        database.write(lambda c, start=start: c.execute(faces.insert(), some(start)) and None)

    def end(connection: sa.Connection) -> None:
        size = collections.update().where(collections.c.number == made.number).values(size=len(rows))
        connection.execute(size)
        rows_of.advance(connection, made.number)

    database.write(end)


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--faces", type=int, default=100_000)
    ask.add_argument("--searches", type=int, default=200)
    options = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = np.zeros((options.faces, 128), np.float32)
        list(search.made(options.faces, 128, rows))
        database = Database(f"sqlite:///{Path(folder) / 'many.db'}")
        gallery = database.write(lambda c: store.create(c, "111122223333", "many", "made-up", {}, NOW))
        assert gallery is not None
        fill(database, gallery, rows)
        galleries = Galleries(database)
        probes = [Probe(Embedding(each, "made-up")) for each in search.asked(options.searches, rows)]
        began = time.perf_counter()
        galleries.refresh(gallery)
        galleries.identify(gallery, probes[0], 5, 0.5)
        print(f"{options.faces:,} faces: loaded and first searched in {time.perf_counter() - began:.1f} s")
        for floor in (0.5, -1.0):
            took: list[float] = []
            for probe in probes:
                began = time.perf_counter()
                galleries.identify(gallery, probe, 5, floor)
                took.append((time.perf_counter() - began) * 1e3)
            low, *_, high = statistics.quantiles(took, n=20)
            middle = statistics.median(took)
            print(f"cosine >= {floor}: median {middle:.1f} ms, 5 to 95 % {low:.1f} to {high:.1f}")

        def work(mine: list[Probe]) -> None:
            for probe in mine:
                galleries.identify(gallery, probe, 5, 0.5)

        threads = [threading.Thread(target=work, args=(probes[number::8],)) for number in range(8)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"eight at once: {len(probes) / (time.perf_counter() - began):.0f} searches a second")
        database.close()


if __name__ == "__main__":
    main()
