"""Writes what contenders start from into a folder: inputs, weights, and the net of each mode as prototxt and as JSON.

Random weights, as the net's fillers draw them; where there is a BatchNorm its statistics are those of the inputs.

python prepare.py NET FOLDER prints what `prepare` returns.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from google.protobuf import json_format
from measure import ROOT

import pycaffe_lite as caffe
from contenders.task import INFER, PASSES, TRAIN, Task, file_name
from pycaffe_lite.graph.select import select, specs_of
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import read_net, write_text

NETS = ROOT / "benchmarks" / "nets"
STATISTICS = 3
"""Forward passes that gather BatchNorm's statistics."""


def prepare(name: str, folder: Path) -> dict[str, float]:
    """Returns the training batch, and how many multiply-adds each mode takes for one item."""
    net = caffe.Net(NETS / f"{name}.prototxt", caffe.TRAIN, seed=1)
    _write_inputs(net, folder)
    _write_weights(net, folder)
    message, _ = read_net(NETS / f"{name}.prototxt")
    for mode, phase in ((TRAIN, caffe.TRAIN), (INFER, caffe.TEST)):
        layers = _selected(message, phase)
        (folder / f"{mode}.prototxt").write_text(write_text(layers), encoding="utf-8")
        as_dicts = [json_format.MessageToDict(layer, preserving_proto_field_name=True) for layer in layers.layer]
        (folder / f"{mode}.json").write_text(json.dumps(as_dicts), encoding="utf-8")
    used = caffe.Net(folder / f"{INFER}.prototxt", caffe.TEST)
    return {"batch": net.blobs["data"].shape[0], INFER: used.summary().multiply_adds, **_training_arithmetic(net)}


def _selected(message: pb.NetParameter, phase: int) -> pb.NetParameter:
    """The net as it is in this phase, without rules, and without fillers: drawing takes longer than loading."""
    layers = [spec.message for spec in select(specs_of(message), pb.NetState(phase=phase))]  # type: ignore[arg-type]
    net = pb.NetParameter(name=message.name, layer=layers)
    for layer in net.layer:
        layer.ClearField("include")
        for field, param in layer.ListFields():
            if field.name in ("convolution_param", "inner_product_param"):
                param.ClearField("weight_filler")
    return net


def _write_inputs(net: caffe.Net, folder: Path) -> None:
    rng = np.random.default_rng(0)
    data, label = net.blobs["data"], net.blobs["label"]
    data.data[...] = rng.standard_normal(data.shape, np.float32)
    scores = [net.blobs[n.bottom_names[0]] for n in net._nodes if n.type == "SoftmaxWithLoss"]
    classes = scores[0].count // scores[0].shape[0] if scores else 2
    label.data[...] = rng.integers(0, classes, label.shape)
    for name, blob in (("data", data), ("label", label)):
        np.save(folder / f"{name}.npy", blob.data)


def _write_weights(net: caffe.Net, folder: Path) -> None:
    if any(node.type == "BatchNorm" for node in net._nodes):
        for _ in range(STATISTICS):
            net.forward()
    net.save(folder / "weights.caffemodel")
    for layer, blobs in net.params.items():
        for i, blob in enumerate(blobs):
            np.save(folder / f"{file_name(layer)}.weights.{i}.npy", blob.data)


def _training_arithmetic(net: caffe.Net) -> dict[str, float]:
    """A training step: forward, the gradients of the weights, and of all blobs but the data; PASSES: of these too."""
    counts = {row.name: row.multiply_adds or 0 for row in net.summary().rows}
    step = sum(counts.get(node.name, 0) * (2 + any(node.propagate_down)) for node in net._nodes)
    batch = net.blobs["data"].shape[0]
    return {TRAIN: step / batch, PASSES: 3 * sum(counts.values()) / batch}


def main() -> None:
    name, folder = sys.argv[1:]
    prepared = prepare(name, Path(folder))
    if importlib.util.find_spec("onnx"):
        from contenders import onnx_model

        onnx_model.write(Task(folder, INFER, 1, 1))
    print(json.dumps(prepared))


if __name__ == "__main__":
    main()
