from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.cli import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_every_verb_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    verbs = set(re.findall(r"^    ([a-z-]+)(?:  |$)", capsys.readouterr().out, re.MULTILINE))
    assert len(verbs) >= 7
    assert verbs == set(re.findall(r"^pycaffe-lite ([a-z-]+)", README, re.MULTILINE))


def test_the_layer_of_the_example_computes_and_passes_its_gradient_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = next(b for b in blocks if b.startswith("class Half"))
    (tmp_path / "readme_layer.py").write_text("import pycaffe_lite as caffe\n" + code)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "net.prototxt").write_text("""
        force_backward: true
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "half" type: "Python" bottom: "x" top: "y"
                python_param { module: "readme_layer" layer: "Half" param_str: "0.5" } }""")
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TRAIN)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(net.forward(x=x)["y"], x / 2)
    np.testing.assert_array_equal(net.backward(y=x)["x"], x / 2)
