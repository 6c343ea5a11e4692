"""A net for use as an ONNX model: each layer of the prepared JSON becomes a node."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from contenders import fields
from contenders.fields import Window
from contenders.task import Array, Message, Task

OPSET = 13
IR_VERSION = 8
ALIKE = {"ReLU": "Relu", "Sigmoid": "Sigmoid", "Eltwise": "Add"}


class _Graph:
    """Nodes so far. A blob's newest value has the name of the layer that made it: in ONNX nothing is in place."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._newest: dict[str, str] = {}
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, layer: Message, kind: str, weights: list[Array] = (), **attributes: Any) -> None:  # type: ignore[assignment]
        name = layer["name"]
        constants = [f"{name}.weights.{i}" for i in range(len(weights))]
        self.weights += map(numpy_helper.from_array, weights, constants)
        bottoms = [self._newest.get(bottom, bottom) for bottom in layer["bottom"]]
        self.nodes.append(helper.make_node(kind, [*bottoms, *constants], [name], name=name, **attributes))
        self._newest[layer["top"][0]] = name

    def layer(self, layer: Message, following: Message) -> None:
        """Add this layer; a BatchNorm takes the Scale with it that follows."""
        kind, weights = layer["type"], self._task.weights(layer["name"])
        if kind == "Convolution":
            window, group = fields.convolution(layer)
            self.add(layer, "Conv", weights, group=group, **_window(window))
        elif kind == "BatchNorm":
            fields.plain(layer)
            mean, var, factor = weights
            scale, bias = self._task.weights(following["name"])
            self.add(layer, "BatchNormalization", [scale, bias, mean / factor, var / factor], epsilon=fields.EPS)
        elif kind == "Pooling":
            pool, window = fields.pooling(layer)
            if window is None:
                self.add(layer, "GlobalAveragePool" if pool == "AVE" else "GlobalMaxPool")
            else:
                self.add(layer, "AveragePool" if pool == "AVE" else "MaxPool", ceil_mode=1, **_window(window))
        elif kind == "LRN":
            size, alpha, beta = fields.lrn(layer)
            self.add(layer, "LRN", size=size, alpha=alpha, beta=beta, bias=1.0)
        elif kind == "InnerProduct":
            flat = {**layer, "name": f"{layer['name']}.flat", "top": [f"{layer['name']}.flat"]}
            self.add(flat, "Flatten")
            self.add({**layer, "bottom": flat["top"]}, "Gemm", weights, transB=1)
        elif kind == "Concat":
            fields.plain(layer)
            self.add(layer, "Concat", axis=1)
        elif kind == "Softmax":
            fields.plain(layer)
            self.add(layer, "Softmax", axis=1)
        elif kind in ALIKE:
            fields.plain(layer)
            self.add(layer, ALIKE[kind])
        elif kind not in ("Input", "Dropout", "Scale"):
            raise NotImplementedError(kind)


def _window(window: Window) -> dict[str, Any]:
    return {
        "kernel_shape": [window.kernel] * 2,
        "strides": [window.stride] * 2,
        "pads": [window.pad] * 4,
    }


def write(task: Task) -> None:
    """Write model.onnx, for batches of any size."""
    graph, layers = _Graph(task), task.layers()
    for layer, following in zip(layers, [*layers[1:], {}], strict=True):
        graph.layer(layer, following)
    item = np.load(task.path("data.npy"), mmap_mode="r").shape[1:]
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", *item])
    output = helper.make_tensor_value_info(graph.nodes[-1].output[0], TensorProto.FLOAT, None)
    made = helper.make_graph(graph.nodes, "net", [data], [output], graph.weights)
    opset = [helper.make_opsetid("", OPSET)]
    save(helper.make_model(made, opset_imports=opset, ir_version=IR_VERSION), task.path("model.onnx"))
