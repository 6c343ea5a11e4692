"""A graph in Graphviz's language, and pictures made by its program `dot` where that is installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from pycaffe_lite._extras import require
from pycaffe_lite.draw.graph import Graph
from pycaffe_lite.errors import CaffeError


def to_dot(graph: Graph, rankdir: str) -> str:
    """The graph as Graphviz reads it; a layer that runs in place is a node that its blob leads to and comes from."""
    lines = [f"digraph {_quoted(graph.name or 'Net')} {{", f"  rankdir={rankdir};"]
    lines += [f"  {name} [{_attributes(style)}];" for name, style in _nodes(graph)]
    lines += [f"  {source} -> {target} [{_attributes(style)}];" for source, target, style in _edges(graph)]
    return "\n".join([*lines, "}"]) + "\n"


def to_pydot(graph: Graph, rankdir: str) -> Any:
    """The same as a pydot.Dot; raises MissingPackageError without pydot."""
    pydot = require("pydot", "make a pydot graph")
    made = pydot.Dot(_quoted(graph.name or "Net"), graph_type="digraph", rankdir=rankdir)
    for name, style in _nodes(graph):
        made.add_node(pydot.Node(name, **style))
    for source, target, style in _edges(graph):
        made.add_edge(pydot.Edge(source, target, **style))
    return made


def has_dot() -> bool:
    """Whether Graphviz's `dot` is there to be run."""
    return shutil.which("dot") is not None


def run_dot(dot: str, ext: str) -> bytes:
    """What `dot` makes of the text in the format `ext`; raises CaffeError with its words when it cannot."""
    done = subprocess.run(["dot", f"-T{ext}"], input=dot.encode(), capture_output=True, check=False)
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise CaffeError(f"Graphviz's dot cannot draw this as {ext}: {words or f'exit status {done.returncode}'}")
    return done.stdout


def _nodes(graph: Graph) -> Iterator[tuple[str, dict[str, str]]]:
    for v, vertex in enumerate(graph.vertices):
        for i, part in enumerate(vertex.parts):
            shape = "octagon" if part.octagon else "box"
            label = _quoted("\n".join(part.lines))
            yield _id(v, i), {"label": label, "shape": shape, "style": "filled", "fillcolor": f'"{part.color}"'}


def _edges(graph: Graph) -> Iterator[tuple[str, str, dict[str, str]]]:
    for v, vertex in enumerate(graph.vertices):
        for i in range(1, len(vertex.parts)):
            yield _id(v), _id(v, i), {}
            yield _id(v, i), _id(v), {}
    for edge in graph.edges:
        yield _id(edge.source), _id(edge.target), {"label": _quoted(edge.label)} if edge.label else {}


def _id(vertex: int, part: int = 0) -> str:
    return f"n{vertex}_{part}" if part else f"n{vertex}"


def _attributes(style: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in style.items())


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
