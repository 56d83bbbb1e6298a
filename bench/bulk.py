"""A bulk enrolment from beginning to end: photos a second, memory over time, and what kill -9 leaves.

    python bench/bulk.py --photos DIR [--kill 0.5] [--json]

Runs `countenance index` on a new home as a user would, in a process of its own, and looks at that process
every second. With --kill the run is killed (SIGKILL) once that share of the photos has been answered, and the
same command is given again. Then every face is listed and counted: a photo enrolled twice is a failure.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import countenance

COLLECTION = "bulk"
COUNTENANCE = str(Path(sys.executable).with_name("countenance"))


@dataclass
class Watched:
    """One run of the command. samples: seconds since its start, photos answered in all, resident bytes."""

    facts: dict[str, Any]
    killed: bool
    samples: list[tuple[float, int, int]] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a bulk enrolment.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--kill", type=float, help="share of the photos after which to kill -9, once")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countenance-bulk-") as folder:
        home = Path(folder) / "home"
        subprocess.run(
            [COUNTENANCE, "init", "--home", home],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        total = sum(path.is_file() for path in asked.photos.rglob("*"))
        runs = []
        if asked.kill:
            runs.append(run(home, asked.photos, until=int(total * asked.kill)))
        runs.append(run(home, asked.photos))
        again = run(home, asked.photos)
        result = {
            "photos": total,
            "runs": [told(each) for each in runs],
            "again": told(again),
            "faces": faces(home),
        }
    if asked.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)


def run(home: Path, photos: Path, until: int | None = None) -> Watched:
    """until: photos answered after which the process is killed."""
    command = [COUNTENANCE, "index", COLLECTION, str(photos), "--home", str(home), "--json"]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        seen = psutil.Process(process.pid)
        watched = Watched({}, killed=False)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                answered = settled(home)
                watched.samples.append((time.monotonic() - began, answered, seen.memory_info().rss))
                if until is not None and answered >= until:
                    process.kill()
                    watched.killed = True
            time.sleep(1)
        assert process.stdout is not None
        out = process.stdout.read()
    watched.facts = json.loads(out) if out else {}
    return watched


def settled(home: Path) -> int:
    """Photos that the service has answered about, of all runs."""
    manifest = home / "manifests" / f"{COLLECTION}.manifest"
    if not manifest.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{manifest}?mode=ro", uri=True, timeout=10)) as database:
        try:
            query = "SELECT count(*) FROM photos WHERE faces IS NOT NULL"
            return int(database.execute(query).fetchone()[0])
        except sqlite3.OperationalError:  # its tables are being made
            return 0


def told(watched: Watched) -> dict[str, Any]:
    """Memory is that of every tenth of the run: MiB resident."""
    samples = watched.samples
    tenths = [samples[len(samples) * n // 10] for n in range(10)] + samples[-1:] if samples else []
    return {
        "killed": watched.killed,
        "seconds": round(samples[-1][0], 1) if samples else 0,
        "answered": samples[-1][1] if samples else 0,
        "memory": [[round(at), answered, round(size / 2**20)] for at, answered, size in tenths],
        "most_memory": round(max((size for _, _, size in samples), default=0) / 2**20),
        "facts": watched.facts,
    }


def faces(home: Path) -> dict[str, int]:
    """Faces enrolled, the contents of photos that they are of, and contents enrolled under two names."""
    names: dict[str, set[str]] = collections.defaultdict(set)
    count = 0
    with countenance.open(home) as client:
        for page in client.get_paginator("list_faces").paginate(CollectionId=COLLECTION):
            for face in page["Faces"]:
                names[face["ImageId"]].add(face["ExternalImageId"])
                count += 1
    return {
        "enrolled": count,
        "photos": len(names),
        "photos_enrolled_twice": sum(len(each) > 1 for each in names.values()),
    }


def show(result: dict[str, Any]) -> None:
    for number, each in enumerate([*result["runs"], result["again"]], 1):
        facts = each["facts"]
        how = "killed" if each["killed"] else "to the end"
        print(f"run {number}, {how}: {each['seconds']} s, {each['answered']} photos answered in all")
        if facts:
            print(f"  {facts['photos_per_second']} photos/s, {facts['faces_per_second']} faces/s; {facts}")
        print(f"  MiB resident (seconds, photos answered, MiB), most {each['most_memory']}: {each['memory']}")
    print(result["faces"])


if __name__ == "__main__":
    main()
