"""Layer: the contract between a net and everything that computes in it.

Built-in layers and users' Python layers are the same thing, a subclass of `Layer`. A net makes them, in this order:

1. construction from the layer's message, constraints checked;
2. `setup(bottom, top)` once: read parameters, make learnable blobs;
3. `reshape(bottom, top)`, again whenever a bottom's shape has changed: give the tops their shapes;
4. `forward(bottom, top)`: read `bottom[i].data`, write all of `top[i].data[...]`;
5. `backward(top, propagate_down, bottom)`: read `top[i].diff`; **overwrite** `bottom[i].diff[...]` where
   `propagate_down[i]`, **add** to `self.blobs[j].diff[...]` where `self.param_propagate_down(j)`.

Built-in layers write `infer_shapes`, `forward_cpu` and `backward_cpu`; the base class does the rest. An engine's may
also compute what layers around it would (`Absorbing`). Many have

    blob.stored("data")         where a reader may think blob.data
    blob.open("data", order)    the same, to be overwritten; either may lie in another order in memory (see `Blob`)
    self._do(f, *arrays)        f(*arrays), noted, so that a pass which is like this one does it again without asking
    self._gradient_of(j)        memory for a gradient, which then
    self._add_gradient(j, g)    adds to self.blobs[j].diff, without an addition to zeros

A Python layer overrides `setup`, `reshape`, `forward` and `backward`, as in pycaffe. Arrays belong to the blobs: ask
for them each time, never rebind or keep them.

The only public attributes are pycaffe's: `blobs`, `type`, `phase`, `param_str`; users' layers may assign any others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, SupportsIndex

import numpy as np
import numpy.typing as npt

from pycaffe_lite import _display, _random
from pycaffe_lite import constraints as _constraints
from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.absorbing import Absorbing
from pycaffe_lite.blob import Blob
from pycaffe_lite.blob_vec import BlobVec
from pycaffe_lite.constraints import Constraint
from pycaffe_lite.done import NOTHING, Called, Done, Kept
from pycaffe_lite.errors import CaffeError, GraphError, MissingMethodError, ParameterError, ShapeError
from pycaffe_lite.fillers import fill
from pycaffe_lite.memory import aligned, check_memory
from pycaffe_lite.proto import caffe_pb2 as pb

if TYPE_CHECKING:
    from typing_extensions import Self

_ZEROS = pb.FillerParameter()

_PYCAFFE = frozenset("backward blobs forward param_str phase reshape setup type".split())
"""What of a layer's own names users complete names to."""

Blobs = Sequence[Blob]
"""What a layer is handed as bottom and top."""


@dataclass(frozen=True)
class Arity:
    """How many blobs a layer takes or makes."""

    low: int
    high: int | None = None

    def __contains__(self, n: object) -> bool:
        return isinstance(n, int) and self.low <= n and (self.high is None or n <= self.high)

    def __str__(self) -> str:
        if self.high is None:
            return f"at least {self.low}"
        return str(self.low) if self.low == self.high else f"{self.low} to {self.high}"


def exactly(n: int) -> Arity:
    return Arity(n, n)


def at_least(n: int) -> Arity:
    return Arity(n)


def from_to(low: int, high: int) -> Arity:
    return Arity(low, high)


def no_gradient_to(index: int, propagate_down: Sequence[bool], what: str) -> None:
    """For a layer whose bottom of this number, `what`, has no gradient: raises GraphError where one is asked for."""
    if propagate_down[index]:
        raise GraphError(f"There is no gradient to {what}, bottom {index}", hint="Set propagate_down: false for it.")


