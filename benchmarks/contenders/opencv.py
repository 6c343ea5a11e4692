"""OpenCV's dnn, which reads the same prototxt and caffemodel. For use only: it cannot train."""

from __future__ import annotations

import cv2

from contenders.task import Array, Task


class Contender:
    def __init__(self, task: Task) -> None:
        cv2.setNumThreads(task.threads)
        self._net = cv2.dnn.readNetFromCaffe(task.path("infer.prototxt"), task.path("weights.caffemodel"))
        self._data = task.data()
        self.reshape(task.batch)

    def reshape(self, batch: int) -> None:
        self._net.setInput(self._data[:batch])

    def run(self, count: int) -> None:
        for _ in range(count):
            self._output = self._net.forward()

    def results(self) -> dict[str, Array]:
        return {"output": self._output}
