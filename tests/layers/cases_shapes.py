"""More of the table of layer cases: layers that move numbers, sum windows or normalise them; see cases.py."""

from __future__ import annotations

from pycaffe_lite import TEST, TRAIN
from pycaffe_lite.testing import LayerCase, Values, integers, uniform

IMAGES = uniform(2, 3, 5, 7)
DISTINCT = uniform(3, 5, 2, 4)


def _deconvolution(fields: str, *bottoms: Values, tops: int = 1) -> LayerCase:
    return LayerCase("Deconvolution", f"convolution_param {{ {fields} }}", bottoms or [IMAGES], tops=tops)


def _im2col(fields: str, bottom: Values = IMAGES) -> LayerCase:
    return LayerCase("Im2col", f"convolution_param {{ {fields} }}", [bottom])


CUTS = [
    LayerCase("Slice", "", [uniform(2, 6, 5)], tops=3),
    LayerCase("Slice", "slice_param { slice_point: [1, 5] }", [uniform(2, 7, 3)], tops=3),
    LayerCase("Slice", "slice_param { axis: -2 slice_point: 2 }", [IMAGES], tops=2),
    LayerCase("Slice", "slice_param { slice_dim: 3 slice_point: [3, 4] }", [IMAGES], tops=3),
    LayerCase("Slice", "slice_param { axis: 0 slice_point: 2 }", [uniform(5, 3)], tops=2),
    LayerCase("Slice", "", [uniform(3, 5)]),
    LayerCase("Crop", "", [IMAGES, uniform(4, 1, 2, 3)]),
    LayerCase("Crop", "crop_param { offset: 1 }", [IMAGES, uniform(1, 1, 4, 6)]),
    LayerCase("Crop", "crop_param { axis: 1 offset: [1, 0, 4] }", [IMAGES, uniform(2, 2, 5, 3)]),
    LayerCase("Crop", "crop_param { axis: -1 offset: 2 }", [IMAGES, uniform(1, 1, 1, 4)]),
    LayerCase("Crop", "crop_param { axis: 0 offset: [1, 2] }", [uniform(5, 7), uniform(2, 3)]),
    LayerCase("Tile", "tile_param { tiles: 3 }", [uniform(2, 4, 5)]),
    LayerCase("Tile", "tile_param { tiles: 2 axis: 0 }", [uniform(3, 5)]),
    LayerCase("Tile", "tile_param { tiles: 4 axis: -1 }", [IMAGES]),
    LayerCase("Tile", "tile_param { tiles: 1 axis: 2 }", [IMAGES]),
    LayerCase("BatchReindex", "", [uniform(5, 3, 2), integers(7, below=5)]),
    LayerCase("BatchReindex", "", [uniform(4, 3), integers(2, below=4)]),
    LayerCase("BatchReindex", "", [uniform(6), integers(3, below=6)]),
    LayerCase("Filter", "", [uniform(9, 3, 2), integers(9, below=2)]),
    LayerCase("Filter", "", [uniform(8, 2), uniform(8, 3, 4), integers(8, 1, 1, low=-1, below=2)], tops=2),
    LayerCase("Filter", "", [uniform(5), integers(5, below=1)]),  # nothing goes through
    LayerCase("Filter", "", [uniform(5, 2), integers(5, low=3, below=9)]),
]

VIEWS = [
    LayerCase("Reshape", "reshape_param { shape { dim: [0, -1, 7] } }", [IMAGES]),
    LayerCase("Reshape", "reshape_param { shape { dim: [5, 3] } axis: 1 num_axes: 2 }", [IMAGES]),
    LayerCase("Reshape", "reshape_param { shape { dim: [1, 0, -1] } axis: 1 }", [uniform(2, 3, 4, 5)], resizable=False),
    LayerCase("Reshape", "reshape_param { shape { dim: [1, 1] } axis: 1 num_axes: 0 }", [IMAGES]),
    LayerCase("Reshape", "reshape_param { shape { dim: 1 } axis: -1 }", [uniform(3, 5)]),
    LayerCase("Reshape", "reshape_param { shape { dim: -1 } axis: -3 num_axes: 2 }", [IMAGES]),
    LayerCase("Reshape", "reshape_param { shape { dim: [5, -1, 2] } }", [uniform(4, 15)], resizable=False),
]

