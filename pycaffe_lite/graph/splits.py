"""Split insertion: a blob that several layers read gets a Split layer, so that its gradients are summed.

Names are Caffe's: blob `pool1` of layer `pool1`, top 0, read twice, is followed by the layer `pool1_pool1_0_split` with
the tops `pool1_pool1_0_split_0` and `pool1_pool1_0_split_1`. A loss_weight on such a top counts as one more reader and
moves to the split's top 0.

Difference from Caffe: the other loss weights of the layer are kept, and a loss that was split does not count twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from pycaffe_lite.errors import GraphError, did_you_mean
from pycaffe_lite.graph.select import LayerSpec
from pycaffe_lite.proto import caffe_pb2 as pb

_Top = tuple[int, int]  # (layer, top) that makes a version of a blob


def insert_splits(specs: Sequence[LayerSpec]) -> list[LayerSpec]:
    """The layers with Splits added; messages that change are copies.

    Raises GraphError for a bottom that no earlier layer makes.
    """
    source, readers = _count_readers(specs)
    used: dict[_Top, int] = defaultdict(int)
    result = []
    for i, spec in enumerate(specs):
        message = pb.LayerParameter()
        message.CopyFrom(spec.message)
        for j, blob in enumerate(message.bottom):
            top = source[i, j]
            if readers[top] > 1:
                message.bottom[j] = _split_top(specs, top, blob, used[top])
                used[top] += 1
        result.append(LayerSpec(message, spec.path, spec.positions))
        for j, blob in enumerate(spec.message.top):
            top = (i, j)
            if readers[top] <= 1:
                continue
            name = _split_name(specs, top, blob)
            split = pb.LayerParameter(name=name, type="Split", bottom=[blob])
            split.top.extend(_split_top(specs, top, blob, k) for k in range(readers[top]))
            weight = _loss_weight(spec.message, j)
            if weight:
                split.loss_weight.extend([weight] + [0.0] * (readers[top] - 1))
                message.loss_weight[j] = 0.0
                used[top] += 1
            result.append(LayerSpec(split))
    return result


def _count_readers(specs: Sequence[LayerSpec]) -> tuple[dict[tuple[int, int], _Top], dict[_Top, int]]:
    """For each (layer, bottom) the top it reads, and for each top how many read it."""
    latest: dict[str, _Top] = {}
    source: dict[tuple[int, int], _Top] = {}
    readers: dict[_Top, int] = defaultdict(int)
    for i, spec in enumerate(specs):
        for j, blob in enumerate(spec.message.bottom):
            if blob not in latest:
                raise _unknown_bottom(specs, i, j, latest)
            source[i, j] = latest[blob]
            readers[latest[blob]] += 1
        for j, blob in enumerate(spec.message.top):
            latest[blob] = (i, j)
            readers[i, j] += _loss_weight(spec.message, j) != 0
    return source, readers


def _unknown_bottom(specs: Sequence[LayerSpec], i: int, index: int, known: dict[str, _Top]) -> GraphError:
    spec, name = specs[i], specs[i].message.bottom[index]
    maker = next((s.message.name for s in specs[i + 1 :] if name in s.message.top), None)
    if maker is not None:
        hint = f"Layer '{maker}' makes it, too late: layers run in the file's order, without loops."
    else:
        hint = did_you_mean(name, known) or "No layer before this one makes it in this phase."
    found = f"Unknown bottom blob '{name}' (bottom index {index})"
    return spec.blame(GraphError(found, field=f"bottom[{index}]", hint=hint))


def _loss_weight(message: pb.LayerParameter, top: int) -> float:
    return message.loss_weight[top] if top < len(message.loss_weight) else 0.0


def _split_name(specs: Sequence[LayerSpec], top: _Top, blob: str) -> str:
    return f"{blob}_{specs[top[0]].message.name}_{top[1]}_split"


def _split_top(specs: Sequence[LayerSpec], top: _Top, blob: str, k: int) -> str:
    return f"{_split_name(specs, top, blob)}_{k}"
