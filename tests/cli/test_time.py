from __future__ import annotations

import re
from pathlib import Path

from .conftest import Cli, messages


def test_caffes_lines(project: Path, cli: Cli, engine: str) -> None:
    result = cli("time", "--model=net.prototxt", "--iterations=3", "--phase=TEST")
    assert result.status == 0
    lines = messages(result.err, "time.py")
    benchmark = lines[lines.index("*** Benchmark begins ***") : lines.index("*** Benchmark ends ***")]
    assert benchmark[1] == "Testing for 3 iterations."
    for i in range(1, 4):
        assert re.fullmatch(rf"Iteration: {i} forward-backward time: \S+ ms\.", benchmark[1 + i])
    start = benchmark.index("Average time per layer: ") + 1
    layers = [
        "images",
        "label_images_1_split",
        "ip1",
        "relu1",
        "a_long_layer_name",
        "ip2_a_long_layer_name_0_split",
        "accuracy",
        "loss",
    ]
    width = max(map(len, layers))
    times = benchmark[start : start + 2 * len(layers)]
    for i, name in enumerate(layers):
        assert re.fullmatch(rf"{name:>{width}}\tforward: \S+ ms\.", times[2 * i])
        assert re.fullmatch(rf"{name:>{width}}\tbackward: \S+ ms\.", times[2 * i + 1])
    totals = benchmark[start + 2 * len(layers) :]
    if engine == "onednn":
        ours = r"Average Forward pass in one piece \(1 layer in others' passes\): \S+ ms\."
        assert re.fullmatch(ours, totals.pop())
    for words, line in zip(
        ("Average Forward pass", "Average Backward pass", "Average Forward-Backward", "Total Time"), totals, strict=True
    ):
        assert re.fullmatch(rf"{words}: \S+ ms\.", line)


def test_the_sums_are_those_of_the_layers(project: Path, cli: Cli) -> None:
    err = cli("time", "--model=net.prototxt", "--iterations=4").err
    for word, total in (("forward", "Average Forward pass"), ("backward", "Average Backward pass")):
        layers = [float(ms) for ms in re.findall(rf"\t{word}: (\S+) ms", err)]
        assert sum(layers) > 0
        assert abs(sum(layers) - float(re.findall(rf"{total}: (\S+) ms", err)[0])) < 1e-3


def test_layers_of_the_other_phase_are_left_out(project: Path, cli: Cli) -> None:
    assert "accuracy\tforward" not in cli("time", "--model=net.prototxt", "--iterations=1").err


def test_minloglevel(project: Path, cli: Cli) -> None:
    result = cli("time", "--model=net.prototxt", "--iterations=1", "--minloglevel=1")
    assert (result.status, result.err) == (0, "")


def test_gpu_is_accepted_and_said_not_to_be_there(project: Path, cli: Cli) -> None:
    result = cli("time", "--model=net.prototxt", "--iterations=1", "--minloglevel=1", "-gpu", "0,1")
    assert result.status == 0
    assert "There is no GPU engine" in result.err


def test_memory_beside_time(project: Path, cli: Cli) -> None:
    lines = messages(cli("time", "--model=net.prototxt", "--iterations=1").err, "time.py")
    memory, peak = lines[lines.index("*** Benchmark ends ***") + 1 :]
    assert re.fullmatch(
        r"Memory: data \d+ bytes, gradients [1-9]\d* bytes, parameters 1\.0 KiB, parameter gradients 1\.0 KiB, "
        r"working memory .*",
        memory,
    )
    assert re.fullmatch(r"The process's peak: \S+ [MG]iB", peak)


def test_reusing_memory(project: Path, cli: Cli) -> None:
    result = cli("time", "--model=net.prototxt", "--iterations=1", "--reuse-memory")
    assert result.status == 0
    assert "accuracy\tforward" in result.err, "the phase is TEST"
    assert "Performing Backward" not in result.err
    assert "Average Backward pass: 0 ms." in result.err
    assert "gradients 0 bytes" in result.err
    assert "Memory required for data, reused" in result.err
    result = cli("time", "--model=net.prototxt", "--phase=TRAIN", "--reuse-memory")
    assert (result.status, "reuse_memory=True is for nets in phase TEST" in result.error) == (1, True)
