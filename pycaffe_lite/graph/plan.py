"""The plan of a net: who reads whose blob, and which layers run backward.

A blob name may stand for several *versions* of its data: each layer that runs in place makes a new one. Wiring,
gradients and hazards are decided per version.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from pycaffe_lite._typing import Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import GraphError, WeightsError
from pycaffe_lite.graph.select import LayerSpec
from pycaffe_lite.layer import Layer
from pycaffe_lite.proto import caffe_pb2 as pb

log = logging.getLogger(__name__)

AUTOMATIC = "(automatic)"
"""Caffe's name for tops that nobody named."""


@dataclass(eq=False)
class Node:
    """What the net knows about one layer. Lists run parallel to the layer's bottoms, tops or blobs."""

    spec: LayerSpec
    index: int
    layer: Layer = field(default_factory=Layer)
    engine: str = ""
    bottoms: list[Blob] = field(default_factory=list)
    tops: list[Blob] = field(default_factory=list)
    bottom_names: list[str] = field(default_factory=list)
    top_names: list[str] = field(default_factory=list)
    bottom_versions: list[int] = field(default_factory=list)
    top_versions: list[int] = field(default_factory=list)
    bottom_ids: list[int] = field(default_factory=list)
    top_ids: list[int] = field(default_factory=list)
    in_place: list[bool] = field(default_factory=list)
    loss_weights: list[float] = field(default_factory=list)
    param_specs: list[pb.ParamSpec] = field(default_factory=list)
    need_backward: bool = False
    propagate_down: list[bool] = field(default_factory=list)
    always_reshape: bool = False
    absorbs: bool = False
    """Whether it stands for several layers, with a blob between them that they need not write (see absorbed)."""
    blobs: list[Blob] = field(default_factory=list)
    """Bottoms and tops."""
    shapes: list[Shape] = field(default_factory=list)
    """Theirs after the last reshape."""
    param_counts: list[int] = field(default_factory=list)
    """How many numbers the learnable blobs have; of a Python layer, which may change that, none."""
    settled_at: int = -1
    """The last Blob.changes at which the blobs were seen to have these."""
    losses: list[tuple[Blob, float]] = field(default_factory=list)
    """The tops that count in the net's loss, and their weights."""
    bottom_weights: list[tuple[int, float]] = field(default_factory=list)
    """Bottoms that count in the loss themselves: backward overwrites the weight in their diff, so it is added again."""
    copies: list[tuple[int, Blob]] = field(default_factory=list)
    """(bottom index, the blob it is a copy of) where a Python layer may not run in place on the original."""

    def check_params(self) -> None:
        """Raise WeightsError where somebody has given a learnable blob another number of numbers than the layer has."""
        for j, (blob, count) in enumerate(zip(self.layer.blobs, self.param_counts, strict=False)):
            if blob.count != count:
                error = WeightsError(
                    f"Learnable blob {j} has shape {blob.shape}, the layer needs {count} numbers there",
                    hint="It was reshaped: write into its data, or build a net of another size.",
                )
                raise self.spec.blame(error)

    @property
    def message(self) -> pb.LayerParameter:
        return self.spec.message

    @property
    def name(self) -> str:
        return self.spec.message.name

    @property
    def type(self) -> str:
        return self.spec.message.type

    @property
    def falls_back(self) -> bool:
        """Whether an engine's layer leaves its forward pass to numpy's, as Layer.falls_back says."""
        return type(self.layer).falls_back(self.layer, self.bottoms, self.tops)

    def wants(self, j: int) -> bool:
        """Whether learnable blob j has a learning rate."""
        return self.param_specs[j].lr_mult != 0


