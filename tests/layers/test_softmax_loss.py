"""class_weight, which Caffe has not: what it weighs and what it divides by."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.testing import LayerCase, integers, uniform
from tests.layers.nets import net_of

WEIGHTS = [0.25, 3.0, 0.5]
LABELS = np.array([[1, 0, 2, 2], [0, 1, 2, 0]])


def loss_of(fields: str, x: Array, labels: Array) -> float:
    case = LayerCase(
        "SoftmaxWithLoss",
        f"loss_param {{ class_weight: {WEIGHTS} {fields} }}",
        [uniform(*x.shape), integers(*labels.shape, below=3)],
    )
    net = net_of(case.prototxt(), dtype=np.float64)
    return float(net.forward(x0=x, x1=labels)["y0"])


@pytest.mark.parametrize(
    ("fields", "ignored", "divisor"),
    [
        ("", None, 2 * 3 + 3 * 0.25 + 3 * 0.5),  # the weights of all labels, as torch.nn.CrossEntropyLoss(weight)
        ("normalization: VALID ignore_label: 1", 1, 3 * 0.25 + 3 * 0.5),
        ("normalization: VALID ignore_label: 2", 2, 2 * 3 + 3 * 0.25),
        ("normalization: FULL ignore_label: 2", 2, 8),
        ("normalization: BATCH_SIZE", None, 2),
        ("normalization: NONE", None, 1),
        ("normalize: false", None, 2),
    ],
)
def test_loss_and_divisor(fields: str, ignored: int | None, divisor: float) -> None:
    x = np.random.default_rng(0).uniform(-3, 3, (2, 3, 4))
    total = 0.0
    for n, k in np.ndindex(2, 4):
        label = LABELS[n, k]
        if label != ignored:
            total += WEIGHTS[label] * (np.log(np.exp(x[n, :, k]).sum()) - x[n, label, k])
    np.testing.assert_allclose(loss_of(fields, x, LABELS), total / divisor, rtol=1e-6)


def test_a_weighted_mean_is_one_even_of_weights_that_add_up_to_less() -> None:
    """Without weights Caffe divides by 1 at least; a mean by weights of 0.25 would then come out too small."""
    x = np.zeros((1, 3, 1))
    np.testing.assert_allclose(loss_of("", x, np.zeros((1, 1))), np.log(3), rtol=1e-12)


def test_nothing_counts() -> None:
    assert loss_of("ignore_label: 0", np.ones((2, 3, 4)), np.zeros((2, 4))) == 0


def test_it_is_given_once_for_each_class() -> None:
    case = LayerCase(
        "SoftmaxWithLoss", "loss_param { class_weight: [1, 2] }", [uniform(2, 3, 4), integers(2, 4, below=3)]
    )
    with pytest.raises(ParameterError, match=r"class_weight is given 2 times for 3 classes .*'target'.*net.prototxt:4"):
        net_of(case.prototxt())
