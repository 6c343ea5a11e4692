from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from pycaffe_lite.summary import Row, Summary

SMALL = """
name: "small"
layer { name: "data" type: "Input" top: "data" top: "label"
        input_param { shape { dim: 7 dim: 3 dim: 5 dim: 2 } shape { dim: 7 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1" inner_product_param { num_output: 11 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "scores" inner_product_param { num_output: 13 } }
layer { name: "flat" type: "Flatten" bottom: "scores" top: "flat" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "flat" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "flat" bottom: "label" top: "accuracy" }
"""

IP1, IP2 = 11 * 30 + 11, 13 * 11 + 13


def net_of(text: str, phase: int = caffe.TRAIN) -> caffe.Net:
    return caffe.Net(parse_text(text, pb.NetParameter)[0], phase)


def rows_of(summary: Summary) -> dict[str, Row]:
    return {row.name: row for row in summary.rows}


@pytest.mark.usefixtures("numpy_alone")
def test_rows_hold_what_the_net_is_made_of() -> None:
    rows = rows_of(net_of(SMALL).summary())
    assert list(rows) == ["data", "ip1", "relu1", "ip2", "flat", "loss", "accuracy"]
    assert rows["ip2"] == Row(
        "ip2", "InnerProduct", ("ip1",), ("scores",), ((7, 13),), (False,), IP2, False, 7 * 13 * 11, 7 * 13 * 4, ""
    )
    assert rows["data"].shapes == ((7, 3, 5, 2), (7,))
    assert rows["ip1"].multiply_adds == 7 * 11 * 30


def test_memory_counts_every_array_once() -> None:
    summary = net_of(SMALL).summary()
    rows = rows_of(summary)
    assert (rows["relu1"].in_place, rows["relu1"].memory) == ((True,), 0)
    assert rows["flat"].memory == 0  # a view
    assert summary.memory == 4 * (7 * 30 + 7 + 7 * 11 + 7 * 13 + 1 + 1)
    assert summary.parameter_bytes == 4 * (IP1 + IP2)


def test_blobs_that_share_memory_take_less() -> None:
    message = parse_text(SMALL, pb.NetParameter)[0]
    assert "in less memory (net.memory_use() tells" in str(caffe.Net(message, caffe.TEST, reuse_memory=True).summary())
    assert "in less memory" not in str(caffe.Net(message, caffe.TEST).summary())


def test_the_splits_of_the_net_are_not_listed() -> None:
    summary = net_of(SMALL).summary()
    assert summary.splits == 2
    assert rows_of(summary)["accuracy"].bottoms == ("flat", "label")
    assert "2 Split layers" in str(summary)


def test_a_split_that_the_user_wrote_is_listed() -> None:
    summary = net_of("""
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "mine" type: "Split" bottom: "data" top: "a" top: "b" }""").summary()
    assert [row.name for row in summary.rows] == ["data", "mine"]
    assert summary.splits == 0


def test_shared_parameters_count_once() -> None:
    text = """
        layer { name: "data" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 5 } } }
        layer { name: "left" type: "InnerProduct" bottom: "a" top: "left" param { name: "w" }
                inner_product_param { num_output: 3 bias_term: false } }
        layer { name: "right" type: "InnerProduct" bottom: "b" top: "right" param { name: "w" }
                inner_product_param { num_output: 3 } }"""
    summary = net_of(text).summary()
    left, right = rows_of(summary)["left"], rows_of(summary)["right"]
    assert (left.parameters, left.shares, right.parameters, right.shares) == (15, False, 3, True)
    assert summary.parameters == 18
    assert left.multiply_adds == right.multiply_adds == 2 * 15


def test_the_batch_divides_the_shown_multiply_adds() -> None:
    summary = net_of(SMALL).summary()
    assert summary.items == 7
    assert summary.multiply_adds == 7 * (330 + 143)
    total = next(line for line in str(summary).splitlines() if line.startswith("total"))
    assert total.split() == ["total", str(IP1 + IP2), "473", *f"{summary.memory / 1024:.1f} KiB".split()]


def test_multiply_adds_that_do_not_go_with_the_batch_are_shown_whole() -> None:
    text = """
        layer { name: "data" type: "Input" top: "rois" top: "x"
                input_param { shape { dim: 4 dim: 2 } shape { dim: 3 dim: 5 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 7 } }"""
    assert net_of(text).summary().items == 1


