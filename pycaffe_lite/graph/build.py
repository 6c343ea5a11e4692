"""Build: from a network message to nodes with layers and blobs, wired, shaped and planned."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy.typing as npt

from pycaffe_lite import _random
from pycaffe_lite.blob import Blob, shapes_of
from pycaffe_lite.engines import engines_for
from pycaffe_lite.errors import CaffeError, GraphError, ParameterError, ShapeError
from pycaffe_lite.graph.hazards import find_hazards, may_run_in_place
from pycaffe_lite.graph.names import Names, names_of
from pycaffe_lite.graph.params import LearnableParams, collect_params, flatten_params
from pycaffe_lite.graph.plan import AUTOMATIC, Node, Wiring, forgo_backward, plan_backward
from pycaffe_lite.graph.reuse import Reuse, plan_reuse, share_scratch
from pycaffe_lite.graph.select import LayerSpec, select, specs_of
from pycaffe_lite.graph.splits import insert_splits
from pycaffe_lite.layer import bind, check_arity
from pycaffe_lite.memory import check_memory
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer

if TYPE_CHECKING:
    from pycaffe_lite.schema import Positions

log = logging.getLogger(__name__)


@dataclass
class Graph:
    """A built network."""

    nodes: list[Node]
    blobs: OrderedDict[str, Blob]
    inputs: list[str]
    """The tops of Input layers."""
    outputs: OrderedDict[str, Blob]
    names: Names | None
    params: LearnableParams
    memory_for_data: int
    """Bytes of all tops' data, counted as Caffe does."""
    reuse: Reuse | None


@dataclass
class Memory:
    """Adds up what a net takes while it is built."""

    counted: int = 0
    """Bytes of all tops' data, as Caffe counts them: those that live in another blob's memory too."""
    held: int = 0
    """Bytes of learnable blobs, and of data that have memory of their own, each once."""
    reused: bool = False
    """Whether blobs use each other's memory: what they take together is known once the net is built."""

    def add(self, node: Node) -> None:
        """Count a node; raises MemoryLimitError, naming the blob, for more than this machine has."""
        log.info("Setting up %s", node.name)
        self.held += sum(b.nbytes for b in node.layer.blobs)
        for name, top in zip(node.top_names, node.tops, strict=True):
            log.info("Top shape: %s(%d)", "".join(f"{d} " for d in top.shape), top.count)
            check_memory(top.nbytes, f"Blob '{name}' of shape {top.shape}")
            self.counted += top.nbytes
            if not self.reused and top not in node.bottoms and not type(node.layer).views:
                self.held += top.nbytes
            check_memory(self.held, f"The net up to blob '{name}' of shape {top.shape}")
        log.info("Memory required for data: %d", self.counted)


def build(
    net: pb.NetParameter,
    positions: Positions | None,
    dtype: npt.DTypeLike,
    seed: int,
    trusted: bool = True,
    reuse_memory: bool = False,
) -> Graph:
    """Build the layers of `net` that take part in `net.state`; no Python layers unless the net is `trusted`.

    Raises a CaffeError that names the layer and its place in the file: UnknownTypeError, ParameterError, GraphError,
    ShapeError, MemoryLimitError.
    """
    specs = insert_splits(select(specs_of(net, positions), net.state))
    wiring, params, memory = Wiring(), LearnableParams(), Memory(reused=reuse_memory)
    nodes: list[Node] = []
    blobs: OrderedDict[str, Blob] = OrderedDict()
    for index, spec in enumerate(specs):
        node = Node(_inherit_phase(spec, net.state.phase), index)
        try:
            if not trusted:
                _refuse_foreign_code(node)
            _create(node, dtype, seed, before=sum(other.name == node.name for other in nodes))
            _connect(node, wiring, blobs, dtype)
            with spec.noted("setup"):
                node.layer.setup(node.bottoms, node.tops)
            reshape(node)
            _set_loss_weights(node)
            collect_params(node, params)
            memory.add(node)
        except CaffeError as e:
            raise spec.blame(e) from e.__cause__
        nodes.append(node)
    plan_backward(nodes, net.force_backward)
    if reuse_memory:
        forgo_backward(nodes)
    for node in nodes:
        node.layer._need_backward = node.need_backward
    current = _resolve_hazards(nodes, set(wiring.unread.values()), blobs, dtype)
    _list_losses(nodes)
    _leave_orders_free(nodes)
    flatten_params(params, nodes, dtype)
    for node in nodes:
        node.param_counts = [] if node.always_reshape else [blob.count for blob in node.layer.blobs]
    outputs = OrderedDict((name, current[wiring.unread[name]]) for name in sorted(wiring.unread))
    for name in outputs:
        log.info("This network produces output %s", name)
    inputs = [name for node in nodes if node.type == "Input" for name in node.top_names]
    names = names_of(nodes, blobs, inputs)
    shown = [*outputs.values(), *(names.blobs if names is not None else ())]
    reuse = plan_reuse(nodes, shown) if reuse_memory else None
    if reuse is not None:
        share_scratch(nodes)
        log.info("Memory required for data, reused: %d", reuse.nbytes)
        check_memory(memory.held + reuse.nbytes, "The net")
    log.info("Network initialization done.")
    return Graph(nodes, blobs, inputs, outputs, names, params, memory.counted, reuse)


