"""Nets and solvers: whatever the text or the message, something that runs or a CaffeError."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pycaffe_lite import TEST, TRAIN, Net, get_solver
from pycaffe_lite.errors import ShapeError
from pycaffe_lite.proto import caffe_pb2 as pb
from tests.graph.nets import inputs, ip, layer
from tests.layers.nets import net_of
from tests.properties.guard import only_caffe_errors, run
from tests.properties.strategies import golden_prototxts, messages, mistaken, nets, prototxts

NET = inputs(x=(2, 3), t=(2, 3)) + ip("a", "x", "a", 3) + layer("loss", "EuclideanLoss", "a t", "loss")
SOLVER = 'base_lr: 0.1 lr_policy: "fixed" net: "net.prototxt" test_iter: 1 test_interval: 2 max_iter: 3 gamma: 0.5'


@pytest.mark.parametrize("phase", [TRAIN, TEST])
@given(text=mistaken(golden_prototxts(), pb.NetParameter.DESCRIPTOR))
def test_one_layer_with_mistakes(phase: int, text: str) -> None:
    with only_caffe_errors():
        run(net_of(text, phase))


@pytest.mark.parametrize("phase", [TRAIN, TEST])
@given(text=mistaken(prototxts("*/*.prototxt"), pb.NetParameter.DESCRIPTOR))
def test_whole_nets_with_mistakes(folder: Path, phase: int, text: str) -> None:
    with only_caffe_errors():
        run(net_of(text, phase))


@pytest.mark.parametrize("phase", [TRAIN, TEST])
@given(message=nets())
def test_layers_of_random_fields(phase: int, message: pb.NetParameter) -> None:
    with only_caffe_errors():
        run(Net(message, phase))


@given(mistaken([SOLVER, *prototxts("*/*solver.prototxt")], pb.SolverParameter.DESCRIPTOR))
def test_solvers_with_mistakes(folder: Path, text: str) -> None:
    step(folder, text)


@given(messages(pb.SolverParameter, skip=("train_net_param", "test_net_param", "net_param", "solver_mode")))
def test_solvers_of_random_fields(folder: Path, message: pb.SolverParameter) -> None:
    message.ClearField("net")
    step(folder, f'{message} net: "net.prototxt"')


def step(folder: Path, text: str) -> None:
    """An iteration of this solver, unless it says that it takes long."""
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(text, "utf-8", "replace")
    with only_caffe_errors():
        solver = get_solver("solver.prototxt")
        if max([solver.param.iter_size, *solver.param.test_iter]) < 5:
            solver.step(1)


def test_nothing_to_deconvolve() -> None:
    conv = 'layer { type: "Deconvolution" bottom: "x" top: "y" convolution_param { num_output: 2 kernel_size: 3 } }'
    with pytest.raises(ShapeError, match="a spatial axis of length 0"):
        net_of(inputs(x=(2, 3, 5, 0)) + conv)


@given(st.text(max_size=60) | st.text('{}<>[]:;,"\\#-01.e layernamtyp\n', max_size=60))
def test_any_text(text: str) -> None:
    with only_caffe_errors():
        run(net_of(text))
