"""The library's threads, where processes are forked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pycaffe_lite

FORKING = """
import multiprocessing, sys
import pycaffe_lite as caffe

caffe.set_engine("onednn")
net = caffe.Net(sys.argv[1], caffe.TEST, seed=1)

def output(value):
    net.blobs["x"].data[...] = value
    return float(net.forward()["conv"].sum())

wanted = [output(value) for value in range(4)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(output, range(4)) == wanted
assert [output(value) for value in range(4)] == wanted
"""
NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 16 dim: 30 dim: 30 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
        convolution_param { num_output: 32 kernel_size: 3 weight_filler { type: "xavier" } } }
"""


@pytest.mark.usefixtures("onednn")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_forked_processes_compute_too(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, "net.prototxt"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": str(Path(pycaffe_lite.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
