"""detect, compare, search over a running server."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageOps

from countenance.testing import TestServer
from tests.unit.cli.conftest import Shell


def test_detect_shows_a_table_and_json_of_each_photo(shell: Shell, running: TestServer, album: Path) -> None:
    photos = album / "spring" / "IMG_1.jpg", album / "blank.png"
    told = shell("detect", *photos, "--home", running.home).stdout
    assert f"{photos[0]}: 512 x 600, 1 face\n" in told
    assert f"{photos[1]}: 200 x 200, no faces\n" in told
    found = json.loads(shell("detect", *photos, "--home", running.home, "--json").stdout)
    assert [len(photo["FaceDetails"]) for photo in found] == [1, 0]
    assert found[0]["receipt"].startswith("decision=")


def test_detect_tells_what_was_asked_for_and_what_no_model_backs(
    shell: Shell, running: TestServer, album: Path
) -> None:
    photo = album / "spring" / "IMG_1.jpg"
    told = shell("detect", photo, "--home", running.home, "--attributes", "eyeglasses,sunglasses").stdout
    assert "  face 1: glasses " in told
    assert told.endswith("  No model here tells SUNGLASSES.\n")
    assert "No model" not in shell("detect", photo, "--home", running.home, "-a", "eyeglasses").stdout


def test_boxes_are_about_the_original_whatever_was_sent(
    shell: Shell, running: TestServer, hopper: Pillow.Image, tmp_path: Path
) -> None:
    """The API's own PNG, a format it does not take, one too large for it, one that lies on its side."""
    hopper.save(tmp_path / "plain.png")
    hopper.save(tmp_path / "other.tif")
    hopper.resize((1536, 1800)).save(tmp_path / "large.png", compress_level=0)
    assert (tmp_path / "large.png").stat().st_size > 5 * 1024 * 1024
    exif = Pillow.Exif()
    exif[0x0112] = 6
    hopper.transpose(Pillow.Transpose.ROTATE_90).save(tmp_path / "lying.jpg", exif=exif, quality=95)
    photos = sorted(tmp_path.iterdir())
    found = json.loads(shell("detect", *photos, "--home", running.home, "--json").stdout)
    assert [photo["height"] for photo in found] == [1800, 600, 600, 600]
    boxes = [photo["FaceDetails"][0]["BoundingBox"] for photo in found]
    for box in boxes:
        assert box == pytest.approx(boxes[-1], abs=0.01)


def test_one_bad_photo_does_not_hide_the_good_ones(shell: Shell, running: TestServer, album: Path) -> None:
    photos = album / "cut.jpg", album / "notes.txt", album / "spring" / "IMG_1.jpg"
    result = shell("detect", *photos, "--home", running.home, "--json", code=1)
    found = json.loads(result.stdout)
    assert ["error" in photo for photo in found] == [True, True, False]
    assert f"{photos[0]}: Request has invalid image format" in result.stderr
    assert f"{photos[1]} is not a picture" in result.stderr


def test_compare_tells_people_apart_and_draws_what_it_says(
    shell: Shell, running: TestServer, hopper: Pillow.Image, collins: Pillow.Image, tmp_path: Path
) -> None:
    hopper.save(tmp_path / "one.webp")
    both = Pillow.new("RGB", (1100, 620), "white")
    both.paste(ImageOps.mirror(hopper), (0, 0))
    both.paste(collins, (560, 0))
    both.save(tmp_path / "both.png")
    words = "compare", tmp_path / "one.webp", tmp_path / "both.png", "--home", running.home
    found = json.loads(shell(*words, "--json", "--save", tmp_path / "out.png").stdout)
    assert [round(match["Similarity"]) for match in found["FaceMatches"]] == [100]
    assert found["FaceMatches"][0]["Face"]["BoundingBox"]["Left"] < 0.3
    assert found["UnmatchedFaces"][0]["BoundingBox"]["Left"] > 0.5
    with Pillow.open(tmp_path / "out.png") as drawn:
        assert drawn.size == both.size
    told = shell(*words).stdout
    assert "under 80" in told
    assert "Similarity 80 stands for one false match in 10,000" in told


def test_search_names_photos_by_their_paths(
    shell: Shell, running: TestServer, album: Path, hopper: Pillow.Image, tmp_path: Path
) -> None:
    collection = f"search-{uuid.uuid4()}"
    shell("index", collection, album, "--home", running.home, code=3)
    dim = ImageEnhance.Brightness(ImageOps.mirror(hopper)).enhance(0.5)
    dim.save(tmp_path / "dim.png")
    words = "search", collection, tmp_path / "dim.png", "--home", running.home
    told = shell(*words, "--save", tmp_path / "out.jpg").stdout
    assert "not identities" in told
    found = json.loads(shell(*words, "--json").stdout)["FaceMatches"]
    [photo] = [match["photo"] for match in found]
    assert photo in {str(album / "copy [1].jpg"), str(album / "spring" / "IMG_1.jpg")}
    assert found[0]["Similarity"] > 95
    with Pillow.open(tmp_path / "out.jpg") as drawn:
        assert max(drawn.size) == 640  # enlarged so that the caption is legible
    nobody = json.loads(shell(*words, "--json", "--threshold", "100").stdout)["FaceMatches"]
    assert nobody == []
    told = shell("search", collection, album / "blank.png", "--home", running.home, code=1).output
    assert f"{album / 'blank.png'}: There are no faces in the image" in told


def test_save_draws_into_one_photo_only(shell: Shell, running: TestServer, album: Path) -> None:
    photos = album / "blank.png", album / "spring" / "IMG_1.jpg"
    told = shell("detect", *photos, "--home", running.home, "--save", album / "o.jpg", code=1).output
    assert "name just one" in told
