"""Split insertion, with Caffe's names."""

from __future__ import annotations

import pytest

from pycaffe_lite.errors import GraphError
from pycaffe_lite.graph.select import LayerSpec, specs_of
from pycaffe_lite.graph.splits import insert_splits
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from tests.graph.nets import layer


def after(text: str) -> list[pb.LayerParameter]:
    net, positions = parse_text(text, pb.NetParameter, "n.prototxt")
    before = net.SerializeToString()
    specs = insert_splits(specs_of(net, positions))
    assert net.SerializeToString() == before  # the caller's message is left alone
    assert all(isinstance(s, LayerSpec) for s in specs)
    return [s.message for s in specs]


def line(message: pb.LayerParameter) -> str:
    return f"{message.name}: {' '.join(message.bottom)} -> {' '.join(message.top)}"


def test_one_reader_needs_no_split() -> None:
    assert [line(m) for m in after(layer("d", "Input", "", "x") + layer("r", "ReLU", "x", "y"))] == [
        "d:  -> x",
        "r: x -> y",
    ]


def test_names_are_caffes() -> None:
    found = after(
        layer("data", "Input", "", "data label")
        + layer("pool1", "Pooling", "data", "p")
        + layer("a", "InnerProduct", "p", "a")
        + layer("b", "InnerProduct", "p", "b")
        + layer("loss", "SoftmaxWithLoss", "a label", "loss")
        + layer("acc", "Accuracy", "b label", "acc")
        + layer("acc2", "Accuracy", "b label", "acc2")
    )
    assert [line(m) for m in found] == [
        "data:  -> data label",
        "label_data_1_split: label -> label_data_1_split_0 label_data_1_split_1 label_data_1_split_2",
        "pool1: data -> p",
        "p_pool1_0_split: p -> p_pool1_0_split_0 p_pool1_0_split_1",
        "a: p_pool1_0_split_0 -> a",
        "b: p_pool1_0_split_1 -> b",
        "b_b_0_split: b -> b_b_0_split_0 b_b_0_split_1",
        "loss: a label_data_1_split_0 -> loss",
        "acc: b_b_0_split_0 label_data_1_split_1 -> acc",
        "acc2: b_b_0_split_1 label_data_1_split_2 -> acc2",
    ]
    assert all(m.type == "Split" for m in found if m.name.endswith("_split"))


def test_one_layer_that_reads_a_blob_twice() -> None:
    found = after(layer("d", "Input", "", "x") + layer("e", "Eltwise", "x x", "y"))
    assert line(found[2]) == "e: x_d_0_split_0 x_d_0_split_1 -> y"


def test_an_in_place_layer_makes_a_new_source() -> None:
    found = after(
        layer("d", "Input", "", "x")
        + layer("r", "ReLU", "x", "x")
        + layer("a", "ReLU", "x", "a")
        + layer("b", "ReLU", "x", "b")
    )
    assert [line(m) for m in found] == [
        "d:  -> x",
        "r: x -> x",
        "x_r_0_split: x -> x_r_0_split_0 x_r_0_split_1",
        "a: x_r_0_split_0 -> a",
        "b: x_r_0_split_1 -> b",
    ]


def test_loss_weight_counts_as_a_reader_and_moves_to_top_0() -> None:
    found = after(
        layer("d", "Input", "", "x")
        + layer("s", "Slice", "x", "y z", "loss_weight: 0.5 loss_weight: 3")
        + layer("r", "ReLU", "z", "u")
    )
    assert [line(m) for m in found] == [
        "d:  -> x",
        "s: x -> y z",
        "z_s_1_split: z -> z_s_1_split_0 z_s_1_split_1",
        "r: z_s_1_split_1 -> u",
    ]
    assert list(found[1].loss_weight) == [0.5, 0]
    assert list(found[2].loss_weight) == [3, 0]


def test_loss_weight_without_a_reader_stays() -> None:
    found = after(layer("d", "Input", "", "x") + layer("r", "ReLU", "x", "y", "loss_weight: 2"))
    assert len(found) == 2
    assert list(found[1].loss_weight) == [2]


@pytest.mark.parametrize(
    ("bottom", "hint"), [("poool1", "Did you mean 'pool1'?"), ("zzz", "No layer before this one makes")]
)
def test_unknown_bottom(bottom: str, hint: str) -> None:
    with pytest.raises(GraphError) as e:
        after(layer("d", "Input", "", "pool1") + layer("r", "Eltwise", f"pool1 {bottom}", "y"))
    assert str(e.value).startswith(
        f"Unknown bottom blob '{bottom}' (bottom index 1) (layer 'r' of type Eltwise, n.prototxt:2:51). {hint}"
    )


def test_a_blob_made_later_is_unknown() -> None:
    with pytest.raises(GraphError, match="Unknown bottom blob 'x'"):
        after(layer("r", "ReLU", "x", "y") + layer("d", "Input", "", "x"))


def test_a_bottom_that_a_later_layer_makes() -> None:
    text = layer("d", "Input", "", "x") + layer("a", "ReLU", "late", "a") + layer("b", "ReLU", "a", "late")
    with pytest.raises(GraphError, match=r"Unknown bottom blob 'late' .*layer 'a'.*Layer 'b' makes it, too late"):
        after(text)


def test_a_bottom_that_only_its_own_layer_makes() -> None:
    with pytest.raises(GraphError, match=r"Unknown bottom blob 'own' .*No layer before this one makes it"):
        after(layer("d", "Input", "", "x") + layer("a", "ReLU", "own", "own"))
