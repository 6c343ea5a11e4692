"""Pooling: each output place is the maximum, the mean or a value drawn from a window of its channel.

    MAX         y = max x over the window        dx: dy goes to the place that was the largest (the first of several)
    AVE         y = Σ x / area                   dx: dy / area goes to every place of the window
    STOCHASTIC  TRAIN: y = x at a place drawn with probability x / Σ x       dx: dy goes to that place
                TEST:  y = Σ x² / Σ x            dx: dy (2 x - y) / Σ x goes to every place of the window

Where windows overlap, a place gets the sum. They are clipped to the image, but AVE's area is that of the window with
its padding, cut only where the padding on the far side ends; with auto_pad no padding counts. STOCHASTIC is for values
of 0 and more.
"""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Shape
from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.errors import ParameterError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, exactly, from_to
from pycaffe_lite.layers import _pool_batch, _stochastic, _window
from pycaffe_lite.layers._auto_pad import pads_itself
from pycaffe_lite.layers._geometry import same_padding
from pycaffe_lite.layers._window import PoolGeometry
from pycaffe_lite.order import Order, batch_innermost
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer

_POOL = pb.PoolingParameter
_P = "pooling_param."


@register_layer("Pooling")
class Pooling(Layer):
    """Bottom (N, C, H, W); top 0 (N, C, H', W'), H' = (H + 2 pad - kernel) / stride + 1, rounded up (round_mode CEIL,
    the default) or down, less a last window that would start beyond H + pad when there is padding; W' likewise. Top 1,
    for MAX and if wanted: where in the channel's plane each maximum was, h W + w, or -1 for a window outside the image.

    auto_pad in place of pad and round_mode means what it means in TensorFlow. SAME: H' = ⌈H / stride⌉, the odd place of
    padding behind; VALID: H' = ⌈(H - kernel + 1) / stride⌉, without padding. AVE then counts no padding.

    Raises ParameterError for kernel, stride and pad that Caffe refuses, ShapeError for other axes than four.

    Differences from Caffe: windows that lie outside the image (stride larger than the kernel) give no gradient; Caffe
    writes out of bounds. A kernel larger than the padded image is refused. STOCHASTIC, which Caffe has on GPUs only,
    has its own gradient in TEST; its random numbers are not Caffe's.
    """

    _along_batch = False
    """Whether the last forward pass went along the batch, and backward does."""
    _all_won = True
    """Whether every window then had a maximum."""
    passing_scratch = frozenset({"candidate", "higher", "partial", "winner"})
    bottoms = exactly(1)
    tops = from_to(1, 2)

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return self._goes_along_batch(top)

    def backward_reads_bottom_data(self) -> bool:
        return self._message.pooling_param.pool == _POOL.STOCHASTIC

    def backward_reads_top_data(self) -> bool:
        return self._message.pooling_param.pool == _POOL.STOCHASTIC

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        shape, p = bottom_shapes[0], self._message.pooling_param
        if len(shape) != 4:
            raise ShapeError(f"The bottom has shape {shape}", hint="Pooling needs (num, channels, height, width).")
        if len(self._message.top) == 2 and p.pool != _POOL.MAX:
            raise ParameterError("A second top, the mask, is only for MAX pooling", field="top[1]")
        geometry = read_geometry(p, shape)
        out = geometry.output_shape(shape[2:])
        if any(n < 1 for n in out):
            raise ShapeError(
                f"The kernel {geometry.kernel} does not fit into a bottom of shape {shape}",
                hint=f"With pad {geometry.pad} it must.",
            )
        return [(*shape[:2], *out)] * len(self._message.top)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        self._geometry = read_geometry(self._message.pooling_param, bottom[0].shape)
        self._pool = self._message.pooling_param.pool
        self._draws = self._pool == _POOL.STOCHASTIC and self.phase == pb.TRAIN
        self._winner_type = _window.winner_type(self._geometry)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        x = bottom[0].stored("data")
        self._along_batch = batch_innermost(x) and self._goes_along_batch(top)
        if self._along_batch:
            y = top[0].open("data", Order.BATCH_INNERMOST)
            if self._pool == _POOL.AVE:
                _pool_batch.ave_forward(x, y, self._geometry, self._scratch)
            else:
                self._all_won = _pool_batch.max_forward(x, y, self._geometry, self._scratch)
            return
        x, y = bottom[0].in_order("data"), top[0].open("data", Order.PLAIN)
        if self._pool == _POOL.AVE:
            _window.ave_pool_forward(x, y, self._geometry, self._scratch)
            return
        if self._pool == _POOL.STOCHASTIC and not self._draws:
            _stochastic.mean_forward(x, y, self._geometry)
            return
        winner = self._scratch("winner", y.shape, self._winner_type)
        if self._draws:
            _stochastic.draw_forward(x, y, winner, self._geometry, self._rng())
            return
        _window.max_pool_forward(x, y, winner, self._geometry, self._scratch)
        if len(top) == 2:
            top[1].data[...] = _window.max_pool_mask(winner, self._geometry, x.shape[2:])

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        if not propagate_down[0]:
            return NOTHING
        if self._along_batch:
            dy, dx = top[0].stored("diff"), bottom[0].open("diff", Order.BATCH_INNERMOST)
            if self._pool == _POOL.AVE:
                _pool_batch.ave_backward(dy, dx, self._geometry, self._scratch)
            else:
                _pool_batch.max_backward(dy, dx, self._all_won, self._geometry, self._scratch)
            return None
        dy, dx = top[0].in_order("diff"), bottom[0].open("diff", Order.PLAIN)
        if self._pool == _POOL.MAX or self._draws:
            winner = self._scratch("winner", dy.shape, self._winner_type)
            _window.max_pool_backward(dy, winner, dx, self._geometry, self._scratch)
        elif self._pool == _POOL.AVE:
            _window.ave_pool_backward(dy, dx, self._geometry, self._scratch)
        else:
            x, y = bottom[0].in_order("data"), top[0].in_order("data")
            _stochastic.mean_backward(x, y, dy, dx, self._geometry)
        return None

    def _goes_along_batch(self, top: Blobs) -> bool:
        """Whether it can where the batch is innermost."""
        small = max(self._geometry.kernel) <= _pool_batch.MAX_KERNEL
        return self._pool != _POOL.STOCHASTIC and len(top) == 1 and small


