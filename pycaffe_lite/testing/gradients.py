"""The gradient checker: backward passes against central differences, (f(x + hd) - f(x - hd)) / 2h, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from pycaffe_lite.testing.cases import Bench, LayerCase, restart_random


def check_gradient(
    net: Net | LayerCase | str,
    inputs: Mapping[str, Array] | None = None,
    *,
    ignore: Sequence[str] = (),
    phase: int = pb.TRAIN,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    directions: int = 3,
    exhaustive: int = 32,
    seed: int = 0,
) -> None:
    """Check the gradients of a net's inputs and parameters.

    `net` is a Net of float64 built with force_backward, a LayerCase, or prototxt as text, from which such a net of
    `phase` is built. `inputs` fills its Input blobs, the others stay as they are. What is differentiated is the net's
    loss plus its other outputs weighted at random; outputs and inputs named in `ignore` have no gradient.

    Each blob is moved along `directions` random directions of +-1, one of up to `exhaustive` numbers along every axis,
    by `step` to each side: keep that far away from kinks. Random layers draw the same numbers in every pass.

    Raises AssertionError where a difference exceeds tolerance · max(1, |gradient|), CaffeError for a net that is not
    float64.
    """
    if isinstance(net, LayerCase):
        bench = Bench(net)
        net, ignore = bench.net, [bench.node.top_names[j] for j in bench.case.ignored_tops]
    elif isinstance(net, str):
        message, positions = parse_text(net, pb.NetParameter)
        message.state.phase = phase  # type: ignore[assignment]
        message.force_backward = True
        net = Net.from_message(message, positions, dtype=np.float64, seed=seed)
    if net.dtype != np.float64:
        raise CaffeError(
            f"This net computes in {net.dtype}, too coarse for differences", hint="Build it with dtype=np.float64."
        )
    for name, value in (inputs or {}).items():
        net.blobs[name].reshape(*np.shape(value))
        net.blobs[name].data[...] = value
    net.reshape()
    objective = _Objective(net, ignore, seed)
    rng = np.random.default_rng([seed, 1])
    for what, blob, analytic in objective.gradients(ignore):
        scale = max(1.0, float(np.linalg.norm(analytic)))
        for direction in _directions(blob, rng, directions, exhaustive):
            got, want = float((analytic * direction).sum()), _slope(objective, blob, direction, step)
            if not abs(got - want) <= tolerance * scale:
                where = _worst(objective, blob, analytic, step, tolerance * scale)
                raise AssertionError(
                    f"The gradient of {what} is wrong{where}; along {_describe(direction)} backward "
                    f"gives {got:.9g}, differences {want:.9g}"
                )


class _Objective:
    """The scalar function of a net that is differentiated; calling it runs a forward pass."""

    def __init__(self, net: Net, ignore: Sequence[str], seed: int) -> None:
        self.net = net
        self.last = len(net._nodes) - 1
        restart_random(net)
        net._forward(0, self.last)
        rng = np.random.default_rng([seed, 2])
        weighted = net.blob_loss_weights
        outputs = [blob for name, blob in net._output_blobs.items() if not weighted[name] and name not in ignore]
        self.seeds = [(blob, rng.uniform(-1, 1, blob.shape)) for blob in outputs]
        # -FLT_MAX, what Caffe's MAX pooling has to say of no numbers at all, would drown the others.
        self.weights = [(blob, np.where(np.abs(blob.data) < 1e30, seed, 0)) for blob, seed in self.seeds]

    def __call__(self) -> float:
        restart_random(self.net)
        loss = self.net._forward(0, self.last)
        return loss + sum(float((blob.data * w).sum()) for blob, w in self.weights)

    def gradients(self, ignore: Sequence[str]) -> list[tuple[str, Blob, Array]]:
        """(who, blob, gradient) of every input that has one and every parameter that wants one."""
        net = self.net
        self()
        net.clear_param_diffs()
        inputs = [
            (node, blob)
            for node in net._nodes
            if node.type == "Input"
            for name, version, blob in zip(node.top_names, node.top_versions, node.tops, strict=True)
            if name not in ignore and _has_gradient(net, version)
        ]
        for _, blob in inputs:
            blob.diff[...] = np.nan
        for blob, seed in self.seeds:
            blob.diff[...] = seed
        net._backward(self.last, 0)
        found = [
            (f"input '{blob.name}', which {_readers(net, blob.name)} reads", blob, blob.diff.copy())
            for _, blob in inputs
        ]
        for place, blob in enumerate(net.learnable.blobs):
            index, j = net.learnable.owner_of[place]
            node = net._nodes[index]
            if node.need_backward and node.layer.param_propagate_down(j):
                found.append((f"parameter {j} of layer '{node.name}' of type {node.type}", blob, blob.diff.copy()))
        return found


def _has_gradient(net: Net, version: int) -> bool:
    """Whether everyone who reads this version, through Splits, sends a gradient back."""
    readers = [
        (node, down)
        for node in net._nodes
        for v, down in zip(node.bottom_versions, node.propagate_down, strict=True)
        if v == version
    ]
    return bool(readers) and all(
        down and node.need_backward and (node.type != "Split" or all(_has_gradient(net, v) for v in node.top_versions))
        for node, down in readers
    )


def _readers(net: Net, name: str) -> str:
    return " and ".join(f"layer '{n.name}' of type {n.type}" for n in net._nodes if name in n.bottom_names)


def _directions(blob: Blob, rng: np.random.Generator, count: int, exhaustive: int) -> Iterator[Array]:
    if blob.count <= exhaustive:
        for i in range(blob.count):
            yield _axis(blob, i)
    else:
        for _ in range(count):
            yield rng.choice([-1.0, 1.0], blob.shape)


def _axis(blob: Blob, i: int) -> Array:
    direction = np.zeros(blob.count)
    direction[i] = 1
    return direction.reshape(blob.shape)


def _slope(objective: Callable[[], float], blob: Blob, direction: Array, step: float) -> float:
    start = blob.data.copy()
    try:
        blob.data[...] = start + step * direction
        above = objective()
        blob.data[...] = start - step * direction
        return (above - objective()) / (2 * step)
    finally:
        blob.data[...] = start


def _worst(objective: Callable[[], float], blob: Blob, analytic: Array, step: float, tolerance: float) -> str:
    """Where it is most wrong, for the message; '' for blobs too large to look everywhere."""
    if blob.count > 1000:
        return ""
    want = np.array([_slope(objective, blob, _axis(blob, i), step) for i in range(blob.count)]).reshape(blob.shape)
    off = np.nan_to_num(np.abs(analytic - want), nan=np.inf)
    at = tuple(int(i) for i in np.unravel_index(off.argmax(), blob.shape))
    if off[at] <= tolerance:
        return " nowhere by itself, so a kink may lie within a step: take a smaller one, or other numbers"
    return f" at {list(at)}: backward gives {analytic[at]:.9g}, differences {want[at]:.9g}"


def _describe(direction: Array) -> str:
    return "this axis" if np.count_nonzero(direction) == 1 else "a random direction"
