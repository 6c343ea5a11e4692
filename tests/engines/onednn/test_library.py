"""The library's threads: how many there are, and where processes are forked."""

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
COUNTING = """
import os, sys
import numpy as np
import pycaffe_lite as caffe

def run():
    net.forward()
    net.blobs["conv"].diff[...] = net.blobs["conv"].data
    net.clear_param_diffs()
    net.backward()
    return [net.blobs["conv"].data.copy(), net.blobs["x"].diff.copy(), net.params["conv"][0].diff.copy()]

def threads():
    return len(os.listdir("/proc/self/task"))

caffe.set_num_threads(1)  # before there is a library
before = threads()
caffe.set_engine("onednn")
net = caffe.Net(sys.argv[1], caffe.TRAIN, seed=1)
net.blobs["x"].data[...] = np.random.default_rng(0).normal(size=net.blobs["x"].shape)
of_one = run()
assert net.layer_dict["conv"]._primitives is not None
assert threads() == before, "one thread was asked for"
caffe.set_num_threads(2)  # of a net that there is
before = threads()  # numpy's has come
for some in of_one, run():
    for a, b in zip(of_one, some, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
assert threads() == before + 1, "two were asked for"
caffe.set_num_threads(1)
for a, b in zip(of_one, run(), strict=True):
    np.testing.assert_array_equal(a, b)
"""
NET = """
force_backward: true
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 16 dim: 30 dim: 30 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
        convolution_param { num_output: 32 kernel_size: 3 weight_filler { type: "xavier" } } }
"""


def in_a_process_of_its_own(script: str, folder: Path, **environment: str) -> None:
    (folder / "net.prototxt").write_text(NET)
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, "net.prototxt"],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(Path(pycaffe_lite.__file__).parents[1]), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("onednn")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_forked_processes_compute_too(tmp_path: Path) -> None:
    in_a_process_of_its_own(FORKING, tmp_path, OMP_NUM_THREADS="2")


@pytest.mark.usefixtures("onednn")
@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads cannot be counted here")
def test_as_many_threads_as_asked_for(tmp_path: Path) -> None:
    """Before there is a library, and of a net that has computed with another number."""
    pytest.importorskip("threadpoolctl")
    in_a_process_of_its_own(COUNTING, tmp_path, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="2")


SIGNALS = """
import ctypes, signal, sys, time
import numpy as np
import pycaffe_lite as caffe
from pycaffe_lite.proto import caffe_pb2
from google.protobuf import text_format

caffe.set_engine("onednn")
net = caffe.Net.from_message(text_format.Parse('''
    state { phase: TRAIN }
    layer { name: "x" type: "Input" top: "x" top: "t" input_param { shape { dim: 64 dim: 800 } shape { dim: 64 } } }
    layer { name: "ip1" type: "InnerProduct" bottom: "x" top: "ip1"
            inner_product_param { num_output: 500 weight_filler { type: "xavier" } } }
    layer { name: "relu" type: "ReLU" bottom: "ip1" top: "ip1" }
    layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "y"
            inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" }''', caffe_pb2.NetParameter()))
net.blobs["x"].data[...] = np.random.default_rng(1).normal(size=(64, 800))
seen = []
signal.signal(signal.SIGALRM, lambda *args: seen.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
end = time.monotonic() + 2
while time.monotonic() < end:
    net._passes.forward_backward()
signal.setitimer(signal.ITIMER_REAL, 0)
from pycaffe_lite.engines.onednn._library import NO_STACK, _Stack
stack = _Stack()
ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
print("fine" if len(seen) > 50 and not stack.flags & NO_STACK else (len(seen), stack.flags))
"""
"""What a handler's frame destroys is mostly missed by nobody: so it is asked for the stack, too."""


@pytest.mark.skipif(sys.platform != "linux", reason="the stack is Linux's")
def test_signals_destroy_no_memory() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SIGNALS], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
