"""Python layers as people keep them beside their scripts: a source of data, and a loss."""

import json

import caffe
import numpy as np


class BlobsDataLayer(caffe.Layer):
    """Points in a plane, and which of the shapes around (several at once) they lie in."""

    def setup(self, bottom, top):
        params = json.loads(self.param_str)
        self.batch_size = params["batch_size"]
        self.rng = np.random.RandomState(params["seed"])
        if len(top) != 2:
            raise Exception("Need two tops: data, labels.")
        top[0].reshape(self.batch_size, 2)
        top[1].reshape(self.batch_size, 3)

    def reshape(self, bottom, top):
        """There is no need to reshape the data, since the input is of fixed size."""

    def forward(self, bottom, top):
        for itt in range(self.batch_size):
            x, y = point = self.rng.uniform(-1, 1, 2)
            top[0].data[itt, ...] = point
            top[1].data[itt, ...] = [x > 0, y > x, x + y > 0.2]

    def backward(self, top, propagate_down, bottom):
        """This layer does not back propagate."""


class EuclideanLossLayer(caffe.Layer):
    """The squared distance over twice the batch size, as the built-in one, with the difference kept between passes."""

    def setup(self, bottom, top):
        if len(bottom) != 2:
            raise Exception("Need two inputs to compute distance.")
        self.params = eval(self.param_str_) if self.param_str_ else {}

    def reshape(self, bottom, top):
        if bottom[0].count != bottom[1].count:
            raise Exception("Inputs must have the same dimension.")
        self.diff = np.zeros_like(bottom[0].data, dtype=np.float32)
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.diff[...] = bottom[0].data - bottom[1].data
        top[0].data[...] = np.sum(self.diff**2) / bottom[0].num / 2.0

    def backward(self, top, propagate_down, bottom):
        for i in range(2):
            if not propagate_down[i]:
                continue
            sign = 1 if i == 0 else -1
            bottom[i].diff[...] = sign * self.params.get("scale", 1) * self.diff / bottom[i].num
