"""find and groups over a running server, with two people whose portraits anybody may use."""

from __future__ import annotations

import base64
import io
import json
import re
import uuid
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageOps

from countenance import testing
from countenance.testing import TestServer
from countenance.types import OrganisationKind
from tests.unit.cli.conftest import Shell


@pytest.fixture
def archive(shell: Shell, running: TestServer, album: Path) -> str:
    """A collection of the album: two people."""
    name = f"archive-{uuid.uuid4()}"
    shell("index", name, album, "--home", running.home, code=3)
    return name


@pytest.fixture
def probes(hopper: Pillow.Image, collins: Pillow.Image, tmp_path: Path) -> Path:
    """Two photos of Grace Hopper, one of them with somebody smaller beside her, and a blank."""
    folder = tmp_path / "probes"
    folder.mkdir()
    ImageEnhance.Brightness(ImageOps.mirror(hopper)).enhance(0.6).save(folder / "a.png")
    both = Pillow.new("RGB", (900, 620), "white")
    both.paste(hopper, (0, 0))
    both.paste(collins.resize((300, 300)), (560, 100))
    both.save(folder / "b.jpg", quality=90)
    Pillow.new("RGB", (300, 300), "navy").save(folder / "c.png")
    return folder


def test_find_puts_searches_together_and_traces_each(
    shell: Shell, running: TestServer, archive: str, probes: Path, album: Path, tmp_path: Path
) -> None:
    words = "find", probes, "-c", archive, "-c", "nosuch", "--home", running.home, "--case", "2026-117"
    result = shell(*words, "--json", code=1)
    told = json.loads(result.stdout)
    assert [(each["faces"], each["error"]) for each in told["probes"]] == [
        (1, None),
        (2, None),
        (0, "no face was found in it"),
    ]
    assert [each["photo"] for each in told["searches"]] == [1, 2]
    [best] = told["candidates"]
    assert set(best["photos"]) == {"1", "2"}
    assert best["Similarity"] == max(best["photos"].values()) > 95
    assert best["photo"] in {str(album / "copy [1].jpg"), str(album / "spring" / "IMG_1.jpg")}
    [no] = told["refused"]
    assert (no["collection"], no["code"]) == ("nosuch", "ResourceNotFoundException")
    assert told["declared"] == {"x-countenance-case": "2026-117"}
    assert told["expected_false_candidates"] == pytest.approx(2 * told["collections"][0]["faces"] * 1e-4)
    for each in (best["review"], no["decision"]):
        receipt = json.loads(shell("receipt", each, "--home", running.home).stdout)
        assert json.loads(receipt["Entries"][0]["Body"])["operation"] == "SearchFacesByImage"
    decisions = [each["decision"] for each in (*told["probes"], *told["searches"], no)]
    assert decisions == sorted(set(decisions))


def test_a_sheet_shows_the_faces_says_how_often_it_is_wrong_and_how_to_review(
    shell: Shell, running: TestServer, archive: str, probes: Path, tmp_path: Path
) -> None:
    page, picture = tmp_path / "sheet.html", tmp_path / "sheet.png"
    page.touch(mode=0o644)
    words = "find", probes / "a.png", "-c", archive, "--home", running.home
    told = shell(*words, "--save", page, "--save", picture).stdout
    html = page.read_text("utf-8")
    faces = [base64.b64decode(each) for each in re.findall(r"data:image/jpeg;base64,([^\"]+)", html)]
    assert [Pillow.open(io.BytesIO(face)).size for face in faces] == [(320, 320)] * 2
    assert len(re.findall(r'<img [^>]*alt="[^"]+"', html)) == 2
    assert not re.search(r"(?:src|href)=\"(?!data:)|<script|@import|url\(", html)
    for said in (
        "a lead for a person to judge",
        "taken years apart",
        "Strangers' children",
        "times as often",
    ):
        assert said in html
        assert said in told
    assert page.stat().st_mode & 0o077 == 0
    with Pillow.open(picture) as drawn:
        assert drawn.width == 1600
    [command] = re.findall(r"countenance (review [^\n<]+)", html)
    done = shell(*command.replace("undecided", "confirmed").replace("NAME", "Weber").split())
    assert "is confirmed" in done.stdout


