from __future__ import annotations

import pytest

import pycaffe_lite as caffe
from pycaffe_lite.draw.graph import Graph, build_graph
from pycaffe_lite.errors import GraphError
from tests.draw.nets import parsed


def names(graph: Graph) -> list[str]:
    return ["+".join(part.lines[0] for part in vertex.parts) for vertex in graph.vertices]


def arrows(graph: Graph) -> set[tuple[str, str]]:
    name = names(graph)
    kind = ["blob" if v.parts[0].octagon else "layer" for v in graph.vertices]
    return {(f"{name[e.source]}:{kind[e.source]}", f"{name[e.target]}:{kind[e.target]}") for e in graph.edges}


def test_a_layer_in_place_stands_beneath_its_blob() -> None:
    graph = build_graph(parsed())
    assert "conv+relu" in names(graph)
    assert "relu" not in names(graph)
    assert {("conv:layer", "conv+relu:blob"), ("conv+relu:blob", "pool:layer")} <= arrows(graph)
    relu = next(v for v in graph.vertices if len(v.parts) == 2).parts[1]
    assert (relu.color, relu.lines) == ("#90EE90", ["relu", "(ReLU)"])


@pytest.mark.parametrize(
    ("phase", "absent"), [(None, set()), (caffe.TRAIN, {"test", "accuracy"}), (caffe.TEST, {"train", "loss"})]
)
def test_phases(phase: int | None, absent: set[str]) -> None:
    everything = set(names(build_graph(parsed())))
    assert {"train", "test", "loss", "accuracy"} <= everything
    assert set(names(build_graph(parsed(), phase))) == everything - absent


def test_layers_of_both_phases_write_one_blob_and_are_told_apart() -> None:
    graph = build_graph(parsed())
    assert {("train:layer", "data:blob"), ("test:layer", "data:blob")} <= arrows(graph)
    assert graph.vertices[0].parts[0].lines == ["train", "(Data) TRAIN", "Batch 7"]
    assert build_graph(parsed(), caffe.TRAIN).vertices[0].parts[0].lines == ["train", "(Data)", "Batch 7"]


def test_what_is_read_before_and_after_a_layer_writes_is_told_apart() -> None:
    graph = build_graph(
        parsed("""layer { name: "scale" type: "Scale" bottom: "x" bottom: "s" top: "x" }
                  layer { name: "out" type: "TanH" bottom: "x" top: "y" }""")
    )
    assert names(graph) == ["x", "s", "scale", "x", "out", "y"]
    assert [(e.source, e.target) for e in graph.edges] == [(0, 2), (1, 2), (2, 3), (3, 4), (4, 5)]


def test_rules_on_levels_and_stages_do_not_hide_a_layer() -> None:
    text = 'layer { name: "a" type: "TanH" bottom: "x" top: "y" %s }'
    for rules in (
        'include { stage: "deploy" }',
        "include { min_level: 3 phase: TEST }",
        "exclude { phase: TEST stage: 'x' }",
    ):
        assert "a" in names(build_graph(parsed(text % rules), caffe.TEST))
    with pytest.raises(GraphError, match="layer 'a' of type TanH"):
        build_graph(parsed(text % "include { phase: TEST } exclude { phase: TRAIN }"), caffe.TEST)
