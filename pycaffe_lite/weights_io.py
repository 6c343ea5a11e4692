"""A net's weights in and out: which layer of a file goes into which layer of the net."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pycaffe_lite import schema
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import WeightsError
from pycaffe_lite.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    from pycaffe_lite.graph.plan import Node
    from pycaffe_lite.net import Net

log = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]


@dataclass
class Loaded:
    """What loading did: layers whose weights were copied, the file's layers that the net lacks, and the net's layers
    that the file lacks, which keep what their fillers gave them.
    """

    matched: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def copy_from(net: Net, path: PathLike) -> Loaded:
    """Copy weights from a .caffemodel, or from HDF5 when the name ends in .h5 (Caffe's rule).

    Raises WeightsError where a layer's blobs differ in number or shape.
    """
    if os.fspath(path).endswith(".h5"):
        return copy_from_hdf5(net, path)
    return _copy(net, path, ((w.name, w.blobs) for w in schema.read_caffemodel(path)), shared_once=False)


def copy_from_hdf5(net: Net, path: PathLike) -> Loaded:
    """Copy weights from an HDF5 file, where parameters shared by name stand once."""
    return _copy(net, path, schema.read_weights_hdf5(path).items(), shared_once=True)


def copy_own(net: Net) -> None:
    """Copy the weights that came within the net's own message, as they do when it was read from a .caffemodel."""
    found = [(n.name, [schema.blobproto_to_array(b) for b in n.message.blobs]) for n in net._nodes if n.message.blobs]
    if found:
        _copy(net, "the network file", found, shared_once=False)
    for node in net._nodes:
        del node.message.blobs[:]


def _copy(net: Net, path: PathLike, layers: Iterable[tuple[str, Sequence[Array | None]]], shared_once: bool) -> Loaded:
    nodes = _by_name(net)
    loaded = Loaded()
    for name, arrays in layers:
        node = nodes.get(name)
        if node is None:
            log.info("Ignoring source layer %s", name)
            if arrays:
                loaded.ignored.append(name)
            continue
        targets = list(node.layer.blobs)
        if shared_once:
            # what the owner's group gives need not stand in the sharers' groups
            arrays = [*arrays, *[None] * (len(targets) - len(arrays))]
            owned = [j for j in range(len(targets)) if not _is_sharer(net, node, j)]
            missing = [j for j in owned if arrays[j] is None]
            if missing:
                raise _mismatch(node, path, f"{len(targets)} blobs, the file has no blob {missing[0]}")
        if len(arrays) != len(targets):
            raise _mismatch(node, path, f"{len(targets)} learnable blobs, the file has {len(arrays)}")
        for j, (blob, array) in enumerate(zip(targets, arrays, strict=True)):
            if array is None:
                continue
            if not _shapes_agree(blob.shape, array.shape):
                raise _mismatch(node, path, f"shape {blob.shape} for blob {j}, the file has {array.shape}")
            blob.data[...] = array.reshape(blob.shape)
        if targets:
            loaded.matched.append(name)
    loaded.kept = [n.name for n in net._nodes if n.layer.blobs and n.name not in loaded.matched]
    if loaded.kept:
        log.info("Not in %s, and left as they were: %s", os.fspath(path), ", ".join(loaded.kept))
    return loaded


def share(net: Net, other: Net) -> None:
    """Let layers of `net` use the data memory of the layers of the same name of `other`."""
    nodes = _by_name(net)
    for source in other._nodes:
        node = nodes.get(source.name)
        if node is None:
            log.info("Ignoring source layer %s", source.name)
            continue
        mine, theirs = node.layer.blobs, source.layer.blobs
        if len(mine) != len(theirs):
            raise _mismatch(node, "the other net", f"{len(mine)} learnable blobs, the other has {len(theirs)}")
        for j, (blob, owner) in enumerate(zip(mine, theirs, strict=True)):
            if blob.dtype != owner.dtype:
                raise _mismatch(node, "the other net", f"{blob.dtype} numbers, the other has {owner.dtype}")
            if blob.shape != owner.shape:
                raise _mismatch(node, "the other net", f"shape {blob.shape} for blob {j}, the other has {owner.shape}")
            blob.share_data(owner)


def save(net: Net, path: PathLike, write_diff: bool = False) -> None:
    """Write a .caffemodel: the net's message with each layer's blobs."""
    message = pb.NetParameter(name=net.name)
    for node in net._nodes:
        message.layer.add().CopyFrom(node.message)
        del message.layer[-1].blobs[:]
    schema.write_caffemodel(path, message, _arrays(net, "data"), _arrays(net, "diff") if write_diff else None)


def save_hdf5(net: Net, path: PathLike, write_diff: bool = False) -> None:
    """Write weights as HDF5: groups data/<layer>/<index>, and diff/ likewise."""

    def owned(what: str) -> dict[str, list[Array | None]]:
        return {
            node.name: [None if _is_sharer(net, node, j) else _array(b, what) for j, b in enumerate(node.layer.blobs)]
            for node in net._nodes
        }

    schema.write_weights_hdf5(path, owned("data"), owned("diff") if write_diff else None)


def _by_name(net: Net) -> dict[str, Node]:
    """The nodes by name; of several of one name the first, as in Caffe."""
    return {node.name: node for node in reversed(net._nodes)}


def _arrays(net: Net, what: str) -> list[list[Array]]:
    return [[_array(b, what) for b in node.layer.blobs] for node in net._nodes]


def _array(blob: Blob, what: str) -> Array:
    return blob.data if what == "data" else blob.diff


def _is_sharer(net: Net, node: Node, j: int) -> bool:
    return net.learnable.owner_of[net.learnable.place[node.index, j]] != (node.index, j)


def _shapes_agree(ours: Shape, theirs: Shape) -> bool:
    """Equal, or equal but for leading ones: old files pad every shape to four axes."""
    if ours == theirs:
        return True
    return len(theirs) == 4 and len(ours) < 4 and (1,) * (4 - len(ours)) + tuple(ours) == tuple(theirs)


def _mismatch(node: Node, source: PathLike, what: str) -> WeightsError:
    return node.spec.blame(
        WeightsError(
            f"The weights in {os.fspath(source)} do not fit: the net has {what}",
            hint="To take the other layers' weights and train this one anew, give it another name.",
        )
    )
