"""`countenance measure`: a table and JSON where labels say who is not whom, a sentence where they do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image as Pillow
from PIL import ImageOps

import countenance
from tests.unit.cli.conftest import Shell


@pytest.fixture
def three(shell: Shell, home: Path, tmp_path: Path, hopper: Pillow.Image, collins: Pillow.Image) -> Path:
    """A collection of three photos, one of them a mirror image that passes for a third person."""
    folder = tmp_path / "three"
    folder.mkdir()
    for name, picture in (("a", hopper), ("b", collins), ("c", ImageOps.mirror(hopper))):
        picture.save(folder / f"{name}.png")
    shell("index", "three", folder, "--home", home)
    return home


def test_without_labels_it_says_what_to_do(shell: Shell, three: Path) -> None:
    said = shell("measure", "three", "--home", three, code=1).output
    assert "no figure can be made" in said
    assert "countenance:external-image-id=one-person" in said


def test_counts_beside_the_cards_rates(shell: Shell, three: Path) -> None:
    with countenance.open(three) as client:
        arn = client.describe_collection(CollectionId="three")["CollectionARN"]
        client.tag_resource(ResourceArn=arn, Tags={"countenance:external-image-id": "one-person"})
    shown = shell("measure", "three", "--home", three).stdout
    assert "three: 3 people by their external-image-ids, a face of each" in shown
    told = json.loads(shell("measure", "three", "--home", three, "--json", "--threshold", 80).stdout)
    [row] = told["rows"]
    assert (row["People"], row["Pairs"], row["FalseMatches"]) == (3, 3, 1)  # the mirror image
    assert row["Countenance"]["Calibration"]["Model"] == "sface-2021dec"
    assert row["FalseMatchRateLow"] < 1 / 3 < row["FalseMatchRateHigh"]
