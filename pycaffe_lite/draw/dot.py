"""A graph in Graphviz's language, and pictures made by its program `dot` where that is installed."""

from __future__ import annotations

import shutil
import subprocess

from pycaffe_lite.draw.graph import Graph, Part
from pycaffe_lite.errors import CaffeError


def to_dot(graph: Graph, rankdir: str) -> str:
    """The graph as Graphviz reads it; a layer that runs in place is a node that its blob leads to and comes from."""
    lines = [f"digraph {_quoted(graph.name or 'Net')} {{", f"  rankdir={rankdir};", "  node [style=filled];"]
    for v, vertex in enumerate(graph.vertices):
        for i, part in enumerate(vertex.parts):
            lines.append(f"  {_id(v, i)} [{_style(part)}];")
            if i:
                lines += [f"  {_id(v)} -> {_id(v, i)};", f"  {_id(v, i)} -> {_id(v)};"]
    for edge in graph.edges:
        label = f" [label={_quoted(edge.label)}]" if edge.label else ""
        lines.append(f"  {_id(edge.source)} -> {_id(edge.target)}{label};")
    return "\n".join([*lines, "}"]) + "\n"


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


def _id(vertex: int, part: int = 0) -> str:
    return f"n{vertex}_{part}" if part else f"n{vertex}"


def _style(part: Part) -> str:
    text = _quoted("\n".join(part.lines))
    return f'label={text}, shape={"octagon" if part.octagon else "box"}, fillcolor="{part.color}"'


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
