"""`countenance video timeline` on clips made of the two portraits, with the real models."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
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
    shell("index", "crew", album, "--home", home, code=3)
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
