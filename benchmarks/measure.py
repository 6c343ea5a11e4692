"""What the benchmarks share: the machine's own SGEMM rate, medians, the record that goes into results/."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
SIDE = 1024
"""Side of the square float32 matrices whose product sets the rate."""


class Gemm:
    """The rate of one large matrix product, which is what the arithmetic would cost if nothing else did."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._a, self._b = (rng.random((SIDE, SIDE), np.float32) for _ in range(2))
        self._out = np.empty_like(self._a)

    def seconds(self) -> float:
        return seconds(lambda: np.dot(self._a, self._b, out=self._out))

    @staticmethod
    def rate(seconds: float) -> float:
        """FLOP per second."""
        return 2 * SIDE**3 / seconds


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(values: list[float]) -> float:
    return float(np.median(values))


def peak_memory() -> int:
    """Bytes of this process at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(script: str, *arguments: str, threads: int = 1) -> dict[str, Any]:
    """Run a benchmark in a process of its own with this many BLAS threads; it prints one JSON line last."""
    env = dict(os.environ, OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    done = subprocess.run([sys.executable, script, *arguments], env=env, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def record(name: str, figures: dict[str, Any]) -> None:
    """Write results/<name>.json with the machine and the commit, and print the figures."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    about = {
        "machine": {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "numpy": np.__version__,
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else ""),
        "date": time.strftime("%Y-%m-%d"),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({**about, "figures": figures}, indent=2) + "\n")
    width = max(map(len, figures))
    for key, value in figures.items():
        print(f"{key:<{width}}  {value}")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
