"""A document in blocks, and two ways to write it down: Markdown for reading and mailing, one HTML file for
looking at (`painted` is a third, a picture). A number may carry the entries that prove it: in HTML it opens,
in Markdown they stand at the end.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

HIDDEN = "·"
"""What stands where a count is not printed."""

MARKS = re.compile(r"(`[^`]+`|\*\*)")
"""What a text may be marked with."""

UNMARKED = re.compile(r"[\\`*\[\]<~]|&(?=#?\w+;)|(?<!\w)_|_(?!\w)|^[#>+=-]")
"""What Markdown would take for a mark: a link, a picture, HTML, an entity, an emphasis, a heading, a list."""

LONG = 24
"""Characters from which a cell of a table is words or a path, not a number."""


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. `code` and **strong** are the only marks in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A paragraph that must not be overlooked. warning: whether it is bad news."""

    text: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Quote:
    """What somebody else says."""

    text: str


@dataclass(frozen=True, slots=True)
class Number:
    """A count as it is printed. entries: those that prove it, as ranges."""

    text: str
    entries: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. The first column is text, the others are numbers. plot: the same as SVG, for HTML alone."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Number]]
    plot: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot as SVG, for HTML alone: what it shows stands in a table too."""

    svg: str


@dataclass(frozen=True, slots=True)
class Blank:
    """Something for a person to write. label: what."""

    label: str


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Text to be copied as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture. jpeg: None where there are no pixels. words: what it shows, or why there are none."""

    words: str
    jpeg: bytes | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """Somebody, with what is to be said of the face. commands: lines to be copied as they are."""

    title: str
    picture: Picture
    lines: Sequence[str] = ()
    commands: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Cards:
    """Faces side by side, the first the most important."""

    cards: Sequence[Card]


Block = Heading | Text | Notice | Quote | Grid | Chart | Blank | Verbatim | Cards


def markdown(blocks: Sequence[Block]) -> str:
    """The document as GitHub's Markdown."""
    written = "\n\n".join(filter(None, map(_markdown, blocks)))
    proofs = "\n".join(
        f"- {grid.title}: {_inline(_plain(row[0]))}, {column}: {cell.entries}"
        for grid in blocks
        if isinstance(grid, Grid)
        for row in grid.rows
        for column, cell in zip(grid.columns[1:], row[1:], strict=True)
        if isinstance(cell, Number) and cell.entries
    )
    proven = f"\n\n## The entries that prove each number\n\n{proofs}" if proofs else ""
    return f"{written}{proven}\n"


def _markdown(block: Block) -> str:  # noqa: PLR0911 - one line for each kind of block
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_inline(text)}"
        case Text(text):
            return _inline(text)
        case Notice(text):
            return f"> **{_inline(text)}**"
        case Quote(text):
            return f"> {_inline(text)}"
        case Grid():
            return _markdown_table(block)
        case Chart():
            return ""
        case Blank(label):
            return f"{label}: ______________________________"
        case Verbatim(text):
            return f"```\n{text.rstrip()}\n```"
        case Cards(cards):
            lines = (
                [*map(_inline, [card.title, *card.lines]), *(f"`{each}`" for each in card.commands)]
                for card in cards
            )
            return "\n".join(f"- {'; '.join(line)}" for line in lines)


def _markdown_table(grid: Grid) -> str:
    if not grid.rows:
        return f"{grid.title}: nothing."
    lines = [list(grid.columns), ["---", *["---:"] * (len(grid.columns) - 1)]]
    lines += [[_inline(_plain(cell)) for cell in row] for row in grid.rows]
    table = "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
    return f"### {grid.title}\n\n{table}"


