"""The log, line by line, as Caffe's own is and as scripts read it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.glog import GlogFormatter
from pycaffe_lite.proto.caffe_pb2 import SolverParameter
from pycaffe_lite.schema import parse_text
from pycaffe_lite.solvers.display import SmoothedLoss
from tests.solvers import toy

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"


def caffes_lines(log: str, scale: int) -> Iterator[str]:
    """Messages from "Solving" on, iterations divided by `scale`; not those of the data layer and the tool."""
    text = log[log.index("solver.cpp:289] Solving") :]
    for source, message in re.findall(r"(\w+)\.cpp:\d+\] (.*)", text):
        if source in ("solver", "sgd_solver"):
            message = re.sub(r"Iteration (\d+)", lambda m: f"Iteration {int(m[1]) // scale}", message)
            message = re.sub(r"_iter_(\d+)", lambda m: f"_iter_{int(m[1]) // scale}", message)
            yield message.replace(f"s/{scale} iters", "s/1 iters")


def template(message: str) -> str:
    """The message with every measured number replaced: those after =, in parentheses, of loss."""
    message = re.sub(rf"\({NUMBER} iter/s, {NUMBER}s/", "(# iter/s, #s/", message)
    return re.sub(rf"= {NUMBER}", "= #", message)


def test_the_lines_of_a_whole_training_are_caffes(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "pycaffe_lite")
    # Caffe's run: 10,000 iterations, display 100, test_interval 500, snapshot 5,000.
    solver = toy.make(
        tmp_path,
        """test_iter: 2 test_interval: 5 base_lr: 0.01 display: 1 max_iter: 100 lr_policy: "inv"
        gamma: 0.0001 power: 0.75 momentum: 0.9 snapshot: 50 snapshot_prefix: "lenet" """,
        basis='net: "net.prototxt" ',
        net=toy.NET.replace('"toy"', '"LeNet"'),
    )
    solver.solve()
    ours = caplog.messages[caplog.messages.index("Solving LeNet") :]
    own = "Snapshotting data positions and random numbers to lenet_iter_%d.solverstate.resume"
    for iteration in (50, 100):  # the one line that Caffe has not
        assert ours[ours.index(own % iteration) - 1].startswith("Snapshotting solver state to")
        ours.remove(own % iteration)
    wanted = list(caffes_lines((shared / "golden" / "lenet" / "train.log").read_text(), 100))
    assert [template(m) for m in ours] == [template(m) for m in wanted]


def test_what_parse_log_looks_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    net = toy.NET.replace('type: "SoftmaxWithLoss"', 'type: "SoftmaxWithLoss" loss_weight: 0.5')
    text = "display: 4 test_iter: 2 test_interval: 6 average_loss: 3 test_compute_loss: true"
    solver = toy.make(tmp_path, text, net=net)
    losses: list[float] = []
    solver.add_callback(None, lambda: losses.append(solver._loss.value))
    solver.solve()
    log = "\n".join(GlogFormatter().format(r) for r in caplog.records)
    lines = re.findall(r"^I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \w+\.py:\d+\] .*$", log, re.MULTILINE)
    begun = next(i for i, line in enumerate(lines) if "Solving" in line)
    rows: dict[str, list[tuple[int, str, float]]] = {"Train": [], "Test": []}
    rates = {}
    iteration = -1
    for line in lines[begun:]:
        if m := re.search(r"Iteration (\d+)", line):
            iteration = int(m[1])
        if m := re.search(r"lr = ([-+]?[0-9]*\.?[0-9]+([eE]?[-+]?[0-9]+)?)", line):
            rates[iteration] = float(m[1])
        if m := re.search(r"(Train|Test) net output #(\d+): (\S+) = ([\.\deE+-]+)", line):
            rows[m[1]].append((iteration, m[3], float(m[4])))
            if m[3] == "loss":
                weighted = re.search(rf"\(\* 0.5 = ({NUMBER}) loss\)$", line)
                assert weighted is not None
                assert float(weighted[1]) == pytest.approx(float(m[4]) / 2, rel=1e-5)
    assert [(i, name) for i, name, _ in rows["Train"]] == [(i, "loss") for i in (0, 4, 8)]
    assert [(i, name) for i, name, _ in rows["Test"]] == [(i, n) for i in (0, 6, 12) for n in ("accuracy", "loss")]
    assert rates == {i: pytest.approx(0.05) for i in (0, 4, 8)}
    smoothed = {
        int(i): float(v)
        for line in lines
        for i, v in re.findall(rf"Iteration (\d+) \(.*iters\), loss = ({NUMBER})$", line)
    }
    assert smoothed == {i: pytest.approx(losses[i], rel=1e-5) for i in (0, 4, 8)}
    assert any(re.search(rf"\] Iteration 12, loss = {NUMBER}$", line) for line in lines)
    test_losses = [float(m[1]) for line in lines if (m := re.search(rf"\] Test loss: ({NUMBER})$", line))]
    assert test_losses == pytest.approx([v / 2 for _, name, v in rows["Test"] if name == "loss"], rel=1e-5)


def test_before_training(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "pycaffe_lite")
    toy.make(tmp_path).net.save("w.caffemodel")
    toy.make(tmp_path, 'test_iter: 1 test_iter: 1 test_interval: 5 weights: "w.caffemodel"')
    kept = [
        m.splitlines()[0]
        for m in caplog.messages
        if re.match(r"Initializing solver|Creating t|Finetuning|Solver scaffolding|Network init", m)
    ]
    assert kept[kept.index("Solver scaffolding done.") + 1 :] == [
        "Initializing solver from parameters: ",
        "Creating training net from net file: net.prototxt",
        "Network initialization done.",
        "Creating test net (#0) specified by net file: net.prototxt",
        "Network initialization done.",
        "Creating test net (#1) specified by net file: net.prototxt",
        "Network initialization done.",
        *["Finetuning from w.caffemodel"] * 3,
        "Solver scaffolding done.",
    ]
    text = next(m for m in caplog.messages if "test_interval: 5" in m)
    assert 'lr_policy: "fixed"\n' in text


def test_each_number_of_an_output_has_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    net = toy.NET + 'layer { name: "copy" type: "Power" bottom: "label" top: "also" }'
    toy.make(tmp_path, "display: 1 max_iter: 1", net=net, size=2, basis=toy.BASIS.replace("max_iter: 12", "")).step(1)
    outputs = [re.sub(r"= .*", "", m) for m in caplog.messages if "Train net output" in m]
    assert outputs == [f"    Train net output #{i}: {name} " for i, name in enumerate(["also", "also", "loss"])]


def test_debug_info(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Caffe's lines and their order; all numbers are ones that the blobs tell."""
    caplog.set_level(logging.INFO, "pycaffe_lite")
    shared_weights = """layer { name: "ip3" type: "InnerProduct" bottom: "data" top: "ip3"
      param { name: "w" lr_mult: 3 } inner_product_param { num_output: 3 bias_term: false } }
      layer { name: "ip4" type: "InnerProduct" bottom: "data" top: "ip4"
      param { name: "w" lr_mult: 3 } inner_product_param { num_output: 3 bias_term: false } }
      layer { name: "far" type: "EuclideanLoss" bottom: "ip3" bottom: "ip4" top: "far" }"""
    text = "display: 2 debug_info: true momentum: 0.9 snapshot_after_train: false max_iter: 3 iter_size: 2"
    solver = toy.make(tmp_path, text, net=toy.NET + shared_weights, basis=toy.BASIS.replace("max_iter: 12", ""))
    blobs, told = solver.net.blobs, []
    solver.net.params["ip3"][0].data[...] = np.arange(15).reshape(3, 5) - 4

    def mean(array: np.ndarray) -> float:
        return float(np.abs(array).mean())

    def ready() -> None:
        params = [b for layer in ("ip1", "ip2", "ip3") for b in solver.net.params[layer]]
        data, diff = (np.concatenate([getattr(b, what).ravel() for b in params]) for what in ("data", "diff"))
        told.append([np.abs(data).sum(), np.abs(diff).sum(), np.linalg.norm(data), np.linalg.norm(diff)])
        told.append([mean(blobs[name].data) for name in ("ip1", "ip2", "loss")])
        told.append([mean(blobs["ip2"].diff), mean(solver.net.params["ip2"][0].data)])

    solver.add_callback(None, ready)
    solver.step(1)
    lines = [m for m in caplog.messages if re.match(r" +\[", m)]
    splits = [f"data_data_0_split_{k}" for k in range(3)]
    forward = [
        "data, top blob data", "data, top blob label", *(f"data_data_0_split, top blob {s}" for s in splits),
        "ip1, top blob ip1", "ip1, param blob 0", "ip1, param blob 1", "tanh, top blob ip1",
        "ip2, top blob ip2", "ip2, param blob 0", "ip2, param blob 1", "loss, top blob loss",
        "ip3, top blob ip3", "ip3, param blob w", "ip4, top blob ip4", "ip4, param blob w", "far, top blob far",
    ]  # fmt: skip
    backward = [
        "far, bottom blob ip3", "far, bottom blob ip4", "ip4, param blob 0", "ip3, param blob 0",
        "loss, bottom blob ip2", "ip2, bottom blob ip1", "ip2, param blob 0", "ip2, param blob 1",
        "tanh, bottom blob ip1", "ip1, param blob 0", "ip1, param blob 1",
    ]  # fmt: skip
    one_pass = [f"    [Forward] Layer {f} data: #" for f in forward]
    one_pass += [f"    [Backward] Layer {b} diff: #" for b in backward]
    one_pass += ["    [Backward] All net params (data, diff): L1 norm = (#, #); L2 norm = (#, #)"]
    update = [f"    [Update] Layer {p} data: #; diff: #" for p in ("ip1, param 0", "ip1, param 1")]
    update += [f"    [Update] Layer {p} data: #; diff: #" for p in ("ip2, param 0", "ip2, param 1", "ip3, param w")]
    update += ["    [Update] Layer ip4, param blob w (owned by layer ip3, param w) diff: #"]
    assert [re.sub(rf"(?<=[(: ]){NUMBER}(?=[;,)]|$)", "#", m) for m in lines] == [*one_pass * 2, *update]

    values = {m.rpartition(": ")[0].strip(): float(m.rpartition(" ")[2]) for m in lines if "All net" not in m}
    pairs = re.findall(rf"\(({NUMBER}), ({NUMBER})\)", lines[2 * len(one_pass) - 1])
    assert [float(v) for pair in pairs for v in pair] == pytest.approx(told[0], rel=1e-4)
    assert values["[Forward] Layer tanh, top blob ip1 data"] == pytest.approx(told[1][0], rel=1e-4)
    assert values["[Forward] Layer ip2, top blob ip2 data"] == pytest.approx(told[1][1], rel=1e-4)
    assert values["[Forward] Layer loss, top blob loss data"] == pytest.approx(told[1][2], rel=1e-4)
    assert values["[Backward] Layer loss, bottom blob ip2 diff"] == pytest.approx(told[2][0], rel=1e-4)
    data, diff = (float(v) for v in re.findall(rf": ({NUMBER})", next(m for m in lines if "ip2, param 0 " in m)))
    assert data == pytest.approx(told[2][1], rel=1e-4)  # before the update
    assert diff == pytest.approx(mean(solver.net.params["ip2"][0].diff), rel=1e-4)

    caplog.clear()
    solver.step(1)  # an iteration that is not displayed
    assert not [m for m in caplog.messages if re.match(r" +\[", m)]