def test_pixels_that_are_not_there_are_said_and_looked_for_in_another_folder(
    shell: Shell, running: TestServer, archive: str, probes: Path, album: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    album.rename(moved)
    page = tmp_path / "sheet.html"
    words = "find", probes / "a.png", "-c", archive, "--home", running.home, "--save", page
    shell(*words)
    html = page.read_text("utf-8")
    assert html.count("<img ") == 1
    assert "cannot be read: No such file" in html
    shell(*words, "--photos", moved)
    assert page.read_text("utf-8").count("<img ") == 2
    for photo in moved.rglob("*.jpg"):  # somebody put another picture in its place
        Pillow.new("RGB", (400, 400), "navy").save(photo)
    shell(*words, "--photos", moved)
    html = page.read_text("utf-8")
    assert html.count("<img ") == 1
    assert "holds another picture than the one that was enrolled" in html


def test_a_share_holds_for_all_searches_together(
    shell: Shell, running: TestServer, archive: str, probes: Path
) -> None:
    words = "find", probes / "a.png", probes / "b.jpg", "-c", archive, "--home", running.home, "--json"
    told = json.loads(shell(*words, "--max-fpir", "0.01").stdout)
    assert 0.0099 < told["chance_of_any_at_most"] <= 0.01
    assert told["searches"][0]["Countenance"]["FPIR"] == pytest.approx(0.005, rel=0.01)
    impossible = shell(*words, "--max-fpir", "0.00000001", code=1)
    assert "no threshold keeps" in impossible.stderr + impossible.stdout


def test_what_policy_refuses_is_said_of_the_collection_and_the_others_are_searched(
    shell: Shell, running: TestServer, archive: str, probes: Path
) -> None:
    words = "find", probes / "a.png", "-c", archive, "--home", running.home, "--on-behalf-of", "police:US-CA"
    result = shell(*words, "--json", code=1)
    told = json.loads(result.stdout)
    assert told["candidates"] == []
    [no] = told["refused"]
    assert no["code"] == "AccessDeniedException"
    assert isinstance(no["decision"], int)


def test_mistakes_are_told_before_anybody_is_searched(
    shell: Shell, running: TestServer, probes: Path, tmp_path: Path
) -> None:
    words = "find", probes / "a.png", "-c", "people", "--home", running.home
    assert "must end in .html or .md or .png" in shell(*words, "--save", "sheet.pdf", code=1).output
    absent = tmp_path / "absent" / "sheet.html"
    assert "there is no folder" in shell(*words, "--save", absent, code=1).output
    (tmp_path / "none").mkdir()
    assert "holds no photo" in shell("find", tmp_path / "none", *words[2:], code=1).output


def test_groups_of_a_collection(
    shell: Shell, running: TestServer, hopper: Pillow.Image, collins: Pillow.Image, tmp_path: Path
) -> None:
    folder = _two_people(hopper, collins, tmp_path / "wild")
    name = f"wild-{uuid.uuid4()}"
    shell("index", name, folder, "--home", running.home)
    page, picture = tmp_path / "groups.html", tmp_path / "groups.png"
    words = "groups", "--collection", name, "--home", running.home
    told = shell(*words, "--save", page, "--save", picture).stdout
    assert "1 groups, and 1 faces like no other." in told
    assert page.read_text("utf-8").count("<img ") == 4
    found = json.loads(shell(*words, "--json").stdout)
    [group] = found["Groups"]
    assert sorted(Path(member["photo"]).name for member in group["Members"]) == ["a.jpg", "b.jpg", "c.jpg"]
    assert [Path(each["photo"]).name for each in found["UngroupedFaces"]] == ["d.jpg"]
    assert found["ExpectedFalsePairs"] == pytest.approx(6e-4)
    apart = json.loads(shell(*words, "--json", "--threshold", "100").stdout)
    assert (apart["Groups"], len(apart["UngroupedFaces"])) == ([], 4)
    again = re.search(r"countenance (review [^\n<]+)", page.read_text("utf-8"))
    assert again
    shell(*again[1].replace("undecided", "wrong").replace("NAME", "Weber").split())
    made = shell(*words, "--as-users", "person").stderr
    assert "person-1: 3 faces\n" in made
    users = running.client().list_users(CollectionId=name)["Users"]
    assert [each["UserId"] for each in users] == ["person-1"]
    faces = running.client().list_faces(CollectionId=name, UserId="person-1")["Faces"]
    assert len(faces) == 3
    assert "already exists" in shell(*words, "--as-users", "person", code=1).output


def test_groups_of_a_folder_leave_nothing_behind(
    shell: Shell, running: TestServer, hopper: Pillow.Image, collins: Pillow.Image, tmp_path: Path
) -> None:
    folder = _two_people(hopper, collins, tmp_path / "wild")
    (folder / "notes.txt").write_text("not a photo")
    client = running.client()
    before = client.list_collections()["CollectionIds"]
    page = tmp_path / "groups.html"
    words = "groups", folder, "--home", running.home
    found = json.loads(shell(*words, "--json", "--save", page).stdout)
    assert [len(group["Members"]) for group in found["Groups"]] == [3]
    assert found["left_out"] == [{"photo": str(folder / "notes.txt"), "reason": "not a picture"}]
    html = page.read_text("utf-8")
    assert html.count("<img ") == 4
    assert "countenance review" not in html  # nobody is enrolled any longer
    refused = shell(*words, "--subjects", "martians", code=1)
    assert "countenance:subjects must be one of" in refused.output
    assert client.list_collections()["CollectionIds"] == before
    shell("groups", "--home", running.home, code=2)
    shell("groups", folder, "--collection", "x", "--home", running.home, code=2)


def _two_people(hopper: Pillow.Image, collins: Pillow.Image, folder: Path) -> Path:
    folder.mkdir()
    hopper.save(folder / "a.jpg", quality=92)
    ImageOps.mirror(hopper).save(folder / "b.jpg", quality=92)
    ImageEnhance.Brightness(hopper).enhance(0.7).save(folder / "c.jpg", quality=80)
    collins.save(folder / "d.jpg", quality=92)
    return folder


def test_a_collection_that_a_law_shuts_is_named_with_the_law_and_the_other_is_searched(
    shell: Shell, hopper: Pillow.Image, tmp_path: Path
) -> None:
    """In the Union nobody searches what was scraped from the web, whatever for."""
    (tmp_path / "ours").mkdir()
    hopper.save(tmp_path / "ours" / "hopper.jpg", quality=92)
    probe, page = tmp_path / "probe.png", tmp_path / "sheet.html"
    ImageOps.mirror(hopper).save(probe)
    ngo, packs = OrganisationKind.NGO, ("base", "eu-ai-act")
    with testing.server(kind=ngo, place="DE", purpose="missing-persons", packs=packs) as server:
        server.client().create_collection(CollectionId="scraped", Tags={"countenance:origin": "web-scrape"})
        shell("index", "ours", tmp_path / "ours", "--home", server.home)
        words = "find", probe, "-c", "scraped", "-c", "ours", "--home", server.home, "--save", page
        told = json.loads(shell(*words, "--json", code=1).stdout)
        [refused] = told["refused"]
        receipt = json.loads(shell("receipt", refused["decision"], "--home", server.home).stdout)
    assert refused["collection"] == "scraped"
    assert "eu-ai-act/5-1-e" in refused["message"]
    assert "There is no exception" in refused["message"]
    assert json.loads(receipt["Entries"][0]["Body"])["allowed"] is False
    assert [each["collection"] for each in told["candidates"]] == ["ours"]
    assert "scraped was not searched" in page.read_text("utf-8")