def test_gradients_are_those_that_backward_computes() -> None:
    # ip1's bottom gets none; the diffs of ip1, scores, flat, and flat's split do, and all parameters
    assert net_of(SMALL).summary().gradient_bytes == 4 * (7 * 11 + 3 * 7 * 13 + IP1 + IP2)
    no_loss = SMALL.split('layer { name: "loss"')[0]
    assert net_of(no_loss).summary().gradient_bytes == 0


@pytest.mark.usefixtures("numpy_alone")
def test_the_table_is_aligned_and_marks_what_runs_in_place() -> None:
    lines = net_of(SMALL, caffe.TEST).summary().text().splitlines()
    assert lines[0] == f"small · TEST · 7 layers · {IP1 + IP2} parameters"
    heading = lines[2]
    assert heading.split() == ["layer", "type", "bottom", "top", "params", "mult-adds", "memory"]
    relu = next(line for line in lines if line.startswith("relu1"))
    assert relu.index("ip1 in place") == heading.index("top")
    ip2 = next(line for line in lines if line.startswith("ip2"))
    assert ip2[: heading.index("params") + len("params")].endswith(f" {IP2}")
    assert "scores (7, 13)" in ip2
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.usefixtures("numpy_alone")
def test_engines_are_shown_once_something_else_than_numpy_runs() -> None:
    net = net_of(SMALL)
    assert "engine" not in str(net.summary())
    next(n for n in net._nodes if n.name == "ip1").engine = "onednn"
    lines = str(net.summary()).splitlines()
    assert lines[2].endswith("engine")
    assert [line.split()[-1] for line in lines if line.startswith(("ip1", "ip2"))] == ["onednn", "numpy"]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("width", [80, 90])
def test_narrow_terminals_lose_the_bottoms_then_the_middle_of_long_names(width: int) -> None:
    text = SMALL.replace("scores", "a_very_long_name/for_a_blob/of_scores")
    net = net_of(text.replace('"ip1"', '"inception_3a/ip1/with_a_long_name"'))
    full = net.summary().text()
    table = [line for line in net.summary().text(width).splitlines()[:-3] if line]
    assert max(map(len, full.splitlines())) > 90
    assert max(map(len, table)) <= width
    assert "…" in "".join(table)
    assert not any("bottom" in line for line in table)


def test_piped_output_is_whole_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    summary = net_of(SMALL).summary()
    assert str(summary) == repr(summary) == summary.text()


def test_a_python_layer_keeps_its_multiply_adds_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_summary_layer.py").write_text(
        "import pycaffe_lite as caffe\n"
        "class Mine(caffe.Layer):\n"
        "    def reshape(self, bottom, top): top[0].reshape(2, 3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    summary = net_of("""layer { name: "p" type: "Python" top: "p"
                                python_param { module: "my_summary_layer" layer: "Mine" } }""").summary()
    assert summary.rows[0].multiply_adds is None
    assert "?" in next(line for line in str(summary).splitlines() if line.startswith("p "))


def test_html_has_a_row_for_each_layer_and_escapes_names() -> None:
    html = net_of(SMALL.replace("scores", "<b>")).summary()._repr_html_()
    assert html.count("<tr>") == 1 + 7 + 1
    assert "&lt;b&gt; (7, 13)" in html
    assert "<b>" not in html.split("<table>")[1]


def test_a_net_without_layers_has_a_summary() -> None:
    assert "0 layers" in str(net_of('name: "none"').summary())


def test_a_summary_allocates_nothing() -> None:
    net = net_of(SMALL)
    str(net.summary())
    assert not any(b._data.allocated or b._diff.allocated for b in net.blobs.values())
    assert not net.learnable.diff.allocated


def test_shapes_are_the_present_ones() -> None:
    net = net_of(SMALL.split('layer { name: "loss"')[0])
    net.blobs["data"].reshape(2, 3, 5, 2)
    net.blobs["label"].reshape(2)
    net.reshape()
    assert rows_of(net.summary())["ip2"].shapes == ((2, 13),)
    assert net.summary().items == 2


def test_lenet(shared: Path) -> None:
    net = caffe.Net(str(shared / "models/lenet/lenet.prototxt"), caffe.TEST)
    summary = net.summary()
    counts = {r.name: (r.multiply_adds or 0) // 64 for r in summary.rows if r.multiply_adds}
    assert counts == {"conv1": 288_000, "conv2": 1_600_000, "ip1": 400_000, "ip2": 5_000}
    assert summary.parameters == 431_080
    assert np.prod(rows_of(summary)["conv1"].shapes) * 4 == rows_of(summary)["conv1"].memory
    total = next(line for line in str(summary).splitlines() if line.startswith("total"))
    assert total.split()[1:5] == ["431.1", "k", "2.29", "M"]
