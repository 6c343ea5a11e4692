"""Build: from a network message to nodes with layers and blobs, wired, shaped and planned."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy.typing as npt

from pycaffe_lite import _random
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, GraphError, MemoryLimitError, ShapeError
from pycaffe_lite.graph.plan import AUTOMATIC, Node, Wiring, find_hazards, plan_backward
from pycaffe_lite.graph.select import LayerSpec, select, specs_of
from pycaffe_lite.graph.splits import insert_splits
from pycaffe_lite.layer import bind, check_arity
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer
from pycaffe_lite.storage import Storage, check_memory

if TYPE_CHECKING:
    from pycaffe_lite.schema import Positions

log = logging.getLogger(__name__)


@dataclass
class LearnableParams:
    """The blobs that a net learns, each once, in the order in which layers made them.

    Their data are slices of one flat Storage, their diffs of another. `owners` maps a param name to its place here.
    """

    blobs: list[Blob] = field(default_factory=list)
    lr_mult: list[float] = field(default_factory=list)
    decay_mult: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    explicit: set[tuple[int, str]] = field(default_factory=set)
    """(which param, "lr_mult" or "decay_mult") that a layer gave and did not leave to the default."""
    owners: dict[str, int] = field(default_factory=dict)
    place: dict[tuple[int, int], int] = field(default_factory=dict)
    """(node index, blob index) -> which learnable param it is."""
    owner_of: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The reverse: who made it."""
    data: Storage = field(default_factory=Storage)
    diff: Storage = field(default_factory=Storage)


@dataclass
class Graph:
    """A built network."""

    nodes: list[Node]
    blobs: OrderedDict[str, Blob]
    outputs: list[str]
    params: LearnableParams
    memory_for_data: int
    """Bytes of all tops' data, counted as Caffe does."""


def build(net: pb.NetParameter, positions: Positions | None, dtype: npt.DTypeLike, seed: int) -> Graph:
    """Build the layers of `net` that take part in `net.state`.

    Raises a CaffeError that names the layer and its place in the file: UnknownTypeError, ParameterError, GraphError,
    ShapeError, MemoryLimitError.
    """
    specs = insert_splits(select(specs_of(net, positions), net.state))
    wiring, params, nodes, memory = Wiring(), LearnableParams(), [], 0
    blobs: OrderedDict[str, Blob] = OrderedDict()
    for index, spec in enumerate(specs):
        node = Node(_inherit_phase(spec, net.state.phase), index)
        try:
            _create(node, dtype, seed)
            _connect(node, wiring, blobs, dtype)
            node.layer.setup(node.bottoms, node.tops)
            reshape(node)
            _set_loss_weights(node)
            _collect_params(node, params)
            memory = _count_memory(node, memory)
        except CaffeError as e:
            raise spec.blame(e) from e.__cause__
        nodes.append(node)
    plan_backward(nodes, net.force_backward)
    _keep_loss_weights(nodes)
    _resolve_hazards(nodes, set(wiring.unread.values()), blobs, dtype)
    _flatten(params, nodes, dtype)
    outputs = sorted(wiring.unread)
    for name in outputs:
        log.info("This network produces output %s", name)
    log.info("Network initialization done.")
    return Graph(nodes, blobs, outputs, params, memory)


def reshape(node: Node) -> None:
    """Let the layer give its tops their shapes, and remember for which bottoms."""
    node.layer.reshape(node.bottoms, node.tops)
    node.shapes = [b.shape for b in node.bottoms]


def _inherit_phase(spec: LayerSpec, phase: int) -> LayerSpec:
    if not spec.message.HasField("phase"):
        spec.message.phase = phase  # type: ignore[assignment]
    return spec


def _create(node: Node, dtype: npt.DTypeLike, seed: int) -> None:
    log.info("Creating Layer %s", node.name)
    cls, node.engine = find_layer(node.type)
    node.layer = cls(node.message)
    bind(node.layer, dtype=dtype, phase=node.message.phase, rng=lambda: _random.generator(seed, node.name))


def _connect(node: Node, wiring: Wiring, blobs: OrderedDict[str, Blob], dtype: npt.DTypeLike) -> None:
    names = list(node.message.top)
    cls = type(node.layer)
    if cls.auto_tops:
        names += [AUTOMATIC] * (cls.tops.low - len(names))
    wiring.connect(node, names)
    check_arity(node.layer, len(node.bottom_names), len(names))
    node.bottoms = [blobs[n] for n in node.bottom_names]
    for name, in_place in zip(names, node.in_place, strict=True):
        if not in_place:
            blobs[name] = Blob((0,), dtype, name)
        node.tops.append(blobs[name])


def _set_loss_weights(node: Node) -> None:
    given = node.message.loss_weight
    if len(given) not in (0, len(node.tops)):
        raise GraphError(f"loss_weight is given {len(given)} times for {len(node.tops)} tops", field="loss_weight[0]",
                         hint="Give it for every top or for none.")
    cls = type(node.layer)
    node.loss_weights = list(given) or [cls.default_loss_weight(node.layer, j) for j in range(len(node.tops))]
    for top, weight in zip(node.tops, node.loss_weights, strict=True):
        if weight:
            top.set_loss_weight(weight)
            log.info("    with loss weight %g", weight)


