"""Forward passes done again without the layers: nobody can tell, whatever he does between two of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite import threads as of_numpy
from pycaffe_lite.blob import Blob
from pycaffe_lite.errors import DataError, MemoryReusedError
from pycaffe_lite.graph import again
from pycaffe_lite.layer import Blobs
from pycaffe_lite.layers.prelu import PReLU
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text
from tests.arrays import is_same
from tests.graph.nets import conv, fill, inputs, ip, layer
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("engine")


NET = (
    inputs(x=(3, 5, 11, 9))
    + conv("a", "x", 6)
    + layer("relu", "ReLU", "a", "a")
    + conv("b", "a", 6, kernel=1)
    + layer("sum", "Eltwise", "a b", "sum")
    + layer("pool", "Pooling", "sum", "pool", "pooling_param { kernel_size: 3 stride: 2 }")
    + conv("left", "pool", 4)
    + conv("right", "pool", 7)
    + layer("norm", "LRN", "right", "norm")
    + layer("both", "Concat", "left norm", "both")
    + conv("c", "both", 8)
    + layer("tanh", "TanH", "c", "tanh")
    + layer("prelu", "PReLU", "tanh", "prelu")
    + layer("more", "PReLU", "prelu", "more")
    + conv("d", "more", 5)
    + ip("fc", "d", "fc", 7)
    + layer("prob", "Softmax", "fc", "prob")
)
"""PReLU does not say what it did."""


@pytest.fixture(autouse=True)
def even_by_layers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes are done again that are not worth it, such as those of numpy's layers."""
    monkeypatch.setattr(again, "MOST_BY_LAYERS", 1.0)


