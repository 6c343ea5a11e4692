"""A small net to train, on batches that are the same in every run, and files of solvers for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pycaffe_lite as caffe
from pycaffe_lite.solvers import Solver


class Batches(caffe.Layer):
    """Python layer: batch number `position`, then the next, each made of its number alone."""

    def setup(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        self.size = json.loads(self.param_str or "{}").get("size", 6)
        self.position = 0

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].reshape(self.size, 5)
        top[1].reshape(self.size)

    def forward(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        items = range(self.position * self.size, (self.position + 1) * self.size)
        for row, item in enumerate(items):
            x = np.random.default_rng(item).normal(size=5)
            top[0].data[row] = x
            top[1].data[row] = int(x[0] > 0) + int(x[1] > 0.5)
        self.position += 1

    def backward(self, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]) -> None:
        pass


NET = """
name: "toy"
layer { name: "data" type: "Python" top: "data" top: "label"
  python_param { module: "tests.solvers.toy" layer: "Batches" param_str: '{"size": SIZE}' } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1" param { lr_mult: 1 decay_mult: 0.5 }
  param { lr_mult: 2 decay_mult: 0 } inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "tanh" type: "TanH" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" param { lr_mult: 3 }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""

BASIS = 'net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" max_iter: 12 random_seed: 5 solver_mode: CPU\n'

TYPES = {
    "SGD": 'type: "SGD" momentum: 0.9',
    "Nesterov": 'type: "Nesterov" momentum: 0.8',
    "AdaGrad": 'type: "AdaGrad" delta: 1e-6',
    "RMSProp": 'type: "RMSProp" rms_decay: 0.95',
    "AdaDelta": 'type: "AdaDelta" momentum: 0.9 delta: 1e-5',
    "Adam": 'type: "Adam" momentum: 0.85 momentum2: 0.97',
}


def write(folder: Path, text: str = "", *, net: str = NET, size: int = 6, basis: str = BASIS) -> str:
    """Write net.prototxt and solver.prototxt; returns the latter's path."""
    (folder / "net.prototxt").write_text(net.replace("SIZE", str(size)))
    path = folder / "solver.prototxt"
    path.write_text(basis + text)
    return str(path)


def make(folder: Path, text: str = "", **kwargs: Any) -> Solver:
    return caffe.get_solver(write(folder, text, **kwargs))


def weights(solver: Solver) -> list[np.ndarray[Any, Any]]:
    return [b.data.copy() for b in solver.net.learnable.blobs]


def diffs(solver: Solver) -> list[np.ndarray[Any, Any]]:
    return [b.diff.copy() for b in solver.net.learnable.blobs]
