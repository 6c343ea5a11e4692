"""onnxruntime, on a model that `onnx_model` writes. For use only."""

from __future__ import annotations

import onnxruntime

from contenders.task import Array, Task


class Contender:
    def __init__(self, task: Task) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = task.threads, 1
        self._session = onnxruntime.InferenceSession(task.path("model.onnx"), options, ["CPUExecutionProvider"])
        self._data = task.data()
        self.reshape(task.batch)

    def reshape(self, batch: int) -> None:
        self._inputs = {"data": self._data[:batch]}

    def run(self, count: int) -> None:
        for _ in range(count):
            (self._output,) = self._session.run(None, self._inputs)

    def results(self) -> dict[str, Array]:
        return {"output": self._output}