class Layer(Absorbing):
    """Base of all layers; see the module for the life of one.

    Facts about the computation are class attributes where they never change and methods where the parameters decide;
    the net asks the class for them, so that a user's instance attributes are never mistaken for one.
    """

    bottoms: ClassVar[Arity] = at_least(0)
    tops: ClassVar[Arity] = at_least(0)
    same_number: ClassVar[bool] = False
    """As many tops as bottoms."""
    auto_tops: ClassVar[bool] = False
    """Tops that the message leaves out are made, nameless, up to the least number (losses)."""
    views: ClassVar[bool] = False
    """The tops' data are the bottom's own memory (Split, Flatten, Reshape)."""
    has_backward: ClassVar[bool] = True
    """False: no gradient ever comes out of it (data, Accuracy, ArgMax)."""
    needs_only_signs: ClassVar[bool] = False
    """All that backward_cpu needs of data are signs, and these only where the top's gradient is not 0 (ReLU)."""
    keeps_signs: ClassVar[bool] = False
    """A top has its bottom's sign wherever it lets a gradient through (ReLU, Dropout)."""
    in_place_without_backward: ClassVar[bool] = False
    """Where no backward pass runs, it may run in place whatever `may_run_in_place` says (PReLU, Scale)."""
    frozen_params: ClassVar[bool] = False
    """Its learnable blobs are statistics of its own (BatchNorm): they have no gradient, no solver moves them."""
    passing_scratch: ClassVar[frozenset[str]] = frozenset()
    """Working memory, by name, in which forward looks for nothing from before: layers of a net that reuses memory share
    it."""
    constraints: ClassVar[Mapping[str, Constraint]] = {}

    type: str = ""
    phase: int
    param_str: str = ""
    param_str_: str = ""
    """`param_str` by its name of 2015."""
    blobs: BlobVec

    _need_backward: bool = True
    """Whether backward may be called: a net says where it never is, once it is built."""
    _message: pb.LayerParameter
    _param_propagate_down: list[bool]
    _rng_of: Callable[[], np.random.Generator]
    _rng_made: np.random.Generator | None
    _rng_restarts: int
    _scratch_arrays: dict[str, tuple[Array, Array]]
    """By name: all of the memory, and what was last asked of it."""
    _shared_scratch: dict[str, Array] | None = None
    """Bytes by name, for `passing_scratch`, where layers share it."""

    # Not __init__: a user's layer may have one of its own and never call this one.
    def __new__(cls, message: pb.LayerParameter | None = None, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        message = pb.LayerParameter() if message is None else message
        self._message = message
        self.blobs = BlobVec()
        self.phase = message.phase
        self._param_propagate_down = []
        self._rng_of = np.random.default_rng
        self._rng_made = None
        self._rng_restarts = _random.restarts
        self._scratch_arrays = {}
        _constraints.check(message, cls.constraints)
        return self

    def __init__(self, message: pb.LayerParameter | None = None, *args: object, **kwargs: object) -> None:
        """Nothing more: for users' layers that hand on what they were made with."""

    # What the net asks before it runs anything.

    def may_run_in_place(self) -> bool:
        """Whether top i may be bottom i: forward still right, and backward needs no value that forward overwrote.

        Asked before setup: decide by the message.
        """
        return False

    def takes_any_order(self, bottom: Blobs, top: Blobs) -> bool:
        """Whether it asks for these by Blob.stored and Blob.open, wherever their numbers may lie in any order, and does
        better than to put them in plain order. Asked after the first reshape.
        """
        return False

    def falls_back(self, bottom: Blobs, top: Blobs) -> bool:
        """Whether an engine's layer leaves all of its forward pass to numpy's, as far as shapes and parameters tell."""
        return False

    def backward_reads_bottom_data(self) -> bool:
        """Whether backward_cpu looks at `bottom[i].data`."""
        return True

    def backward_reads_top_data(self) -> bool:
        """Whether backward_cpu looks at `top[i].data`."""
        return True

    def allow_force_backward(self, bottom_index: int) -> bool:
        """Whether force_backward makes this bottom want a gradient (False for labels and indices)."""
        return True

    def default_loss_weight(self, top_index: int) -> float:
        """The weight of a top in the net's loss where the message gives none (1 for the first top of a loss)."""
        return 0.0

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> Sequence[Shape | None]:
        """The tops' shapes for these bottoms' shapes, without touching an array; None where data decide."""
        raise MissingMethodError(
            f"{type(self).__name__} has no reshape", hint="Write reshape(self, bottom, top), which shapes the tops."
        )

    # The life of a layer.

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        """Read parameters and make learnable blobs. Runs once, before the first reshape."""

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        """Shape the tops, and internal buffers, for the bottoms' present shapes."""
        for blob, shape in zip(top, self.infer_shapes([b.shape for b in bottom]), strict=True):
            if shape is not None:
                blob.reshape(*shape)

    def forward(self, bottom: Blobs, top: Blobs) -> Done | None:
        """Compute the tops' data from the bottoms'.

        Returns what has been done if doing it again comes to the same as another call, as long as shapes, memory and,
        in phase TEST, weights are the same.
        """
        return self.forward_cpu(bottom, top)

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        """Compute gradients from the tops' diffs: bottoms overwritten, parameters added to.

        Returns what has been done if, after another forward pass, doing it again comes to the same as another call, as
        long as shapes, memory, and which gradients had nothing before, are the same.
        """
        return self.backward_cpu(top, propagate_down, bottom)

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> Done | None:
        """The forward pass of a built-in layer; returns as `forward`."""
        raise MissingMethodError(
            f"{type(self).__name__} has no forward", hint="Write forward(self, bottom, top), which sets the tops' data."
        )

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> Done | None:
        """The backward pass of a built-in layer; returns as `backward`."""
        if any(propagate_down):
            raise GraphError(
                "This layer has no gradient, yet a loss after it and parameters before it ask for one",
                hint="Set propagate_down: false for its bottoms.",
            )
        return None

    def close(self) -> None:
        """Give back files and threads; the net calls it when it goes."""

    def resume_state(self) -> Mapping[str, Any]:
        """What the layer has to remember besides `blobs` and random numbers, such as its place in the data, so that
        training goes on from a snapshot as if it had never stopped: numbers, strings, lists, dicts and arrays.
        """
        return {}

    def set_resume_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `resume_state` returned in another process, at the end of a layer of the same name and type.

        Raises DataError, and changes nothing, where the data are not those that it was returned for.
        """

    def _whole_state(self) -> dict[str, Any]:
        """`resume_state`, and where the random numbers stand, if any were ever drawn."""
        state: dict[str, Any] = {}
        if self._rng_made is not None:
            state["random"] = self._rng_made.bit_generator.state
        if own := type(self).resume_state(self):
            state["own"] = own
        return state

    def _set_whole_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a `_whole_state`. Raises what set_resume_state raises, and then changes nothing."""
        if "own" in state:
            type(self).set_resume_state(self, state["own"])
        if "random" in state:
            Layer._rng(self).bit_generator.state = state["random"]
        elif self._rng_made is not None:  # none were drawn then
            self._rng_made.bit_generator.state = self._rng_of().bit_generator.state

    def __dir__(self) -> list[str]:
        ours = {name for cls in type(self).__mro__ if cls.__module__.startswith("pycaffe_lite.") for name in vars(cls)}
        return [name for name in super().__dir__() if name.startswith("_") or name in _PYCAFFE or name not in ours]

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise CaffeError("A layer cannot be copied or pickled", hint="Its blobs can: copy.deepcopy(layer.blobs).")

    def __repr__(self) -> str:
        return _display.layer_line(self)

    # What subclasses use.

    def param_propagate_down(self, index: int) -> bool:
        """Whether learnable blob `index` wants its gradient: false for lr_mult 0, true under force_backward."""
        return self._param_propagate_down[index] if index < len(self._param_propagate_down) else True

    def _rng(self) -> np.random.Generator:
        """The layer's own random numbers, derived from the net's seed, or from a set_random_seed since, and the layer's
        name. No property: users' layers call something of their own so.
        """
        if self._rng_made is None or self._rng_restarts != _random.restarts:
            self._rng_made, self._rng_restarts = self._rng_of(), _random.restarts
        return self._rng_made

    def _do(self, function: Callable[..., object], *arrays: Array) -> Done | None:
        """Call a function of arrays that is all of a pass, or with others what is; returns what passes return for
        that.
        """
        function(*arrays)
        return Called(function, *arrays) if self.phase == pb.TEST else Kept(function, *arrays)

    def _scratch(self, name: str, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """Working memory kept between passes: the same array as last time while shape and dtype are the same.

        For another shape its numbers are undefined; memory is only taken anew when there are more than ever before.
        What is `passing_scratch` may be overwritten between passes.
        """
        whole, array = self._scratch_arrays.get(name, (None, None))
        if self._shared_scratch is not None and name in self.passing_scratch:
            memory = self._shared_scratch.get(name)
            if array is None or whole is not memory or array.shape != shape or array.dtype != dtype:
                nbytes = math.prod(shape) * np.dtype(dtype).itemsize
                if memory is None or memory.nbytes < nbytes:
                    memory = self._shared_scratch[name] = aligned(nbytes, np.uint8)
                array = memory[:nbytes].view(dtype).reshape(shape)
                self._scratch_arrays[name] = memory, array
            return array
        if array is None or array.shape != shape or array.dtype != dtype:
            count = math.prod(shape)
            if whole is None or whole.size < count or whole.dtype != dtype:
                whole = aligned(count, dtype)
            array = whole[:count].reshape(shape)
            self._scratch_arrays[name] = whole, array
        return array

    def _scratch_like(self, array: Array, name: str) -> Array:
        """As `_scratch`, of the array's shape and dtype, in the order in which the array lies."""
        flat = self._scratch(name, (array.size,), array.dtype)
        if array.flags.c_contiguous:
            return flat.reshape(array.shape)
        return np.ndarray(array.shape, array.dtype, flat, strides=array.strides)

    def _gradient_of(self, j: int) -> Array:
        """Memory for a gradient of learnable blob j, to be overwritten whole and then handed to `_add_gradient`: its
        diff where that has nothing yet, else working memory.
        """
        blob = self.blobs[j]
        diff = blob.diff_to_overwrite()
        return self._scratch(f"gradient {j}", blob.shape, blob.dtype) if diff is None else diff

    def _add_gradient(self, j: int, gradient: Array) -> Done | None:
        """Add what `_gradient_of` gave memory for."""
        diff = self.blobs[j].stored("diff")
        return NOTHING if gradient is diff else self._do(_add, diff, gradient)

    def _add_param(self, shape: Shape, field: str = "", default: pb.FillerParameter = _ZEROS) -> Blob:
        """Append a learnable blob, filled as this field of the layer's message ("scale_param.filler") says, or as
        `default` where it is not set. Raises ShapeError for one without numbers, as Caffe's fillers do.
        """
        if 0 in shape:
            raise ShapeError(
                f"A parameter of shape {shape} would hold nothing", hint="Which axis of a bottom has length 0?"
            )
        check_memory(math.prod(shape) * self.blobs.dtype.itemsize, f"A parameter of shape {shape}")
        blob = self.blobs.add_blob(*shape)
        filler = _filler(self._message, field) or default
        if filler != _ZEROS:  # new blobs are zeros: those of a net for trained weights take no memory before these come
            fill(blob.data, filler, self._rng(), field)
        return blob


def _filler(message: pb.LayerParameter, field: str) -> pb.FillerParameter | None:
    """The filler in this field, if it is set."""
    if not field:
        return None
    param, name = field.split(".")
    owner = getattr(message, param)
    filler: pb.FillerParameter | None = getattr(owner, name) if owner.HasField(name) else None
    return filler


def _add(diff: Array, gradient: Array) -> None:
    np.add(diff, gradient, out=diff)


def check_arity(layer: Layer, bottoms: int, tops: int) -> None:
    """Raise GraphError unless the layer can be wired to this many blobs."""
    cls = type(layer)
    for what, have, want in (("bottom", bottoms, cls.bottoms), ("top", tops, cls.tops)):
        if have not in want:
            raise GraphError(f"{_blobs(have, what)} given, this layer takes {_blobs(want, what)}")
    if cls.same_number and bottoms != tops:
        raise GraphError(f"{_blobs(bottoms, 'bottom')} and {_blobs(tops, 'top')} given, their numbers must be equal")


def _blobs(n: int | Arity, what: str) -> str:
    return f"{n} {what} blob" if str(n).endswith(" 1") or str(n) == "1" else f"{n} {what} blobs"


def canonical_axis(axis: int, shape: Shape, field: str = "") -> int:
    """A possibly negative axis as an index into shape.

    Raises ParameterError (field names the parameter) when the blob has no such axis.
    """
    n = len(shape)
    if not -n <= axis < n:
        raise ParameterError(f"axis {axis} is out of range for a bottom of shape {shape}", field=field)
    return axis % n if axis < 0 else axis


def same_shape(bottom_shapes: Sequence[Shape]) -> None:
    """Raise ShapeError unless all bottoms have one shape."""
    for i, shape in enumerate(bottom_shapes):
        if shape != bottom_shapes[0]:
            raise ShapeError(
                f"bottom {i} has shape {shape}, bottom 0 has shape {bottom_shapes[0]}", hint="They must be equal."
            )


def learns(layer: Layer) -> bool:
    """Whether any of its learnable blobs wants its gradient."""
    return any(map(layer.param_propagate_down, range(len(layer.blobs))))


def bind(layer: Layer, *, dtype: npt.DTypeLike, phase: int, rng: Callable[[], np.random.Generator]) -> None:
    """Tell a freshly made layer what its net decides; for nets and tests, which make layers."""
    layer.blobs.dtype = np.dtype(dtype)
    layer.phase = phase
    layer._rng_of = rng