@pytest.fixture
def threads_as_before(engine: str, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A test that sets their number changes nothing for others."""
    monkeypatch.setattr(of_numpy, "_chosen", of_numpy._chosen)
    if engine == "numpy":
        yield
        return
    from pycaffe_lite.engines.onednn._library import library

    before = library().threads
    yield
    library().set_num_threads(before)


@pytest.fixture(params=[False, True], ids=["", "reuse_memory"])
def nets(request: pytest.FixtureRequest) -> tuple[Net, Net]:
    """A net, and one that is run by layers."""
    return pair(NET, reuse_memory=request.param)


def pair(text: str, *, reuse_memory: bool = False) -> tuple[Net, Net]:
    net, by_layers = (net_of(text, TEST, seed=3, reuse_memory=reuse_memory) for _ in range(2))
    by_layers._passes.repeats = None
    return net, by_layers


def agree(nets: tuple[Net, Net], passes: int = 1, seed: int = 0) -> None:
    """Run passes with other numbers each: the same outputs, and what else there is."""
    net, by_layers = nets
    for i in range(passes):
        fill(net, seed + i), fill(by_layers, seed + i)
        expected, got = by_layers.forward(), net.forward()
        assert got.keys() == expected.keys()
        alike(net, by_layers)


def alike(net: Net, by_layers: Net) -> None:
    """The same blobs have lost their numbers, and all others the same; without looking in the way that users do."""
    for name, blob in by_layers.blobs.items():
        mine = net.blobs[name]
        assert mine.lost == blob.lost, name
        if not blob.lost:
            np.testing.assert_allclose(mine.stored("data"), blob.stored("data"), rtol=1e-6, atol=1e-6, err_msg=name)


def all_of(net: Net) -> int:
    return len(net._passes.chains.all)


def looks(net: Net) -> bool:
    """Whether its layers look at blobs whose memory is others' next, which is not known to them then."""
    return net._reuse is not None and net.layer_dict["a"].__class__.__module__.startswith("pycaffe_lite.layers")


def test_passes_that_are_alike(nets: tuple[Net, Net], done: list[int]) -> None:
    agree(nets, 5)
    assert done == ([] if looks(nets[0]) else [all_of(nets[0])] * 4)


def reshape(net: Net) -> None:
    net.blobs["x"].reshape(2, 5, 10, 9)


def write_weights(net: Net) -> None:
    net.params["b"][0].data[...] *= 0.5


def look(net: Net) -> None:
    assert net.blobs["d"].data.shape == (3, 5, 5, 4)


def ask(net: Net) -> None:
    net.forward(blobs=["sum", "c"])


def part(net: Net) -> None:
    net.forward(end="pool")


def from_the_middle(net: Net) -> None:
    net.forward(start="fc")


def debug(net: Net) -> None:
    net.debug_info = True
    net.forward()
    net.debug_info = False


def callback(net: Net) -> None:
    net.after_forward(lambda name: None)
    net.forward()
    net._passes.callbacks.after_forward.clear()


def threads(net: Net) -> None:
    of_numpy.set_num_threads(2)
    if net.summary().rows[1].engine == "onednn":
        from pycaffe_lite.engines.onednn._library import library

        library().set_num_threads(2)


def other_blobs(net: Net) -> None:
    net.params["b"][0] = Blob(net.params["b"][0].shape)
    net.params["b"][0].data[...] = 0.1


BETWEEN: list[Callable[[Net], None]] = [
    reshape,
    write_weights,
    look,
    ask,
    part,
    from_the_middle,
    debug,
    callback,
    threads,
    other_blobs,
]


@pytest.mark.parametrize("between", BETWEEN)
def test_whatever_happens_between(
    nets: tuple[Net, Net], between: Callable[[Net], None], threads_as_before: None
) -> None:
    agree(nets, 3)
    for net in nets:
        between(net)
    agree(nets, 3, seed=10)
    for net in nets:
        between(net)
    agree(nets, 3, seed=20)


def test_weights_of_which_somebody_has_an_array(nets: tuple[Net, Net], done: list[int]) -> None:
    agree(nets, 2)
    arrays = [net.params["b"][0].data for net in nets]
    done.clear()
    for factor in (1.0, 0.5, -2.0):
        for array in arrays:
            array *= factor
        agree(nets, 2)
    assert done == []


def test_arrays_of_blobs_stay_live() -> None:
    nets = pair(NET)
    agree(nets, 2)
    arrays = [(name, net.blobs[name].data) for net in nets[:1] for name in ("a", "sum", "norm", "both", "fc")]
    agree(nets, 3, seed=7)
    for name, array in arrays:
        assert is_same(array, nets[0].blobs[name].data)
        np.testing.assert_allclose(array, nets[1].blobs[name].data, rtol=1e-6, atol=1e-6)


def test_arrays_of_blobs_do_not_become_another_ones() -> None:
    net, by_layers = pair(NET, reuse_memory=True)
    agree((net, by_layers), 3)
    kept = {name: blob.data for name, blob in net.blobs.items() if not blob.lost and name != "x"}
    assert len(kept) > 2
    before = {name: array.copy() for name, array in kept.items()}
    for seed in range(4):
        fill(net, seed), fill(by_layers, seed)
        net.forward(), by_layers.forward()
        for name, array in kept.items():
            blob = by_layers.blobs[name]
            now = [] if blob.lost else [np.abs(array - blob.stored("data")).max()]
            assert min([np.abs(array - before[name]).max(), *now]) < 1e-5, name


FILTERED = (
    inputs(x=(4, 3), chosen=(4,))
    + ip("a", "x", "a", 5)
    + layer("filter", "Filter", "a chosen", "some")
    + ip("b", "some", "b", 6)
    + layer("tanh", "TanH", "b", "tanh")
    + layer("prelu", "PReLU", "tanh", "prelu")
    + ip("c", "prelu", "c", 2)
)


@pytest.mark.parametrize("reuse_memory", [False, True])
def test_shapes_that_change_within_a_pass(reuse_memory: bool, done: list[int]) -> None:
    net, by_layers = pair(FILTERED, reuse_memory=reuse_memory)
    for seed, chosen in enumerate([(1, 1, 1, 1)] * 4 + [(0, 1, 0, 0), (1, 0, 1, 1), (1, 0, 1, 1)]):
        for n in (net, by_layers):
            fill(n, seed)
            n.blobs["chosen"].data[...] = chosen
        got, expected = net.forward()["c"], by_layers.forward()["c"]
        assert got.shape == (sum(chosen), 2)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        alike(net, by_layers)
    assert reuse_memory or 3 in done


def test_shapes_that_change_elsewhere_within_a_pass(
    nets: tuple[Net, Net], engine: str, monkeypatch: pytest.MonkeyPatch, done: list[int]
) -> None:
    agree(nets, 3)
    forward, made = PReLU.forward, []

    def makes_a_blob(self: PReLU, bottom: Blobs, top: Blobs) -> None:
        forward(self, bottom, top)
        made.append(Blob((len(made), 2)))

    monkeypatch.setattr(PReLU, "forward", makes_a_blob)
    done.clear()
    for seed in range(3):
        for net in nets:
            fill(net, seed)
            net.forward()
        alike(*nets)
    assert len(made) == 12
    assert looks(nets[0]) or 0 < done[0] < all_of(nets[0])


def test_a_layer_that_asks_for_more_than_last_time(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = pair(NET, reuse_memory=True)
    agree(nets, 3)
    forward, seen = PReLU.forward, []

    def looks(self: PReLU, bottom: Blobs, top: Blobs) -> None:
        seen.append([blob.data.shape for blob in bottom])
        forward(self, bottom, top)

    monkeypatch.setattr(PReLU, "forward", looks)
    agree(nets, 3, seed=5)
    assert len(seen) >= 6
    monkeypatch.undo()
    agree(nets, 3, seed=5)


def test_users_layers_may_return_anything(
    nets: tuple[Net, Net], monkeypatch: pytest.MonkeyPatch, done: list[int]
) -> None:
    forward = PReLU.forward

    def returns(self: PReLU, bottom: Blobs, top: Blobs) -> Any:
        forward(self, bottom, top)
        return top[0].stored("data")

    monkeypatch.setattr(PReLU, "forward", returns)
    agree(nets, 3)
    assert done == ([] if looks(nets[0]) else [all_of(nets[0])] * 2)


LABELLED = NET + layer("loss", "SoftmaxWithLoss", "fc label", "loss")
LABELLED = LABELLED.replace('top: "x" input_param {', 'top: "x" top: "label" input_param {').replace(
    "dim: 9 }", "dim: 9 } shape { dim: 3 }"
)


@pytest.mark.parametrize("reuse_memory", [False, True])
def test_errors_and_what_they_leave(reuse_memory: bool, done: list[int]) -> None:
    nets = pair(LABELLED, reuse_memory=reuse_memory)

    def label(value: int) -> None:
        for net in nets:
            net.blobs["label"].data[...] = value

    def losses() -> list[float]:
        for net in nets:
            net.blobs["x"].data[...] = np.random.default_rng(1).normal(size=net.blobs["x"].shape)
        return [net._forward(0, len(net.layers) - 1) for net in nets]

    label(4)
    for _ in range(4):
        mine, expected = losses()
        assert mine == pytest.approx(expected, rel=1e-5)
        assert mine > 0.1
    assert set(done) == (set() if reuse_memory else {all_of(nets[0])}), "the loss looks at its bottom"
    label(7)
    errors = []
    for net in nets:
        with pytest.raises(DataError, match="Label 7.*layer 'loss' of type SoftmaxWithLoss") as e:
            net._forward(0, len(net.layers) - 1)
        errors.append(str(e.value))
    assert errors[0] == errors[1]
    alike(*nets)
    label(2)
    for _ in range(3):
        mine, expected = losses()
        assert mine == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["prelu", "more"])
def test_who_interrupts_a_pass_finds_what_has_been_computed(
    name: str, monkeypatch: pytest.MonkeyPatch, done: list[int]
) -> None:
    nets = pair(NET, reuse_memory=True)
    agree(nets, 3)
    done.clear()

    def interrupted(bottom: Blobs, top: Blobs) -> None:
        raise KeyboardInterrupt

    for net in nets:
        monkeypatch.setattr(net.layer_dict[name], "forward", interrupted)
        fill(net, 8)
        with pytest.raises(KeyboardInterrupt):
            net.forward()
    assert done == ([] if looks(nets[0]) else [0])
    at_home = {name for name, blob in nets[1].blobs.items() if not blob.lost}
    assert {name for name, blob in nets[0].blobs.items() if not blob.lost} == at_home
    assert {"prelu": "tanh", "more": "prelu"}[name] in at_home
    for blob in at_home - {"prelu", "more", "d", "fc", "prob"}:  # those may be of the pass before
        np.testing.assert_allclose(nets[0].blobs[blob].data, nets[1].blobs[blob].data, rtol=1e-6, atol=1e-6)
    monkeypatch.undo()
    agree(nets, 3)


def test_lost_numbers_are_not_shown() -> None:
    nets = pair(NET, reuse_memory=True)
    agree(nets, 3)
    lost = [name for name, blob in nets[0].blobs.items() if blob.lost]
    assert {"a", "pool", "c"} <= set(lost)
    for name in lost:
        with pytest.raises(
            MemoryReusedError,
            match=r"^(The memory of blob '\w+' has been reused by|There are no numbers of blob '\w+', as)",
        ):
            nets[0].blobs[name].data  # noqa: B018
    agree(nets, 2)


def test_gradients() -> None:
    nets = pair("force_backward: true " + NET)
    for seed in range(4):
        gradients = []
        for net in nets:
            fill(net, seed)
            net.clear_param_diffs()
            net.forward()
            dx = net.backward(prob=np.random.default_rng(seed).normal(size=(3, 7)))["x"]
            gradients.append([dx.copy(), *(blob.diff.copy() for blob in net.learnable.blobs)])
        for mine, expected in zip(*gradients, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)
        assert max(np.abs(array).max() for array in gradients[0]) > 1e-3


def test_a_solvers_test_net_follows_its_weights() -> None:
    message, _ = parse_text(LABELLED, pb.NetParameter, "net")
    often = {"test_iter": [2], "test_interval": 1000}
    param = pb.SolverParameter(net_param=message, base_lr=0.0003, lr_policy="fixed", random_seed=3, **often)
    solver = caffe.SGDSolver(param)
    train, test = solver.net, solver.test_nets[0]
    for n in (train, test):
        fill(n, 1)
        n.blobs["label"].data[...] = 3
    seen = []
    for _ in range(3):
        solver.step(1)
        for _ in range(3):
            seen.append(float(test.forward()["loss"]))
        assert seen[-1] == pytest.approx(float(train.forward()["loss"]), rel=1e-5)
    assert seen[0] == seen[2]
    assert len(set(seen)) == 3


def test_what_is_done_again_in_vain_is_noted_seldom(nets: tuple[Net, Net], monkeypatch: pytest.MonkeyPatch) -> None:
    kept, keep = [], again.Repeats.keep

    def counted(self: again.Repeats, notes: list[again.Note]) -> None:
        kept.append(len(notes))
        keep(self, notes)

    monkeypatch.setattr(again.Repeats, "keep", counted)
    for _ in range(100):
        write_weights(nets[0])
        nets[0].forward()
    assert len(kept) <= 8
    for _ in range(130):
        nets[0].forward()
    count = len(kept)
    nets[0].forward()
    assert len(kept) == count <= 11


def test_where_passes_are_not_done_again(done: list[int]) -> None:
    net = net_of(NET, TRAIN, seed=3)
    for _ in range(3):
        net.forward()
    assert done == []


def test_a_net_that_is_reshaped_lets_memory_go(nets: tuple[Net, Net]) -> None:
    net = nets[0]
    agree(nets, 2)
    repeats = net._passes.repeats
    assert repeats is not None
    assert (repeats._last is None) == looks(net)
    net.reshape()
    assert repeats._last is None
