"""What a picture consists of: boxes with text, curves, labels. Lengths are CSS pixels; y grows downwards."""

from __future__ import annotations

from dataclasses import dataclass

from pycaffe_lite.draw.graph import Part
from pycaffe_lite.draw.text import LINE_HEIGHT

Point = tuple[float, float]

NAME_SIZE, TEXT_SIZE, EDGE_SIZE = 12.0, 10.5, 10.5
"""Font sizes."""


@dataclass(frozen=True)
class Box:
    """A part of a vertex where it is drawn; (x, y) is its upper left corner."""

    part: Part
    x: float
    y: float
    width: float
    height: float

    def lines(self) -> list[tuple[str, Point, float]]:
        """Each line of text, the middle of its baseline, and its font size."""
        y, found = self.y + (self.height - text_height(self.part)) / 2, []
        for i, line in enumerate(self.part.lines):
            size = NAME_SIZE if i == 0 else TEXT_SIZE
            found.append((line, (self.x + self.width / 2, y + size * 1.02), size))
            y += size * LINE_HEIGHT
        return found

    def outline(self) -> list[Point]:
        """The corners of an octagonal part."""
        x, y, w, h = self.x, self.y, self.width, self.height
        cut = min(9.0, h * 0.3)
        xs, ys = (x, x + cut, x + w - cut, x + w), (y, y + cut, y + h - cut, y + h)
        corners = ((0, 1), (1, 0), (2, 0), (3, 1), (3, 2), (2, 3), (1, 3), (0, 2))
        return [(xs[i], ys[j]) for i, j in corners]


@dataclass(frozen=True)
class Curve:
    """An edge: a start and cubic Béziers (control, control, end), up to the foot of the arrow, whose tip is `tip`."""

    start: Point
    segments: list[tuple[Point, Point, Point]]
    tip: Point

    def arrow(self) -> list[Point]:
        """The corners of the arrow's head."""
        (x, y), (tx, ty) = self.segments[-1][2], self.tip
        dx, dy = (tx - x) * 0.43, (ty - y) * 0.43
        return [(x - dy, y + dx), (tx, ty), (x + dy, y - dx)]


@dataclass(frozen=True)
class Label:
    """A text beside an edge; `anchor` is "start" or "end", what stands at the baseline's `at`."""

    text: str
    at: Point
    anchor: str


@dataclass(frozen=True)
class Layout:
    name: str
    width: float
    height: float
    boxes: list[Box]
    curves: list[Curve]
    labels: list[Label]


def text_height(part: Part) -> float:
    """How high the lines of a part are together."""
    return LINE_HEIGHT * (NAME_SIZE + TEXT_SIZE * (len(part.lines) - 1))
