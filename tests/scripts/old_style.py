"""What scripts of all years do with nets, messages and solvers, on one small network.

old_style.py CIFAR10_QUICK_FOLDER CIFAR10.NPZ FOLDER
"""

import os
import sys

caffe_root = os.environ.get("CAFFE_ROOT", "../")
sys.path.insert(0, caffe_root + "python")

import caffe
import google.protobuf.text_format as txtf
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format

model_dir = os.path.abspath(sys.argv[1])
cifar = np.load(sys.argv[2])
os.chdir(sys.argv[3])
MODEL = os.path.join(model_dir, "cifar10_quick.prototxt")
PRETRAINED = os.path.join(model_dir, "cifar10_quick_iter_5000.caffemodel")

# The prototxt as a message, as text, and back.
net_param = caffe_pb2.NetParameter()
with open(MODEL) as f:
    text_format.Merge(f.read(), net_param)
again = txtf.Parse(txtf.MessageToString(net_param), caffe.proto.caffe_pb2.NetParameter())
assert again == net_param
convolutions = [layer for layer in net_param.layer if layer.type == "Convolution"]
print([(str(layer.name), int(layer.convolution_param.num_output)) for layer in convolutions])

# Weights as a message.
weights = caffe_pb2.NetParameter()
with open(PRETRAINED, "rb") as f:
    weights.ParseFromString(f.read())
stored = {
    layer.name: [caffe.io.blobproto_to_array(b) for b in layer.blobs] for layer in weights.layer or weights.layers
}

# The mean.
blob = caffe.proto.caffe_pb2.BlobProto()
with open(os.path.join(model_dir, "mean.binaryproto"), "rb") as f:
    blob.ParseFromString(f.read())
mean = np.array(caffe.io.blobproto_to_array(blob))[0]
np.save("mean.npy", mean)
assert mean.shape == (3, 32, 32)

caffe.set_mode_cpu()
net = caffe.Net(MODEL, PRETRAINED, caffe.TEST)
print([(k, v.data.shape) for k, v in net.blobs.items()][:3])
for name, params in net.params.items():
    print("{}: {}".format(name, ", ".join(str(p.data.shape) for p in params)))
    for ours, theirs in zip(params, stored[name]):
        assert np.array_equal(ours.data, theirs.reshape(ours.data.shape))
assert net._layer_names[0] in ("data", "input") and len(net._layer_names) == len(net.layers)
for i, (name, layer) in enumerate(zip(net._layer_names, net.layers)):
    if len(layer.blobs):
        assert layer.blobs[0].data is not None and layer.type in ("Convolution", "InnerProduct")
        assert np.shares_memory(layer.blobs[0].data, net.params[name][0].data)
        b = net.params[name][0]
        assert b.count == b.num * b.channels * b.height * b.width or len(b.shape) == 2

# Classifier, with the picture's file read and resized by hand.
images, labels = cifar["images"], cifar["labels"]
classifier = caffe.Classifier(MODEL, PRETRAINED, mean=np.load("mean.npy"), raw_scale=255, image_dims=(32, 32))
first = images[:100].astype(np.float32) / 255
predictions = classifier.predict(list(first), oversample=False)
print("accuracy of 100: {:.2f}".format((predictions.reshape(100, -1).argmax(1) == labels[:100]).mean()))
print("top-3 of one: {}".format((-predictions.reshape(100, -1)[0]).argsort()[:3]))

# A solver.
with open("train.prototxt", "w") as f:
    f.write("""
name: "small"
layers { name: "data" type: DUMMY_DATA top: "data" top: "label"
  dummy_data_param { shape { dim: 8 dim: 3 dim: 32 dim: 32 } shape { dim: 8 }
    data_filler { type: "gaussian" std: 50 } data_filler { type: "constant" value: 3 } } }
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1" blobs_lr: 1 blobs_lr: 2
  convolution_param { num_output: 32 pad: 2 kernel_size: 5 weight_filler { type: "gaussian" std: 0.0001 } } }
layers { name: "relu1" type: RELU bottom: "conv1" top: "conv1" }
layers { name: "ip" type: INNER_PRODUCT bottom: "conv1" top: "ip"
  inner_product_param { num_output: 10 weight_filler { type: "gaussian" std: 0.001 } } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "ip" bottom: "label" top: "loss" }
""")
with open("solver.prototxt", "w") as f:
    f.write('net: "train.prototxt" test_iter: 1 test_interval: 100 base_lr: 0.000001 lr_policy: "fixed" momentum: 0.9 '
            'display: 1 snapshot_prefix: "small" solver_mode: CPU solver_type: SGD random_seed: 2')  # fmt: skip
solver = caffe.SGDSolver("solver.prototxt")
solver.net.copy_from(PRETRAINED)
assert np.array_equal(solver.net.params["conv1"][0].data, net.params["conv1"][0].data)
solver.net.forward()
solver.test_nets[0].forward()
solver.net.backward()
print("gradient {}".format(np.abs(solver.net.params["conv1"][0].diff).max() > 0))
losses = []
for it in range(5):
    solver.step(1)
    losses.append(solver.net.blobs["loss"].data.copy())
solver.test_nets[0].forward()
print("iter {} loss falls {}".format(solver.iter, bool(losses[-1] < losses[0] and float(losses[-1]) > 0)))
solver.snapshot()
print(sorted(name for name in os.listdir(".") if name.startswith("small_iter_5")))
