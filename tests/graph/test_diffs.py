"""Gradients take memory only where a backward pass goes."""

from __future__ import annotations

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text

from .nets import fill, inputs, ip, layer

CONV = 'convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } }'
FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"
NET = (
    inputs(x=(4, 6, 13, 11), label=(4,))
    + layer("frozen", "Convolution", "x", "frozen", CONV + FROZEN)
    + layer("frozen_relu", "ReLU", "frozen", "frozen")
    + layer("frozen_pool", "Pooling", "frozen", "frozen_pool", "pooling_param { kernel_size: 3 stride: 2 }")
    + layer("left", "Convolution", "frozen_pool", "left", CONV)
    + layer("blocked", "Convolution", "frozen_pool", "blocked", CONV)
    + layer("blocked_relu", "ReLU", "blocked", "blocked")
    + layer("right", "Convolution", "blocked", "right", CONV + "propagate_down: false")
    + layer("sum", "Eltwise", "left right", "sum")
    + layer("relu", "ReLU", "sum", "sum")
    + layer("flat", "Flatten", "sum", "flat")
    + ip("ip1", "flat", "ip1", 20)
    + layer("drop", "Dropout", "ip1", "ip1")
    + ip("ip2", "ip1", "ip2", 10)
    + layer("accuracy", "Accuracy", "ip2 label", "accuracy")
    + layer("loss", "SoftmaxWithLoss", "ip2 label", "loss")
)


@pytest.mark.usefixtures("engine")
def test_only_where_backward_goes() -> None:
    message, positions = parse_text(NET, pb.NetParameter, "net.prototxt")
    message.state.phase = caffe.TRAIN
    net = caffe.Net.from_message(message, positions, seed=1)
    fill(net)
    net.blobs["label"].data[...] = [3, 1, 4, 1]
    net.forward()
    assert not any(blob._diff.allocated for blob in net.blobs.values())
    assert not net.learnable.diff.allocated
    for _ in range(2):
        net.clear_param_diffs()
        net._backward(len(net.layers) - 1, 0)
        net.forward()
    taken = {name for name, blob in net.blobs.items() if blob._diff.allocated}
    # Of the two that a split makes of ip2 only the loss's; the loss's own is its weight.
    assert taken == {"left", "right", "sum", "flat", "ip1", "ip2", "ip2_ip2_0_split_1", "loss"}
    assert net.blobs["flat"]._diff is net.blobs["sum"]._diff
    assert len({id(blob._diff) for blob in net.blobs.values() if blob._diff.allocated}) == 7
    assert all(np.any(net.blobs[name].diff) for name in taken)
