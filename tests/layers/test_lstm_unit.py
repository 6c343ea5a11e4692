"""LSTMUnit against the LSTM that Caffe computed."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.testing import Bench, LayerCase, uniform
from tests.golden.compare import Golden, assert_close, golden_cases

GOLDEN = [g for g in golden_cases("LSTM") if len(g.inputs["x"]) > 1]


def unit(streams: int, d: int) -> Bench:
    shapes = [uniform(1, streams, d), uniform(1, streams, 4 * d), uniform(1, streams)]
    return Bench(LayerCase("LSTMUnit", "", shapes, tops=2), dtype=np.float32)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: "x".join(map(str, g.inputs["x"].shape)))
def test_lstm_units_in_a_row_are_caffes_lstm(golden: Golden) -> None:
    """A unit for every step, with the matrix products of an LSTM around them, against Caffe's tops and gradients."""
    x, cont, static = golden.inputs["x"], golden.inputs["cont"], golden.inputs.get("static")
    w_x, b, *w_static, w_h = (golden.params[k] for k in sorted(golden.params))
    steps, streams = cont.shape
    d = w_h.shape[1]
    row = [unit(streams, d) for _ in range(steps)]
    h = c = np.zeros((1, streams, d))
    before = []
    for t, bench in enumerate(row):
        before.append(cont[t][:, None] * h[0])
        gates = x[t] @ w_x.T + b + before[t] @ w_h.T
        if static is not None:
            gates += static @ w_static[0].T
        for blob, value in zip(bench.inputs, (c, gates, cont[t]), strict=True):
            blob.data[0] = value
        c, h = bench.forward()
    got = {"out/y": np.stack([bench.node.tops[1].data[0] for bench in row])}

    dh, dc = np.zeros((streams, d)), np.zeros((streams, d))
    dgates = np.zeros((steps, streams, 4 * d))
    for t in reversed(range(steps)):
        bench = row[t]
        bench.node.tops[0].diff[0] = dc
        bench.node.tops[1].diff[0] = dh + golden.top_diffs["y"][t]
        bench.net._backward(bench.node.index, 0)
        dc, dgates[t] = bench.inputs[0].diff[0].copy(), bench.inputs[1].diff[0]
        dh = cont[t][:, None] * (dgates[t] @ w_h)
    got["indiff/x"] = dgates @ w_x
    weights = [np.einsum("tng,tnk->gk", dgates, x), dgates.sum((0, 1)), np.einsum("tng,tnk->gk", dgates, before)]
    if static is not None:
        got["indiff/static"] = dgates.sum(0) @ w_static[0]
        weights.insert(2, dgates.sum(0).T @ static)
    got |= {f"paramdiff/target/{j}": w for j, w in enumerate(weights)}
    assert_close({k: v.astype(np.float32) for k, v in got.items()}, golden.expected, tolerance=1e-4, at_least=0.01)
