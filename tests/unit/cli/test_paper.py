"""Documents in blocks, as Markdown and as HTML, and the plots in them."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from countenance.cli import plots
from countenance.cli.paper import (
    HIDDEN,
    Blank,
    Block,
    Grid,
    Heading,
    Notice,
    Number,
    Quote,
    Text,
    Verbatim,
    html,
    markdown,
)

GRID = Grid(
    "Searches by offence",
    ("offence", "searches", "share"),
    [["a|b", Number("1,204", "3-9,12"), "93.0 %"], ["<theft>", Number(HIDDEN), HIDDEN]],
)
BLOCKS: list[Block] = [
    Heading("A title & more", 1),
    Text("Plain, `code` and **strong** <b>."),
    Notice("Take care", warning=True),
    Quote("the law"),
    GRID,
    Blank("Costs"),
    Verbatim("<note>\n\n— x"),
]


def test_markdown_has_every_block_and_the_proofs_at_the_end() -> None:
    text = markdown(BLOCKS)
    assert text.startswith(
        "# A title & more\n\nPlain, `code` and **strong** \\<b>.\n\n> **Take care**\n\n> the law\n"
    )
    assert "### Searches by offence\n\n| offence | searches | share |\n| --- | ---: | ---: |\n" in text
    assert "| a\\|b | 1,204 | 93.0 % |\n| \\<theft> | · | · |" in text
    assert "Costs: ____" in text
    assert "```\n<note>\n\n— x\n```" in text
    assert text.endswith("- Searches by offence: a|b, searches: 3-9,12\n")


def test_a_name_is_no_markup_in_markdown() -> None:
    name = "![x](http://there) <img src=//there> _a_ file_name_2 [1] &lt; # *b*\n# c"
    [line, _, table, *_, cell] = markdown([Text(name), Grid("G", ("a",), [(name,)])]).splitlines()
    written = r"!\[x\](http://there) \<img src=//there> \_a\_ file_name_2 \[1\] \&lt; # \*b\* # c"
    assert line == written
    assert (table, cell) == ("### G", f"| {written} |")
    assert markdown([Heading("# a"), Text("- b, `c_*`")]) == "## \\# a\n\n\\- b, `c_*`\n"


def test_html_is_well_formed_escapes_and_opens_to_the_proof() -> None:
    page = html(BLOCKS, "A <title>")
    root = ET.fromstring(
        page.removeprefix("<!doctype html>\n")
        .replace('<meta charset="utf-8">', "")
        .replace('<meta name="viewport" content="width=device-width, initial-scale=1">', "")
        .replace("<wbr>", "")
    )
    assert root.findtext("head/title") == "A <title>"
    assert root.findtext(".//h1") == "A title & more"
    assert [each.text for each in root.findall(".//p/code")] == ["code"]
    assert [each.text for each in root.findall(".//tbody/tr/th")] == ["a|b", "<theft>"]
    [details] = root.findall(".//details")
    assert (details.findtext("summary"), details.findtext("div")) == ("1,204", "entries 3-9,12")
    assert root.findtext(".//pre") == "<note>\n\n— x"


def test_html_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = html(BLOCKS, "x")
    for word in ("<script", "http:", "https:", "@import", "url(", "src="):
        assert word not in page


def test_an_empty_table_says_so() -> None:
    empty = Grid("Failed calls", ("error", "failed"), [])
    assert markdown([empty]) == "Failed calls: nothing.\n"
    assert "<p>Failed calls: nothing.</p>" in html([empty], "x")


def shapes(svg: str, kind: str) -> list[float]:
    return [
        float(each.attrib["width"]) for each in ET.fromstring(svg).iter("rect") if each.get("class") == kind
    ]


def test_bars_are_as_long_as_their_counts() -> None:
    svg = plots.bars("Searches", [plots.Bar("a & b", 500, 125), plots.Bar("c", 50, 0)], "searches", "refused")
    _, longest, shortest = shapes(svg, "whole")  # the first is the key's
    assert longest / shortest == pytest.approx(10, rel=0.01)
    assert shapes(svg, "part")[1] == pytest.approx(longest / 4, rel=0.01)
    texts = [each.text for each in ET.fromstring(svg).iter("text")]
    assert {"a & b", "500", "50", "0", "searches", "refused"} <= set(texts)


def test_a_part_that_is_not_printed_is_not_drawn() -> None:
    svg = plots.bars("Searches", [plots.Bar("a", 9, None)], "searches", "refused")
    assert len(shapes(svg, "part")) == 1


def test_a_strip_is_divided_by_its_parts() -> None:
    svg = plots.strip("Verdicts", [plots.Part("wrong", 30, "wrong"), plots.Part("rest", 90, "left")])
    wrong, left = (max(shapes(svg, kind)) for kind in ("wrong", "left"))
    assert (wrong, left) == (plots.WIDTH / 4, plots.WIDTH * 3 / 4)


@pytest.mark.parametrize(("most", "ticks"), [(1, 2), (4, 5), (5, 6), (7, 4), (523, 3), (1_000_000, 6)])
def test_an_axis_has_few_round_ticks(most: int, ticks: int) -> None:
    svg = plots.bars("x", [plots.Bar("a", most)], "x")
    told = [each.text or "" for each in ET.fromstring(svg).iter("text") if each.get("class") == "tick"]
    values = [int(each.replace(",", "")) for each in told]
    assert len(values) == ticks
    assert len({after - before for before, after in itertools.pairwise(values)}) == 1


def test_a_path_in_a_table_may_break_and_a_number_may_not() -> None:
    page = html([Grid("Groups", ("Group", "Faces", "Most typical"), [("1", "96,480", "a/" * 40)])], "")
    assert "<td>96,480</td>" in page
    assert f'<td class="long">{"a/" * 40}</td>' in page
