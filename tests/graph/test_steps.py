"""Steps of training done again without the layers: nobody can tell, whatever he does between two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import Net
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import DataError
from pycaffe_lite.graph.steps import Steps
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.dropout import Dropout
from pycaffe_lite.layers.tanh import TanH
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from pycaffe_lite.solvers import SGDSolver, Solver
from tests.graph.nets import conv, inputs, ip, layer

pytestmark = pytest.mark.usefixtures("engine")

PERCEPTRON = (
    inputs(x=(5, 3, 2), label=(5, 4))
    + ip("a", "x", "a", 6)
    + layer("tanh", "TanH", "a", "a")
    + layer("drop", "Dropout", "a", "a")
    + ip("b", "a", "b", 6, 'param { name: "w" }')
    + layer("sigmoid", "Sigmoid", "b", "s")
    + ip("c", "s", "c", 6, 'param { name: "w" }')
    + layer("elu", "ELU", "c", "e")
    + ip("fixed", "e", "f", 5, "param { lr_mult: 0 } param { lr_mult: 0 }")
    + layer("flat", "Flatten", "f", "flat")
    + ip("d", "flat", "d", 4)
    + layer("loss", "EuclideanLoss", "d label", "loss", "loss_weight: 0.5")
)
"""In any engine all of it can be done again but for what Dropout draws. Two layers have one W, one is not trained."""

FORK = (
    inputs(x=(4, 6), label=(4,))
    + ip("a", "x", "a", 8)
    + layer("tanh", "TanH", "a", "t")
    + layer("sigmoid", "Sigmoid", "a", "s")
    + ip("left", "t", "left", 3)
    + ip("right", "s", "right", 3)
    + layer("loss", "SoftmaxWithLoss", "left label", "loss")
    + layer("more", "SoftmaxWithLoss", "right label", "more", "loss_weight: 0.25")
)

IMAGES = (
    inputs(x=(3, 5, 11, 9), label=(3,))
    + conv("a", "x", 16)
    + layer("relu", "ReLU", "a", "a")
    + layer("pool", "Pooling", "a", "pool", "pooling_param { kernel_size: 3 stride: 2 }")
    + conv("b", "pool", 20, kernel=5)
    + layer("mean", "Pooling", "b", "mean", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }")
    + ip("c", "mean", "c", 30)
    + layer("relu2", "ReLU", "c", "c")
    + ip("d", "c", "d", 4)
    + layer("loss", "SoftmaxWithLoss", "d label", "loss")
)

NETS = {"perceptron": PERCEPTRON, "fork": FORK, "images": IMAGES}


@pytest.fixture(params=NETS)
def solvers(request: pytest.FixtureRequest) -> tuple[Solver, Solver]:
    """One that trains a net, and one whose layers run in every step."""
    return pair(NETS[request.param])


def pair(text: str, more: str = "weight_decay: 0.01") -> tuple[Solver, Solver]:
    made, by_layers = (make(text, more) for _ in range(2))
    by_layers.net._passes.steps = None
    return made, by_layers


def make(text: str, more: str = "weight_decay: 0.01") -> Solver:
    net, _ = parse_text(text, pb.NetParameter, "net.prototxt")
    rest = 'lr_policy: "fixed" momentum: 0.9 random_seed: 3 snapshot_after_train: false'
    param, _ = parse_text(f"base_lr: 0.002 {rest} {more}", pb.SolverParameter, "solver.prototxt")
    param.net_param.CopyFrom(net)
    return SGDSolver(param)


def train(solvers: tuple[Solver, Solver], steps: int = 1, seed: int = 0) -> None:
    """Take steps with other numbers each: the same weights, to the bit."""
    for i in range(steps):
        for solver in solvers:
            fill(solver.net, seed + i)
            solver.step(1)
        alike(solvers)


def fill(net: Net, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, label = (net.blobs[name] for name in net.inputs)
    x.data[...] = rng.normal(size=x.shape)
    label.data[...] = rng.integers(0, 3, label.shape)


def alike(solvers: tuple[Solver, Solver]) -> None:
    """The same weights and losses, without looking in the way that users do."""
    mine, by_layers = solvers
    assert mine._loss.value == pytest.approx(by_layers._loss.value, rel=0, abs=0, nan_ok=True)
    for blob, other in zip(mine.net.learnable.blobs, by_layers.net.learnable.blobs, strict=True):
        np.testing.assert_array_equal(blob.stored("data"), other.stored("data"), err_msg=blob.name)


def all_alike(solvers: tuple[Solver, Solver]) -> None:
    """The same numbers in all blobs, gradients too."""
    mine, by_layers = (solver.net for solver in solvers)
    everywhere = {**mine.blobs, **{blob.name: blob for blob in mine.learnable.blobs}}
    others = {**by_layers.blobs, **{blob.name: blob for blob in by_layers.learnable.blobs}}
    for name, blob in everywhere.items():
        np.testing.assert_array_equal(blob.data, others[name].data, err_msg=name)
        np.testing.assert_array_equal(blob.diff, others[name].diff, err_msg=f"diff of {name}")


def whole(solver: Solver) -> int:
    assert solver.net._passes.steps is not None
    return len(solver.net._passes.steps._runs)


def can_all_say(solver: Solver) -> bool:
    """Whether all layers say what their backward passes did: numpy's convolutions and poolings do not."""
    steps = solver.net._passes.steps
    assert steps is not None
    return all(type(node.layer).__name__ not in ("Convolution", "Pooling") for node in steps._backward)


