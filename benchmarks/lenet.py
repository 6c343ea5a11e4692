"""LeNet at batch 64: forward and backward, the update, memory while training, and the time to import.

    python benchmarks/lenet.py

Forward and backward take 0.88 GFLOP, and are timed as a solver's step does them, clearing the gradients included. Each
round times numpy's own SGEMM right beside the net; the ratio says how many times longer the net takes than its
arithmetic would at that rate (BVLC Caffe: 2.1 to 2.4). Either engine, one and two threads, a process for each.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

from measure import ROOT, Gemm, child, median, peak_memory, record, seconds, settle

FLOP = 0.88e9
ROUNDS = 200


def rounds() -> dict[str, float]:
    """Medians over ROUNDS rounds of: SGEMM, forward and backward, update."""
    import pycaffe_lite as caffe

    solver = _solver(caffe)
    gemm = Gemm()
    solver.step(5)
    passes, updates, rates, ratios = [], [], [], []
    several = os.environ["OPENBLAS_NUM_THREADS"] != "1"
    for _ in range(ROUNDS):
        gemm_seconds = gemm.seconds()
        if several:
            settle()
        passed = seconds(lambda: (solver._start(), solver._gradients()))
        updates.append(seconds(solver.apply_update))
        gemm_seconds = min(gemm_seconds, gemm.seconds())
        rates.append(Gemm.rate(gemm_seconds))
        passes.append(passed)
        ratios.append(passed * rates[-1] / FLOP)
    return {
        "sgemm_gflops": median(rates) / 1e9,
        "forward_backward_ms": median(passes) * 1e3,
        "update_ms": median(updates) * 1e3,
        "ratio": median(ratios),
        "best_ratio": min(ratios),
    }


def memory() -> dict[str, float]:
    """Peak memory of a process that trains for 200 iterations."""
    import pycaffe_lite as caffe

    solver = _solver(caffe)
    solver.step(200)
    return {"peak_mb": peak_memory() / 1e6}


def import_time() -> dict[str, float]:
    return {"ms": seconds(lambda: __import__("pycaffe_lite")) * 1e3}


def _solver(caffe):
    """LeNet's own solver on built-in digits."""
    from pycaffe_lite.data.digits import write_digits_lmdb

    folder = Path(tempfile.mkdtemp())
    write_digits_lmdb(str(folder), train=1000, test=100)
    os.chdir(folder)
    net = (ROOT / "models/lenet/lenet_train_test.prototxt").read_text().replace("mnist_", "digits_")
    Path("net.prototxt").write_text(net)
    text = (ROOT / "models/lenet/lenet_solver.prototxt").read_text().replace("lenet_train_test", "net")
    Path("solver.prototxt").write_text(text.replace("display: 100", "display: 0") + "\ntest_initialization: false\n")
    return caffe.get_solver("solver.prototxt")


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps({"rounds": rounds, "memory": memory, "import": import_time}[sys.argv[1]]()))
        return
    figures: dict[str, object] = {}
    for engine, threads in itertools.product(("numpy", "onednn"), (1, 2)):
        os.environ["PYCAFFE_LITE_ENGINE"] = engine
        result = child(__file__, "rounds", threads=threads)
        name = f"{engine}, {threads} thread{'s' * (threads > 1)}"
        figures[f"{name}: SGEMM"] = f"{result['sgemm_gflops']:.0f} GFLOP/s"
        figures[f"{name}: forward and backward"] = (
            f"{result['forward_backward_ms']:.1f} ms, {result['ratio']:.2f} times its arithmetic at the SGEMM rate"
        )
        figures[f"{name}: update"] = f"{result['update_ms']:.2f} ms"
        figures[f"{name}: peak memory, training"] = f"{child(__file__, 'memory', threads=threads)['peak_mb']:.0f} MB"
    imports = [child(__file__, "import")["ms"] for _ in range(11)]
    figures["import pycaffe_lite"] = f"{median(imports):.0f} ms"
    record("lenet", figures)


if __name__ == "__main__":
    main()
