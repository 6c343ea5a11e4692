from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import AssignmentError, UnknownNameError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 5 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1" inner_product_param { num_output: 11 } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip<2>" type: "InnerProduct" bottom: "ip1" top: "scores"
        inner_product_param { num_output: 7 bias_term: false } }
"""


@pytest.fixture
def net() -> caffe.Net:
    return caffe.Net(parse_text(NET, pb.NetParameter)[0], caffe.TEST)


def test_they_are_ordered_dictionaries(net: caffe.Net) -> None:
    assert isinstance(net.blobs, OrderedDict)
    assert list(net.blobs) == ["data", "ip1", "scores"]
    assert net.blobs.get("nothing") is None
    assert "nothing" not in net.params


@pytest.mark.parametrize(
    ("which", "name", "message"),
    [
        ("blobs", "score", "This net has no blob 'score'. Did you mean 'scores'?"),
        ("blobs", "zzz", "This net has no blob 'zzz'. It has data, ip1, scores."),
        ("top_names", "relu", "This net has no layer 'relu'. Did you mean 'relu1'?"),
        ("bottom_names", "ip", "This net has no layer 'ip'. Did you mean 'ip1'?"),
        ("params", "relu1", "This net has no layer with parameters 'relu1'. It has ip1, ip<2>."),
        ("layer_dict", "Relu1", "This net has no layer 'Relu1'. Did you mean 'relu1'?"),
        ("blobs", 0, "This net has no blob 0. They go by name; see list(...)."),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(net: caffe.Net, which: str, name: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as e:
        getattr(net, which)[name]
    assert str(e.value) == message
    assert isinstance(e.value, KeyError)


CHANGES: dict[str, Callable[[Any, str], object]] = {
    "set": lambda entries, name: entries.__setitem__(name, 1),
    "del": lambda entries, name: entries.__delitem__(name),
    "pop": lambda entries, name: entries.pop(name),
    "popitem": lambda entries, name: entries.popitem(),
    "clear": lambda entries, name: entries.clear(),
    "update": lambda entries, name: entries.update({name: 1}),
    "|=": lambda entries, name: entries.__ior__({name: 1}),
    "setdefault": lambda entries, name: entries.setdefault(name, 1),
    "move_to_end": lambda entries, name: entries.move_to_end(name),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize(
    ("which", "name", "advice"),
    [
        ("blobs", "ip1", r"Write into the blob: net.blobs\[name\].data\[...\] = array."),
        ("params", "ip1", r"Write into its blobs: net.params\[name\]\[0\].data\[...\] = array."),
        ("layer_dict", "relu1", "Layers come from the network's file."),
    ],
)
def test_nothing_goes_in_or_out(
    net: caffe.Net, which: str, name: str, advice: str, change: Callable[[Any, str], object]
) -> None:
    entries = getattr(net, which)
    before = list(entries.items())
    with pytest.raises(AssignmentError, match=f"cannot be replaced or taken out. {advice}"):
        change(entries, name)
    assert list(entries.items()) == before


def test_a_copy_is_the_users(net: caffe.Net) -> None:
    for copied in (net.params.copy(), copy.copy(net.params), copy.deepcopy(net.params)):
        assert type(copied) is OrderedDict
        del copied["ip1"]
        assert list(copied) == ["ip<2>"]
        assert copied["ip<2>"][0].shape == net.params["ip<2>"][0].shape


def test_blobs_are_listed_one_a_line_and_aligned(net: caffe.Net) -> None:
    net.blobs["ip1"].data[...] = 3
    assert repr(net.blobs).splitlines() == [
        "data    (2, 3, 5)  no data yet",
        "ip1     (2, 11)    data all 3",
        "scores  (2, 7)     no data yet",
    ]


def test_params_are_listed_with_their_shapes_and_size(net: caffe.Net) -> None:
    assert repr(net.params).splitlines() == ["ip1    (11, 15) (11,)  176", "ip<2>  (7, 11)         77"]


def test_layers_are_listed_with_what_they_are(net: caffe.Net) -> None:
    lines = repr(net.layer_dict).splitlines()
    assert lines[1] == "ip1    InnerProduct num_output=11 · blobs (11, 15) (11,)"
    assert lines[2] == "relu1  ReLU"


def test_in_a_notebook_they_are_tables(net: caffe.Net) -> None:
    html = net.params._repr_html_()  # type: ignore[attr-defined]
    assert html.count("<tr>") == 2
    assert "ip&lt;2&gt;" in html


def test_nothing_to_list() -> None:
    net = caffe.Net(pb.NetParameter(), caffe.TEST)
    assert repr(net.params) == "{}"
    assert net.params._repr_html_() == "<table><thead></thead><tbody></tbody></table>"  # type: ignore[attr-defined]


def test_ipython_completes_the_names(net: caffe.Net) -> None:
    ipython = pytest.importorskip("IPython.core.completer")
    completer = ipython.IPCompleter(shell=None, namespace={"net": net}, global_namespace={})
    completer.use_jedi = False
    completer.disable_matchers = ["IPCompleter.magic_matcher"]  # needs a shell
    with ipython.provisionalcompleter():
        for text, expected in (("net.blobs['sc", {"scores"}), ("net.params['ip", {"ip1", "ip<2>"})):
            assert {c.text.strip("']") for c in completer.completions(text, len(text))} == expected
