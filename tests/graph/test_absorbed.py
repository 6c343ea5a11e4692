"""What nets that reuse memory do not write: which sums another layer makes on the way, which parts are read one by one,
and that nobody can tell but by what is lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pycaffe_lite import TEST, Net
from pycaffe_lite._typing import Array
from pycaffe_lite.blob import Blob
from pycaffe_lite.done import Done
from pycaffe_lite.errors import MemoryReusedError
from pycaffe_lite.layer import Layer
from tests.graph.nets import conv, fill, inputs, ip, layer, power
from tests.layers.nets import net_of

pytestmark = pytest.mark.usefixtures("onednn", "poisoned_buffers")

DATA = inputs(x=(3, 5, 9, 7))
UNIFORM = 'filler { type: "uniform" min: 0.4 max: 1.3 } bias_term: true bias_filler { type: "uniform" min: -0.5 }'


def norm(blob: str) -> str:
    return layer(f"bn_{blob}", "BatchNorm", blob, blob) + layer(
        f"scale_{blob}", "Scale", blob, blob, f"scale_param {{ {UNIFORM} }}"
    )


def relu(blob: str, slope: float = 0) -> str:
    return layer(f"relu_{blob}", "ReLU", blob, blob, f"relu_param {{ negative_slope: {slope} }}")


def plus(name: str, bottoms: str, more: str = "") -> str:
    return layer(name, "Eltwise", bottoms, name, f"eltwise_param {{ {more} }}")


LAST = conv("last", "sum", 4)
BLOCK = conv("a", "x") + norm("a") + relu("a") + conv("b", "a", kernel=1) + norm("b") + plus("sum", "a b") + relu("sum")
"""x -> a -> b, and a + b, which is read once more."""
NET = DATA + BLOCK + LAST


def make(text: str = NET, reuse_memory: bool = True, **more: Any) -> Net:
    net = net_of(text, TEST, seed=4, reuse_memory=reuse_memory, **more)
    rng = np.random.default_rng(7)
    for node in net._nodes:
        if node.type == "BatchNorm":
            mean, variance, count = (blob.data for blob in node.layer.blobs)
            mean[...], variance[...] = rng.normal(size=mean.shape), rng.uniform(0.5, 2, variance.shape)
            count[...] = 1
    fill(net)
    return net


def absorbed(net: Net) -> list[list[str]]:
    assert net._reuse is not None
    return [[node.name for node in each.members] for each in net._reuse.absorbed]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, by_layers: None) -> list[bool]:
    """Whether each that ran could do without the blob."""
    from pycaffe_lite.engines.onednn.convolution import OneDnnConvolution
    from pycaffe_lite.engines.onednn.pooling import OneDnnPooling

    found: list[bool] = []

    def note(cls: type[Layer], name: str) -> None:
        method = getattr(cls, name)

        def noted(self: Layer, *args: Any) -> Done | None:
            done = method(self, *args)
            found.append(done is not None)
            return done

        monkeypatch.setattr(cls, name, noted)

    note(OneDnnConvolution, "forward_beyond")
    note(OneDnnConvolution, "forward_parts")
    note(OneDnnPooling, "forward_parts")
    return found


def agree(net: Net, plain: Net) -> None:
    for seed in range(2):
        fill(net, seed), fill(plain, seed)
        expected, got = plain.forward(), net.forward()
        for name, array in expected.items():
            atol = 1e-6 * max(10, np.abs(array).max())
            np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=atol, err_msg=name)
            assert np.ptp(array) > 0.1


SUMS = {
    "a shortcut": (BLOCK, ["b", "bn_b", "scale_b", "sum", "relu_sum"]),
    "the other way round": (conv("a", "x") + conv("b", "a") + plus("sum", "b a"), ["b", "sum"]),
    "nothing in place": (conv("a", "x") + conv("b", "a") + plus("sum", "a b"), ["b", "sum"]),
    "of two branches": (conv("a", "x") + conv("b", "x", kernel=1) + plus("sum", "a b"), ["b", "sum"]),
    "with a slope": (conv("a", "x") + conv("b", "a") + plus("sum", "a b") + relu("sum", 0.3), ["b", "sum", "relu_sum"]),
    "a ReLU before": (conv("a", "x") + conv("b", "a") + relu("b") + plus("sum", "a b"), ["b", "relu_b", "sum"]),
    "a ReLU, then a norm": (
        conv("a", "x") + conv("b", "a") + relu("b") + norm("b") + plus("sum", "a b"),
        ["b", "relu_b", "bn_b", "scale_b", "sum"],
    ),
    "no norm behind": (conv("a", "x") + conv("b", "a") + plus("sum", "a b") + norm("sum"), ["b", "sum"]),
    "in groups": (conv("a", "x") + conv("b", "a", more="group: 3") + plus("sum", "a b"), ["b", "sum"]),
    "coefficients of 1": (conv("a", "x") + conv("b", "a") + plus("sum", "a b", "coeff: 1 coeff: 1"), ["b", "sum"]),
}


@pytest.mark.parametrize(("text", "members"), SUMS.values(), ids=SUMS)
def test_sums_of_one_primitive(text: str, members: list[str], made: list[bool]) -> None:
    text = DATA + text + LAST
    net = make(text)
    assert absorbed(net) == [members]
    agree(net, make(text, reuse_memory=False))
    within = {net._nodes[i].name: first.name for i, first in net._passes.chains.within().items()}
    assert all(within[name] == members[0] for name in members[1:])
    if "group" not in text:
        assert made == [True] * 2


NONE = {
    "coefficients": conv("a", "x") + conv("b", "a") + plus("sum", "a b", "coeff: 1 coeff: -1") + LAST,
    "a product": conv("a", "x") + conv("b", "a") + plus("sum", "a b", "operation: PROD") + LAST,
    "of three": conv("a", "x") + conv("b", "x") + conv("c", "x") + plus("sum", "a b c") + LAST,
    "of one with itself": conv("a", "x") + plus("sum", "a a") + LAST,
    "read elsewhere too": conv("a", "x") + conv("b", "a") + plus("sum", "a b") + LAST + conv("more", "b"),
    "something between": conv("a", "x") + conv("b", "x") + conv("c", "x") + plus("sum", "a b") + LAST + conv("d", "c"),
    "an output": conv("a", "x") + conv("b", "a") + plus("sum", "a b"),
    "not in place": conv("a", "x") + conv("b", "a") + layer("r", "ReLU", "b", "c") + plus("sum", "a c") + LAST,
    "a sum that counts as loss": conv("a", "x")
    + conv("b", "a")
    + layer("sum", "Eltwise", "a b", "sum", "loss_weight: 1")
    + LAST,
}


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_these_are_none(text: str) -> None:
    net = make(DATA + text)
    assert absorbed(net) == []
    agree(net, make(DATA + text, reuse_memory=False))


def test_nets_that_do_not_reuse_memory_have_none() -> None:
    net = make(reuse_memory=False)
    assert "sum" not in {net._nodes[i].name for i in net._passes.chains.within()}
    net.forward()
    assert np.isfinite(net.blobs["b"].data).all()


def test_what_is_added_has_no_memory(made: list[bool]) -> None:
    net = make()
    net.forward()
    with pytest.raises(
        MemoryReusedError, match=r"^There are no numbers of blob 'b', as layer 'sum' does without them\. Ask for"
    ):
        net.blobs["b"].data  # noqa: B018
    assert net.memory_use().data == net._reuse.nbytes  # type: ignore[union-attr]
    assert not net.blobs["b"]._data.allocated


def test_whoever_asks_for_it_gets_it_from_then_on(made: list[bool]) -> None:
    net, plain = make(), make(reuse_memory=False)
    net.forward()
    for _ in range(2):
        expected = plain.forward(blobs=["b"])
        for got in (net.forward(blobs=["b"]), net.forward() and {"b": net.blobs["b"].data}):
            np.testing.assert_allclose(got["b"], expected["b"], rtol=1e-5, atol=1e-6)
        fill(net, 9), fill(plain, 9)
    assert made == [True]
    agree(net, plain)


def test_watched_layer_by_layer_they_run_one_by_one(made: list[bool], caplog: pytest.LogCaptureFixture) -> None:
    nets = make(), make(reuse_memory=False)
    said = []
    for net in nets:
        net.forward()
        net.debug_info = True
        caplog.clear()
        with caplog.at_level("INFO"):
            net.forward()
        said.append([line.rpartition(" ")[0] for line in caplog.messages if "[Forward]" in line])
        net.debug_info = False
    assert said[0] == said[1] != []
    assert made == [True]
    assert nets[0].blobs["b"]._data.allocated
    agree(*nets)
    assert made == [True] * 3
    assert nets[0].blobs["b"].lost
    assert nets[0].memory_use().data == nets[0]._reuse.nbytes  # type: ignore[union-attr]


def test_passes_from_the_middle(made: list[bool]) -> None:
    net, plain = make(), make(reuse_memory=False)
    expected = plain.forward()["last"]
    net.forward()
    for start in ("bn_b", "sum"):
        with pytest.raises(
            MemoryReusedError, match=rf"blob 'b', as layer 'sum' does without them.*\(layer '{start}' of"
        ):
            net.forward(start=start)
    for start in ("b", "relu_sum"):
        net.forward()
        net.forward(end="relu_a")
        np.testing.assert_allclose(net.forward(start=start)["last"], expected, rtol=1e-5, atol=1e-6)
    for name in net.layer_dict:
        net.forward(start=name, end=name)
    np.testing.assert_allclose(net.blobs["last"].data, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.blobs["b"].data, plain.blobs["b"].data, rtol=1e-5, atol=1e-6)


def test_a_user_who_shares_what_is_added_finds_it_there(made: list[bool]) -> None:
    net, plain = make(), make(reuse_memory=False)
    mine = Blob(net.blobs["b"].shape)
    net.blobs["b"].share_data(mine)
    agree(net, plain)
    np.testing.assert_allclose(mine.data, plain.blobs["b"].data, rtol=1e-5, atol=1e-6)
    assert made == []


@pytest.mark.parametrize("blob", ["a", "sum"])
def test_blobs_that_lie_otherwise(blob: str, made: list[bool]) -> None:
    """Who looks keeps a blob in plain order: then the layers run one by one."""
    net, plain = make(), make(reuse_memory=False)
    net.forward(blobs=[blob])
    agree(net, plain)
    assert made == [True, False, False], "the first time nobody had looked yet"


def test_an_input_lies_in_plain_order(made: list[bool]) -> None:
    text = DATA + conv("a", "x", 5) + plus("sum", "x a") + LAST
    net = make(text)
    agree(net, make(text, reuse_memory=False))
    assert made == [False, False]


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_that_are_not_finite(value: float, made: list[bool]) -> None:
    net, plain = make(), make(reuse_memory=False)
    for n in (net, plain):
        n.params["scale_b"][0].data[1] = value
    np.testing.assert_array_equal(np.isnan(net.forward()["last"]), np.isnan(plain.forward()["last"]))
    assert made == [False]
    for n in (net, plain):
        n.params["scale_b"][0].data[1] = 0.7
    agree(net, plain)
    assert made[1:] == [True, True]


def test_shapes_and_weights_may_change(made: list[bool]) -> None:
    net, plain = make(), make(reuse_memory=False)
    for shape in ((1, 5, 9, 7), (6, 5, 4, 11), (2, 5, 9, 7)):
        for n in (net, plain):
            n.blobs["x"].reshape(*shape)
            n.params["b"][0].data[...] *= 0.8
        agree(net, plain)
    assert made == [True] * 6


STEM = conv("x1", "x")
SHORT = conv("a", "x1") + norm("a") + relu("a") + conv("b", "a") + norm("b") + plus("sum1", "x1 b") + relu("sum1")
WIDE = conv("p", "sum1", 7, kernel=1) + conv("c", "sum1", 7) + conv("d", "c", 7) + plus("sum", "d p")
RESIDUAL = DATA + STEM + SHORT + WIDE + LAST
"""Two sums, of a blob and what two layers make of it, and of what one layer makes and two."""


def onto(net: Net) -> list[str]:
    """The layers that have written a sum over what is added."""
    return [node.name for node in net._nodes if "onto" in getattr(node.layer, "_tails", ())]


def test_sums_are_written_over_what_is_added(made: list[bool]) -> None:
    net, plain = make(RESIDUAL), make(RESIDUAL, reuse_memory=False)
    agree(net, plain)
    assert made == [True] * 4
    assert onto(net) == ["b", "d"]
    assert net.memory_use().data == net._reuse.nbytes  # type: ignore[union-attr]
    for name, layer_name in (("x1", "b"), ("p", "d")):
        with pytest.raises(MemoryReusedError, match=f"of blob '{name}' has been reused by layer '{layer_name}'"):
            net.blobs[name].data  # noqa: B018
    np.testing.assert_allclose(net.blobs["sum"].data, plain.blobs["sum"].data, rtol=1e-5, atol=1e-5)


OTHERS = {
    "read afterwards": DATA + STEM + SHORT + LAST.replace('"sum"', '"sum1"') + conv("more", "x1"),
    "read by the layer that adds": NET,
    "an input": DATA + conv("a", "x", 5) + conv("b", "a", 5) + plus("sum", "x b") + LAST,
    "an output": DATA + STEM + conv("a", "x") + conv("b", "a") + plus("sum", "x1 b") + LAST + conv("x2", "x1"),
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_is_still_needed_is_not_written_over(text: str, by_layers: None) -> None:
    net = make(text)
    assert len(absorbed(net)) == 1
    agree(net, make(text, reuse_memory=False))
    assert onto(net) == []


@pytest.mark.parametrize("name", ["x1", "b", "sum1", "p", "d", "sum"])
@pytest.mark.parametrize("before", [0, 2])
def test_whoever_asks_for_a_blob_of_a_sum_gets_it(name: str, before: int, by_layers: None) -> None:
    ask(RESIDUAL, name, before)


def ask(text: str, name: str, before: int) -> None:
    """After so many passes; the blob is right from then on."""
    net, plain = make(text), make(text, reuse_memory=False)
    for _ in range(before):
        net.forward()
    got = same_tops(net, plain, blobs=[name])
    agree(net, plain)
    np.testing.assert_allclose(got[name], plain.blobs[name].data, rtol=1e-5, atol=1e-5, err_msg="live")


def same_tops(net: Net, plain: Net, **what: Any) -> dict[str, Array]:
    expected, got = plain.forward(**what), net.forward(**what)
    for key, array in expected.items():
        np.testing.assert_allclose(got[key], array, rtol=1e-5, atol=1e-5, err_msg=key)
    return got


@pytest.mark.parametrize("end", ["x1", "b", "sum1", "p", "d"])
def test_sums_of_passes_that_end_early(end: str, by_layers: None) -> None:
    end_early(RESIDUAL, end)


def end_early(text: str, end: str) -> Net:
    """In turn with whole passes."""
    net, plain = make(text), make(text, reuse_memory=False)
    for seed in range(3):
        fill(net, seed), fill(plain, seed)
        same_tops(net, plain, end=end)
        agree(net, plain)
    return net


def test_sums_watched_layer_by_layer(by_layers: None) -> None:
    watch(RESIDUAL, {"x1", "b", "sum1"})


def watch(text: str, names: set[str]) -> Net:
    """One pass of a few; these blobs are seen then."""
    net, plain = make(text), make(text, reuse_memory=False)
    net.forward()
    seen: list[str] = []
    net.after_forward(lambda index: seen.extend(net._nodes[index].top_names))
    agree(net, plain)
    assert names < set(seen)
    net._passes.callbacks.after_forward.clear()
    agree(net, plain)
    return net


def test_a_user_who_shares_what_sums_are_written_over(by_layers: None) -> None:
    net, plain = make(RESIDUAL), make(RESIDUAL, reuse_memory=False)
    net.forward(), plain.forward()
    mine = Blob(net.blobs["x1"].shape)
    net.blobs["x1"].share_data(mine)
    agree(net, plain)
    np.testing.assert_allclose(mine.data, plain.blobs["x1"].data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_sums_with_weights_that_are_not_finite(value: float, by_layers: None) -> None:
    net, plain = make(RESIDUAL), make(RESIDUAL, reuse_memory=False)
    net.forward()
    for n in (net, plain):
        n.params["scale_b"][0].data[1] = value
    np.testing.assert_array_equal(np.isnan(net.forward()["last"]), np.isnan(plain.forward()["last"]))
    for n in (net, plain):
        n.params["scale_b"][0].data[1] = 0.7
    agree(net, plain)


def test_sums_of_one_channel_that_lies_in_either_order(by_layers: None) -> None:
    short = power("p", "x1", "p") + conv("a", "p", 1, kernel=1) + conv("b", "a", 1, kernel=1) + plus("sum", "p b")
    text = DATA + conv("x1", "x", 1) + short + LAST
    net = make(text)
    assert len(absorbed(net)) == 1
    agree(net, make(text, reuse_memory=False))


def test_sums_of_other_shapes(by_layers: None) -> None:
    net, plain = make(RESIDUAL), make(RESIDUAL, reuse_memory=False)
    for shape in ((1, 5, 9, 7), (6, 5, 4, 11), (2, 5, 9, 7)):
        for n in (net, plain):
            n.blobs["x"].reshape(*shape)
        agree(net, plain)
    assert onto(net) == ["b", "d"]


def join(name: str, bottoms: str, more: str = "") -> str:
    return layer(name, "Concat", bottoms, name, f"concat_param {{ {more} }}")


def pool(name: str, bottom: str, windows: str) -> str:
    return layer(name, "Pooling", bottom, name, f"pooling_param {{ {windows} }}")


BRANCHES = conv("a", "x", 7) + relu("a") + conv("b", "x", 20, kernel=1) + conv("c", "a", 5)
ALL = BRANCHES + join("all", "b a c")
READERS = {
    "1 by 1": (conv("y", "all", 4, kernel=1) + relu("y"), ["relu_y"]),
    "3 by 3": (conv("y", "all", 6), []),
    "a slope": (conv("y", "all", 6, kernel=1) + relu("y", 0.2), ["relu_y"]),
    "normed": (conv("y", "all", 6) + norm("y") + relu("y"), ["bn_y", "scale_y", "relu_y"]),
    "normed later": (conv("y", "all", 6) + relu("y") + norm("y"), ["relu_y", "bn_y", "scale_y"]),
    "strides": (conv("y", "all", 6, more="stride_h: 2 stride_w: 3"), []),
    "no biases": (conv("y", "all", 6, more="bias_term: false") + relu("y"), ["relu_y"]),
    "no biases, normed": (conv("y", "all", 6, more="bias_term: false") + norm("y"), ["bn_y", "scale_y"]),
    "maxima": (pool("y", "all", "kernel_size: 3 stride: 2"), []),
    "means": (pool("y", "all", "pool: AVE kernel_size: 3 stride: 2 pad: 1"), []),
    "means of all": (pool("y", "all", "pool: AVE global_pooling: true"), []),
}


@pytest.mark.parametrize(("text", "behind"), READERS.values(), ids=READERS)
def test_parts_are_read_one_by_one(text: str, behind: list[str], made: list[bool]) -> None:
    text = DATA + ALL + text + conv("last", "y", 4, kernel=1)
    net, plain = make(text), make(text, reuse_memory=False)
    assert absorbed(net) == [["all", "y", *behind]]
    within = {net._nodes[i].name: worker.name for i, worker in net._passes.chains.within().items()}
    assert {name for name, worker in within.items() if worker == "y"} == {"all", *behind}
    agree(net, plain)
    assert made == [True] * 2
    with pytest.raises(MemoryReusedError, match="There are no numbers of blob 'all', as layer 'y' does without them"):
        net.blobs["all"].data  # noqa: B018
    for n in (net, plain):
        n.blobs["x"].reshape(2, 5, 13, 11)
        for blobs in n.params.values():
            blobs[0].data[...] *= 1.1
    agree(net, plain)
    assert made == [True] * 4
    expected = plain.forward(blobs=["all"])
    for name, array in net.forward(blobs=["all"]).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5)
    assert made == [True] * 4


@pytest.mark.parametrize(
    "text",
    [
        BRANCHES + join("all", "b a c", "concat_dim: 1") + conv("y", "all", 1) + conv("last", "y"),
        BRANCHES + join("all", "a a", "axis: -3") + conv("y", "all", 6) + conv("last", "y"),
        BRANCHES + join("all", "c") + conv("y", "all", 6) + conv("last", "y"),
    ],
    ids=["concat_dim", "twice the same", "only one"],
)
def test_other_ways_to_put_together(text: str, made: list[bool]) -> None:
    net = make(DATA + text)
    assert absorbed(net) == [["all", "y"]]
    agree(net, make(DATA + text, reuse_memory=False))
    assert made == [True] * 2


@pytest.mark.parametrize(
    "text",
    [
        BRANCHES + join("all", "a a", "axis: 2") + conv("y", "all"),
        ALL + conv("y", "all", 4, more="group: 2"),
        ALL + layer("drop", "Dropout", "all", "all") + conv("y", "all"),
        ALL + conv("y", "all") + conv("z", "all"),
        ALL + relu("all") + pool("y", "all", "kernel_size: 2 stride: 2"),
        ALL + layer("y", "InnerProduct", "all", "y", "inner_product_param { num_output: 3 }"),
    ],
    ids=["another axis", "groups", "in place", "two readers", "ReLU", "InnerProduct"],
)
def test_what_is_put_together_all_the_same(text: str) -> None:
    text = DATA + text.replace("num_output: 3 }", 'num_output: 3 weight_filler { type: "gaussian" std: 0.2 } }')
    net = make(text)
    assert absorbed(net) == []
    agree(net, make(text, reuse_memory=False))


@pytest.mark.parametrize(
    "text",
    [
        conv("y", "all", 17, kernel=1) + conv("last", "y"),
        pool("y", "all", "kernel_size: 3 stride: 1") + conv("last", "y"),
        pool("y", "all", "kernel_size: 3 stride: 2") + relu("y") + conv("last", "y"),
        conv("y", "all", 4),
    ],
    ids=["many outputs", "as many places", "ReLU behind", "an output of the net"],
)
def test_where_the_whole_is_better(text: str, made: list[bool]) -> None:
    net, plain = make(DATA + ALL + text), make(DATA + ALL + text, reuse_memory=False)
    assert len(absorbed(net)) == 1
    agree(net, plain)
    assert made == [False] * 2
    assert not net.blobs["all"].lost


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_weights_of_parts_that_are_not_finite(value: float, made: list[bool]) -> None:
    text = DATA + ALL + conv("y", "all", 4, kernel=1) + norm("y") + relu("y") + conv("last", "y")
    net, plain = make(text), make(text, reuse_memory=False)
    for n in (net, plain):
        n.params["y"][1].data[1] = value
    np.testing.assert_array_equal(np.isnan(net.forward()["last"]), np.isnan(plain.forward()["last"]))
    assert made == [False]


def test_blobs_that_are_replaced() -> None:
    """A layer's own, by another blob."""
    text = DATA + ALL + conv("y", "all", 4, kernel=1) + relu("y") + conv("last", "y")
    net, plain = make(text), make(text, reuse_memory=False)
    agree(net, plain)
    for n in (net, plain):
        other = Blob(n.params["y"][0].shape)
        other.data[...] = np.random.default_rng(2).normal(size=other.shape)
        n.layer_dict["y"].blobs[0] = other
    agree(net, plain)


