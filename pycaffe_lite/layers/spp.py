"""SPP, spatial pyramid pooling (He et al. 2014): an image of any size becomes a vector of one length.

Level i of pyramid_height pools each channel into 2^i x 2^i bins; the levels' bins, flattened, follow each other:

    y = [pool into 1 bin | pool into 4 bins | pool into 16 bins | ...], each (N, C · bins)

MAX, AVE and STOCHASTIC are those of Pooling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.constraints import at_least
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly
from pycaffe_lite.layers import _stochastic, _window
from pycaffe_lite.layers._window import PoolGeometry
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

_SPP = pb.SPPParameter


@register_layer("SPP")
class SPP(Layer):
    """Bottom (N, C, H, W); top (N, C (1 + 4 + 16 + ...)), or (N, C, 1, 1) for a pyramid_height of 1.

    Raises ParameterError for a level of more bins than the image can be cut into, ShapeError for other axes than four.

    Differences from Caffe, which has STOCHASTIC on GPUs only, and only where no level needs padding: windows that hang
    over the edge draw from, and average, what they see of the image.
    """

    bottoms = exactly(1)
    tops = exactly(1)
    constraints = {"spp_param.pyramid_height": at_least(1)}

    @property
    def _pool(self) -> int:
        return self._message.spp_param.pool

    def backward_reads_bottom_data(self) -> bool:
        return self._pool == _SPP.STOCHASTIC

    def backward_reads_top_data(self) -> bool:
        return self._pool == _SPP.STOCHASTIC

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        shape, levels = bottom_shapes[0], self._levels(bottom_shapes[0])
        if len(levels) == 1:
            return [(*shape[:2], *levels[0].output_shape(shape[2:]))]
        return [(shape[0], shape[1] * sum(math.prod(g.output_shape(shape[2:])) for g in levels))]

    def _levels(self, shape: Shape) -> list[PoolGeometry]:
        """The windows of each level: as large as their distance, with the padding that they need to fill the bins."""
        p = self._message.spp_param
        if len(shape) != 4:
            raise ShapeError(f"The bottom has shape {shape}", hint="SPP needs (num, channels, height, width).")
        levels = []
        for bins in (1 << i for i in range(p.pyramid_height)):
            kernel = tuple(-(-n // bins) for n in shape[2:])
            pad = tuple((k * bins - n + 1) // 2 for k, n in zip(kernel, shape[2:], strict=True))
            if any(q >= k for q, k in zip(pad, kernel, strict=True)):
                raise ParameterError(
                    f"A bottom of shape {shape} cannot be cut into {bins} x {bins} bins",
                    field="spp_param.pyramid_height",
                    hint="Take fewer levels, or larger images.",
                )
            levels.append(PoolGeometry(kernel, kernel, pad))
        return levels

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x, pooled = bottom[0].data, _rows(top[0].data)
        for y, part, winner, geometry in self._parts(x):
            if self._pool == _SPP.AVE:
                _window.ave_pool_forward(x, y, geometry, self._scratch)
            elif winner is None:
                _stochastic.mean_forward(x, y, geometry)
            elif self._pool == _SPP.STOCHASTIC:
                _stochastic.draw_forward(x, y, winner, geometry, self._rng())
            else:
                _window.max_pool_forward(x, y, winner, geometry, self._scratch)
            pooled[:, part] = _rows(y)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        dx, gradients = bottom[0].diff, _rows(top[0].diff)
        of_level = self._scratch("dx", dx.shape, dx.dtype)
        dx[...] = 0
        for dy, part, winner, geometry in self._parts(dx):
            _rows(dy)[...] = gradients[:, part]
            if self._pool == _SPP.AVE:
                _window.ave_pool_backward(dy, of_level, geometry, self._scratch)
            elif winner is None:
                y = _rows(top[0].data)[:, part].reshape(dy.shape)
                _stochastic.mean_backward(bottom[0].data, y, dy, of_level, geometry)
            else:
                _window.max_pool_backward(dy, winner, of_level, geometry, self._scratch)
            dx += of_level

    def _parts(self, x: Array) -> Iterator[tuple[Array, slice, Array | None, PoolGeometry]]:
        """For each level: memory for what is pooled, where in the top's rows it goes, memory for winners if any."""
        start = 0
        for i, geometry in enumerate(self._levels(x.shape)):
            shape = (*x.shape[:2], *geometry.output_shape(x.shape[2:]))
            stop = start + math.prod(shape[1:])
            winner = None
            if self._pool == _SPP.MAX or (self._pool == _SPP.STOCHASTIC and self.phase == pb.TRAIN):
                winner = self._scratch(f"winner{i}", shape, _window.winner_type(geometry))
            yield self._scratch(f"pooled{i}", shape, x.dtype), slice(start, stop), winner, geometry
            start = stop


def _rows(array: Array) -> Array:
    """A view (N, all else)."""
    return array.reshape(len(array), math.prod(array.shape[1:]))
