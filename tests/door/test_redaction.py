"""Redaction through the door: what is asked of policy, and that an object is there whole or not at all."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from countenance import settings
from countenance.leases import Lease, TooMuch
from countenance.operations import redaction
from countenance.service import Service
from countenance.types import Face, Image
from countenance.vision import filming
from countenance.vision.filming import UNSHRUNK
from countenance.vision.video import open_clip
from tests.door.house import House
from tests.door.test_jobs import VIDEO, never, refusal, shown
from tests.fakes import BLUE, GREEN, RED, FakeVision, picture

OUTPUT = {"Bucket": "clips", "Name": "covered/a.webm"}
PHOTOS = {"red": RED, "green": GREEN, "blue": BLUE}


def target(house: House) -> Path:
    return house.settings.buckets / "clips" / "covered" / "a.webm"


def people(house: House, *names: str) -> list[dict[str, str]]:
    """Photos of whom a call names, as objects."""
    for name in names:
        (house.settings.buckets / "clips" / f"{name}.png").write_bytes(picture(PHOTOS[name]))
    return [{"Bucket": "clips", "Name": f"{name}.png"} for name in names]


def start(house: House, **request: Any) -> str:
    return str(house.call("StartFaceRedaction", Video=VIDEO, Output=OUTPUT, **request).result()["JobId"])


def colours(house: House) -> list[tuple[bool, bool]]:
    """Of each frame that was written, whether the first and the second square are in view."""
    with open_clip(target(house), UNSHRUNK) as clip:
        every = [clip.upright(frame).pixels for _, frame in clip.every()]
    return [(bool(frame[35, 35].max() > 100), bool(frame[35, 135].max() > 100)) for frame in every]


def test_a_clip_is_covered_and_told_of(house: House) -> None:
    shown(house, [(RED, BLUE)])
    job = start(house)
    waiting = house.call("GetFaceRedaction", JobId=job).result()
    assert (waiting["JobStatus"], waiting["Tracks"], "Frames" in waiting) == ("IN_PROGRESS", [], False)
    assert not target(house).exists()
    assert house.service.work(never) == f"StartFaceRedaction {job}: succeeded"
    answer = house.call("GetFaceRedaction", JobId=job).result()
    assert (answer["Frames"], answer["CoveredFrames"], answer["HasSound"]) == (4, 4, False)
    assert answer["Output"] == OUTPUT
    assert [(each["Index"], each["Covered"]) for each in answer["Tracks"]] == [(0, "ALL"), (1, "ALL")]
    assert colours(house) == [(False, False)] * 4
    assert [entry["actions"] for entry in house.entries() if entry.get("stage") == "run"] == [["detect"]]


@pytest.mark.parametrize(("member", "stays"), [("Keep", (True, False)), ("Only", (False, True))])
def test_naming_people_is_decided_as_a_comparison(
    house: House, member: str, stays: tuple[bool, bool]
) -> None:
    shown(house, [(RED, BLUE)])
    start(house, SimilarityThreshold=80, **{member: people(house, "red")})
    house.service.work(never)
    assert set(colours(house)) == {stays}
    [run] = [entry for entry in house.entries() if entry.get("stage") == "run"]
    assert (run["actions"], run["threshold"]) == (["detect", "verify"], "80.0000")
    target(house).unlink()
    start(house, **{member: people(house, "red")})
    assert house.entries()[-2]["threshold"] == ("80.0000" if member == "Keep" else "41.0000")


def test_what_cannot_be_started(house: House) -> None:
    shown(house)

    def refused(**request: Any) -> str:
        answer = house.call("StartFaceRedaction", **{"Video": VIDEO, "Output": OUTPUT, **request})
        assert answer.error is not None
        return answer.error.message

    assert "the very object" in refused(Output=VIDEO["S3Object"] | {"Name": "a.mkv"})
    assert "must end in .webm" in refused(Output={"Bucket": "clips", "Name": "a.avi"})
    assert "object metadata" in refused(Output={"Bucket": "nobodys", "Name": "a.webm"})
    assert "S3 object" in refused(Output={"Bucket": "clips", "Name": "../a.webm"})
    both = people(house, "red")
    assert "has one of them" in refused(Keep=both, Only=both)
    target(house).parent.mkdir(exist_ok=True)
    target(house).write_bytes(b"mine")
    assert "none is written over" in refused()
    assert target(house).read_bytes() == b"mine"


def test_a_photo_of_nobody_ends_the_job(house: House) -> None:
    shown(house)
    (house.settings.buckets / "clips" / "blank.png").write_bytes(picture())
    start(house, Keep=[{"Bucket": "clips", "Name": "blank.png"}])
    assert "shows no face" in str(house.service.work(never))
    assert not target(house).exists()


def test_a_damaged_clip_leaves_nothing(house: House) -> None:
    shown(house, [(RED,)] * 10)
    place = house.settings.buckets / "clips" / "a.mkv"
    data = bytearray(place.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 300] = os.urandom(300)
    place.write_bytes(data)
    start(house)
    assert "damaged" in str(house.service.work(never))
    assert sorted(path.name for path in place.parent.rglob("*")) == ["a.mkv", "covered"]


def test_a_job_that_is_stopped_leaves_nothing_and_begins_anew(house: House) -> None:
    shown(house)
    job = start(house)
    house.service.work(lambda: True)
    assert list(target(house).parent.iterdir()) == []
    assert house.service.work(never) == f"StartFaceRedaction {job}: succeeded"
    assert len(colours(house)) == 8


class DyingVision(FakeVision):
    """Kills its process once some frames were looked at."""

    looks = 0

    def sweep(self, image: Image, least: float, largest: int = 0) -> tuple[Face, ...]:
        self.looks += 1
        if self.looks > 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sweep(image, least)


def work_and_die(home: Path) -> None:
    Service(settings.load(home), DyingVision()).work(never)


def test_a_worker_that_is_killed_leaves_no_file_and_the_next_one_writes_it(house: House) -> None:
    shown(house, [(RED,)] * 10)
    job = start(house)
    child = multiprocessing.get_context("spawn").Process(target=work_and_die, args=(house.settings.home,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    child.close()
    assert list(target(house).parent.iterdir()) == []
    house.sql("UPDATE jobs SET until = until - 60")
    assert house.service.work(never) == f"StartFaceRedaction {job}: succeeded"
    assert len(colours(house)) == 40


def test_what_somebody_put_there_after_a_worker_was_killed_stays(house: House) -> None:
    shown(house)
    job = start(house)
    house.sql("UPDATE jobs SET attempts = 1")
    target(house).write_bytes(b"somebody's")
    assert "none is written over" in str(house.service.work(never))
    assert target(house).read_bytes() == b"somebody's"
    assert house.call("GetFaceRedaction", JobId=job).result()["JobStatus"] == "FAILED"


@pytest.mark.parametrize("why", ["cancelled", "too much"])
def test_a_job_that_cannot_end_publishes_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """It is cancelled, or has found more than jobs may keep, when all is written and only the end is left."""
    shown(house)
    job = start(house)
    written = filming.film

    def film(*args: Any, **how: Any) -> Any:
        done = written(*args, **how)
        if why == "cancelled":
            house.call("CancelJob", JobId=job).result()
        else:
            monkeypatch.setattr(Lease, "_fit", lambda *_: (_ for _ in ()).throw(TooMuch("too much")))
        return done

    monkeypatch.setattr(redaction, "film", film)
    house.service.work(never)
    assert house.call("GetFaceRedaction", JobId=job).result()["JobStatus"] == "FAILED"
    assert not target(house).exists()


def test_a_photo(house: House) -> None:
    image = {"Bytes": picture(RED, BLUE)}
    answer = house.call("RedactFaces", Image=image, Format="PNG", Keep=[{"Bytes": picture(BLUE)}]).result()
    assert [each["Covered"] for each in answer["Faces"]] == [True, False]
    pixels = np.asarray(Pillow.open(io.BytesIO(answer["RedactedImage"])))
    assert pixels[35, 35].tolist() == [0, 0, 0]
    assert pixels[35, 135].tolist() == list(BLUE)
    [decision] = [each for each in house.entries() if each.get("operation") == "RedactFaces"]
    assert (decision["actions"], decision["threshold"]) == (["detect", "verify"], "80.0000")
    both = [{"Bytes": picture(RED)}]
    refused = house.call("RedactFaces", Image=image, Keep=both, Only=both)
    assert refusal(refused) == "InvalidParameterException"
