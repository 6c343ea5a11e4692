"""Real network files become the nets that Caffe made of them: layers, blobs, parameters, inputs, outputs."""

from __future__ import annotations

import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pycaffe_lite import Net
from pycaffe_lite.errors import GraphError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import layer_types
from pycaffe_lite.schema import read_net

COMPARED = 209
"""Of 212 rows: 106 files in two phases. In the others Caffe did not build a net."""

LRCN = "LisaAnne+lisa-caffe-public/examples/LRCN_activity_recognition/deploy_lstm.prototxt"
SEGFLOW = "PaddlePaddle+X2Paddle/test_benchmark/Caffe/SegFlow/deploy.prototxt"

REFUSED = {(LRCN, 0), (SEGFLOW, 0), (SEGFLOW, 1)}
"""What Caffe did not build: LRCN names a blob that nobody makes; SegFlow has engine: CUDNN, which that Caffe, for CPUs
only, was built without, and which makes no difference here."""


@pytest.fixture(scope="module")
def rows(shared: Path) -> list[dict[str, Any]]:
    with open(shared / "corpus" / "expected.jsonl") as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def unfilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights keep their zeros, which takes no time and no memory: only shapes are looked at."""
    monkeypatch.setattr("pycaffe_lite.layer.fill", lambda *_: None)


@functools.lru_cache(maxsize=1)
def message_of(path: Path) -> pb.NetParameter:
    return read_net(path)[0]


def built(path: Path, phase: int) -> dict[str, Any]:
    """What a row says of a net; in TEST, checks that no diff was allocated on the way."""
    net = Net(message_of(path), phase)
    if phase == pb.TEST:
        blobs = [*net.blobs.values(), *(b for layer in net.layers for b in layer.blobs)]
        assert not any(b._diff.allocated for b in blobs), "nobody asks a TEST net for gradients"
    return {
        "layers": [[node.name, node.type] for node in net._nodes],
        "blobs": {name: list(blob.shape) for name, blob in net.blobs.items()},
        "params": {name: [list(blob.shape) for blob in blobs] for name, blobs in net.params.items()},
        "inputs": net.inputs,
        "outputs": net.outputs,
    }


@pytest.mark.slow
def test_nets(shared: Path, rows: list[dict[str, Any]], unfilled: None) -> None:
    known, lacking = set(layer_types()), Counter[str]()
    compared = 0
    for row in sorted(rows, key=lambda row: str(row["path"])):
        if "error" in row:
            continue
        missing = {kind for _, kind in row["layers"]} - known
        if missing:
            lacking[", ".join(sorted(missing))] += 1
            continue
        found = built(shared / "corpus" / row["path"], row["phase"])
        for what, value in found.items():
            where = (row["path"], row["phase"], what)
            assert value == row[what], where
            assert not isinstance(value, dict) or list(value) == list(row[what]), where
        compared += 1
    assert compared >= COMPARED, f"not compared for want of types: {dict(lacking)}"
    assert compared + lacking.total() == len(rows) - len(REFUSED)


def test_refused(shared: Path, rows: list[dict[str, Any]]) -> None:
    assert {(row["path"], row["phase"]) for row in rows if "error" in row} == REFUSED
    with pytest.raises(GraphError, match="Unknown bottom blob 'fc6-reshape'"):
        Net(shared / "corpus" / LRCN, 0)
