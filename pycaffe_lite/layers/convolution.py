"""Convolution: every output channel is a sum of shifted, weighted input channels.

Output place p of channel m sees, for each channel c of its group and each kernel offset k, the input at
p · stride + k · dilation - pad:

    y[m, p] = b[m] + Σ_c Σ_k W[m, c, k] x[c, p · stride + k · dilation - pad]

Written as matrices, with X the columns of the input that each place sees (im2col): Y = W X + b. So

    dW += dY Xᵀ        db += Σ dY        dX = Wᵀ dY, each number added back where it came from (col2im)

The three products, for any number of spatial axes, are in _im2col.py: image by image, or small ones the whole batch at
once (_im2col_batch.py). float32 kernels 3 or 5 high go with fewer products where that is faster (_im2col_tiles.py).
"""

from __future__ import annotations

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import MIN_ITEMS, Blob, Side
from pycaffe_lite.done import Done
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers import _im2col
from pycaffe_lite.layers._conv import WeightedWindows, count_windows
from pycaffe_lite.layers._im2col import Geometry
from pycaffe_lite.order import Order
from pycaffe_lite.registry import register_layer


@register_layer("Convolution")
class Convolution(WeightedWindows):
    """Convolution over all axes behind `axis` (the channels). Each bottom gives the top of the same number.

    Bottoms (..., C, *spatial), all of one shape; tops (..., num_output, *output), output = (in + 2 pad - dilation
    (kernel - 1) - 1) / stride + 1, where the division rounds towards 0, as Caffe's: a kernel that is larger than the
    padded input, by less than the stride, has one window. auto_pad: SAME instead of pad gives ⌈in / stride⌉ as in
    TensorFlow, with the odd place of padding behind, VALID no padding. Blobs: W (num_output, C / group, *kernel),
    b (num_output) with bias_term.

    Padding is zeros, with which weights are multiplied, as in Caffe: one that is NaN or infinite makes NaN of windows
    that hang over the edge at its place. An engine may leave these products out.

    float32 numbers may be computed in tiles of 6 or 8 rows, and then are rounded in parts of the largest of a tile.

    Raises ParameterError where kernel_size, stride, pad and dilation do not fit the axes or group does not divide the
    channels, ShapeError where the kernel has no window or a reshaped bottom has another C or other axes.
    """

    passing_scratch = frozenset({"columns", "padded", "rows", "y"})
    _seen: int | None = None
    """What the last forward pass has seen of the bottom, as Blob.written numbers it."""
    _by_batch = False
    """Whether it went the way that takes arrays in any order."""

    def output_shape(self, geometry: Geometry, shape: Shape, axis: int) -> Shape:
        return count_windows(geometry, shape, axis)

    def weight_channels(self, channels: int) -> Shape:
        p = self._message.convolution_param
        return p.num_output, channels // p.group

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return self._goes_by_batch(top[0].shape, top[0].shape[0] >= MIN_ITEMS)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        w = self.blobs[0].stored("data")
        b = self.blobs[1].stored("data") if self._bias else None
        innermost = top[0].shape[0] >= MIN_ITEMS and all(y.order_is_free for y in top)
        self._by_batch = self._goes_by_batch(top[0].shape, innermost)
        self._seen = bottom[0].written("data") if len(bottom) == 1 else None
        for x, y in zip(bottom, top, strict=True):
            source, target = self._read(x, "data"), self._open(y, "data")
            _im2col.conv_forward(source, w, b, target, self._geometry, self._scratch, self._by_batch)

    def _backward_weights(self, x: Blob, y: Blob) -> Done | None:
        dw = self.blobs[0].diff if self.param_propagate_down(0) else None
        db = self.blobs[1].diff if self._bias and self.param_propagate_down(1) else None
        same_x = self._seen is not None and self._seen == x.written("data")
        same_x &= (db is not None) == self._bias  # else the rows that forward left have other lines
        self._seen = None  # what comes next needs the memory
        how = self._geometry, self._scratch, self._by_batch, same_x
        _im2col.conv_backward_weight(self._read(x, "data"), self._read(y, "diff"), dw, db, *how)
        return None

    def _backward_data(self, x: Blob, y: Blob) -> Done | None:
        self._seen = None
        dy, w, dx = self._read(y, "diff"), self.blobs[0].stored("data"), self._open(x, "diff")
        _im2col.conv_backward_data(dy, w, dx, self._geometry, self._scratch, self._by_batch)
        return None

    def _goes_by_batch(self, y: Shape, innermost: bool) -> bool:
        """Whether tops of shape y, with the batch innermost or not, are made the whole batch at once."""
        return self._axis == 1 and _im2col.suits_batch(self._geometry, self.blobs[0].shape, y, innermost)

    def _read(self, blob: Blob, what: Side) -> Array:
        return blob.stored(what) if self._by_batch else self._items(blob.in_order(what))

    def _open(self, blob: Blob, what: Side) -> Array:
        if self._by_batch:
            return blob.open(what, Order.BATCH_INNERMOST if blob.shape[0] >= MIN_ITEMS else Order.PLAIN)
        return self._items(blob.open(what, Order.PLAIN))
