"""`countenance redact` on the two portraits, with the real models."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from countenance import settings
from countenance.cli import redact, videos
from countenance.errors import PhotoError
from countenance.types import Image
from countenance.vision import Vision
from countenance.vision.filming import FORMS, UNSHRUNK
from countenance.vision.video import open_clip
from tests.unit.cli.conftest import Shell
from tests.unit.vision.films import film


@pytest.fixture(scope="session")
def vision() -> Vision:
    return Vision.load()


def people(vision: Vision, path: Path) -> int:
    with Pillow.open(path) as picture:
        return len(vision.detect(Image(np.asarray(picture.convert("RGB")), b"")))


@pytest.fixture
def pair(tmp_path: Path, hopper: Pillow.Image, collins: Pillow.Image) -> Path:
    """Both in one photo that tells where it was taken and keeps a small uncovered copy, as cameras do."""
    both = Pillow.new("RGB", (1024, 600))
    both.paste(collins, (0, 0))
    both.paste(hopper, (512, 0))
    exif = Pillow.Exif()
    exif[0x010E] = "At Jo's house"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    path = tmp_path / "pair.jpg"
    both.save(path, exif=exif, comment=b"badge 12", quality=95)
    return path


def test_a_photo(shell: Shell, home: Path, pair: Path, tmp_path: Path, vision: Vision) -> None:
    assert people(vision, pair) == 2
    target = tmp_path / "out.jpg"
    assert "1 written" in shell("redact", pair, target, "--home", home).stdout
    assert people(vision, target) == 0
    data = target.read_bytes()
    assert b"Jo's house" in pair.read_bytes()
    assert not any(word in data for word in (b"Jo's", b"badge", b"Exif"))
    with Pillow.open(target) as picture:
        assert picture.size == (1024, 600)
        assert not picture.getexif()
    words = ("redact", pair, target, "--home", home)
    assert "--force writes over it" in shell(*words, code=2).output
    shell(*words, "--force", "--pixelate")
    assert people(vision, target) == 0
    assert "OUT is IN" in shell("redact", pair, pair, "--home", home, code=2).output


def test_who_stays_and_who_goes(
    shell: Shell, home: Path, pair: Path, tmp_path: Path, collins: Pillow.Image, vision: Vision
) -> None:
    face = tmp_path / "Eileen.png"
    collins.save(face)
    told = json.loads(
        shell("redact", pair, tmp_path / "kept.png", "--home", home, "--keep", face, "--json").stdout
    )
    [photo] = told["Photos"]
    stays = [each["BoundingBox"]["Left"] < 0.5 for each in photo["Faces"] if not each["Covered"]]
    assert stays == [True]
    assert people(vision, tmp_path / "kept.png") == 1
    shell("redact", pair, tmp_path / "only.png", "--home", home, "--only", face, "--threshold", "45.9")
    assert people(vision, tmp_path / "only.png") == 1
    words = ("redact", pair, tmp_path / "x.png", "--home", home, "--keep", face, "--only", face)
    assert "take one of them" in shell(*words, code=2).output


def test_a_folder(shell: Shell, home: Path, pair: Path, tmp_path: Path, vision: Vision) -> None:
    album = tmp_path / "album"
    (album / "spring").mkdir(parents=True)
    (album / "spring" / "pair.jpg").write_bytes(pair.read_bytes())
    (album / "notes.txt").write_text("not a photo")
    report = tmp_path / "report.csv"
    told = shell("redact", album, tmp_path / "out", "--home", home, "--report", report, code=1)
    assert "notes.txt" in told.output
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [path.name for path in written] == ["pair.jpg"]
    assert people(vision, written[0]) == 0
    rows = list(csv.DictReader(report.read_text().splitlines()))
    assert sorted({row["kind"] for row in rows}) == ["error", "face"]
    assert "lies in IN" in shell("redact", album, album / "out", "--home", home, code=2).output


def test_a_clip(shell: Shell, home: Path, tmp_path: Path, collins: Pillow.Image, vision: Vision) -> None:
    frame = np.full((512, 768, 3), 90, np.uint8)
    frame[:, :512] = np.asarray(collins)
    clip, target = tmp_path / "clip.mp4", tmp_path / "out.webm"
    clip.write_bytes(film([frame] * 12, rate=12))
    report, check = tmp_path / "report.csv", tmp_path / "check"
    words = ("redact", clip, target, "--home", home, "--report", report, "--check", check)
    assert "12 frames written without sound, 12 of them" in shell(*words).stdout
    with open_clip(target, UNSHRUNK) as opened:
        for _, shown in list(opened.every())[::5]:
            assert vision.detect(opened.upright(shown)) == ()
    assert "track" in {row["kind"] for row in csv.DictReader(report.read_text().splitlines())}
    assert list((settings.load(home).buckets / videos.BUCKET).iterdir()) == []
    clip.write_bytes(clip.read_bytes()[:3000])
    assert "Unsupported codec" in shell(*words, "--force", code=1).output
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_who_stays_in_a_clip_is_told_listed_and_shown(
    shell: Shell, home: Path, tmp_path: Path, collins: Pillow.Image, hopper: Pillow.Image
) -> None:
    frame = np.full((512, 1024, 3), 90, np.uint8)
    frame[:, :512] = np.asarray(collins)
    frame[:, 512:] = np.asarray(hopper)[:512]
    clip, face = tmp_path / "clip.mp4", tmp_path / "Eileen.png"
    clip.write_bytes(film([frame] * 6, rate=12))
    collins.save(face)
    report, check = tmp_path / "report.csv", tmp_path / "check"
    words = ("redact", clip, tmp_path / "out.webm", "--home", home, "--keep", face)
    told = shell(*words, "--report", report, "--check", check).stdout
    assert "in view at some time: 1." in told
    assert "this face stays in view" in told
    rows = [row for row in csv.DictReader(report.read_text().splitlines()) if row["reasons"] == "STAYS"]
    assert {row["from_ms"] for row in rows} >= {"0", "417"}
    assert all(float(row["left"]) < 0.5 for row in rows)
    with Pillow.open(check / "check-1.png") as sheet:
        assert sheet.height > 400


def test_nothing_that_is_read_or_was_written_is_written_over(
    shell: Shell, home: Path, pair: Path, tmp_path: Path
) -> None:
    data = pair.read_bytes()
    album = tmp_path / "album"
    for path in (album / "a" / "IMG_1.jpg", album / "a" / "IMG_1.webp"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    own = ("--home", home, "--force")
    told = shell("redact", album, tmp_path / "out", *own, code=2).output
    assert "IMG_1.jpg and" in told
    assert "would both become" in told
    assert not (tmp_path / "out").exists()
    (album / "a" / "IMG_1.webp").unlink()
    assert "IN lies in OUT" in shell("redact", album / "a", album, *own, code=2).output
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to(album / "a")
    assert "is read too" in shell("redact", album, tmp_path / "linked", *own, code=2).output
    words = ("redact", pair, tmp_path / "covered.jpg", *own)
    assert (
        "photo of somebody who is named"
        in shell(
            "redact", pair, album / "a" / "IMG_1.jpg", *own, "--keep", album / "a" / "IMG_1.jpg", code=2
        ).output
    )
    for report in (pair, tmp_path / "covered.jpg", album / "a" / "IMG_1.jpg"):
        named = ("--keep", album / "a" / "IMG_1.jpg")
        assert "--report" in shell(*words, *named, "--report", report, code=2).output
    assert "no folder" in shell(*words, "--report", tmp_path / "nowhere" / "a.csv", code=2).output
    (tmp_path / "a.csv").write_text("mine")
    assert "is there already" in shell(*words[:-1], "--report", tmp_path / "a.csv", code=2).output
    assert (tmp_path / "a.csv").read_text() == "mine"
    assert {path.read_bytes() for path in (pair, album / "a" / "IMG_1.jpg")} == {data}
    assert not (tmp_path / "covered.jpg").exists()


@pytest.mark.parametrize("links", [True, False])
def test_what_comes_under_its_name_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    if not links:

        def unsupported(*_: object) -> None:
            raise OSError(errno.EOPNOTSUPP, "no links here")

        monkeypatch.setattr("os.link", unsupported)
    target = tmp_path / "out.jpg"

    def written() -> None:
        with redact._written(target, force=False) as file:
            file.write(b"covered")
            target.write_bytes(b"somebody's")

    with pytest.raises(PhotoError, match="has come meanwhile"):
        written()
    assert target.read_bytes() == b"somebody's"
    with redact._written(target, force=True) as file:
        file.write(b"covered")
    assert target.read_bytes() == b"covered"
    with redact._written(tmp_path / "new.jpg", force=False) as file:
        file.write(b"covered")
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["new.jpg", "out.jpg"]


def test_the_endings_are_those_that_are_written() -> None:
    assert tuple(FORMS) == redact.CLIPS
