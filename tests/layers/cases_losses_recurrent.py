"""More of the table of layer cases; see cases.py."""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.testing import LayerCase, Values, integers, uniform

SCORES = uniform(5, 7, low=-3, high=3, avoid=[-1, 1])
CLASSES = integers(5, below=7)
PROBABILITIES = uniform(5, 7, low=0.2, high=1)
PLANES = uniform(2, 5, 3, 4, low=-3, high=3)
FAR = (uniform(4, 5, low=1, high=2), uniform(4, 5, low=-2, high=-1))  # at least 4.4 apart
NEAR = (uniform(4, 5), uniform(4, 5))

LOSSES = [
    *(
        LayerCase(
            "SoftmaxWithLoss",
            f"loss_weight: 0.7 loss_param {{ class_weight: [0.2, 3, 0, 0.5, 1.5] {rule} }}",
            [PLANES, integers(2, 3, 4, below=5)],
        )
        for rule in ("", "ignore_label: 1", "ignore_label: 4 normalization: FULL", "normalization: BATCH_SIZE")
    ),
    LayerCase("HingeLoss", "", [SCORES, CLASSES]),
    LayerCase("HingeLoss", "loss_weight: 1.7 hinge_loss_param { norm: L2 }", [SCORES, CLASSES]),
    LayerCase("HingeLoss", "hinge_loss_param { norm: L1 }", [uniform(3, 2, 5, avoid=[-1, 1]), integers(3, 1, below=9)]),
    LayerCase("HingeLoss", "hinge_loss_param { norm: L2 }", [uniform(1, 4), integers(1, below=4)]),
    LayerCase("MultinomialLogisticLoss", "", [PROBABILITIES, CLASSES]),
    LayerCase(
        "MultinomialLogisticLoss", "loss_weight: 0.3", [uniform(3, 4, 1, 2, low=0.2), integers(3, 1, 1, 1, below=8)]
    ),
    LayerCase("ContrastiveLoss", "contrastive_loss_param { margin: 3.5 }", [*FAR, integers(4, below=2)]),
    LayerCase("ContrastiveLoss", "loss_weight: 2.5", [*NEAR, integers(4, low=1, below=3)]),
    LayerCase(
        "ContrastiveLoss",
        "loss_weight: 0.7 contrastive_loss_param { margin: 4 legacy_version: true }",
        [uniform(6, 2, 3), uniform(6, 6), integers(6, 1, below=2)],
    ),
    LayerCase("ContrastiveLoss", "contrastive_loss_param { legacy_version: true }", [*FAR, integers(4, below=2)]),
    LayerCase("InfogainLoss", "", [SCORES, CLASSES, uniform(7, 7, low=0)], resizable=False),
    LayerCase(
        "InfogainLoss",
        "loss_weight: [0.3, 0] loss_param { ignore_label: 3 }",
        [PLANES, integers(2, 1, 3, 4, below=5), uniform(1, 1, 5, 5)],
        tops=2,
        ignored_tops=[1],
        resizable=False,
    ),
    LayerCase(
        "InfogainLoss",
        "infogain_loss_param { axis: -1 }",
        [uniform(2, 3, 5), integers(2, 3, below=5), uniform(25)],
        resizable=False,
    ),
    *(
        LayerCase(
            "InfogainLoss",
            f"infogain_loss_param {{ axis: 2 }} loss_param {{ ignore_label: 2 {rule} }}",
            [PLANES, integers(2, 5, 4, below=3), uniform(3, 3)],
            resizable=False,
        )
        for rule in (
            "normalization: FULL",
            "normalization: BATCH_SIZE",
            "normalization: NONE",
            "normalize: false",
        )
    ),
]


def _cont(rng: np.random.Generator, shape: Shape) -> Array:
    """Every sequence begins in the first step, so that passes do not depend on those before; others anywhere."""
    cont = rng.integers(0, 2, shape).astype(np.float64)
    cont[:1] = 0
    return cont


def cont(*shape: int) -> Values:
    return Values(shape, _cont)


def recurrent(type_name: str, fields: str, *bottoms: Values, tops: int = 1) -> LayerCase:
    resizable = len(bottoms) == 2  # the first axis is not that of time in the others
    return LayerCase(type_name, f"recurrent_param {{ {fields} }}", bottoms, tops, resizable=resizable)


STATE = uniform(1, 5, 4)

RECURRENT = [
    LayerCase("LSTMUnit", "", [uniform(1, 5, 3), uniform(1, 5, 12, low=-3, high=3), integers(1, 5, below=2)], tops=2),
    LayerCase("LSTMUnit", "", [uniform(2, 3), uniform(2, 12), uniform(2)], tops=2),
    *(
        case
        for name, states in (("LSTM", 2), ("RNN", 1))
        for case in (
            recurrent(name, "num_output: 4", uniform(3, 5, 2), cont(3, 5)),
            recurrent(name, "num_output: 1", uniform(6, 1, 2, 3), cont(6, 1)),
            recurrent(name, "num_output: 4", uniform(3, 5, 2), cont(3, 5), uniform(5, 3, 2)),
            recurrent(
                name,
                "num_output: 4 expose_hidden: true debug_info: true",
                *(uniform(3, 5, 2), uniform(3, 5), *[STATE] * states),
                tops=1 + states,
            ),
            recurrent(
                name,
                "num_output: 4 expose_hidden: true weight_filler { type: 'xavier' } bias_filler { value: 1 }",
                *(uniform(1, 5, 2), integers(1, 5, below=2), uniform(5, 6), *[STATE] * states),
                tops=1 + states,
            ),
        )
    ),
]

CASES: list[LayerCase] = [*LOSSES, *RECURRENT]
