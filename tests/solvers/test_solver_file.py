from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import MissingFileError, ParameterError, UnknownTypeError
from pycaffe_lite.solvers.solver_file import SolverFile
from tests.solvers import toy


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SGD", "SGD"),
        ("NESTEROV", "Nesterov"),
        ("ADAGRAD", "AdaGrad"),
        ("RMSPROP", "RMSProp"),
        ("ADADELTA", "AdaDelta"),
        ("ADAM", "Adam"),
    ],
)
def test_solver_type(old: str, new: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pycaffe_lite"):
        assert toy.make(tmp_path, f"solver_type: {old}").type == new
    assert f"solver.prototxt: solver_type to type: {new}" in caplog.text


def test_old_nets_in_the_solver_file(tmp_path: Path) -> None:
    data = 'name: "data" type: DUMMY_DATA top: "x" dummy_data_param { shape { dim: 2 dim: 3 } }'
    net = f'layers {{ {data} }}\nlayers {{ name: "ip" type: INNER_PRODUCT bottom: "x" top: "y" }}'
    with pytest.raises(ParameterError, match=r"layer 'ip' of type InnerProduct, .*solver.prototxt:2:1\)"):
        toy.make(tmp_path, "", basis=f"net_param {{ {net} }} base_lr: 1 lr_policy: 'fixed'")


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", "sub/my.solver"),
        ('snapshot_prefix: ""', "sub/my.solver"),
        ('snapshot_prefix: "sub"', "sub/my.solver"),
        ('snapshot_prefix: "sub/"', "sub/my.solver"),
        ('snapshot_prefix: "sub/x"', "sub/x"),
        ('snapshot_prefix: "elsewhere"', "elsewhere"),
    ],
)
def test_snapshot_prefix(text: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my.solver.prototxt").write_text(text or "base_lr: 1")
    assert SolverFile.read("sub/my.solver.prototxt").message.snapshot_prefix == prefix


def test_nets_are_found_from_here_and_then_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    toy.write(tmp_path / "sub")
    monkeypatch.chdir(tmp_path)
    assert caffe.get_solver("sub/solver.prototxt").net.name == "toy"
    (tmp_path / "net.prototxt").write_text(toy.NET.replace("SIZE", "4").replace('name: "toy"', 'name: "here"'))
    assert caffe.get_solver("sub/solver.prototxt").net.name == "here"
    os.remove("net.prototxt")
    os.remove("sub/net.prototxt")
    with pytest.raises(MissingFileError, match=r"net.prototxt.*solver.prototxt:1:1"):
        caffe.get_solver("sub/solver.prototxt")


def test_errors_inside_a_net_that_stands_in_the_solver_file(tmp_path: Path) -> None:
    net = toy.NET.replace("SIZE", "6").replace('"TanH"', '"TanHH"')
    with pytest.raises(UnknownTypeError, match="'tanh'") as caught:
        toy.make(tmp_path, f"net_param {{ {net} }}", basis=toy.BASIS.replace('net: "net.prototxt"', ""))
    position = caught.value.position
    assert position is not None
    assert position.file.endswith("solver.prototxt")
    assert '"TanHH"' in (tmp_path / "solver.prototxt").read_text().splitlines()[position.line - 1]


@pytest.mark.parametrize("field", ["net_param", "train_net_param"])
def test_nets_in_the_solver_file(field: str, tmp_path: Path) -> None:
    net = toy.NET.replace("SIZE", "6")
    tests = "test_iter: 2 test_interval: 1 " if field == "net_param" else ""
    solver = toy.make(
        tmp_path,
        f"{tests} {field} {{ {net} }} test_net_param {{ {net} }} test_iter: 1 test_interval: 3"
        if not tests
        else f"{tests} {field} {{ {net} }}",
        basis=toy.BASIS.replace('net: "net.prototxt"', ""),
    )
    solver.step(2)
    assert len(solver.test_nets) == 1
    assert solver.iter == 2
