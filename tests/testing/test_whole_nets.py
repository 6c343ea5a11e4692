"""Gradients through whole nets: splits, in-place chains, shared parameters, losses in the middle, views."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.testing import check_gradient
from tests.layers.nets import net_of


def inputs(**shapes: str) -> str:
    """Input layers: x="2 3" makes a blob x of shape (2, 3)."""
    return "".join(
        f'layer {{ name: "{k}" type: "Input" top: "{k}" input_param {{ shape {{ dim: [{v}] }} }} }}\n'
        for k, v in ((k, v.replace(" ", ", ")) for k, v in shapes.items())
    )


def ip(name: str, bottom: str, top: str = "", n: int = 5, more: str = "") -> str:
    fillers = 'weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }'
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top or name}" {more} '
        f"inner_product_param {{ num_output: {n} {fillers} }} }}\n"
    )


def layer(kind: str, bottoms: str, tops: str, more: str = "") -> str:
    names = " ".join([*(f'bottom: "{b}"' for b in bottoms.split()), *(f'top: "{t}"' for t in tops.split())])
    return f'layer {{ name: "{kind}_{tops}_{bottoms}" type: "{kind}" {names} {more} }}\n'


CONV = (
    'convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.5 } '
    'bias_filler { type: "gaussian" } }'
)
POOL = "pooling_param { kernel_size: 2 stride: 2 }"
DROP = "dropout_param { dropout_ratio: 0.3 }"
EUCLIDEAN = layer("EuclideanLoss", "y t", "loss", "loss_weight: 0.7")

NETS = {
    "in-place chain": inputs(x="3 4", t="3 5")
    + ip("h", "x")
    + layer("ReLU", "h", "h")
    + layer("Dropout", "h", "h", DROP)
    + layer("Sigmoid", "h", "h")
    + ip("y", "h")
    + EUCLIDEAN,
    "in place where the producer needs its top": inputs(x="3 4", t="3 5")
    + ip("h", "x")
    + layer("Sigmoid", "h", "s")
    + layer("ReLU", "s", "s", "relu_param { negative_slope: 0.2 }")
    + layer("TanH", "s", "s")
    + ip("y", "s")
    + EUCLIDEAN,
    "in place behind a split": inputs(x="3 4", t="3 5")
    + ip("h", "x")
    + layer("TanH", "h", "a")
    + layer("Power", "h", "b", "power_param { power: 2 scale: 0.5 shift: 1 }")
    + layer("Sigmoid", "b", "b")
    + layer("Eltwise", "a b", "y", "eltwise_param { operation: PROD }")
    + EUCLIDEAN,
    "shared parameters": inputs(x="3 5", t="3 5")
    + ip("h", "x", more='param { name: "w" } param { name: "b" }')
    + layer("TanH", "h", "h")
    + ip("y", "h", more='param { name: "w" } param { name: "b" }')
    + EUCLIDEAN,
    "a loss in the middle": inputs(x="3 5", t="3 5")
    + ip("h", "x")
    + layer("TanH", "h", "h", "loss_weight: 0.3")
    + ip("y", "h")
    + EUCLIDEAN,
    "a loss that is read": inputs(x="3 5", t="3 5")
    + ip("y", "x")
    + EUCLIDEAN
    + layer("Power", "loss", "twice", "power_param { power: 2 scale: 0.5 } loss_weight: 1.3"),
    "two losses on one blob": inputs(x="3 5", t="3 5")
    + ip("y", "x")
    + EUCLIDEAN
    + layer("SigmoidCrossEntropyLoss", "y t", "second", "loss_weight: 0.4"),
    "views": inputs(x="2 3 4 5", t="2 60")
    + layer("Sigmoid", "x", "s")
    + layer("Flatten", "s", "f")
    + layer("ReLU", "f", "f")
    + layer("Split", "f", "a b c")
    + layer("TanH", "a", "a")
    + layer("Sigmoid", "b", "b")
    + layer("Eltwise", "a b c", "y")
    + EUCLIDEAN,
    "flattened twice": inputs(x="2 3 4 5", t="2 120")
    + layer("TanH", "x", "h")
    + layer("Flatten", "h", "f")
    + layer("Flatten", "h", "g", "flatten_param { end_axis: 3 }")
    + layer("Sigmoid", "g", "g")
    + layer("Concat", "f g", "y")
    + EUCLIDEAN,
    "convolutions": inputs(x="2 3 6 8", t="2 5")
    + layer("Convolution", "x", "c", CONV)
    + layer("ReLU", "c", "c")
    + layer("Pooling", "c", "p", POOL)
    + layer("LRN", "p", "n", "lrn_param { local_size: 3 alpha: 0.5 }")
    + layer("Convolution", "n", "d", CONV)
    + layer("Concat", "d n", "e")
    + layer("Pooling", "e", "e2", POOL + "")
    + ip("y", "e2")
    + EUCLIDEAN,
}


@pytest.mark.parametrize("name", NETS)
def test_gradients(name: str) -> None:
    rng = np.random.default_rng(7)
    values = {
        node.name: rng.uniform(0, 1, node.tops[0].shape) for node in net_of(NETS[name])._nodes if node.type == "Input"
    }
    ignore = ["t"] if "CrossEntropy" in NETS[name] else []  # a loss without a gradient to its targets
    check_gradient(NETS[name], values, ignore=ignore, step=1e-6, seed=3)