def test_debug_info_of_a_net_and_of_test_nets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pycaffe_lite")
    solver = toy.make(tmp_path, "debug_info: true test_iter: 2 test_interval: 5", net="debug_info: true" + toy.NET)
    solver.step(1)
    lines = [m for m in caplog.messages if re.match(r" +\[", m)]
    assert sum("[Forward] Layer accuracy, top blob accuracy" in m for m in lines) == 2
    assert not [m for m in lines if "[Backward]" in m]  # there is no display, and the solver decides
    caplog.clear()
    solver.net.debug_info = True
    solver.net.forward()
    solver.net.backward(end="ip2")
    lines = [m for m in caplog.messages if re.match(r" +\[", m)]
    assert "[Backward] Layer ip2" in lines[-1]  # no line for all parameters: the pass was not whole


def test_what_is_probably_no_training_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = 'layer { name: "d" type: "DummyData" top: "d" dummy_data_param { shape { dim: 2 } } }'
    (tmp_path / "n.prototxt").write_text(net)
    solver = caffe.get_solver(
        parse_text(
            f'net: "{tmp_path}/n.prototxt" base_lr: 1 lr_policy: "fixed" snapshot_after_train: false', SolverParameter
        )[0]
    )
    assert any("The net has no loss" in m for m in caplog.messages)
    solver.solve()
    assert "Nothing is trained: max_iter is 0, iteration 0 is reached" in caplog.messages


def test_a_loss_that_is_no_number_any_more_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    loss = SmoothedLoss(1)
    for value in (1.0, float("nan"), float("nan"), 2.0, float("inf")):
        loss.add(value)
    said = [m for m in caplog.messages if "The loss is" in m]
    assert [m.split(":")[0] for m in said] == ["The loss is nan", "The loss is inf"]