def read_geometry(p: pb.PoolingParameter, shape: Shape) -> PoolGeometry:
    """Kernel, stride and pad for a bottom of this shape, each given once or as _h and _w, or by auto_pad; the whole
    plane with global_pooling. Raises ParameterError.
    """

    def values(name: str, field: str, low: int) -> tuple[int, int]:
        pair = (f"{name}_h", f"{name}_w")
        by_axis = [p.HasField(n) for n in pair]
        if any(by_axis):
            if p.HasField(field):
                raise ParameterError(
                    f"{field} and {pair[0]} or {pair[1]} are both given", field=_P + field, hint="Give one."
                )
            if not all(by_axis):
                raise ParameterError(
                    f"Only one of {pair[0]} and {pair[1]} is given",
                    field=_P + pair[by_axis.index(True)],
                    hint="Give both.",
                )
            given: tuple[int, int] = (getattr(p, pair[0]), getattr(p, pair[1]))
        else:
            given = (getattr(p, field),) * 2
        for wrong, value in zip(pair if any(by_axis) else (field, field), given, strict=True):
            if value < low:
                raise ParameterError(f"{wrong} is {value}", field=_P + wrong, hint=f"It must be at least {low}.")
        return given

    pad, stride = values("pad", "pad", 0), values("stride", "stride", 1)
    if p.pool == _POOL.STOCHASTIC and pad != (0, 0):
        raise ParameterError(
            f"pad is {pad} for STOCHASTIC pooling", field=_P + "pad", hint="Only MAX and AVE pooling take padding."
        )
    auto_pad = pads_itself(p, p.HasField("pad"), _P)
    if auto_pad and (p.global_pooling or p.HasField("round_mode")):
        other = "global_pooling" if p.global_pooling else "round_mode"
        raise ParameterError(
            f"{other} and auto_pad are both given",
            field=_P + "auto_pad",
            hint="Drop one of them: auto_pad says how many windows there are.",
        )
    if p.global_pooling:
        if any(p.HasField(n) for n in ("kernel_size", "kernel_h", "kernel_w")):
            raise ParameterError(
                "global_pooling and a kernel size are both given",
                field=_P + "global_pooling",
                hint="global_pooling takes the whole plane: drop the kernel.",
            )
        if pad != (0, 0) or stride != (1, 1):
            raise ParameterError(
                f"global_pooling with pad {pad} and stride {stride}",
                field=_P + "global_pooling",
                hint="Drop pad and stride.",
            )
        kernel = (shape[2], shape[3])
    else:
        kernel = values("kernel", "kernel_size", 1)
    if any(q >= k for q, k in zip(pad, kernel, strict=True)):
        raise ParameterError(f"pad {pad} is not smaller than the kernel {kernel}", field=_P + "pad")
    if auto_pad:
        before, after = same_padding(shape[2:], kernel, stride) if p.auto_pad == pb.SAME else ((0, 0), (0, 0))
        return PoolGeometry(kernel, stride, before, after=after)
    return PoolGeometry(kernel, stride, pad, ceil=p.round_mode == _POOL.CEIL)
