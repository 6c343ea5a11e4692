"""What element-wise, broadcasting and lookup layers refuse, and what the contract's checks do not see of them."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, DataError, GraphError, ParameterError, ShapeError
from pycaffe_lite.testing import Bench, LayerCase, Values, integers, uniform
from tests.layers.nets import net_of

IMAGES = uniform(2, 3, 5, 7)
WORDS = integers(3, 5, below=7)


def bias(fields: str, *bottoms: Values) -> LayerCase:
    return LayerCase("Bias", f"bias_param {{ {fields} }}", bottoms)


def scale(fields: str, *bottoms: Values) -> LayerCase:
    return LayerCase("Scale", f"scale_param {{ {fields} }}", bottoms)


def layer(fields: str, type_name: str, *bottoms: Values) -> LayerCase:
    return LayerCase(type_name, fields, bottoms)


REFUSED = [
    (layer("", "Clip", IMAGES), ParameterError, "There is no clip_param"),
    (layer("clip_param { min: 2 max: 1.5 }", "Clip", IMAGES), ParameterError, "min is 2 and max is 1.5"),
    (layer("exp_param { base: -2 }", "Exp", IMAGES), ParameterError, "base is -2.0, it must be -1, for e, or positive"),
    (layer("exp_param { base: 0 }", "Exp", IMAGES), ParameterError, "base is 0"),
    (layer("log_param { base: 1 }", "Log", IMAGES), ParameterError, "base is 1.0, it must be .* positive other than 1"),
    (layer("log_param { base: -0.5 }", "Log", IMAGES), ParameterError, "base is -0.5"),
    (layer("", "PReLU", uniform(3)), ShapeError, r"shape \(3,\)"),
    (bias("axis: 4", IMAGES), ParameterError, "axis 4"),
    (bias("axis: -5", IMAGES), ParameterError, "axis -5"),
    (bias("num_axes: 4", IMAGES), ParameterError, "num_axes 4 from axis 1 on"),
    (bias("num_axes: -2", IMAGES), ParameterError, "num_axes is -2"),
    (bias("", IMAGES, uniform(2)), ShapeError, r"bottom 1 has shape \(2,\), bottom 0 has \(3,\) from axis 1 on"),
    (scale("axis: 4", IMAGES), ParameterError, "axis 4"),
    (scale("axis: 2 num_axes: 3", IMAGES), ParameterError, "num_axes 3 from axis 2 on"),
    (scale("axis: 2", IMAGES, uniform(3, 5)), ShapeError, r"\(3, 5\), bottom 0 has \(5, 7\)"),
    (scale("axis: 2", IMAGES, uniform(5, 7, 1)), ShapeError, r"\(5, 7, 1\), bottom 0 has \(5, 7\)"),
    (layer("embed_param { input_dim: 7 }", "Embed", WORDS), ParameterError, "num_output is 0"),
    (layer("embed_param { num_output: 2 }", "Embed", WORDS), ParameterError, "input_dim is 0"),
    (
        layer("loss_weight: 1 propagate_down: true embed_param { num_output: 2 input_dim: 7 }", "Embed", WORDS),
        GraphError,
        "no gradient to the indices",
    ),
]


@pytest.mark.parametrize(("case", "kind", "says"), REFUSED, ids=lambda v: str(v) if isinstance(v, LayerCase) else "")
def test_refused(case: LayerCase, kind: type[CaffeError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        Bench(case).gradients()
    assert f"layer 'target' of type {case.type}, {Bench.file}:" in str(caught.value)


def test_clip_needs_both_bounds() -> None:
    for field in ("min", "max"):
        with pytest.raises(CaffeError, match="max" if field == "min" else "min"):
            Bench(layer(f"clip_param {{ {field}: 1 }}", "Clip", IMAGES))


@pytest.mark.parametrize("index", [7, -1, 2.5, np.nan, np.inf])
def test_embed_refuses_what_is_no_index(index: float) -> None:
    """Caffe reads beyond its arrays here."""
    bench = Bench(layer("embed_param { num_output: 2 input_dim: 7 }", "Embed", WORDS))
    bench.inputs[0].data[2, 1] = index
    with pytest.raises(DataError, match=rf"{index:g} at \[2, 1\], .*integer from 0 to 6 .layer 'target' of type Embed"):
        bench.forward()


def test_embed_takes_an_empty_batch() -> None:
    bench = Bench(layer("embed_param { num_output: 2 input_dim: 7 }", "Embed", WORDS))
    bench.inputs[0].reshape(0, 5)
    bench.forward()
    assert [not g.any() for g in bench.backward().params] == [True, True]


@pytest.mark.parametrize(
    "case",
    [bias("", uniform(2, 3)), scale("bias_term: true", uniform(2, 3)), layer("", "PReLU", uniform(2, 3))],
    ids=str,
)
def test_the_learnt_shape_stays(case: LayerCase) -> None:
    bench = Bench(case)
    bench.inputs[0].reshape(2, 5)
    with pytest.raises(ShapeError, match=r"cannot change once the net is built"):
        bench.forward()


def test_a_given_operand_may_change_its_shape() -> None:
    bench = Bench(scale("", uniform(2, 3, 4), uniform(3)))
    bench.forward()
    for blob, shape in zip(bench.inputs, [(5, 2, 6), (2,)], strict=True):
        blob.reshape(*shape)
        blob.data[...] = np.random.default_rng(1).uniform(-1, 1, shape)
    (y,) = bench.forward()
    np.testing.assert_allclose(y, bench.inputs[0].data * bench.inputs[1].data[:, None])


@pytest.mark.parametrize(
    ("case", "values"),
    [
        (layer("", "PReLU", uniform(2, 3)), [0.25]),
        (bias("", uniform(2, 3)), [0]),
        (scale("bias_term: true", uniform(2, 3)), [1, 0]),
        (scale("filler { }", uniform(2, 3)), [0]),
        (bias("filler { value: 0.5 }", uniform(2, 3)), [0.5]),
        (scale("bias_term: true filler { value: 2 } bias_filler { value: 3 }", uniform(2, 3)), [2, 3]),
        (scale("bias_term: true bias_filler { value: 3 }", uniform(2, 3), uniform(3)), [3]),
        (layer("prelu_param { filler { value: 0.5 } }", "PReLU", uniform(2, 3)), [0.5]),
        (layer("parameter_param { shape { dim: 2 dim: 3 } }", "Parameter"), [0]),
    ],
    ids=str,
)
def test_what_blobs_are_filled_with(case: LayerCase, values: list[float]) -> None:
    blobs = Bench(LayerCase(case.type, case.params, case.bottoms, keep_params=True)).layer.blobs
    assert [set(b.data.reshape(-1)) for b in blobs] == [{v} for v in values]


def test_a_layer_in_place_after_parameter_leaves_the_parameter_alone() -> None:
    """Caffe's top is the parameter's own memory."""
    bench = Bench(layer("parameter_param { shape { dim: 2 dim: 3 } }", "Parameter"))
    bench.forward()
    bench.node.tops[0].data[...] = 5
    assert not (bench.layer.blobs[0].data == 5).any()


@pytest.mark.parametrize("type_name", ["BNLL", "ELU", "Exp", "Swish", "Bias"])
def test_what_backward_does_not_read_may_be_overwritten(type_name: str) -> None:
    """A layer that needs its bottom's data would keep the one before from running in place."""
    net = net_of(
        'force_backward: true layer { name: "in" type: "Input" top: "x0" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "power" type: "Power" bottom: "x0" top: "x" power_param { scale: 2 } }'
        f'layer {{ name: "target" type: "{type_name}" bottom: "x" top: "x" }}'
    )
    assert net._nodes[2].tops[0] is net._nodes[2].bottoms[0]
    assert not net._nodes[2].layer.backward_reads_bottom_data()


