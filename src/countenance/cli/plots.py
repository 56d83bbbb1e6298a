"""Plots as SVG, drawn into a report's page and coloured by its style sheet: bars, and one bar in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 720
"""Of every plot, in its own units; the page scales it."""

_LABEL, _VALUE = 230, 120
"""Room for the names on the left, and for the numbers to the right of the longest bar."""

_ROW, _BAR = 26, 14
_LONGEST = 34
"""Letters of a name that fit beside a bar."""


@dataclass(frozen=True, slots=True)
class Bar:
    """whole: its length. part: how much of that is of the darker kind, None where it is not printed."""

    name: str
    whole: int
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the one bar. kind: its class in the style sheet."""

    name: str
    count: int
    kind: str


def bars(title: str, rows: Sequence[Bar], whole: str, part: str | None = None) -> str:
    """Horizontal bars from 0, the longest first. whole, part: what their lengths count."""
    most = max((row.whole for row in rows), default=0)
    step = _step(most)
    span = (WIDTH - _LABEL - _VALUE) / max(most, 1)
    top, bottom = 30, 30 + _ROW * len(rows)
    drawn = [_key([(whole, "whole"), *([(part, "part")] if part else [])])]
    for tick in range(0, most + 1, step):
        x = _LABEL + tick * span
        drawn.append(f'<line class="grid" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>')
        drawn.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{tick:,}</text>')
    for number, row in enumerate(rows):
        drawn.append(_bar(row, top + _ROW * number, span, part))
    return _svg(title, bottom + 20, drawn)


def strip(title: str, parts: Sequence[Part]) -> str:
    """One bar over the whole width, in parts."""
    total = sum(part.count for part in parts)
    drawn, x = [], 0.0
    for part in parts:
        width = part.count / max(total, 1) * WIDTH
        drawn.append(
            f'<rect class="{part.kind}" x="{x:.1f}" y="30" width="{width:.1f}" height="26">'
            f"<title>{escape(part.name)}: {part.count:,}</title></rect>"
        )
        x += width
    drawn.append(_key([(f"{part.name} {part.count:,}", part.kind) for part in parts]))
    return _svg(title, 60, drawn)


def _bar(row: Bar, y: int, span: float, part: str | None) -> str:
    name = row.name if len(row.name) <= _LONGEST else f"{row.name[: _LONGEST - 1]}…"
    inner, told = "", f"{row.whole:,}"
    if row.part is not None and part:
        told += f", {row.part:,} {part}"
        inner = f'<rect class="part" x="{_LABEL}" y="{y + 6}" width="{row.part * span:.1f}" height="{_BAR}"/>'
    length = row.whole * span
    return (
        f"<g><title>{escape(row.name)}: {escape(told)}</title>"
        f'<text class="name" x="{_LABEL - 8}" y="{y + 17}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="whole" x="{_LABEL}" y="{y + 6}" width="{length:.1f}" height="{_BAR}"/>'
        f'{inner}<text class="value" x="{_LABEL + length + 6:.1f}" y="{y + 17}">{row.whole:,}</text></g>'
    )


def _key(kinds: Sequence[tuple[str, str]]) -> str:
    drawn, x = [], 0
    for name, kind in kinds:
        drawn.append(
            f'<rect class="{kind}" x="{x}" y="6" width="12" height="12"/>'
            f'<text class="name" x="{x + 18}" y="17">{escape(name)}</text>'
        )
        x += 40 + 8 * len(name)
    return "".join(drawn)


def _svg(title: str, height: int, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(drawn)}</svg>"
    )


def _step(most: int) -> int:
    """1, 2 or 5 times a power of ten: at most five of them up to the longest bar."""
    step = 1
    while most > 5 * step:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step