def test_sums_and_parts_that_meet() -> None:
    """A layer takes part in one only."""
    text = DATA + ALL + conv("y", "all", 7, kernel=1) + plus("sum", "y a") + conv("z", "sum") + LAST
    net = make(text)
    assert absorbed(net) == [["y", "sum"]]
    agree(net, make(text, reuse_memory=False))


BEHIND = ip("far", "last", "far", 5) + ip("farther", "far", "farther", 5) + ip("end", "farther", "end", 2)
"""So that what is read by `last` shares memory with others."""
NOT_MADE_YET = {
    "sum": (NET, "b", "sum"),
    "written over": (RESIDUAL, "d", "sum"),
    "parts": (DATA + ALL + conv("y", "all", 6) + relu("y") + conv("last", "y", 4), "all", "y"),
    "line": (
        inputs(x=(4, 6)) + ip("a", "x", "a", 5) + layer("s", "Sigmoid", "a", "s") + ip("last", "s", "last", 2),
        "a",
        "s",
    ),
}
"""Nets, where a pass ends in them, and which blob another layer would then have made."""


@pytest.mark.parametrize(("text", "end", "name"), NOT_MADE_YET.values(), ids=NOT_MADE_YET)
def test_what_no_layer_has_made_is_not_there(text: str, end: str, name: str, by_layers: None) -> None:
    net, plain = make(text + BEHIND), make(text + BEHIND, reuse_memory=False)
    net.forward(end=end), plain.forward(end=end)
    missing = f"no memory for blob '{name}' before layer '{name}' runs"
    with pytest.raises(MemoryReusedError, match=missing):
        _ = net.blobs[name].data
    with pytest.raises(MemoryReusedError, match=missing):
        net.forward(start="last")
    agree(net, plain)