class Wiring:
    """Hands out versions and blob numbers while layers are connected one after the other."""

    def __init__(self) -> None:
        self.blob_ids: dict[str, int] = {}
        self.blob_count = 0
        self.version_count = 0
        self.latest: dict[str, int] = {}
        self.makers: dict[str, str] = {}
        """Names, and the layers that made them first."""
        self.unread: dict[str, int] = {}
        """Names whose latest version nobody has read, and that version: in the end, the net's outputs."""

    def connect(self, node: Node, top_names: Sequence[str]) -> None:
        """Fill in the node's names, versions, blob ids and in_place. Split insertion has seen that every bottom exists.

        Raises GraphError for a top that another layer already makes.
        """
        message = node.message
        for name in message.bottom:
            log.info("%s <- %s", node.name, name)
            node.bottom_names.append(name)
            node.bottom_versions.append(self.latest[name])
            node.bottom_ids.append(self.blob_ids[name])
            self.unread.pop(name, None)
        for j, name in enumerate(top_names):
            in_place = j < len(message.bottom) and message.bottom[j] == name
            if not in_place and name in self.latest:
                raise GraphError(
                    f"Top blob '{name}' produced by multiple sources",
                    field=f"top[{j}]",
                    hint=f"Layer '{self.makers[name]}' makes it too. Give one of them another name.",
                )
            if not in_place:
                blob_id, self.blob_count = self.blob_count, self.blob_count + 1
                self.makers[name] = node.name
            else:
                blob_id = self.blob_ids[name]
            node.top_names.append(name)
            node.top_versions.append(self.version_count)
            node.top_ids.append(blob_id)
            node.in_place.append(in_place)
            if name != AUTOMATIC:
                self.blob_ids[name] = blob_id
                self.latest[name] = self.unread[name] = self.version_count
            self.version_count += 1
            log.info("%s -> %s%s", node.name, name, " (in-place)" if in_place else "")


def plan_backward(nodes: Sequence[Node], force_backward: bool) -> None:
    """Decide which layers run backward, into which bottoms and which parameters.

    A layer runs when a parameter or a bottom above it learns and a loss below it depends on it; `propagate_down` in the
    message forces or blocks a bottom; `force_backward` runs all that have a gradient.

    Difference from Caffe: a loss is learnt from even when a layer without a gradient (Silence) reads it.
    """
    learns: set[int] = set()
    for node in nodes:
        wanted = list(node.message.propagate_down)
        if len(wanted) not in (0, len(node.bottoms)):
            raise node.spec.blame(
                GraphError(
                    f"propagate_down is given {len(wanted)} times for {len(node.bottoms)} bottoms",
                    field="propagate_down[0]",
                    hint="Give it for every bottom or for none.",
                )
            )
        node.propagate_down = wanted or [v in learns for v in node.bottom_versions]
        node.need_backward = any(v in learns for v in node.bottom_versions) or any(
            map(node.wants, range(len(node.param_specs)))
        )
        forced = force_backward and not type(node.layer).frozen_params
        node.layer._param_propagate_down = [forced or node.wants(j) for j in range(len(node.param_specs))]
        if node.need_backward:
            learns.update(node.top_versions)

    under_loss: set[int] = set()
    blocked: set[int] = set()
    for node in reversed(nodes):
        contributes = any(w or v in under_loss for v, w in zip(node.top_versions, node.loss_weights, strict=True))
        sent = [v for v, w in zip(node.top_versions, node.loss_weights, strict=True) if w or v not in blocked]
        if not contributes or not sent:
            node.need_backward = False
            node.propagate_down = [False] * len(node.bottoms)
        if contributes:
            under_loss.update(node.bottom_versions)
        blocked.update(v for v, down in zip(node.bottom_versions, node.propagate_down, strict=True) if not down)

    for node in nodes:
        if force_backward and type(node.layer).has_backward:
            node.need_backward = True
            node.propagate_down = [
                down or type(node.layer).allow_force_backward(node.layer, i)
                for i, down in enumerate(node.propagate_down)
            ]
    for node in reversed(nodes):
        log.info("%s %s backward computation.", node.name, "needs" if node.need_backward else "does not need")


def forgo_backward(nodes: Sequence[Node]) -> None:
    """Plan for forward passes alone: no layer then needs what an in-place layer overwrites."""
    for node in nodes:
        node.need_backward = False
        node.propagate_down = [False] * len(node.bottoms)
