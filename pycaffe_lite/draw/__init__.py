"""Pictures of networks, with pycaffe's names, and Caffe's colours and words.

SVG is written from a layout of our own and takes nothing but this package. PNG and PDF take matplotlib, or Graphviz's
program `dot`, which also writes what else it knows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pycaffe_lite._files import PathLike, atomic_write
from pycaffe_lite._typing import Shape
from pycaffe_lite.draw import dot
from pycaffe_lite.draw.graph import Graph, build_graph
from pycaffe_lite.draw.labels import (
    choose_color_by_layertype,
    get_edge_label,
    get_layer_label,
    get_layer_lr_mult,
    get_pooling_types_dict,
)
from pycaffe_lite.draw.layout import lay_out
from pycaffe_lite.draw.shapes import Layout
from pycaffe_lite.draw.svg import to_svg
from pycaffe_lite.errors import MissingPackageError, ParameterError
from pycaffe_lite.graph.upgrade import upgrade_net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.summary import split_copies

if TYPE_CHECKING:
    from pycaffe_lite.net import Net

__all__ = [
    "Drawing",
    "choose_color_by_layertype",
    "draw",
    "draw_net",
    "draw_net_to_file",
    "get_edge_label",
    "get_layer_label",
    "get_layer_lr_mult",
    "get_pooling_types_dict",
    "get_pydot_graph",
]

_MATPLOTLIB = ("png", "pdf", "eps", "ps")


class Drawing:
    """A picture of a net: shows itself in a notebook; `save` writes it, in the format of the file's ending."""

    def __init__(self, graph: Graph, rankdir: str) -> None:
        self._graph, self._rankdir = graph, rankdir
        self._layout: Layout = lay_out(graph, rankdir)

    @property
    def svg(self) -> str:
        """The picture as an SVG document."""
        return to_svg(self._layout)

    def encode(self, ext: str) -> bytes:
        """The picture in a format: svg; dot, Graphviz's language; png, pdf; with Graphviz, what else `dot -T` takes.

        Raises MissingPackageError where neither matplotlib nor Graphviz is there to write it, ParameterError for a
        format that only an absent Graphviz might know.
        """
        if ext == "svg":
            return self.svg.encode()
        text = dot.to_dot(self._graph, self._rankdir)
        if ext in ("dot", "gv"):
            return text.encode()
        if ext in _MATPLOTLIB:
            from pycaffe_lite.draw.raster import to_bytes

            try:
                return to_bytes(self._layout, ext)
            except MissingPackageError as e:
                e.hint += ", install Graphviz, or write .svg, which takes neither."
                if not dot.has_dot():
                    raise
        if not dot.has_dot():
            raise ParameterError(
                f"Pictures are not written as {ext!r} without Graphviz's program dot",
                hint=f"Write svg, dot, {', '.join(_MATPLOTLIB)}, or install Graphviz.",
            )
        return dot.run_dot(text, ext)

    def save(self, path: PathLike) -> None:
        """Write the picture, whole or not at all; raises what `encode` raises, and SnapshotError."""
        ext = Path(path).suffix[1:].lower()
        if not ext:
            raise ParameterError(
                f"The picture's file {os.fspath(path)!r} has no ending", hint="Name it .svg or .png, say."
            )
        data = self.encode(ext)
        with atomic_write(path) as part:
            part.write_bytes(data)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        width, height = self._layout.width, self._layout.height
        name = self._graph.name or "Net"
        return (
            f"<Drawing of {name}, {width:.0f} x {height:.0f}: shows in a notebook; save it with .save('{_file(name)}')>"
        )


def draw(
    net: Net | pb.NetParameter, rankdir: str = "TB", *, phase: int | None = None, display_lrm: bool = False
) -> Drawing:
    """A picture of a net, with its blobs' shapes, or of a network's message, of either phase or of both.

    `rankdir` is the direction of the flow: TB, BT, LR or RL; `display_lrm` adds learning rate multipliers. A Net has
    the layers of its phase only. Raises ParameterError, and GraphError for a layer that has rules of both kinds.
    """
    return Drawing(_graph(net, phase, display_lrm), rankdir)


def draw_net(
    caffe_net: Net | pb.NetParameter,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """The picture in the format `ext`, as bytes; see `draw` and `Drawing.encode`."""
    return draw(caffe_net, rankdir, phase=phase, display_lrm=display_lrm).encode(ext)


def draw_net_to_file(
    caffe_net: Net | pb.NetParameter,
    filename: PathLike,
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Write the picture to a file, in the format of its ending; see `draw` and `Drawing.encode`."""
    draw(caffe_net, rankdir, phase=phase, display_lrm=display_lrm).save(filename)


def get_pydot_graph(
    caffe_net: Net | pb.NetParameter,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """The graph as a pydot.Dot, for those who draw it themselves; raises MissingPackageError without pydot."""
    graph = _graph(caffe_net, phase, display_lrm)
    if not label_edges:
        for edge in graph.edges:
            edge.label = ""
    return dot.to_pydot(graph, rankdir)


def _graph(net: Net | pb.NetParameter, phase: int | None, display_lrm: bool) -> Graph:
    if isinstance(net, pb.NetParameter):
        message, _ = upgrade_net(net)
        return build_graph(message, phase, display_lrm)
    message = pb.NetParameter(name=net.name)
    original = split_copies(net)
    for node in net._nodes:
        if node.type == "Split" and node.top_names[0] in original:
            continue
        layer = message.layer.add()
        layer.CopyFrom(node.message)
        del layer.bottom[:], layer.top[:], layer.blobs[:]
        layer.bottom.extend(original.get(b, b) for b in node.bottom_names)
        layer.top.extend(node.top_names)
    shapes: Mapping[str, Shape] = {name: blob.shape for name, blob in net.blobs.items()}
    return build_graph(message, None, display_lrm, shapes)


def _file(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name) + ".svg"