@pytest.mark.parametrize(
    ("case", "x", "y"),
    [
        (layer("", "BNLL", uniform(3)), [-1000, 0, 1000], [0, np.log(2), 1000]),
        (layer("", "Exp", uniform(3)), [-1000, 0, 1000], [0, 1, np.inf]),
        (layer("", "Log", uniform(3)), [-1, 0, 1], [np.nan, -np.inf, 0]),
        (layer("", "ELU", uniform(3)), [-1000, 0, 1000], [-1, 0, 1000]),
        (layer("", "Swish", uniform(3)), [-1000, 0, 1000], [0, 0, 1000]),
        (layer("", "Threshold", uniform(3)), [-1, 0, 1], [0, 0, 1]),
    ],
    ids=str,
)
def test_extremes(case: LayerCase, x: list[float], y: list[float]) -> None:
    """Without a warning, and backward too."""
    bench = Bench(case, dtype=np.float32)
    bench.inputs[0].data[...] = x
    np.testing.assert_allclose(bench.forward()[0], y, rtol=1e-6)
    if bench.has_backward:
        bench.backward()


def test_threshold_has_no_gradient_for_the_layers_before_it() -> None:
    net = net_of(
        'layer { name: "in" type: "Input" top: "x" top: "want" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "scale" type: "Scale" bottom: "x" top: "s" }'
        'layer { name: "step" type: "Threshold" bottom: "s" top: "y" }'
        'layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "want" }'
    )
    net.forward()
    with pytest.raises(GraphError, match=r"no gradient.*layer 'step' of type Threshold, net.prototxt:1:"):
        net.backward()


def test_a_chain_in_place_learns_as_one_that_is_not() -> None:
    """Scale, Bias and PReLU one after the other on one name: Scale and PReLU get memory of their own."""
    chain = (
        'layer { name: "in" type: "Input" top: "x0" input_param { shape { dim: 2 dim: 3 dim: 4 } } }'
        'layer { name: "power" type: "Power" bottom: "x0" top: "x" power_param { scale: 2 } }'
        'layer { name: "scale" type: "Scale" bottom: "x" top: "A" scale_param { filler { value: 3 } } }'
        'layer { name: "bias" type: "Bias" bottom: "A" top: "B" bias_param { filler { value: 0.5 } } }'
        'layer { name: "prelu" type: "PReLU" bottom: "B" top: "C" }'
        'layer { name: "loss" type: "Power" bottom: "C" top: "l" loss_weight: 1 }'
    )
    found = []
    for names in ("xxx", "abc"):
        text = chain
        for old, new in zip("ABC", names, strict=True):
            text = text.replace(f'"{old}"', f'"{new}"')
        net = net_of(text, dtype=np.float64)
        net.blobs["x0"].data[...] = np.random.default_rng(1).uniform(-1, 1, (2, 3, 4))
        net.forward()
        net.backward()
        found.append([p.diff.copy() for blobs in net.params.values() for p in blobs])
        # Bias alone may overwrite what it reads.
        assert [n.tops[0] is n.bottoms[0] for n in net._nodes[2:5]] == [False, names == "xxx", False]
    for got, want in zip(*found, strict=True):
        assert np.abs(want).max() > 0
        np.testing.assert_allclose(got, want)
