"""Arrays that are given by name, and set blobs' numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob, Side
from pycaffe_lite.errors import GraphError, ShapeError


def set_all(what: Side, given: Mapping[str, Array], expected: Mapping[str, Blob], mismatch: str, noun: str) -> None:
    """Write arrays into `data` or `diff` of the blobs of their names, which are all that are expected; other axes than
    the first are broadcast. `mismatch` and `noun` are for errors: GraphError for other names, ShapeError.
    """
    if given.keys() != expected.keys():
        raise GraphError(
            f"{mismatch}: given {_names(given)}, needed {_names(expected)}",
            hint="Give all of them, by name, and no others.",
        )
    for name, value in given.items():
        blob = expected[name]
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            shown = f"an array of {array.dtype}" if array.ndim else f"{value!r:.60}"
            raise ShapeError(f"{noun} '{name}' is {shown}, no array of numbers")
        if array.ndim and blob.shape and array.shape[0] != blob.shape[0]:
            raise _wrong_size(noun, name, array.shape, blob.shape)
        try:
            blob.get(what)[...] = array
        except ValueError:
            raise _wrong_size(noun, name, array.shape, blob.shape) from None


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _wrong_size(noun: str, name: str, given: Shape, wanted: Shape) -> ShapeError:
    whole = (1, *given) if len(given) < len(wanted) else given
    reshape = f"Reshape first: net.blobs['{name}'].reshape({', '.join(map(str, whole))})."
    if len(given) == len(wanted) and given[0] != wanted[0]:
        return ShapeError(
            f"{noun} is not batch sized: '{name}' has {given[0]} items, its blob {wanted[0]}", hint=reshape
        )
    hint = ""
    axes = len(wanted)
    if len(given) in (axes, axes - 1) and axes > 2 and given[-1] == wanted[1] != given[1 - axes]:
        last = len(given) - 1
        order = (0, last, *range(1, last)) if len(given) == axes else (last, *range(last))
        hint = f"Channels come first: {name}=array.transpose{order}{'' if len(given) == axes else '[np.newaxis]'}."
    elif given[:2] == wanted[:2]:
        hint = reshape
    elif len(given) == axes - 1 and given[0] == wanted[1]:
        hint = f"It lacks the batch axis: {name}=array[np.newaxis]. {'' if whole == wanted else reshape}".strip()
    return ShapeError(f"{noun} '{name}' has shape {given}, its blob {wanted}", hint=hint)
