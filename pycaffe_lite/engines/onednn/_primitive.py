"""oneDNN's layouts (memory descriptors) and primitives, as objects that are made once and then only run.

A Layout is interned: two that are equal are one object, so that `is` compares them and dictionaries are keyed by them.
Strides along axes of one place do not count.
"""

from __future__ import annotations

import ctypes
import functools
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.done import Call, all_there
from pycaffe_lite.engines.onednn._library import UNIMPLEMENTED, failure, for_this_thread, library
from pycaffe_lite.memory import aligned

F32, ANY = 3, 1
FORWARD_TRAINING, FORWARD_INFERENCE = 64, 96
"""A forward pass that leaves what its backward pass needs, and one that has none."""
SRC, SRC_1, DST, WEIGHTS, BIAS, WORKSPACE, SCRATCHPAD = 1, 2, 17, 33, 41, 64, 80
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS = 129, 145, 161, 169
POST_OP, SCALE = 32768, 4096
"""To be added to an argument's number: what comes behind, and what it is multiplied by."""
_QUERIES = {SRC: 129, DIFF_SRC: 130, WEIGHTS: 131, DIFF_WEIGHTS: 132, DST: 133, DIFF_DST: 134, WORKSPACE: 135}
_QUERIES |= {SCRATCHPAD: 136}
_NDIMS, _DIMS, _TYPE, _STRIDES, _BLOCKS, _BLOCK_SIZES, _BLOCK_AXES, _PADDED = 256, 257, 258, 14, 263, 264, 265, 260

FEW = 1 << 14
"""Numbers in all arguments below which one thread is faster: to have two begin and end together takes 2 to 3 µs. LeNet,
one item, one and two threads: conv1 6.9 and 12.9 µs, pool1 1.7 and 3.0, pool2 0.8 and 2.5.
"""

Handle = ctypes.c_void_p


def dims(values: Sequence[int]) -> Any:
    """dnnl_dims_t."""
    return (ctypes.c_int64 * 12)(*values)


class Layout:
    """How an array of float32 lies in memory: oneDNN's memory descriptor."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        size = library().function("memory_desc_get_size")
        size.restype = ctypes.c_size_t
        self.nbytes = int(size(handle))
        self.shape: Shape = ()
        self.is_plain = False

    def take(self, source: Layout, array: Array, memory: Array) -> None:
        """Write the numbers of an array that lies as `source` to `memory`, which lies so."""
        reorder(source, self)(array, memory)


class Lies(Protocol):
    """How something lies in memory that is made of an array: a Layout, or otherwise."""

    @property
    def nbytes(self) -> int: ...

    def take(self, source: Layout, array: Array, memory: Array) -> None:
        """Make it of an array that lies as `source`."""


_layouts: dict[tuple[Any, ...], Layout] = {}


def layout_of(handle: Handle) -> Layout:
    """The Layout for a memory descriptor, which need not outlive the call."""
    key = _key(handle)
    layout = _layouts.get(key)
    if layout is None:
        clone = Handle()
        library().call("memory_desc_clone", ctypes.byref(clone), handle)
        layout = _layouts[key] = Layout(clone)
        layout.shape = key[0]
        layout.is_plain = key[1:] == (F32, *_plain_key(layout.shape))
    return layout


def _key(handle: Handle) -> tuple[Any, ...]:
    call, number, array = library().call, ctypes.c_int(), ctypes.POINTER(ctypes.c_int64)()

    def count(what: int) -> int:
        call("memory_desc_query", handle, what, ctypes.byref(number))
        return number.value

    def values(what: int, n: int) -> Shape:
        call("memory_desc_query", handle, what, ctypes.byref(array))
        return tuple(array[:n])

    n = count(_NDIMS)
    if not n:
        return ((), 0)
    blocks = count(_BLOCKS)
    shape = values(_DIMS, n)
    strides = tuple(s if d != 1 else 0 for s, d in zip(values(_STRIDES, n), values(_PADDED, n), strict=True))
    return (
        shape,
        count(_TYPE),
        strides,
        values(_BLOCK_SIZES, blocks),
        values(_BLOCK_AXES, blocks),
        values(_PADDED, n),
    )


def _plain_key(shape: Shape) -> tuple[Any, ...]:
    return (tuple(s if d != 1 else 0 for s, d in zip(_dense(shape), shape, strict=True)), (), (), shape)


def _dense(shape: Shape) -> Shape:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


@functools.cache
def strided_layout(shape: Shape, strides: Shape) -> Layout:
    """An array of this shape with these strides, counted in numbers."""
    handle = Handle()
    library().call("memory_desc_create_with_strides", ctypes.byref(handle), len(shape), dims(shape), F32, dims(strides))
    return layout_of(handle)


@functools.cache
def plain_layout(shape: Shape) -> Layout:
    return strided_layout(shape, _dense(shape))


@functools.cache
def for_products(layout: Layout) -> Handle:
    """The same for oneDNN's products, which take strides along axes of one place for distances of rows."""
    shape, _, strides, *_ = _key(layout.handle)
    is_dense = any(d > 1 and s == 1 for d, s in zip(shape, strides, strict=True))
    dense = [math.prod(shape[i + 1 :]) if is_dense else 1 for i in range(len(shape))]
    found = [dense[i] if d == 1 else strides[i] for i, d in enumerate(shape)]
    handle = Handle()
    lies = len(shape), dims(shape), F32, dims(found)
    library().call("memory_desc_create_with_strides", ctypes.byref(handle), *lies)
    return handle


