"""Every layer computes the same, to the bit, with however many threads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import engines, threads
from pycaffe_lite._typing import Shape
from pycaffe_lite.layers import _pool_batch, _tiles
from pycaffe_lite.layers._geometry import Scratch
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.testing import LayerCase, uniform
from pycaffe_lite.testing.cases import Bench
from tests.layers.cases import CASES
from tests.test_orders import fill, make

IMAGES = uniform(5, 6, 9, 7)
MORE = [
    LayerCase("LRN", "lrn_param { local_size: 3 beta: 0.6 alpha: 0.4 }", [IMAGES]),
    LayerCase("LRN", "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }", [IMAGES]),
    LayerCase("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", [IMAGES], tops=2, ignored_tops=[1]),
    LayerCase("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", [IMAGES]),
    LayerCase("Pooling", "pooling_param { kernel_size: 3 stride: 2 pool: AVE }", [IMAGES]),
    LayerCase("BatchNorm", "", [IMAGES]),
    LayerCase("Scale", "scale_param { bias_term: true }", [IMAGES]),
]


@pytest.fixture(autouse=True)
def _parts_of_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LEAST", 1)
    monkeypatch.setattr(threads, "_chosen", 1)
    monkeypatch.setattr(engines, "_chosen", "numpy")


def results(case: LayerCase) -> list[np.ndarray]:
    bench = Bench(case, dtype=np.float32)
    if not bench.has_backward:
        return bench.forward()
    tops = bench.forward()
    bench.net.clear_param_diffs()
    gradients = bench.backward()
    return [*tops, *gradients.bottoms, *gradients.params]


@pytest.mark.parametrize("case", [*CASES, *MORE], ids=str)
def test_layers(case: LayerCase) -> None:
    expected = results(case)
    for number in (2, 3):
        threads.set_num_threads(number)
        for got, wanted in zip(results(case), expected, strict=True):
            np.testing.assert_array_equal(got.view(f"u{got.itemsize}"), wanted.view(f"u{got.itemsize}"))


@pytest.mark.parametrize("case", MORE[:5], ids=str)
def test_parts_share_no_working_memory(case: LayerCase, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[np.ndarray, int]] = []
    own = _tiles.own

    def noted(scratch: Scratch) -> Scratch:
        inner = own(scratch)

        def take(name: str, shape: Shape, dtype: npt.DTypeLike) -> np.ndarray:
            array = inner(name, shape, dtype)
            taken.append((array, threads.here()))
            return array

        return take

    monkeypatch.setattr(_tiles, "own", noted)
    monkeypatch.setattr(_tiles, "SHORT_CALLS", 1)
    threads.set_num_threads(3)
    results(case)
    assert {part for _, part in taken} == {0, 1, 2}
    for array, part in taken:
        for other, another in taken:
            assert part == another or not np.shares_memory(array, other)


def test_a_net_whose_batch_lies_innermost(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pool_batch, "TILE_BYTES", 3000)
    monkeypatch.setattr(_tiles, "SHORT_CALLS", 1)
    parts = []
    in_parts = threads.in_parts
    monkeypatch.setattr(threads, "in_parts", lambda *args, **kwargs: (parts.append(args), in_parts(*args, **kwargs)))
    diffs = []
    for number in (1, 2, 3):
        threads.set_num_threads(number)
        net = make(tmp_path)
        fill(net)
        net._passes.forward_backward()
        diffs.append([blob.diff.copy() for blobs in net.params.values() for blob in blobs])
    assert len(parts) > 20
    for other in diffs[1:]:
        for got, wanted in zip(other, diffs[0], strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("kind", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
@pytest.mark.parametrize("regularisation", ["L1", "L2"])
def test_solvers(tmp_path, kind: str, regularisation: str) -> None:
    weights = []
    for number in (1, 2, 3):
        threads.set_num_threads(number)
        make(tmp_path)
        param = pb.SolverParameter(
            net=str(tmp_path / "net.prototxt"),
            type=kind,
            base_lr=0.01,
            lr_policy="fixed",
            weight_decay=0.02,
            regularization_type=regularisation,
            clip_gradients=0.5,
            snapshot_after_train=False,
            random_seed=3,
        )
        if kind not in ("AdaGrad", "RMSProp"):
            param.momentum = 0.9
        if kind == "RMSProp":
            param.rms_decay = 0.98
        solver = caffe.get_solver(param)
        fill(solver.net)
        solver.step(3)
        weights.append([blob.data.copy() for blobs in solver.net.params.values() for blob in blobs])
    for other in weights[1:]:
        for got, wanted in zip(other, weights[0], strict=True):
            np.testing.assert_array_equal(got, wanted)
