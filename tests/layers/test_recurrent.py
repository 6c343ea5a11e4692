"""States that pass from one pass, or one layer, to the next; fillers."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.testing import Bench, LayerCase, uniform


def layer(type_name: str, steps: int, *, exposed: int = 0, streams: int = 3) -> Bench:
    """A layer of 4 outputs whose cont is 1 throughout, and whose numbers depend on the shapes only."""
    shapes = [uniform(steps, streams, 2), uniform(steps, streams), *[uniform(1, streams, 4)] * exposed]
    fields = f"num_output: 4 expose_hidden: {str(bool(exposed)).lower()}"
    bench = Bench(LayerCase(type_name, f"recurrent_param {{ {fields} }}", shapes, tops=1 + exposed))
    bench.inputs[1].data[...] = 1
    for state in bench.inputs[2:]:
        state.data[...] = 0
    return bench


def copy_params(source: Bench, target: Bench) -> None:
    for a, b in zip(source.layer.blobs, target.layer.blobs, strict=True):
        b.data[...] = a.data


@pytest.mark.parametrize("type_name", ["LSTM", "RNN"])
def test_a_pass_goes_on_where_the_last_one_ended(type_name: str) -> None:
    whole, parts = layer(type_name, 5), layer(type_name, 2)
    copy_params(whole, parts)
    want = whole.forward()[0]
    x, cont = parts.inputs
    for start, stop in ((0, 2), (2, 5)):  # the second pass is longer, too
        for blob, source in zip((x, cont), whole.inputs, strict=True):
            blob.reshape(stop - start, *source.shape[1:])
            blob.data[...] = source.data[start:stop]
        np.testing.assert_allclose(parts.forward()[0], want[start:stop], atol=1e-12)


@pytest.mark.parametrize("type_name", ["LSTM", "RNN"])
def test_where_cont_is_0_nothing_is_remembered(type_name: str) -> None:
    bench, fresh = layer(type_name, 2), layer(type_name, 2)
    want = fresh.forward()[0]
    x = bench.inputs[0].data.copy()
    bench.inputs[0].data[...] = np.nan
    assert np.isnan(bench.forward()[0]).all()
    bench.inputs[0].data[...] = x
    bench.inputs[1].data[0] = 0
    np.testing.assert_allclose(bench.forward()[0], want, atol=1e-12)


@pytest.mark.parametrize("type_name", ["LSTM", "RNN"])
def test_another_number_of_streams_starts_anew(type_name: str) -> None:
    bench, fresh = layer(type_name, 2), layer(type_name, 2, streams=4)
    bench.forward()
    for blob, source in zip(bench.inputs, fresh.inputs, strict=True):
        blob.reshape(*source.shape)
        blob.data[...] = source.data
    copy_params(fresh, bench)
    np.testing.assert_allclose(bench.forward()[0], fresh.forward()[0], atol=1e-12)


@pytest.mark.parametrize(("type_name", "states"), [("LSTM", 2), ("RNN", 1)])
def test_exposed_states_join_two_layers_into_one(type_name: str, states: int) -> None:
    """Tops and gradients of 5 steps are those of 2 and 3, states handed on forwards, their gradients backwards."""
    whole, first, second = (layer(type_name, steps, exposed=states) for steps in (5, 2, 3))
    for part, steps in ((first, slice(0, 2)), (second, slice(2, 5))):
        copy_params(whole, part)
        part.inputs[0].data[...] = whole.inputs[0].data[steps]
    y, *last = whole.forward()
    y_first, *handed = first.forward()
    for state, value in zip(second.inputs[2:], handed, strict=True):
        state.data[...] = value
    y_second, *got_last = second.forward()
    np.testing.assert_allclose(np.concatenate([y_first, y_second]), y, atol=1e-12)
    for a, b in zip(got_last, last, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)

    def backward(bench: Bench, dy: Array, dlast: list[Array]) -> None:
        bench.net.clear_param_diffs()
        for top, value in zip(bench.node.tops, [dy, *dlast], strict=True):
            top.diff[...] = value
        bench.net._backward(bench.node.index, 0)

    rng = np.random.default_rng(1)
    dy, dlast = rng.normal(size=y.shape), [rng.normal(size=s.shape) for s in last]
    backward(whole, dy, dlast)
    backward(second, dy[2:], dlast)
    backward(first, dy[:2], [state.diff for state in second.inputs[2:]])
    dx = np.concatenate([first.inputs[0].diff, second.inputs[0].diff])
    np.testing.assert_allclose(dx, whole.inputs[0].diff, atol=1e-12)
    for one, two, both in zip(first.layer.blobs, second.layer.blobs, whole.layer.blobs, strict=True):
        np.testing.assert_allclose(one.diff + two.diff, both.diff, atol=1e-12)


@pytest.mark.parametrize(("type_name", "matrices", "biases"), [("LSTM", [0, 2, 3], [1]), ("RNN", [0, 2, 3, 4], [1, 5])])
def test_fillers(type_name: str, matrices: list[int], biases: list[int]) -> None:
    bench = Bench(
        LayerCase(
            type_name,
            "recurrent_param { num_output: 4 weight_filler { value: 3 } bias_filler { value: 5 } }",
            [uniform(2, 3, 5), uniform(2, 3), uniform(3, 6)],
            keep_params=True,
        )
    )
    values = [set(blob.data.reshape(-1).tolist()) for blob in bench.layer.blobs]
    assert values == [{3.0} if j in matrices else {5.0} for j in range(len(matrices) + len(biases))]
    assert all(bench.layer.blobs[j].data.ndim == 1 for j in biases)
