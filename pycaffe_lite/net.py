"""Net: layers and blobs built from a network file, with forward and backward passes, as in pycaffe."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

import numpy as np
import numpy.typing as npt

from pycaffe_lite import _display, _random, weights_io
from pycaffe_lite._files import PathLike
from pycaffe_lite._given import set_all
from pycaffe_lite._named import NamedBlobs, NamedLayers, NamedParams, NamesByLayer
from pycaffe_lite._pycaffe import PycaffeNames
from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.blob_vec import BlobVec
from pycaffe_lite.errors import CaffeError, ParameterError
from pycaffe_lite.graph.build import build, reshape
from pycaffe_lite.graph.passes import Passes
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.graph.upgrade import upgrade_net
from pycaffe_lite.layer import Layer
from pycaffe_lite.memory_use import MemoryUse, memory_use
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import Positions, read_net
from pycaffe_lite.summary import Summary, summary
from pycaffe_lite.weights_io import LoadReport

if TYPE_CHECKING:
    from pycaffe_lite.draw import Drawing


class _Zero(int):
    """The level of a call that gives none."""


_NO_LEVEL = _Zero(0)


class Net(PycaffeNames):
    """A network in one phase.

    Net(network_file, phase, level=0, stages=None, weights=None) or, as in old scripts,
    Net(network_file, weights_file, phase). `network_file` may also be a NetParameter message; weights that come with
    it, as in a .caffemodel, are taken. `strict` is copy_from's. `dtype` is np.float32 or np.float64, `seed` derives
    every layer's random numbers (default: set_random_seed's). A net from a stranger is opened with `trusted=False`: it
    may not import modules, as Python layers do.

    With `reuse_memory=True`, for phase TEST, blobs between layers use each other's memory, when they are no longer
    needed, and some that an engine can do without are not computed: most nets are faster so. Asking for the data of one
    that has no memory raises MemoryReusedError; what has been asked for by forward(blobs=[...]) keeps memory of its own
    from then on. An array that somebody holds is never made another blob's; the next pass may overwrite it, as in any
    net, or write elsewhere: ask the blob again. There is no backward pass.

    Raises MissingFileError and ParseError for the files; UnknownTypeError, ParameterError, GraphError, ShapeError and
    MemoryLimitError, each naming layer and place, for what they say.

    Differences from Caffe: every fatal check is an exception; in-place layers that would spoil another layer's gradient
    get memory of their own; nets larger than the machine's memory are refused while they are built.
    """

    def __init__(
        self,
        network_file: PathLike | pb.NetParameter,
        phase: int | PathLike,
        level: int = _NO_LEVEL,
        stages: Sequence[str] | None = None,
        weights: PathLike | None = None,
        *,
        strict: bool = True,
        dtype: npt.DTypeLike = np.float32,
        seed: int | None = None,
        trusted: bool = True,
        reuse_memory: bool = False,
    ) -> None:
        if isinstance(stages, str):
            raise ParameterError(f"stages is the text {stages!r}", hint=f"Give a list: stages=[{stages!r}].")
        if phase in ("TRAIN", "TEST"):
            raise ParameterError(f"The phase is the text {phase!r}", hint=f"Write pycaffe_lite.{phase}.")
        if isinstance(phase, str | os.PathLike):
            if level is _NO_LEVEL:
                raise ParameterError(
                    "Net(network_file, weights_file) lacks the phase", hint="Add caffe.TEST, or caffe.TRAIN."
                )
            if weights is not None:
                raise ParameterError(
                    f"There are two files of weights, {os.fspath(phase)} and {os.fspath(weights)}",
                    hint="Give one; copy_from reads another.",
                )
            weights, phase, level = phase, level, 0
        if isinstance(level, str | os.PathLike):
            raise ParameterError(f"The level is {os.fspath(level)!r}", hint="Weights go by name: weights=file.")
        if phase not in pb.Phase.values():
            raise ParameterError(f"The phase is {phase!r}", hint="It must be pycaffe_lite.TRAIN or pycaffe_lite.TEST.")
        doubt = ""
        if isinstance(network_file, pb.NetParameter):
            message, positions = pb.NetParameter(), None
            message.CopyFrom(network_file)
        else:
            message, positions = read_net(network_file)
            if not positions.file:
                doubt = f"{os.fspath(network_file)} is binary: is it the weights, given in place of the prototxt?"
        message.state.phase = phase  # type: ignore[assignment]
        message.state.level = level
        message.state.stage.extend(stages or [])
        try:
            self._init(message, positions, dtype, seed, trusted, reuse_memory)
        except CaffeError as e:
            e.hint = f"{e.hint} {doubt}".strip()
            raise
        if weights is not None:
            self.copy_from(weights, strict)

    @classmethod
    def from_message(
        cls,
        message: pb.NetParameter,
        positions: Positions | None = None,
        *,
        dtype: npt.DTypeLike = np.float32,
        seed: int | None = None,
        trusted: bool = True,
        reuse_memory: bool = False,
    ) -> Net:
        """A net of this message in the state that the message itself gives; the message is copied."""
        self = cls.__new__(cls)
        own = pb.NetParameter()
        own.CopyFrom(message)
        self._init(own, positions, dtype, seed, trusted, reuse_memory)
        return self

    def _init(
        self,
        message: pb.NetParameter,
        positions: Positions | None,
        dtype: npt.DTypeLike,
        seed: int | None,
        trusted: bool,
        reuse_memory: bool,
    ) -> None:
        if reuse_memory and message.state.phase != pb.TEST:
            raise ParameterError(
                "reuse_memory=True is for nets in phase TEST", hint="Backward passes need what forward passes computed."
            )
        message, positions = upgrade_net(message, positions)
        self.name = message.name
        self.phase = message.state.phase
        self.seed = _random.new_seed() if seed is None else seed
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ParameterError(f"The dtype is {self.dtype}", hint="It must be np.float32 or np.float64.")
        graph = build(message, positions, self.dtype, self.seed, trusted, reuse_memory)
        self.memory_for_data = graph.memory_for_data
        """Bytes of all blobs' data as Caffe counts them: those that live in another's memory too."""
        self.learnable = graph.params
        self.blobs: OrderedDict[str, Blob] = NamedBlobs(graph.blobs)
        self.layers: list[Layer] = [n.layer for n in graph.nodes]
        self.layer_dict: OrderedDict[str, Layer] = NamedLayers((n.name, n.layer) for n in graph.nodes)
        self.params: OrderedDict[str, BlobVec] = NamedParams(
            (n.name, n.layer.blobs) for n in graph.nodes if n.layer.blobs
        )
        self.inputs: list[str] = graph.inputs
        self.outputs: list[str] = list(graph.outputs)
        self.top_names: OrderedDict[str, list[str]] = NamesByLayer((n.name, n.top_names) for n in graph.nodes)
        self.bottom_names: OrderedDict[str, list[str]] = NamesByLayer((n.name, n.bottom_names) for n in graph.nodes)
        self._nodes: list[Node] = graph.nodes
        self._passes = Passes(graph, self.phase)
        self._passes.debug_info = message.debug_info
        self._index: dict[str, int] = {n.name: n.index for n in reversed(graph.nodes)}
        self._output_blobs = graph.outputs
        self._reuse = graph.reuse
        weights_io.copy_own(self)

    # Passes.

    def forward(
        self, blobs: Iterable[str] | None = None, start: str | None = None, end: str | None = None, **inputs: Array
    ) -> dict[str, Array]:
        """Run the layers from `start` to `end` (names; default all) and return the outputs' data by name.

        Keywords set the net's inputs first and must be all of them, each with as many items as its blob; other axes are
        broadcast, as numpy does and pycaffe. `blobs` names more blobs to return; with `end`, that layer's tops are
        returned in place of the net's outputs.
        Raises GraphError for unknown names, ShapeError for inputs of the wrong size; with reuse_memory=True
        MemoryReusedError where layers before `start` would have to run again.
        """
        first = 0 if start is None else self._layer_index(start)
        last = len(self._nodes) - 1 if end is None else self._layer_index(end)
        wanted: Mapping[str, Blob] = self._output_blobs
        if end is not None:
            wanted = self._of(self._nodes[last].top_names, self._nodes[last].tops)
        if blobs is not None:
            asked = self._named(self._asked("forward", "blobs", blobs))
            wanted = _with(wanted, asked)
            if self._reuse is not None:
                self._reuse.keep(asked.values())
        if inputs:
            set_all("data", inputs, self._named(self.inputs), "Input blob arguments do not match net inputs", "Input")
        self._passes.forward_as_named(first, last)
        return {name: blob.data for name, blob in wanted.items()}

    def backward(
        self, diffs: Iterable[str] | None = None, start: str | None = None, end: str | None = None, **top_diffs: Array
    ) -> dict[str, Array]:
        """Run the layers' backward passes from `start` down to `end` (names; default all); returns the inputs' diffs.

        Keywords set the diffs of the net's outputs first and must be all of them. `diffs` names more blobs whose diff
        to return; with `end`, that layer's bottoms are returned in place of the net's inputs.
        Raises GraphError for unknown names and with reuse_memory=True, ShapeError for diffs of the wrong size and where
        blobs have been reshaped since the last forward pass; Caffe then reads what is there.
        """
        first = len(self._nodes) - 1 if start is None else self._layer_index(start)
        last = 0 if end is None else self._layer_index(end)
        if end is None:
            wanted = self._named(self.inputs)
        else:
            wanted = self._of(self._nodes[last].bottom_names, self._nodes[last].bottoms)
        wanted = _with(wanted, self._named(self._asked("backward", "diffs", diffs)))
        if top_diffs:
            set_all("diff", top_diffs, self._output_blobs, "Top diff arguments do not match net outputs", "Diff")
        self._passes.backward_as_named(first, last)
        return {name: blob.diff for name, blob in wanted.items()}

    def _forward(self, start: int, end: int) -> float:
        """Run layers start to end (indices, both included); returns the weighted loss of their tops."""
        return self._passes.forward(start, end)

    def _backward(self, start: int, end: int) -> None:
        """Run the backward passes of layers start down to end (indices, both included) that need one."""
        self._passes.backward(start, end)

    @property
    def debug_info(self) -> bool:
        """Whether passes log the mean absolute values of all that they compute."""
        return self._passes.debug_info

    @debug_info.setter
    def debug_info(self, on: bool) -> None:
        self._passes.debug_info = on

    def reshape(self) -> None:
        """Reshape every layer for the present shapes of its bottoms, from the inputs on. Raises what layers raise,
        mostly ShapeError.
        """
        self._passes.forget()
        for node in self._nodes:
            try:
                reshape(node)
            except CaffeError as e:
                raise node.spec.blame(e) from e.__cause__

    def clear_param_diffs(self) -> None:
        """Set the gradients of all learnable parameters to zero."""
        self.learnable.settle_diffs()
        self.learnable.diff.clear()

    # Weights.

    def copy_from(self, weights_file: PathLike, strict: bool = True) -> LoadReport:
        """Copy the weights of layers of the same name from a .caffemodel, or .h5, file.

        Layers of the file that the net lacks are ignored (and logged), layers that the file lacks keep their fillers;
        where that is all of them, a warning is logged.
        Returns which was which. Where a layer's blobs differ in number or shape: with `strict` raises WeightsError and
        copies nothing, without it copies what fits and reports the rest as unfit. Raises MissingFileError, and
        ParseError for what is no such file.
        """
        return weights_io.copy_from(self, weights_file, strict)

    def load_hdf5(self, weights_file: PathLike, strict: bool = True) -> LoadReport:
        """As `copy_from`, from an HDF5 file whatever its name."""
        return weights_io.copy_from_hdf5(self, weights_file, strict)

    def save(self, path: PathLike, write_diff: bool = False) -> None:
        """Write net and weights as a .caffemodel: whole, or not at all (SnapshotError)."""
        weights_io.save(self, path, write_diff)

    def save_hdf5(self, path: PathLike, write_diff: bool = False) -> None:
        """Write the weights as HDF5; parameters shared by name are written once, by their owner."""
        weights_io.save_hdf5(self, path, write_diff)

    def share_with(self, other: Net) -> None:
        """Use the other net's weight memory for layers of the same name (pycaffe's share_with).

        Raises WeightsError when a layer's blobs differ in number or shape.
        """
        weights_io.share(self, other)

    # For the prompt.

    def close(self) -> None:
        """Stop background threads and close files. A net that is let go does this by itself."""
        for layer in self.layers:
            type(layer).close(layer)

    def summary(self) -> Summary:
        """A table of the layers: type, output shapes, parameters, multiply-adds, memory, who computes."""
        return summary(self)

    def memory_use(self) -> MemoryUse:
        """How many bytes data, gradients, parameters and working memory take now; see also memory_for_data."""
        return memory_use(self)

    def draw(self, rankdir: str = "TB", display_lrm: bool = False) -> Drawing:
        """A picture of the layers and blobs: shows itself in a notebook, elsewhere `.save('net.svg')` writes it.

        `rankdir` is the direction of the flow, TB, BT, LR or RL; `display_lrm` adds learning rate multipliers.
        """
        from pycaffe_lite.draw import draw

        return draw(self, rankdir, display_lrm=display_lrm)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise CaffeError(
            "A net cannot be copied or pickled", hint="Build a second one; other.share_with(net) shares the weights."
        )

    def __repr__(self) -> str:
        return _display.net_line(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # Helpers.

    def _layer_index(self, name: str) -> int:
        self.layer_dict[name]  # says what is wrong with a name that is not there
        return self._index[name]

    def _of(self, names: Sequence[str], blobs: Sequence[Blob]) -> dict[str, Blob]:
        """A layer's own bottoms or tops: of layers in place on one blob, each may have memory of its own."""
        return {name: blob for name, blob in zip(names, blobs, strict=True) if name in self.blobs}

    def _named(self, names: Iterable[str]) -> dict[str, Blob]:
        return {name: self.blobs[name] for name in names}


def _with(wanted: Mapping[str, Blob], asked: Mapping[str, Blob]) -> dict[str, Blob]:
    """Both, in this order; of one name the blob that is `wanted`, as `end` has made it."""
    return {**wanted, **asked, **wanted}
