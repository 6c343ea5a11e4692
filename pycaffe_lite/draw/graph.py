"""A network as a graph to be drawn: layers and blobs by turns, without cycles.

A layer that runs in place on its only bottom is written beneath that blob. Any other layer that writes over a blob
makes a new node of the same name: what is read before and after is told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pycaffe_lite._typing import Shape
from pycaffe_lite.draw import labels
from pycaffe_lite.graph.select import in_phase
from pycaffe_lite.proto import caffe_pb2 as pb


@dataclass
class Part:
    """A coloured box with lines of text, the first of which is the name."""

    lines: list[str]
    color: str
    octagon: bool = False


@dataclass
class Vertex:
    """A layer; or a blob, with the layers that change it in place beneath."""

    parts: list[Part]


@dataclass
class Edge:
    source: int
    target: int
    label: str = ""


@dataclass
class Graph:
    name: str
    vertices: list[Vertex] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)


def build_graph(
    net: pb.NetParameter,
    phase: int | None = None,
    display_lrm: bool = False,
    shapes: Mapping[str, Shape] | None = None,
) -> Graph:
    """The graph of an upgraded net message: of all its layers, or of those that a phase's rules let in.

    `shapes` of blobs, by name, are written beneath their names. Raises GraphError for a layer with rules of both kinds.
    """
    layers = [layer for layer in net.layer if in_phase(layer, phase)]
    return _Builder(net.name, shapes or {}, phase is None).build(layers, display_lrm)


class _Builder:
    def __init__(self, name: str, shapes: Mapping[str, Shape], all_phases: bool) -> None:
        self._graph = Graph(name)
        self._all_phases = all_phases
        self._shapes = shapes
        self._blobs: dict[str, int] = {}  # name -> the vertex of its newest version
        self._ancestors: list[set[int]] = []

    def build(self, layers: list[pb.LayerParameter], display_lrm: bool) -> Graph:
        for layer in layers:
            words = labels.describe(layer, display_lrm)
            phases = [pb.Phase.Name(rule.phase) for rule in layer.include if rule.HasField("phase")]
            kind = " ".join([words[0], *(phases if self._all_phases else [])])
            rates = [word for word in words[1:] if word.startswith("lr mult")]
            window = ", ".join(word for word in words[1:] if word not in rates)
            lines = [layer.name, kind, *filter(None, [window, *rates])]
            bottoms = list(dict.fromkeys(layer.bottom))
            if bottoms and bottoms == list(layer.top):
                self._graph.vertices[self._read(bottoms[0])].parts.append(Part(lines, labels.IN_PLACE_COLOR))
                continue
            label = labels.edge_text(layer)
            if label and (len(layer.top) > 1 or not bottoms):
                lines.append(label)
                label = ""
            sources = [self._read(name) for name in bottoms]
            vertex = self._vertex(Part(lines, labels.choose_color_by_layertype(layer.type)))
            for source in sources:
                self._connect(source, vertex)
            for name in dict.fromkeys(layer.top):
                self._connect(vertex, self._write(name, vertex), label)
        return self._graph

    def _read(self, name: str) -> int:
        if name not in self._blobs:
            self._blobs[name] = self._blob(name)
        return self._blobs[name]

    def _write(self, name: str, layer: int) -> int:
        """The vertex for what `layer` writes: the blob's own where another phase's layer writes it too, else a new."""
        known = self._blobs.get(name)
        if known is None or known in self._ancestors[layer]:
            self._blobs[name] = self._blob(name)
        return self._blobs[name]

    def _blob(self, name: str) -> int:
        shape = self._shapes.get(name)
        size = [" × ".join(map(str, shape)) or "scalar"] if shape is not None else []
        return self._vertex(Part([name, *size], labels.BLOB_COLOR, octagon=True))

    def _vertex(self, part: Part) -> int:
        self._graph.vertices.append(Vertex([part]))
        self._ancestors.append(set())
        return len(self._graph.vertices) - 1

    def _connect(self, source: int, target: int, label: str = "") -> None:
        self._graph.edges.append(Edge(source, target, label))
        self._ancestors[target] |= {source} | self._ancestors[source]
