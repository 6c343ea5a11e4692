"""A picture climbs towards what one layer of SqueezeNet answers to, from small to large.

deep_dream.py MODEL_FOLDER IMAGE BLOB OUTPUT.PNG
"""

import os
import sys

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from PIL import Image

folder, image_file, blob, output = sys.argv[1:]
MEAN = np.array([104.0, 117.0, 123.0], np.float32).reshape(3, 1, 1)
STEPS, OCTAVES, STEP_SIZE, SHIFT = 5, 3, 1.5, 16

# Nothing is learnt here, so that only force_backward brings gradients down to the picture.
param = caffe_pb2.NetParameter()
with open(os.path.join(folder, "deploy.prototxt")) as f:
    text_format.Merge(f.read(), param)
param.force_backward = True
with open("forced.prototxt", "w") as f:
    f.write(str(param))
caffe.set_mode_cpu()
net = caffe.Net("forced.prototxt", os.path.join(folder, "squeezenet_v1.0.caffemodel"), caffe.TEST)
data, goal = net.blobs["data"], net.blobs[blob]
rng = np.random.RandomState(0)


def resized(picture, height, width):
    planes = [Image.fromarray(plane).resize((width, height), Image.BILINEAR) for plane in picture]
    return np.array([np.asarray(plane) for plane in planes])


def strength():
    net.forward(end=blob)
    return float((goal.data**2).mean())


def climb():
    """One step up the gradient of the blob's squares, with the picture shifted so that no seams show."""
    shift = tuple(rng.randint(-SHIFT, SHIFT + 1, 2))
    data.data[0] = np.roll(data.data[0], shift, axis=(1, 2))
    net.forward(end=blob)
    goal.diff[...] = goal.data
    gradient = net.backward(start=blob)["data"][0]
    data.data[0] += STEP_SIZE * gradient / np.abs(gradient).mean()
    data.data[0] = np.clip(data.data[0], -MEAN, 255 - MEAN)
    data.data[0] = np.roll(data.data[0], (-shift[0], -shift[1]), axis=(1, 2))


photo = np.asarray(Image.open(image_file).resize((160, 120)), np.float32)
whole = photo[:, :, ::-1].transpose(2, 0, 1) - MEAN
detail = np.zeros((3, 1, 1), np.float32)
for octave in reversed(range(OCTAVES)):
    height, width = (int(side / 1.4**octave) for side in whole.shape[1:])
    base = resized(whole, height, width)
    data.reshape(1, 3, height, width)
    data.data[0] = base + resized(detail, height, width)
    before = strength()
    for _ in range(STEPS):
        climb()
    print("octave {} {} {} from {:.4g} to {:.4g}".format(octave, blob, goal.data.shape, before, strength()))
    detail = data.data[0] - base

dream = (data.data[0] + MEAN)[::-1].transpose(1, 2, 0)
assert dream.shape == photo.shape and dream.min() > -0.01 and dream.max() < 255.01
Image.fromarray(dream.clip(0, 255).astype(np.uint8)).save(output)
print("mean change {:.1f}".format(np.abs(dream - photo).mean()))
