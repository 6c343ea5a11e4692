"""More of the table of layer cases: element-wise layers, those that broadcast a parameter, lookups; see cases.py."""

from __future__ import annotations

from pycaffe_lite.testing import LayerCase, integers, uniform

IMAGES = uniform(2, 3, 5, 7)
AWAY_FROM_ZERO = uniform(2, 3, 5, 7, avoid=[0])
POSITIVE = uniform(2, 3, 5, low=0.3, high=2)

NEURONS = [
    LayerCase("AbsVal", "", [AWAY_FROM_ZERO]),
    LayerCase("AbsVal", "", [uniform(5, avoid=[0])]),
    LayerCase("BNLL", "", [uniform(2, 3, 5, 7, low=-8, high=8)]),
    LayerCase("BNLL", "", [uniform(3, 5, low=-90, high=90)]),
    LayerCase("Clip", "clip_param { min: -0.6 max: 0.3 }", [uniform(2, 3, 5, 7, avoid=[-0.6, 0.3])]),
    LayerCase("Clip", "clip_param { min: 0.2 max: 0.7 }", [uniform(5, 3, avoid=[0.2, 0.7])]),
    LayerCase("ELU", "", [uniform(2, 3, 5, low=-4, high=4)]),
    LayerCase("ELU", "elu_param { alpha: 0.3 }", [AWAY_FROM_ZERO]),
    LayerCase("ELU", "elu_param { alpha: 0 }", [uniform(3, 5, avoid=[0])]),
    LayerCase("ELU", "elu_param { alpha: -0.7 }", [AWAY_FROM_ZERO]),
    LayerCase("Exp", "", [IMAGES]),
    LayerCase("Exp", "exp_param { base: 2.3 scale: -0.7 shift: 0.4 }", [IMAGES]),
    LayerCase("Exp", "exp_param { base: 0.3 shift: -1.2 }", [uniform(3, 5)]),
    LayerCase("Exp", "exp_param { scale: 1.3 shift: 0.6 }", [uniform(5)]),
    LayerCase("Exp", "exp_param { base: 1 scale: 3 }", [uniform(5, 3)]),
    LayerCase("Log", "", [POSITIVE]),
    LayerCase("Log", "log_param { base: 2.3 scale: -0.7 shift: 1.5 }", [IMAGES]),
    LayerCase("Log", "log_param { base: 0.3 scale: 1.7 }", [uniform(3, 5, low=0.3)]),
    LayerCase("Log", "log_param { shift: 2.3 }", [uniform(5, 3)]),
    LayerCase("Swish", "", [uniform(2, 3, 5, low=-6, high=6)]),
    LayerCase("Swish", "swish_param { beta: 1.7 }", [IMAGES]),
    LayerCase("Swish", "swish_param { beta: -0.6 }", [uniform(3, 5)]),
    LayerCase("Swish", "swish_param { beta: 0 }", [uniform(5)]),
    LayerCase("Threshold", "", [IMAGES]),
    LayerCase("Threshold", "threshold_param { threshold: 0.4 }", [uniform(5, 3, avoid=[0.4])]),
    LayerCase("PReLU", "", [AWAY_FROM_ZERO]),
    LayerCase("PReLU", "", [uniform(5, 3, avoid=[0])]),
    LayerCase("PReLU", "prelu_param { channel_shared: true }", [uniform(2, 3, 5, avoid=[0])]),
    LayerCase(
        "PReLU",
        "prelu_param { filler { type: 'uniform' min: -0.9 max: 0.9 } }",
        [uniform(2, 3, 4, 5, 2, avoid=[0])],
        keep_params=True,
    ),
]


BROADCAST = [
    LayerCase(type_name, f"{param} {{ {fields} }}", [IMAGES, *operand], resizable=resizable)
    for type_name, param in (("Bias", "bias_param"), ("Scale", "scale_param"))
    for fields, operand, resizable in (
        ("", [], True),
        ("axis: 2", [], True),
        ("axis: -1", [], True),
        ("axis: 1 num_axes: 2", [], True),
        ("axis: -3 num_axes: -1", [], True),
        ("axis: 0 num_axes: 1", [], False),
        ("axis: 0 num_axes: -1", [], False),
        ("num_axes: 0", [], True),
        ("", [uniform(3)], False),
        ("axis: 1 num_axes: 3", [uniform(3, 5)], False),  # num_axes is for learnt operands
        ("axis: -2", [uniform(5, 7)], False),
        ("axis: 0", [uniform(2)], True),
        ("axis: 0", [IMAGES], True),
        ("", [uniform()], True),
    )
]

WITH_PARAMETERS = [
    LayerCase("Bias", "bias_param { num_axes: 0 }", [uniform(5)]),  # a number needs no axis 1
    LayerCase("Scale", "", [uniform(5), uniform()]),
    LayerCase("Bias", "bias_param { filler { type: 'constant' value: 0.7 } }", [uniform(3, 5)], keep_params=True),
    LayerCase("Scale", "", [uniform(3, 5)], keep_params=True),
    LayerCase("Scale", "scale_param { bias_term: true }", [IMAGES]),
    LayerCase("Scale", "scale_param { bias_term: true axis: 2 num_axes: 2 }", [IMAGES]),
    LayerCase("Scale", "scale_param { bias_term: true num_axes: 0 }", [uniform(3, 5, 2)]),
    LayerCase("Scale", "scale_param { bias_term: true axis: 0 }", [uniform(3, 5)], resizable=False),
    LayerCase("Scale", "scale_param { bias_term: true axis: -2 }", [uniform(2, 3, 5), uniform(3, 5)], resizable=False),
    LayerCase(
        "Scale",
        "scale_param { bias_term: true filler { type: 'uniform' min: 2 max: 3 } "
        "bias_filler { type: 'constant' value: 5 } }",
        [uniform(2, 3, 5)],
        keep_params=True,
    ),
    LayerCase("Parameter", "parameter_param { shape { dim: 2 dim: 3 dim: 5 } }"),
    LayerCase("Parameter", "parameter_param { shape { } }"),
    LayerCase("Embed", "embed_param { num_output: 4 input_dim: 7 }", [integers(5, below=7)]),
    LayerCase("Embed", "embed_param { num_output: 3 input_dim: 5 bias_term: false }", [integers(2, 7, below=5)]),
    LayerCase("Embed", "embed_param { num_output: 1 input_dim: 9 }", [integers(3, 2, 4, below=2)]),
    LayerCase(
        "Embed",
        "embed_param { num_output: 3 input_dim: 4 weight_filler { type: 'xavier' } "
        "bias_filler { type: 'constant' value: 2 } }",
        [integers(4, 3, below=4)],
        keep_params=True,
    ),
]

CASES = [*NEURONS, *BROADCAST, *WITH_PARAMETERS]
