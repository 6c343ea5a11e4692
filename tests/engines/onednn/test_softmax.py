"""Softmax by a primitive: numpy's numbers, NaN among them."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.engines.onednn._primitive import Primitive
from pycaffe_lite.layer import bind
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer

pytestmark = pytest.mark.usefixtures("onednn")


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Primitive]:
    """What has been run."""
    found: list[Primitive] = []
    call = Primitive.__call__

    def noted(self: Primitive, *arrays: Array) -> None:
        found.append(self)
        call(self, *arrays)

    monkeypatch.setattr(Primitive, "__call__", noted)
    return found


def softmax(x: Array, engine: str, axis: int = 1, in_place: bool = False) -> Array:
    layer = find_layer("Softmax", engines=[engine])[0](pb.LayerParameter(type="Softmax", softmax_param={"axis": axis}))
    bind(layer, dtype=x.dtype, phase=pb.TEST, rng=np.random.default_rng)
    bottom = [Blob(x.shape, x.dtype)]
    top = bottom if in_place else [Blob(x.shape, x.dtype)]
    layer.setup(bottom, top)
    layer.reshape(bottom, top)
    bottom[0].data[...] = x
    with np.errstate(all="ignore"):
        layer.forward(bottom, top)
    return top[0].data


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((3, 10), 1), ((1, 1000), 1), ((4, 7, 1, 1), 1), ((2, 3, 5), -1), ((2, 3, 5), 2), ((6,), 0), ((3, 1), 1)],
)
def test_vectors_in_one_piece(shape: tuple[int, ...], axis: int, in_place: bool, runs: list[Primitive]) -> None:
    x = np.random.default_rng(1).normal(0, 20, shape).astype(np.float32)
    got, expected = (softmax(x, engine, axis, in_place) for engine in ("onednn", "numpy"))
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-37)
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("shape", "axis", "dtype"), [((2, 3, 5), 1, "f4"), ((2, 3, 2, 2), -3, "f4"), ((3, 10), 1, "f8"), ((0, 4), 1, "f4")]
)
def test_others_are_numpys(shape: tuple[int, ...], axis: int, dtype: str, runs: list[Primitive]) -> None:
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    np.testing.assert_array_equal(softmax(x, "onednn", axis), softmax(x, "numpy", axis))
    assert runs == []


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(value: float, in_place: bool) -> None:
    x = np.random.default_rng(1).normal(size=(4, 7)).astype(np.float32)
    x[1, 3] = value
    x[3] = -np.inf
    got, expected = (softmax(x, engine, 1, in_place) for engine in ("onednn", "numpy"))
    np.testing.assert_allclose(got, expected, rtol=2e-6)
    assert np.isnan(got[3]).all()
    assert np.isfinite(got[[0, 2]]).all()


def test_many_classes_are_numpys() -> None:
    """Equal numbers are the hard ones: each rounding errs in the same direction."""
    x = np.full((1, 300_001), -2.3, np.float32)
    x[0, 0] = 0
    assert softmax(x, "onednn").sum(dtype=np.float64) == pytest.approx(1, abs=2e-6)
