"""One search among 100,000 faces: Countenance beside the peers' own functions, called as they are published.

    python bench/search_peers.py --deepface build/peers-newest-venv/bin/python \\
        --face-recognition build/peers-venv/bin/python [--faces 100000] [--rounds 5]

deepface: `datastore.search` with search_method="exact" on its SQLite database, filled by its own
insert_embeddings; the embedding of the photo is handed to it instead of being computed. face_recognition:
`face_distance` over a list of arrays, as its README shows, and the five nearest of it. Countenance: the whole
`identify` on a SQLite database. Everybody gets the same made-up vectors, one process each, and takes turns.
"""

# ruff: noqa: PLC0415 - each library is imported where it is installed
from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Ask = Callable[[Any], list[int]]
"""A probe (128,) -> the rows of the five nearest, nearest first."""

NEAREST = 5


def countenance(rows: Any, folder: Path) -> Ask:
    import gallery
    import sqlalchemy as sa

    from countenance.database import Database
    from countenance.galleries import Galleries, store
    from countenance.schema import faces
    from countenance.types import Embedding, Probe

    database = Database(f"sqlite:///{folder / 'ours.db'}")
    made = database.write(lambda c: store.create(c, "111122223333", "many", "made-up", {}, gallery.NOW))
    assert made is not None
    gallery.fill(database, made, rows)
    with database.reading() as connection:
        ids = list(connection.execute(sa.select(faces.c.face_id).order_by(faces.c.number)).scalars())
    place, galleries = {face_id: row for row, face_id in enumerate(ids)}, Galleries(database)

    def ask(probe: Any) -> list[int]:
        found = galleries.identify(made, Probe(Embedding(probe, "made-up")), NEAREST, -1.0)
        return [place[each.face.face_id] for each in found]

    return ask


def deepface(rows: Any, folder: Path) -> Ask:
    from deepface.modules import datastore
    from deepface.modules.database.sqlite import SqliteClient

    kind = {"model_name": "SFace", "detector_backend": "skip", "aligned": True, "l2_normalized": False}
    client = SqliteClient(connection_details=str(folder / "theirs.db"))
    client.initialize_database()
    for start in range(0, len(rows), 10_000):
        some = rows[start : start + 10_000].astype(np.float64)
        client.insert_embeddings(
            [
                {"img_name": str(start + n), "face": _pixel(start + n), "embedding": row.tolist(), **kind}
                for n, row in enumerate(some)
            ],
            batch_size=1000,
        )
    handed: list[float] = []
    area = {"x": 0, "y": 0, "w": 1, "h": 1}
    vars(datastore)["__get_embeddings"] = lambda **_: [{"embedding": handed, "facial_area": area}]

    def ask(probe: Any) -> list[int]:
        handed[:] = probe.astype(np.float64).tolist()
        found = datastore.search(
            img="",
            model_name="SFace",
            detector_backend="skip",
            distance_metric="cosine",
            database_type="sqlite",
            connection_details=str(folder / "theirs.db"),
            search_method="exact",
            similarity_search=True,
            k=NEAREST,
            return_type="dict",
        )
        return [int(each["img_name"]) for each in found[0]]

    return ask


def _pixel(row: int) -> Any:
    """What deepface keeps of each photo beside its embedding: as small as can be, no two the same."""
    return np.array([[[row % 256, row // 256 % 256, row // 65536 % 256]]], np.uint8)


def face_recognition(rows: Any, _folder: Path) -> Ask:
    import face_recognition as library

    known = list(rows.astype(np.float64))  # as its face_encodings gives them
    return lambda probe: np.argsort(library.face_distance(known, probe))[:NEAREST].tolist()


RECIPES = {each.__name__: each for each in (countenance, deepface, face_recognition)}


def contestant(name: str, folder: Path) -> None:
    """Say "ready"; then for each line that names a probe, the seconds it took and the rows it found."""
    rows, probes = (np.load(folder / f"{what}.npy") for what in ("rows", "probes"))
    ask = RECIPES[name](rows, folder)
    ask(probes[0])  # what is loaded at the first search is not counted
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        found = ask(probes[int(line)])
        print(time.perf_counter() - began, *found, flush=True)


def started(python: str, name: str, folder: Path) -> subprocess.Popen[str]:
    command = [
        str(Path(python).absolute()),
        str(Path(__file__).absolute()),
        "--contestant",
        name,
        str(folder),
    ]
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "HOME": str(folder), "DEEPFACE_HOME": str(folder)},  # deepface makes folders
        )
    assert process.stdout is not None
    for line in process.stdout:  # a library may print a banner
        if line.strip() == "ready":
            return process
    raise SystemExit(f"{name} did not start:\n{(folder / f'{name}.log').read_text()}")


def turn(process: subprocess.Popen[str], probe: int) -> tuple[float, list[int]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{probe}\n")
    process.stdin.flush()
    seconds, *found = process.stdout.readline().split()
    return float(seconds), [int(row) for row in found]


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--faces", type=int, default=100_000)
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--deepface", help="the Python of an environment that has it")
    ask.add_argument("--face-recognition", help="the same")
    asked = ask.parse_args()
    pythons = {"countenance": sys.executable, "deepface": asked.deepface}
    pythons["face_recognition"] = asked.face_recognition
    from countenance.audit import search

    with tempfile.TemporaryDirectory(prefix="countenance-bench-") as name:
        folder, rows = Path(name), np.zeros((asked.faces, 128), np.float32)
        for _ in search.made(asked.faces, 128, rows):
            pass
        np.save(folder / "rows.npy", rows)
        np.save(folder / "probes.npy", search.asked(64, rows))
        running = {each: started(at, each, folder) for each, at in pythons.items() if at}
        try:
            show(running, asked.faces, asked.rounds)
        finally:
            for process in running.values():
                process.kill()
                process.wait()


def show(running: dict[str, subprocess.Popen[str]], faces: int, rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in running}
    same = dict.fromkeys(running, 0)
    for number in range(1, rounds + 1):
        answers = {}
        for name, process in running.items():
            seconds, answers[name] = turn(process, number % 64)
            times[name].append(seconds)
        for name, found in answers.items():
            same[name] += set(found) == set(answers["countenance"])
    print(f"{faces:,} faces of 128 dimensions, one probe, {NEAREST} nearest, {rounds} rounds\n")
    print("| | milliseconds: median (least to most) | x ours: median (least to most) | same five |")
    print("|---|---|---|---|")
    for name, took in times.items():
        ratios = [each / ours for each, ours in zip(took, times["countenance"], strict=True)]
        span = f"{statistics.median(took) * 1e3:,.1f} ({min(took) * 1e3:,.1f} to {max(took) * 1e3:,.1f})"
        times_ours = f"{statistics.median(ratios):,.1f} ({min(ratios):,.1f} to {max(ratios):,.1f})"
        print(f"| {name} | {span} | {times_ours} | {same[name]} of {rounds} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contestant"]:
        contestant(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
