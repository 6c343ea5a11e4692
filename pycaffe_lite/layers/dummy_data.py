"""DummyData: tops filled by fillers; constants once, random numbers anew in every forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pycaffe_lite._typing import Shape
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.fillers import fill
from pycaffe_lite.layer import Blobs, Layer, at_least, exactly
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

T = TypeVar("T")


@register_layer("DummyData")
class DummyData(Layer):
    """Tops of dummy_data_param.shape (or num, channels, height, width): one for all or one each; likewise data_filler,
    which may also be left out (zeros).

    Raises ParameterError for other numbers of shapes or fillers, and for both kinds of shape.
    """

    bottoms = exactly(0)
    tops = at_least(1)
    has_backward = False

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p = self._message.dummy_data_param
        legacy = [list(p.num), list(p.channels), list(p.height), list(p.width)]
        tops = len(self._message.top)
        if p.shape and any(legacy):
            raise ParameterError(
                "shape and num, channels, height, width are both given",
                field="dummy_data_param.shape[0]",
                hint="Give the shape only.",
            )
        if p.shape:
            return list(_one_each([tuple(s.dim) for s in p.shape], tops, "shape"))
        columns = [
            _one_each(values, tops, name)
            for name, values in zip(("num", "channels", "height", "width"), legacy, strict=True)
        ]
        return list(zip(*columns, strict=True))

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        given = list(self._message.dummy_data_param.data_filler) or [pb.FillerParameter()]
        self._fillers = _one_each([*enumerate(given)], len(top), "data_filler")
        super().reshape(bottom, top)
        for blob, (number, filler) in zip(top, self._fillers, strict=True):
            fill(blob.data, filler, self._rng(), f"dummy_data_param.data_filler[{number}]")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """Nothing: the shapes are set once."""

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        for blob, (_, filler) in zip(top, self._fillers, strict=True):
            if filler.type != "constant":
                fill(blob.data, filler, self._rng())


def _one_each(values: list[T], tops: int, field: str) -> list[T]:
    if len(values) not in (1, tops):
        raise ParameterError(
            f"{field} is given {len(values)} times for {tops} tops",
            field=f"dummy_data_param.{field}[0]",
            hint="Give one for all or one for each.",
        )
    return values * tops if len(values) == 1 else values
