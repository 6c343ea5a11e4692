"""Convolution of images by oneDNN's direct kernels."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn._arrays import Adaptive
from pycaffe_lite.engines.onednn._convolution import ByConvolution, ConvolutionPrimitives
from pycaffe_lite.engines.onednn._parameters import Gradients
from pycaffe_lite.engines.onednn._primitive import DIFF_WEIGHTS, WEIGHTS
from pycaffe_lite.engines.onednn._tail import WithTail
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.convolution import Convolution
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order


@register_layer("Convolution", engine="onednn")
class OneDnnConvolution(WithTail, ByConvolution, Convolution):
    """Convolution of float32 images, where oneDNN has fast kernels for all three passes; otherwise numpy's."""

    passing_scratch = Convolution.passing_scratch | {"x", "y"}
    _primitives: ConvolutionPrimitives | None = None

    def _convolution(self, bottom: Shape, top: Shape) -> ConvolutionPrimitives:
        return ConvolutionPrimitives(bottom, self.blobs[0].shape, top, self._geometry, self._bias)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().forward_cpu(bottom, top)
            return
        self._forward(primitives.forward(), [], bottom, top)

    def _forward(self, run: Adaptive, numbers: Sequence[Array], bottom: Blobs, top: Blobs) -> None:
        assert self._primitives is not None
        w = self._weights_as(self._primitives.weights, run.arguments[WEIGHTS])
        biases = [blob.stored("data") for blob in self.blobs[1:]]
        for x, y in zip(bottom, top, strict=True):
            target = y.open("data", Order.CHANNELS_INNERMOST)
            run.adapted(self._scratch, x.stored("data"), w, *biases, target, *numbers)

    def _backward_data(self, primitives: ConvolutionPrimitives, x: Blob, y: Blob) -> None:
        run, dy = primitives.backward_data(), y.stored("diff")
        w = self._weights_as(primitives.weights, run.arguments[WEIGHTS])
        run.adapted(self._scratch, x.open("diff", Order.CHANNELS_INNERMOST), w, dy)

    def _backward_weights(self, primitives: ConvolutionPrimitives, x: Blob, y: Blob) -> None:
        run = primitives.backward_weights()
        gradients = Gradients(self, primitives.weights, run.arguments[DIFF_WEIGHTS], self._scratch)
        run.adapted(self._scratch, x.stored("data"), *gradients.memory, y.stored("diff"))
        gradients.add()
