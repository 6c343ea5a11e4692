"""libdnnl: where it is, its functions, and what goes wrong.

Only functions of oneDNN's C interface of version 3 are called, which libdnnl.so.3 keeps whatever its minor version.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.metadata
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import EngineError, MissingPackageError
from pycaffe_lite.memory import aligned

_Make = TypeVar("_Make", bound=Callable[..., Any])

PATH_VARIABLE = "PYCAFFE_LITE_ONEDNN"
ANOTHER = f"Set {PATH_VARIABLE} to another one, or set_engine('numpy')."
WHEEL = "onednn-cpu-gomp"
FILE = "libdnnl.so.3"
CPU, IN_ORDER = 1, 1
AVX512 = 0x27  # bits of dnnl_cpu_isa_t
STATUS = {1: "out of memory", 2: "invalid arguments", 3: "unimplemented", 5: "a runtime error"}
UNIMPLEMENTED = 3
END_THREADS = 2  # omp_pause_hard
SIGNAL_STACK = 1 << 18
"""Bytes; a handler's frame, with all registers of a processor, and Python's handler take some 16 thousand."""
NO_STACK = 2  # SS_DISABLE


class _Version(ctypes.Structure):
    _fields_ = [("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int)]


class _Stack(ctypes.Structure):
    """Linux's stack_t."""

    _fields_ = [("memory", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


class _ThisThread(threading.local):
    """What a thread that runs primitives has of its own; nothing until the library is told of the thread."""

    scratchpad: Array | None = None
    workspace: Array | None = None

    def __init__(self) -> None:
        self.made: dict[Callable[..., Any], Callable[..., Any]] = {}
        """What `for_this_thread` has made, and goes with the thread, its memory with it."""


def _give_signals_a_stack() -> None:
    """Let signal handlers, which run in the main thread, have a stack of their own, unless they do.

    oneDNN's sgemm lets the stack pointer point into memory that it has from malloc: a handler's frame, written below
    it, destroys what is there. Ctrl-C ended one of 75 trainings of LeNet so, without a snapshot.
    """
    libc, old = ctypes.CDLL(None), _Stack()
    if libc.sigaltstack(None, ctypes.byref(old)) == 0 and old.flags & NO_STACK:
        memory = _signal_stack()
        libc.sigaltstack(ctypes.byref(_Stack(ctypes.addressof(memory), 0, SIGNAL_STACK)), None)


@functools.cache
def _signal_stack() -> ctypes.Array[ctypes.c_char]:
    """Memory that is never given back."""
    return ctypes.create_string_buffer(SIGNAL_STACK)


class Library:
    """The loaded library, one CPU engine and one stream of it.

    `call("name", ...)` calls dnnl_name and raises EngineError where it fails. `threads` is how many a primitive uses.
    oneDNN plans for a number of them when it describes a primitive, which is then made and run with that number: who
    keeps primitives has others made when `threads` is another.
    """

    def __init__(self, path: str, threads: int | None) -> None:
        try:
            self._dll = ctypes.CDLL(path)
            self._dll.dnnl_version.restype = ctypes.POINTER(_Version)
            version = self._dll.dnnl_version().contents
        except (OSError, AttributeError) as e:
            hint = ANOTHER
            if "libgomp" in str(e):  # the wheel leaves it to the system
                hint = f"On Debian and Ubuntu: sudo apt install libgomp1. {hint}"
            why = str(e).removeprefix(f"{path}: ")
            raise EngineError(f"The oneDNN library {path} cannot be loaded: {why}", hint=hint) from e
        self.path = path
        self.version = f"{version.major}.{version.minor}.{version.patch}"
        if version.major != 3:
            raise EngineError(f"The library {path} is oneDNN {self.version}", hint="Version 3 is needed.")
        self._functions: dict[str, Any] = {}
        self.engine, self.stream = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("engine_create", ctypes.byref(self.engine), CPU, ctypes.c_size_t(0))
        self.call("stream_create", ctypes.byref(self.stream), self.engine, IN_ORDER)
        self._openmp = self._find_openmp()
        if hasattr(self._openmp, "omp_pause_resource_all") and hasattr(os, "register_at_fork"):
            # A child would wait for ever for threads that only its parent has.
            os.register_at_fork(before=functools.partial(self._openmp.omp_pause_resource_all, END_THREADS))
        self.has_avx512 = self.function("get_effective_cpu_isa")() & AVX512 == AVX512
        self.threads = threads or (int(self._openmp.omp_get_max_threads()) if self._openmp else 1)
        self.this_thread = _ThisThread()

    def function(self, name: str) -> Any:
        if name not in self._functions:
            try:
                self._functions[name] = getattr(self._dll, f"dnnl_{name}")
            except AttributeError as e:
                raise EngineError(f"The oneDNN library {self.path} lacks dnnl_{name}", hint=ANOTHER) from e
        return self._functions[name]

    def call(self, name: str, *arguments: Any) -> None:
        """Call dnnl_`name`. Raises EngineError."""
        status = self.function(name)(*arguments)
        if status:
            raise failure(name, status)

    def scratchpad(self, nbytes: int) -> Array:
        """At least so many bytes of working memory, this thread's own: whatever runs next overwrites them. From now on
        `this_thread.scratchpad`, until more are needed or the number of threads is another.
        """
        here = self.this_thread
        self.tell_thread()
        if here.scratchpad is None or here.scratchpad.nbytes < nbytes:
            here.scratchpad = aligned(nbytes, "u1")
        return here.scratchpad

    def workspace(self, nbytes: int) -> Array:
        """As `scratchpad`, for several primitives, one after the other: the same array as last time, unless that is too
        small.
        """
        here = self.this_thread
        if here.workspace is None or here.workspace.nbytes < nbytes:
            here.workspace = aligned(nbytes, "u1")
        return here.workspace

    def set_num_threads(self, count: int) -> None:
        """How many threads primitives that are made from now on use, whichever thread makes and runs them."""
        self.threads = count
        self.this_thread = _ThisThread()

    def tell_thread(self) -> None:
        """To be called before a primitive is made or run: OpenMP keeps their number per calling thread."""
        if self.this_thread.scratchpad is None:
            self._use(self.threads)
            if sys.platform == "linux" and threading.current_thread() is threading.main_thread():
                _give_signals_a_stack()

    def with_threads(self, count: int, call: Callable[[], int]) -> int:
        """What `call` returns, run with so many."""
        return self.keeping_to(count, call)()

    def keeping_to(self, count: int, call: Callable[[], int]) -> Callable[[], int]:
        """What runs it with so many, as long as the number to return to stays what it is."""
        if not self._openmp:
            return call
        use, others = self._openmp.omp_set_num_threads, self.threads

        def run() -> int:
            use(count)
            try:
                return call()
            finally:
                use(others)

        return run

    def _use(self, count: int) -> None:
        if self._openmp:
            self._openmp.omp_set_num_threads(count)

    def _find_openmp(self) -> Any:
        return self._dll if hasattr(self._dll, "omp_get_max_threads") else None


def for_this_thread(most: int) -> Callable[[_Make], _Make]:
    """Decorates a function that makes a primitive: each thread keeps up to so many of its own, as by lru_cache."""

    def decorated(make: _Make) -> _Make:
        @functools.wraps(make)
        def cached(*arguments: Any) -> Any:
            made = library().this_thread.made
            if make not in made:
                made[make] = functools.lru_cache(most)(make)
            return made[make](*arguments)

        return cast(_Make, cached)

    return decorated


def failure(what: str, status: int) -> EngineError:
    return EngineError(f"oneDNN's {what} failed: {STATUS.get(status, f'status {status}')}")


_threads: int | None = None
"""What set_num_threads was last told, perhaps before there was a library."""


def set_num_threads(count: int) -> None:
    """As Library.set_num_threads, but loads none."""
    global _threads
    _threads = count
    if library.cache_info().currsize:
        library().set_num_threads(count)


@functools.cache
def library() -> Library:
    """The library, loaded once. Raises MissingPackageError where there is none, EngineError where it cannot be used."""
    for path in _candidates():
        return Library(path, _threads)
    raise MissingPackageError(
        f"The oneDNN library, {FILE}, is not installed",
        hint="Install it with: pip install 'pycaffe-lite[fast]' (Linux on x86-64), "
        f"or set {PATH_VARIABLE} to its path.",
    )


def _candidates() -> Iterator[str]:
    """Paths of the library, the best first."""
    if given := os.environ.get(PATH_VARIABLE):
        yield given
        return
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    yield from (str(path) for f in files if f.name == FILE and (path := Path(str(f.locate())).resolve()).exists())
    here = Path(sys.prefix) / "lib" / FILE  # conda's
    if here.exists():
        yield str(here)
    system = ctypes.util.find_library("dnnl")
    if system == FILE:
        yield system
