"""Summary: a net as a table of layers, with what each makes, learns, computes and keeps in memory."""

from __future__ import annotations

import html
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pycaffe_lite._multiply_adds import multiply_adds
from pycaffe_lite._table import Cell, Column, elide, html_table, human_count, text_table, total_width
from pycaffe_lite._typing import Shape
from pycaffe_lite.memory import human_bytes
from pycaffe_lite.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    from pycaffe_lite.graph.plan import Node
    from pycaffe_lite.net import Net

_SHORTEST_NAME = 12
_SHORTEST_TOP = 5


@dataclass(frozen=True)
class Row:
    """One layer. `shapes` and `in_place` run parallel to `tops`, the tops' names."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    shapes: tuple[Shape, ...]
    in_place: tuple[bool, ...]
    parameters: int
    """Learnable numbers, without those that an earlier layer shares with this one."""
    shares: bool
    """Whether it uses an earlier layer's parameters."""
    multiply_adds: int | None
    """Of one forward pass over the whole batch; None for Python layers, which alone know."""
    memory: int
    """Bytes of the tops' data that are not another blob's (in place, Split, Reshape)."""
    engine: str
    """Who computes its forward pass, as far as shapes and parameters tell: '' for numpy; 'onednn, in conv1' where whole
    passes do it in conv1's own.
    """


