"""pycaffe-lite: SGDSolver's steps, a TEST net's forward passes. The variant names the engine and whether nets reuse
memory.
"""

from __future__ import annotations

import numpy as np

import pycaffe_lite as caffe
from contenders.task import INFER, MOMENTUM, PASSES, REUSE, TRAIN, WEIGHT_DECAY, Array, Task, sample
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import read_net


class Contender:
    def __init__(self, task: Task) -> None:
        engine, *more = task.variant.split()
        caffe.set_engine(engine)
        self._mode = task.mode
        message = self._message(task)
        if task.mode == TRAIN:
            param = pb.SolverParameter(
                net_param=message,
                base_lr=task.lr,
                lr_policy="fixed",
                momentum=MOMENTUM,
                weight_decay=WEIGHT_DECAY,
                snapshot_after_train=False,
            )
            self._solver = caffe.SGDSolver(param)
            self._net = self._solver.net
        else:
            phase = caffe.TEST if task.mode == INFER else caffe.TRAIN
            self._net = caffe.Net(message, phase, reuse_memory=REUSE in more)
        self._net.copy_from(task.path("weights.caffemodel"))
        self._inputs = {"data": task.data()}
        if task.mode != INFER:
            self._inputs["label"] = task.labels()
        self.reshape(task.batch)

    @staticmethod
    def _message(task: Task) -> pb.NetParameter:
        message, _ = read_net(task.path(f"{INFER if task.mode == INFER else TRAIN}.prototxt"))
        message.force_backward = task.mode == PASSES
        if not task.dropout:
            kept = [layer for layer in message.layer if layer.type != "Dropout"]
            del message.layer[:]
            message.layer.extend(kept)
        return message

    def reshape(self, batch: int) -> None:
        for name, values in self._inputs.items():
            self._net.blobs[name].reshape(batch, *values.shape[1:])
            self._net.blobs[name].data[...] = values[:batch]

    def run(self, count: int) -> None:
        if self._mode == TRAIN:
            self._solver.step(count)
            return
        for _ in range(count):
            self._net.forward()
            if self._mode == PASSES:
                self._net.clear_param_diffs()
                self._net.backward()

    def results(self) -> dict[str, Array]:
        if self._mode == INFER:
            (name,) = self._net.outputs
            return {"output": self._net.blobs[name].data}
        learnt = {name: blobs for name, blobs in self._net.params.items() if len(blobs) < 3}  # BatchNorm has 3
        weights = {f"{name}.{i}": sample(b.data) for name, blobs in learnt.items() for i, b in enumerate(blobs)}
        return {**weights, "loss": np.float32(self._solver._loss.value)}