def _inline(text: str) -> str:
    """Text with its marks, on one line; whatever else Markdown would read in it, say in a file's name, is
    escaped."""
    parts = MARKS.split(" ".join(text.splitlines()))
    parts[::2] = [UNMARKED.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def _plain(cell: str | Number) -> str:
    return cell.text if isinstance(cell, Number) else cell


def html(blocks: Sequence[Block], title: str) -> str:
    """The document as one file that needs no other and runs no script."""
    body = "\n".join(map(_html, blocks))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def _html(block: Block) -> str:  # noqa: PLR0911 - one line for each kind of block
    match block:
        case Heading(text, level):
            return f"<h{level}>{_marked(text)}</h{level}>"
        case Text(text):
            return f"<p>{_marked(text)}</p>"
        case Notice(text, warning):
            return f'<p class="notice {"warning" if warning else "good"}">{_marked(text)}</p>'
        case Quote(text):
            return f"<blockquote>{_marked(text)}</blockquote>"
        case Grid():
            return _html_table(block)
        case Chart(svg):
            return f"<figure>{svg}</figure>"
        case Blank(label):
            return f'<p class="blank"><span>{_marked(label)}</span></p>'
        case Verbatim(text):
            return f"<pre>{escape(text.rstrip())}</pre>"
        case Cards(cards):
            return f'<ol class="cards">{"".join(map(_html_card, cards))}</ol>'


def _html_card(card: Card) -> str:
    lines = "".join(f"<p>{_marked(line)}</p>" for line in card.lines)
    commands = f"<pre>{escape(chr(10).join(card.commands))}</pre>" if card.commands else ""
    return f"<li>{_html_picture(card.picture)}<h3>{_marked(card.title)}</h3>{lines}{commands}</li>"


def _html_picture(picture: Picture) -> str:
    if picture.jpeg is None:
        return f'<p class="nothing">{escape(picture.words)}</p>'
    pixels = base64.b64encode(picture.jpeg).decode()
    return f'<img src="data:image/jpeg;base64,{pixels}" alt="{escape(picture.words)}">'


def _html_table(grid: Grid) -> str:
    if not grid.rows:
        return f"<p>{escape(grid.title)}: nothing.</p>"
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in grid.columns)
    rows = "".join(f"<tr>{_html_row(row)}</tr>" for row in grid.rows)
    plot = f"<figure>{grid.plot}</figure>" if grid.plot else ""
    return (
        f"<section><h3>{escape(grid.title)}</h3>{plot}"
        f'<table aria-label="{escape(grid.title)}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _html_row(row: Sequence[str | Number]) -> str:
    first = f'<th scope="row">{_marked(_plain(row[0]))}</th>'
    return first + "".join(f"<td{_broken(cell)}>{_html_cell(cell)}</td>" for cell in row[1:])


def _broken(cell: str | Number) -> str:
    """What lets a path break, which is longer than a page is wide; a number stays whole."""
    return ' class="long"' if len(_plain(cell)) > LONG else ""


def _html_cell(cell: str | Number) -> str:
    if not isinstance(cell, Number):
        return _marked(cell)
    if cell.text == HIDDEN:
        return f'<span title="not printed">{HIDDEN}</span>'
    if not cell.entries:
        return escape(cell.text)
    entries = escape(cell.entries).replace(",", ",<wbr>")
    return f"<details><summary>{escape(cell.text)}</summary><div>entries {entries}</div></details>"


def _marked(text: str) -> str:
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", marked)


_STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1d2125; --muted: #667079; --rule: #dcdfe2;
  --whole: #4f7cac; --part: #b23a48; --confirmed: #3a7d52; --undecided: #c2952b; --left: #ccd2d8;
  --good: #e7f2ea; --warning: #fbeedd; }
@media (prefers-color-scheme: dark) { :root { --paper: #16191c; --ink: #e6e8ea; --muted: #9aa4ad;
  --rule: #363c42; --whole: #6c9bd0; --part: #e0707c; --confirmed: #62b07f; --undecided: #d9b250;
  --left: #4a5157; --good: #1d3325; --warning: #40301a; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; padding-top: .75rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.05rem; margin: 2rem 0 .25rem; }
p { margin: .6rem 0; max-width: 46rem; }
code, pre { font: .88em/1.5 ui-monospace, "SFMono-Regular", Menlo, "DejaVu Sans Mono", monospace; }
pre { overflow-x: auto; padding: .75rem 1rem; border: 1px solid var(--rule); border-radius: 4px; }
blockquote { margin: .75rem 0; padding: .1rem 0 .1rem 1rem; border-left: 3px solid var(--rule);
  color: var(--muted); max-width: 44rem; }
.notice { padding: .7rem 1rem; border-radius: 4px; font-weight: 600; }
.warning { background: var(--warning); } .good { background: var(--good); }
section { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0 1rem; min-width: 60%; }
th, td { padding: .28rem .75rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top;
  font-variant-numeric: tabular-nums; }
.long { text-align: left; overflow-wrap: anywhere; min-width: 10rem; }
th:first-child { text-align: left; padding-left: 0; }
thead th { font-weight: 500; font-size: .85rem; color: var(--muted); border-bottom: 1px solid var(--ink); }
tbody th { font-weight: 400; }
details { display: inline-block; position: relative; }
summary { cursor: pointer; list-style: none; border-bottom: 1px dotted var(--muted); }
summary::-webkit-details-marker { display: none; }
details div { text-align: left; font-size: .8rem; color: var(--muted); width: 16rem; max-height: 12rem;
  overflow-y: auto; overflow-wrap: anywhere; padding: .4rem 0; }
figure { margin: .5rem 0; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 13px; fill: var(--ink); } svg .tick { font-size: 11px; fill: var(--muted); }
svg .value { font-variant-numeric: tabular-nums; } svg .grid { stroke: var(--rule); }
.whole { fill: var(--whole); } .part, .wrong { fill: var(--part); } .confirmed { fill: var(--confirmed); }
.undecided { fill: var(--undecided); } .left { fill: var(--left); }
.cards { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: 1.25rem 1rem;
  grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); }
.cards li { min-width: 0; border-top: 1px solid var(--rule); padding-top: .6rem; }
.cards img, .nothing { display: block; width: 100%; max-width: 15rem; aspect-ratio: 1; object-fit: cover;
  box-sizing: border-box; border-radius: 3px; margin: 0; }
.nothing { border: 1px dashed var(--muted); padding: .75rem; font-size: .85rem; overflow-wrap: anywhere; }
.cards h3 { font-size: 1rem; margin: .5rem 0 .15rem; overflow-wrap: anywhere; }
.cards p { margin: .1rem 0; font-size: .85rem; overflow-wrap: anywhere; }
.cards pre { font-size: .7rem; padding: .4rem .5rem; margin: .4rem 0 0; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.blank { border-bottom: 1px solid var(--ink); min-height: 3.2rem; color: var(--muted); font-size: .9rem; }
@media print { :root { color-scheme: light; } body { font-size: 10.5pt; } main { padding: 0; }
  section { overflow: visible; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  h2, h3 { break-after: avoid; } tr, figure, .cards li { break-inside: avoid; }
  .cards { grid-template-columns: repeat(4, 1fr); } }
"""
