"""What losses and recurrent layers refuse; see test_errors.py."""

from __future__ import annotations

import pytest

from pycaffe_lite.errors import CaffeError, DataError, GraphError, ShapeError
from pycaffe_lite.testing import Bench, LayerCase, integers, uniform

SCORES = uniform(5, 7)
CLASSES = integers(5, below=7)

REFUSED = [
    *(
        refusal
        for loss in ("HingeLoss", "MultinomialLogisticLoss")
        for refusal in (
            (LayerCase(loss, "", [SCORES, integers(4, below=7)]), ShapeError, r"\(4,\)"),
            (LayerCase(loss, "", [SCORES, integers(5, 7, below=7)]), ShapeError, r"\(5, 7\)"),
            (LayerCase(loss, "", [uniform(0, 7), integers(0, below=7)]), ShapeError, r"not empty"),
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
