"""`countenance video timeline` on clips made of the two portraits, with the real models."""

from __future__ import annotations

import csv
import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image as Pillow

from countenance import settings
from countenance.cli import videos
from tests.unit.cli.conftest import Shell
from tests.unit.vision.films import film


@pytest.fixture
def stage(tmp_path: Path, hopper: Pillow.Image, collins: Pillow.Image) -> Path:
    """She, then both, then she again; two seconds."""
    one = np.full((600, 1024, 3), 90, np.uint8)
    one[:512, :512] = np.asarray(collins.convert("RGB"))
    both = one.copy()
    both[:, 512:] = np.asarray(hopper.convert("RGB"))
    path = tmp_path / "stage.mp4"
    path.write_bytes(film([one] * 15 + [both] * 20 + [one] * 15, options={"bf": "0"}))
    return path


def test_everything_it_writes(shell: Shell, home: Path, stage: Path, tmp_path: Path) -> None:
    plot, table, vtt = (tmp_path / name for name in ("out.svg", "out.csv", "out.vtt"))
    words = ("video", "timeline", stage, "--home", home, "--plot", plot, "--csv", table, "--vtt", vtt)
    told = shell(*words).stdout
    assert f"{stage}: 2 people" in told
    [first, second] = [line.split() for line in told.splitlines() if "person" in line]
    assert first[:8] == ["person", "1", "0.0", "s", "2.0", "s", "2.0", "s"]
    assert second[:8] == ["person", "2", "0.6", "s", "1.4", "s", "0.8", "s"]
    assert "happy" in first
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["timestamp_ms"] for row in rows if row["person"] == "person 2"] == [
        "600",
        "800",
        "1000",
        "1200",
    ]
    assert {row["emotion"] for row in rows if row["person"] == "person 1"} == {"HAPPY"}
    assert "person 1: happy" in vtt.read_text()
    assert plot.read_text().count("<image") == 2
    assert list((settings.load(home).buckets / videos.BUCKET).iterdir()) == []


def test_without_faces_and_as_json(shell: Shell, home: Path, stage: Path, tmp_path: Path) -> None:
    plot = tmp_path / "out.svg"
    words = (
        "video",
        "timeline",
        stage,
        "--home",
        home,
        "--plot",
        plot,
        "--no-faces",
        "--samples",
        2,
        "--json",
    )
    told = json.loads(shell(*words).stdout)
    assert [person["Index"] for person in told["People"]] == [0, 1]
    assert sorted({sample["Timestamp"] for sample in told["Samples"]}) == [0, 520, 1000, 1520]
    assert "<image" not in plot.read_text()


def test_who_it_may_be(shell: Shell, home: Path, stage: Path, tmp_path: Path, collins: Pillow.Image) -> None:
    album = tmp_path / "crew"
    album.mkdir()
    collins.save(album / "Eileen.jpg")
    shell("index", "crew", album, "--home", home)
    told = shell("video", "timeline", stage, "--home", home, "--collection", "crew").stdout
    assert "a candidate for a person to judge" in told
    assert "person 2" in told
    assert "person 1" not in told


def test_no_video(shell: Shell, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a clip")
    assert "Unsupported codec/format" in shell("video", "timeline", path, "--home", home, code=1).output
    assert list((settings.load(home).buckets / videos.BUCKET).iterdir()) == []


def test_remote_buckets(shell: Shell, home: Path, stage: Path) -> None:
    file = home / "settings.toml"
    file.write_text(file.read_text() + '\ns3_endpoint = "http://127.0.0.1:9"\n')
    assert "an S3 service" in shell("video", "timeline", stage, "--home", home, code=1).output


def test_what_cannot_be_written_is_told_before_the_work(
    shell: Shell, home: Path, stage: Path, tmp_path: Path
) -> None:
    drawn = shell("video", "timeline", stage, "--home", home, "--plot", tmp_path / "o.jpg", code=2).output
    assert "must end in .png or .svg" in drawn
    nowhere = tmp_path / "none" / "o.csv"
    written = shell("video", "timeline", stage, "--home", home, "--csv", nowhere, code=2).output
    assert "no folder that can be written to" in written
    assert "No jobs" in shell("jobs", "--home", home).stdout


def test_a_clip_that_cannot_be_wound_is_drawn_without_faces(
    shell: Shell, home: Path, tmp_path: Path, collins: Pillow.Image
) -> None:
    path, plot = tmp_path / "raw.h264", tmp_path / "out.svg"
    path.write_bytes(film([np.asarray(collins.convert("RGB"))] * 10, format="h264"))
    told = shell("video", "timeline", path, "--home", home, "--plot", plot)
    assert "1 person" in told.stdout
    assert "No faces in the plot" in told.stderr
    assert "<image" not in plot.read_text()
    assert "raw.h264" in shell("jobs", "--home", home).stdout


@pytest.mark.parametrize("wanted", [signal.SIGTERM, signal.SIGHUP])
def test_no_copy_of_a_clip_stays_behind(home: Path, stage: Path, wanted: signal.Signals) -> None:
    """However the command is ended; what a killed one left goes with the next."""
    folder = settings.load(home).buckets / videos.BUCKET
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    (folder / f"{gone.pid}-left.mp4").write_bytes(b"of a killed one")
    words = ["video", "timeline", str(stage), "--home", str(home), "--samples", "30"]
    command = [sys.executable, "-c", "from countenance.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as shown:
        deadline = time.monotonic() + 60
        while [each.name for each in folder.iterdir() if each.name.startswith(f"{shown.pid}-")] == []:
            assert time.monotonic() < deadline
            assert shown.poll() is None
            time.sleep(0.01)
        shown.send_signal(wanted)
        assert shown.wait(60) != 0
    assert list(folder.iterdir()) == []


class Waiting:
    """A client whose job nobody begins."""

    class exceptions:  # noqa: N801 - as botocore's clients have it
        ClientError = ClientError

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.looks: list[float] = []

    def read(self, **_: str) -> dict[str, Any]:
        self.looks.append(time.monotonic())
        if len(self.looks) == 6:
            raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "Get")
        headers = {"x-countenance-job": "waiting; progress=0.00; attempts=0"}
        return {"JobStatus": "IN_PROGRESS", "ResponseMetadata": {"HTTPHeaders": headers}}

    def cancel_job(self, **asked: str) -> None:
        self.cancelled.append(asked["JobId"])


def test_who_waits_is_told_why_asks_less_and_less_and_leaves_no_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(videos, "UNBEGUN", 0.0)
    monkeypatch.setattr(videos, "SOONEST", 0.02)
    client = Waiting()
    with pytest.raises(ClientError):
        videos.finished(client, client.read, "a", "waiting")
    told = capsys.readouterr().err
    assert told.count("countenance work") == 1
    assert client.cancelled == ["a"]
    pauses = [after - before for before, after in itertools.pairwise(client.looks)]
    assert pauses[-1] > 0.09 > pauses[0]