SUMS = [
    *(
        LayerCase("Reduction", f"reduction_param {{ operation: {op} {fields} }}", [uniform(*shape, avoid=[0])])
        for op in ("SUM", "ASUM", "SUMSQ", "MEAN")
        for fields, shape in (("", (2, 3, 5)), ("axis: 1 coeff: -1.3", (3, 5, 2)), ("axis: -1 coeff: 0.7", (2, 3, 7)))
    ),
    LayerCase("ArgMax", "", [DISTINCT]),
    LayerCase("ArgMax", "argmax_param { top_k: 3 }", [uniform(4, 7)]),
    LayerCase("ArgMax", "argmax_param { top_k: 2 out_max_val: true }", [DISTINCT]),
    LayerCase("ArgMax", "argmax_param { out_max_val: true }", [uniform(3, 2, 2, 3, 2)]),
    LayerCase("ArgMax", "argmax_param { axis: 1 top_k: 2 }", [DISTINCT]),
    LayerCase("ArgMax", "argmax_param { axis: -1 top_k: 3 out_max_val: true }", [DISTINCT]),
    LayerCase("ArgMax", "argmax_param { axis: 0 }", [uniform(5, 3)]),
]

WINDOWS = [
    _deconvolution("num_output: 4 kernel_size: 3"),
    _deconvolution("num_output: 2 kernel_size: 1 bias_term: false"),
    _deconvolution("num_output: 2 kernel_h: 3 kernel_w: 4 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 2"),
    _deconvolution("num_output: 6 kernel_size: 4 stride: 2 pad: 1 group: 2", uniform(3, 4, 5, 2)),
    _deconvolution("num_output: 3 kernel_size: 2 group: 3 bias_term: false"),
    _deconvolution("num_output: 2 kernel_size: 3 dilation: 2 stride: 2"),
    _deconvolution("num_output: 2 kernel_size: 3 pad: 1", uniform(2, 3, 4, 5), uniform(2, 3, 4, 5), tops=2),
    _deconvolution("num_output: 2 kernel_size: [2, 1, 3] stride: [1, 2, 2]", uniform(2, 3, 4, 3, 2)),
    _deconvolution("num_output: 3 kernel_size: 3 stride: 2", uniform(2, 4, 5)),
    _deconvolution("num_output: 3 kernel_size: 2 axis: -3 stride: 2", uniform(2, 3, 4, 5)),
    _deconvolution("num_output: 5 kernel_size: 2 axis: 2", uniform(2, 3, 4, 5)),
    _deconvolution("num_output: 3 axis: 3 bias_term: false", uniform(2, 3, 5, 4)),  # over no axes
    _deconvolution("num_output: 6 kernel_size: 1 group: 2", uniform(2, 4)),
    _im2col("kernel_size: 1 axis: -1", uniform(2, 3, 4)),
    _im2col("kernel_size: 3"),
    _im2col("kernel_h: 2 kernel_w: 3 stride_h: 3 stride_w: 2 pad_h: 1 pad_w: 2"),
    _im2col("kernel_size: 2 dilation: 2 pad: 1 group: 3 num_output: 5"),
    _im2col("kernel_size: 1"),
    _im2col("kernel_size: 3 stride: 2", uniform(2, 3, 9)),
    _im2col("kernel_size: 2 axis: 2", uniform(2, 3, 4, 5)),
    _im2col("kernel_size: [2, 1, 2] force_nd_im2col: true", uniform(2, 3, 4, 2, 3)),
    *(
        LayerCase("SPP", f"spp_param {{ pool: {pool} pyramid_height: {height} }}", [uniform(*shape)])
        for pool in ("MAX", "AVE")
        for height, shape in ((1, (2, 3, 5, 7)), (2, (2, 3, 5, 4)), (3, (2, 2, 9, 11)))
    ),
    *(
        LayerCase(
            "SPP", "spp_param { pool: STOCHASTIC pyramid_height: 2 }", [uniform(2, 3, 5, 4, low=0.1)], phase=phase
        )
        for phase in (TRAIN, TEST)
    ),
]

