"""Input: blobs that the user fills."""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.layer import Blobs, Layer, at_least, exactly
from pycaffe_lite.registry import register_layer


@register_layer("Input")
class Input(Layer):
    """Tops of the shapes in input_param: one for all, or one each. Their data stay as the user wrote them.

    Raises ParameterError for another number of shapes.
    """

    bottoms = exactly(0)
    tops = at_least(1)
    has_backward = False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        shapes = [tuple(s.dim) for s in self._message.input_param.shape]
        tops = len(self._message.top)
        if len(shapes) not in (0, 1, tops):
            raise ParameterError(
                f"{len(shapes)} shapes are given for {tops} tops",
                field="input_param.shape[0]",
                hint="Give one for all or one for each.",
            )
        return list(shapes * tops if len(shapes) == 1 else shapes or [()] * tops)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """Nothing: the user may have reshaped the tops."""

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done:
        """Nothing: the data are the user's."""
        return NOTHING
