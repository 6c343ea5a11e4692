"""A layer's parameters, which lie plain, and primitives, which want them otherwise."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Done, together
from pycaffe_lite.engines.onednn._arrays import FLOAT, Runs, put
from pycaffe_lite.engines.onednn._primitive import Layout, Lies
from pycaffe_lite.layer import Blobs, Layer
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.watched import WatchedStorage, note_change


class Prepared:
    """What a forward pass runs, and its arrays besides bottom and top, made of the layer's primitives and of numbers in
    these blobs.
    """

    __slots__ = ("_blob_changes", "_changes", "_primitives", "numbers", "parameters", "run")

    def __init__(
        self,
        primitives: object,
        run: Runs,
        parameters: Sequence[Array],
        numbers: Sequence[Array] = (),
        blobs: Iterable[Blob] = (),
    ) -> None:
        self.run, self.parameters, self.numbers = run, parameters, numbers
        known = all(blob.written("data") is not None for blob in blobs)
        self._primitives, self._blob_changes = primitives, Blob.changes
        self._changes = WatchedStorage.changes if known else None

    def hold(self, primitives: object) -> bool:
        """Whether they are the same as ever: nobody can have written into the blobs, which are where they were."""
        same = self._primitives is primitives and self._changes == WatchedStorage.changes
        return same and self._blob_changes == Blob.changes


class Preparing(Layer):
    """To be mixed into a layer whose forward passes run what is Prepared."""

    _prepared: dict[str, Prepared]
    """By the name of a way to run."""

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._prepared = {}
        super().setup(bottom, top)

    def _with_copy(self, parameters: Sequence[Array], done: Done | None) -> Done | None:
        """What has been done with these, and before that to copy those of them that lie otherwise than the layer's."""
        return done


class WithWeights(Preparing):
    """To be mixed into a layer whose first blob is W."""

    _kept: tuple[Lies, int | None, Array] | None = None
    """How the copy of W lies, which version it is of (Blob.written), and the copy."""
    _copied: Done | None = None
    """What made it."""

    def _weights_as(self, lies: Layout, wanted: Lies) -> Array:
        """W, which lies so, as wanted: itself, or a copy, that of the last time if nobody can have changed W."""
        blob = self.blobs[0]
        if lies is wanted:
            return blob.stored("data")
        version = blob.written("data")
        if self._kept is not None:
            layout, kept, copy = self._kept
            if layout is wanted and kept == version is not None:
                return copy
            note_change()  # who goes by the copy that was in this memory
            self._prepared.clear()
            self._kept = None  # also where what follows is interrupted
        copy = self._scratch("kept weights", (wanted.nbytes // 4,), FLOAT)
        self._copied = self._do(functools.partial(put, lies, wanted), blob.stored("data"), copy)
        self._kept = wanted, version, copy
        return copy

    def _parameters_as(self, lies: Layout, wanted: Lies) -> list[Array]:
        """W, which lies so, as wanted, and the biases."""
        return [self._weights_as(lies, wanted), *(blob.stored("data") for blob in self.blobs[1:])]

    def _with_copy(self, parameters: Sequence[Array], done: Done | None) -> Done | None:
        if self._kept is None or not parameters or parameters[0] is not self._kept[2]:
            return done
        return together([self._copied, done])


class Gradients:
    """Memory for dW, which a primitive gives in the layout `given`, W's being `lies`; and for db if there is one."""

    def __init__(self, layer: Layer, lies: Layout, given: Lies, scratch: Scratch) -> None:
        assert isinstance(given, Layout)
        self._layer, self._lies, self._given = layer, lies, given
        self._plain = [
            layer._gradient_of(j) if layer.param_propagate_down(j) else scratch(f"unwanted {j}", blob.shape, FLOAT)
            for j, blob in enumerate(layer.blobs)
        ]
        first = self._plain[0] if given is lies else scratch("dw as given", (given.nbytes // 4,), FLOAT)
        self.memory = [first, *self._plain[1:]]

    def add(self) -> Done | None:
        """Add them to those that are there, where they are wanted. Returns what passes return."""
        done: list[Done | None] = []
        for j, plain in enumerate(self._plain):
            if self._layer.param_propagate_down(j):
                if self.memory[j] is not plain:
                    in_order = functools.partial(put, self._given, self._lies)
                    done.append(self._layer._do(in_order, self.memory[j], plain))
                done.append(self._layer._add_gradient(j, plain))
        return together(done)
