"""Kill -9 a worker in the middle of a job: another runs it again, and its results are there once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from countenance import office, results, settings
from countenance.service import Service
from countenance.types import Face, Image
from tests.door.house import House
from tests.door.test_jobs import never, shown, started
from tests.fakes import RED, FakeVision


class SlowVision(FakeVision):
    def glance(self, image: Image, *, crowded: bool = False) -> tuple[Face, ...]:
        time.sleep(0.02)
        return super().glance(image, crowded=crowded)


def work(home: Path) -> None:
    """A worker that writes down what it finds at once."""
    results.LINES = 1
    Service(settings.load(home), SlowVision()).work(never)


@pytest.mark.parametrize("lines", [0, 3, 20])
def test_a_worker_is_killed_in_the_middle_of_a_job(house: House, lines: int) -> None:
    shown(house, [[RED]] * 30)
    job = started(house)
    child = multiprocessing.get_context("spawn").Process(target=work, args=(house.settings.home,))
    child.start()
    while house.sql("SELECT count(*) FROM jobs WHERE decision IS NOT NULL") == [0]:
        assert child.is_alive()
    while house.sql("SELECT count(*) FROM findings")[0] < lines:
        assert child.is_alive()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    child.close()
    before = house.call("GetFaceDetection", JobId=job).result()
    assert (before["JobStatus"], before["Faces"]) == ("IN_PROGRESS", [])
    assert house.service.work(never) is None  # the lease has not run out
    house.sql("UPDATE jobs SET until = until - 60")
    assert house.service.work(never) == f"StartFaceDetection {job}: succeeded"
    faces = house.call("GetFaceDetection", JobId=job).result()["Faces"]
    assert [each["Timestamp"] for each in faces] == list(range(0, 12_000, 200))
    ends = [entry["result"] for entry in house.entries() if entry["kind"] == "outcome"]
    assert ends.count("interrupted") == 1
    runs = [entry for entry in house.entries() if entry.get("stage") == "run"]
    assert len(runs) == 2
    house.close()
    office.verified(house.settings)
    house.open()
