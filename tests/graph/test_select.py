"""Which layers take part: phase, level and stages against include and exclude rules."""

from __future__ import annotations

import pytest

from pycaffe_lite import TEST, TRAIN
from pycaffe_lite.errors import GraphError
from pycaffe_lite.graph.select import select, specs_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text


def kept(rules: str, state: str) -> bool:
    net, positions = parse_text(f'state {{ {state} }} layer {{ name: "l" type: "Silence" {rules} }}', pb.NetParameter)
    return bool(select(specs_of(net, positions), net.state))


@pytest.mark.parametrize(
    ("rules", "state", "expected"),
    [
        ("", "phase: TEST", True),
        ("include { phase: TRAIN }", "phase: TRAIN", True),
        ("include { phase: TRAIN }", "phase: TEST", False),
        ("exclude { phase: TRAIN }", "phase: TRAIN", False),
        ("exclude { phase: TRAIN }", "phase: TEST", True),
        ("include {}", "phase: TEST", True),
        ("exclude {}", "phase: TEST", False),
        ("include { min_level: 2 }", "level: 1", False),
        ("include { min_level: 2 }", "level: 2", True),
        ("include { max_level: 2 }", "level: 2", True),
        ("include { max_level: 2 }", "level: 3", False),
        ("include { min_level: -1 }", "", True),
        ('include { stage: "a" }', "", False),
        ('include { stage: "a" }', 'stage: "b" stage: "a"', True),
        ('include { stage: "a" stage: "b" }', 'stage: "a"', False),
        ('include { stage: "a" stage: "b" }', 'stage: "b" stage: "a"', True),
        ('include { not_stage: "a" }', "", True),
        ('include { not_stage: "a" }', 'stage: "a"', False),
        ('include { stage: "b" not_stage: "a" }', 'stage: "a" stage: "b"', False),
        ('include { phase: TEST stage: "a" }', 'phase: TEST stage: "a"', True),
        ('include { phase: TEST stage: "a" }', "phase: TEST", False),
        # any of several include rules suffices, any of several exclude rules too
        ('include { phase: TEST } include { stage: "a" }', 'phase: TRAIN stage: "a"', True),
        ('include { phase: TEST } include { stage: "a" }', 'phase: TRAIN stage: "b"', False),
        ('exclude { phase: TEST } exclude { stage: "a" }', 'phase: TRAIN stage: "a"', False),
        ('exclude { phase: TEST stage: "a" }', 'phase: TEST stage: "b"', True),
    ],
)
def test_rules(rules: str, state: str, expected: bool) -> None:
    assert kept(rules, state) is expected


def test_order_is_kept_and_layers_are_told_apart() -> None:
    net, _ = parse_text(
        "".join(
            f'layer {{ name: "{n}" include {{ phase: {p} }} }}'
            for n, p in [("data", "TRAIN"), ("data", "TEST"), ("a", "TEST"), ("b", "TRAIN"), ("c", "TEST")]
        ),
        pb.NetParameter,
    )
    for phase, names in ((TRAIN, ["data", "b"]), (TEST, ["data", "a", "c"])):
        net.state.phase = phase  # type: ignore[assignment]
        specs = select(specs_of(net), net.state)
        assert [s.message.name for s in specs] == names
    assert [s.path for s in specs] == ["layer[1]", "layer[2]", "layer[4]"]


def test_both_kinds_of_rules_are_refused() -> None:
    text = 'layer {\n  name: "l" type: "Silence"\n  include { phase: TEST }\n  exclude { phase: TEST }\n}'
    net, positions = parse_text(text, pb.NetParameter, "n.prototxt")
    with pytest.raises(GraphError, match=r"include and exclude .*\(layer 'l' of type Silence, n.prototxt:3:3\)"):
        select(specs_of(net, positions), net.state)
