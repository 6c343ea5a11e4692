"""Net: layers and blobs built from a network file, with forward and backward passes, as in pycaffe."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

import numpy as np
import numpy.typing as npt

from pycaffe_lite import _debug_info, _display, _random, weights_io
from pycaffe_lite._files import PathLike
from pycaffe_lite._named import NamedBlobs, NamedLayers, NamedParams, NamesByLayer
from pycaffe_lite._pycaffe import Callbacks, PycaffeNames
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob, BlobVec, Side
from pycaffe_lite.errors import CaffeError, GraphError, ParameterError, ShapeError
from pycaffe_lite.graph.again import Note, Repeats, loss_of
from pycaffe_lite.graph.build import build, reshape, settle
from pycaffe_lite.graph.chains import Chains
from pycaffe_lite.graph.names import Calls, names_of
from pycaffe_lite.graph.plan import Node
from pycaffe_lite.graph.steps import Steps
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
        self.debug_info = message.debug_info
        """Whether passes log the mean absolute values of all that they compute."""
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
        self.inputs: list[str] = [t for n in graph.nodes if n.type == "Input" for t in n.top_names]
        self.outputs: list[str] = list(graph.outputs)
        self.top_names: OrderedDict[str, list[str]] = NamesByLayer((n.name, n.top_names) for n in graph.nodes)
        self.bottom_names: OrderedDict[str, list[str]] = NamesByLayer((n.name, n.bottom_names) for n in graph.nodes)
        self._nodes: list[Node] = graph.nodes
        self._chains = Chains(graph.nodes, graph.reuse)
        self._repeats: Repeats | None = None
        self._steps: Steps | None = None
        if graph.nodes and not any(n.always_reshape for n in graph.nodes):
            if self.phase == pb.TEST:
                self._repeats = Repeats(graph.nodes, self._chains.all, graph.reuse)
            elif not any(n.bottom_weights for n in graph.nodes):
                self._steps = Steps(graph.nodes, self._chains.all, self._chains.all_backward)
        self._names = None if graph.reuse else names_of(graph.nodes, graph.blobs, self.inputs)
        self._index: dict[str, int] = {n.name: n.index for n in reversed(graph.nodes)}
        self._output_blobs = graph.outputs
        self._has_users_layers = any(n.always_reshape for n in graph.nodes)
        self._callbacks = Callbacks()
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
            self._set("data", inputs, self._named(self.inputs), "Input blob arguments do not match net inputs", "Input")
        if self._names is None:
            self._forward(first, last)
        else:
            with self._names.one_memory("data", first, last):
                self._forward(first, last)
        return {name: blob.data for name, blob in wanted.items()}

    def backward(
        self, diffs: Iterable[str] | None = None, start: str | None = None, end: str | None = None, **top_diffs: Array
    ) -> dict[str, Array]:
        """Run the layers' backward passes from `start` down to `end` (names; default all); returns the inputs' diffs.

        Keywords set the diffs of the net's outputs first and must be all of them. `diffs` names more blobs whose diff
        to return; with `end`, that layer's bottoms are returned in place of the net's inputs.
        Raises GraphError for unknown names and with reuse_memory=True, ShapeError for diffs of the wrong size.
        """
        first = len(self._nodes) - 1 if start is None else self._layer_index(start)
        last = 0 if end is None else self._layer_index(end)
        if end is None:
            wanted = self._named(self.inputs)
        else:
            wanted = self._of(self._nodes[last].bottom_names, self._nodes[last].bottoms)
        wanted = _with(wanted, self._named(self._asked("backward", "diffs", diffs)))
        if top_diffs:
            self._set("diff", top_diffs, self._output_blobs, "Top diff arguments do not match net outputs", "Diff")
        if self._names is None:
            self._backward(first, last)
        else:
            with self._names.one_memory("diff", last, first):
                self._backward(first, last)
        return {name: blob.diff for name, blob in wanted.items()}

    def _forward(self, start: int, end: int) -> float:
        """Run layers start to end (indices, both included); returns the weighted loss of their tops."""
        nodes = self._nodes[start : end + 1] if self._is_watched else self._chains.between(start, end)
        repeats = self._repeats
        if repeats is None or nodes is not self._chains.all:
            return self._run_forward(nodes, None)
        done, loss = repeats.run()
        if done == len(nodes):
            return loss
        notes = None if done else repeats.notes()
        loss += self._run_forward(nodes[done:], notes)
        if notes is not None:
            repeats.keep(notes)
        return loss

    def _backward(self, start: int, end: int) -> None:
        """Run the backward passes of layers start down to end (indices, both included) that need one."""
        if self._reuse is not None:
            raise GraphError("A net with reuse_memory=True has no backward pass", hint="Build it without.")
        nodes = self._nodes[end : start + 1][::-1] if self._is_watched else self._chains.backward(start, end)
        self._run_backward(nodes, None)
        if self.debug_info and (start, end) == (len(self._nodes) - 1, 0):
            with np.errstate(all="ignore"):
                _debug_info.log_all_params(self.learnable)

    def _forward_backward(self) -> float:
        """Both passes through all layers; returns the weighted loss."""
        if self._names is None:
            return self._run_both()
        with self._names.one_memory("diff", 0, len(self._nodes) - 1):
            return self._run_both()

    def _run_both(self) -> float:
        steps, last = self._steps, len(self._nodes) - 1
        if steps is None or self._is_watched:
            loss = self._forward(0, last)
            self._backward(last, 0)
            return loss
        done, loss = steps.run()
        forward, backward = steps.left(done)
        if not (forward or backward):
            return loss
        notes = None if done else steps.notes()
        loss += self._run_forward(forward, notes)
        self._run_backward(backward, notes)
        if notes is not None:
            steps.keep(notes)
        return loss

    @property
    def _is_watched(self) -> bool:
        """Whether somebody is told about layer by layer."""
        return self.debug_info or self._callbacks.any

    def _users_errors(self) -> dict[str, Any]:
        """What numpy is to do about errors in users' layers."""
        return dict(np.geterr()) if self._has_users_layers else {}

    def _run_forward(self, nodes: Sequence[Node], notes: list[Note] | None) -> float:
        """Run these nodes; returns their loss, and in `notes` what they did."""
        loss, reuse, errors = 0.0, self._reuse, self._users_errors()
        before, after = self._calls("data")
        with np.errstate(all="ignore"):  # infinity and NaN come out where they do in C
            for node in nodes:
                for call in before:
                    call(node.index)
                if reuse is not None:
                    reuse.before_layer(node)
                try:
                    if node.always_reshape:
                        _forward_as_its_author_expects(node, errors)
                    else:
                        if node.settled_at != Blob.changes:
                            settle(node)
                        did = node.layer.forward(node.bottoms, node.tops)
                        if notes is not None:
                            notes.append(Note.of_forward(node, did))
                except CaffeError as e:
                    raise node.spec.blame(e) from e.__cause__
                if self.debug_info:
                    _debug_info.log_forward(node, self.learnable)
                if node.losses:
                    loss += loss_of(node)
                for call in after:
                    call(node.index)
        return loss

    def _run_backward(self, nodes: Sequence[Node], notes: list[Note] | None) -> None:
        """Run the backward passes of these nodes that need one; in `notes` what they did."""
        errors = self._users_errors()
        before, after = self._calls("diff")
        with np.errstate(all="ignore"):
            for node in nodes:
                for call in before:
                    call(node.index)
                if node.need_backward:
                    try:
                        if node.always_reshape:
                            _backward_as_its_author_expects(node, errors)
                        else:
                            did = node.layer.backward(node.tops, node.propagate_down, node.bottoms)
                            if notes is not None:
                                notes.append(Note.of_backward(node, did))
                    except CaffeError as e:
                        raise node.spec.blame(e) from e.__cause__
                    for i, weight in node.bottom_weights:
                        node.bottoms[i].diff[...] += weight
                    if self.debug_info:
                        _debug_info.log_backward(node)
                for call in after:
                    call(node.index)

    def _calls(self, what: Side) -> tuple[Calls, Calls]:
        """What is called before and after each layer in the pass that computes data, or diffs."""
        before, after = self._callbacks.of(what)
        return (before, after) if self._names is None else self._names.around(what, before, after)

    @property
    def runs_others_code(self) -> bool:
        """Whether a pass calls back, or runs Python layers."""
        return self._has_users_layers or self._callbacks.any

    def reshape(self) -> None:
        """Reshape every layer for the present shapes of its bottoms, from the inputs on. Raises what layers raise,
        mostly ShapeError.
        """
        for repeats in (self._repeats, self._steps):
            if repeats is not None:
                repeats.forget()
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
        """A table of the layers: type, output shapes, parameters, multiply-adds, memory."""
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

    @staticmethod
    def _set(what: Side, given: Mapping[str, Array], expected: Mapping[str, Blob], mismatch: str, noun: str) -> None:
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


def _with(wanted: Mapping[str, Blob], asked: Mapping[str, Blob]) -> dict[str, Blob]:
    """Both, in this order; of one name the blob that is `wanted`, as `end` has made it."""
    return {**wanted, **asked, **wanted}


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


def _forward_as_its_author_expects(node: Node, errors: Mapping[str, Any]) -> None:
    """A user's layer is reshaped each time, works on copies where it may not work in place, and warns as usual."""
    reshape(node)
    for i, original in node.copies:
        node.bottoms[i].data[...] = original.data
    with np.errstate(**errors), node.spec.noted("forward"):
        node.layer.forward(node.bottoms, node.tops)


def _backward_as_its_author_expects(node: Node, errors: Mapping[str, Any]) -> None:
    with np.errstate(**errors), node.spec.noted("backward"):
        node.layer.backward(node.tops, node.propagate_down, node.bottoms)
    for i, original in node.copies:
        if node.propagate_down[i]:
            original.diff[...] = node.bottoms[i].diff
