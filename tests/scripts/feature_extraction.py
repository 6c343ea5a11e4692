"""Features of MNIST digits written to an LMDB by hand, read back, and used: by hand, and by a Data layer.

feature_extraction.py MODEL_FOLDER DATA_FOLDER FOLDER
"""

import gzip
import os
import sys

import caffe
import lmdb
import numpy as np
from caffe.proto import caffe_pb2

model, data = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
os.chdir(sys.argv[3])
NUM, BATCH, FEATURE = 600, 100, "ip1"

with gzip.open(os.path.join(data, "t10k-images-idx3-ubyte.gz")) as f:
    images = np.frombuffer(f.read(16 + NUM * 784), np.uint8, offset=16).reshape(NUM, 1, 28, 28)
with gzip.open(os.path.join(data, "t10k-labels-idx1-ubyte.gz")) as f:
    labels = np.frombuffer(f.read(8 + NUM), np.uint8, offset=8)

caffe.set_mode_cpu()
net = caffe.Net(os.path.join(model, "lenet.prototxt"), os.path.join(model, "lenet_iter_10000.caffemodel"), caffe.TEST)
net.blobs["data"].reshape(BATCH, *net.blobs["data"].data.shape[1:])
net.reshape()

features = np.zeros((NUM,) + net.blobs[FEATURE].data.shape[1:], dtype=np.float32)
env = lmdb.Environment("features_lmdb", map_size=int(1e9))
with env.begin(write=True, buffers=True) as txn:
    for first in range(0, NUM, BATCH):
        net.blobs["data"].data[...] = images[first : first + BATCH] / 256.0
        out = net.forward(blobs=[FEATURE])
        features[first : first + BATCH] = out[FEATURE]
        for i, feature in enumerate(out[FEATURE]):
            # a datum has three axes: the features are its channels
            datum = caffe.io.array_to_datum(feature.astype(float).reshape(-1, 1, 1), int(labels[first + i]))
            txn.put("{:0>10d}".format(first + i).encode("ascii"), datum.SerializeToString())
print("wrote {} features of {}".format(env.stat()["entries"], FEATURE))
env.close()

# Read back with the Datum message alone.
read, read_labels = [], []
env = lmdb.open("features_lmdb", readonly=True, lock=False)
with env.begin() as txn:
    cursor = txn.cursor()
    for key, value in cursor:
        datum = caffe_pb2.Datum()
        datum.ParseFromString(value)
        assert (datum.channels, datum.height, datum.width) == (features.shape[1], 1, 1)
        assert not datum.data and not datum.encoded
        read.append(np.array(datum.float_data).astype(np.float32))
        read_labels.append(datum.label)
    first = caffe_pb2.Datum.FromString(txn.get("{:0>10d}".format(0).encode("ascii")))
    assert caffe.io.datum_to_array(first).shape == (features.shape[1], 1, 1)
env.close()
read, read_labels = np.array(read), np.array(read_labels)
assert (read == features).all() and (read_labels == labels).all()

# The nearest neighbour among the first 400 names the others.
known, asked = read[:400], read[400:]
distances = (asked**2).sum(1)[:, np.newaxis] - 2 * asked.dot(known.T) + (known**2).sum(1)
print("nearest neighbour accuracy {:.3f}".format((read_labels[distances.argmin(1)] == read_labels[400:]).mean()))

# A net goes on from the features: the same scores as from the images.
with open("head.prototxt", "w") as f:
    f.write("""
layer { name: "features" type: "Data" top: "ip1" top: "label"
  data_param { source: "features_lmdb" backend: LMDB batch_size: 100 } }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 10 } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" }""")
head = caffe.Net("head.prototxt", caffe.TEST)
head.copy_from(os.path.join(model, "lenet_iter_10000.caffemodel"))
accuracy = np.mean([float(head.forward()["accuracy"]) for _ in range(NUM // BATCH)])
print("accuracy from features {:.4f}".format(accuracy))
prob = net.forward_all(data=images / 256.0)["prob"]
print("accuracy from images {:.4f}".format((prob.argmax(1) == labels).mean()))
