"""Which engine a net's layers belong to, and how one is chosen."""

from __future__ import annotations

import ctypes
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import engines, threads
from pycaffe_lite.engines.onednn import _library
from pycaffe_lite.errors import EngineError, MissingPackageError, ParameterError

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 5 dim: 9 dim: 7 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
        convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "caffes" type: "Convolution" bottom: "x" top: "caffes"
        convolution_param { num_output: 6 kernel_size: 3 engine: CAFFE weight_filler { type: "xavier" } } }
layer { name: "cudnns" type: "Pooling" bottom: "x" top: "cudnns" pooling_param { kernel_size: 3 engine: CUDNN } }
layer { name: "absval" type: "AbsVal" bottom: "conv" top: "absval" }
"""


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(engines, "_chosen", None)
    monkeypatch.delenv(engines.VARIABLE, raising=False)
    engines._default.cache_clear()
    yield
    engines._default.cache_clear()


def failing(error: Exception) -> Callable[[str, str], None]:
    def load(name: str, whence: str) -> None:
        raise error

    return load


def make(tmp_path: Path) -> caffe.Net:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return caffe.Net(path, caffe.TEST, seed=1)


def of(net: caffe.Net) -> list[str]:
    return [node.engine for node in net._nodes]


@pytest.mark.usefixtures("onednn")
def test_onednn_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_chosen", None)
    assert caffe.engine() == "onednn"
    assert engines.describe().startswith("oneDNN 3.")
    assert "(the default where it is installed), numpy" in engines.describe()


def test_numpy_where_it_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engines, "_load", failing(MissingPackageError("It is not there", hint="Install it.")))
    assert caffe.engine() == "numpy"
    assert set(of(make(tmp_path))) == {""}
    assert engines.describe() == f"numpy {np.__version__} (It is not there. Install it)"


def test_numpy_and_a_warning_where_it_is_broken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engines, "_load", failing(EngineError("It cannot be loaded")))
    assert caffe.engine() == caffe.engine() == "numpy"
    assert engines.describe() == f"numpy {np.__version__} (It cannot be loaded)"
    assert [record.getMessage() for record in caplog.records] == ["Computes with numpy: It cannot be loaded"]


@pytest.mark.usefixtures("onednn")
def test_layers_of_the_chosen_engine(tmp_path: Path) -> None:
    net = make(tmp_path)
    engine = {node.name: node.engine for node in net._nodes}
    assert [engine[name] for name in ("x", "conv", "caffes", "cudnns", "absval")] == ["", "onednn", "", "onednn", ""]


@pytest.mark.usefixtures("onednn")
def test_the_summary_shows_who_runs_what(tmp_path: Path) -> None:
    lines = str(make(tmp_path).summary()).splitlines()
    assert next(line for line in lines if line.startswith("conv ")).rstrip().endswith("onednn")
    assert next(line for line in lines if line.startswith("absval ")).rstrip().endswith("numpy")


@pytest.mark.usefixtures("onednn")
def test_the_environment_chooses_what_set_engine_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_chosen", None)
    monkeypatch.setenv(engines.VARIABLE, "onednn")
    assert caffe.engine() == "onednn"
    assert engines.describe().startswith("oneDNN 3.")
    assert f"({engines.VARIABLE})" in engines.describe()
    caffe.set_engine("numpy")
    assert caffe.engine() == "numpy"
    assert engines.describe().endswith("(set_engine)")


def test_wrong_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"^There is no engine 'onednm'\. Did you mean 'onednn'\?$"):
        caffe.set_engine("onednm")
    monkeypatch.setenv(engines.VARIABLE, "cuda")
    with pytest.raises(EngineError, match=r"'cuda' \(PYCAFFE_LITE_ENGINE\)\. Known are numpy, onednn\.$"):
        caffe.engine()


def test_where_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_library, "_candidates", lambda: iter(()))
    with pytest.raises(MissingPackageError, match=r"libdnnl\.so\.3, is not installed\. Install it with: pip install"):
        _library.library.__wrapped__()


def test_where_the_library_is_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "libdnnl.so.3"
    path.write_text("no library")
    monkeypatch.setenv(_library.PATH_VARIABLE, str(path))
    with pytest.raises(
        EngineError, match=r"^The oneDNN library .*libdnnl\.so\.3 cannot be loaded: .*PYCAFFE_LITE_ONED"
    ):
        _library.library.__wrapped__()


def test_where_the_library_lacks_a_function() -> None:
    """As one that only looks like oneDNN."""
    library = object.__new__(_library.Library)
    library._functions, library._dll, library.path = {}, ctypes.CDLL(None), "libdnnl.so.3"
    with pytest.raises(EngineError, match=r"^The oneDNN library libdnnl\.so\.3 lacks dnnl_engine_create\. Set PYCAFFE"):
        library.function("engine_create")


@pytest.mark.parametrize("count", [0, -1, 1025, "2", 1.5])
def test_how_many_threads_there_may_be(count: Any) -> None:
    with pytest.raises(ParameterError, match=f"^The number of threads is {count!r}. It must be (from 1|a whole)"):
        caffe.set_num_threads(count)


@pytest.mark.usefixtures("onednn")
def test_threads_of_numpy_and_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    library = _library.library()
    before = library.threads
    for module, name in ((threads, "_chosen"), (engines, "_threads")):
        monkeypatch.setattr(module, name, getattr(module, name))
    with threadpoolctl.threadpool_limits():  # puts back numpy's
        try:
            for count in (2, 1):
                caffe.set_num_threads(count)
                assert library._openmp.omp_get_max_threads() == library.threads == count
                assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {count}
        finally:
            library.set_num_threads(before)


def test_threads_and_who_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    info = [
        {"user_api": "openmp", "internal_api": "openmp", "num_threads": 9, "version": None, "filepath": "/gomp.so"},
        {
            "user_api": "blas",
            "internal_api": "openblas",
            "num_threads": 3,
            "version": "0.3",
            "filepath": "/blas.so",
        },
    ]
    module = types.SimpleNamespace(threadpool_info=lambda: info, threadpool_limits=lambda count: None)
    monkeypatch.setitem(sys.modules, "threadpoolctl", module)
    monkeypatch.setattr(engines, "_chosen", "numpy")
    monkeypatch.setattr(engines, "_threads", None)
    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.setattr(engines, "ENGINES", ("numpy",))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    said = "numpy 3 ({}) with openblas 0.3, /blas.so"
    assert engines.describe_threads() == said.format("as many as there are cores")
    for ignored in ("many", "0", "-2"):
        monkeypatch.setenv("OMP_NUM_THREADS", ignored)
        assert engines.describe_threads() == said.format("as many as there are cores")
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert engines.describe_threads() == said.format("OMP_NUM_THREADS")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert engines.describe_threads() == said.format("OPENBLAS_NUM_THREADS")
    caffe.set_num_threads(3)
    assert engines.describe_threads() == said.format("set_num_threads")
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert engines.describe_threads() == "numpy's, which cannot be told without the package threadpoolctl"


@pytest.mark.usefixtures("onednn")
def test_threads_of_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_threads", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert re.match(r"onednn \d+ \(OMP_NUM_THREADS\)(; numpy .*)?$", engines.describe_threads())
