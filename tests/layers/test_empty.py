"""Batches without items, which Filter may leave: every layer takes them, or says why not."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError
from pycaffe_lite.testing import Bench, LayerCase, uniform
from tests.layers.cases import CASES
from tests.layers.cases_losses_recurrent import cont
from tests.layers.nets import net_of

# Where the first axis is not that of a batch, or there is nothing to choose from: what the error says.
REFUSED = {
    "ArgMax axis 0 5x3": "top_k is 1",
    "Crop axis 0 offset [1, 2] 5x7+2x3": "from offset 1 on",
    "Slice axis 0 slice_point 2 5x3 2 tops": "slice_points must rise",
}


def refusal(case: LayerCase) -> str:
    return "T not 0" if case.type in ("LSTM", "RNN") else REFUSED.get(str(case), "")


@pytest.mark.parametrize("case", [c for c in CASES if c.bottoms and c.resizable], ids=str)
def test_no_items(case: LayerCase) -> None:
    bench = Bench(case)
    bench.fill(1, more_items=None)
    if why := refusal(case):
        with pytest.raises(CaffeError, match=why):
            bench.forward()
    else:
        tops = bench.forward()
        said = bench.layer.infer_shapes([b.shape for b in bench.node.bottoms])
        assert [t.shape for t in tops] == [t.shape if s is None else s for s, t in zip(said, tops, strict=True)]
        assert all(np.isfinite(top).all() for top in tops)
        if bench.has_backward:
            assert not any(gradient.any() for gradient in bench.gradients().params)
    after_that(bench)


def after_that(bench: Bench) -> None:
    """The layer gives what a new one gives that has the same statistics."""
    fresh = Bench(bench.case)
    for each in (bench, fresh):
        each.fill(2)
    for blob, kept in zip(fresh.layer.blobs, bench.layer.blobs, strict=True):
        blob.data[...] = kept.data
    for got, want in zip(bench.forward(), fresh.forward(), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize(("type_name", "states"), [("LSTM", 2), ("RNN", 1)])
def test_no_sequences(type_name: str, states: int) -> None:
    case = LayerCase(type_name, "recurrent_param { num_output: 4 }", [uniform(3, 5, 2), cont(3, 5)])
    net = net_of(case.prototxt())
    net.forward()
    net.blobs["x0"].reshape(3, 0, 2)
    net.blobs["x1"].reshape(3, 0)
    assert net.forward()["y0"].shape == (3, 0, 4)
    net.backward()
    assert not any(blob.diff.any() for blob in net.params["target"])


def test_a_filter_that_lets_nothing_through_before_a_loss() -> None:
    """The whole way: ten layers on nothing, a loss of 0, and no gradient."""
    net = net_of(
        """
        layer { name: "in" type: "Input" top: "x" top: "t" top: "keep"
                input_param { shape { dim: 4 dim: 2 dim: 6 dim: 6 } shape { dim: 4 } shape { dim: 4 } } }
        layer { name: "filter" type: "Filter" bottom: "x" bottom: "t" bottom: "keep" top: "fx" top: "ft" }
        layer { name: "conv" type: "Convolution" bottom: "fx" top: "conv"
                convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
        layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
        layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
        layer { name: "norm" type: "LRN" bottom: "pool" top: "norm" }
        layer { name: "drop" type: "Dropout" bottom: "norm" top: "norm" }
        layer { name: "ip" type: "InnerProduct" bottom: "norm" top: "ip"
                inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "ft" top: "loss" }
        layer { name: "hinge" type: "HingeLoss" bottom: "ip" bottom: "ft" top: "hinge" }
    """,
        seed=1,  # in which the convolution gives the ReLU something
    )
    net.blobs["x"].data[...] = 1
    for keep in ([0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]):
        net.blobs["keep"].data[...] = keep
        losses = net.forward()
        net.clear_param_diffs()
        net.backward()
        assert (float(losses["loss"]) > 0) == any(keep)
        assert (float(losses["hinge"]) > 0) == any(keep)
        assert net.params["conv"][0].diff.any() == net.params["ip"][0].diff.any() == any(keep)
