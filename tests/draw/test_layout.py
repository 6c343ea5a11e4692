"""Nothing overlaps, and no edge passes a box: of nets made for it, and of every net in the corpus."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from pycaffe_lite.draw import draw
from pycaffe_lite.draw.graph import Edge, Graph, Part, Vertex, build_graph
from pycaffe_lite.draw.layout import lay_out
from pycaffe_lite.draw.order import arrange
from pycaffe_lite.draw.shapes import Curve, Layout, Point
from pycaffe_lite.draw.text import text_width
from pycaffe_lite.errors import CaffeError, ParameterError
from pycaffe_lite.schema import read_net
from tests.draw.nets import parsed

RANKDIRS = ("TB", "BT", "LR", "RL")
Rectangle = tuple[float, float, float, float]


def points_of(curve: Curve) -> list[Point]:
    points, start = [curve.start], curve.start
    for a, b, end in curve.segments:
        for t in (0.2, 0.4, 0.6, 0.8, 1.0):
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            corners = (start, a, b, end)
            points.append(
                (
                    sum(w * c[0] for w, c in zip(weights, corners, strict=True)),
                    sum(w * c[1] for w, c in zip(weights, corners, strict=True)),
                )
            )
        start = end
    return points


def rectangles(layout: Layout) -> list[Rectangle]:
    return [(box.x, box.y, box.x + box.width, box.y + box.height) for box in layout.boxes]


def check(layout: Layout) -> None:
    boxes = rectangles(layout)
    for x0, y0, x1, y1 in boxes:
        assert x0 > 0
        assert y0 > 0
        assert x1 < layout.width
        assert y1 < layout.height
    by_y = sorted(boxes, key=lambda b: b[1])
    for i, (x0, _y0, x1, y1) in enumerate(by_y):
        for u0, v0, u1, _v1 in by_y[i + 1 :]:
            if v0 >= y1 - 1e-6:
                break
            assert u0 >= x1 - 1e-6 or x0 >= u1 - 1e-6
    for curve in layout.curves:
        for x, y in points_of(curve):
            assert not any(x0 + 1e-6 < x < x1 - 1e-6 and y0 + 1e-6 < y < y1 - 1e-6 for x0, y0, x1, y1 in boxes)
    for box in layout.boxes:
        for i, (text, (_x, y), size) in enumerate(box.lines()):
            assert text_width(text, size, bold=i == 0) < box.width
            assert box.y + 0.7 * size < y < box.y + box.height


@pytest.mark.parametrize("rankdir", RANKDIRS)
def test_nothing_overlaps(rankdir: str) -> None:
    check(lay_out(build_graph(parsed()), rankdir))


@pytest.mark.parametrize("rankdir", RANKDIRS)
def test_the_flow_goes_where_it_should(rankdir: str) -> None:
    layout = lay_out(build_graph(parsed()), rankdir)
    boxes = {box.part.lines[0]: box for box in layout.boxes if not box.part.octagon}
    first, second, third = boxes["conv"], boxes["relu"], boxes["pool"]
    xs, ys = [first.x, third.x], [first.y, second.y, third.y]
    goes = {"TB": ys == sorted(ys), "BT": ys == sorted(ys)[::-1], "LR": xs[0] < xs[1], "RL": xs[0] > xs[1]}
    assert goes[rankdir]


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ParameterError, match="TB, BT, LR or RL"):
        lay_out(build_graph(parsed()), "UP")


def test_an_empty_net_is_an_empty_picture() -> None:
    assert lay_out(build_graph(parsed('name: "x"'))).boxes == []


def test_a_chain_is_straight_and_neighbours_do_not_cross() -> None:
    layout = lay_out(build_graph(parsed()), "TB")
    middle = {b.part.lines[0]: b.x + b.width / 2 for b in layout.boxes}
    assert middle["b1"] == middle["b2"]
    arranged = arrange(6, [(0, 3), (0, 5), (1, 4), (2, 3), (2, 5), (1, 3)])
    position = {v: i for rank in arranged.ranks for i, v in enumerate(rank)}
    edges = [(position[u], position[v]) for u in range(3) for v in arranged.below[u]]
    assert sum(a < c and b > d for a, b in edges for c, d in edges) == 1  # two readers of two: one crossing must be


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randrange(2, 40)
    edges = sorted({(u, v) for v in range(1, count) for u in rng.choices(range(v), k=rng.randrange(4)) if u < v})
    vertices = [Vertex([Part(["n" * rng.randrange(1, 30)] * rng.randrange(1, 4), "#FFFFFF")]) for _ in range(count)]
    graph = Graph("random", vertices, [Edge(u, v, "12" if rng.random() < 0.3 else "") for u, v in edges])
    check(lay_out(graph, RANKDIRS[seed % 4]))


def test_every_net_of_the_corpus(shared: Path) -> None:
    paths = sorted((shared / "corpus").rglob("*.prototxt"))[::5]
    drawn = 0
    for path in paths:
        try:
            net, _ = read_net(path)
            drawing = draw(net, RANKDIRS[drawn % 4])
        except CaffeError:
            continue  # what is no net, or of no version
        check(drawing._layout)
        drawn += 1
    assert drawn > 20


def test_googlenet_is_a_straight_trunk_with_four_branches(shared: Path) -> None:
    net, _ = read_net(shared / "corpus/jeffdonahue+caffe/models/bvlc_googlenet/deploy.prototxt")
    layout = draw(net)._layout
    check(layout)
    middle = {b.part.lines[0]: b.x + b.width / 2 for b in layout.boxes if not b.part.octagon}
    trunk = [name for name in middle if name.endswith("/output") or "/" not in name]
    assert len(trunk) > 10
    assert all(abs(middle[a] - middle[b]) < 1e-6 for a, b in pairwise(trunk))
    assert layout.width < 1000


def test_texts_are_no_wider_than_thought(pytestconfig: pytest.Config) -> None:
    text = pytest.importorskip("matplotlib.textpath").TextPath
    font = pytest.importorskip("matplotlib.font_manager").FontProperties
    for words in (
        "inception_3a/3x3_reduce",
        "(InnerProduct)",
        "kernel size: 5, stride: 1, pad: 0",
        "64 × 20 × 24 × 24",
        "MWmw",
    ):
        for weight in ("normal", "bold"):
            width = text((0, 0), words, size=12, prop=font(family="DejaVu Sans", weight=weight)).get_extents().width
            assert width * 0.97 < text_width(words, 12, bold=weight == "bold") + 1.5 < width * 1.12 + 1.5
