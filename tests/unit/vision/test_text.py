"""What is written in a picture, read by the real networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.unit.vision.conftest import altered
from tests.written import written

from countenance.errors import ModelError
from countenance.types import Image, Line, Point
from countenance.vision import Vision, text
from countenance.vision.ppocr import LARGEST, LineFinder, _fit, breadth, cut

SIGN = ("Please keep left", "Platform 17")


def read(vision: Vision, **how: float) -> tuple[Line, ...]:
    return vision.read(altered(np.asarray(written(*SIGN, **how)))).lines  # type: ignore[arg-type]


def slope(line: Line, image: tuple[int, int] = (1, 1)) -> float:
    """Degrees by which a line rises, in a square picture."""
    first, second, *_ = line.corners
    return math.degrees(math.atan2(first.y - second.y, second.x - first.x))


def test_lines_are_read_from_the_top_with_words_where_they_stand(vision: Vision) -> None:
    lines = read(vision)
    assert tuple(line.text for line in lines) == SIGN
    for line in lines:
        assert line.confidence > 95
        assert [word.text for word in line.words] == line.text.split()
        for word, after in zip(line.words, line.words[1:], strict=False):
            assert word.box.left < word.box.left + word.box.width <= after.box.left + 1e-6
        first, last = line.words[0], line.words[-1]
        assert first.corners[0] == line.corners[0]
        assert (
            last.corners[1] == pytest.approx(line.corners[1], abs=1e-6) or last.corners[1] == line.corners[1]
        )
    assert lines[0].box.left * 600 == pytest.approx(40, abs=8)
    assert lines[0].box.height * 400 == pytest.approx(35, abs=14)


def test_a_word_s_box_holds_its_letters(vision: Vision) -> None:
    """To the third of a letter, where the ink of both is known."""
    picture = np.asarray(written("wagon house"))
    [line] = vision.read(altered(picture)).lines
    ink = np.nonzero((picture < 128).all(2).any(0))[0]
    gap = int(np.argmax(np.diff(ink)))
    left, right = (word.box for word in line.words)
    assert left.left * 600 <= ink[0]
    assert (left.left + left.width) * 600 == pytest.approx(ink[gap], abs=8)
    assert right.left * 600 == pytest.approx(ink[gap + 1], abs=8)
    assert (right.left + right.width) * 600 >= ink[-1]


@pytest.mark.parametrize("turn", [12, 35, 90, 180, 270, 335])
def test_turned_text_is_read_and_its_corners_say_how_it_is_turned(vision: Vision, turn: int) -> None:
    picture = altered(np.asarray(written(*SIGN, turn=turn)))
    lines = vision.read(picture).lines
    assert {line.text for line in lines} == set(SIGN)
    for line in lines:
        first, second, *_ = line.corners
        across, down = (second.x - first.x) * picture.width, (second.y - first.y) * picture.height
        away = (math.degrees(math.atan2(-down, across)) - turn + 180) % 360 - 180
        assert abs(away) < 4


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((300, 400, 3)),
        np.full((300, 400, 3), 255),
        np.tile(np.linspace(0, 255, 500)[None, :, None], (300, 1, 3)),
        np.full((80, 4096, 3), 128),
        np.random.default_rng(8).integers(0, 255, (400, 400, 3)),
    ],
    ids=["black", "white", "gradient", "strip", "noise"],
)
def test_nothing_is_read_where_nothing_is_written(vision: Vision, pixels: np.ndarray) -> None:
    assert vision.read(altered(pixels)).lines == ()


def test_a_tiny_picture_and_a_large_one_are_read(vision: Vision) -> None:
    tiny = written("Exit", size=14, side=120, at=(20, 20))
    assert [line.text for line in vision.read(altered(np.asarray(tiny))).lines] == ["Exit"]
    large = written(*SIGN, size=90, side=3000, at=(400, 700))
    assert tuple(line.text for line in vision.read(altered(np.asarray(large))).lines) == SIGN


def test_what_stands_side_by_side_is_told_from_the_left(vision: Vision) -> None:
    picture = np.full((300, 900, 3), 255, np.uint8)
    for left, word in ((600, "third"), (40, "first"), (320, "second")):
        picture[100:180, left : left + 250] = np.asarray(written(word, side=250, at=(10, 10)))[:80]
    assert [line.text for line in vision.read(altered(picture)).lines] == ["first", "second", "third"]


def test_of_many_lines_the_first_are_read_and_the_rest_counted(
    vision: Vision, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = altered(np.asarray(written("Exit", "Platform 17", "Please keep left")))
    found = sorted(vision.reader.finder.find(picture.pixels), key=lambda corners: corners[:, 1].mean())  # type: ignore[union-attr]
    monkeypatch.setattr(text, "WIDTH", breadth(found[0]) + breadth(found[1]))
    told = vision.read(picture)
    assert [line.text for line in told.lines] == ["Exit", "Platform 17"]
    assert told.unread == 1


def test_of_doubted_lines_only_some_are_read_twice(vision: Vision, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, read = vision.reader.reader, []  # type: ignore[union-attr]
    once = reader.read

    def counted(lines: list[np.ndarray]) -> object:
        read.append(len(lines))
        return once(lines)

    monkeypatch.setattr(reader, "read", counted)
    monkeypatch.setattr(text, "DOUBTED", 1.1)
    picture = altered(np.asarray(written(*SIGN)))
    for room, again in ((10_000, 2), (1, 0)):
        monkeypatch.setattr(text, "AGAIN", room)
        vision.read(picture)
        assert read[-2:] == [2, again]


def test_no_corner_lies_beyond_the_picture(vision: Vision) -> None:
    picture = np.asarray(written("EDGE TO EDGE", size=60, side=420, at=(0, -12)))
    lines = vision.read(altered(picture)).lines
    assert lines
    corners = [corner for line in lines for corner in line.corners]
    corners += [corner for line in lines for word in line.words for corner in word.corners]
    assert all(0 <= corner.x <= 1 and 0 <= corner.y <= 1 for corner in corners)


def test_a_square_picture_takes_no_more_than_a_wide_one(vision: Vision) -> None:
    """What the network holds grows with the canvas, so that is bounded."""
    canvases = []
    finder = LineFinder(vision.reader.finder.card)  # type: ignore[union-attr]
    for height, width in ((4096, 4096), (4096, 3072), (80, 4096), (100, 100), (1000, 750)):
        canvas = _fit(np.zeros((height, width, 3), np.uint8))
        canvases.append(canvas.shape[2] * canvas.shape[3])
        assert all(side % 32 == 0 for side in canvas.shape[2:])
        assert finder.find(np.zeros((height, width, 3), np.uint8)) == []
    assert max(canvases) <= 1.05 * LARGEST


def test_a_line_is_cut_level_whichever_way_its_corners_run() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:30, 40:80] = 255
    level, corners = cut(pixels, np.array([[40, 20], [80, 20], [80, 30], [40, 30]], np.float32))
    assert level.shape == (10, 40, 3)
    assert level.mean() > 240
    assert corners[0].tolist() == [40, 20]
    upright, corners = cut(
        pixels.transpose(1, 0, 2), np.array([[20, 40], [30, 40], [30, 80], [20, 80]], np.float32)
    )
    assert upright.shape == (10, 40, 3)
    assert upright.mean() > 220
    assert corners[0].tolist() == [30, 40]


def test_a_service_without_a_reader_says_so(vision: Vision) -> None:
    without = Vision(vision.detector, vision.landmarker, vision.embedder, vision.describer)
    with pytest.raises(ModelError, match="no model here reads text"):
        without.read(Image(np.zeros((80, 80, 3), np.uint8), b""))


def test_a_finder_finds_the_lines_alone(vision: Vision) -> None:
    finder = vision.reader.finder  # type: ignore[union-attr]
    assert isinstance(finder, LineFinder)
    found = finder.find(np.asarray(written("above"), np.uint8))
    assert len(found) == 1
    assert Point(*(found[0].mean(0) / [600, 400]).tolist()).y < 0.25
