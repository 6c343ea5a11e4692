"""Order: how the numbers of a blob may lie in memory."""

from __future__ import annotations

import enum
import math

from pycaffe_lite._typing import Array, Shape


class Order(enum.Enum):
    """How the numbers of a blob (num, channels, ...) may lie in memory."""

    PLAIN = "num, channels, places"
    BATCH_INNERMOST = "channels, places, num"
    CHANNELS_INNERMOST = "num, places, channels"

    def shape(self, shape: Shape) -> Shape:
        """The axes of the memory of a blob of this shape, at least one axis; at least two with channels innermost."""
        if self is Order.BATCH_INNERMOST:
            return math.prod(shape[1:]), shape[0]
        if self is Order.CHANNELS_INNERMOST:
            return shape[0], math.prod(shape[2:]), shape[1]
        return shape

    def plain(self, laid: Array) -> Array:
        """Memory of this order with its axes as they lie in plain order."""
        return laid.T if self is Order.BATCH_INNERMOST else laid.swapaxes(-1, -2)


def order_of(array: Array) -> Order:
    """In which order an array lies, as `Blob.stored` gives it."""
    if array.ndim > 1:
        strides, one = array.strides, array.itemsize
        if strides[-1] > one:
            if strides[0] == one:
                return Order.BATCH_INNERMOST
            if array.ndim > 2 and strides[1] == one:
                return Order.CHANNELS_INNERMOST
    return Order.PLAIN


def batch_innermost(array: Array) -> bool:
    """Whether it has its items side by side."""
    return order_of(array) is Order.BATCH_INNERMOST
