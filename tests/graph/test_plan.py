"""Which layers run backward, compared with expectations worked out by hand from Caffe's rules."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite import TEST, Net
from pycaffe_lite.errors import GraphError
from tests.graph.nets import assert_close, fill, gradients, inputs, ip, layer, loss_of, numerical, power
from tests.layers.nets import net_of

DATA = inputs(x=(2, 3), t=(2, 5))
LOSS = layer("loss", "EuclideanLoss", "b t", "loss")


def backward_layers(net: Net) -> dict[str, list[bool]]:
    """What each layer that runs backward sends a gradient into."""
    return {n.name: n.propagate_down for n in net._nodes if n.need_backward}


def test_learning_begins_at_the_first_parameter() -> None:
    net = net_of(
        DATA + power("p", "x", "y") + ip("a", "y", "a", 7) + power("q", "a", "q") + ip("b", "q", "b", 5) + LOSS
    )
    assert backward_layers(net) == {"a": [False], "q": [True], "b": [True], "loss": [True, False]}


def test_nothing_runs_without_a_loss() -> None:
    net = net_of(DATA + ip("a", "x", "a", 7) + ip("b", "a", "b", 5))
    assert backward_layers(net) == {}
    net.forward()
    net.backward()
    assert not net.learnable.diff.allocated


def test_a_branch_without_a_loss_is_skipped() -> None:
    net = net_of(
        DATA + ip("a", "x", "a", 7) + ip("b", "a", "b", 5) + ip("c", "a", "c", 4) + power("d", "c", "d") + LOSS
    )
    assert backward_layers(net) == {"a": [False], "a_a_0_split": [True], "b": [True], "loss": [True, False]}
    fill(net)
    found = gradients(net)
    assert not np.any(found["c[0]"])
    assert np.any(found["a[0]"])


def test_accuracy_and_labels_take_no_gradient() -> None:
    text = (
        inputs(x=(2, 3), label=(2,))
        + ip("a", "x", "a", 5)
        + layer("loss", "SoftmaxWithLoss", "a label", "loss")
        + layer("acc", "Accuracy", "a label", "acc")
    )
    net = net_of(text, TEST)
    assert backward_layers(net) == {"a": [False], "a_a_0_split": [True], "loss": [True, False]}


def test_lr_mult_0_stops_learning_there() -> None:
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    net = net_of(DATA + ip("a", "x", "a", 7, frozen) + power("q", "a", "q") + ip("b", "q", "b", 5) + LOSS)
    assert backward_layers(net) == {"b": [False], "loss": [True, False]}
    a, b = net.layer_dict["a"], net.layer_dict["b"]
    assert [a.param_propagate_down(j) for j in (0, 1)] == [False, False]
    assert [b.param_propagate_down(j) for j in (0, 1)] == [True, True]


def test_only_the_bias_learns() -> None:
    net = net_of(DATA + ip("a", "x", "a", 7, "param { lr_mult: 0 }") + ip("b", "a", "b", 5) + LOSS)
    assert backward_layers(net) == {"a": [False], "b": [True], "loss": [True, False]}
    fill(net)
    found = gradients(net)
    assert not np.any(found["a[0]"])
    assert np.any(found["a[1]"])


def test_propagate_down_false_blocks_what_is_above() -> None:
    net = net_of(
        DATA + ip("a", "x", "a", 7) + power("q", "a", "q") + ip("b", "q", "b", 5, "propagate_down: false") + LOSS
    )
    assert backward_layers(net) == {"b": [False], "loss": [True, False]}


def test_one_blocked_branch_leaves_the_other() -> None:
    net = net_of(
        DATA
        + ip("a", "x", "a", 7)
        + ip("b", "a", "b", 5, "propagate_down: false")
        + ip("c", "a", "c", 5)
        + layer("e", "Eltwise", "b c", "e")
        + layer("loss", "EuclideanLoss", "e t", "loss")
    )
    assert backward_layers(net) == {
        "a": [False],
        "a_a_0_split": [True],
        "b": [False],
        "c": [True],
        "e": [True, True],
        "loss": [True, False],
    }


def test_propagate_down_true_forces_a_gradient() -> None:
    net = net_of(
        DATA
        + ip("a", "x", "a", 5, "propagate_down: true")
        + layer("loss", "EuclideanLoss", "a t", "loss", "propagate_down: true propagate_down: true")
    )
    assert backward_layers(net) == {"a": [True], "loss": [True, True]}
    fill(net)
    loss_of(net)
    found = net.backward()
    assert np.any(found["x"])
    np.testing.assert_allclose(found["t"], (net.blobs["t"].data - net.blobs["a"].data) / 2, rtol=1e-6)


def test_force_backward_reaches_the_inputs_but_not_the_labels() -> None:
    text = inputs(x=(2, 3), label=(2,)) + ip("a", "x", "a", 5, "param { lr_mult: 0 }")
    net = net_of(
        "force_backward: true "
        + text
        + layer("loss", "SoftmaxWithLoss", "a label", "loss")
        + layer("acc", "Accuracy", "a label", "acc")
    )
    assert backward_layers(net) == {
        "a": [True],
        "a_a_0_split": [True],
        "label_input_1_split": [True],
        "loss": [True, False],
    }
    assert [net.layer_dict["a"].param_propagate_down(j) for j in (0, 1)] == [True, True]
    fill(net)
    net.blobs["label"].data[...] = [3, 1]
    net.forward()
    assert np.any(net.backward()["x"])


def test_force_backward_without_a_loss_starts_from_the_users_diff() -> None:
    net = net_of("force_backward: true " + inputs(x=(2, 3)) + ip("a", "x", "a", 4))
    fill(net)
    net.forward()
    dy = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_allclose(net.backward(a=dy)["x"], dy @ net.params["a"][0].data, rtol=1e-6)


def test_propagate_down_must_fit_the_bottoms() -> None:
    with pytest.raises(
        GraphError, match=r"propagate_down is given 1 times for 2 bottoms \(layer 'loss' of type Euclid"
    ):
        net_of(DATA + ip("b", "x", "b", 5) + layer("loss", "EuclideanLoss", "b t", "loss", "propagate_down: true"))


# Losses that are not at the end, with a weight of their own.


def check_loss(text: str, expected: dict[str, float]) -> Net:
    """Loss and gradients right, and the same in every pass; returns the net."""
    net = net_of(text, dtype=np.float64)
    fill(net)
    assert {k: w for k, w in net.blob_loss_weights.items() if w} == expected
    first = loss_of(net)
    assert first == pytest.approx(sum(w * net.blobs[k].data.sum() for k, w in expected.items()), rel=1e-12)
    for _ in range(3):
        found = gradients(net)
        assert loss_of(net) == first
    assert_close(found, numerical(net))
    return net


def test_loss_weight_on_a_plain_layer() -> None:
    check_loss(
        inputs(x=(2, 3)) + ip("a", "x", "a", 5) + layer("s", "Sigmoid", "a", "s", "loss_weight: 0.75"), {"s": 0.75}
    )


def test_two_losses_with_weights() -> None:
    check_loss(
        DATA
        + ip("b", "x", "b", 5)
        + layer("loss", "EuclideanLoss", "b t", "loss", "loss_weight: 2")
        + layer("s", "Sigmoid", "b", "s", "loss_weight: -3"),
        {"loss": 2, "s": -3},
    )


def test_a_loss_that_a_learning_branch_reads() -> None:
    check_loss(
        DATA + ip("b", "x", "b", 5) + LOSS + power("p", "loss", "p", 2, more="loss_weight: 3"), {"loss": 1, "p": 3}
    )


def test_a_loss_that_two_layers_read() -> None:
    check_loss(
        DATA
        + ip("b", "x", "b", 5)
        + LOSS
        + power("p", "loss", "p", 2, more="loss_weight: 3")
        + power("q", "loss", "q", 3, more="loss_weight: 0.25"),
        {"loss": 1, "p": 3, "q": 0.25},
    )


def test_a_weighted_top_that_is_also_read_is_split() -> None:
    net = check_loss(
        DATA
        + layer(
            "a",
            "InnerProduct",
            "x",
            "b",
            "loss_weight: 2 inner_product_param { num_output: 5 " 'weight_filler { type: "xavier" } }',
        )
        + LOSS,
        {"b_a_0_split_0": 2, "loss": 1},
    )
    assert net.bottom_names["loss"] == ["b_a_0_split_1", "t"]


def test_a_loss_that_only_silence_reads_still_trains() -> None:
    check_loss(DATA + ip("b", "x", "b", 5) + LOSS + layer("quiet", "Silence", "loss"), {"loss": 1})


def test_the_weight_of_a_view_outlasts_in_place_layers_before_it() -> None:
    net = check_loss(
        inputs(x=(2, 3))
        + ip("a", "x", "a", 5)
        + layer("r", "ReLU", "a", "a")
        + layer("f", "Flatten", "a", "f", "loss_weight: 2"),
        {"f": 2},
    )
    np.testing.assert_array_equal(net.blobs["f"].diff, 2)


def test_loss_weights_follow_a_reshape() -> None:
    net = net_of(
        inputs(x=(2, 3)) + ip("a", "x", "a", 5) + layer("s", "Sigmoid", "a", "s", "loss_weight: 0.5"), dtype=np.float64
    )
    for batch in (2, 7, 3):
        net.blobs["x"].reshape(batch, 3)
        fill(net)
        assert_close(gradients(net), numerical(net))
        np.testing.assert_array_equal(net.blobs["s"].diff, np.full((batch, 5), 0.5))


def test_the_number_of_loss_weights_must_fit() -> None:
    with pytest.raises(GraphError, match=r"loss_weight is given 2 times for 1 tops \(layer 'b' of type InnerProduct"):
        net_of(DATA + ip("b", "x", "b", 5, "loss_weight: 1 loss_weight: 2"))
