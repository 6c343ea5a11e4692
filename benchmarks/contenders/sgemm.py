"""The limit: one large product of float32 matrices with numpy."""

from __future__ import annotations

from measure import Gemm

from contenders.task import Array, Task


class Contender:
    def __init__(self, task: Task) -> None:
        self._gemm = Gemm()

    def run(self, count: int) -> None:
        for _ in range(count):
            self._gemm.run()

    def reshape(self, batch: int) -> None:
        pass

    def results(self) -> dict[str, Array]:
        return {}