class _AnyLayout(Handle):
    argument = 0


@functools.cache
def any_layout(shape: Shape, argument: int) -> Handle:
    """What leaves the choice of an argument's layout to a primitive."""
    handle = _AnyLayout()
    handle.argument = argument
    library().call("memory_desc_create_with_tag", ctypes.byref(handle), len(shape), dims(shape), F32, ANY)
    return handle


@dataclass(eq=False)
class Description:
    """A primitive descriptor: what was asked for, with all layouts chosen."""

    handle: Handle
    _asked: tuple[Any, ...]
    """Of `make`."""
    threads: int
    _layouts: dict[int, Layout] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        what: str,
        *arguments: Any,
        post_ops: tuple[PostOp, ...] = (),
        scaled: tuple[int, ...] = (),
        threads: int | None = None,
    ) -> Description | None:
        """dnnl_`what`_primitive_desc_create with these arguments and ours; None where there is no implementation.
        Descriptions among the arguments are hints. Those that are `scaled` are multiplied by a number each, arguments
        of their own. For so many `threads`, or as many as primitives now use. Raises EngineError.
        """
        name, handle, lib = f"{what}_primitive_desc_create", Handle(), library()
        given = (a.handle if isinstance(a, Description) else a for a in arguments)
        create = functools.partial(lib.function(name), ctypes.byref(handle), *given, _attributes(post_ops, scaled))
        count = lib.threads if threads is None else threads
        status = lib.with_threads(count, create)
        if status and status != UNIMPLEMENTED:
            raise failure(name, status)
        return None if status else cls(handle, (what, arguments, post_ops, scaled), count)

    def for_threads(self, count: int) -> Description:
        """The same for so many threads. Itself where these are its own, or where it would be done in another way."""
        if self.threads == count:
            return self
        what, arguments, post_ops, scaled = self._asked
        chosen = [self.layout(a.argument).handle if isinstance(a, _AnyLayout) else a for a in arguments]
        made = Description.make(what, *chosen, post_ops=post_ops, scaled=scaled, threads=count)
        if made is None or made.implementation != self.implementation:
            return self
        alike = all(made.layout(number) is lies for number, lies in self._layouts.items() if number != SCRATCHPAD)
        return made if alike else self

    def layout(self, argument: int) -> Layout:
        """In which layout the primitive takes or gives an argument."""
        if argument not in self._layouts:
            query = library().function("primitive_desc_query_md")
            query.restype = Handle
            self._layouts[argument] = layout_of(Handle(query(self.handle, _QUERIES[argument], 0)))
        return self._layouts[argument]

    def __post_init__(self) -> None:
        _destroyed_with(self, "primitive_desc_destroy", self.handle)

    @property
    def implementation(self) -> str:
        """The library's name for how it does it."""
        text = ctypes.c_char_p()
        library().call("primitive_desc_query", self.handle, 8, 0, ctypes.byref(text))
        return (text.value or b"").decode()


PostOp = tuple[int, float, float] | tuple[int, Layout] | tuple[Layout] | tuple[float]
"""An element-wise function and its two numbers; an operation with an array that lies so; PReLU, whose slopes lie so; or
the addition of what the result's memory held before, times a number.
"""


@functools.cache
def _attributes(post_ops: tuple[PostOp, ...], scaled: tuple[int, ...]) -> Handle:
    """Working memory is given: the library's own belongs to the thread that made the primitive."""
    call, handle, ops = library().call, Handle(), Handle()
    call("primitive_attr_create", ctypes.byref(handle))
    call("primitive_attr_set_scratchpad_mode", handle, 1)
    call("post_ops_create", ctypes.byref(ops))
    for op in post_ops:
        if len(op) == 1 and isinstance(op[0], Layout):
            call("post_ops_append_prelu", ops, 0)
        elif len(op) == 1:
            call("post_ops_append_sum", ops, ctypes.c_float(op[0]), 0, 0)
        elif len(op) == 2:
            call("post_ops_append_binary", ops, op[0], op[1].handle)
        else:
            call("post_ops_append_eltwise", ops, op[0], ctypes.c_float(op[1]), ctypes.c_float(op[2]))
    call("primitive_attr_set_post_ops", handle, ops)
    for argument in scaled:
        call("primitive_attr_set_scales_mask", handle, argument, 0)
    call("post_ops_destroy", ops)
    return handle


def operands(post_ops: tuple[PostOp, ...]) -> dict[int, Layout]:
    """The arguments that they add to a primitive's, in the order of the operations."""
    found: dict[int, Layout] = {}
    for i, op in enumerate(post_ops, start=1):
        if len(op) == 2:
            found[POST_OP * i | SRC_1] = op[1]
        elif isinstance(op[0], Layout):
            found[POST_OP * i | WEIGHTS] = op[0]
    return found


