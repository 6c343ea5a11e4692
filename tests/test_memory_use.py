"""What a net holds: each memory once, and only what has been taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import memory_use
from pycaffe_lite.memory_use import MemoryUse, peak_memory
from tests.graph.nets import inputs, ip, layer

NET = (
    inputs(x=(10, 30), label=(10,))
    + ip("a", "x", "a", 50)
    + layer("relu", "ReLU", "a", "a")
    + ip("b", "a", "b", 40)
    + layer("flat", "Flatten", "b", "flat")
    + ip("c", "flat", "c", 20)
    + layer("loss", "SoftmaxWithLoss", "c label", "loss")
)
PARAMETERS = 4 * (50 * 31 + 40 * 51 + 20 * 41)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., caffe.Net]:
    (tmp_path / "net.prototxt").write_text(NET)
    return lambda phase, **more: caffe.Net(tmp_path / "net.prototxt", phase, seed=1, **more)


@pytest.mark.usefixtures("engine")
def test_pass_by_pass(make: Callable[..., caffe.Net]) -> None:
    net = make(caffe.TRAIN)
    new = net.memory_use()
    assert new == MemoryUse(0, 0, PARAMETERS, 0, new.working_memory)
    net.forward()
    data = 4 * (10 * (30 + 1 + 50 + 40 + 20) + 1)
    after = net.memory_use()
    assert (after.data, after.gradients, after.parameter_gradients) == (data, 0, 0)
    assert net.memory_for_data > data
    net._backward(len(net.layers) - 1, 0)
    after = net.memory_use()
    diffs = 4 * (10 * (50 + 40 + 20) + 1)
    assert (after.data, after.gradients, after.parameter_gradients) == (data, diffs, PARAMETERS)
    assert after.total == data + diffs + 2 * PARAMETERS + after.working_memory


def test_a_buffer_counts_once(make: Callable[..., caffe.Net]) -> None:
    plain, net = make(caffe.TEST), make(caffe.TEST, reuse_memory=True)
    for n in (plain, net):
        n.forward()
    assert plain.memory_use().data == 4 * (10 * (30 + 1 + 50 + 40 + 20) + 1)
    assert net.memory_use().data == 4 * (10 * (30 + 1 + 50 + 40) + 1), "c where a was"
    assert net.memory_use().parameters == PARAMETERS


def test_parameters_of_another_net_are_not_held_twice(make: Callable[..., caffe.Net]) -> None:
    net, other = make(caffe.TEST), make(caffe.TEST)
    net.share_with(other)
    assert net.memory_use().parameters == PARAMETERS


def test_in_words() -> None:
    assert str(MemoryUse(2048, 0, 3 * 2**20, 7, 1)) == (
        "data 2.0 KiB, gradients 0 bytes, parameters 3.0 MiB, parameter gradients 7 bytes, working memory 1 bytes"
    )


def test_the_peak_rises() -> None:
    before = peak_memory()
    assert before is not None
    taken = np.ones(2**26, np.uint8)
    peak = peak_memory()
    assert peak is not None
    assert peak >= taken.nbytes
    assert 10 * 2**20 < before <= peak < 2**40


def test_the_peak_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    here = peak_memory()
    monkeypatch.setattr(memory_use, "Path", lambda name: Path("/nowhere"))
    there = peak_memory()
    assert here is not None
    assert there is not None
    assert 0.5 * here < there < 4 * 2**40
