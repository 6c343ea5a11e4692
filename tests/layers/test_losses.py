"""Losses where the table of cases cannot look: gradients that are not quite the loss's own, and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pycaffe_lite.errors import DataError, MissingFileError, ShapeError
from pycaffe_lite.schema import write_binaryproto
from pycaffe_lite.testing import Bench, LayerCase, Values, integers, uniform
from tests.graph.nets import inputs, layer
from tests.layers.nets import net_of

LOGITS = uniform(3, 4, 5, low=-3, high=3)
CLASSES = integers(3, 5, below=4)


def test_contrastive_loss_pushes_other_pairs_apart_as_caffe_does() -> None:
    """Caffe divides by d + 1e-4 where the derivative has d, so differences give (d + 1e-4) / d times its gradient."""
    case = LayerCase(
        "ContrastiveLoss", "loss_weight: 1.3 contrastive_loss_param { margin: 2 }", [uniform(4, 3)] * 2 + [uniform(4)]
    )
    bench = Bench(case)
    a, b, labels = bench.inputs
    labels.data[...] = 0.5  # Caffe cuts off the fraction: not similar
    a.data[3] = b.data[3]
    got = bench.gradients().bottoms
    np.testing.assert_array_equal(got[1], -got[0])
    d = np.linalg.norm(a.data - b.data, axis=1)
    assert (d[:3] < 2).any()
    np.testing.assert_array_equal(got[0][3], 0)  # no direction to push in
    for n, k in np.ndindex(3, 3):
        start, step, losses = a.data[n, k].copy(), 1e-6, []
        for sign in (1, -1):
            a.data[n, k] = start + sign * step
            losses.append(bench.forward()[0])
        a.data[n, k] = start
        slope = 1.3 * float(losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(got[0][n, k] * (d[n] + 1e-4) / d[n], slope, atol=1e-8)


def test_contrastive_loss_of_equal_vectors_that_are_not_similar() -> None:
    bench = Bench(
        LayerCase("ContrastiveLoss", "contrastive_loss_param { margin: 3 }", [uniform(2, 3)] * 2 + [uniform(2)])
    )
    for blob in bench.inputs:
        blob.data[...] = 0
    assert bench.forward()[0] == 3**2 / 2


def infogain(fields: str, *bottoms: Values) -> Bench:
    return Bench(LayerCase("InfogainLoss", fields, [LOGITS, CLASSES, *bottoms]))


def test_infogain_loss_with_the_identity_is_softmax_with_loss() -> None:
    fields = "loss_weight: 0.3 loss_param { ignore_label: 2 }"
    bench, softmax = infogain(fields, uniform(4, 4)), Bench(LayerCase("SoftmaxWithLoss", fields, [LOGITS, CLASSES]))
    for ours, theirs in zip(bench.inputs, softmax.inputs, strict=False):
        ours.data[...] = theirs.data
    bench.inputs[2].data[...] = np.eye(4)
    np.testing.assert_allclose(bench.forward()[0], softmax.forward()[0], rtol=1e-12)
    np.testing.assert_allclose(bench.gradients().bottoms[0], softmax.gradients().bottoms[0], atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 4, 4)])
def test_infogain_loss_reads_its_matrix_from_a_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "h.binaryproto"
    matrix = np.arange(16, dtype=np.float32).reshape(shape) / 7  # not symmetric
    write_binaryproto(path, matrix)
    from_file, from_bottom = infogain(f"infogain_loss_param {{ source: '{path}' }}"), infogain("", uniform(4, 4))
    for ours, theirs in zip(from_file.inputs, from_bottom.inputs, strict=False):
        ours.data[...] = theirs.data
    from_bottom.inputs[2].data[...] = matrix.reshape(4, 4)
    assert from_file.forward()[0] == from_bottom.forward()[0]
    np.testing.assert_array_equal(from_file.gradients().bottoms[0], from_bottom.gradients().bottoms[0])


def test_infogain_loss_refuses_a_file_for_other_classes(tmp_path: Path) -> None:
    path = tmp_path / "h.binaryproto"
    write_binaryproto(path, np.ones((1, 1, 3, 3), np.float32))
    with pytest.raises(ShapeError, match=r"\(1, 1, 3, 3\), for 4 classes it must be 4 x 4.*layer 'target' of type"):
        infogain(f"infogain_loss_param {{ source: '{path}' }}")
    with pytest.raises(MissingFileError, match="nowhere"):
        infogain("infogain_loss_param { source: 'nowhere' }")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30, -1.0, 4.0])
@pytest.mark.parametrize(
    ("case", "at"),
    [
        (LayerCase("SoftmaxWithLoss", "loss_param { ignore_label: 9 }", [LOGITS, CLASSES]), (1, 2)),
        (LayerCase("InfogainLoss", "", [LOGITS, CLASSES, uniform(4, 4)]), (1, 2)),
        (LayerCase("Accuracy", "", [LOGITS, CLASSES]), (1, 2)),
        (LayerCase("HingeLoss", "", [uniform(3, 4), integers(3, below=4)]), (1,)),
        (LayerCase("MultinomialLogisticLoss", "", [uniform(3, 4, low=0.1), integers(3, below=4)]), (1,)),
        (LayerCase("BatchReindex", "", [uniform(4, 2), integers(3, below=4)]), (1,)),
    ],
    ids=lambda v: v.type if isinstance(v, LayerCase) else "",
)
def test_what_is_no_class_is_refused(case: LayerCase, at: tuple[int, ...], wrong: float) -> None:
    """Numbers that are no number of an integer type neither: numpy would warn, and take the smallest."""
    bench = Bench(case)
    bench.inputs[1].data[at] = wrong
    with pytest.raises(DataError, match=f"{wrong:g}".replace("+", r"\+") + " ?(of|,).*'target'"):
        bench.forward()


def test_a_target_that_is_no_number_is_not_ignored() -> None:
    bench = Bench(LayerCase("SigmoidCrossEntropyLoss", "loss_param { ignore_label: 1 }", [LOGITS, LOGITS]))
    bench.inputs[1].data[...] = 1
    assert bench.forward()[0] == 0
    bench.inputs[1].data[1, 2, 3] = np.nan
    assert np.isnan(bench.forward()[0])


def test_a_net_that_has_diverged_is_not_right() -> None:
    scores = np.array([[np.nan, 1, 2], [np.nan] * 3, [0, np.nan, 2], [0, 3, 2]], np.float32)
    net = net_of(inputs(x=(4, 3), t=(4,)) + layer("acc", "Accuracy", "x t", "acc each"))
    found = net.forward(x=scores, t=np.array([0, 1, 2, 1]))
    assert found["acc"] == 0.5
    np.testing.assert_array_equal(found["each"], [0, 0.5, 1])


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "SigmoidCrossEntropyLoss"])
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.usefixtures("engine")
def test_what_is_ignored_may_be_anything(kind: str, strange: float) -> None:
    each = kind.startswith("Sigmoid")
    text = inputs(x=(3, 4), t=(3, 4) if each else (3,)) + layer(
        "loss", kind, "x t", "loss", "loss_param { ignore_label: 255 }"
    )
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    found = []
    for value in (0.5, strange):
        net = net_of("force_backward: true\n" + text)
        x[1] = value
        net.blobs["x"].data[...] = x
        net.blobs["t"].data[...] = [[1] * 4, [255] * 4, [0] * 4] if each else [3, 255, 1]
        net.forward()
        net.backward()
        found.append((net.blobs["loss"].data.copy(), net.blobs["x"].diff.copy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not found[0][1][1].any()
    assert found[0][1][0].any()
