"""Engines: faster layers, each the subclass of one in pycaffe_lite.layers, and which of them nets use.

An engine is a package here that registers its layers when its `load` is called. Which one a net uses is decided when it
is built: `set_engine`'s choice, else the environment variable PYCAFFE_LITE_ENGINE, else the fastest whose library can
be loaded. A layer whose prototxt says `engine: CAFFE` runs in numpy, as does all that an engine lacks.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pycaffe_lite import _extras, threads
from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.constraints import whole_number
from pycaffe_lite.errors import EngineError, MissingPackageError, did_you_mean
from pycaffe_lite.proto import caffe_pb2 as pb

VARIABLE = "PYCAFFE_LITE_ENGINE"
NUMPY = "numpy"
ENGINES = (NUMPY, "onednn")
MOST_THREADS = 1024  # OpenMP ends the process where it cannot have as many as it is told to

log = logging.getLogger(__name__)

_chosen: str | None = None
_threads: int | None = None
"""What set_num_threads was last told."""

_THREAD_VARIABLES = {"openblas": "OPENBLAS_NUM_THREADS", "mkl": "MKL_NUM_THREADS", "blis": "BLIS_NUM_THREADS"}
"""Of the libraries behind numpy's matrix products, by threadpoolctl's names for them; all heed OMP_NUM_THREADS too."""


def set_engine(name: str) -> None:
    """Let nets that are built from now on compute with this engine: "numpy" or "onednn".

    Raises EngineError for another name or a library that cannot be used, MissingPackageError where there is none.
    """
    global _chosen
    _load(name, "")
    _chosen = name


def engine() -> str:
    """The engine of nets that are built now. Raises what set_engine raises, for what the environment says."""
    if _chosen is not None:
        return _chosen
    if name := os.environ.get(VARIABLE):
        _load(name, f" ({VARIABLE})")
        return name
    return _default()[0]


@functools.cache
def _default() -> tuple[str, str]:
    """The fastest engine there is, and why it is that one."""
    name = ENGINES[-1]
    try:
        _load(name, "")
    except MissingPackageError as e:
        return NUMPY, str(e).rstrip(".")
    except EngineError as e:
        log.warning("Computes with numpy: %s", e)
        return NUMPY, e.found
    return name, "the default where it is installed"


def set_num_threads(count: int) -> None:
    """Let numpy's matrix products and passes over memory, and the engines, use so many threads from now on, in nets
    that there are and others.

    Raises ParameterError for what is no number from 1 to 1024, MissingPackageError without threadpoolctl.
    """
    count = whole_number(count, "The number of threads", 1, MOST_THREADS)
    _extras.require("threadpoolctl", "set the number of threads").threadpool_limits(count)
    for name in ENGINES[1:]:
        _module(name).set_num_threads(count)
    threads.set_num_threads(count)
    Blob.note_change()  # what is done again was made for as many as there were
    global _threads
    _threads = count


def describe() -> str:
    """What nets that are built now compute with, and who decided."""
    name = engine()
    why = "set_engine" if _chosen else VARIABLE if os.environ.get(VARIABLE) else _default()[1]
    if name == NUMPY:
        return f"numpy {np.__version__} ({why})"
    return f"{_module(name).describe()} ({why}), numpy {np.__version__} for what it lacks"


def describe_threads() -> str:
    """How many threads compute, who decided, and the library behind numpy's matrix products where that can be told."""
    parts = []
    if (name := engine()) != NUMPY:
        parts.append(f"{name} {_module(name).num_threads()} ({_who_decided('OMP_NUM_THREADS')})")
    with contextlib.suppress(MissingPackageError):
        threadpoolctl = _extras.require("threadpoolctl", "ask for the number of threads")
        for blas in threadpoolctl.threadpool_info():
            if blas["user_api"] == "blas":
                kind, count = blas["internal_api"], blas["num_threads"]
                who = _who_decided(_THREAD_VARIABLES.get(kind, ""), "OMP_NUM_THREADS")
                parts.append(f"numpy {count} ({who}) with {kind} {blas['version']}, {blas['filepath']}")
    return "; ".join(parts) or "numpy's, which cannot be told without the package threadpoolctl"


def _who_decided(*variables: str) -> str:
    if _threads is not None:
        return "set_num_threads"
    return next((name for name in variables if _counts(name)), "as many as there are cores")


def _counts(variable: str) -> bool:
    """Whether it begins with a number: OpenMP ignores what does not."""
    return os.environ.get(variable, "").split(",")[0].strip().lstrip("0").isdecimal()


MomentumStep = Callable[[float, float], None]
"""(a, b): v ← momentum · v + a · g + b · w, then w ← w − v."""


def momentum_steps(dtype: npt.DTypeLike) -> Callable[[Array, Array, Array, float], MomentumStep | None] | None:
    """What makes the engine's MomentumSteps, with threads of their own, of flat arrays (w, v, g) of one length and a
    momentum; it makes None where numpy is faster. None where the engine has no such thing.
    """
    if (name := engine()) == NUMPY or np.dtype(dtype) != np.float32:
        return None
    make: Callable[[Array, Array, Array, float], MomentumStep | None] = _module(name).momentum_step
    return make


def engines_for(message: pb.LayerParameter) -> list[str]:
    """The engines to look for a layer in, as find_layer takes them."""
    name = engine()
    if name == NUMPY or _wants_caffes(message):
        return []
    return [name]


def _wants_caffes(message: pb.LayerParameter) -> bool:
    for field, value in message.ListFields():
        if field.message_type is not None and "engine" in field.message_type.fields_by_name:
            own = field.message_type.fields_by_name["engine"].enum_type
            if own is not None and value.engine == own.values_by_name["CAFFE"].number:
                return True
    return False


def _load(name: str, whence: str) -> None:
    if name not in ENGINES:
        raise EngineError(
            f"There is no engine '{name}'{whence}",
            hint=did_you_mean(name, ENGINES) or f"Known are {', '.join(ENGINES)}.",
        )
    if name != NUMPY:
        _module(name).load()


def _module(name: str) -> Any:
    return importlib.import_module(f"pycaffe_lite.engines.{name}")
