"""Convolution of images by oneDNN's direct kernels."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn._arrays import open_target, read
from pycaffe_lite.engines.onednn._convolution import ByConvolution, ConvolutionPrimitives
from pycaffe_lite.engines.onednn._parameters import Gradients
from pycaffe_lite.engines.onednn._primitive import DIFF_DST, DIFF_SRC, DIFF_WEIGHTS, DST, SRC, WEIGHTS, Primitive
from pycaffe_lite.engines.onednn._tail import WithTail
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.convolution import Convolution
from pycaffe_lite.registry import register_layer
from pycaffe_lite.storage import Order


@register_layer("Convolution", engine="onednn")
class OneDnnConvolution(WithTail, ByConvolution, Convolution):
    """Convolution of float32 images, where oneDNN has fast kernels for all three passes; otherwise numpy's."""

    passing_scratch = Convolution.passing_scratch | {"to data", "x"}
    _primitives: ConvolutionPrimitives | None = None

    def _convolution(self, bottom: Shape, top: Shape) -> ConvolutionPrimitives:
        return ConvolutionPrimitives(bottom, self.blobs[0].shape, top, self._geometry, self._bias)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        if (primitives := self._primitives) is None:
            super().forward_cpu(bottom, top)
            return
        self._forward(primitives.forward(), [], bottom, top)

    def _forward(self, run: Primitive, numbers: Sequence[Array], bottom: Blobs, top: Blobs) -> None:
        take, weights, give = (run.description.layout(a) for a in (SRC, WEIGHTS, DST))
        assert self._primitives is not None
        w, biases = (
            self._weights_as(self._primitives.weights, weights),
            [blob.stored("data") for blob in self.blobs[1:]],
        )
        for x, y in zip(bottom, top, strict=True):
            source = read(x.stored("data"), take, self._scratch, "x")
            target = open_target(y, "data", Order.CHANNELS_INNERMOST, give, self._scratch)
            run(source, w, *biases, target.memory, *numbers)
            target.done()

    def _backward_data(self, primitives: ConvolutionPrimitives, x: Blob, y: Blob) -> None:
        run = primitives.backward_data()
        give, weights, take = (run.description.layout(a) for a in (DIFF_SRC, WEIGHTS, DIFF_DST))
        dy = read(y.stored("diff"), take, self._scratch, "dy")
        target = open_target(x, "diff", Order.CHANNELS_INNERMOST, give, self._scratch)
        run(target.memory, self._weights_as(primitives.weights, weights), dy)
        target.done()

    def _backward_weights(self, primitives: ConvolutionPrimitives, x: Blob, y: Blob) -> None:
        run = primitives.backward_weights()
        take_x, give, take_dy = (run.description.layout(a) for a in (SRC, DIFF_WEIGHTS, DIFF_DST))
        source = read(x.stored("data"), take_x, self._scratch, "x")
        dy = read(y.stored("diff"), take_dy, self._scratch, "dy")
        gradients = Gradients(self, primitives.weights, give, self._scratch)
        run(source, *gradients.memory, dy)
        gradients.add()