def _count_memory(node: Node, memory: int) -> int:
    log.info("Setting up %s", node.name)
    for name, top in zip(node.top_names, node.tops, strict=True):
        log.info("Top shape: %s(%d)", "".join(f"{d} " for d in top.shape), top.count)
        try:
            check_memory(top.count * top.dtype.itemsize, f"Blob '{name}' of shape {top.shape}")
        except MemoryLimitError as e:
            raise e.at(layer=node.name, layer_type=node.type) from None
        memory += top.count * top.dtype.itemsize
    check_memory(memory, f"The net up to blob '{node.top_names[-1] if node.top_names else node.name}'")
    log.info("Memory required for data: %d", memory)
    return memory


def _collect_params(node: Node, params: LearnableParams) -> None:
    """Enter the node's learnable blobs, new ones or sharers of one of the same name.

    Raises GraphError and ShapeError where sharers disagree.
    """
    given = node.message.param
    if len(given) > len(node.layer.blobs):
        raise GraphError(f"param is given {len(given)} times, this layer has {len(node.layer.blobs)} learnable blobs",
                         field=f"param[{len(node.layer.blobs)}]")
    for j, blob in enumerate(node.layer.blobs):
        spec = given[j] if j < len(given) else pb.ParamSpec()
        node.param_specs.append(spec)
        blob.name = f"{node.name}[{j}]"
        if spec.name in params.owners:
            place = params.owners[spec.name]
            _check_sharers(node, j, spec, blob, params, place)
        else:
            place = len(params.blobs)
            params.blobs.append(blob)
            params.lr_mult.append(spec.lr_mult)
            params.decay_mult.append(spec.decay_mult)
            params.names.append(spec.name or str(j))
            params.owner_of[place] = (node.index, j)
            if spec.name:
                params.owners[spec.name] = place
        params.place[node.index, j] = place
        params.explicit.update((place, name) for name in ("lr_mult", "decay_mult") if spec.HasField(name))


def _check_sharers(node: Node, j: int, spec: pb.ParamSpec, blob: Blob, params: LearnableParams, place: int) -> None:
    owner = params.blobs[place]
    permissive = spec.share_mode == pb.ParamSpec.PERMISSIVE
    if (blob.count != owner.count) if permissive else (blob.shape != owner.shape):
        raise ShapeError(
            f"Shared parameter '{spec.name}' has shape {blob.shape} here and {owner.shape} where it was made, {owner.name}",
            field=f"param[{j}].name",
            hint="" if permissive else "They must be equal, or of equal count with share_mode: PERMISSIVE.")
    for name, listed in (("lr_mult", params.lr_mult), ("decay_mult", params.decay_mult)):
        if spec.HasField(name):  # type: ignore[arg-type]
            value = getattr(spec, name)
            if (place, name) in params.explicit and listed[place] != value:
                raise GraphError(f"Shared parameter '{spec.name}' has {name} {value:g} here and {listed[place]:g} elsewhere",
                                 field=f"param[{j}].{name}", hint="All sharers must agree.")
            listed[place] = value


def _keep_loss_weights(nodes: list[Node]) -> None:
    """Find loss tops that a later layer reads and sends a gradient into, which would overwrite the weight."""
    read = {v for n in nodes if n.need_backward for v, down in zip(n.bottom_versions, n.propagate_down, strict=True) if down}
    for node in nodes:
        node.restore_weights = [j for j, v in enumerate(node.top_versions) if node.loss_weights[j] and v in read]


def _resolve_hazards(nodes: list[Node], outputs: set[int], blobs: OrderedDict[str, Blob], dtype: npt.DTypeLike) -> None:
    """Give each in-place layer that would do harm a top of its own, under the same name."""
    moved: dict[int, Blob] = {}
    for node, j, why in find_hazards(nodes, outputs):
        log.info("%s '%s' does not run in place on '%s': %s", node.type, node.name, node.top_names[j], why)
        moved[node.top_versions[j]] = Blob((0,), dtype, node.top_names[j])
    if not moved:
        return
    current: dict[int, Blob] = {}
    for node in nodes:
        node.bottoms = [current[v] for v in node.bottom_versions]
        for j, version in enumerate(node.top_versions):
            if version in moved:
                node.tops[j] = blobs[node.top_names[j]] = moved[version]
            elif node.in_place[j]:
                node.tops[j] = node.bottoms[j]
            current[version] = node.tops[j]
            if node.loss_weights[j]:
                node.tops[j].set_loss_weight(node.loss_weights[j])
        reshape(node)


def _flatten(params: LearnableParams, nodes: list[Node], dtype: npt.DTypeLike) -> None:
    """Move all learnable blobs into one flat data and one flat diff storage, and let sharers share."""
    total = sum(b.count for b in params.blobs)
    params.data, params.diff = Storage(dtype, total), Storage(dtype, total)
    offset = 0
    for blob in params.blobs:
        blob.move_to(params.data.slice(offset, blob.count), params.diff.slice(offset, blob.count))
        offset += blob.count
    for (index, j), place in params.place.items():
        blob = nodes[index].layer.blobs[j]
        if blob is not params.blobs[place]:
            blob.share_data(params.blobs[place])
            blob.share_diff(params.blobs[place])
