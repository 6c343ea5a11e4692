"""Linear regression twice, with a Euclidean loss in Python and with the built-in one: they learn alike.

python_loss_layer.py FOLDER
"""

import os
import sys

import caffe
import numpy as np

os.chdir(sys.argv[1])

NET = """
name: "LinearRegressionExample"
layer { type: "DummyData" name: "x" top: "x"
  dummy_data_param { shape: { dim: 10 dim: 3 dim: 2 } data_filler: { type: "gaussian" } } }
layer { type: "DummyData" name: "y" top: "y"
  dummy_data_param { shape: { dim: 10 dim: 4 } data_filler: { type: "gaussian" } } }
layer { type: "InnerProduct" name: "ipx" top: "ipx" bottom: "x"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { type: "InnerProduct" name: "ipy" top: "ipy" bottom: "y"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""
OURS = """
layer { type: "Python" name: "loss" top: "loss" bottom: "ipx" bottom: "ipy"
  python_param { module: "toy_layers" layer: "EuclideanLossLayer" param_str: "{'scale': 1}" }
  # set loss weight so Caffe knows this is a loss layer.
  loss_weight: 1 }
"""
BUILT_IN = 'layer { type: "EuclideanLoss" name: "loss" top: "loss" bottom: "ipx" bottom: "ipy" }'

runs = []
for name, loss in (("python", OURS), ("built_in", BUILT_IN)):
    with open(name + ".prototxt", "w") as f:
        f.write(NET + loss)
    with open(name + "_solver.prototxt", "w") as f:
        f.write(f'net: "{name}.prototxt" base_lr: 0.05 momentum: 0.5 lr_policy: "fixed" max_iter: 40 random_seed: 5 '
                'display: 0 snapshot_after_train: false')  # fmt: skip
    solver = caffe.get_solver(name + "_solver.prototxt")
    losses = []
    for i in range(40):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data.flat[0]))
    runs.append((losses, solver.net.params["ipx"][0].data.copy()))

(ours, w), (built_in, v) = runs
print(f"loss {ours[0]:.3f} to {ours[-1]:.3f}")
np.testing.assert_allclose(ours, built_in, rtol=1e-4, atol=1e-6)
np.testing.assert_allclose(w, v, rtol=1e-4, atol=1e-6)
assert ours[-1] < ours[0] / 2

# What goes wrong in the layer is the layer's own exception.
try:
    with open("wrong.prototxt", "w") as f:
        f.write(NET + OURS.replace('bottom: "ipx" bottom: "ipy"', 'bottom: "ipx"'))
    caffe.Net("wrong.prototxt", caffe.TRAIN)
except Exception as e:
    assert type(e) is Exception
    print(e)
