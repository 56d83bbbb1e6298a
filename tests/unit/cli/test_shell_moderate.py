"""moderate over a running server, with harmless pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image as Pillow

from countenance.testing import TestServer
from countenance.vision import zoo
from tests.unit.cli.conftest import Shell


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    zoo.pull(*zoo.fetched_for("moderation", commercial_only=False))


def test_what_is_told_and_what_is_not_looked_for(shell: Shell, running: TestServer, album: Path) -> None:
    photo = album / "autumn" / "IMG_1.jpg"
    told = shell("moderate", photo, "--home", running.home).stdout
    assert f"{photo}: no label\n" in told
    assert "Not looked for: Alcohol, ContentTypes, " in told
    assert "Violence" in told
    assert "Explicit 3." in shell("moderate", photo, "--home", running.home, "--min-confidence", 1).stdout


def test_a_folder_is_looked_through(shell: Shell, running: TestServer, album: Path) -> None:
    (album / "cut.jpg").unlink()
    found = json.loads(shell("moderate", album, "--home", running.home, "--json").stdout)
    names = [str(Path(photo["photo"]).relative_to(album)) for photo in found]
    assert sorted(names) == ["autumn/IMG_1.jpg", "blank.png", "copy [1].jpg", "spring/IMG_1.jpg"]
    assert all(photo["ModerationLabels"] == [] and photo["receipt"] for photo in found)


def test_the_label_is_drawn(shell: Shell, running: TestServer, album: Path, tmp_path: Path) -> None:
    photo, drawn = album / "autumn" / "IMG_1.jpg", tmp_path / "drawn.png"
    shell("moderate", photo, "--home", running.home, "--save", drawn, "--min-confidence", 1)
    with Pillow.open(photo) as before, Pillow.open(drawn) as after:
        assert after.convert("RGB").getpixel((0, 300)) != before.convert("RGB").getpixel((0, 300))
