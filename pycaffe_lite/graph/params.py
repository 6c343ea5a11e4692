"""The learnable blobs of a net: who shares whose, and the flat memory that they live in."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy.typing as npt

from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import GraphError, ShapeError
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.storage import Storage
from pycaffe_lite.watched import WatchedStorage


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
    data: WatchedStorage = field(default_factory=WatchedStorage)
    diff: Storage = field(default_factory=Storage)
    diffs: list[Storage] = field(default_factory=list)
    """The slices of `diff`, one for each blob."""

    def ends(self) -> list[int]:
        """Where in `data` and `diff` the numbers of each blob end."""
        return list(itertools.accumulate(blob.count for blob in self.blobs))

    def forget_diffs(self) -> None:
        """Let all diffs count as 0 for those who ask the blobs: memory is only written by who adds a gradient first."""
        for diff in self.diffs:
            diff.forget()

    def settle_diffs(self) -> None:
        """Make them 0 where nobody did: from now on `diff` and arrays that somebody kept show what counts."""
        for diff in self.diffs:
            if diff.forgotten:
                diff.array()


def collect_params(node: Node, params: LearnableParams) -> None:
    """Enter the node's learnable blobs, new ones or sharers of one of the same name.

    Raises GraphError and ShapeError where sharers disagree.
    """
    given = node.message.param
    if len(given) > len(node.layer.blobs):
        raise GraphError(
            f"param is given {len(given)} times, this layer has {len(node.layer.blobs)} learnable blobs",
            field=f"param[{len(node.layer.blobs)}]",
        )
    for j, blob in enumerate(node.layer.blobs):
        spec = given[j] if j < len(given) else pb.ParamSpec()
        if type(node.layer).frozen_params:
            spec = _frozen(spec, j)
        node.param_specs.append(spec)
        blob.name = f"{node.name}[{j}]"
        if spec.name in params.owners:
            place = params.owners[spec.name]
            _check_sharers(j, spec, blob, params, place)
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


def _frozen(spec: pb.ParamSpec, j: int) -> pb.ParamSpec:
    """The spec of a blob that no solver moves: lr_mult and decay_mult are 0. Raises GraphError for another lr_mult."""
    if spec.HasField("lr_mult") and spec.lr_mult:
        raise GraphError(
            f"lr_mult is {spec.lr_mult:g} for a blob that forward passes move and no solver",
            field=f"param[{j}].lr_mult",
            hint="It must be 0, or not given.",
        )
    frozen = pb.ParamSpec()
    frozen.CopyFrom(spec)
    frozen.lr_mult = frozen.decay_mult = 0
    return frozen


def _check_sharers(j: int, spec: pb.ParamSpec, blob: Blob, params: LearnableParams, place: int) -> None:
    owner = params.blobs[place]
    permissive = spec.share_mode == pb.ParamSpec.PERMISSIVE
    if (blob.count != owner.count) if permissive else (blob.shape != owner.shape):
        raise ShapeError(
            f"Shared parameter '{spec.name}' has shape {blob.shape} here and {owner.shape} in {owner.name}",
            field=f"param[{j}].name",
            hint="" if permissive else "They must be equal, or of equal count with share_mode: PERMISSIVE.",
        )
    for name, listed in (("lr_mult", params.lr_mult), ("decay_mult", params.decay_mult)):
        if spec.HasField(name):
            value: float = getattr(spec, name)
            if (place, name) in params.explicit and listed[place] != value:
                raise GraphError(
                    f"Shared parameter '{spec.name}' has {name} {value:g} here and {listed[place]:g} elsewhere",
                    field=f"param[{j}].{name}",
                    hint="All sharers must agree.",
                )
            listed[place] = value


def flatten_params(params: LearnableParams, nodes: list[Node], dtype: npt.DTypeLike) -> None:
    """Move all learnable blobs into one flat data and one flat diff storage, and let sharers share."""
    total = sum(b.count for b in params.blobs)
    params.data, params.diff = WatchedStorage(dtype, total), Storage(dtype, total)
    offset = 0
    for blob in params.blobs:
        params.diffs.append(params.diff.slice(offset, blob.count))
        blob.move_to(params.data.slice(offset, blob.count), params.diffs[-1])
        offset += blob.count
    for (index, j), place in params.place.items():
        blob = nodes[index].layer.blobs[j]
        if blob is not params.blobs[place]:
            blob.share_data(params.blobs[place])
            blob.share_diff(params.blobs[place])
