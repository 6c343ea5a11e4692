"""Net surgery: a classifier with fully connected layers becomes one that slides over larger images.

net_surgery.py FOLDER
"""

import os
import sys

import caffe
import numpy as np

os.chdir(sys.argv[1])

FEATURES = """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 6 kernel_size: 3 stride: 2 weight_filler { type: "msra" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
"""

CLASSIFIER = (
    'name: "Classifier" input: "data" input_dim: 1 input_dim: 3 input_dim: 33 input_dim: 33'
    + FEATURES
    + """
layer { name: "fc6" type: "InnerProduct" bottom: "pool1" top: "fc6"
  inner_product_param { num_output: 20 weight_filler { type: "gaussian" std: 0.1 } bias_filler { value: 0.1 } } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "fc7" type: "InnerProduct" bottom: "fc6" top: "fc7"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 0.3 } } }
layer { name: "prob" type: "Softmax" bottom: "fc7" top: "prob" }
"""
)

FULL_CONV = (
    'name: "FullConv" input: "data" input_dim: 1 input_dim: 3 input_dim: 49 input_dim: 57'
    + FEATURES
    + """
layer { name: "fc6-conv" type: "Convolution" bottom: "pool1" top: "fc6-conv"
  convolution_param { num_output: 20 kernel_size: 8 } }
layer { name: "relu6" type: "ReLU" bottom: "fc6-conv" top: "fc6-conv" }
layer { name: "fc7-conv" type: "Convolution" bottom: "fc6-conv" top: "fc7-conv"
  convolution_param { num_output: 5 kernel_size: 1 } }
layer { name: "prob" type: "Softmax" bottom: "fc7-conv" top: "prob" }
"""
)

for name, text in (("classifier", CLASSIFIER), ("full_conv", FULL_CONV)):
    with open(name + ".prototxt", "w") as f:
        f.write(text)

caffe.set_mode_cpu()
caffe.set_random_seed(7)
net = caffe.Net("classifier.prototxt", caffe.TEST)
net.save("classifier.caffemodel")

# The classifier's last layers.
net = caffe.Net("classifier.prototxt", "classifier.caffemodel", caffe.TEST)
params = ["fc6", "fc7"]
fc_params = {pr: (net.params[pr][0].data, net.params[pr][1].data) for pr in params}
for fc in params:
    w, b = fc_params[fc]
    print("{} weights are {} dimensional and biases are {} dimensional".format(fc, w.shape, b.shape))

# Those that take their place.
net_full_conv = caffe.Net("full_conv.prototxt", "classifier.caffemodel", caffe.TEST)
params_full_conv = ["fc6-conv", "fc7-conv"]
conv_params = {pr: (net_full_conv.params[pr][0].data, net_full_conv.params[pr][1].data) for pr in params_full_conv}
for conv in params_full_conv:
    w, b = conv_params[conv]
    print("{} weights are {} dimensional and biases are {} dimensional".format(conv, w.shape, b.shape))

for pr, pr_conv in zip(params, params_full_conv):
    conv_params[pr_conv][0].flat = fc_params[pr][0].flat
    conv_params[pr_conv][1][...] = fc_params[pr][1]

net_full_conv.save("full_conv.caffemodel")

# The map of the large image is what the classifier says of each window.
net_full_conv = caffe.Net("full_conv.prototxt", caffe.TEST, weights="full_conv.caffemodel")
image = np.random.RandomState(0).uniform(-1, 1, (3, 49, 57)).astype(np.float32)
heat = net_full_conv.forward_all(data=np.asarray([image]))["prob"][0]
print(f"map {heat.shape}")
worst = 0
for i in range(heat.shape[1]):
    for j in range(heat.shape[2]):
        window = image[:, 4 * i : 4 * i + 33, 4 * j : 4 * j + 33]
        prob = net.forward(data=window[np.newaxis])["prob"][0]
        worst = max(worst, abs(prob - heat[:, i, j]).max())
print(f"largest difference {worst:.1e}")
assert worst < 1e-5
assert np.ptp(heat, axis=(1, 2)).max() > 1e-3
