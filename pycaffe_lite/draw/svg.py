"""A layout as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pycaffe_lite.draw.shapes import EDGE_SIZE, NAME_SIZE, Box, Curve, Layout, Point

_FONTS = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
EDGE_COLOR = "#555555"


def to_svg(layout: Layout) -> str:
    """The picture as an SVG document, on white."""
    width, height = layout.width, layout.height
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="{_FONTS}" text-anchor="middle">',
        f"<title>{_text(layout.name or 'Net')}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<g fill="none" stroke="{EDGE_COLOR}" stroke-width="1.2">',
        *(f'<path d="{_path(curve)}"/>' for curve in layout.curves),
        "</g>",
        f'<g fill="{EDGE_COLOR}">',
        *(f'<polygon points="{_points(curve.arrow())}"/>' for curve in layout.curves),
        "</g>",
        f'<g font-size="{EDGE_SIZE}" fill="#333333">',
        *(
            f'<text x="{label.at[0]:.1f}" y="{label.at[1]:.1f}" text-anchor="{label.anchor}">{_text(label.text)}</text>'
            for label in layout.labels
        ),
        "</g>",
        *(_box(box) for box in layout.boxes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _box(box: Box) -> str:
    style = f'fill="{box.part.color}" stroke="#333333" stroke-width="1"'
    if box.part.octagon:
        shape = f'<polygon points="{_points(box.outline())}" {style}/>'
    else:
        shape = (
            f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="4" {style}/>'
        )
    texts = []
    for line, (x, y), size in box.lines():
        bold = ' font-weight="bold"' if size == NAME_SIZE else ""
        texts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{bold}>{_text(line)}</text>')
    return f"<g>{shape}{''.join(texts)}</g>"


def _path(curve: Curve) -> str:
    parts = [f"M{_point(curve.start)}"]
    for a, b, end in curve.segments:
        straight = a[0] == b[0] == end[0] or a[1] == b[1] == end[1]
        parts.append(f"L{_point(end)}" if straight else f"C{_points((a, b, end))}")
    return "".join(parts)


def _points(points: Sequence[Point]) -> str:
    return " ".join(map(_point, points))


def _point(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _text(text: str) -> str:
    """Escaped; without the control characters that XML has no way to write."""
    return escape("".join(c if c.isprintable() else "�" for c in text))
