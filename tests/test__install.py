"""`import caffe` in programs that call install_as_caffe, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Python = Callable[[str], str]
ROOT = Path(__file__).parents[1]


@pytest.fixture
def python(tmp_path: Path) -> Python:
    def run(code: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_every_module_is_ours_and_loaded_once(python: Python) -> None:
    python("""
import sys, pycaffe_lite
pycaffe_lite.install_as_caffe()
pycaffe_lite.install_as_caffe()
assert "caffe" in sys.modules
import caffe, caffe.io, caffe.net_spec, caffe.pycaffe, caffe.classifier, caffe.detector, caffe.coord_map, caffe._caffe
import caffe.proto.caffe_pb2
from caffe import layers as L, params as P, to_proto
from caffe.proto import caffe_pb2
from caffe.io import Transformer
from caffe.net_spec import NetSpec
assert caffe is pycaffe_lite
assert caffe_pb2 is pycaffe_lite.proto.caffe_pb2
assert NetSpec is caffe.NetSpec and L is caffe.layers and Transformer is caffe.io.Transformer
for name in ("io", "coord_map", "_caffe", "net_spec"):
    module = getattr(caffe, name)
    assert module is sys.modules["pycaffe_lite." + name] is sys.modules["caffe." + name], name
    assert module.__name__ == module.__spec__.name == "pycaffe_lite." + name
import pycaffe_lite.layers.relu
assert caffe.layers is L
import copy, pickle, importlib.util
assert importlib.util.find_spec("caffe").origin == pycaffe_lite.__file__
assert isinstance(pickle.loads(pickle.dumps(caffe.io.Transformer({"x": (1, 3, 2, 2)}))), Transformer)
""")


def test_it_has_pycaffes_modules_and_no_others(python: Python) -> None:
    out = python("""
import pycaffe_lite
pycaffe_lite.install_as_caffe()
for name in ("caffe.blob", "caffe.layers", "caffe.model_libs", "caffe.proto.nothing"):
    try:
        __import__(name)
    except ModuleNotFoundError as e:
        assert e.name == name
        print(e)
assert isinstance(pycaffe_lite.layers, pycaffe_lite.net_spec.Layers)
""")
    assert out.splitlines()[0] == "No module named 'caffe.blob'"
    assert "No module named 'caffe.model_libs': it is the SSD fork's, not pycaffe's" in out.splitlines()
    assert len(out.splitlines()) == 4


def test_a_caffe_that_was_imported_before_is_not_replaced(python: Python, tmp_path: Path) -> None:
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text("real = True")
    out = python("""
import caffe, pycaffe_lite
try:
    pycaffe_lite.install_as_caffe()
except pycaffe_lite.CaffeError as e:
    print(e)
import caffe
assert caffe.real
""")
    assert "Another caffe has been imported already, from " in out
    assert f"{Path('caffe', '__init__.py')}. Call pycaffe_lite.install_as_caffe() before" in out


def test_a_caffe_that_is_installed_is_hidden_with_a_warning(python: Python, tmp_path: Path) -> None:
    (tmp_path / "caffe").mkdir()
    (tmp_path / "caffe" / "__init__.py").write_text("raise SystemExit('imported')")
    out = python("""
import pycaffe_lite
pycaffe_lite.init_log(1)
pycaffe_lite.install_as_caffe()
import caffe
assert caffe is pycaffe_lite
""")
    assert "'import caffe' gives pycaffe_lite, not the caffe in " in out
    assert str(tmp_path / "caffe" / "__init__.py") in out


def test_a_folder_of_that_name_is_no_caffe(python: Python, tmp_path: Path) -> None:
    (tmp_path / "caffe").mkdir()
    assert python("import pycaffe_lite as p; p.init_log(1); p.install_as_caffe(); import caffe; caffe.Net") == ""
