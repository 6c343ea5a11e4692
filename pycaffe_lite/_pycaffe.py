"""What pycaffe's Net has besides passes and weights.

Whole arrays in batches, callbacks, and names that scripts use although they begin with an underscore.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import zip_longest

import numpy as np

from pycaffe_lite._old_names import OldNames
from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import CaffeError, GraphError, ParameterError, ShapeError
from pycaffe_lite.graph.passes import Callback, Passes
from pycaffe_lite.graph.plan import AUTOMATIC, Node
from pycaffe_lite.layers.memory_data import MemoryData


class PycaffeNames(OldNames):
    """Net's base; see the module."""

    blobs: OrderedDict[str, Blob]
    inputs: list[str]
    outputs: list[str]
    dtype: np.dtype[np.generic]
    forward: Callable[..., dict[str, Array]]
    backward: Callable[..., dict[str, Array]]
    _nodes: list[Node]
    _passes: Passes

    # Whole arrays, batch by batch.

    def forward_all(self, blobs: Iterable[str] | None = None, **inputs: Array) -> dict[str, Array]:
        """As `forward`, for inputs of any number of items: a batch at a time, the last one padded with zeros.

        Returns the outputs, and the `blobs` asked for, of all items; of what has no batch axis, one entry per batch.
        Raises GraphError without any.
        """
        blobs = self._asked("forward_all", "blobs", blobs)
        self._check_given("forward_all", inputs)
        found = _Gathered()
        for batch in self._batch(inputs):
            found.add(self.forward(blobs=blobs, **batch))
        return found.arrays(_items(inputs), self._batch_size())

    def forward_backward_all(
        self, blobs: Iterable[str] | None = None, diffs: Iterable[str] | None = None, **arrays: Array
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """`forward` and `backward`, a batch at a time, the last one padded with zeros: (all blobs, all diffs).

        Keywords are the inputs' data and, if wanted, the outputs' diffs, of any one number of items.
        Raises GraphError for names that are neither, and without any.
        """
        blobs = self._asked("forward_backward_all", "blobs", blobs)
        diffs = self._asked("forward_backward_all", "diffs", diffs)
        self._check_given("forward_backward_all", arrays)
        strange = arrays.keys() - {*self.inputs, *self.outputs}
        if strange:
            raise GraphError(f"Neither inputs nor outputs of this net: {', '.join(sorted(strange))}")
        forth = self._batch({name: arrays[name] for name in self.inputs if name in arrays})
        back = self._batch({name: arrays[name] for name in self.outputs if name in arrays})
        data, grad = _Gathered(), _Gathered()
        for inputs, top_diffs in zip_longest(forth, back):
            data.add(self.forward(blobs=blobs, **(inputs or {})))
            grad.add(self.backward(diffs=diffs, **(top_diffs or {})))
        items, size = _items(arrays), self._batch_size()
        return data.arrays(items, size), grad.arrays(items, size)

    def _check_given(self, method: str, arrays: Mapping[str, Array]) -> None:
        if not arrays:
            needed = ", ".join(f"{name}=array" for name in self.inputs)
            hint = f"net.{method}({needed})" if needed else "This net has no inputs: call net.forward() for each batch."
            raise GraphError(f"{method}() was given no arrays", hint=hint)

    def _asked(self, method: str, keyword: str, names: Iterable[str] | None) -> list[str]:
        """The names of blobs that a keyword asks for. Raises ParameterError where arrays came, meant as inputs."""
        if isinstance(names, str):
            raise ParameterError(f"{keyword} is the text {names!r}", hint=f"Give a list: {keyword}=[{names!r}].")
        arrays = isinstance(names, Mapping) or hasattr(names, "__array__")
        listed = [] if arrays else list(names or [])
        if arrays or not all(isinstance(name, str) for name in listed):
            by_name = self.outputs if method == "backward" else self.inputs
            example = next((name for name in by_name if name.isidentifier()), "name")
            raise ParameterError(
                f"The {keyword} given to {method}(), a {type(names).__name__}, are no list of names",
                hint=f"Arrays go by name: net.{method}({example}=array).",
            )
        return listed

    def _batch(self, blobs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """The arrays, by name, in pieces of the net's batch size; the last piece is padded with zeros."""
        if not blobs:
            return
        arrays = {name: np.asarray(array) for name, array in blobs.items()}
        numbers = {name: len(array) for name, array in arrays.items()}
        if len(set(numbers.values())) > 1:
            raise ShapeError(
                f"The arrays have different numbers of items: {numbers}", hint="Give one item of each for every item."
            )
        size = self._batch_size()
        for start in range(0, len(next(iter(arrays.values()))), size):
            yield {name: _padded(array[start : start + size], size) for name, array in arrays.items()}

    def _batch_size(self) -> int:
        shape = self.blobs[self.inputs[0] if self.inputs else next(iter(self.blobs))].shape
        if not shape or not shape[0]:
            raise ShapeError(f"The net's first blob, of shape {shape}, has no batch axis")
        return shape[0]

    def set_input_arrays(self, data: Array, labels: Array) -> None:
        """Hand the net's first layer, a MemoryData, its data (n, channels, height, width) and labels (n).

        Both are C-contiguous and of the net's number type, float32; they are not copied. Raises GraphError when the
        first layer is of another type, ShapeError when the arrays are of another kind or do not fit it.
        """
        data, labels = np.asarray(data), np.asarray(labels)
        if labels.ndim == 1:
            labels = np.ascontiguousarray(labels[:, np.newaxis, np.newaxis, np.newaxis])
        self._set_input_arrays(data, labels)

    def _set_input_arrays(self, data: Array, labels: Array) -> None:
        """As `set_input_arrays`, with labels (n, 1, 1, 1)."""
        node = self._nodes[0] if self._nodes else None
        if node is None or not isinstance(node.layer, MemoryData):
            raise GraphError("set_input_arrays needs a net whose first layer is of type MemoryData")
        try:
            for what, array in (("data", data), ("labels", labels)):
                if array.dtype != self.dtype:
                    raise ShapeError(
                        f"The array of {what} is of {array.dtype}, the net of {self.dtype}",
                        hint=f"Convert it: {what}.astype(np.{self.dtype}).",
                    )
                if array.ndim != 4:
                    raise ShapeError(f"The array of {what} must have 4 axes, it has shape {array.shape}")
                if not array.flags.c_contiguous:
                    raise ShapeError(
                        f"The array of {what} is not C-contiguous", hint=f"Use np.ascontiguousarray({what})."
                    )
            node.layer.set_input_arrays(data, labels)
        except CaffeError as e:
            raise node.spec.blame(e) from e.__cause__

    # Callbacks.

    def before_forward(self, callback: Callback) -> None:
        """Call this with the layer's index before each layer's forward pass."""
        self._passes.callbacks.before_forward.append(callback)

    def after_forward(self, callback: Callback) -> None:
        """Call this with the layer's index after each layer's forward pass."""
        self._passes.callbacks.after_forward.append(callback)

    def before_backward(self, callback: Callback) -> None:
        """Call this with the layer's index before each layer's backward pass, whether or not it needs one."""
        self._passes.callbacks.before_backward.append(callback)

    def after_backward(self, callback: Callback) -> None:
        """Call this with the layer's index after each layer's backward pass, whether or not it needed one."""
        self._passes.callbacks.after_backward.append(callback)

    # Numbered instead of named; a nameless top has a number too.

    @property
    def _layer_names(self) -> list[str]:
        return [node.name for node in self._nodes]

    @property
    def _blob_names(self) -> list[str]:
        return [name for name, _ in self._numbered()]

    @property
    def _blobs(self) -> list[Blob]:
        return [blob for _, blob in self._numbered()]

    @property
    def _inputs(self) -> list[int]:
        return self._numbers(self.inputs)

    @property
    def _outputs(self) -> list[int]:
        return self._numbers(self.outputs)

    def _bottom_ids(self, layer: int) -> list[int]:
        """The numbers of a layer's bottoms in `_blobs`."""
        return list(self._nodes[layer].bottom_ids)

    def _top_ids(self, layer: int) -> list[int]:
        """The numbers of a layer's tops in `_blobs`."""
        return list(self._nodes[layer].top_ids)

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """Blob name -> its weight in the loss, 0 for most."""
        return OrderedDict(zip(self._blob_names, self._blob_loss_weights, strict=True))

    @property
    def _blob_loss_weights(self) -> list[float]:
        weights: dict[int, float] = {}
        for node in self._nodes:
            weights.update({i: w for i, w in zip(node.top_ids, node.loss_weights, strict=True) if w})
        return [weights.get(i, 0.0) for i in range(len(self._blob_names))]

    def _numbered(self) -> list[tuple[str, Blob]]:
        """Names and blobs by their numbers."""
        found: dict[int, tuple[str, Blob]] = {}
        for node in self._nodes:
            for i, name, top in zip(node.top_ids, node.top_names, node.tops, strict=True):
                found[i] = name, top if name == AUTOMATIC else self.blobs[name]
        return [found[i] for i in sorted(found)]

    def _numbers(self, names: Iterable[str]) -> list[int]:
        numbers = {name: i for i, name in enumerate(self._blob_names)}
        return [numbers[name] for name in names]


class _Gathered:
    """Arrays by name that grow batch by batch."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {}

    def add(self, batch: Mapping[str, Array]) -> None:
        for name, array in batch.items():
            self._parts.setdefault(name, []).append(np.atleast_1d(array).copy())

    def arrays(self, items: int | None, batch_size: int) -> dict[str, Array]:
        """Everything in one piece each; of what has a batch axis only `items`, the rest belongs to the padding."""
        return {
            name: np.concatenate(parts)[: items if len(parts[0]) == batch_size else None]
            for name, parts in self._parts.items()
        }


def _items(arrays: Mapping[str, Array]) -> int | None:
    return len(next(iter(arrays.values()))) if arrays else None


def _padded(array: Array, size: int) -> Array:
    """The array with zeros behind it, up to `size` items."""
    missing = size - len(array)
    if not missing:
        return array
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
