"""A layout as PNG, PDF and what else matplotlib writes."""

from __future__ import annotations

import io

from pycaffe_lite._extras import require
from pycaffe_lite.draw.shapes import EDGE_SIZE, NAME_SIZE, Box, Curve, Layout
from pycaffe_lite.draw.svg import EDGE_COLOR

_POINTS = 0.75
"""Points in a pixel."""
_DOTS = 144.0
"""Dots per inch of a picture of moderate size, for 96 pixels."""
_MOST_DOTS = 2**15


def to_bytes(layout: Layout, ext: str) -> bytes:
    """The picture in the format that the ending `ext` names; raises MissingPackageError without matplotlib."""
    purpose = f"write pictures as {ext}"
    figure = require("matplotlib.figure", purpose).Figure
    inches = layout.width / 96, layout.height / 96
    fig = figure(figsize=inches, dpi=min(_DOTS, _MOST_DOTS / max(inches)))
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, layout.width)
    axes.set_ylim(layout.height, 0)
    patches, path = require("matplotlib.patches", purpose), require("matplotlib.path", purpose).Path
    for curve in layout.curves:
        axes.add_patch(patches.PathPatch(_path(curve, path), fill=False, edgecolor=EDGE_COLOR, linewidth=1.2 * _POINTS))
        axes.add_patch(patches.Polygon(curve.arrow(), facecolor=EDGE_COLOR, edgecolor="none"))
    anchors = {"start": "left", "end": "right"}
    plain = {"va": "baseline", "family": "DejaVu Sans", "parse_math": False}
    for label in layout.labels:
        size = EDGE_SIZE * _POINTS
        axes.text(*label.at, label.text, ha=anchors[label.anchor], size=size, color="#333333", **plain)
    for box in layout.boxes:
        axes.add_patch(_shape(box, patches))
        for line, at, size in box.lines():
            weight = "bold" if size == NAME_SIZE else "normal"
            axes.text(*at, line, ha="center", size=size * _POINTS, weight=weight, **plain)
    file = io.BytesIO()
    fig.savefig(file, format=ext)
    return file.getvalue()


def _path(curve: Curve, path: type) -> object:
    points = [curve.start, *(point for segment in curve.segments for point in segment)]
    return path(points, [path.MOVETO, *[path.CURVE4] * (len(points) - 1)])  # type: ignore[attr-defined]


def _shape(box: Box, patches: object) -> object:
    style = {"facecolor": box.part.color, "edgecolor": "#333333", "linewidth": _POINTS}
    if box.part.octagon:
        return patches.Polygon(box.outline(), **style)  # type: ignore[attr-defined]
    corners = "round,pad=0,rounding_size=4"
    return patches.FancyBboxPatch((box.x, box.y), box.width, box.height, boxstyle=corners, **style)  # type: ignore[attr-defined]
