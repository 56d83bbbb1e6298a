"""Jobs from the shell: started by the library, done by `work`, listed and ended by `jobs`."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from countenance import open as opened
from countenance import settings
from countenance.cli import terminal, weights
from countenance.vision import zoo
from tests.clips import clip
from tests.fakes import BLUE, RED
from tests.unit.cli.conftest import Shell

MAIN = "from countenance.cli import main; main()"
VIDEO = {"S3Object": {"Bucket": "clips", "Name": "a.mkv"}}


def started(home: Path, count: int = 1, frames: int = 4) -> list[str]:
    folder = settings.load(home).buckets / "clips"
    folder.mkdir(exist_ok=True)
    (folder / "a.mkv").write_bytes(clip([(RED, BLUE)], frames))
    with opened(home) as client:
        return [client.start_face_detection(Video=VIDEO)["JobId"] for _ in range(count)]


def test_work_does_what_waits_and_jobs_lists_it(shell: Shell, home: Path, tmp_path: Path) -> None:
    assert "No jobs" in shell("jobs", "--home", home).stdout
    first, second = started(home, 2)
    assert "waiting" in shell("jobs", "--home", home).stdout
    assert f"Cancelled: {second}" in shell("jobs", "--home", home, "--cancel", second[:9]).stdout
    told = shell("work", "--home", home, "--once").stdout
    assert told == f"StartFaceDetection {first}: succeeded\n"
    assert shell("work", "--home", home, "--once").stdout == "Nothing waits.\n"
    table = shell("jobs", "--home", home).stdout
    lines = [line.split() for line in table.splitlines() if "clips/a.mkv" in line]
    assert [line[:5] for line in lines] == [
        [second[:12], "FaceDetection", "clips/a.mkv", "cancelled", "0"],
        [first[:12], "FaceDetection", "clips/a.mkv", "succeeded", "100"],
    ]
    listed = json.loads(shell("jobs", "--home", home, "--json").stdout)
    assert [job["JobId"] for job in listed] == [second, first]
    shell("backup", tmp_path / "all.tar", "--home", home, "--without-private")
    shell("restore", tmp_path / "all.tar", "--home", tmp_path / "again")
    assert "No jobs" in shell("jobs", "--home", tmp_path / "again").stdout
    assert "0 of your last 2 jobs" in shell("jobs", "--home", home, "--cancel", "x", code=2).output
    assert "has ended" in shell("jobs", "--home", home, "--cancel", first, code=1).output
    assert "wants a JobId" in shell("jobs", "--home", home, "--cancel", "", code=2).output


def test_a_page_of_jobs_fits_eighty_columns(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a terminal shows it; what became of a job stands below in as many lines as it needs."""
    [job] = started(home)
    (settings.load(home).buckets / "clips" / "a.mkv").write_bytes(b"no video" * 99)
    shell("work", "--home", home, "--once")
    monkeypatch.setattr(terminal, "out", lambda: Console(highlight=False, width=80))
    told = shell("jobs", "--home", home).stdout.splitlines()
    assert max(map(len, told)) <= 80
    [row] = [line for line in told if "clips/a.mkv" in line]
    assert row.split()[:5] == [job[:12], "FaceDetection", "clips/a.mkv", "failed", "0"]
    assert any(line.startswith(f"{job[:12]}: Unsupported codec/format") for line in told)


def test_work_fetches_nothing_that_nobody_asked_for(
    shell: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[zoo.Card] = []
    monkeypatch.setattr(weights, "pull_missing", asked.extend)
    shell("work", "--home", home, "--once")
    assert asked == [card for card in zoo.cards() if not card.extra]


def test_work_alone_forgets_what_is_over_its_time(shell: Shell, home: Path) -> None:
    started(home)
    shell("work", "--home", home, "--once")
    with sqlite3.connect(settings.load(home).home / "countenance.db") as database:
        database.execute("UPDATE jobs SET ended = ended - 691200")
    assert "1 jobs of account" in shell("work", "--home", home, "--once").stdout
    assert "No jobs" in shell("jobs", "--home", home).stdout


def test_a_worker_that_is_told_to_stop_leaves_its_job_to_the_next(shell: Shell, home: Path) -> None:
    [job] = started(home, frames=120)
    command = [sys.executable, "-c", MAIN, "work", "--home", str(home)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            if f"job {job} begins" in line:
                break
        time.sleep(0.5)
        os.kill(worker.pid, signal.SIGTERM)
        rest = worker.stderr.read()
    assert worker.wait() == 0, rest
    [listed] = json.loads(shell("jobs", "--home", home, "--json").stdout)
    assert (listed["JobState"], listed["Attempts"]) == ("waiting", 0)
    assert "succeeded" in shell("work", "--home", home, "--once").stdout
