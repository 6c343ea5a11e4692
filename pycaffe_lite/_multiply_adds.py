"""How many multiply-adds a layer's forward pass takes: what published tables count.

Counted are sums of products with weights: convolutions, inner products, recurrent gates. As in those tables, biases,
activations, pooling, normalisation and element-wise layers count nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pycaffe_lite._typing import Shape

Shapes = Sequence[Shape]
Rule = Callable[[Shapes, Shapes, Shapes], int]
"""(bottom shapes, top shapes, shapes of the learnable blobs) -> multiply-adds."""


def multiply_adds(layer_type: str, bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int | None:
    """Multiply-adds of one forward pass over the whole batch; None where nobody can know (Python layers)."""
    if layer_type == "Python":
        return None
    rule = _RULES.get(layer_type)
    return rule(bottoms, tops, blobs) if rule and blobs else 0


def _convolution(bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """Each output number is a sum over W's (in / group, kh, kw)."""
    return sum(map(math.prod, tops)) * math.prod(blobs[0][1:])


def _deconvolution(bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """Each input number is spread over W's (out / group, kh, kw)."""
    return sum(map(math.prod, bottoms)) * math.prod(blobs[0][1:])


def _inner_product(bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """M vectors of K numbers meet the N x K weights; the top is M x N."""
    return math.prod(tops[0][:-1]) * math.prod(blobs[0])


def _recurrent(bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """Each matrix meets one vector per time step and stream; that of the static input one per stream."""
    steps, streams = bottoms[0][:2]
    static = 2 if len(blobs) in (4, 6) else None  # LSTM and RNN have 3 and 5 blobs without a static input
    return sum(math.prod(b) * streams * (1 if j == static else steps) for j, b in enumerate(blobs) if len(b) > 1)


_RULES: dict[str, Rule] = {
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "InnerProduct": _inner_product,
    "LSTM": _recurrent,
    "RNN": _recurrent,
}
