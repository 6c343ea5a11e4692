"""Siamese networks: pairs of digits in a database, two branches that share their weights, a contrastive loss.

siamese.py FOLDER               which holds mnist_train_lmdb and mnist_test_lmdb
"""

import os
import sys

import caffe
import lmdb
import numpy as np
from caffe import layers as L
from caffe import params as P

os.chdir(sys.argv[1])


def read(path):
    datum = caffe.proto.caffe_pb2.Datum()
    images, labels = [], []
    env = lmdb.open(path, readonly=True)
    with env.begin() as txn:
        for key, value in txn.cursor():
            datum.ParseFromString(value)
            images.append(np.frombuffer(datum.data, dtype=np.uint8).reshape(datum.channels, datum.height, datum.width))
            labels.append(datum.label)
    env.close()
    return np.array(images), np.array(labels)


images, labels = read("mnist_train_lmdb")
rng = np.random.RandomState(0)
env = lmdb.open("siamese_train_lmdb", map_size=1 << 30)
with env.begin(write=True) as txn:
    for k in range(4000):
        i = rng.randint(len(labels))
        candidates = np.flatnonzero((labels == labels[i]) == (k % 2 == 0))
        j = rng.choice(candidates)
        pair = caffe.io.array_to_datum(np.concatenate([images[i], images[j]]), int(labels[i] == labels[j]))
        txn.put("{:08}".format(k).encode("ascii"), pair.SerializeToString())
env.close()


def branch(n, bottom, suffix):
    """LeNet up to two features; layers of both branches have their parameters' names in common."""

    def shared(name):
        return dict(param=[dict(name=name + "_w", lr_mult=1), dict(name=name + "_b", lr_mult=2)],
                    weight_filler=dict(type="xavier"), bias_filler=dict(type="constant"))  # fmt: skip

    conv1 = n["conv1" + suffix] = L.Convolution(bottom, num_output=8, kernel_size=5, **shared("conv1"))
    pool1 = n["pool1" + suffix] = L.Pooling(conv1, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    conv2 = n["conv2" + suffix] = L.Convolution(pool1, num_output=16, kernel_size=5, **shared("conv2"))
    pool2 = n["pool2" + suffix] = L.Pooling(conv2, pool=P.Pooling.MAX, kernel_size=2, stride=2)
    ip1 = n["ip1" + suffix] = L.InnerProduct(pool2, num_output=100, **shared("ip1"))
    relu1 = n["relu1" + suffix] = L.ReLU(ip1, in_place=True)
    ip2 = n["ip2" + suffix] = L.InnerProduct(relu1, num_output=10, **shared("ip2"))
    n["feat" + suffix] = L.InnerProduct(ip2, num_output=2, **shared("feat"))


n = caffe.NetSpec()
n.pair_data, n.sim = L.Data(source="siamese_train_lmdb", backend=P.Data.LMDB, batch_size=64, ntop=2,
                            transform_param=dict(scale=1.0 / 255))  # fmt: skip
n.data, n.data_p = L.Slice(n.pair_data, slice_dim=1, slice_point=1, ntop=2)
branch(n, n.data, "")
branch(n, n.data_p, "_p")
n.loss = L.ContrastiveLoss(n.feat, n.feat_p, n.sim, margin=1)
with open("siamese.prototxt", "w") as f:
    f.write('name: "mnist_siamese_train_test"\n' + str(n.to_proto()))
n = caffe.NetSpec()
n.data = L.Input(shape=dict(dim=[500, 1, 28, 28]))
branch(n, n.data, "")
with open("siamese_deploy.prototxt", "w") as f:
    f.write(str(n.to_proto()))
with open("siamese_solver.prototxt", "w") as f:
    f.write("""net: "siamese.prototxt" base_lr: 0.02 momentum: 0.9 weight_decay: 0.0 lr_policy: "inv" gamma: 0.0001
        power: 0.75 max_iter: 150 display: 50 snapshot: 150 snapshot_prefix: "siamese" random_seed: 1""")

caffe.set_mode_cpu()
solver = caffe.SGDSolver("siamese_solver.prototxt")
test_images, test_labels = read("mnist_test_lmdb")


def nearest_mean(net):
    """How many test digits lie nearest to their own class's mean, means and digits taken from the test set's halves."""
    feat = net.forward(data=test_images / 255.0)["feat"]
    half = len(feat) // 2
    means = np.array([feat[:half][test_labels[:half] == k].mean(axis=0) for k in range(10)])
    distances = ((feat[half:, np.newaxis] - means) ** 2).sum(axis=2)
    return (distances.argmin(axis=1) == test_labels[half:]).mean()


net = caffe.Net("siamese_deploy.prototxt", caffe.TEST)
net.share_with(solver.net)
before, losses = nearest_mean(net), []
for it in range(150):
    solver.step(1)
    losses.append(float(solver.net.blobs["loss"].data))
solver.snapshot()
for name in ("conv1", "ip1", "feat"):
    for ours, theirs in zip(solver.net.params[name], solver.net.params[name + "_p"]):
        assert (ours.data == theirs.data).all()
print("loss {:.4f} to {:.4f}".format(np.mean(losses[:10]), np.mean(losses[-10:])))
print("nearest mean {:.3f} to {:.3f}".format(before, nearest_mean(net)))
loaded = caffe.Net("siamese_deploy.prototxt", "siamese_iter_150.caffemodel", caffe.TEST)
print("loaded {:.3f}".format(nearest_mean(loaded)))