def test_steps_that_are_alike(solvers: tuple[Solver, Solver], done: list[int]) -> None:
    train(solvers, 6)
    again = 4 if can_all_say(solvers[0]) else 0  # in the second the memory of the first is first found where it was
    assert [n for n in done if n] == [whole(solvers[0])] * again
    all_alike(solvers)


def test_layers_do_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those that have not said what they did."""
    solver, ran = make(PERCEPTRON), []
    for cls in (TanH, Dropout):
        forward = cls.forward_cpu

        def noted(self: Any, bottom: Blobs, top: Blobs, forward: Callable[..., Any] = forward) -> Any:
            ran.append(type(self).__name__)
            return forward(self, bottom, top)

        monkeypatch.setattr(cls, "forward_cpu", noted)
    solver.step(5)
    assert ran.count("Dropout") == 5
    assert sum("TanH" in name for name in ran) < 3


def look(net: Net) -> None:
    assert all(np.isfinite(blob.data).all() for blob in net.blobs.values())


def look_at_gradients(net: Net) -> None:
    assert all(np.isfinite(blob.diff).all() for blob in net.blobs.values())
    assert all(np.isfinite(blob.diff).all() for blob in net.learnable.blobs)


def write_weights(net: Net) -> None:
    net.learnable.blobs[0].data[...] *= 0.5


def write_gradients(net: Net) -> None:
    """Those of the blobs are overwritten by the next step, those of the weights forgotten."""
    for blob in (*net.blobs.values(), *net.learnable.blobs):
        blob.diff[...] = 1


def other_batch(net: Net) -> None:
    for name in net.inputs:
        net.blobs[name].reshape(2, *net.blobs[name].shape[1:])


def another_pass(net: Net) -> None:
    net.forward()
    net.backward()


def part(net: Net) -> None:
    net.forward(end="d" if "d" in net.layer_dict else "left")


def back_alone(net: Net) -> None:
    net.backward()


def clear(net: Net) -> None:
    net.clear_param_diffs()


def watch(net: Net) -> None:
    net.after_backward(lambda index: None)


def share(net: Net) -> None:
    text = PERCEPTRON if "drop" in net.layer_dict else FORK if "left" in net.layer_dict else IMAGES
    message, _ = parse_text(text, pb.NetParameter, "net.prototxt")
    net.share_with(Net.from_message(message, seed=8))


def say_all(net: Net) -> None:
    net.debug_info = True


BETWEEN: list[Callable[[Net], object]] = [
    look,
    look_at_gradients,
    write_weights,
    write_gradients,
    other_batch,
    another_pass,
    part,
    back_alone,
    clear,
    watch,
    share,
    say_all,
]


@pytest.mark.parametrize("do", BETWEEN, ids=lambda do: do.__name__)
def test_whatever_is_done_between_steps(solvers: tuple[Solver, Solver], do: Callable[[Net], object]) -> None:
    train(solvers, 4)
    for _ in range(2):
        for solver in solvers:
            do(solver.net)
        train(solvers, 4, seed=10)
    all_alike(solvers)


def test_arrays_that_somebody_keeps_stay_live(solvers: tuple[Solver, Solver]) -> None:
    train(solvers, 4)
    kept = [
        [a for blob in (*s.net.blobs.values(), *s.net.learnable.blobs) for a in (blob.data, blob.diff)] for s in solvers
    ]
    for seed in range(4):
        train(solvers, seed=seed)
        for mine, others in zip(*kept, strict=True):
            np.testing.assert_array_equal(mine, others)


@pytest.mark.parametrize(
    "more", ["iter_size: 2", "clip_gradients: 0.1", 'weight_decay: 0.01 regularization_type: "L1"']
)
def test_other_solvers(more: str) -> None:
    solvers = pair(PERCEPTRON, more)
    train(solvers, 8)
    all_alike(solvers)


def note(blob: Blob, seen: list[Any]) -> None:
    seen.append(blob.diff.copy())


def test_callbacks_see_gradients(solvers: tuple[Solver, Solver]) -> None:
    seen: list[list[Any]] = [[], []]
    for solver, mine in zip(solvers, seen, strict=True):
        blob = solver.net.learnable.blobs[0]
        solver.add_callback(
            lambda b=blob, m=mine: m.append(b.diff.copy()), lambda b=blob, m=mine: m.append(b.diff.copy())
        )
    train(solvers, 5)
    assert not seen[0][-2].any()
    assert seen[0][-1].any()
    np.testing.assert_array_equal(seen[0], seen[1])


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_biases_that_are_not_finite(value: float) -> None:
    """ReLU of -∞ is 0, whatever is done in one pass."""
    text = (
        inputs(x=(3, 5, 6, 5), label=(3,)) + conv("a", "x", 16) + layer("relu", "ReLU", "a", "a") + ip("d", "a", "d", 4)
    )
    solvers = pair(text + layer("loss", "SoftmaxWithLoss", "d label", "loss"), "")
    train(solvers, 4)
    for solver in solvers:
        solver.net.params["a"][1].data[2] = value
    train(solvers, 4)
    all_alike(solvers)
    assert np.isfinite(solvers[0]._loss.value) == (value == -np.inf)


class Trouble(Exception):
    pass


@pytest.mark.parametrize("error", [Trouble, KeyboardInterrupt, DataError])
@pytest.mark.parametrize(("name", "method"), [("sigmoid", "_room"), ("drop", "_scratch")])
def test_a_step_that_ends_early(name: str, method: str, error: type[BaseException]) -> None:
    """Gradients that it has not come to are 0, and the next step is as ever."""
    end_early(name, method, error)


@pytest.mark.parametrize("engine", ["numpy"], indirect=True)
def test_a_step_that_ends_within_a_layer() -> None:
    """numpy's, which computes one gradient after the other."""
    end_early("b", "_factors", Trouble)


