"""Blobs of a network's batches saved row by row, as Caffe's extract_features does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np

from pycaffe_lite._files import check_writable
from pycaffe_lite._hdf5 import NewHDF5, new_hdf5
from pycaffe_lite._typing import FloatArray, OnProgress
from pycaffe_lite.data.database import new_database
from pycaffe_lite.data.datum import array_to_datum
from pycaffe_lite.errors import ParameterError, ShapeError, UnknownNameError, did_you_mean
from pycaffe_lite.net import Net

Add = Callable[[FloatArray], None]
"""Takes the rows of a batch, (n, ...)."""


def extract_features(
    net: Net,
    blobs: Sequence[str],
    outputs: Sequence[str],
    batches: int,
    db_type: str,
    progress: OnProgress | None = None,
) -> list[int]:
    """Run `batches` forward passes and save the rows of each blob to its output; returns how many, blob by blob.

    A database gets a Datum of float_data for each row, its axes after the first being channels, height and width (1
    where absent), under the keys 0000000000, 0000000001, ... With `db_type` "hdf5" the output is a file with a
    float32 dataset (rows, ...) named as the blob, as HDF5Data reads it; blobs of the same output share a file.

    Raises UnknownNameError for a blob that the net lacks, ParameterError where blobs and outputs do not go together,
    ShapeError for a blob that has no rows or no form as a Datum, what the network raises, and what making the outputs
    raises; nothing is left behind then.
    """
    _check(net, blobs, outputs, db_type)
    counts = [0] * len(blobs)
    with ExitStack() as stack:
        if db_type == "hdf5":
            files = {path: _new_file(stack, path) for path in dict.fromkeys(outputs)}
            adders = [_dataset(files[path], name) for name, path in zip(blobs, outputs, strict=True)]
        else:
            adders = [_database(stack, path, db_type) for path in outputs]
        for batch in range(batches):
            net.forward()
            for i, name in enumerate(blobs):
                rows = net.blobs[name].data
                adders[i](rows)
                counts[i] += len(rows)
            if progress is not None:
                progress(batch + 1, batches)
    return counts


def _check(net: Net, blobs: Sequence[str], outputs: Sequence[str], db_type: str) -> None:
    if len(blobs) != len(outputs) or not blobs:
        raise ParameterError(f"There are {len(blobs)} blobs and {len(outputs)} outputs", hint="Give one for each blob.")
    places: set[object] = set(zip(blobs, outputs, strict=True)) if db_type == "hdf5" else set(outputs)
    if len(places) < len(outputs):
        raise ParameterError("Two blobs go to the same output", hint="Give each a place of its own.")
    for name in blobs:
        if name not in net.blobs:
            raise UnknownNameError(f"The net has no blob '{name}'", hint=did_you_mean(name, net.blobs))
        shape = net.blobs[name].shape
        if not shape:
            raise ShapeError(f"Blob '{name}' has shape (), of which no rows can be made", hint="It needs a batch axis.")
        if db_type != "hdf5" and len(shape) > 4:
            raise ShapeError(f"Blob '{name}' has rows of shape {shape[1:]}", hint="A Datum has 3 axes; try hdf5.")


def _database(stack: ExitStack, path: str, backend: str) -> Add:
    db = stack.enter_context(new_database(path, backend))
    done = 0

    def add(rows: FloatArray) -> None:
        nonlocal done
        for row in rows.reshape(rows.shape + (1,) * (4 - rows.ndim)):
            db.put(b"%010d" % done, array_to_datum(np.asarray(row, np.float32)).SerializeToString())
            done += 1

    return add


def _new_file(stack: ExitStack, path: str) -> NewHDF5:
    check_writable(path)
    return stack.enter_context(new_hdf5(path))


def _dataset(file: NewHDF5, name: str) -> Add:
    return lambda rows: file.add_rows({name: np.asarray(rows, np.float32)})
