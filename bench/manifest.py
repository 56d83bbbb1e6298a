"""What a bulk enrolment keeps of each photo, without the photos: time, memory and disk.

    python bench/manifest.py [--photos 300000]

Every photo is claimed and settled as `countenance index` does it, then all are met again as by a second run.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path, PurePosixPath

import psutil

from countenance.cli.enrolling import Desk, Order, Reply, Seen
from countenance.cli.manifest import Manifest, Stamp
from countenance.cli.sources import Item


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the manifest of a bulk enrolment.")
    parser.add_argument("--photos", type=int, default=300_000)
    count = parser.parse_args().photos
    process = psutil.Process()
    with tempfile.TemporaryDirectory(prefix="countenance-manifest-") as folder:
        start = process.memory_info().rss
        for name, work in (("claim and settle", enrol), ("meet again", recognise)):
            with Manifest.opened(Path(folder), "people", "arn") as manifest:
                desk, began = Desk(manifest), time.monotonic()
                for number in range(count):
                    work(desk, number)
                    if number % (count // 5) == count // 5 - 1:
                        seconds = time.monotonic() - began
                        grown = (process.memory_info().rss - start) / 2**20
                        rate = (number + 1) / seconds
                        print(f"{name}: {number + 1} photos, {rate:.0f} a second, {grown:.1f} MiB more")
        size = (Path(folder) / "people.manifest").stat().st_size
        print(f"on disk: {size / 2**20:.0f} MiB, {size / count:.0f} bytes a photo")


def item(number: int) -> Item:
    within = PurePosixPath(f"{number // 1000:04}", f"IMG_{number:06}.jpg")
    return Item(f"/photos/of/the/archive/{within}", within, Stamp(1_000_000 + number, 10**18 + number))


def enrol(desk: Desk, number: int) -> None:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    order = desk.decide(Seen(item(number), digest))
    assert isinstance(order, Order)
    desk.settle(order, Reply(1, (), digest[:32]))


def recognise(desk: Desk, number: int) -> None:
    assert desk.known(item(number)) is not None


if __name__ == "__main__":
    main()