def reshape(node: Node) -> None:
    """Let the layer give its tops their shapes, and remember these. Raises what Node.check_params does."""
    node.check_params()
    node.shapes = []  # also where the layer is interrupted
    for i, original in node.copies:
        node.bottoms[i].reshape(*original.shape)
    with node.spec.noted("reshape"):
        node.layer.reshape(node.bottoms, node.tops)
    if type(node.layer).views:
        for top in node.tops:
            top.share_data(node.bottoms[0])  # as in each pass: arrays that are taken before stay live
    node.blobs = [*node.bottoms, *node.tops]
    node.shapes = shapes_of(node.blobs)


def settle(node: Node) -> None:
    """Reshape the node if one of its blobs has another shape than after the last time. Raises as `reshape`."""
    now = Blob.changes
    node.check_params()
    if node.shapes != shapes_of(node.blobs):
        reshape(node)
    else:
        node.settled_at = now


def check_shapes(node: Node) -> None:
    """Raise ShapeError if a blob is of another shape than after the last reshape, unless forward gives it its shape."""
    if node.shapes == shapes_of(node.blobs):
        return
    hint = "Call forward before backward."
    if not node.shapes:
        raise ShapeError("The last reshape did not come to its end", hint=hint)
    first = len(node.bottoms)
    for i, (then, now) in enumerate(zip(node.shapes, shapes_of(node.bottoms), strict=False)):
        if then != now:
            raise ShapeError(f"bottom {i} has shape {now}, the last forward pass had {then}", hint=hint)
    inferred = node.layer.infer_shapes(node.shapes[:first])
    for i, (then, made, top) in enumerate(zip(node.shapes[first:], inferred, node.tops, strict=True)):
        if made is not None and then != top.shape:
            raise ShapeError(f"top {i} has shape {top.shape}, the last forward pass had {then}", hint=hint)


def _inherit_phase(spec: LayerSpec, phase: int) -> LayerSpec:
    if not spec.message.HasField("phase"):
        spec.message.phase = phase  # type: ignore[assignment]
    return spec


def _refuse_foreign_code(node: Node) -> None:
    if node.type == "Python":
        p = node.message.python_param
        raise ParameterError(
            f"The layer would import the module '{p.module}' and run its class '{p.layer}'",
            field="python_param.module",
            hint="The net was opened with trusted=False; leave that out if you trust the module.",
        )


def _create(node: Node, dtype: npt.DTypeLike, seed: int, before: int) -> None:
    log.info("Creating Layer %s", node.name)
    cls, node.engine = find_layer(node.type, engines=engines_for(node.message))
    node.layer = cls(node.message)
    node.always_reshape = node.type == "Python"
    # No reference back to the node: nets go when they are let go.
    rng = _random.Source(seed, node.name, before)
    bind(node.layer, dtype=dtype, phase=node.message.phase, rng=rng)