def _destroyed_with(owner: object, function: str, handle: Handle) -> None:
    """Let the library destroy what the handle is of when its owner goes, but not at the interpreter's end."""
    weakref.finalize(owner, library().function(function), handle).atexit = False


class _Argument(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int), ("memory", ctypes.c_void_p)]


def _memory(layout: Layout, owner: object) -> Handle:
    """oneDNN's object for an array that lies so; it goes when its owner does."""
    memory, lib = Handle(), library()
    lib.call("memory_create", ctypes.byref(memory), layout.handle, lib.engine, None)
    _destroyed_with(owner, "memory_destroy", memory)
    return memory


def _nothing() -> None:
    """As a weak reference to what is gone."""


class Primitive:
    """A primitive that can be run: called with one array for each argument, in their order.

    What an array is like is only asked for when another one comes than last time: asking takes longer than a small
    primitive.
    """

    is_quiet = True

    def __init__(self, description: Description, arguments: dict[int, Layout]) -> None:
        self.arguments = arguments
        self._library, self._working_memory = library(), _NONE_YET
        self._memories = [_memory(layout, self) for layout in arguments.values()]
        self._seen: list[Callable[[], Array | None]] = [_nothing] * len(arguments)
        self._pointings = 0
        self._is_small = sum(lies.nbytes for lies in arguments.values()) < 4 * FEW
        self._create(description.for_threads(self._most_threads()))
        self._keep_to_its_threads()

    def _create(self, description: Description) -> None:
        handle, lib = Handle(), self._library
        self.description = description
        create = functools.partial(lib.function("primitive_create"), ctypes.byref(handle), description.handle)
        if status := lib.with_threads(description.threads, create):
            raise failure("primitive_create", status)
        count, working = len(self.arguments), description.layout(SCRATCHPAD)
        pairs = zip(self.arguments, self._memories, strict=True)
        values = (_Argument * (count + 1))(*[_Argument(n, m.value) for n, m in pairs])
        given = count + (working.nbytes > 0)
        self._call = functools.partial(lib.function("primitive_execute"), handle, lib.stream, given, values)
        _destroyed_with(self._call, "primitive_destroy", handle)
        self._scratchpad = _memory(working, self._call) if working.nbytes else None
        if self._scratchpad is not None:
            values[count] = _Argument(SCRATCHPAD, self._scratchpad.value)

    def _most_threads(self) -> int:
        return 1 if self._is_small else self._library.threads

    def _keep_to_its_threads(self) -> None:
        """Whatever number primitives now use."""
        lib, count = self._library, self.description.threads
        self._threads = lib.threads
        self._execute: Callable[[], int] = self._call if count == lib.threads else lib.keeping_to(count, self._call)

    def __call__(self, *arrays: Array) -> None:
        for seen, array in zip(self._seen, arrays):  # noqa: B905  lengths are equal, and asking takes time
            if seen() is not array:
                self._point_to(arrays)
                break
        self._run()

    def _run(self) -> None:
        """Run with the arrays of last time."""
        if self._library.this_thread.scratchpad is not self._working_memory:
            if self._threads != self._library.threads:
                description = self.description.for_threads(self._most_threads())
                if description is not self.description:
                    self._create(description)
                self._keep_to_its_threads()
            self._working_memory = self._library.scratchpad(self.description.layout(SCRATCHPAD).nbytes)
            if self._scratchpad is not None:
                _point(self._scratchpad, self._working_memory)
        status = self._execute()
        if status:
            raise failure("primitive_execute", status)

    def _point_to(self, arrays: Sequence[Array]) -> None:
        self._pointings += 1  # first: an interrupt leaves it pointed to neither arrays
        for i, array in enumerate(arrays):
            if self._seen[i]() is not array:
                self._seen[i] = _nothing
                _point(self._memories[i], array)
                self._seen[i] = weakref.ref(array)

    def again(self) -> Call | None:
        """What runs it once more with the arrays of last time, which it keeps."""
        there = all_there(self._seen)
        return None if there is None else self.on(there)

    def on(self, arrays: Sequence[Array]) -> Call:
        """What runs it with these arrays, which it keeps, wherever it was pointed to meanwhile."""
        pointings, threads_own = -1, self._library.this_thread

        def run() -> None:
            nonlocal pointings
            if pointings != self._pointings:
                self._point_to(arrays)
                pointings = self._pointings
            if threads_own.scratchpad is not self._working_memory:
                self._run()
            elif status := self._execute():
                raise failure("primitive_execute", status)

        return run


_NONE_YET = aligned(0, "u1")


def _point(memory: Handle, array: Array) -> None:
    library().call("memory_set_data_handle", memory, Handle(array.__array_interface__["data"][0]))


@for_this_thread(1024)
def reorder(source: Layout, target: Layout) -> Callable[..., None]:
    """What copies an array that lies as `source` to one that lies as `target`, for use by this thread."""
    engine = library().engine
    description = Description.make("reorder", source.handle, engine, target.handle, engine)
    assert description is not None
    return Primitive(description, {SRC: source, DST: target})
