"""The runner's side of contenders' processes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from measure import environment

from contenders.task import INFER, PASSES, REUSE, TRAIN, Array, Task

CONTENDERS = {  # name: (module, variants, its package, modes)
    "onednn": ("ours", ["onednn", f"onednn {REUSE}"], "numpy", (TRAIN, INFER)),
    "numpy": ("ours", ["numpy", f"numpy {REUSE}"], "numpy", (TRAIN, INFER, PASSES)),
    "pytorch": ("pytorch", ["contiguous", "channels_last"], "torch", (TRAIN, INFER)),
    "opencv": ("opencv", [""], "cv2", (INFER,)),
    "onnxruntime": ("onnx_runtime", [""], "onnxruntime", (INFER,)),
}


class Worker:
    """A contender in a process of its own, which is being built when this returns; the first `ask` waits for it."""

    def __init__(self, name: str, module: str, task: Task) -> None:
        self.name, self.variant = name, task.variant
        self._process = subprocess.Popen(
            [sys.executable, "-m", "contenders.worker", module, task.text()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(task.threads),
            text=True,
        )
        self._built = False

    def ask(self, command: str, argument: object = "") -> float:
        """Its answer in seconds or bytes, 0 for none. Raises RuntimeError if the process has ended."""
        assert self._process.stdin is not None
        if not self._built:
            self._reply()
            self._built = True
        try:
            self._process.stdin.write(f"{command} {argument}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # there will be no reply either
        return self._reply()

    def turn(self, count: int) -> float:
        """Seconds of one of `count` iterations. Nothing of it runs any more when this returns."""
        taken = self.ask("run", count) / count
        self.ask("settle")
        return taken

    def results(self) -> dict[str, Array]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.npz"
            self.ask("results", path)
            with np.load(path) as arrays:
                return dict(arrays)

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _reply(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} {self.variant} ended with status {self._process.wait()}")
        return float(json.loads(line) or 0)


def start(task: Task, names: list[str]) -> list[Worker]:
    """A worker for each variant of those contenders that can do the task and are installed."""
    workers = []
    for name, (module, variants, package, modes) in CONTENDERS.items():
        if name in names and task.mode in modes and find_spec(package):
            able = [variant for variant in variants if task.mode == INFER or REUSE not in variant]
            workers += [Worker(name, module, replace(task, variant=variant)) for variant in able]
    return workers
