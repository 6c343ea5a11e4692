"""What losses and recurrent layers refuse; see test_errors.py."""

from __future__ import annotations

import pytest

from pycaffe_lite.errors import CaffeError, DataError, GraphError, ParameterError, ShapeError
from pycaffe_lite.testing import Bench, LayerCase, integers, uniform
from tests.layers.cases_losses_recurrent import recurrent

SCORES = uniform(5, 7)
CLASSES = integers(5, below=7)
X, CONT, STATIC, STATE = uniform(3, 5, 2), uniform(3, 5), uniform(5, 6), uniform(1, 5, 4)
MATRIX = uniform(7, 7)
SMALL, EXPOSED = "num_output: 4", "num_output: 4 expose_hidden: true"

REFUSED = [
    *(
        refusal
        for loss in ("HingeLoss", "MultinomialLogisticLoss")
        for refusal in (
            (LayerCase(loss, "", [SCORES, integers(4, below=7)]), ShapeError, r"\(4,\)"),
            (LayerCase(loss, "", [SCORES, integers(5, 7, below=7)]), ShapeError, r"\(5, 7\)"),
            (LayerCase(loss, "propagate_down: [true, true]", [SCORES, CLASSES]), GraphError, "labels, bottom 1"),
        )
    ),
    (LayerCase("ContrastiveLoss", "", [SCORES, uniform(5, 6), CLASSES]), ShapeError, r"\(5, 6\)"),
    (LayerCase("ContrastiveLoss", "", [SCORES, uniform(4, 7), CLASSES]), ShapeError, r"\(4, 7\)"),
    (LayerCase("ContrastiveLoss", "", [SCORES, SCORES, integers(6, below=2)]), ShapeError, r"\(6,\)"),
    (
        LayerCase("ContrastiveLoss", "propagate_down: [true, true, true]", [SCORES, SCORES, CLASSES]),
        GraphError,
        "labels, bottom 2",
    ),
    (LayerCase("InfogainLoss", "", [SCORES, CLASSES]), ParameterError, "no infogain matrix.*source"),
    (LayerCase("InfogainLoss", "", [SCORES, CLASSES, uniform(7, 6)]), ShapeError, r"\(7, 6\), for 7 classes"),
    (LayerCase("InfogainLoss", "", [SCORES, integers(4, below=7), MATRIX]), ShapeError, r"\(4,\)"),
    (
        LayerCase("InfogainLoss", "infogain_loss_param { axis: 2 }", [SCORES, CLASSES, MATRIX]),
        ParameterError,
        "axis 2",
    ),
    *(
        (
            LayerCase("InfogainLoss", f"propagate_down: {down}", [SCORES, CLASSES, MATRIX]),
            GraphError,
            f"gradient to the {what}",
        )
        for down, what in (("[true, true, false]", "labels"), ("[true, false, true]", "infogain matrix"))
    ),
    (LayerCase("LSTMUnit", "", [STATE, uniform(1, 5, 12), uniform(1, 5)], tops=2), ShapeError, r"\(1, 5, 12\)"),
    (LayerCase("LSTMUnit", "", [STATE, uniform(1, 5, 16), uniform(5, 1)], tops=2), ShapeError, r"\(5, 1\)"),
    (LayerCase("LSTMUnit", "", [uniform(5), uniform(20), uniform()], tops=2), ShapeError, r"\(5,\)"),
    (
        LayerCase(
            "LSTMUnit",
            "loss_weight: [1, 1] propagate_down: [true, true, true]",
            [STATE, uniform(1, 5, 16), uniform(1, 5)],
            tops=2,
        ),
        GraphError,
        "gradient to cont, bottom 2",
    ),
    *(
        refusal
        for name, states in (("LSTM", 2), ("RNN", 1))
        for refusal in (
            (recurrent(name, "", X, CONT), ParameterError, "num_output is 0"),
            (recurrent(name, SMALL, uniform(3, 5), CONT), ShapeError, r"\(3, 5\), cont"),
            (recurrent(name, SMALL, uniform(0, 5, 2), uniform(0, 5)), ShapeError, "T not 0"),
            (recurrent(name, SMALL, X, uniform(5, 3)), ShapeError, r"cont has shape \(5, 3\)"),
            (recurrent(name, SMALL, X, uniform(3, 5, 1)), ShapeError, r"cont has shape \(3, 5, 1\)"),
            (recurrent(name, SMALL, X, CONT, uniform(5)), ShapeError, r"static input has shape \(5,\)"),
            (recurrent(name, SMALL, X, CONT, uniform(4, 6)), ShapeError, r"static input has shape \(4, 6\)"),
            (recurrent(name, SMALL, X, CONT, tops=2), GraphError, "2 bottoms and 2 tops do not fit expose_hidden: f"),
            (recurrent(name, SMALL, *[X, CONT, STATIC, STATIC]), GraphError, "4 bottoms and 1 tops do not fit"),
            (recurrent(name, EXPOSED, X, CONT, tops=1 + states), GraphError, "expose_hidden: true"),
            (recurrent(name, EXPOSED, X, CONT, *[STATE] * states), GraphError, f"and {1 + states} tops"),
            (
                recurrent(name, EXPOSED, X, CONT, *[STATE] * (states - 1), uniform(1, 5, 3), tops=1 + states),
                ShapeError,
                r"initial state has shape \(1, 5, 3\).*It must be \(1, 5, 4\)",
            ),
            (
                LayerCase(
                    name, "loss_weight: 1 propagate_down: [true, true] recurrent_param { num_output: 4 }", [X, CONT]
                ),
                GraphError,
                "gradient to cont, bottom 1",
            ),
        )
    ),
]


@pytest.mark.parametrize(("case", "kind", "says"), REFUSED, ids=lambda v: str(v) if isinstance(v, LayerCase) else "")
def test_refused(case: LayerCase, kind: type[CaffeError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        Bench(case).gradients()
    assert f"layer 'target' of type {case.type}, {Bench.file}:" in str(caught.value)


@pytest.mark.parametrize("loss", ["HingeLoss", "MultinomialLogisticLoss"])
@pytest.mark.parametrize("label", [7, -1, 255])
def test_labels_that_are_no_class_are_refused(loss: str, label: int) -> None:
    """Caffe reads beyond its arrays here."""
    bench = Bench(LayerCase(loss, "", [SCORES, CLASSES]))
    bench.inputs[1].data[3] = label
    with pytest.raises(DataError, match=rf"Label {label} of item 3 .*between 0 and 6.*layer 'target' of type"):
        bench.forward()


@pytest.mark.parametrize("name", ["LSTM", "RNN"])
@pytest.mark.parametrize(("bottom", "shape"), [(0, (3, 5, 4)), (2, (5, 7))])
def test_recurrent_layers_cannot_change_their_number_of_inputs(name: str, bottom: int, shape: tuple[int, ...]) -> None:
    bench = Bench(recurrent(name, SMALL, X, CONT, STATIC))
    bench.inputs[bottom].reshape(*shape)
    with pytest.raises(ShapeError, match=rf"bottom {bottom} of shape .* gives vectors of {shape[-1]}, .*'target'"):
        bench.forward()
