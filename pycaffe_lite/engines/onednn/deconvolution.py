"""Deconvolution of images by the passes of the convolution that it is the backward pass of."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn._arrays import open_target, read
from pycaffe_lite.engines.onednn._convolution import ByConvolution, ConvolutionPrimitives
from pycaffe_lite.engines.onednn._parameters import Gradients
from pycaffe_lite.engines.onednn._primitive import DIFF_DST, DIFF_SRC, DIFF_WEIGHTS, DST, SRC, WEIGHTS
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.deconvolution import Deconvolution
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order


@register_layer("Deconvolution", engine="onednn")
class OneDnnDeconvolution(ByConvolution, Deconvolution):
    """Deconvolution of float32 images, where oneDNN has fast kernels for all three passes; otherwise numpy's."""

    passing_scratch = Deconvolution.passing_scratch | {"to data", "x"}

    def _convolution(self, bottom: Shape, top: Shape) -> ConvolutionPrimitives:
        return ConvolutionPrimitives(top, self.blobs[0].shape, bottom, self._geometry, bias=False)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().forward_cpu(bottom, top)
            return
        run = primitives.backward_data()
        give, weights, take = (run.description.layout(a) for a in (DIFF_SRC, WEIGHTS, DIFF_DST))
        w = self._weights_as(primitives.weights, weights)
        for x, y in zip(bottom, top, strict=True):
            source = read(x.stored("data"), take, self._scratch, "x")
            target = open_target(y, "data", Order.CHANNELS_INNERMOST, give, self._scratch)
            run(target.memory, w, source)
            target.done()
            if self._bias:
                sums = y.stored("data")
                sums += self.blobs[1].stored("data").reshape(-1, 1, 1)

    def _backward_data(self, primitives: ConvolutionPrimitives, x: Blob, y: Blob) -> None:
        run = primitives.forward()
        take, weights, give = (run.description.layout(a) for a in (SRC, WEIGHTS, DST))
        dy = read(y.stored("diff"), take, self._scratch, "dy")
        target = open_target(x, "diff", Order.CHANNELS_INNERMOST, give, self._scratch)
        run(dy, self._weights_as(primitives.weights, weights), target.memory)
        target.done()

    def _backward_weights(self, primitives: ConvolutionPrimitives, x: Blob, y: Blob) -> None:
        run, dy = primitives.backward_weights(), y.stored("diff")
        take_dy, give, take_x = (run.description.layout(a) for a in (SRC, DIFF_WEIGHTS, DIFF_DST))
        gradients = Gradients(self, primitives.weights, give, self._scratch)
        source = read(x.stored("data"), take_x, self._scratch, "x")
        run(read(dy, take_dy, self._scratch, "dy"), gradients.memory[0], source)
        if self._bias:
            np.sum(dy, axis=(0, 2, 3), out=gradients.memory[1])
        gradients.add()
