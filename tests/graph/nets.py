"""Small nets written as text, and their gradients taken numerically."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pycaffe_lite import Net
from pycaffe_lite._typing import Array


def layer(name: str, kind: str, bottoms: str = "", tops: str = "", more: str = "") -> str:
    """A layer as prototxt; blobs are names with blanks between."""
    blobs = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(blobs)} {more} }}\n'


def inputs(**shapes: tuple[int, ...]) -> str:
    """An Input layer with a top of each name and shape."""
    dims = "".join("shape { " + " ".join(f"dim: {d}" for d in s) + " } " for s in shapes.values())
    return layer("input", "Input", "", " ".join(shapes), f"input_param {{ {dims} }}")


def ip(name: str, bottom: str, top: str, outputs: int, more: str = "") -> str:
    """An InnerProduct with weights and biases that are not zero."""
    fillers = 'weight_filler { type: "gaussian" std: 0.7 } bias_filler { type: "uniform" min: -0.6 max: 0.8 }'
    return layer(name, "InnerProduct", bottom, top, f"inner_product_param {{ num_output: {outputs} {fillers} }} {more}")


def conv(name: str, bottom: str, outputs: int = 6, kernel: int = 3, more: str = "") -> str:
    """A Convolution that keeps height and width, with weights and biases that are not zero. The top has its name."""
    fillers = 'weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "uniform" min: -0.4 max: 0.3 }'
    windows = f"num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2} {more}"
    return layer(name, "Convolution", bottom, name, f"convolution_param {{ {windows} {fillers} }}")


def power(
    name: str, bottom: str, top: str, power: float = 1, scale: float = 1.5, shift: float = 0.25, more: str = ""
) -> str:
    return layer(name, "Power", bottom, top, f"power_param {{ power: {power} scale: {scale} shift: {shift} }} {more}")


def fill(net: Net, seed: int = 5) -> None:
    """Random numbers for the net's inputs."""
    rng = np.random.default_rng(seed)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.normal(size=net.blobs[name].shape)


def loss_of(net: Net) -> float:
    return net._forward(0, len(net.layers) - 1)


def gradients(net: Net) -> dict[str, Array]:
    """The gradient of each learnable blob after one pass."""
    net.clear_param_diffs()
    loss_of(net)
    net.backward()
    return {b.name: b.diff.copy() for b in net.learnable.blobs}


def numerical(net: Net, step: float = 1e-5) -> dict[str, Array]:
    """The same, by central differences; for float64 nets without randomness."""
    result = {}
    for blob in net.learnable.blobs:
        flat = blob.data.reshape(-1)
        slope = np.empty(blob.count)
        for i, value in enumerate(flat.copy()):
            flat[i] = value + step
            above = loss_of(net)
            flat[i] = value - step
            below = loss_of(net)
            flat[i] = value
            slope[i] = (above - below) / (2 * step)
        result[blob.name] = slope.reshape(blob.shape)
    return result


def assert_close(found: Mapping[str, Array], expected: Mapping[str, Array], **tolerance: Any) -> None:
    """Equal keys, close values, and not all of them zero."""
    assert found.keys() == expected.keys()
    assert any(np.any(v) for v in expected.values())
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **({"rtol": 1e-6, "atol": 1e-8} | tolerance))
