"""Deconvolution of images by the passes of the convolution that it is the backward pass of."""

from __future__ import annotations

from pycaffe_lite._typing import Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Done
from pycaffe_lite.engines.onednn._convolution import ByConvolution, ConvolutionPrimitives
from pycaffe_lite.engines.onednn._parameters import Gradients
from pycaffe_lite.engines.onednn._primitive import DIFF_WEIGHTS, WEIGHTS
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.layers.deconvolution import Deconvolution
from pycaffe_lite.order import Order
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer


@register_layer("Deconvolution", engine="onednn")
class OneDnnDeconvolution(ByConvolution, Deconvolution):
    """Deconvolution of float32 images: the passes that oneDNN has fast kernels for, the others numpy's."""

    _pass_of_forward = "backward_data"
    passing_scratch = Deconvolution.passing_scratch | {"dx", "dy", "x", "y"}

    def _convolution(self, bottom: Shape, top: Shape) -> ConvolutionPrimitives:
        w, learning = self.blobs[0].shape, self.phase == pb.TRAIN
        return ConvolutionPrimitives(top, w, bottom, self._geometry, bias=False, learning=learning)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().forward_cpu(bottom, top)
            return
        run = primitives.backward_data()
        assert run is not None
        w = self._weights_as(primitives.weights, run.arguments[WEIGHTS])
        for x, y in zip(bottom, top, strict=True):
            run.adapted(self._scratch, y.open("data", Order.CHANNELS_INNERMOST), w, x.stored("data"))
            if self._bias:
                sums = y.stored("data")
                sums += self.blobs[1].stored("data").reshape(-1, 1, 1)

    def _backward_data(self, x: Blob, y: Blob) -> Done | None:
        if (primitives := self._primitives) is None:
            return super()._backward_data(x, y)
        run, dy = primitives.forward(), y.stored("diff")
        w = self._weights_as(primitives.weights, run.arguments[WEIGHTS])
        run.adapted(self._scratch, dy, w, x.open("diff", Order.CHANNELS_INNERMOST))
        return None

    def _backward_weights(self, x: Blob, y: Blob) -> Done | None:
        if (primitives := self._primitives) is None or (run := primitives.backward_weights()) is None:
            return super()._backward_weights(x, y)
        dy = y.stored("diff")
        gradients = Gradients(self, primitives.weights, run.arguments[DIFF_WEIGHTS], self._scratch)
        run.adapted(self._scratch, dy, gradients.memory[0], x.stored("data"))
        if self._bias:
            sum_over((0, 2, 3), dy, out=gradients.memory[1])
        gradients.add()
        return None