def _connect(node: Node, wiring: Wiring, blobs: OrderedDict[str, Blob], dtype: npt.DTypeLike) -> None:
    names = list(node.message.top)
    cls = type(node.layer)
    if cls.auto_tops:
        names += [AUTOMATIC] * (cls.tops.low - len(names))
    wiring.connect(node, names)
    check_arity(node.layer, len(node.bottom_names), len(names))
    node.bottoms = [blobs[n] for n in node.bottom_names]
    able = may_run_in_place(node)
    for name, in_place in zip(names, node.in_place, strict=True):
        if not (in_place and able):
            blobs[name] = Blob((0,), dtype, name)
        node.tops.append(blobs[name])


def _set_loss_weights(node: Node) -> None:
    given = node.message.loss_weight
    if len(given) not in (0, len(node.tops)):
        raise GraphError(
            f"loss_weight is given {len(given)} times for {len(node.tops)} tops",
            field="loss_weight[0]",
            hint="Give it for every top or for none.",
        )
    cls = type(node.layer)
    node.loss_weights = list(given) or [cls.default_loss_weight(node.layer, j) for j in range(len(node.tops))]
    for top, weight in zip(node.tops, node.loss_weights, strict=True):
        if weight:
            top.set_loss_weight(weight)
            log.info("    with loss weight %g", weight)


def _resolve_hazards(
    nodes: list[Node], outputs: set[int], blobs: OrderedDict[str, Blob], dtype: npt.DTypeLike
) -> dict[int, Blob]:
    """Give each in-place layer that would do harm a top of its own, under the same name. Returns each version's blob.

    A Python layer then works, in place as its author wrote it, on a copy of its bottom. The name of a net input stays
    with the Input layer's top: that is where the user writes.
    """
    moved: dict[int, Blob] = {}
    for node, j, why in find_hazards(nodes, outputs):
        log.info("%s '%s' does not run in place on '%s': %s", node.type, node.name, node.top_names[j], why)
        shares = node.tops[j] is node.bottoms[j]
        moved[node.top_versions[j]] = Blob((0,), dtype, node.top_names[j]) if shares else node.tops[j]
    current: dict[int, Blob] = {}
    for node in nodes:
        node.bottoms = [current[v] for v in node.bottom_versions]
        for j, version in enumerate(node.top_versions):
            if version in moved:
                node.tops[j] = blobs[node.top_names[j]] = moved[version]
                if node.type == "Python":
                    node.copies.append((j, node.bottoms[j]))
                    node.bottoms[j] = moved[version]
            elif node.in_place[j]:
                node.tops[j] = node.bottoms[j]
            current[version] = node.tops[j]
            if moved and node.loss_weights[j]:
                node.tops[j].set_loss_weight(node.loss_weights[j])
        if moved:
            reshape(node)
    for node in nodes:
        if node.type == "Input":
            blobs.update(zip(node.top_names, node.tops, strict=True))
    return current


def _list_losses(nodes: list[Node]) -> None:
    """Fill in each node's losses and, for layers that send a gradient into one, bottom_weights."""
    weights: dict[int, float] = {}
    for node in nodes:
        node.losses = [(top, w) for top, w in zip(node.tops, node.loss_weights, strict=True) if w]
        weights.update(zip(node.top_versions, node.loss_weights, strict=True))
        if node.need_backward:
            node.bottom_weights = [
                (i, weights[v]) for i, v in enumerate(node.bottom_versions) if node.propagate_down[i] and weights[v]
            ]


def _leave_orders_free(nodes: list[Node]) -> None:
    """Let layers choose in which order the blobs between them lie, where all who touch a blob can do with any.

    Inputs and outputs of the net are the user's: they stay in plain order, as everything does once it is looked at.
    """
    choosy = [n for n in nodes if not type(n.layer).takes_any_order(n.layer, n.bottoms, n.tops)]
    bound = {id(b) for n in choosy for b in (*n.bottoms, *n.tops)}
    bound |= {id(top) for n in nodes for top, _ in n.losses}
    for node in reversed(nodes):  # where views are bound, so is what they are views of
        if type(node.layer).views and any(id(top) in bound for top in node.tops):
            bound |= {id(b) for b in (*node.bottoms, *node.tops)}
    read = {id(b) for n in nodes for b in n.bottoms if b not in n.tops}
    for node in nodes:
        for top in node.tops:
            if id(top) in read - bound:
                top.leave_order_free()
