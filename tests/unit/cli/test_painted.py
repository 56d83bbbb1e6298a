"""A document painted: nothing runs over the edge, everything of it is there."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pillow

from countenance.cli import painted, paper
from countenance.cli.paper import Block, Card, Cards, Grid, Heading, Notice, Picture, Quote, Text

LONG = "/a/very/long/path/without/any/space/" + "x" * 300 + ".jpg"


def red() -> bytes:
    stream = io.BytesIO()
    Pillow.new("RGB", (320, 320), "red").save(stream, "JPEG")
    return stream.getvalue()


def blocks(cards: int) -> list[Block]:
    return [
        Heading("A sheet", 1),
        Notice("Look closely.", warning=True),
        Text("`code` and **strong** " * 40),
        Grid("A table", ("One", "Two"), [("cell", LONG)]),
        Cards([Card(f"{n}. {LONG}", Picture("a face", red()), [LONG], [LONG]) for n in range(cards)]),
        Cards([Card("Nobody", Picture("no pixels here"))]),
    ]


def painting(some: list[Block]) -> np.ndarray:
    with Pillow.open(io.BytesIO(painted.png(some))) as picture:
        return np.asarray(picture.convert("RGB"), int)


def test_the_margins_stay_empty_whatever_is_written() -> None:
    pixels = painting(blocks(7))
    assert pixels.shape[1] == painted.WIDTH
    edge = painted.MARGIN - 20
    for strip in (pixels[:, :edge], pixels[:, -edge:], pixels[:edge], pixels[-edge:]):
        assert (strip == 255).all()


def test_every_face_is_there() -> None:
    def reds(count: int) -> int:
        pixels = painting(blocks(count))
        return int(((pixels[..., 0] > 240) & (pixels[..., 1] < 20) & (pixels[..., 2] < 20)).sum())

    assert reds(0) == 0
    assert reds(7) == 7 * reds(1) > 7 * 200**2


def test_what_is_too_long_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = painting(blocks(5))
    monkeypatch.setattr(painted, "TALLEST", 300)
    assert len(painting(blocks(5))) < len(whole)


def test_a_block_that_cannot_be_painted_is_an_error() -> None:
    with pytest.raises(TypeError, match="Quote is not painted"):
        painted.png([Quote("said")])


def test_cards_are_a_list_with_alternative_texts_in_html_and_lines_in_markdown() -> None:
    card = Card("1. <b>", Picture('A "face"', red()), ["a & b"], ["countenance review 1 F undecided --by N"])
    none = Card("2.", Picture("No photo <here>"))
    page = paper.html([Cards([card, none])], "A sheet")
    assert 'alt="A &quot;face&quot;"' in page
    assert page.count("<img ") == 1
    assert "data:image/jpeg;base64," in page
    assert '<p class="nothing">No photo &lt;here&gt;</p>' in page
    assert "<b>" not in page
    assert "http" not in page.replace("http-equiv", "")
    text = paper.markdown([Cards([card, none])])
    assert text == "- 1. \\<b>; a & b; `countenance review 1 F undecided --by N`\n- 2.\n"
