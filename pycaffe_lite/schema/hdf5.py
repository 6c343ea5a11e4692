"""Weights and solver states in HDF5, laid out as Caffe does.

Weights: a group `data` with a group for each layer, those without blobs too, and in it the blobs as datasets `0`, `1`,
...; the same under `diff` if gradients are kept. A blob that layers share is in its owner's group only. Solver states:
`iter`, `current_step`, `learned_net` and a group `history`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pycaffe_lite._extras import require
from pycaffe_lite._files import PathLike, find_file
from pycaffe_lite._hdf5 import H5PY_ERRORS, new_hdf5
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import CaffeError, ParseError, WeightsError
from pycaffe_lite.schema.solverstate import NO_WEIGHTS, SolverState


def read_weights_hdf5(path: PathLike) -> dict[str, list[Array | None]]:
    """The weights in a .caffemodel.h5 by layer name.

    None stands for a blob that is with another layer, its owner; such blobs at a list's end are not seen at all. Raises
    MissingFileError, MissingPackageError (h5py); ParseError for what is no HDF5 file; WeightsError for one that holds
    no weights.
    """
    with _reading(path) as f:
        if "data" not in f:
            hint = NO_WEIGHTS if "history" in f else f"It has: {', '.join(f) or 'nothing'}."
            raise WeightsError(f"{path} has no group 'data'", hint=hint)
        layers: dict[str, list[Array | None]] = {}
        _collect(f["data"], "", layers)
        return layers


def _collect(group: Any, name: str, layers: dict[str, list[Array | None]]) -> None:
    """Add a group's blobs as a layer; a name with slashes is a group in a group."""
    blobs: dict[int, Array] = {}
    inner = []
    for key, item in group.items():
        if hasattr(item, "items"):
            inner.append((key, item))
        elif key.isdecimal() and int(key) < 1000:
            blobs[int(key)] = _numbers(item, f"Blob {key} of layer '{name}'")
    if name and (blobs or not inner):
        layers[name] = [blobs.get(i) for i in range(max(blobs, default=-1) + 1)]
    for key, item in inner:
        _collect(item, f"{name}/{key}" if name else key, layers)


def write_weights_hdf5(
    path: PathLike,
    blobs: Mapping[str, Sequence[Array | None]],
    diffs: Mapping[str, Sequence[Array | None]] | None = None,
) -> None:
    """Write a .caffemodel.h5, atomically: for each layer by name its arrays, and their gradients if given.

    None stands for a blob that another layer owns. Arrays of float64 are stored as such, all others as float32. Raises
    SnapshotError, MissingPackageError (h5py).
    """
    with new_hdf5(path) as new, new.writing():
        for kind, layers in (("data", blobs), ("diff", diffs)):
            if layers is None:
                continue
            group = new.h5.create_group(kind)
            for name, arrays in layers.items():
                inner = group.require_group(name)
                for i, array in enumerate(arrays):
                    if array is not None:
                        inner.create_dataset(str(i), data=_stored(array))


def read_solverstate_hdf5(path: PathLike) -> SolverState:
    """The state in a .solverstate.h5. Raises MissingFileError, MissingPackageError (h5py), ParseError."""
    with _reading(path) as f:
        for needed in ("iter", "history"):
            if needed not in f:
                raise ParseError(f"{path} is no solver state: it has no '{needed}'", hint="Is it a caffemodel?")
        net = f["learned_net"][()] if "learned_net" in f else b""
        history = f["history"]
        return SolverState(
            iter=int(f["iter"][()].item()),
            learned_net=net.decode("utf-8", "surrogateescape") if isinstance(net, bytes) else str(net),
            history=[_numbers(history[str(i)], f"History blob {i}") for i in range(len(history))],
            current_step=int(f["current_step"][()].item()) if "current_step" in f else 0,
        )


def write_solverstate_hdf5(path: PathLike, state: SolverState) -> None:
    """Write a .solverstate.h5, atomically. Raises SnapshotError, MissingPackageError (h5py)."""
    net = os.fsencode(state.learned_net)
    with new_hdf5(path) as new, new.writing():
        new.h5.create_dataset("iter", data=np.array([state.iter], np.int32))
        new.h5.create_dataset("learned_net", data=np.array(net, f"S{len(net) + 1}"))  # Caffe reads up to the NUL
        new.h5.create_dataset("current_step", data=np.array([state.current_step], np.int32))
        history = new.h5.create_group("history")
        for i, array in enumerate(state.history):
            history.create_dataset(str(i), data=_stored(array))


def _stored(array: Array) -> Array:
    return array if array.dtype == np.float64 else np.asarray(array, np.float32)


def _numbers(item: Any, what: str) -> Array:
    if item is None:  # a link that leads nowhere
        raise WeightsError(f"{what} is missing from the file, though it is listed", hint="Is the file complete?")
    if item.dtype.kind != "f":
        raise WeightsError(f"{what} is of type {item.dtype}", hint="Weights are floats.")
    return np.asarray(item[()])


@contextmanager
def _reading(path: PathLike) -> Iterator[Any]:
    h5py = require("h5py", "read HDF5 files")
    where = find_file(path)
    try:
        with h5py.File(where, "r") as f:
            yield f
    except CaffeError:
        raise
    except H5PY_ERRORS as e:
        raise ParseError(f"{where} is no HDF5 file of Caffe's, or is broken: {e}") from e
