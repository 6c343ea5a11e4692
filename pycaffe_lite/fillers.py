"""Fillers: the first values of learnable blobs.

The fan of a blob of shape (s0, s1, ...) with `count` numbers is, as in Caffe, fan_in = count / s0 and fan_out =
count / s1; variance_norm takes fan_in (default), fan_out or their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import CaffeError, ParameterError, ShapeError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import Registry

Filler = Callable[[Array, pb.FillerParameter, "np.random.Generator"], None]
fillers: Registry[Filler] = Registry("filler")


def fill(data: Array, filler: pb.FillerParameter, rng: np.random.Generator, field: str = "") -> None:
    """Fill `data` in place as the message says, which is `field` of a layer's.

    Raises UnknownTypeError for an unknown type and ParameterError or ShapeError for what a filler cannot do.
    """
    try:
        if filler.sparse != -1 and filler.type != "gaussian":
            raise ParameterError(
                f"sparse is {filler.sparse} in a filler of type '{filler.type}'",
                field="sparse",
                hint="Only the gaussian filler can be sparse.",
            )
        with np.errstate(all="ignore"):  # infinite and NaN values are the file's own wish
            fillers[filler.type](data, filler, rng)
    except CaffeError as e:
        e.field = f"{field}.{e.field}".strip(".")
        raise


@fillers.register("constant")
def constant(data: Array, filler: pb.FillerParameter, rng: np.random.Generator) -> None:
    """All numbers are `value`."""
    data[...] = filler.value


@fillers.register("uniform")
def uniform(data: Array, filler: pb.FillerParameter, rng: np.random.Generator) -> None:
    """Uniform between `min` and `max`. Raises ParameterError where min is above max."""
    if filler.max < filler.min:
        raise ParameterError(
            f"min is {filler.min} and max is {filler.max}", field="min", hint="min must not be above max."
        )
    _draw_uniform(data, filler.min, filler.max, rng)


@fillers.register("gaussian")
def gaussian(data: Array, filler: pb.FillerParameter, rng: np.random.Generator) -> None:
    """Normal with `mean` and `std`; `sparse` n >= 0 keeps about n inputs per output, -1 all, and zeroes the others.
    Raises ParameterError for a negative std, and for sparse below -1.
    """
    if filler.std < 0:
        raise ParameterError(f"std is {filler.std}", field="std", hint="A standard deviation is 0 or more.")
    if filler.sparse < -1:
        raise ParameterError(f"sparse is {filler.sparse}, it must be at least -1", field="sparse")
    _draw_normal(data, filler.std, rng)
    data += filler.mean
    if filler.sparse >= 0:
        if data.ndim < 1 or data.shape[0] == 0:
            raise ShapeError(f"A sparse gaussian filler needs an axis 0, the blob has shape {data.shape}")
        # Caffe's odd choice, kept: the chance of staying is sparse / num_output.
        data *= rng.random(data.shape) < min(1.0, filler.sparse / data.shape[0])


@fillers.register("positive_unitball")
def positive_unitball(data: Array, filler: pb.FillerParameter, rng: np.random.Generator) -> None:
    """Uniform in [0, 1), then each data[i] scaled to sum to 1."""
    _draw_uniform(data, 0, 1, rng)
    data /= data.sum(axis=tuple(range(1, data.ndim)), keepdims=True)


@fillers.register("xavier")
def xavier(data: Array, filler: pb.FillerParameter, rng: np.random.Generator) -> None:
    """Uniform in +-sqrt(3 / n), n the fan (Glorot and Bengio 2010, without their gain)."""
    bound = math.sqrt(3.0 / _fan(data, filler))
    _draw_uniform(data, -bound, bound, rng)


@fillers.register("msra")
def msra(data: Array, filler: pb.FillerParameter, rng: np.random.Generator) -> None:
    """Normal with std sqrt(2 / n), n the fan (He et al. 2015)."""
    _draw_normal(data, math.sqrt(2.0 / _fan(data, filler)), rng)


@fillers.register("bilinear")
def bilinear(data: Array, filler: pb.FillerParameter, rng: np.random.Generator) -> None:
    """Each (k, k) plane of a 4-D blob is the kernel of bilinear upsampling, as FCN's Deconvolution uses it. Raises
    ShapeError for other blobs.
    """
    if data.ndim != 4 or data.shape[2] != data.shape[3]:
        raise ShapeError(f"A bilinear filler needs shape (n, c, k, k), the blob has {data.shape}")
    k = data.shape[3]
    f = (k + 1) // 2
    centre = (k - 1) / (2 * f)
    tent = 1 - np.abs(np.arange(k) / f - centre)
    data[...] = np.outer(tent, tent)


def _draw_uniform(data: Array, low: float, high: float, rng: np.random.Generator) -> None:
    # float32 for all number types: the same numbers in each, in half the time
    data[...] = rng.random(data.shape, np.float32)
    data *= high - low
    data += low


def _draw_normal(data: Array, std: float, rng: np.random.Generator) -> None:
    data[...] = rng.standard_normal(data.shape, np.float32)
    data *= std


def _fan(data: Array, filler: pb.FillerParameter) -> float:
    fan_in = data.size / data.shape[0] if data.ndim > 0 and data.shape[0] else 1.0
    fan_out = data.size / data.shape[1] if data.ndim > 1 and data.shape[1] else float(data.size)
    norm = pb.FillerParameter.VarianceNorm
    fan = {norm.FAN_IN: fan_in, norm.FAN_OUT: fan_out}.get(filler.variance_norm, (fan_in + fan_out) / 2)
    return max(fan, 1.0)
