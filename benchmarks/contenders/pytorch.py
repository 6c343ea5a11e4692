"""PyTorch in eager mode: each layer of the prepared JSON becomes a call of torch.nn.functional, with the same weights.

The variant is the memory format of images, `contiguous` or `channels_last`. What an author who cares for speed would
write: BatchNorm with the Scale behind it as one call, activations and additions in place, the fused SGD, and
inference mode in use; blobs are let go after their last use. Calling functions costs less than torch.nn's modules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from contenders import fields
from contenders.task import MOMENTUM, TRAIN, WEIGHT_DECAY, Array, Message, Task, sample

Function = Callable[..., torch.Tensor]


class Contender:
    def __init__(self, task: Task) -> None:
        self._format = torch.channels_last if task.variant == "channels_last" else torch.contiguous_format
        self._training = task.mode == TRAIN
        self._weights: dict[str, list[torch.Tensor]] = {}
        layers = [layer for layer in task.layers() if layer["type"] != "Input"]
        steps = []
        for layer, following in zip(layers, [*layers[1:], {}], strict=True):
            function = self._function(task, layer, following)
            if function is not None:
                steps.append((function, layer["bottom"], layer["top"][0]))
        self._steps = _with_last_uses(steps)
        self._losses = [(layer["top"][0], fields.loss_weight(layer)) for layer in layers if "Loss" in layer["type"]]
        self._data, labels = self._tensor(task.data()), torch.from_numpy(task.labels())
        self._labels = labels if labels.dim() > 1 else labels.long()
        self.reshape(task.batch)
        if self._training:
            learnt = [w for blobs in self._weights.values() for w in blobs]
            settings: dict[str, Any] = {"momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY, "fused": True}
            self._optimizer = torch.optim.SGD(learnt, task.lr, **settings)

    def _tensor(self, values: Array) -> torch.Tensor:
        tensor = torch.from_numpy(values)
        return tensor.to(memory_format=self._format) if tensor.dim() == 4 else tensor

    def _learnt(self, task: Task, name: str) -> list[torch.Tensor]:
        weights = [self._tensor(w).requires_grad_(self._training) for w in task.weights(name)]
        self._weights[name] = weights
        return weights

    def _function(self, task: Task, layer: Message, following: Message) -> Function | None:
        """What computes the layer's top from its bottoms; None where the layer before has done so."""
        kind, training = layer["type"], self._training
        if kind == "Convolution":
            (_, stride, pad), group = fields.convolution(layer)
            weight, bias = (*self._learnt(task, layer["name"]), None)[:2]
            return lambda x: F.conv2d(x, weight, bias, stride, pad, 1, group)
        if kind == "InnerProduct":
            matrix, bias = self._learnt(task, layer["name"])
            return lambda x: F.linear(torch.flatten(x, 1), matrix, bias)
        if kind == "BatchNorm":
            mean, var, factor = (torch.from_numpy(w) for w in task.weights(layer["name"]))
            mean, var = mean / factor, var / factor
            scale, bias = self._learnt(task, following["name"])
            return lambda x: F.batch_norm(x, mean, var, scale, bias, training, 0.1, fields.EPS)
        if kind == "Pooling":
            pool, window = fields.pooling(layer)
            if window is None:
                return lambda x: F.adaptive_avg_pool2d(x, 1)
            if pool == "AVE":
                return lambda x: F.avg_pool2d(x, *window, ceil_mode=True)
            return lambda x: F.max_pool2d(x, *window, ceil_mode=True)
        if kind == "LRN":
            size, alpha, beta = fields.lrn(layer)
            return lambda x: F.local_response_norm(x, size, alpha, beta)
        if kind == "Dropout":
            ratio = fields.dropout_ratio(layer)
            return (lambda x: F.dropout(x, ratio)) if training else None
        if kind == "Scale":
            return None
        fields.plain(layer)
        return _SIMPLE[kind]

    def reshape(self, batch: int) -> None:
        self._input, self._label = self._data[:batch], self._labels[:batch]

    def run(self, count: int) -> None:
        if self._training:
            for _ in range(count):
                self._step()
            return
        with torch.inference_mode():
            for _ in range(count):
                self._output = self._forward()

    def _forward(self) -> torch.Tensor:
        blobs = {"data": self._input, "label": self._label}
        for function, bottoms, top, dead in self._steps:
            blobs[top] = function(*[blobs[name] for name in bottoms])
            for name in dead:
                del blobs[name]
        if not self._training:
            return blobs[top]
        return sum(blobs[name] * weight if weight != 1 else blobs[name] for name, weight in self._losses)  # type: ignore[return-value]

    def _step(self) -> None:
        self._optimizer.zero_grad()
        self._output = self._forward()
        self._output.backward()
        self._optimizer.step()

    def results(self) -> dict[str, Array]:
        if not self._training:
            return {"output": self._output.numpy()}
        named = {f"{name}.{i}": w for name, blobs in self._weights.items() for i, w in enumerate(blobs)}
        return {
            **{name: sample(w.detach().contiguous().numpy()) for name, w in named.items()},
            "loss": self._output.detach().numpy(),
        }


_SIMPLE: dict[str, Function] = {
    "ReLU": F.relu_,
    "Sigmoid": torch.sigmoid,
    "Softmax": lambda x: F.softmax(x, 1),
    "Concat": lambda *parts: torch.cat(parts, 1),
    "Eltwise": lambda shortcut, branch: branch.add_(shortcut),
    "SoftmaxWithLoss": lambda x, y: F.cross_entropy(torch.flatten(x, 1), y),
    "EuclideanLoss": lambda x, y: F.mse_loss(x, y, reduction="sum") / (2 * len(x)),
}


def _with_last_uses(
    steps: list[tuple[Function, list[str], str]],
) -> list[tuple[Function, list[str], str, list[str]]]:
    """Each step with the blobs that no later one reads, nor the loss or the caller."""
    needed: set[str] = {"data", "label"}
    out = []
    for function, bottoms, top in reversed(steps):
        dead = [name for name in dict.fromkeys(bottoms) if name not in needed and name != top]
        out.append((function, bottoms, top, dead))
        needed |= set(bottoms)
    return out[::-1]
