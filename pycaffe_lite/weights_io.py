"""A net's weights in and out: which layer of a file goes into which layer of the net."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pycaffe_lite import schema
from pycaffe_lite._files import PathLike, copy_mapped
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob, Side
from pycaffe_lite.errors import WeightsError
from pycaffe_lite.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    from pycaffe_lite.graph.plan import Node
    from pycaffe_lite.net import Net

log = logging.getLogger(__name__)
_LISTED = 8
_RENAME = (
    "To take the other layers' weights and train this one anew, give it another name; in Python, strict=False does too."
)
_Source = tuple[str, Sequence["Array | None"]]
"""A layer's name in a file, and its arrays."""


@dataclass
class LoadReport:
    """What loading did, by layers' names; prints as a few aligned lines.

    `matched`: those whose weights were copied. `ignored`: the file's, with weights, that the net lacks. `kept`: the
    net's that the file lacks, which keep what their fillers gave them. `unfit`: with strict=False, what of a layer did
    not fit and was left as it was.
    """

    source: str = ""
    matched: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    unfit: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [
            ("loaded", _some(self.matched) or "nothing"),
            *(("unfit", f"{name}: {why}") for name, reasons in self.unfit.items() for why in reasons),
            ("kept", f"{_some(self.kept)} (not in the file, as filled)" if self.kept else ""),
            ("ignored", f"{_some(self.ignored)} (in the file only)" if self.ignored else ""),
        ]
        return "\n".join([f"Weights of {self.source}", *(f"  {what:<7}  {names}" for what, names in rows if names)])

    __repr__ = __str__


def copy_from(net: Net, path: PathLike, strict: bool = True) -> LoadReport:
    """Copy weights from a .caffemodel, or from HDF5 when the name ends in .h5 (Caffe's rule).

    Raises WeightsError where a layer's blobs differ in number or shape, before anything is copied; without `strict`
    those blobs stay as they are and are reported.
    """
    if os.fspath(path).endswith(".h5"):
        return copy_from_hdf5(net, path, strict)
    layers: list[_Source] = [(w.name, w.blobs) for w in schema.read_caffemodel(path)]
    return _copy(net, path, layers, shared_once=False, strict=strict)


def copy_from_hdf5(net: Net, path: PathLike, strict: bool = True) -> LoadReport:
    """Copy weights from an HDF5 file, where parameters shared by name stand once."""
    return _copy(net, path, schema.read_weights_hdf5(path).items(), shared_once=True, strict=strict)


def copy_to_use(net: Net, path: PathLike) -> None:
    """Copy weights into a net that is used and not trained: layers that the file lacks are warned of."""
    report = net.copy_from(path)
    if report.kept and report.matched:
        log.warning("%s has no weights for %s: they are used untrained", report.source, _some(report.kept))


def copy_own(net: Net) -> None:
    """Copy the weights that came within the net's own message, as they do when it was read from a .caffemodel."""
    found = [(n.name, [schema.blobproto_to_array(b) for b in n.message.blobs]) for n in net._nodes if n.message.blobs]
    if found:
        _copy(net, "the network file", found, shared_once=False, strict=True)
    for node in net._nodes:
        del node.message.blobs[:]


def _copy(net: Net, path: PathLike, layers: Iterable[_Source], *, shared_once: bool, strict: bool) -> LoadReport:
    nodes = _by_name(net)
    report = LoadReport(os.fspath(path))
    pairs: list[tuple[Blob, Array]] = []
    for name, arrays in layers:
        node = nodes.get(name)
        if node is None:
            log.info("Ignoring source layer %s", name)
            if arrays:
                report.ignored.append(name)
            continue
        fitting, unfit = _pairs(net, node, arrays, shared_once)
        if unfit and strict:
            raise _mismatch(node, path, unfit[0], _RENAME)
        if unfit:
            report.unfit[name] = unfit
            log.warning("Layer %s does not take all weights of %s: the net has %s", name, path, "; ".join(unfit))
        if fitting or (node.layer.blobs and not unfit):
            report.matched.append(name)
        pairs += fitting
    for blob, array in pairs:
        copy_mapped(array, blob.data)
    known = {*report.matched, *report.unfit}
    report.kept = [n.name for n in net._nodes if n.layer.blobs and n.name not in known]
    if report.kept and not known:
        log.warning(
            "%s has no weights for any layer of this net: it names %s, the net %s",
            os.fspath(path),
            _some(report.ignored) or "none",
            _some(report.kept),
        )
    elif report.kept:
        log.info("Not in %s, and left as they were: %s", os.fspath(path), ", ".join(report.kept))
    return report


