"""A graph laid out: from the top down first, then turned into the direction wanted.

An edge runs straight where it passes a rank, in the gap that its bend keeps free, and bends between ranks, where no box
stands: so it passes none.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from pycaffe_lite.draw.graph import Edge, Graph, Vertex
from pycaffe_lite.draw.order import Layered, arrange
from pycaffe_lite.draw.place import places
from pycaffe_lite.draw.shapes import EDGE_SIZE, NAME_SIZE, TEXT_SIZE, Box, Curve, Label, Layout, Point, text_height
from pycaffe_lite.draw.text import text_width
from pycaffe_lite.errors import ParameterError

ARROW = 7.0
MARGIN = 16.0

_PAD_X, _PAD_Y = 11.0, 6.0
_BETWEEN = 26.0
_BEND = 2.0
_RANK_GAP, _STEEPEST_GAP = 32.0, 84.0
_PORT = 13.0


def lay_out(graph: Graph, rankdir: str = "LR") -> Layout:
    """Lay the graph out in the direction TB, BT, LR or RL, as Graphviz names them; raises ParameterError for others."""
    if rankdir not in ("TB", "BT", "LR", "RL"):
        raise ParameterError(f"rankdir is {rankdir!r}", hint="It must be TB, BT, LR or RL.")
    sideways = rankdir in ("LR", "RL")
    pairs = list(dict.fromkeys((e.source, e.target) for e in graph.edges))
    layered = arrange(len(graph.vertices), pairs)
    sizes = [_size(v) for v in graph.vertices]
    breadth = [h if sideways else w for w, h in sizes] + [_BEND] * (len(layered.above) - layered.real)
    length = [w if sideways else h for w, h in sizes]
    across = places(layered, breadth, _BETWEEN if not sideways else _BETWEEN * 0.6)
    bands = _bands(layered, length, across, _label_room(graph, sideways))
    total = max((a + b / 2 for a, b in zip(across, breadth, strict=True)), default=0.0)
    turn = _turn(rankdir, bands[-1][1] if bands else 0.0)
    along = {v: sum(bands[r]) / 2 for r, rank in enumerate(layered.ranks) for v in rank}
    boxes = []
    for v, vertex in enumerate(graph.vertices):
        boxes += _stack(vertex, sizes[v], turn((across[v], along[v])), upwards=rankdir == "BT")
    curves, starts = _route(layered, bands, across, along, length, breadth, turn)
    labels = [_label(e, starts[e.source, e.target], rankdir) for e in graph.edges if e.label]
    depth = bands[-1][1] if bands else 0.0
    width, height = (depth, total) if sideways else (total, depth)
    right = max((n.at[0] + text_width(n.text, EDGE_SIZE) for n in labels if n.anchor == "start"), default=0.0)
    return Layout(graph.name, max(width + MARGIN, right) + MARGIN, height + 2 * MARGIN, boxes, curves, labels)


def _size(vertex: Vertex) -> tuple[float, float]:
    """Width and height of a vertex: its parts, stacked."""
    widths = [
        text_width(line, NAME_SIZE if i == 0 else TEXT_SIZE, bold=i == 0)
        for part in vertex.parts
        for i, line in enumerate(part.lines)
    ]
    return max([28.0, *widths]) + 2 * _PAD_X, sum(text_height(p) + 2 * _PAD_Y for p in vertex.parts)


def _label_room(graph: Graph, sideways: bool) -> float:
    widest = max((text_width(e.label, EDGE_SIZE) for e in graph.edges), default=0.0)
    return widest + 16.0 if sideways else 0.0


def _bands(layered: Layered, length: list[float], across: list[float], room: float) -> list[tuple[float, float]]:
    """Where each rank begins and ends; the steeper the edges between two, the further apart they are."""
    bands, begin = [], 0.0
    for rank in layered.ranks:
        end = begin + max((length[v] for v in rank if v < layered.real), default=0.0)
        bands.append((begin, end))
        shift = max((abs(across[v] - across[w]) for v in rank for w in layered.below[v]), default=0.0)
        begin = end + max(room, min(_RANK_GAP + 0.1 * shift, _STEEPEST_GAP))
    return bands


def _turn(rankdir: str, depth: float) -> Callable[[Point], Point]:
    """From (across, along) to (x, y) with the margin."""

    def turn(point: Point) -> Point:
        across, along = point
        if rankdir in ("BT", "RL"):
            along = depth - along
        x, y = (across, along) if rankdir in ("TB", "BT") else (along, across)
        return x + MARGIN, y + MARGIN

    return turn


def _stack(vertex: Vertex, size: tuple[float, float], middle: Point, upwards: bool) -> list[Box]:
    """The boxes of a vertex, from top to bottom, or the other way, in the direction of the flow."""
    y, boxes = middle[1] - size[1] / 2, []
    for part in reversed(vertex.parts) if upwards else vertex.parts:
        height = text_height(part) + 2 * _PAD_Y
        boxes.append(Box(part, middle[0] - size[0] / 2, y, size[0], height))
        y += height
    return boxes


def _route(
    layered: Layered,
    bands: list[tuple[float, float]],
    across: list[float],
    along: dict[int, float],
    length: list[float],
    breadth: list[float],
    turn: Callable[[Point], Point],
) -> tuple[list[Curve], dict[tuple[int, int], Point]]:
    """A curve for each edge: straight along the flow within ranks, bent between them. Also where each edge starts."""
    rank_of = {v: r for r, rank in enumerate(layered.ranks) for v in rank}
    ports = _ports(layered, across, breadth)
    curves, starts = [], {}
    for chain in layered.chains:
        source, target = chain[0], chain[-1]
        top = (across[source], along[source] + length[source] / 2)
        points = [top, (across[source], bands[rank_of[source]][1])]
        for bend in chain[1:-1]:
            points += [(across[bend], edge) for edge in bands[rank_of[bend]]]
        x, tip = ports[target, chain[-2]], along[target] - length[target] / 2
        points += [(x, bands[rank_of[target]][0] - ARROW), (x, tip - ARROW)]
        segments = []
        for (x0, y0), (x1, y1) in pairwise(points):
            if y0 != y1 or x0 != x1:
                middle = (y0 + y1) / 2
                segments.append((turn((x0, middle)), turn((x1, middle)), turn((x1, y1))))
        curves.append(Curve(turn(top), segments, turn((x, tip))))
        starts[source, target] = turn(top)
    return curves, starts


def _ports(layered: Layered, across: list[float], breadth: list[float]) -> dict[tuple[int, int], float]:
    """(vertex, neighbour above) -> where along its rank the edge arrives: side by side, in the neighbours' order."""
    found = {}
    for v in range(layered.real):
        near = sorted(layered.above[v], key=across.__getitem__)
        step = min(_PORT, breadth[v] * 0.8 / len(near)) if near else 0.0
        for i, u in enumerate(near):
            found[v, u] = across[v] + (i - (len(near) - 1) / 2) * step
    return found


def _label(edge: Edge, start: Point, rankdir: str) -> Label:
    x, y = start
    at, anchor = {
        "TB": ((x + 6, y + 15), "start"),
        "BT": ((x + 6, y - 8), "start"),
        "LR": ((x + 5, y - 4), "start"),
        "RL": ((x - 5, y - 4), "end"),
    }[rankdir]
    return Label(edge.label, at, anchor)
