"""Forward passes done again: the engine's layers say what they did, and are not asked any more."""

from __future__ import annotations

import pytest

from pycaffe_lite import TEST, TRAIN, set_num_threads
from pycaffe_lite.engines.onednn._library import library
from pycaffe_lite.engines.onednn._primitive import Primitive
from tests.graph.nets import inputs, ip, layer
from tests.graph.test_again import NET, agree, pair
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn")


@pytest.mark.parametrize("reuse_memory", [False, True])
def test_most_layers_are_not_asked(reuse_memory: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    nets = pair(NET, reuse_memory=reuse_memory)
    agree(nets, 2)

    def asked(*args: object) -> None:
        raise AssertionError("a layer was asked that has said what it did")

    for name in "a b left right norm pool c d".split():
        for method in ("forward", "forward_with", "forward_beyond", "forward_parts"):
            monkeypatch.setattr(nets[0].layer_dict[name], method, asked)
    agree(nets, 2, seed=9)


def test_where_numpys_layers_are_most_nothing_is_done_again() -> None:
    text = (
        inputs(x=(2, 3)) + layer("a", "PReLU", "x", "a") + layer("b", "PReLU", "a", "b") + layer("c", "PReLU", "b", "c")
    )
    net, by_layers = pair(text)
    agree((net, by_layers), 3)
    assert net._passes.repeats is not None
    assert net._passes.repeats._last is None


def test_few_numbers() -> None:
    """What numpy's layers compute is done again as well, and nobody is asked."""
    text = (
        inputs(x=(4, 2))
        + ip("a", "x", "a", 3)
        + layer("b", "Sigmoid", "a", "b")
        + ip("c", "b", "c", 5)
        + layer("d", "Power", "c", "c", "power_param { scale: 2 shift: 0.5 }")
        + layer("prob", "Softmax", "c", "prob")
    )
    net, by_layers = pair(text)
    agree((net, by_layers), 3)
    assert net._passes.repeats is not None
    assert net._passes.repeats._last is not None
    assert all(more is None for *_, more in net._passes.repeats._last._steps)
    agree((net, by_layers), 3, seed=7)


@pytest.mark.parametrize("phase", [TEST, TRAIN])
def test_other_numbers_of_threads(phase: int, ran: list[Primitive]) -> None:
    """What is done again is made for as many as there are now."""
    net, before = net_of("force_backward: true\n" + NET, phase), library().threads
    try:
        for count in (1, 3, 2):
            set_num_threads(count)
            ran.clear()
            for _ in range(4):
                net.forward()
                if phase == TRAIN:
                    net.backward()
            assert len(set(ran)) > 7
            assert {run._threads for run in ran} == {count}
    finally:
        set_num_threads(before)
