from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe

from .conftest import NET, Cli, messages


def save_weights() -> None:
    net = caffe.Net("net.prototxt", caffe.TRAIN, seed=4)
    net.save("w.caffemodel")
    net.close()


def test_caffes_lines_and_their_values(project: Path, cli: Cli) -> None:
    save_weights()
    result = cli("test", "--model=net.prototxt", "--weights=w.caffemodel", "--iterations=3")
    assert result.status == 0

    net = caffe.Net("net.prototxt", caffe.TEST, weights="w.caffemodel")
    scores = []
    for _ in range(3):
        net.forward()
        scores.append((float(net.blobs["accuracy"].data), float(net.blobs["loss"].data)))
    net.close()
    expected = ["Running for 3 iterations."]
    for i, (accuracy, loss) in enumerate(scores):
        expected += [f"Batch {i}, accuracy = {accuracy:g}", f"Batch {i}, loss = {loss:g}"]
    accuracy, loss = np.mean(scores, axis=0)
    expected += [f"Loss: {2 * loss:g}", f"accuracy = {accuracy:g}", f"loss = {loss:g} (* 2 = {2 * loss:g} loss)"]
    assert messages(result.err, "test.py") == expected


def test_every_number_of_an_output_is_shown(project: Path, cli: Cli) -> None:
    save_weights()
    Path("net.prototxt").write_text(NET.replace('top: "accuracy"', 'top: "accuracy" top: "per_class"'))
    lines = messages(cli("test", "--model=net.prototxt", "--weights=w.caffemodel", "--iterations=2").err, "test.py")
    assert sum(line.startswith("Batch 1, per_class = ") for line in lines) == 3
    assert sum(line.startswith("per_class = ") for line in lines) == 3


def test_layers_without_weights_are_named(project: Path, cli: Cli) -> None:
    save_weights()
    Path("net.prototxt").write_text(NET.replace('"ip1" type', '"ip1_new" type'))
    result = cli("test", "--model=net.prototxt", "--weights=w.caffemodel", "--iterations=1", "--minloglevel=1")
    assert result.status == 0
    assert messages(result.err, "weights_io.py") == ["w.caffemodel has no weights for ip1_new: they are used untrained"]


def test_level_and_stages(project: Path, cli: Cli) -> None:
    save_weights()
    Path("net.prototxt").write_text(
        NET.replace("include { phase: TEST }", 'include { min_level: 2 stage: "all" stage: "scores" }')
    )
    common = ("test", "--model=net.prototxt", "--weights=w.caffemodel", "--iterations=1")
    assert "accuracy = " in cli(*common, "--level=2", "--stage=scores,all").err
    assert "accuracy = " not in cli(*common, "--level=1", "--stage=scores,all").err
    assert "accuracy = " not in cli(*common, "--level=2", "--stage=scores").err


@pytest.mark.parametrize("missing", ["--model", "--weights"])
def test_both_files_are_needed(cli: Cli, missing: str) -> None:
    given = [f"{option}=x" for option in ("--model", "--weights") if option != missing]
    result = cli("test", *given)
    assert result.status == 2
    assert missing in result.err


def test_reusing_memory_changes_no_score(project: Path, cli: Cli) -> None:
    save_weights()
    common = ("test", "--model=net.prototxt", "--weights=w.caffemodel", "--iterations=3")
    plain, reused = cli(*common).err, cli(*common, "--reuse-memory").err
    assert messages(plain, "test.py") == messages(reused, "test.py")
    assert "Memory required for data, reused" in reused
    assert "reused" not in plain
