"""What layers of cases_shapes.py refuse, in the style of test_errors.py; and what BatchNorm and Filter do that cases
cannot say.
"""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import TEST, Net
from pycaffe_lite.errors import CaffeError, DataError, GraphError, ParameterError, ShapeError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from pycaffe_lite.testing import Bench, LayerCase, integers, uniform

IMAGES = uniform(2, 3, 5, 7)

REFUSED = [
    (LayerCase("Slice", "", [IMAGES], tops=2), ShapeError, "2 equal parts"),
    (LayerCase("Slice", "slice_param { slice_point: [1, 2] }", [IMAGES], tops=2), ParameterError, "given 2 times"),
    (LayerCase("Slice", "slice_param { slice_point: [2, 1] }", [IMAGES], tops=3), ParameterError, "slice_point 1 "),
    (LayerCase("Slice", "slice_param { slice_point: 4 }", [IMAGES], tops=2), ParameterError, "between 0 and 3"),
    (LayerCase("Slice", "slice_param { axis: 1 slice_dim: 1 }", [IMAGES], tops=3), ParameterError, "slice_dim"),
    (LayerCase("Slice", "slice_param { axis: -5 }", [IMAGES], tops=3), ParameterError, "axis -5"),
    (LayerCase("Slice", "slice_param { slice_dim: 4 }", [IMAGES], tops=3), ParameterError, "axis 4"),
    (LayerCase("Reshape", "reshape_param { shape { dim: [2, 4] } }", [IMAGES]), ShapeError, "do not fill"),
    (LayerCase("Reshape", "reshape_param { shape { dim: [4, -1] } }", [IMAGES]), ShapeError, "210 numbers"),
    (LayerCase("Reshape", "reshape_param { shape { dim: [-1, -1] } }", [IMAGES]), ParameterError, "two dims of -1"),
    (LayerCase("Reshape", "reshape_param { shape { dim: [2, -3] } }", [IMAGES]), ParameterError, "a dim of -3"),
    (LayerCase("Reshape", "reshape_param { axis: 5 }", [IMAGES]), ParameterError, "axis 5"),
    (LayerCase("Reshape", "reshape_param { axis: -6 }", [IMAGES]), ParameterError, "axis -6"),
    (LayerCase("Reshape", "reshape_param { axis: 3 num_axes: 2 }", [IMAGES]), ParameterError, "2 axes from axis 3"),
    (
        LayerCase("Reshape", "reshape_param { shape { dim: [7, 0] } axis: 3 }", [IMAGES]),
        ParameterError,
        "the bottom's axis 4",
    ),
    (LayerCase("Reduction", "reduction_param { axis: 4 }", [IMAGES]), ParameterError, "axis 4"),
    (LayerCase("Tile", "", [IMAGES]), ParameterError, "tiles is 0"),
    (LayerCase("Tile", "tile_param { tiles: 2 axis: 4 }", [IMAGES]), ParameterError, "axis 4"),
    (LayerCase("ArgMax", "argmax_param { top_k: 106 }", [IMAGES]), ParameterError, "105 numbers"),
    (LayerCase("ArgMax", "argmax_param { top_k: 6 axis: 2 }", [IMAGES]), ParameterError, "5 numbers"),
    (LayerCase("ArgMax", "argmax_param { axis: 4 }", [IMAGES]), ParameterError, "axis 4"),
    (LayerCase("BatchNorm", "param { lr_mult: 1 }", [IMAGES]), GraphError, "lr_mult is 1"),
    (LayerCase("BatchNorm", "param {} param { lr_mult: 0.5 }", [IMAGES]), GraphError, "lr_mult is 0.5"),
    (LayerCase("Deconvolution", "convolution_param { kernel_size: 2 }", [IMAGES]), ParameterError, "num_output"),
    (LayerCase("Deconvolution", "convolution_param { num_output: 2 }", [IMAGES]), ParameterError, "kernel_size"),
    (
        LayerCase("Deconvolution", "convolution_param { num_output: 4 kernel_size: 2 group: 3 }", [IMAGES]),
        ParameterError,
        "group is 3, num_output is 4",
    ),
    (
        LayerCase("Deconvolution", "convolution_param { num_output: 4 kernel_size: 2 group: 2 }", [IMAGES]),
        ParameterError,
        "group is 2, the number of channels is 3",
    ),
    (
        LayerCase("Deconvolution", "convolution_param { num_output: 2 kernel_size: 1 pad: 3 }", [IMAGES]),
        ShapeError,
        "leaves nothing",
    ),
    (LayerCase("Im2col", "convolution_param { kernel_size: 6 }", [IMAGES]), ShapeError, "does not fit"),
    (LayerCase("Im2col", "convolution_param { kernel_size: [1, 2, 3] }", [IMAGES]), ParameterError, "kernel_size"),
    (LayerCase("Crop", "crop_param { offset: [1, 2, 3] }", [IMAGES, IMAGES]), ParameterError, "given 3 times"),
    (LayerCase("Crop", "crop_param { offset: 1 }", [IMAGES, IMAGES]), ShapeError, "Along axis 2"),
    (LayerCase("Crop", "", [IMAGES, uniform(2, 3, 5, 8)]), ShapeError, "Along axis 3"),
    (LayerCase("Crop", "", [IMAGES, uniform(2, 3)]), ShapeError, r"\(2, 3\)"),
    (LayerCase("Crop", "crop_param { axis: 4 }", [IMAGES, IMAGES]), ParameterError, "axis 4"),
    (LayerCase("BatchReindex", "", [IMAGES, integers(3, 1, below=2)]), ShapeError, r"\(3, 1\)"),
    (
        LayerCase("BatchReindex", "", [IMAGES, integers(3, low=2, below=3)]),
        DataError,
        "Index 2, at place 0, .* 0 and 1",
    ),
    (LayerCase("BatchReindex", "", [IMAGES, integers(3, low=-1, below=0)]), DataError, "Index -1"),
    (
        LayerCase("BatchReindex", "loss_weight: 1 propagate_down: [true, true]", [IMAGES, integers(3, below=2)]),
        GraphError,
        "indices",
    ),
    (LayerCase("Filter", "", [IMAGES, integers(3, below=2)]), ShapeError, r"\(3,\)"),
    (LayerCase("Filter", "", [IMAGES, integers(2, 2, below=2)]), ShapeError, r"\(2, 2\)"),
    (LayerCase("Filter", "", [IMAGES, integers(2, below=2)], tops=2), GraphError, "2 tops for 2 bottoms"),
    (
        LayerCase("Filter", "loss_weight: 1 propagate_down: [true, true]", [IMAGES, integers(2, below=2)]),
        GraphError,
        "selector",
    ),
    (LayerCase("SPP", "spp_param { pyramid_height: 1 }", [uniform(2, 3, 5)]), ShapeError, r"\(2, 3, 5\)"),
    (LayerCase("SPP", "spp_param { pyramid_height: 3 }", [uniform(2, 3, 2, 9)]), ParameterError, "4 x 4 bins"),
]


