"""How fast weights load: a caffemodel with CaffeNet's shapes, 244 MB, against the time to read the file, and memory.

    python benchmarks/load_weights.py

Each measurement has a process of its own, and the file is in the system's cache. Peak memory is what the process takes
for the built net with its weights loaded, above what it had after importing, in multiples of the file's size: 1 is the
weights themselves.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from measure import child, median, peak_memory, record, seconds

RUNS = 7
CONVOLUTIONS = {  # name: (num_output, kernel_size, group, pad, stride)
    "conv1": (96, 11, 1, 0, 4),
    "conv2": (256, 5, 2, 2, 1),
    "conv3": (384, 3, 1, 1, 1),
    "conv4": (384, 3, 2, 1, 1),
    "conv5": (256, 3, 2, 1, 1),
}
POOLED = ("conv1", "conv2", "conv5")
PRODUCTS = {"fc6": 4096, "fc7": 4096, "fc8": 1000}


def prototxt() -> str:
    """The layers of CaffeNet that have weights, and those that give them their shapes."""
    text = 'name: "shapes of CaffeNet" input: "data" input_shape { dim: [1, 3, 227, 227] }\n'
    bottom = "data"
    for name, (outputs, kernel, group, pad, stride) in CONVOLUTIONS.items():
        text += (
            f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{ '
            f"num_output: {outputs} kernel_size: {kernel} group: {group} pad: {pad} stride: {stride} }} }}\n"
        )
        bottom = name
        if name in POOLED:
            bottom = f"pool_{name}"
            text += f'layer {{ name: "{bottom}" type: "Pooling" bottom: "{name}" top: "{bottom}" '
            text += "pooling_param { kernel_size: 3 stride: 2 } }\n"
    for name, outputs in PRODUCTS.items():
        text += f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" '
        text += f"inner_product_param {{ num_output: {outputs} }} }}\n"
        bottom = name
    return text


def make(folder: str) -> dict[str, float]:
    """Write net.prototxt and net.caffemodel."""
    import numpy as np

    import pycaffe_lite as caffe

    (Path(folder) / "net.prototxt").write_text(prototxt())
    net = caffe.Net(f"{folder}/net.prototxt", caffe.TEST)
    weights = net.learnable.data.array()
    weights[...] = np.random.default_rng(0).standard_normal(len(weights), np.float32)
    net.save(f"{folder}/net.caffemodel")
    return {"bytes": (Path(folder) / "net.caffemodel").stat().st_size}


def load(folder: str) -> dict[str, float]:
    """Seconds to build the net and to load; peak memory in bytes."""
    import pycaffe_lite as caffe

    caffe.Net  # noqa: B018 - imports what is imported lazily
    before = peak_memory()
    nets = []
    build = seconds(lambda: nets.append(caffe.Net(f"{folder}/net.prototxt", caffe.TEST)))
    loading = seconds(lambda: nets[0].copy_from(f"{folder}/net.caffemodel"))
    peak = peak_memory() - before
    again = seconds(lambda: nets[0].copy_from(f"{folder}/net.caffemodel"))
    return {"build": build, "load": loading, "load_again": again, "peak": peak}


def read(folder: str) -> dict[str, float]:
    """Seconds to read the file's bytes into memory of one's own."""
    return {"read": seconds(Path(f"{folder}/net.caffemodel").read_bytes)}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps({"make": make, "load": load, "read": read}[sys.argv[1]](sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = child(__file__, "make", folder)["bytes"]
        reads, loads = [], []
        for _ in range(RUNS):
            reads.append(child(__file__, "read", folder)["read"])
            loads.append(child(__file__, "load", folder))
    reading, loading = median(reads), median([run["load"] for run in loads])
    record(
        "load_weights",
        {
            "file": f"{size / 1e6:.0f} MB",
            "reading the file": f"{reading * 1e3:.0f} ms",
            "loading it into a new net": f"{loading * 1e3:.0f} ms, {loading / reading:.2f} times reading",
            "loading it again": f"{median([run['load_again'] for run in loads]) * 1e3:.0f} ms",
            "building the net before": f"{median([run['build'] for run in loads]) * 1e3:.0f} ms",
            "peak memory of net and loading": f"{max(run['peak'] for run in loads) / size:.2f} times the file",
        },
    )


if __name__ == "__main__":
    main()
