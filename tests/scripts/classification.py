"""Classification with SqueezeNet: a batch through a Transformer, and ten crops through Classifier.

classification.py MODEL_FOLDER LABELS.CSV
"""

import csv
import os
import sys

import caffe
import numpy as np

model_def = os.path.join(sys.argv[1], "deploy.prototxt")
model_weights = os.path.join(sys.argv[1], "squeezenet_v1.0.caffemodel")
folder = os.path.dirname(sys.argv[2])
with open(sys.argv[2]) as f:
    rows = list(csv.DictReader(f))

caffe.set_mode_cpu()
net = caffe.Net(model_def, model_weights, caffe.TEST)

mu = np.array([104.0, 117.0, 123.0])
transformer = caffe.io.Transformer({"data": net.blobs["data"].data.shape})
transformer.set_transpose("data", (2, 0, 1))  # channels first
transformer.set_mean("data", mu)
transformer.set_raw_scale("data", 255)  # load_image gives 0 to 1
transformer.set_channel_swap("data", (2, 1, 0))  # BGR

net.blobs["data"].reshape(len(rows), 3, 227, 227)
images = [caffe.io.load_image(os.path.join(folder, row["file"])) for row in rows]
for i, image in enumerate(images):
    net.blobs["data"].data[i, ...] = transformer.preprocess("data", image)
output = net.forward()
prob = output[net.outputs[0]].reshape(len(rows), -1)
labels = np.array([int(row["class_index"]) for row in rows])
print(f"right {(prob.argmax(axis=1) == labels).sum()} of {len(rows)}")
top5 = prob.argsort(axis=1)[:, :-6:-1]
print(f"in the first five {sum(label in five for label, five in zip(labels, top5))}")

# What went in can be looked at.
seen = transformer.deprocess("data", net.blobs["data"].data[0])
assert seen.shape == (227, 227, 3)
assert seen.min() >= -0.01 and seen.max() <= 1.01

# Filters and responses, in order.
for layer_name, blob in list(net.blobs.items())[:3]:
    print(layer_name + "\t" + str(blob.data.shape))
for layer_name, param in list(net.params.items())[:2]:
    print(layer_name + "\t" + str(param[0].data.shape), str(param[1].data.shape))

classifier = caffe.Classifier(model_def, model_weights, image_dims=(256, 256),
                              mean=mu, raw_scale=255, channel_swap=(2, 1, 0))  # fmt: skip
few = [0, 3, 6]
predictions = classifier.predict([images[i] for i in few])
print(f"with ten crops {(predictions.argmax(axis=1) == labels[few]).sum()} of {len(few)}")
center = classifier.predict([images[few[0]]], oversample=False)
print(f"predictions {predictions.shape} and {center.shape}")
