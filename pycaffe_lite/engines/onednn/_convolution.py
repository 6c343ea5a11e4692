"""Convolution over two spatial axes by oneDNN, and what it shares with Deconvolution."""

from __future__ import annotations

from collections.abc import Callable

from pycaffe_lite._typing import Shape
from pycaffe_lite.engines.onednn._arrays import Runs, takes
from pycaffe_lite.engines.onednn._direct import Direct
from pycaffe_lite.engines.onednn._in_tiles import Backward, BackwardData, BackwardWeights, Forward
from pycaffe_lite.engines.onednn._parameters import WithWeights
from pycaffe_lite.engines.onednn._tail import Behind
from pycaffe_lite.engines.onednn._tile_plans import products_pay
from pycaffe_lite.engines.onednn._winograd import Cut
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers._conv import WeightedWindows
from pycaffe_lite.layers._im2col import Geometry
from pycaffe_lite.layers._winograd import can_do


class ConvolutionPrimitives(Direct):
    """Its three passes for bottoms (N, C, H, W), weights (O, C / group, h, w) and tops (N, O, H', W'), by windows or,
    where that pays, with fewer products.
    """

    def __init__(self, x: Shape, w: Shape, y: Shape, geometry: Geometry, *, bias: bool, learning: bool) -> None:
        super().__init__(x, w, y, geometry, bias=bias)
        cut = Cut(x, w, y, geometry) if can_do(geometry) else None
        self._cut = cut if cut is not None and cut.pays(learning=learning) else None
        of_weights = learning and self._cut is None and cut is not None and products_pay(cut)
        self._cut_of_weights = cut if of_weights else self._cut
        self._fewer: dict[str, Runs | None] = {}
        self._backward: Backward | None = None

    def forward(self) -> Runs:
        return self._best("forward", super().forward(), self._cut, Forward.make)

    def forward_with(self, tail: Behind) -> Runs | None:
        by_windows = super().forward_with(tail)
        if by_windows is None or self._cut is None or not tail.keeps_infinite:
            return by_windows
        return Forward.make(self._cut, by_windows, tail.post_ops((1, 1, 1))) or by_windows

    def backward_data(self) -> Runs | None:
        by_windows = super().backward_data()
        return by_windows and self._best("data", by_windows, self._cut, BackwardData.make)

    def backward_weights(self) -> Runs | None:
        by_windows = super().backward_weights()
        return by_windows and self._best("weights", by_windows, self._cut_of_weights, BackwardWeights.make)

    def backward(self) -> Runs | None:
        """All gradients at once, if that is less than one after the other."""
        if self._backward is None and self._cut is not None:
            of_weights, of_data = self.backward_weights(), self.backward_data()
            if isinstance(of_weights, BackwardWeights) and isinstance(of_data, BackwardData):
                self._backward = of_weights.with_data(of_data)
        return self._backward

    def _best(self, name: str, by_windows: Runs, cut: Cut | None, make: Callable[[Cut, Runs], Runs | None]) -> Runs:
        if cut is None:
            return by_windows
        if name not in self._fewer:
            self._fewer[name] = make(cut, by_windows)
        return self._fewer[name] or by_windows


class ByConvolution(WithWeights, WeightedWindows):
    """To be mixed into numpy's layer, which computes the passes that oneDNN has no fast kernels for: all of them where
    the layer's forward pass is one of those.
    """

    _pass_of_forward = "forward"
    """Which of the convolution's the layer's forward pass is."""
    _primitives: ConvolutionPrimitives | None = None
    _made_for: tuple[Shape, Geometry] | None = None

    def _convolution(self, bottom: Shape, top: Shape) -> ConvolutionPrimitives:
        """The convolution whose passes the layer's are."""
        raise NotImplementedError

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        key = bottom[0].shape, self._geometry
        if key == self._made_for:
            return
        self._made_for, self._primitives = key, None
        if self._axis == 1 and len(bottom[0].shape) == 4 and takes([*bottom, *top]):
            made = self._convolution(bottom[0].shape, top[0].shape)
            self._primitives = made if made.has(self._pass_of_forward) else None

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        return self._primitives is None

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        return self._primitives is not None or super().takes_any_order(bottom, top)
