"""Logistic regression on points in HDF5 files, and a hidden layer for what it cannot tell apart.

logistic_regression.py FOLDER
"""

import os
import sys

import caffe
import h5py
import numpy as np
from caffe import layers as L
from caffe.proto import caffe_pb2

os.chdir(sys.argv[1])
rng = np.random.RandomState(0)


def make_points(n):
    """Four features; only two tell the classes apart: the inside of a circle beside the middle, and its outside."""
    points = rng.normal(size=(n, 4)).astype(np.float32)
    return points, (np.hypot(points[:, 0] - 0.5, points[:, 1]) > 1.1).astype(np.float32)


def write(name, points, labels, **options):
    with h5py.File(name, "w") as h5:
        h5.create_dataset("data", data=points, **options)
        h5.create_dataset("label", data=labels, **options)


# A source is a list of HDF5 files, plain or compressed.
points, labels = make_points(4000)
write("train_a.h5", points[:1500], labels[:1500])
write("train_b.h5", points[1500:], labels[1500:], compression="gzip", compression_opts=1)
with open("train.txt", "w") as f:
    f.write("train_a.h5\ntrain_b.h5\n")
test_points, test_labels = make_points(1000)
write("test.h5", test_points, test_labels, compression="gzip")
with open("test.txt", "w") as f:
    f.write("test.h5\n")


def classifier(source, hidden):
    n = caffe.NetSpec()
    n.data, n.label = L.HDF5Data(source=source, batch_size=10, ntop=2)
    bottom = n.data
    if hidden:
        n.hidden = L.InnerProduct(n.data, num_output=hidden, weight_filler=dict(type="xavier"))
        bottom = n.relu = L.ReLU(n.hidden, in_place=True)
    n.score = L.InnerProduct(bottom, num_output=2, weight_filler=dict(type="xavier"))
    n.accuracy = L.Accuracy(n.score, n.label)
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return str(n.to_proto())


caffe.set_mode_cpu()
for name, hidden in (("linear", 0), ("hidden", 40)):
    param = caffe_pb2.SolverParameter(base_lr=0.05, momentum=0.9, weight_decay=5e-4, lr_policy="step", gamma=0.1)
    param.train_net, param.snapshot_prefix = name + "_train.prototxt", name
    param.test_net.append(name + "_test.prototxt")
    param.test_iter.append(100)
    param.test_interval, param.stepsize, param.max_iter, param.snapshot, param.random_seed = 1000, 1500, 2000, 2000, 4
    param.solver_mode = caffe_pb2.SolverParameter.CPU
    for path, source in ((param.train_net, "train.txt"), (param.test_net[0], "test.txt")):
        with open(path, "w") as f:
            f.write(classifier(source, hidden))
    with open(name + "_solver.prototxt", "w") as f:
        f.write(str(param))

    solver = caffe.get_solver(name + "_solver.prototxt")
    solver.solve()
    test_net = solver.test_nets[0]
    batches = len(test_points) // test_net.blobs["data"].num
    right = 0.0
    for _ in range(batches):
        test_net.forward()
        right += test_net.blobs["accuracy"].data
    print("{} accuracy {:.3f} of {} batches".format(name, float(right) / batches, batches))

    # The weights, written and read again, give the same by hand.
    net = caffe.Net(param.test_net[0], name + "_iter_2000.caffemodel", caffe.TEST)
    scores = test_points
    for params in net.params.values():
        if scores is not test_points:
            scores = np.maximum(scores, 0)
        scores = scores.dot(params[0].data.T) + params[1].data
    print("{} by hand {:.3f}".format(name, (scores.argmax(axis=1) == test_labels).mean()))
print("always the same {:.3f}".format(max(test_labels.mean(), 1 - test_labels.mean())))
