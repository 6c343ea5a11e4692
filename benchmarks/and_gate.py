"""and_gate: a net so small that only the interpreter's overhead counts.

python benchmarks/and_gate.py
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
import tempfile

from measure import ROOT, child, median, record, seconds

ROUNDS = 30
STEPS = 200


def rounds() -> dict[str, float]:
    import pycaffe_lite as caffe

    folder = tempfile.mkdtemp()
    for name in ("and_gate_train_test.prototxt", "and_gate_solver.prototxt", "make_data.py"):
        shutil.copy(ROOT / "models/and_gate" / name, folder)
    os.chdir(folder)
    runpy.run_path("make_data.py")
    solver = caffe.get_solver("and_gate_solver.prototxt")
    net, last = solver.net, len(solver.net.layers) - 1
    solver.step(STEPS)

    def passes() -> None:
        for _ in range(STEPS):
            net._forward(0, last)
            net._backward(last, 0)

    steps = [seconds(lambda: solver.step(STEPS)) / STEPS for _ in range(ROUNDS)]
    passed = [seconds(passes) / STEPS for _ in range(ROUNDS)]
    return {"step_us": median(steps) * 1e6, "passes_us": median(passed) * 1e6, "layers": last + 1}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(rounds()))
        return
    result = child(__file__, "rounds")
    record(
        "and_gate",
        {
            "training step": f"{result['step_us']:.0f} µs, {1e6 / result['step_us']:,.0f} iterations/s",
            "of which forward and backward": f"{result['passes_us']:.0f} µs for {result['layers']} layers",
        },
    )


if __name__ == "__main__":
    main()
