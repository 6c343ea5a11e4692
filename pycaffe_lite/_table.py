"""Numbers for people, and tables of them as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

Cell = Sequence[str]
"""A cell's lines, mostly one."""


def number(x: float) -> str:
    """Three digits at a glance: 0.031, -2.1, 3e-4, 1.23e6; in between, whole numbers stay whole."""
    size = abs(x)
    if 1000 <= size < 1e6 or x == 0:
        return f"{x + 0.0:.0f}"
    if 1e-3 <= size < 1000:
        return f"{x:.3g}"
    mantissa, _, exponent = f"{x:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def human_count(n: int) -> str:
    """520, 25.05 k, 430.5 k, 2.29 M."""
    if n < 1000:
        return str(n)
    for power, unit in enumerate("kMGTP", 1):
        value = n / 1000**power
        text = f"{value:.2f} {unit}" if value < 99.995 else f"{value:.1f} {unit}"
        if value < 999.95:
            break
    return text


def elide(text: str, width: int) -> str:
    """`text` in at most `width` characters, with its middle left out where it is longer."""
    if len(text) <= width:
        return text
    head = max(width - 1, 0) // 2
    tail = max(width - 1 - head, 0)
    return text[:head] + "…" + text[len(text) - tail :]


@dataclass
class Column:
    """A column: its heading, its cells from the top down, and whether it is numbers, set flush right."""

    heading: str
    cells: list[Cell]
    right: bool = False

    def width(self) -> int:
        return max([len(self.heading), *(len(line) for cell in self.cells for line in cell)])


def columns_of(rows: Sequence[Sequence[str]]) -> list[Column]:
    """Columns without headings, of rows of one-line cells."""
    return [Column("", [[text] for text in column]) for column in zip(*rows, strict=True)]


def total_width(columns: Sequence[Column]) -> int:
    """How many characters a line of `text_table` has."""
    return sum(c.width() + 2 for c in columns) - 2


def text_table(columns: Sequence[Column], *, total: bool = False) -> str:
    """Aligned columns, two spaces apart, under their headings if any; with `total`, a rule before the last row."""
    widths = [c.width() for c in columns]
    lines = []
    rule = "-" * total_width(columns)
    if any(c.heading for c in columns):
        lines += [_line(columns, widths, [c.heading for c in columns]), rule]
    rows = len(columns[0].cells) if columns else 0
    for r in range(rows):
        if total and r == rows - 1:
            lines.append(rule)
        height = max([1, *(len(c.cells[r]) for c in columns)])
        for k in range(height):
            lines.append(_line(columns, widths, [c.cells[r][k] if k < len(c.cells[r]) else "" for c in columns]))
    return "\n".join(lines)


def html_table(columns: Sequence[Column], *, total: bool = False) -> str:
    """The same as an HTML table, everything escaped."""
    rows = len(columns[0].cells) if columns else 0
    head = _html_row("th", columns, [[c.heading] for c in columns]) if any(c.heading for c in columns) else ""
    body = []
    for r in range(rows):
        row = _html_row("th" if total and r == rows - 1 else "td", columns, [c.cells[r] for c in columns])
        body.append(row)
    return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def _line(columns: Sequence[Column], widths: Sequence[int], texts: Sequence[str]) -> str:
    aligned = [t.rjust(w) if c.right else t.ljust(w) for c, w, t in zip(columns, widths, texts, strict=True)]
    return "  ".join(aligned).rstrip()


def _html_row(tag: str, columns: Sequence[Column], cells: Sequence[Cell]) -> str:
    parts = []
    for column, cell in zip(columns, cells, strict=True):
        style = f"text-align: {'right' if column.right else 'left'}; vertical-align: top; white-space: nowrap"
        parts.append(f'<{tag} style="{style}">{"<br>".join(map(html.escape, cell))}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"