@dataclass(frozen=True, repr=False)
class Summary:
    """What `net.summary()` returns: prints as a table, shows as one in a notebook; `rows` are the numbers.

    Splits that the net inserted are counted in `splits` and not listed: their readers' bottoms name the blob itself.
    """

    name: str
    phase: int
    rows: list[Row]
    splits: int
    items: int
    """The batch size, by which the shown multiply-adds are divided; 1 where they do not scale with it."""
    parameter_bytes: int
    gradient_bytes: int
    """What backward passes take for gradients; 0 where none are computed."""
    reuses_memory: bool = False
    """Whether blobs' data share memory, so that they take less than `memory`."""

    @property
    def parameters(self) -> int:
        """Learnable numbers, shared ones once."""
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass over the whole batch, as far as known."""
        return sum(row.multiply_adds or 0 for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all blobs' data."""
        return sum(row.memory for row in self.rows)

    @property
    def title(self) -> str:
        """'LeNet · TEST · 9 layers · 431,080 parameters'."""
        layers = "1 layer" if len(self.rows) == 1 else f"{len(self.rows)} layers"
        phase = pb.Phase.Name(self.phase)
        return f"{self.name or 'Net'} · {phase} · {layers} · {self.parameters:,} parameters"

    def text(self, width: int | None = None) -> str:
        """The table. To fit in `width` characters it leaves the bottoms out, shortens names, then omits the engines."""
        columns = self._columns()
        if width is not None and total_width(columns) > width:
            layer, _, bottom, top = columns[:4]
            columns.remove(bottom)
            if columns[-1].heading == "engine":
                _shorten(columns[-1], total_width(columns) - width)
            room = top.width() - max(0, total_width(columns) - width)
            top.cells = [*([_top(r, j, room) for j in range(len(r.tops))] for r in self.rows), []]
            _shorten(layer, total_width(columns) - width)
            if total_width(columns) > width and columns[-1].heading == "engine":
                del columns[-1]
        return "\n".join([self.title, "", text_table(columns, total=True), "", *self._notes(columns)])

    def __str__(self) -> str:
        return self.text(shutil.get_terminal_size().columns if sys.stdout.isatty() else None)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        columns = self._columns()
        notes = "<br>".join(map(html.escape, self._notes(columns)))
        table = html_table(columns, total=True)
        return f"<div><b>{html.escape(self.title)}</b>{table}<small>{notes}</small></div>"

    def _columns(self) -> list[Column]:
        rows = self.rows
        counts = [r.multiply_adds for r in rows]
        columns = [
            Column("layer", [*([r.name] for r in rows), ["total"]]),
            Column("type", [*([r.type] for r in rows), []]),
            Column("bottom", [*(r.bottoms for r in rows), []]),
            Column("top", [*([_top(r, j) for j in range(len(r.tops))] for r in rows), []]),
            Column("params", [*(_parameters(r) for r in rows), [human_count(self.parameters)]], right=True),
            Column("mult-adds", [*map(self._share, [*counts, self.multiply_adds])], right=True),
            Column("memory", [*(_memory(r) for r in rows), [human_bytes(self.memory)]], right=True),
        ]
        if any(r.engine for r in rows):
            columns.append(Column("engine", [*([r.engine or "numpy"] for r in rows), []]))
        return columns

    def _share(self, count: int | None) -> Cell:
        if count is None:
            return ["?"]
        return [human_count(count // self.items)] if count else []

    def _notes(self, columns: Sequence[Column]) -> list[str]:
        shared = " in less memory (net.memory_use() tells how much)" if self.reuses_memory else ""
        memory = f"Memory: blobs {human_bytes(self.memory)}{shared}, parameters {human_bytes(self.parameter_bytes)}"
        if self.gradient_bytes:
            memory += f"; gradients, once backward runs, about {human_bytes(self.gradient_bytes)}"
        per_item = f" per item of the batch of {self.items}" if self.items > 1 else ""
        notes = [f"Multiply-adds{per_item}: only products with weights count.", f"{memory}."]
        if columns[-1].heading == "engine":
            notes.append("Engine: who computes the forward pass.")
        if self.splits:
            layers = "1 Split layer" if self.splits == 1 else f"{self.splits} Split layers"
            notes.append(f"Not listed: {layers}, inserted where several layers read one blob.")
        return notes


def summary(net: Net) -> Summary:
    """The summary of a net with the shapes that its blobs have now. Allocates nothing."""
    original = split_copies(net)
    listed = [n for n in net._nodes if n.type != "Split" or n.top_names[0] not in original]
    within = net._passes.chains.within()
    rows = [_row(net, n, original, within.get(n.index)) for n in listed]
    return Summary(
        net.name,
        net.phase,
        rows,
        len(net._nodes) - len(listed),
        _items(net._nodes, rows),
        sum(b.nbytes for b in net.learnable.blobs),
        _gradient_bytes(net),
        net._reuse is not None,
    )


def split_copies(net: Net) -> dict[str, str]:
    """The blobs that splits which the net inserted have made -> the blob that each is a copy of."""
    splits = (n for n in net._nodes if n.type == "Split" and not n.spec.path)
    return {top: n.bottom_names[0] for n in splits for top in n.top_names}


def _row(net: Net, node: Node, original: dict[str, str], within: Node | None) -> Row:
    blobs = node.layer.blobs
    owned = [net.learnable.blobs[net.learnable.place[node.index, j]] is b for j, b in enumerate(blobs)]
    in_place = tuple(any(top is b for b in node.bottoms) for top in node.tops)
    shapes = tuple(t.shape for t in node.tops)
    own_memory = (
        0 if type(node.layer).views else sum(t.nbytes for t, same in zip(node.tops, in_place, strict=True) if not same)
    )
    return Row(
        name=node.name,
        type=node.type,
        bottoms=tuple(original.get(b, b) for b in node.bottom_names),
        tops=tuple(node.top_names),
        shapes=shapes,
        in_place=in_place,
        parameters=sum(b.count for b, own in zip(blobs, owned, strict=True) if own),
        shares=not all(owned),
        multiply_adds=multiply_adds(node.type, [b.shape for b in node.bottoms], shapes, [b.shape for b in blobs]),
        memory=own_memory,
        engine=_engine(node, within),
    )


def _engine(node: Node, within: Node | None) -> str:
    if within is not None:
        return f"{within.engine or 'numpy'}, in {within.name}"
    return "" if node.falls_back else node.engine


def _items(nodes: Sequence[Node], rows: Sequence[Row]) -> int:
    """Axis 0 of the net's first blob, unless some layer's multiply-adds are no multiple of it."""
    shapes = [t.shape for n in nodes if not n.bottoms for t in n.tops]
    items = shapes[0][0] if shapes and shapes[0] else 1
    return items if items > 0 and all((r.multiply_adds or 0) % items == 0 for r in rows) else 1


def _gradient_bytes(net: Net) -> int:
    diffs = {id(b): b for n in net._nodes for b, down in zip(n.bottoms, n.propagate_down, strict=True) if down}
    if any(n.need_backward for n in net._nodes):
        diffs.update((id(b), b) for b in net.learnable.blobs)
    return sum(b.nbytes for b in diffs.values())


def _shorten(column: Column, excess: int) -> None:
    """Make a column of names narrower, by as much as is too much."""
    room = max(column.width() - max(0, excess), _SHORTEST_NAME)
    column.cells = [[elide(line, room) for line in cell] for cell in column.cells]


def _top(row: Row, j: int, width: int | None = None) -> str:
    """Top j, its name shortened where the text would be wider than `width`."""
    if not row.in_place[j] and row.tops == (row.name,):
        return str(row.shapes[j])
    rest = " in place" if row.in_place[j] else f" {row.shapes[j]}"
    return (row.tops[j] if width is None else elide(row.tops[j], max(width - len(rest), _SHORTEST_TOP))) + rest


def _parameters(row: Row) -> Cell:
    if row.parameters:
        return [human_count(row.parameters)]
    return ["shared"] if row.shares else []


def _memory(row: Row) -> Cell:
    return [human_bytes(row.memory)] if row.memory else []