AUTO_PAD = [
    *(
        LayerCase("Convolution", f"convolution_param {{ {fields} }}", [bottom])
        for fields, bottom in (
            ("num_output: 4 kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 auto_pad: SAME", uniform(2, 3, 5, 6)),
            ("num_output: 4 kernel_size: 3 stride: 2 dilation: 2 group: 2 auto_pad: SAME", uniform(3, 2, 6, 8)),
            ("num_output: 3 kernel_size: [2, 3, 4] stride: [1, 2, 3] auto_pad: SAME", uniform(2, 3, 4, 6, 5)),
            ("num_output: 2 kernel_size: 4 stride: 3 auto_pad: VALID", uniform(2, 3, 8)),
            ("num_output: 33 kernel_size: 4 auto_pad: SAME", uniform(7, 9, 5, 6)),  # the batch side by side
        )
    ),
    _deconvolution("num_output: 2 kernel_h: 3 kernel_w: 4 stride: 2 auto_pad: SAME"),
    _deconvolution("num_output: 4 kernel_size: 2 stride: 3 group: 2 auto_pad: SAME", uniform(3, 2, 4, 5)),
    _deconvolution("num_output: 2 kernel_size: [2, 5] stride: [3, 2] auto_pad: VALID"),
    _im2col("kernel_size: 2 stride: 1 auto_pad: SAME"),
    _im2col("kernel_size: [2, 3] stride: [2, 1] dilation: [2, 1] auto_pad: VALID"),
    *(
        LayerCase("Pooling", f"pooling_param {{ pool: {pool} {fields} }}", [uniform(2, 3, 5, 8)])
        for pool in ("MAX", "AVE")
        for fields in (
            "kernel_h: 2 kernel_w: 4 stride_h: 1 stride_w: 3 auto_pad: SAME",
            "kernel_size: 2 stride: 3 auto_pad: SAME",
            "kernel_size: 7 auto_pad: SAME",
            "kernel_size: 3 stride: 2 auto_pad: VALID",
        )
    ),
]

NORMALISED = [
    LayerCase("BatchNorm", "", [IMAGES]),
    LayerCase("BatchNorm", "batch_norm_param { eps: 0.2 moving_average_fraction: 0.7 }", [uniform(5, 3)]),
    LayerCase("BatchNorm", "batch_norm_param { use_global_stats: false }", [uniform(3, 4, 5)], phase=TEST),
    LayerCase("BatchNorm", "", [uniform(7)]),
    LayerCase("BatchNorm", "batch_norm_param { eps: 0.3 }", [IMAGES], phase=TEST, keep_params=True),
    LayerCase("BatchNorm", "batch_norm_param { use_global_stats: true }", [uniform(4, 3, 2, 2, 3)], keep_params=True),
    LayerCase("MVN", "", [IMAGES]),
    LayerCase("MVN", "mvn_param { across_channels: true eps: 1e-12 }", [IMAGES]),
    LayerCase("MVN", "mvn_param { normalize_variance: false }", [IMAGES]),
    LayerCase("MVN", "mvn_param { normalize_variance: false across_channels: true }", [uniform(2, 3, 5)]),
    LayerCase("MVN", "", [uniform(2, 3, 4, 2, 3)]),
]

CASES: list[LayerCase] = [*CUTS, *VIEWS, *SUMS, *WINDOWS, *AUTO_PAD, *NORMALISED]
