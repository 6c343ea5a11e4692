"""What a solver file must not say."""

from __future__ import annotations

from pathlib import Path

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import CaffeError, ParameterError, UnknownTypeError
from tests.solvers import toy

BARE = 'net: "net.prototxt" max_iter: 9\n'
RATE = "base_lr: 0.1\n"
FIXED = 'lr_policy: "fixed"\n'


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (FIXED, "base_lr is missing", 1),
        (RATE, "lr_policy is missing", 1),
        (RATE + 'lr_policy: "setp"', "Unknown lr policy 'setp'.*Did you mean 'step'", 3),
        (RATE + 'lr_policy: "step" gamma: 0.1', "stepsize is 0, it must be at least 1", 1),
        (RATE + 'lr_policy: "step" stepsize: 3\n gamma: -0.1', "gamma is -0.1.*, it must be at least 0", 4),
        (RATE + 'lr_policy: "sigmoid"\n stepsize: 0', "stepsize is 0", 4),
        (RATE + 'lr_policy: "exp" gamma: -2', "gamma is -2", 3),
        (RATE + 'lr_policy: "inv" gamma: -2', "gamma is -2", 3),
        (RATE + 'lr_policy: "multistep" gamma: -2', "gamma is -2", 3),
        (RATE + 'lr_policy: "poly"\n power: -1', "power is -1", 4),
        (RATE + 'lr_policy: "plateau"', "plateau_winsize is missing, it must be at least 1", 1),
        (RATE + 'lr_policy: "plateau"\n plateau_winsize: 3 plateau_winsize: 0', "plateau_winsize is 0", 4),
        (RATE + 'lr_policy: "plateau" plateau_winsize: 3\n gamma: -1', "gamma is -1", 4),
        (RATE + 'lr_policy: "cosine"\n min_lr: -1', "min_lr is -1", 4),
        (RATE + FIXED + "warmup_iter: -1", "warmup_iter is -1", 4),
        (RATE + FIXED + "warmup_start_lr: -1", "warmup_start_lr is -1", 4),
        (RATE + FIXED + "iter_size: 0", "iter_size is 0, it must be at least 1", 4),
        (RATE + FIXED + "average_loss: 0", "average_loss is 0", 4),
        (RATE + FIXED + "test_interval: 1 test_iter: 0", "test_iter is 0", 4),
        (RATE + FIXED + 'regularization_type: "L3"', "Unknown regularization_type 'L3'", 4),
        (RATE + FIXED + 'type: "AdaGrad"\n momentum: 0.5', "momentum is 0.5, it must be 0: AdaGrad has none", 5),
        (RATE + FIXED + 'type: "RMSProp"\n momentum: 0.5', "momentum is 0.5, it must be 0: RMSProp has none", 5),
        (RATE + FIXED + 'type: "RMSProp"\n rms_decay: 1', "rms_decay is 1.0, it must be at least 0 and less than 1", 5),
        (RATE + FIXED + 'type: "AdaGrad"\n delta: 0', "delta is 0.0, it must be greater than 0", 5),
        (RATE + FIXED + 'type: "AdaDelta"\n momentum: 1.5', "momentum is 1.5", 5),
        (RATE + FIXED + 'type: "Adam"\n momentum: 1', "momentum is 1.0", 5),
        (RATE + FIXED + 'type: "Adam"\n momentum2: 1', "momentum2 is 1.0", 5),
        (RATE + FIXED + 'type: "SGD"\n solver_type: ADAM', "Both type and solver_type", 5),
        (RATE + FIXED + "test_iter: 5", "test_interval is missing, yet there are test nets", 1),
        (RATE + FIXED + "test_iter: 5\ntest_interval: 0", "test_interval is 0, yet", 5),
        (
            RATE + FIXED + 'test_net: "a" test_net: "b"\n test_iter: 5',
            "test_iter is given once, there are 2 test nets",
            5,
        ),
        (RATE + FIXED + "test_iter: 5 test_interval: 2\ntest_state {} test_state {}", "test_state is given 2 times", 5),
        (RATE + FIXED + 'train_net: "net.prototxt"', "net and train_net are given", 4),
        (RATE + FIXED + 'snapshot: 5\nsnapshot_prefix: "nowhere/s"', "There is no folder .*nowhere for snapshots", 5),
        (RATE + FIXED + "stepsise: 5", "stepsise", 4),
    ],
)
def test_refused_with_place(
    text: str, message: str, line: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaffeError, match=message) as caught:
        toy.make(tmp_path, text, basis=BARE)
    assert caught.value.position is not None
    assert caught.value.position.file.endswith("solver.prototxt")
    assert caught.value.position.line == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No network to train: none of net, net_param, train_net, train_net_param is given"),
        ('train_net: "net.prototxt" test_iter: 4', "test_iter is given once, there are 0 test nets"),
        ('train_net: "net.prototxt" test_net: "net.prototxt"', "test_iter is not given, there are 1 test nets"),
    ],
)
def test_nets_are_missing(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=message):
        toy.make(tmp_path, RATE + FIXED + text, basis="")


def test_kinds_of_errors(tmp_path: Path) -> None:
    with pytest.raises(UnknownTypeError):
        toy.make(tmp_path, RATE + 'lr_policy: "fix"', basis=BARE)
    path = toy.write(tmp_path, RATE + FIXED + "rms_decay: 7 momentum: 0.5 delta: 0", basis=BARE)
    assert caffe.SGDSolver(path).param.rms_decay == 7  # what a type does not use may be anything
    with pytest.raises(ParameterError, match="AdaGrad has none"):
        caffe.AdaGradSolver(path)
