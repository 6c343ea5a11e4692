"""Reading golden files, and running our nets on what Caffe was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pycaffe_lite import Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text

Arrays = dict[str, npt.NDArray[Any]]
FOLDER = Path(__file__).parent


def grouped(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays whose key begins with prefix/, by the rest of the key."""
    return {k.removeprefix(prefix + "/"): v for k, v in arrays.items() if k.startswith(prefix + "/")}


@dataclass
class Golden:
    """One one-layer net: what goes in (`inputs`, `params`, `top_diffs`) and what Caffe got from it (`expected`)."""

    prototxt: str
    phase: int
    type: str
    forward_only: bool
    wanted_diffs: list[str]
    inputs: Arrays = field(repr=False)
    params: Arrays = field(repr=False)
    top_diffs: Arrays = field(repr=False)
    expected: Arrays = field(repr=False)


def golden_cases(type_name: str) -> Iterator[Golden]:
    with np.load(FOLDER / "layers" / f"{type_name}.npz") as file:
        arrays = dict(file)
    for n in range(int(arrays["count"])):
        case = grouped(arrays, str(n))
        meta = json.loads(str(case.pop("meta")))
        inputs = grouped(case, "in")
        chosen = meta.get("diff_of")
        yield Golden(
            prototxt=meta["prototxt"],
            phase=meta["phase"],
            type=meta["type"],
            forward_only=bool(meta.get("forward_only")),
            wanted_diffs=[k for k in inputs if k not in meta["nodiff"]] if chosen is None else chosen,
            inputs=inputs,
            params=grouped(case, "param"),
            top_diffs=grouped(case, "topdiff"),
            expected={k: v for k, v in case.items() if k.split("/")[0] in ("out", "after", "indiff", "paramdiff")},
        )


def computed(golden: Golden) -> Arrays:
    """What we get from the same, by the same keys. Parameters' gradients start at one, bottoms' at NaN."""
    message, positions = parse_text(golden.prototxt, pb.NetParameter)
    message.state.phase = golden.phase  # type: ignore[assignment]
    net = Net.from_message(message, positions)
    params = {f"{name}/{j}": blob for name, blobs in net.params.items() for j, blob in enumerate(blobs)}
    assert params.keys() == golden.params.keys()
    for key, blob in params.items():
        blob.data[...] = golden.params[key]
        blob.diff[...] = 1
    for key, value in golden.inputs.items():
        net.blobs[key].data[...] = value
    for key in [] if golden.forward_only else golden.wanted_diffs:
        net.blobs[key].diff[...] = np.nan

    net.forward()
    tops = [name for name in net.outputs if name not in golden.inputs]
    result = {f"out/{name}": net.blobs[name].data.copy() for name in tops}
    result.update((f"after/{key}", blob.data.copy()) for key, blob in params.items())
    if not golden.forward_only:
        if "Loss" not in golden.type:
            for name in tops:
                net.blobs[name].diff[...] = golden.top_diffs[name]
        net.backward()
        result.update((f"indiff/{name}", net.blobs[name].diff.copy()) for name in golden.wanted_diffs)
        result.update((f"paramdiff/{key}", blob.diff - np.float32(1)) for key, blob in params.items())
    return result


def assert_close(got: Arrays, want: Arrays, tolerance: float, at_least: float) -> None:
    """Every wanted array is there, in shape, in float32, and as close as `tolerance` times its largest number."""
    for key, expected in want.items():
        assert key in got, f"{key} is missing"
        assert got[key].shape == expected.shape, key
        assert got[key].dtype == np.float32, key
        scale = max(at_least, float(np.abs(expected).max(initial=0)))
        error = np.abs(got[key] - expected).max(initial=0) / scale
        assert error <= tolerance, f"{key} is off by {error:.2e}"
