"""Trained weights: .caffemodel files to arrays and back.

Only names, types and blobs of layers are looked at. A fork's own fields, even with numbers that mean something else to
us, do no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from pycaffe_lite._files import PathLike, atomic_write, map_bytes
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ParseError, WeightsError
from pycaffe_lite.proto.caffe_pb2 import LayerParameter, NetParameter, V1LayerParameter
from pycaffe_lite.schema.blobs import blob_parts, read_blob
from pycaffe_lite.schema.solverstate import NO_WEIGHTS
from pycaffe_lite.schema.wire import LEN, VARINT, Walk, WireField, put_head

log = logging.getLogger(__name__)

PROTOBUF_LIMIT = 2**31 - 1
"""Bytes of the largest message that protobuf reads."""

_SOLVERSTATE = 0x08
"""The first byte of a solver state: its iteration is a number, where a net has its name."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_V1, _V2 = 2, 100  # of NetParameter: layers, layer
_V0 = 1  # of V1LayerParameter: layer


@dataclass
class LayerWeights:
    """The blobs of one layer as its file has them, read-only.

    `type` is the file's: "Convolution", "CONVOLUTION" in V1 files, "conv" in V0 files.
    """

    name: str
    type: str
    blobs: list[Array]


class _Numbers(NamedTuple):
    """Which fields of a layer's message hold its name, type and blobs."""

    name: int
    type: int
    blobs: int


_LAYER = {_V2: _Numbers(1, 2, 7), _V1: _Numbers(4, 5, 6)}
_V0_LAYER = _Numbers(1, 2, 50)


def read_caffemodel(path: PathLike) -> list[LayerWeights]:
    """The weights in a binary .caffemodel (V2, V1 or V0), layer by layer in file order, layers without blobs too.

    Arrays are read-only views of the file, whose bytes are fetched when they are looked at: float32, or float64 where
    stored as double; four axes where stored as num, channels, height, width. Raises MissingFileError;
    ParseError, with the byte, for what is no caffemodel; WeightsError, with layer and blob, for blobs that do not fit
    their shape.
    """
    data = map_bytes(path)
    file = str(path)
    _refuse_others(bytes(data[:200]), file)
    layers = []
    try:
        for f in Walk(data):
            if f.number in _LAYER and f.kind == LEN:
                layers.append(_layer(data, f, _LAYER[f.number], file))
    except ParseError as e:
        raise ParseError(f"{file} is no caffemodel, or is broken: {e.found}", hint="Is the file complete?") from e
    if not layers:
        raise WeightsError(f"{file} holds no layers", hint="Is it a mean or a solver state?")
    return layers


def _layer(data: memoryview, field: WireField, numbers: _Numbers, file: str) -> LayerWeights:
    name = kind = ""
    blobs: list[WireField] = []
    for f in Walk(data, field.start, field.stop):
        if numbers is _LAYER[_V1] and f.number == _V0 and f.kind == LEN:
            return _layer(data, f, _V0_LAYER, file)
        if f.number == numbers.name and f.kind == LEN:
            name = _text(data, f)
        elif f.number == numbers.type:
            kind = _text(data, f) if f.kind == LEN else _v1_type(f)
        elif f.number == numbers.blobs and f.kind == LEN:
            blobs.append(f)
    weights = LayerWeights(name, kind, [])
    for i, f in enumerate(blobs):
        what = f"Blob {i} of layer '{name}' in {file}"
        array = read_blob(data, f.start, f.stop, what).data
        if array is None:
            raise WeightsError(f"{what} has no data", hint="It holds a shape at most; take a file that was trained.")
        weights.blobs.append(array)
    return weights


def _text(data: memoryview, field: WireField) -> str:
    raw = bytes(data[field.start : field.stop])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _v1_type(field: WireField) -> str:
    known = V1LayerParameter.LayerType.DESCRIPTOR.values_by_number
    if field.kind != VARINT or field.value not in known:
        return str(field.value)
    return str(known[field.value].name)


def _refuse_others(head: bytes, file: str) -> None:
    if not head:
        raise ParseError(f"{file} is empty", hint="A caffemodel was expected.")
    if head.startswith(_HDF5):
        raise ParseError(f"{file} is an HDF5 file, not a binary caffemodel", hint="Name it .caffemodel.h5.")
    if head[0] == _SOLVERSTATE:
        raise ParseError(f"{file} is no caffemodel", hint=NO_WEIGHTS)
    if all(32 <= b < 127 or b in b"\t\r\n" for b in head):
        line = head.decode("ascii").strip().partition("\n")[0].strip()
        raise ParseError(
            f"{file} is text, not a caffemodel; it begins with '{line[:60]}'",
            hint="Is it the prototxt? A web page or a Git LFS pointer? Download it again then.",
        )


def write_caffemodel(
    path: PathLike,
    net_param: NetParameter,
    blobs: Sequence[Sequence[Array]],
    diffs: Sequence[Sequence[Array]] | None = None,
) -> None:
    """Write a binary .caffemodel, atomically: the net, with these blobs in its layers in place of those it holds.

    `blobs`, and `diffs` if given, have one list of arrays for each entry of `net_param.layer`, empty where it has none.
    Arrays are stored as float; those of float64 as double, as Caffe's double nets do. Files above 2 GiB are written,
    with a warning in the log: we read them, protobuf and so Caffe do not. Raises SnapshotError.
    """
    count = len(net_param.layer)
    if len(blobs) != count or (diffs is not None and len(diffs) != count):
        raise WeightsError(f"The net has {count} layers; arrays came for {len(blobs)}")
    head = NetParameter()
    head.CopyFrom(net_param)
    head.ClearField("layer")
    with atomic_write(path) as part, open(part, "wb") as f:
        f.write(head.SerializePartialToString())
        for i, layer in enumerate(net_param.layer):
            pieces = _layer_parts(layer, blobs[i], diffs[i] if diffs is not None else ())
            f.write(put_head(_V2, sum(map(len, pieces))))
            f.writelines(pieces)
        size = f.tell()
    if size > PROTOBUF_LIMIT:
        log.warning("%s has %d bytes; BVLC Caffe reads at most %d: save as HDF5 for it", path, size, PROTOBUF_LIMIT)


def _layer_parts(layer: LayerParameter, blobs: Sequence[Array], diffs: Sequence[Array]) -> list[bytes | memoryview]:
    if layer.blobs:
        bare = LayerParameter()
        bare.CopyFrom(layer)
        bare.ClearField("blobs")
        layer = bare
    pieces: list[bytes | memoryview] = [layer.SerializePartialToString()]
    for array, diff in zip_longest(blobs, diffs):
        blob = blob_parts(array, diff, doubles=array.dtype == np.float64)
        pieces += [put_head(_LAYER[_V2].blobs, sum(map(len, blob))), *blob]
    return pieces
