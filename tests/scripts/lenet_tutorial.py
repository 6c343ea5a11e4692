"""Learning LeNet: a NetSpec written to a file, a solver stepped by hand, accuracy counted by hand, and its pictures.

lenet_tutorial.py FOLDER        which holds mnist_train_lmdb and mnist_test_lmdb; the pictures are written there
"""

import os
import sys

import caffe
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from caffe import layers as L
from caffe import params as P
from caffe.proto import caffe_pb2

os.chdir(sys.argv[1])


def lenet(lmdb, batch_size):
    n = caffe.NetSpec()
    n.data, n.label = L.Data(batch_size=batch_size, backend=P.Data.LMDB, source=lmdb,
                             transform_param=dict(scale=1.0 / 255), ntop=2)  # fmt: skip
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(n.pool1, kernel_size=5, num_output=50, weight_filler=dict(type="xavier"))
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.fc1 = L.InnerProduct(n.pool2, num_output=500, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.fc1, in_place=True)
    n.score = L.InnerProduct(n.relu1, num_output=10, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(n.score, n.label)
    return n.to_proto()


with open("lenet_auto_train.prototxt", "w") as f:
    f.write(str(lenet("mnist_train_lmdb", 64)))
with open("lenet_auto_test.prototxt", "w") as f:
    f.write(str(lenet("mnist_test_lmdb", 100)))

s = caffe_pb2.SolverParameter()
s.random_seed = 0xCAFFE
s.train_net = "lenet_auto_train.prototxt"
s.test_net.append("lenet_auto_test.prototxt")
s.test_interval = 500
s.test_iter.append(10)
s.max_iter = 10000
s.type = "SGD"
s.base_lr = 0.01
s.momentum = 0.9
s.weight_decay = 5e-4
s.lr_policy = "inv"
s.gamma = 0.0001
s.power = 0.75
s.display = 1000
s.snapshot = 5000
s.snapshot_prefix = "custom_net"
s.solver_mode = caffe_pb2.SolverParameter.CPU
with open("lenet_auto_solver.prototxt", "w") as f:
    f.write(str(s))

caffe.set_mode_cpu()
solver = caffe.get_solver("lenet_auto_solver.prototxt")

print([(k, v.data.shape) for k, v in solver.net.blobs.items()])
print([(k, v[0].data.shape) for k, v in solver.net.params.items()])
solver.net.forward()
solver.test_nets[0].forward()
print("train labels: {}".format(solver.net.blobs["label"].data[:8]))
plt.imsave("digits.png", solver.net.blobs["data"].data[:8, 0].transpose(1, 0, 2).reshape(28, 8 * 28), cmap="gray")

solver.step(1)
gradient = solver.net.params["conv1"][0].diff[:, 0].reshape(4, 5, 5, 5).transpose(0, 2, 1, 3).reshape(4 * 5, 5 * 5)
assert np.abs(gradient).max() > 0
plt.imsave("gradient.png", gradient, cmap="gray")

niter = 60
test_interval = 20
train_loss = np.zeros(niter)
test_acc = np.zeros(int(np.ceil(niter / float(test_interval))))
output = np.zeros((niter, 8, 10))
for it in range(niter):
    solver.step(1)
    train_loss[it] = solver.net.blobs["loss"].data
    # from conv1 on, the batch stays that of the last whole pass
    solver.test_nets[0].forward(start="conv1")
    output[it] = solver.test_nets[0].blobs["score"].data[:8]
    if it % test_interval == test_interval - 1:
        correct = 0
        for test_it in range(5):
            solver.test_nets[0].forward()
            correct += sum(solver.test_nets[0].blobs["score"].data.argmax(1) == solver.test_nets[0].blobs["label"].data)
        test_acc[it // test_interval] = correct / 500.0

assert solver.iter == niter + 1
assert np.abs(np.diff(output[:test_interval], axis=0)).max() > 0

figure, losses = plt.subplots()
accuracies = losses.twinx()
losses.plot(train_loss)
accuracies.plot(range(test_interval, niter + 1, test_interval), test_acc, "ro-")
losses.set(xlabel="iteration", ylabel="train loss")
accuracies.set(ylabel="test accuracy", ylim=(0, 1))
figure.savefig("loss.png")


def show_maps(maps, columns, name):
    """Maps (n, height, width) in so many columns."""
    figure, axes = plt.subplots(-(-len(maps) // columns), columns, figsize=(5, 4))
    for axis, one in zip(axes.flat, maps):
        axis.imshow(one, cmap="gray", interpolation="nearest", vmin=maps.min(), vmax=maps.max())
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig(name)


show_maps(solver.net.params["conv1"][0].data[:, 0], 5, "conv1.png")
show_maps(solver.net.blobs["pool2"].data[0], 10, "pool2.png")
plt.figure(figsize=(10, 2))
plt.imshow(output[:50, 0].T, interpolation="nearest", cmap="gray")
plt.xlabel("iteration")
plt.ylabel("label")
plt.savefig("scores.png")

print(f"train loss {train_loss[:5].mean():.3f} to {train_loss[-5:].mean():.3f}")
print("test accuracy {}".format(" ".join(f"{a:.3f}" for a in test_acc)))