@pytest.mark.parametrize(("case", "kind", "says"), REFUSED, ids=lambda v: str(v) if isinstance(v, LayerCase) else "")
def test_refused(case: LayerCase, kind: type[CaffeError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        Bench(case).gradients()
    assert f"layer 'target' of type {case.type}, {Bench.file}:" in str(caught.value)


@pytest.mark.parametrize(
    "case",
    [
        LayerCase("Deconvolution", "convolution_param { num_output: 2 kernel_size: 2 }", [IMAGES]),
        LayerCase("BatchNorm", "", [IMAGES]),
    ],
    ids=str,
)
def test_channels_cannot_change(case: LayerCase) -> None:
    bench = Bench(case)
    bench.inputs[0].reshape(2, 4, 5, 7)
    with pytest.raises(ShapeError, match=r"\(2, 4, 5, 7\) has 4 channels, the .* 3 .layer 'target'"):
        bench.forward()


def test_batch_norm_remembers_what_it_saw() -> None:
    """Decaying sums of means and unbiased variances; in TEST these, over the factor, are the statistics."""
    bench = Bench(
        LayerCase("BatchNorm", "batch_norm_param { moving_average_fraction: 0.75 }", [IMAGES], keep_params=True)
    )
    mean, var, factor = np.zeros(3), np.zeros(3), 0.0
    for seed in range(3):
        bench.fill(seed)
        bench.forward()
        x = bench.inputs[0].data
        mean = 0.75 * mean + x.mean(axis=(0, 2, 3))
        var = 0.75 * var + x.var(axis=(0, 2, 3), ddof=1)
        factor = 0.75 * factor + 1
    for blob, want in zip(bench.layer.blobs, (mean, var, factor), strict=True):
        np.testing.assert_allclose(blob.data, np.broadcast_to(want, blob.shape), rtol=1e-12)

    test = Bench(LayerCase("BatchNorm", "batch_norm_param { eps: 0.3 }", [IMAGES], phase=TEST, keep_params=True))
    for blob, learnt in zip(test.layer.blobs, bench.layer.blobs, strict=True):
        blob.data[...] = learnt.data
    (y,) = test.forward()
    x = np.moveaxis(test.inputs[0].data, 1, -1)
    eps = float(np.float32(0.3))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), (x - mean / factor) / np.sqrt(var / factor + eps), rtol=1e-9)
    dx = test.backward().bottoms[0]
    dy = np.moveaxis(test.node.tops[0].diff, 1, -1)
    np.testing.assert_allclose(np.moveaxis(dx, 1, -1), dy / np.sqrt(var / factor + eps), rtol=1e-9)
    for blob, learnt in zip(test.layer.blobs, bench.layer.blobs, strict=True):
        np.testing.assert_array_equal(blob.data, learnt.data)


