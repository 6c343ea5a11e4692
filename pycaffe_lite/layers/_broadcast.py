"""What Bias and Scale share: x meets an operand that has only some of its axes, and is the same along the others."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, canonical_axis, exactly, from_to
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.order import Order
from pycaffe_lite.proto import caffe_pb2 as pb


class BroadcastLayer(Layer):
    """Bottoms: x, and the operand unless it is learnt. Top: x's shape.

    The operand has x's axes from `axis` on: as many as bottom 1 has, or `num_axes` of them (-1: all, 0: a number, for
    which axis does not matter).
    """

    bottoms = from_to(1, 2)
    tops = exactly(1)

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return True

    def backward_reads_top_data(self) -> bool:
        return False

    def _fields(self) -> tuple[str, pb.BiasParameter | pb.ScaleParameter]:
        """The name of the layer's own message, and the message."""
        raise NotImplementedError

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        self._place(bottom_shapes)
        return [bottom_shapes[0]]

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        x = bottom[0].shape
        axis, shape = self._place([b.shape for b in bottom])
        for blob in self.blobs:
            if blob.shape != shape:
                raise ShapeError(
                    f"bottom shape {x} needs parameters of shape {shape}, they have {blob.shape}",
                    hint="These dimensions cannot change once the net is built.",
                )
        end = axis + len(shape)
        self._others = (*range(axis), *range(end, len(x)))  # axes along which the operand is the same
        self._wide = (*[1] * axis, *shape, *[1] * (len(x) - end))

    def _place(self, bottom_shapes: Sequence[Shape]) -> tuple[int, Shape]:
        """The operand's first axis in x, and its shape."""
        name, p = self._fields()
        x, *given = bottom_shapes
        number = len(given[0]) if given else p.num_axes
        if number == 0:
            return 0, ()
        axis = canonical_axis(p.axis, x, f"{name}.axis")
        shape = x[axis:] if number == -1 else x[axis : axis + number]
        if given and given[0] != shape:
            raise ShapeError(
                f"bottom 1 has shape {given[0]}, bottom 0 has {shape} from axis {axis} on",
                hint=f"They must be equal; is {name}.axis right?",
            )
        if len(shape) < number:
            raise ParameterError(
                f"num_axes {number} from axis {axis} on are more than a bottom of shape {x} has",
                field=f"{name}.num_axes",
            )
        return axis, shape

    def _widened(self, operand: Blob) -> Array:
        """The operand with as many axes as x."""
        return operand.stored("data").reshape(self._wide)

    def _operand(self, bottom: Blobs) -> Blob:
        return bottom[1] if len(bottom) == 2 else self.blobs[0]

    def _operand_learns(self, propagate_down: Sequence[bool]) -> bool:
        return propagate_down[1] if len(propagate_down) == 2 else self.param_propagate_down(0)

    def _give_operand(self, bottom: Blobs, gradients: Array) -> None:
        """Sum the gradients of all places that one number of the operand meets, and hand it over."""
        total = self._sum(gradients, self._operand(bottom))
        if len(bottom) == 2:
            bottom[1].open("diff", Order.PLAIN)[...] = total
        else:
            self.blobs[0].diff[...] += total

    def _sum(self, gradients: Array, operand: Blob) -> Array:
        """One number for each of the operand's, from gradients of x's shape."""
        return sum_over(self._others, gradients).reshape(operand.shape)
