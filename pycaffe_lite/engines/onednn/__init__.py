"""Layers that compute with oneDNN, Intel's and the UXL Foundation's library of deep learning primitives.

Each is the numpy layer with another forward and backward pass for the shapes and parameters that oneDNN has a fast
implementation of; for all others, and for float64, it is the numpy layer. Numbers between layers lie with the channels
innermost (Order.CHANNELS_INNERMOST), which oneDNN's convolutions like as well as its own blocked layouts: they pad no
channels, and numpy's layers can read them as they lie.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._library import set_num_threads as set_num_threads

if TYPE_CHECKING:
    from pycaffe_lite._typing import Array
    from pycaffe_lite.engines.onednn._momentum_step import MomentumStep

LAYERS = (
    "batch_norm",
    "concat",
    "convolution",
    "deconvolution",
    "eltwise",
    "inner_product",
    "lrn",
    "neurons",
    "pooling",
    "recurrent",
    "relu",
    "scale",
    "softmax",
    "split",
)


def momentum_step(w: Array, v: Array, g: Array, momentum: float) -> MomentumStep | None:
    """Computes v ← momentum · v + a · g + b · w and w ← w − v, of flat arrays; None where numpy is faster."""
    from pycaffe_lite.engines.onednn._momentum_step import MomentumStep

    return MomentumStep.make(w, v, g, momentum)


def num_threads() -> int:
    """How many threads the primitives use. Raises what `load` raises."""
    return library().threads


def describe() -> str:
    """The library's version and place. Raises what `load` raises."""
    return f"oneDNN {library().version} ({library().path})"


def load() -> None:
    """Load the library and register the layers. Raises MissingPackageError or EngineError."""
    library()
    for name in LAYERS:
        importlib.import_module(f"pycaffe_lite.engines.onednn.{name}")
