"""The benchmarks' networks are those of the papers: sizes, arithmetic, outputs."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import read_net
from tests.conftest import CHECKOUT

NETS = CHECKOUT / "benchmarks" / "nets"
# name: (learnt numbers in TEST, in TRAIN, multiply-adds of one item, loss in multiples of ln(classes), output's shape);
# for and_gate, whose output is 1/2 where all weights are 0, the loss is that for labels of 0.
PUBLISHED = {
    "and_gate": (9, 9, 6, 0.125, (1, 1)),
    "lenet": (431_080, 431_080, 2_293_000, 1, (1, 10)),
    "cifar10_quick": (145_578, 145_578, 12_354_176, 1, (1, 10)),
    "resnet20": (272_474, 272_474, 40_813_184, 1, (1, 10)),
    "squeezenet": (1_248_424, 1_248_424, 832_667_936, 1, (1, 1000, 1, 1)),
    "caffenet": (60_965_224, 60_965_224, 724_406_816, 1, (1, 1000)),
    "googlenet": (6_998_552, 13_378_280, 1_582_671_872, 1.6, (1, 1000)),
    "resnet50": (25_557_032, 25_557_032, 3_857_973_248, 1, (1, 1000)),
    "mobilenet": (4_231_976, 4_231_976, 568_740_352, 1, (1, 1000)),
    "vgg16": (138_357_544, 138_357_544, 15_470_264_320, 1, (1, 1000)),
}


def build(name: str, phase: int) -> caffe.Net:
    """The net with weights of 0: filling takes longer than all else."""
    message, positions = read_net(NETS / f"{name}.prototxt")
    for layer in message.layer:
        for param in (layer.convolution_param, layer.inner_product_param):
            param.ClearField("weight_filler")
    message.state.phase = phase
    return caffe.Net.from_message(message, positions)


def learnt(net: caffe.Net) -> int:
    """Numbers that a solver changes; published counts leave out what BatchNorm remembers."""
    return sum(row.parameters for row in net.summary().rows if row.type != "BatchNorm")


def test_every_net_is_checked() -> None:
    assert {path.stem for path in NETS.glob("*.prototxt")} == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_for_use(name: str) -> None:
    parameters, _, multiply_adds, _, shape = PUBLISHED[name]
    net = build(name, caffe.TEST)
    assert learnt(net) == parameters
    assert net.summary().multiply_adds == multiply_adds
    (prediction,) = net.forward().values()
    assert prediction.shape == shape
    np.testing.assert_allclose(prediction, 0.5 if name == "and_gate" else 1 / prediction.size, rtol=1e-6)


@pytest.mark.parametrize("name", PUBLISHED)
def test_for_training(name: str) -> None:
    _, parameters, _, loss, shape = PUBLISHED[name]
    net = build(name, caffe.TRAIN)
    assert learnt(net) == parameters
    assert net.blobs["data"].shape[0] > 1
    assert net.blobs["data"].shape[0] == net.blobs["label"].shape[0]
    for blob in ("data", "label"):
        net.blobs[blob].reshape(1, *net.blobs[blob].shape[1:])
    expected = loss if name == "and_gate" else loss * math.log(np.prod(shape))
    assert net._forward(0, len(net.layers) - 1) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_random(name: str) -> None:
    message, _ = read_net(NETS / f"{name}.prototxt")
    learning = [layer for layer in message.layer if layer.type in ("Convolution", "InnerProduct")]
    fillers = {getattr(layer, param).weight_filler.type for layer in learning for param in _own_param(layer)}
    assert fillers <= {"msra", "xavier"}
    assert fillers


def _own_param(layer: pb.LayerParameter) -> list[str]:
    return [field.name for field, _ in layer.ListFields() if field.name in ("convolution_param", "inner_product_param")]


def test_files_are_what_the_script_writes(tmp_path: Path) -> None:
    for script in ("write.py", "builder.py"):
        (tmp_path / script).write_text((NETS / script).read_text(encoding="utf-8"), encoding="utf-8")
    env = dict(os.environ, PYTHONPATH=str(CHECKOUT))
    subprocess.run([sys.executable, str(tmp_path / "write.py")], check=True, env=env)
    for path in NETS.glob("*.prototxt"):
        assert (tmp_path / path.name).read_text(encoding="utf-8") == path.read_text(encoding="utf-8"), path.name
