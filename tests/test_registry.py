"""The registry: names, dialects, engines, and what it says of a wrong name."""

from __future__ import annotations

import pytest

from pycaffe_lite import layer_type_list, registry
from pycaffe_lite.errors import UnknownTypeError
from pycaffe_lite.layer import Layer
from pycaffe_lite.registry import Registry, find_layer, register_layer


@pytest.fixture(autouse=True)
def own_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_layers", {("", ""): Registry("layer type")})


def make(name: str, **key: str) -> type[Layer]:
    return register_layer(name, **key)(type(name, (Layer,), {}))


def test_a_class_knows_its_type() -> None:
    assert make("ReLU").type == "ReLU"
    assert layer_type_list() == ["ReLU"]


def test_engines_go_first_and_fall_back() -> None:
    plain, slow, fast = make("ReLU"), make("Pool"), make("ReLU", engine="fast")
    other = make("ReLU", engine="other")
    assert find_layer("ReLU") == (plain, "")
    assert find_layer("ReLU", engines=["fast"]) == (fast, "fast")
    assert find_layer("ReLU", engines=["other", "fast"]) == (other, "other")
    assert find_layer("ReLU", engines=["missing", "fast"]) == (fast, "fast")
    assert find_layer("Pool", engines=["fast"]) == (slow, "")
    assert layer_type_list() == ["Pool", "ReLU"]


def test_dialects_override_and_fall_back() -> None:
    plain, fork = make("Norm"), make("Norm", dialect="fork")
    relu, fast_relu = make("ReLU"), make("ReLU", engine="fast")
    assert find_layer("Norm") == (plain, "")
    assert find_layer("Norm", dialect="fork") == (fork, "")
    assert find_layer("ReLU", dialect="fork") == (relu, "")
    assert find_layer("ReLU", dialect="fork", engines=["fast"]) == (fast_relu, "fast")


def test_an_engine_never_changes_what_a_dialects_type_means() -> None:
    make("Norm")
    make("Norm", engine="fast")
    fork = make("Norm", dialect="fork")
    assert find_layer("Norm", dialect="fork", engines=["fast"]) == (fork, "")
    fast_fork = make("Norm", dialect="fork", engine="fast")
    assert find_layer("Norm", dialect="fork", engines=["fast"]) == (fast_fork, "fast")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("InnerPorduct", "Did you mean 'InnerProduct'?"),
        ("relu", "Did you mean 'ReLU'?"),
        ("Xyz", "Known are InnerProduct, ReLU."),
    ],
)
def test_unknown_types(name: str, hint: str) -> None:
    make("ReLU")
    make("InnerProduct")
    with pytest.raises(UnknownTypeError) as e:
        find_layer(name, dialect="fork", engines=["fast"])
    assert str(e.value) == f"Unknown layer type '{name}'. {hint}"
    assert e.value.field == "type"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ROIPooling", 'It is a layer of the Faster R-CNN fork, which BVLC Caffe lacks: write it as type: "Python".'),
        ("ReLU6", 'Write type: "Clip" with clip_param { min: 0 max: 6 }: it computes the same.'),
    ],
)
def test_forks_types_are_not_misspelt(name: str, hint: str) -> None:
    make("Pooling")
    make("ReLU")
    with pytest.raises(UnknownTypeError) as e:
        find_layer(name)
    assert e.value.hint == hint


def test_a_name_is_given_once() -> None:
    first = make("ReLU")
    register_layer("ReLU")(first)
    with pytest.raises(ValueError, match="layer type 'ReLU' is registered twice"):
        make("ReLU")


def test_a_registry_of_anything() -> None:
    things: Registry[int] = Registry("thing", field="kind")
    things.add("b", 2)
    things.add("a", 1)
    assert list(things) == ["a", "b"]
    assert (len(things), "a" in things, "c" in things, things["b"]) == (2, True, False, 2)
    with pytest.raises(UnknownTypeError, match=r"Unknown thing 'c'\. Known are a, b\.") as e:
        things["c"]
    assert e.value.field == "kind"
    many: Registry[int] = Registry("thing")
    for i in range(12):
        many.add(f"name{i:02}", i)
    with pytest.raises(UnknownTypeError, match="Unknown thing 'qqq'$"):
        many["qqq"]


def test_a_name_that_is_missing() -> None:
    with pytest.raises(UnknownTypeError, match="^The layer type is missing$"):
        find_layer("")


def test_a_faster_layer_says_where_it_is_to_be_read() -> None:
    make("Square")
    faster = type("FastSquare", (Layer,), {"__doc__": "In one pass."})
    assert register_layer("Square", engine="fast")(faster).__doc__.split() == [
        *"In one pass. What it computes is to be read in tests/test_registry.py, class Square.".split()
    ]