def test_no_solver_moves_batch_norms_statistics() -> None:
    bench = Bench(LayerCase("BatchNorm", "param { lr_mult: 0 }", [IMAGES]))
    assert bench.net.learnable.lr_mult == bench.net.learnable.decay_mult == [0, 0, 0]
    assert not any(bench.layer.param_propagate_down(j) for j in range(3))


def test_argmax_of_equal_numbers_is_the_last() -> None:
    bench = Bench(LayerCase("ArgMax", "argmax_param { axis: 1 top_k: 3 }", [uniform(1, 5)]))
    bench.inputs[0].data[...] = [[2, 7, 7, 1, 2]]
    np.testing.assert_array_equal(bench.forward()[0], [[2, 1, 4]])


@pytest.mark.parametrize(
    "case",
    [
        LayerCase("Convolution", "convolution_param { num_output: 2 kernel_size: 2 }", [IMAGES]),
        LayerCase("Convolution", "convolution_param { num_output: 2 kernel_size: 1 }", [IMAGES]),
        LayerCase("Deconvolution", "convolution_param { num_output: 2 kernel_size: 2 }", [IMAGES]),
        LayerCase("Im2col", "convolution_param { kernel_size: 2 }", [IMAGES]),
        LayerCase("Pooling", "pooling_param { kernel_size: 2 }", [IMAGES]),
        LayerCase("Pooling", "pooling_param { kernel_size: 2 pool: AVE }", [IMAGES]),
        LayerCase("Pooling", "pooling_param { global_pooling: true }", [IMAGES]),
        LayerCase("SPP", "spp_param { pyramid_height: 2 }", [IMAGES]),
        LayerCase("ArgMax", "argmax_param { out_max_val: true top_k: 2 }", [IMAGES]),
        LayerCase("BatchNorm", "", [IMAGES], keep_params=True),
        LayerCase("MVN", "", [IMAGES]),
        LayerCase("Reduction", "reduction_param { operation: MEAN axis: 1 }", [IMAGES]),
        LayerCase("Tile", "tile_param { tiles: 2 }", [IMAGES]),
        LayerCase("Reshape", "reshape_param { shape { dim: [0, -1] } }", [IMAGES]),
    ],
    ids=str,
)
def test_no_items(case: LayerCase) -> None:
    """What a Filter may leave: nothing comes of it, parameters get no gradient, statistics stay."""
    bench = Bench(case)
    before = [blob.data.copy() for blob in bench.layer.blobs]
    bench.inputs[0].reshape(0, 3, 5, 7)
    (top,) = bench.forward()
    assert top.shape[0] == 0
    if bench.has_backward:
        bench.net.clear_param_diffs()
        assert not any(gradient.any() for gradient in bench.backward().params)
    for blob, kept in zip(bench.layer.blobs, before, strict=True):
        np.testing.assert_array_equal(blob.data, kept)


def test_layers_behind_a_filter_follow_its_size() -> None:
    text = """
    force_backward: true
    layer { name: "in" type: "Input" top: "x" top: "s" input_param { shape { dim: [5, 4, 3] } shape { dim: 5 } } }
    layer { name: "filter" type: "Filter" bottom: "x" bottom: "s" top: "y" }
    layer { name: "r" type: "Reshape" bottom: "y" top: "z" reshape_param { shape { dim: [0, -1] } } }
    layer { name: "ip" type: "InnerProduct" bottom: "z" top: "ip" inner_product_param { num_output: 2
      weight_filler { type: "xavier" } } }
    """
    net = Net.from_message(*parse_text(text, pb.NetParameter), seed=1)
    for selector in ([1, 0, 2, 0, -1], [0] * 5, [1] * 5, [0, 0, 0, 0, 1]):
        net.blobs["s"].data[...] = selector
        net.forward()
        selected = np.flatnonzero(selector)
        assert net.blobs["ip"].shape == (len(selected), 2)
        np.testing.assert_array_equal(net.blobs["y"].data, net.blobs["x"].data[selected])
        net.blobs["x"].diff[...] = np.nan
        net.blobs["ip"].diff[...] = 1
        net.backward()
        dx = net.blobs["x"].diff.reshape(5, 12)
        np.testing.assert_array_equal(dx.any(axis=1), np.array(selector) != 0)
        np.testing.assert_allclose(
            dx[selected], np.tile(net.params["ip"][0].data.sum(axis=0), (len(selected), 1)), 1e-5
        )
