"""`countenance plan`: the worked case in words, as JSON and drawn; what it will not plan."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tests.unit.cli.conftest import Shell

WORKED = ("plan", "--gallery", 25_000, "--crowd", 100_000, "--listed", 10)


def test_the_worked_case(shell: Shell) -> None:
    shown = shell(*WORKED).stdout
    [line] = [line for line in shown.splitlines() if " 8.3 %" in line]
    assert " ".join(line.split()) == "99.10 0.753 4e-08 beyond the scale 0.1 % 9 100 8.3 %"
    assert "0.0098 %" in shown
    assert "They are not" in shown


def test_json_has_every_figure(shell: Shell) -> None:
    told = json.loads(shell(*WORKED, "--json", "--max-fpir", 0.001, "--tpir", 0.9).stdout)
    assert (told["gallery"], told["crowd"], told["listed"], told["tpir"]) == (25_000, 100_000, 10, 0.9)
    assert (told["population"], len(told["calibration"])) == ("adults", 16)
    [row] = told["rows"]
    assert row["posterior"] == pytest.approx(0.083, abs=5e-4)
    assert row["standing"] == "beyond the scale"
    assert row["rate"] == pytest.approx(4e-8, rel=0.01)


def test_children_are_said_to_be_confused_more(shell: Shell) -> None:
    shown = shell(*WORKED, "--population", "children", "--threshold", 80).stdout
    assert "At the cosine that is 80 for adults, children are taken for each other" in shown
    assert " 0.785 " in shown


def test_it_draws(shell: Shell, tmp_path: Path) -> None:
    shell(*WORKED, "--save", tmp_path / "plan.svg")
    shell(*WORKED, "--save", tmp_path / "plan.png")
    root = ET.parse(tmp_path / "plan.svg").getroot()
    words = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("8.3 % right: 9, and 100 false" in text for text in words)
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("x") == "330"]
    assert len(bars) == 2 * 7
    shares = [float(each.get("width", 0)) / 300 for each in bars[1::2]]
    assert shares == sorted(shares)
    assert shares[5] == pytest.approx(0.083, abs=1e-3)
    with Pillow.open(tmp_path / "plan.png") as picture:
        assert picture.size[0] == 1840


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--listed", 100_001), "are more than the --crowd"),
        (("--population", "teenagers"), "calibrated for adults, children"),
        (("--max-fpir", 0), "not in the range"),
        (("--max-fpir", "nan"), "no number"),
        (("--tpir", 1.1), "not in the range"),
        (("--threshold", 101), "not in the range"),
        (("--model", "yunet"), "is not"),
    ],
)
def test_what_cannot_be_planned_is_said(shell: Shell, words: tuple[object, ...], told: str) -> None:
    assert told in " ".join(shell(*WORKED, *words, code=2).output.split())


def test_a_picture_of_no_known_kind_is_refused(shell: Shell, tmp_path: Path) -> None:
    assert "must end in .svg or .png" in shell(*WORKED, "--save", tmp_path / "plan.doc", code=1).output
