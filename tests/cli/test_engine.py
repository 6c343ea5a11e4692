"""Each verb that computes says with what, in how many threads, and why."""

from __future__ import annotations

import pytest

import pycaffe_lite as caffe
from pycaffe_lite import engines

from .conftest import Cli, messages


@pytest.mark.parametrize("verb", ["time", "test", "train"])
@pytest.mark.parametrize("name", engines.ENGINES)
def test_first_lines(project: object, cli: Cli, monkeypatch: pytest.MonkeyPatch, verb: str, name: str) -> None:
    try:
        engines._load(name, "")
    except caffe.errors.MissingPackageError as e:
        pytest.skip(str(e))
    monkeypatch.setattr(engines, "_chosen", None)
    monkeypatch.setenv(engines.VARIABLE, name)
    net = caffe.Net("net.prototxt", caffe.TEST)
    net.save("w.caffemodel")
    net.close()
    arguments = {
        "time": ["--model=net.prototxt", "--iterations=1"],
        "test": ["--model=net.prototxt", "--weights=w.caffemodel", "--iterations=1"],
        "train": ["--solver=solver.prototxt"],
    }
    result = cli(verb, *arguments[verb])
    assert result.status == 0
    said = messages(result.err, "_engine.py")
    assert said == [f"Computes with {engines.describe()}", f"Threads: {engines.describe_threads()}"]
    assert f"({engines.VARIABLE})" in said[0]
    assert result.err.index("Computes with") < result.err.index("Creating Layer")
    if name == "onednn":
        assert "oneDNN 3." in said[0]
        assert "libdnnl" in said[0]
        assert "Threads: onednn " in said[1]


def test_device_query(cli: Cli) -> None:
    said = messages(cli("device-query").err, "device_query.py")
    assert said[3].startswith(f"Computes with: {engines.describe()}, Python 3.")
    assert said[4:] == [f"Threads: {engines.describe_threads()}"]
