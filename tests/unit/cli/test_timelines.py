from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from countenance.cli import timeplot
from countenance.cli.timelines import COLUMNS, captions, table, title, titles
from countenance.errors import PhotoError

HAPPY = {"StartTimestampMillis": 0, "EndTimestampMillis": 1000, "Emotion": "HAPPY", "Confidence": 93.4}
UNCLEAR = {
    "StartTimestampMillis": 3_661_000,
    "EndTimestampMillis": 3_662_500,
    "Emotion": "UNKNOWN",
    "Confidence": 40.0,
}


def person(index: int, *bands: dict[str, Any], name: str = "") -> dict[str, Any]:
    spans = [{key: band[key] for key in ("StartTimestampMillis", "EndTimestampMillis")} for band in bands]
    told: dict[str, Any] = {"Index": index, "Presence": spans, "Bands": list(bands)}
    if name:
        told["FaceMatches"] = [{"Similarity": 97.0, "Face": {"ExternalImageId": name}}]
    return told


def sample(index: int, at: int, **more: Any) -> dict[str, Any]:
    box = {"Left": 0.12345, "Top": 0.2, "Width": 0.3, "Height": 0.4}
    return {"Index": index, "Timestamp": at, "BoundingBox": box, **more}


def test_a_candidate_is_named_with_a_question_mark() -> None:
    assert title(person(0)) == "person 1"
    assert title(person(0, name="Grace_Hopper")) == "Grace_Hopper?"
    assert title({**person(3), "FaceMatches": [{"Face": {"FaceId": "x"}}]}) == "person 4"


def test_nobody_gets_the_name_of_a_lesser_candidate() -> None:
    """The best may have no name; the next is somebody else."""
    unnamed = person(0, HAPPY, name="mallory")
    unnamed["FaceMatches"].insert(0, {"Similarity": 99.9, "Face": {"FaceId": "1"}})
    assert title(unnamed) == "person 1"
    assert "mallory" not in captions([unnamed]) + table([unnamed], [sample(0, 0)])


def test_two_who_may_be_one_are_told_apart() -> None:
    people = [person(index, HAPPY, name=name) for index, name in enumerate(("ada", "bob", "ada"))]
    assert titles(people) == {0: "ada? (person 1)", 1: "bob?", 2: "ada? (person 3)"}
    rows = list(csv.DictReader(io.StringIO(table(people, [sample(index, 0) for index in range(3)]))))
    assert [row["person"] for row in rows] == ["ada? (person 1)", "bob?", "ada? (person 3)"]


def test_table() -> None:
    emotions = [{"Type": "HAPPY", "Confidence": 93.44}, {"Type": "CALM", "Confidence": 6.56}]
    told = sample(0, 200, Emotions=emotions, Smile=80.0, Pose={"Yaw": 1.26, "Pitch": 0.0, "Roll": -2.0})
    rows = list(csv.DictReader(io.StringIO(table([person(0), person(1)], [told, sample(1, 0, Emotions=[])]))))
    assert [row["person"] for row in rows] == ["person 2", "person 1"]
    assert tuple(rows[0]) == COLUMNS
    assert (rows[0]["emotion"], rows[0]["confidence"], rows[0]["yaw"]) == ("", "", "")
    assert (rows[1]["timestamp_ms"], rows[1]["emotion"], rows[1]["confidence"]) == ("200", "HAPPY", "93.4")
    assert (rows[1]["smile"], rows[1]["eyes_open"], rows[1]["yaw"], rows[1]["left"]) == (
        "80.0",
        "",
        "1.3",
        "0.1235",
    )


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", "\tx"])
def test_no_name_is_a_formula(name: str) -> None:
    [_, row] = csv.reader(io.StringIO(table([person(0, name=name)], [sample(0, 0)])))
    assert row[0] == f"'{name}?"


def test_captions() -> None:
    text = captions([person(0, UNCLEAR, name="a<b>&c"), person(1, HAPPY)])
    assert text.split("\n\n") == [
        "WEBVTT",
        "00:00:00.000 --> 00:00:01.000\nperson 2: happy 93 %",
        "01:01:01.000 --> 01:01:02.500\na&lt;b&gt;&amp;c?\n",
    ]


def test_captions_without_expressions_say_who_is_there() -> None:
    seen = {"StartTimestampMillis": 0, "EndTimestampMillis": 500}
    assert "00:00:00.000 --> 00:00:00.500\nperson 1\n" in captions([{**person(0), "Presence": [seen]}])


def widths(svg: str, colour: str) -> list[float]:
    return [float(width) for width in re.findall(rf'width="([\d.]+)" height="\d+" fill="{colour}"', svg)]


def test_the_drawing(tmp_path: Path) -> None:
    target = tmp_path / "plot.svg"
    timeplot.save("a <clip>", [person(0, HAPPY), person(1, HAPPY, name="Ada_L")], 4000, target)
    svg = target.read_text()
    assert "a &lt;clip&gt;" in svg
    assert ">person 1<" in svg
    assert ">Ada_L?<" in svg
    assert ">AL<" in svg
    assert svg.count("<ellipse") == 2  # one silhouette
    assert "<image" not in svg
    assert widths(svg, timeplot.PRESENT)[1:] == [timeplot.SPAN / 4] * 2  # after the key's own


def test_pictures_only_where_they_are_handed_in(tmp_path: Path) -> None:
    target = tmp_path / "plot.svg"
    timeplot.save(
        "t", [person(0, HAPPY), person(1, HAPPY)], 1000, target, {1: Image.new("RGB", (9, 9), "red")}
    )
    assert target.read_text().count("<image") == 1


def test_png_is_twice_as_large(tmp_path: Path) -> None:
    target = tmp_path / "plot.png"
    timeplot.save("t", [person(0, HAPPY)], 1000, target, {0: Image.new("RGB", (90, 90), (255, 0, 0))})
    with Image.open(target) as picture:
        assert picture.width == 2 * timeplot.WIDTH
        assert picture.convert("RGB").getpixel((2 * 46, 2 * (timeplot.TOP + 30))) == (255, 0, 0)


def test_nobody(tmp_path: Path) -> None:
    target = tmp_path / "plot.svg"
    timeplot.save("t", [], 0, target)
    assert "nobody was seen" in target.read_text()


def test_a_crowd_is_cut_to_those_seen_longest(tmp_path: Path) -> None:
    short = {**HAPPY, "EndTimestampMillis": 100}
    people = [person(0, short), *(person(n, HAPPY) for n in range(1, timeplot.MOST + 2))]
    target = tmp_path / "plot.svg"
    timeplot.save("t", people, 1000, target)
    svg = target.read_text()
    assert ">person 1<" not in svg
    assert "and 2 more" in svg


@pytest.mark.parametrize("duration", [1, 900, 10_000, 61_000, 5_000_000, 21_600_000])
def test_round_times(duration: int, tmp_path: Path) -> None:
    target = tmp_path / "plot.svg"
    timeplot.save("t", [], duration, target)
    assert 1 <= target.read_text().count('text-anchor="middle"') <= 11


def test_another_ending(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"\.svg or \.png"):
        timeplot.save("t", [], 1000, tmp_path / "plot.jpg")
