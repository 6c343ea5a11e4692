"""A V1 model with its solver: training goes on from the state that an old Caffe left."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import pycaffe_lite as caffe
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text, read_caffemodel, read_solver, read_solverstate, read_text

DATA = """layers {
  name: "mnist" type: DUMMY_DATA top: "data" top: "label"
  dummy_data_param {
    shape { dim: 8 dim: 1 dim: 28 dim: 28 } shape { dim: 8 }
    data_filler { type: "constant" value: 0.4 } data_filler { type: "constant" value: 3 }
  }
}"""


def test_training_goes_on(shared: Path) -> None:
    folder = shared / "models" / "lenet_v1"
    old, _ = read_text(folder / "lenet_train_test.prototxt", pb.NetParameter)
    net, _ = parse_text(DATA, pb.NetParameter)
    net.layers.extend(layer for layer in old.layers if layer.type != pb.V1LayerParameter.DATA)
    message, _ = read_solver(folder / "lenet_solver.prototxt")
    for name in ("net", "test_iter", "test_interval", "snapshot", "snapshot_prefix"):
        message.ClearField(name)
    message.net_param.CopyFrom(net)
    message.solver_mode = pb.SolverParameter.CPU
    solver = caffe.get_solver(message)

    state = folder / "lenet_iter_10000.solverstate"
    solver.restore(state)
    assert solver.iter == 10000
    weights = {w.name: w.blobs for w in read_caffemodel(folder / "lenet_iter_10000.caffemodel") if w.blobs}
    assert weights.keys() == solver.net.params.keys()
    for name, blobs in solver.net.params.items():
        for blob, array in zip(blobs, weights[name], strict=True):
            np.testing.assert_array_equal(blob.data.reshape(-1), array.reshape(-1))
    assert list(solver.net.learnable.lr_mult) == [1, 2] * 4

    bias = solver.net.params["ip2"][1]
    before = bias.data.copy()
    solver.net.forward()
    solver.net.backward()
    gradient = bias.diff + message.weight_decay * before
    history = read_solverstate(state).history[-1].reshape(-1)
    solver.step(1)
    rate = 2 * 0.01 * (1 + 0.0001 * 10000) ** -0.75
    np.testing.assert_allclose(bias.data, before - (0.9 * history + rate * gradient), rtol=1e-5, atol=1e-7)
