"""What passes of a convolution in tiles are made of: the ways to go along the width, and which is taken."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.engines.onednn._arrays import NAMES, Runs, channels_innermost
from pycaffe_lite.engines.onednn._primitive import BIAS, DIFF_BIAS, DIFF_WEIGHTS, WEIGHTS, Layout, PostOp
from pycaffe_lite.engines.onednn._tile_columns import Columns, columns_pay, weights_for
from pycaffe_lite.engines.onednn._tile_products import Padded, Products
from pycaffe_lite.engines.onednn._tile_steps import Along, Convolutions, Filters, Steps, Tiles, fills_fast
from pycaffe_lite.engines.onednn._winograd import Cut, Images, Part
from pycaffe_lite.layers._winograd import ONE
from pycaffe_lite.memory import CACHE_LINE

Kind = TypeVar("Kind", bound=Tiles, covariant=True)
SAVED_BY_PRODUCTS = 2
"""How many times what a product takes is saved by each that is not done, where gradients of W are made by products:
without AVX-512 those by windows run at half of the rate. Their time in that by windows, one thread: SqueezeNet's of 16
channels 0.47, ResNet-20's of 32 0.69, where other passes would take 0.94 to 1.04. Of ResNet-20's of 16 it is 0.91, but
with two threads the step then takes 1.03 of the time.
"""


@dataclass(frozen=True)
class Plan(Generic[Kind]):
    """What a pass is made of."""

    cut: Cut
    by_windows: Runs
    """What computes the same, with these post-ops."""
    post_ops: tuple[PostOp, ...]
    """They take each number for itself, and leave none finite that was not."""
    tiles: tuple[Images, Images, tuple[int, int]]
    """Images x and y as their tiles lie, and what lies apart from them (Tiles)."""
    new: Callable[[Part, Array], Kind]
    """Makes what is done with parts of one kind, in memory."""
    most: int
    """Bytes of that."""
    filters: Filters

    @property
    def nbytes(self) -> int:
        """In whole cache lines."""
        return -(-self.most // CACHE_LINE) * CACHE_LINE


def products_pay(cut: Cut) -> bool:
    """Whether gradients of W by products of padded tiles are faster than by windows, whatever other passes are."""
    return cut.pays(learning=True, per_product=SAVED_BY_PRODUCTS) and _padded(cut) is not None


def by_products(cut: Cut, by_windows: Runs) -> Plan[Products] | None:
    """That of the gradients of W by products of padded tiles; None where convolutions along the width are faster."""
    if (padded := _padded(cut)) is None:
        return None
    tiles, most = (padded.x, padded.y, padded.apart), max(map(padded.nbytes, cut.kinds.values()))
    return Plan(cut, by_windows, (), tiles, functools.partial(Products, padded), most, Filters(cut, padded.gradients))


def _padded(cut: Cut) -> Padded | None:
    padded = Padded.of(cut)
    return padded if cut.geometry.stride[1] == 1 and padded.pays(cut.kinds.values()) else None


def along_the_width(what: str, cut: Cut, by_windows: Runs, post_ops: tuple[PostOp, ...] = ()) -> Plan[Steps] | None:
    """That of a pass, which Direct calls `what`, by convolutions along the width; None where these, or what else there
    is to do, are not fast.
    """
    has_biases = not {BIAS, DIFF_BIAS}.isdisjoint(by_windows.arguments)
    found = _columns(what, cut) or _convolutions(what, cut, has_biases=has_biases)
    if found is None or not all(fills_fast(cut.x, part, part.b.shape[2]) for part in cut.kinds.values()):
        return None
    along, lies = found

    def new(part: Part, memory: Array) -> Steps:
        return Steps(cut, part, memory, along[part.kind], post_ops)

    most = max(Steps.nbytes(cut.x, cut.y, part) for part in cut.kinds.values())
    return Plan(cut, by_windows, post_ops, (cut.x, cut.y, (0, 0)), new, most, Filters(cut, lies))


_Found = tuple[dict[Shape, Callable[[Array, Array], Along]], Layout]
"""What convolves parts along the width, by their kinds, and how it takes kernels one row high."""


def _columns(what: str, cut: Cut) -> _Found | None:
    if not all(columns_pay(cut, part) for part in cut.kinds.values()):
        return None
    return dict.fromkeys(cut.kinds, functools.partial(Columns, what, cut)), weights_for(cut)


def _convolutions(what: str, cut: Cut, *, has_biases: bool) -> _Found | None:
    along, all_arguments = dict[Shape, Callable[[Array, Array], Along]](), list[dict[int, Layout]]()
    for kind, part in cut.kinds.items():
        plain, at_one = (cut.along_the_width(part, bias=bias).passed(what) for bias in (False, has_biases))
        if plain is None or at_one is None:
            return None
        passed = [at_one if i == ONE else plain for i in range(cut.values)]
        along[kind] = functools.partial(Convolutions, passed)
        all_arguments += [arguments for _, arguments in passed]
    number = DIFF_WEIGHTS if what == "backward_weights" else WEIGHTS
    lies = {arguments[number] for arguments in all_arguments}
    if len(lies) > 1 or not all(map(_has_channels_innermost, all_arguments)):
        return None
    return along, lies.pop()


def _has_channels_innermost(arguments: dict[int, Layout]) -> bool:
    """Whether images lie as tiles do."""
    images = (lies for number, lies in arguments.items() if number in NAMES)
    return all(lies is channels_innermost(lies.shape) for lies in images)
