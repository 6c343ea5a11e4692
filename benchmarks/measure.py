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
LOOK, MOST_LOOKS = 0.02, 50
"""Seconds between looks at whether threads sleep, and how many there are at most."""


class Gemm:
    """The rate of one large matrix product, which is what the arithmetic would cost if nothing else did."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._a, self._b = (rng.random((SIDE, SIDE), np.float32) for _ in range(2))
        self._out = np.empty_like(self._a)

    def run(self) -> None:
        np.dot(self._a, self._b, out=self._out)

    def seconds(self) -> float:
        return seconds(self.run)

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
    for line in _lines("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # may be that of the process that started this one


def settle() -> None:
    """Return when this process's threads sleep, and are in nobody's way: BLAS's and OpenMP's wait for more work at full
    speed.
    """
    for _ in range(MOST_LOOKS):
        before = time.process_time()
        time.sleep(LOOK)
        if time.process_time() - before < LOOK / 10:
            return


def environment(threads: int) -> dict[str, str]:
    """That of a process which uses so many threads, read by libraries when they are loaded, and this checkout."""
    count, paths = str(threads), [ROOT, ROOT / "benchmarks", *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), count),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }


def child(script: str, *arguments: str, threads: int = 1) -> dict[str, Any]:
    """Run a benchmark in a process of its own with this many BLAS threads; it prints one JSON line last."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, env=environment(threads), check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def record(name: str, figures: dict[str, Any]) -> None:
    """Write results/<name>.json with the machine and the commit, and print the figures."""
    write(RESULTS / f"{name}.json", {**about(), "figures": figures})
    width = max(map(len, figures))
    for key, value in figures.items():
        print(f"{key:<{width}}  {value}")


def write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def about() -> dict[str, Any]:
    """Where, with what and when something was measured."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {
        "machine": {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "numpy": np.__version__,
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else ""),
        "date": time.strftime("%Y-%m-%d"),
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