def _pairs(
    net: Net, node: Node, arrays: Sequence[Array | None], shared_once: bool
) -> tuple[list[tuple[Blob, Array]], list[str]]:
    """The node's blobs with the arrays that go into them, and what does not fit ("the net has ...").

    With `shared_once` an array may be missing where another layer owns the blob.
    """
    targets = list(node.layer.blobs)
    unfit = []
    if shared_once:
        arrays = [*arrays, *[None] * (len(targets) - len(arrays))]
        missing = [j for j in range(len(targets)) if arrays[j] is None and not _is_sharer(net, node, j)]
        unfit += [f"{len(targets)} blobs, the file has no blob {j}" for j in missing]
    if len(arrays) != len(targets):
        unfit.append(f"{len(targets)} learnable blobs, the file has {len(arrays)}")
    pairs = []
    for j, (blob, array) in enumerate(zip(targets, arrays, strict=False)):
        if array is None:
            continue
        if _shapes_agree(blob.shape, array.shape):
            pairs.append((blob, array))
        else:
            unfit.append(f"shape {blob.shape} for blob {j}, the file has {array.shape}")
    return pairs, unfit


def share(net: Net, other: Net) -> None:
    """Let layers of `net` use the data memory of the layers of the same name of `other`.

    Raises WeightsError where two do not fit, before anything is shared.
    """
    nodes, pairs = _by_name(net), []
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
            pairs.append((blob, owner))
    for blob, owner in pairs:
        blob.share_data(owner)


def save(net: Net, path: PathLike, write_diff: bool = False) -> None:
    """Write a .caffemodel: the net's message with each layer's blobs."""
    message = pb.NetParameter(name=net.name)
    for node in net._nodes:
        node.check_params()
        message.layer.add().CopyFrom(node.message)
    schema.write_caffemodel(path, message, _arrays(net, "data"), _arrays(net, "diff") if write_diff else None)


def save_hdf5(net: Net, path: PathLike, write_diff: bool = False) -> None:
    """Write weights as HDF5: groups data/<layer>/<index>, and diff/ likewise."""
    for node in net._nodes:
        node.check_params()

    def owned(what: Side) -> dict[str, list[Array | None]]:
        return {
            node.name: [None if _is_sharer(net, node, j) else b.get(what) for j, b in enumerate(node.layer.blobs)]
            for node in net._nodes
        }

    schema.write_weights_hdf5(path, owned("data"), owned("diff") if write_diff else None)


def _by_name(net: Net) -> dict[str, Node]:
    """The nodes by name; of several of one name the first, as in Caffe."""
    return {node.name: node for node in reversed(net._nodes)}


def _arrays(net: Net, what: Side) -> list[list[Array]]:
    return [[blob.get(what) for blob in node.layer.blobs] for node in net._nodes]


def _is_sharer(net: Net, node: Node, j: int) -> bool:
    return net.learnable.owner_of[net.learnable.place[node.index, j]] != (node.index, j)


def _shapes_agree(ours: Shape, theirs: Shape) -> bool:
    """Equal, or equal but for leading ones: old files pad every shape to four axes."""
    if ours == theirs:
        return True
    return len(theirs) == 4 and len(ours) < 4 and (1,) * (4 - len(ours)) + tuple(ours) == tuple(theirs)


def _some(names: Sequence[str]) -> str:
    """The names, of many the first few."""
    more = len(names) - _LISTED
    return f"{', '.join(names[:_LISTED])} and {more} more" if more > 1 else ", ".join(names)


def _mismatch(node: Node, source: PathLike, what: str, hint: str = "") -> WeightsError:
    return node.spec.blame(
        WeightsError(f"The weights in {os.fspath(source)} do not fit: the net has {what}", hint=hint)
    )
