"""What docs/models.md says of every attribute: its card (attributes.toml) and its figures (measured.json)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from countenance.audit import measured
from countenance.audit.bench import Cell, Table
from countenance.audit.metrics import ENOUGH, Estimate, Rate
from countenance.cli.bench import written
from countenance.types import INFERRED
from countenance.vision import zoo
from countenance.vision.attributes import Reading, readings


def attributes() -> str:
    """Asked beside reached, then every attribute, then those that are not offered."""
    tables = measured.read()
    parts = [written(table).rstrip() for table in tables if not table.about]
    for reading in sorted(readings(), key=lambda each: (bool(each.off), each.attribute)):
        parts += _off(reading) if reading.off else _card(reading, tables)
    parts.append(f"Figures made by `{measured.COMMAND}`.")
    return "\n\n".join(parts)


def _off(reading: Reading) -> list[str]:
    return [f"### {reading.attribute}\n\n{reading.title}. **Not offered.** {reading.off}"]


def _card(reading: Reading, tables: Sequence[Table]) -> list[str]:
    nets = [zoo.card(net) for net in reading.nets]
    action = "infer" if reading.attribute in INFERRED else "describe"
    closed = [net for net in nets if not net.commercial]
    about = [table for table in tables if table.about == reading.attribute]
    lines = [
        f"- For: {reading.intended_use}",
        f"- Not for: {reading.not_for}",
        f"- Whom it fails: {'; '.join(_fails(about)) or 'not measured here'}.",
        f"- Missed of what was asked: {'; '.join(_missed(reading, tables)) or 'nothing that was measured'}.",
        f"- Asks policy for `{action}`. Labels of its curve: {reading.labels}",
        f"- Reads {', '.join(f'[`{net.id}`](#{net.id})' for net in nets)}; commercial use "
        + (f"closed by {', '.join(net.id for net in closed)}." if closed else "open."),
    ]
    if reading.told_from != 0.5:
        lines.append(
            f"- `Value` is true from a probability of {reading.told_from:g} on, where finding and telling"
            " wrongly balance. `Confidence` is how probable `Value` is, which may be under 50."
        )
    if reading.smallest:
        lines.append(f"- A face under {reading.smallest:g} pixels across gets no answer.")
    head = f"### {reading.attribute}\n\n{reading.title}.\n\n" + "\n".join(lines)
    return [head, *(written(table).rstrip() for table in about)]


def _missed(reading: Reading, tables: Sequence[Table]) -> Iterator[str]:
    for table in tables:
        if table.columns[-1] == "met":
            for attribute, name, figure, asked, reached, met in table.rows:
                if attribute == reading.attribute and met == "no":
                    yield f"{figure} on {name} {_short(reached)}, asked {asked}"


def _fails(tables: Sequence[Table]) -> Iterator[str]:
    """The worst group of each table that has groups, among those with enough faces."""
    for table in tables:
        if table.columns[0] != "set" or "kind" in table.columns:
            yield from (worst for column in table.columns if (worst := _worst(table, column)))


_HIGH = {
    "told, of those that do not": "wrongly told most often of {}: {} of those that do not show it",
    "years off": "furthest off for {}: {} years",
}
_LOW = {
    "told, of those that show it": "overlooked most often among {}: {} of those that show it are found",
    "told": "least often told right: {}, {}",
    "right": "least often right for {}: {}",
    "range holds the age": "its range holds the age least often for {}: {}",
}


def _worst(table: Table, column: str) -> str:
    if column not in _HIGH | _LOW:
        return ""
    place = table.columns.index(column)
    rows = [row for row in table.rows if _faces(table, row, place) >= ENOUGH]
    if len(rows) < 2:
        return ""
    row = (max if column in _HIGH else min)(rows, key=lambda row: _value(row[place]))
    group = " ".join(cell for cell in row[:place] if isinstance(cell, str))
    return (_HIGH | _LOW)[column].format(group, _short(row[place]))


def _faces(table: Table, row: Sequence[Cell], place: int) -> int:
    cell = row[place]
    faces = row[table.columns.index("faces")] if "faces" in table.columns else 0
    return cell.trials if isinstance(cell, Rate) else int(faces) if isinstance(faces, int) else 0


def _value(cell: Cell) -> float:
    return cell.value if isinstance(cell, Rate | Estimate) else float(cell)


def _short(cell: Cell) -> str:
    if isinstance(cell, Rate):
        return f"{cell.value:.3f} [{cell.low:.3f}, {cell.high:.3f}]"
    value = _value(cell)
    return f"{value:.1f}" if value >= 2 else f"{value:.3f}"
