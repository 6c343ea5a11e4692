"""What a layer computes in one pass with its own: the work of layers around it, in engines that are faster so.

    absorbs          forward_with       layers in place on its top
    absorbs_beyond   forward_beyond     these, a sum with another blob, and layers in place on that
    absorbs_parts    forward_parts      the Concat before it
    absorbs_line     forward_line       layers one after another, without what is between them
    absorbs_through  forward_through    a layer behind one in place, and layers in place on its top; both passes
                     backward_through

A net asks once, after setup (`graph/absorbed.py`), and has them run so (`graph/chains.py`) where nobody can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pycaffe_lite._typing import Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Done

if TYPE_CHECKING:
    from pycaffe_lite.layer import Blobs, Layer


class Absorbing:
    """What every layer answers, unless an engine's says otherwise: nothing is absorbed."""

    if TYPE_CHECKING:

        def forward(self, bottom: Blobs, top: Blobs) -> Done | None: ...

        def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None: ...

    def absorbs(self, followers: Sequence[Layer]) -> int:
        """How many of these layers, which run in place on its only top one after another, it computes in one pass with
        its own (`forward_with`).
        """
        return 0

    def forward_with(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> Done | None:
        """As forward, and then those of each of the layers that it absorbs, always the same, in place on the top.

        Theirs need not run, as long as the top comes out the same to float32 rounding and backward passes find in the
        layers what they need.
        """
        self.forward(bottom, top)
        for follower in followers:
            follower.forward(top, top)
        return None

    def absorbs_beyond(self, followers: Sequence[Layer]) -> int:
        """How many of these layers it computes in one pass with its own (`forward_beyond`), where nobody needs its top:
        all that run in place on that, a layer that adds to it another blob, and some that run in place on the sum.
        """
        return 0

    def forward_beyond(self, followers: Sequence[Layer], other: Blob, bottom: Blobs, top: Blobs) -> Done | None:
        """As forward, and then those of each of the layers that `absorbs_beyond` says, one of which adds `other`; the
        top is the sum. Its memory may be the other's, with the numbers in it, which nobody else needs. None, and
        nothing is done, where they must run one by one, or have two memories.
        """
        return None

    def joins_channels(self, bottom_shapes: Sequence[Shape]) -> bool:
        """Whether the top is nothing but the bottoms, one behind the other along axis 1."""
        return False

    def absorbs_parts(self) -> bool:
        """Whether it can read, where nobody needs its bottom, what that is put together from (`forward_parts`)."""
        return False

    def forward_parts(self, followers: Sequence[Layer], parts: Blobs, top: Blobs) -> Done | None:
        """As forward, and then those of each of the layers that it absorbs, where the bottom would be these blobs one
        behind the other along axis 1. None, and nothing is done, where the bottom is needed.
        """
        return None

    def absorbs_line(self, followers: Sequence[Layer], shapes: Sequence[Shape]) -> int:
        """How many of these layers, each of which reads only the top of the one before, it computes in one pass with
        its own (`forward_line`), where nobody needs what is between them. `shapes` are those of its bottom, its top and
        theirs.
        """
        return 0

    def forward_line(self, followers: Sequence[Layer], bottom: Blobs, tops: Blobs) -> Done | None:
        """As forward, and then those of each of the layers that `absorbs_line` says, of whose tops, which begin with
        its own, only the last is written. None, and nothing is done, where they must run one by one.
        """
        return None

    def absorbs_through(self, followers: Sequence[Layer]) -> int:
        """How many of `followers` this layer, which runs in place, takes into its own forward and backward pass. The
        first of them writes into memory of its own and is the only one to read this layer's top; the others run in
        place on that memory.
        """
        return 0

    def forward_through(self, followers: Sequence[Layer], bottom: Blobs, top: Blobs) -> None:
        """As forward, in place on the bottom, and then those of each of the layers that `absorbs_through` says. Only
        this layer and these read the bottom afterwards.
        """
        self.forward(bottom, bottom)
        followers[0].forward(bottom, top)
        for follower in followers[1:]:
            follower.forward(top, top)

    def backward_through(self, followers: Sequence[Layer], top: Blobs, bottom: Blobs) -> None:
        """The backward passes of all of them, to the bottom's diff, however forward went."""
        for follower in reversed(followers[1:]):
            follower.backward(top, [True], top)
        followers[0].backward(top, [True], bottom)
        self.backward(bottom, [True], bottom)
