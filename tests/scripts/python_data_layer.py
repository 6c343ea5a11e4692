"""Several labels at once from a Python data layer, learnt with SGD; the score is counted by hand.

python_data_layer.py FOLDER
"""

import json
import os
import sys
from tempfile import NamedTemporaryFile

import caffe
from caffe import layers as L

os.chdir(sys.argv[1])


def multilabel(data_layer_params):
    n = caffe.NetSpec()
    n.data, n.label = L.Python(module="toy_layers", layer="BlobsDataLayer", ntop=2,
                               param_str=json.dumps(data_layer_params))  # fmt: skip
    n.fc1 = L.InnerProduct(n.data, num_output=16, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=3, weight_filler=dict(type="xavier"))
    n.loss = L.SigmoidCrossEntropyLoss(n.score, n.label)
    return str(n.to_proto())


with open("trainnet.prototxt", "w") as f:
    f.write(multilabel({"batch_size": 64, "seed": 1}))
with open("valnet.prototxt", "w") as f:
    f.write(multilabel({"batch_size": 50, "seed": 2}))
with NamedTemporaryFile("w", dir=".", suffix=".prototxt", delete=False) as f:
    f.write("""train_net: "trainnet.prototxt" test_net: "valnet.prototxt" test_iter: 4 test_interval: 250
        base_lr: 0.5 momentum: 0.9 lr_policy: "step" gamma: 0.1 stepsize: 400 max_iter: 500
        display: 0 snapshot_after_train: false random_seed: 3""")

solver = caffe.SGDSolver(f.name)
solver.test_nets[0].share_with(solver.net)


def hamming_distance(gt, est):
    return sum(1 for (g, e) in zip(gt, est) if g == e) / float(len(gt))


def check_accuracy(net, num_batches, batch_size=50):
    acc = 0.0
    for t in range(num_batches):
        net.forward()
        gts = net.blobs["label"].data
        ests = net.blobs["score"].data > 0
        for gt, est in zip(gts, ests):
            acc += hamming_distance(gt, est)
    return acc / (num_batches * batch_size)


for itt in range(4):
    solver.step(60)
    print(f"itt:{(itt + 1) * 60:3d} accuracy:{check_accuracy(solver.test_nets[0], 4):.4f}")
