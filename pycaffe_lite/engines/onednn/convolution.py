"""Convolution of images by oneDNN's direct kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob, shapes_of
from pycaffe_lite.done import Done, Several, together
from pycaffe_lite.engines.onednn._arrays import FLOAT, Adaptive, Runs, layout, put
from pycaffe_lite.engines.onednn._convolution import ByConvolution, ConvolutionPrimitives
from pycaffe_lite.engines.onednn._direct import FEW_CHANNELS
from pycaffe_lite.engines.onednn._line import BETWEEN, InLine, Line, length
from pycaffe_lite.engines.onednn._parameters import Gradients
from pycaffe_lite.engines.onednn._parts import ConvolutionOfParts
from pycaffe_lite.engines.onednn._primitive import DIFF_WEIGHTS, DST, WEIGHTS, Layout, Lies
from pycaffe_lite.engines.onednn._tail import ADDEND, BEYOND, ONTO, Tail, absorbable_beyond
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers.convolution import Convolution
from pycaffe_lite.order import Order
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer
from pycaffe_lite.watched import note_change


@register_layer("Convolution", engine="onednn")
class OneDnnConvolution(InLine, ByConvolution, Convolution):
    """Convolution of float32 images: the passes that oneDNN has fast kernels for, the others numpy's."""

    passing_scratch = Convolution.passing_scratch | {"x", "y", *BETWEEN}
    folds = slopes = True
    _primitives: ConvolutionPrimitives | None = None
    _of_parts: ConvolutionOfParts | None = None
    _line: Line | None = None
    _kept_folded: tuple[tuple[Lies, list[int | None]], list[Array]] | None = None
    """How W with a tail in it lies, what that and the biases are made of, and they themselves."""

    def _convolution(self, bottom: Shape, top: Shape) -> ConvolutionPrimitives:
        w, learning = self.blobs[0].shape, self.phase == pb.TRAIN
        return ConvolutionPrimitives(bottom, w, top, self._geometry, bias=self._bias, learning=learning)

    def forward(self, bottom: Blobs, top: Blobs) -> Done | None:
        if (primitives := self._primitives) is None:
            return super().forward(bottom, top)
        return self._forward_alone(primitives.forward(), bottom, top)

    def absorbs_beyond(self, followers: Sequence[Layer]) -> int:
        return absorbable_beyond(followers) if self.blobs.dtype == FLOAT else 0

    def forward_beyond(self, followers: Sequence[Layer], other: Blob, bottom: Blobs, top: Blobs) -> Done | None:
        onto = top[0].lies_with(other)
        if (prepared := self._prepared_with(ONTO if onto else BEYOND, followers)) is None:
            return None
        run, addend = prepared.run, other.stored("data")
        if layout(addend) is not run.arguments[DST]:
            return None
        x, y = bottom[0].stored("data"), top[0].open("data", Order.CHANNELS_INNERMOST)
        if layout(y) is not run.arguments[DST] or np.may_share_memory(addend, y) is not onto:
            return None
        numbers = [addend if array is ADDEND else array for array in prepared.numbers]
        return run.adapted(self._scratch, x, *prepared.parameters, y, *numbers)

    def absorbs_parts(self) -> bool:
        return self.blobs.dtype == FLOAT and self._geometry.group == 1

    def forward_parts(self, followers: Sequence[Layer], parts: Blobs, top: Blobs) -> Done | None:
        if self._primitives is None:
            return None
        shapes = shapes_of(parts)
        if (whole := self._of_parts) is None or whole.parts != shapes:
            w, y_shape = self.blobs[0].shape, top[0].shape
            whole = ConvolutionOfParts(shapes, w, y_shape, self._geometry, followers, bias=self._bias)
            self._of_parts = whole
        steps = whole.steps((self, *followers), self._scratch)
        y = top[0].open("data", Order.CHANNELS_INNERMOST)
        if not steps or layout(y) is not steps[0].run.arguments[DST]:
            return None
        return Several(
            step.run.adapted(self._scratch, part.stored("data"), *step.parameters, y, *step.numbers)
            for step, part in zip(steps, parts, strict=True)
        )

    def absorbs_line(self, followers: Sequence[Layer], shapes: Sequence[Shape]) -> int:
        return max(0, length((self, *followers), shapes) - 1) if shapes[0][1] <= FEW_CHANNELS else 0

    def forward_line(self, followers: Sequence[Layer], bottom: Blobs, tops: Blobs) -> Done | None:
        shapes = shapes_of([*bottom, *tops])
        if (line := self._line) is None or line.shapes != shapes:
            line = self._line = Line((self, *followers), shapes)
        return line.forward(bottom[0], tops[-1], self._scratch)

    def suits_line(self, x: Shape, y: Shape) -> bool:
        g = self._geometry
        alone = g.group == x[1] or (g.group == 1 and (g.pointwise or x[1] <= FEW_CHANNELS))
        return self._primitives is not None and alone

    def run_in_line(self, lies: Layout | None, x: Shape, y: Shape, tail: Tail) -> Adaptive | None:
        return None if self._primitives is None else self._primitives.forward_from(lies, tail)

    def _parameters(self, run: Runs) -> list[Array]:
        assert self._primitives is not None
        return self._parameters_as(self._primitives.weights, run.arguments[WEIGHTS])

    def _folded(self, run: Runs, tail: Tail) -> list[Array] | None:
        assert self._primitives is not None
        lies, wanted = self._primitives.weights, run.arguments[WEIGHTS]
        versions = [*(blob.written("data") for blob in self.blobs), *tail.folded_version()]
        kept = self._kept_folded
        if kept is None or None in versions or kept[0] != (wanted, versions):
            w, *biases = (blob.stored("data") for blob in self.blobs)
            if (made := tail.folded(w, biases)) is None:
                return None
            if kept is not None and kept[0][0] is not wanted:
                note_change()  # who goes by the copy that was in this memory
            self._kept_folded = None  # also where what follows is interrupted
            copy = self._scratch("folded weights", (wanted.nbytes // 4,), FLOAT)
            put(lies, wanted, made[0], copy)
            kept = self._kept_folded = (wanted, versions), [copy, made[1]]
        return kept[1]

    def _forward(
        self, run: Runs, parameters: Sequence[Array], numbers: Sequence[Array], bottom: Blobs, top: Blobs
    ) -> Done | None:
        done: Done | None = None
        for x, y in zip(bottom, top, strict=True):
            target = y.open("data", Order.CHANNELS_INNERMOST)
            done = run.adapted(self._scratch, x.stored("data"), *parameters, target, *numbers)
        return done if len(bottom) == 1 else None

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if self._primitives is not None:  # numpy's passes behind oneDNN's find nothing that numpy's left
            self._seen, self._by_batch = None, self._goes_by_batch(top[0].shape, innermost=False)
        return super().backward_cpu(top, propagate_down, bottom)

    def _backward_both(self, x: Blob, y: Blob) -> Done | None:
        if (primitives := self._primitives) is None or (run := primitives.backward()) is None:
            return super()._backward_both(x, y)
        gradients = Gradients(self, primitives.weights, run.arguments[DIFF_WEIGHTS], self._scratch)
        given = x.stored("data"), *gradients.memory, y.stored("diff"), x.open("diff", Order.CHANNELS_INNERMOST)
        done = self._with_weights(run, lambda w: run.adapted(self._scratch, *given, w))
        return together([done, gradients.add()])

    def _backward_data(self, x: Blob, y: Blob) -> Done | None:
        if (primitives := self._primitives) is None or (run := primitives.backward_data()) is None:
            return super()._backward_data(x, y)
        dx, dy = x.open("diff", Order.CHANNELS_INNERMOST), y.stored("diff")
        return self._with_weights(run, lambda w: run.adapted(self._scratch, dx, w, dy))

    def _with_weights(self, run: Runs, work: Callable[[Array], Done]) -> Done | None:
        """What `work` does with W as `run` takes it, and before that to copy W if nobody has in this pass."""
        assert self._primitives is not None
        copied = self._copied
        w = self._weights_as(self._primitives.weights, run.arguments[WEIGHTS])
        done = work(w)
        return done if self._copied is copied else self._with_copy([w], done)

    def _backward_weights(self, x: Blob, y: Blob) -> Done | None:
        if (primitives := self._primitives) is None or (run := primitives.backward_weights()) is None:
            return super()._backward_weights(x, y)
        gradients = Gradients(self, primitives.weights, run.arguments[DIFF_WEIGHTS], self._scratch)
        done = run.adapted(self._scratch, x.stored("data"), *gradients.memory, y.stored("diff"))
        return together([done, gradients.add()])