def end_early(name: str, method: str, error: type[BaseException]) -> None:
    solvers = pair(PERCEPTRON)
    train(solvers, 4)

    def fail(*arrays: Any) -> None:
        raise error("That is enough")

    for solver in solvers:
        failing = solver.net.layer_dict[name]
        setattr(failing, method, fail)
        with pytest.raises(error, match=f"layer '{name}'" if error is DataError else "enough"):
            solver.step(1)
        delattr(failing, method)
    all_alike(solvers)
    assert not solvers[0].net.params["a"][0].diff.any()
    assert solvers[0].net.params["d"][0].diff.any() == (name != "drop")
    train(solvers, 5)


def test_where_a_layer_changes_a_shape_the_rest_runs_by_layers(
    monkeypatch: pytest.MonkeyPatch, done: list[int]
) -> None:
    solvers = pair(PERCEPTRON)
    train(solvers, 4)
    forward = Dropout.forward_cpu

    def changing(self: Dropout, bottom: Blobs, top: Blobs) -> Any:
        Blob((2, 3))
        return forward(self, bottom, top)

    monkeypatch.setattr(Dropout, "forward_cpu", changing)
    train(solvers)
    assert 0 < done[-1] < whole(solvers[0])
    monkeypatch.undo()
    train(solvers, 5)
    all_alike(solvers)


def test_a_layer_that_does_not_say_what_its_backward_pass_did(done: list[int]) -> None:
    """Split lets one gradient be another's where only one of its tops has one."""
    solvers = pair(FORK + layer("accuracy", "Accuracy", "right label", "accuracy"))
    train(solvers, 4)
    assert not done
    all_alike(solvers)


def test_nets_in_phase_test_take_no_steps() -> None:
    message, _ = parse_text(PERCEPTRON, pb.NetParameter, "net.prototxt")
    message.state.phase = caffe.TEST
    assert Net.from_message(message)._passes.steps is None


def test_where_something_is_left_otherwise_than_it_was_found_nothing_is_kept() -> None:
    """Of two passes for one update the second finds gradients, to which it adds."""
    solver = make(PERCEPTRON, "iter_size: 2")
    steps = solver.net._passes.steps
    assert isinstance(steps, Steps)
    solver.step(3)
    assert steps._resting or steps._last is None or not steps._last.holds()
