"""Learnable parameters: their order and memory, and sharing by name."""

from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import GraphError, ShapeError
from tests.graph.nets import assert_close, fill, gradients, inputs, ip, layer, numerical
from tests.layers.nets import net_of

DATA = inputs(x=(2, 3), t=(2, 3))
LOSS = layer("loss", "EuclideanLoss", "b t", "loss")


def named(w: str, b: str, more: str = "") -> str:
    return f'param {{ name: "{w}" {more} }} param {{ name: "{b}" {more} }}'


def test_order_names_and_multipliers() -> None:
    net = net_of(
        DATA
        + ip("a", "x", "a", 7, "param { lr_mult: 2 decay_mult: 3 }")
        + ip("c", "a", "b", 3, 'param {} param { name: "bias" lr_mult: 0.5 decay_mult: 0 }')
        + LOSS
    )
    p = net.learnable
    assert [b.name for b in p.blobs] == ["a[0]", "a[1]", "c[0]", "c[1]"]
    assert p.names == ["0", "1", "0", "bias"]
    assert p.lr_mult == [2, 1, 1, 0.5]
    assert p.decay_mult == [3, 1, 1, 0]


def test_all_live_in_two_flat_storages() -> None:
    net = net_of(DATA + ip("a", "x", "a", 7) + ip("c", "a", "b", 3) + LOSS)
    p = net.learnable
    assert p.data.count == p.diff.count == 7 * 3 + 7 + 3 * 7 + 3
    np.testing.assert_array_equal(p.data.array(), np.concatenate([b.data.ravel() for b in p.blobs]))
    p.data.array()[...] = np.arange(p.data.count)
    np.testing.assert_array_equal(net.params["c"][1].data, [49, 50, 51])
    net.params["a"][1].diff[...] = 2
    assert p.diff.array().sum() == 14
    net.clear_param_diffs()
    assert not np.any(net.params["a"][1].diff)


def test_moving_into_the_flat_storage_keeps_what_fillers_wrote() -> None:
    text = DATA + ip("a", "x", "b", 3) + LOSS
    one, other = net_of(text, seed=4), net_of(text + ip("z", "x", "z", 2), seed=4)
    np.testing.assert_array_equal(one.params["a"][0].data, other.params["a"][0].data)
    assert np.all(one.params["a"][1].data != 0)


def test_sharers_use_one_blob_and_add_up_their_gradients() -> None:
    text = DATA + ip("a", "x", "a", 3, named("w", "b")) + layer("s", "Sigmoid", "a", "s")
    shared = net_of(text + ip("c", "s", "b", 3, named("w", "b")) + LOSS, dtype=np.float64)
    a, c = shared.params["a"], shared.params["c"]
    assert len(shared.learnable.blobs) == 2
    assert np.shares_memory(a[0].data, c[0].data)
    assert np.shares_memory(a[1].diff, c[1].diff)
    fill(shared)
    found = gradients(shared)
    assert_close(found, numerical(shared))

    apart = net_of(
        text.replace("name:", "name:").replace('name: "w"', "").replace('name: "b" }', "}", 1)
        + ip("c", "s", "b", 3)
        + LOSS,
        dtype=np.float64,
    )
    fill(apart)
    for j in (0, 1):
        apart.params["a"][j].data[...] = apart.params["c"][j].data[...] = a[j].data
    each = gradients(apart)
    np.testing.assert_allclose(found["a[0]"], each["a[0]"] + each["c[0]"], rtol=1e-12)
    np.testing.assert_allclose(found["a[1]"], each["a[1]"] + each["c[1]"], rtol=1e-12)


def test_one_name_within_a_layer() -> None:
    net = net_of(
        inputs(x=(2, 1))
        + ip(
            "a", "x", "a", 3, 'param { name: "w" share_mode: PERMISSIVE } ' 'param { name: "w" share_mode: PERMISSIVE }'
        )
    )
    assert len(net.learnable.blobs) == 1
    assert np.shares_memory(net.params["a"][0].data, net.params["a"][1].data)


def test_strict_sharing_compares_shapes_permissive_counts() -> None:
    first = DATA + ip("a", "x", "a", 7, 'param { name: "w" }')
    turned = ip("c", "a", "b", 3, 'param { name: "w" MODE }')
    with pytest.raises(
        ShapeError,
        match=r"Shared parameter 'w' has shape \(3, 7\) here and \(7, 3\) in a\[0\] "
        r"\(layer 'c' .*\)\. They must be equal, or of equal count with share_mode",
    ):
        net_of(first + turned.replace("MODE", ""))
    net = net_of(first + turned.replace("MODE", "share_mode: PERMISSIVE"))
    np.testing.assert_array_equal(net.params["c"][0].data.ravel(), net.params["a"][0].data.ravel())
    with pytest.raises(ShapeError, match="Shared parameter 'w' has shape"):
        net_of(first + ip("c", "a", "b", 4, 'param { name: "w" share_mode: PERMISSIVE }'))


@pytest.mark.parametrize("field", ["lr_mult", "decay_mult"])
def test_multipliers_must_agree_where_they_are_given(field: str) -> None:
    def multiplier(first: str, second: str) -> float:
        net = net_of(
            DATA
            + ip("a", "x", "a", 3, f'param {{ name: "w" {first} }}')
            + ip("c", "a", "b", 3, f'param {{ name: "w" {second} }}')
        )
        return float(getattr(net.learnable, field)[0])

    assert multiplier(f"{field}: 3", "") == 3
    assert multiplier("", f"{field}: 3") == 3
    assert multiplier(f"{field}: 3", f"{field}: 3") == 3
    with pytest.raises(GraphError, match=rf"Shared parameter 'w' has {field} 2 here and 3 elsewhere \(layer 'c' .*\)"):
        multiplier(f"{field}: 3", f"{field}: 2")


def test_more_params_than_blobs() -> None:
    with pytest.raises(
        GraphError, match=r"param is given 3 times, this layer has 2 learnable blobs \(layer 'a' of type"
    ):
        net_of(DATA + ip("a", "x", "a", 3, "param {} param {} param {}"))
