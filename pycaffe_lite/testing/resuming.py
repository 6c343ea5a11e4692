"""Going on from a snapshot: what a layer remembers is all that it needs."""

from __future__ import annotations

from pycaffe_lite.solvers import resume
from pycaffe_lite.testing._promises import promise, unchanged
from pycaffe_lite.testing.cases import Bench, LayerCase

_PASSES = 2


def check_resume(case: LayerCase) -> None:
    """In another net, with its blobs and its `resume_state`, a layer goes on as if it had never stopped."""
    stopped, resumed = Bench(case), Bench(case)
    for _ in range(_PASSES):
        stopped.net._forward(0, stopped.node.index)
    try:
        text = resume.to_json(resume.layer_states(stopped.net))
    except (TypeError, ValueError) as e:
        promise(case, False, f"resume_state is made of numbers, strings, lists, dicts and arrays: {e}")
    for mine, theirs in zip(resumed.layer.blobs, stopped.layer.blobs, strict=True):
        mine.data[...] = theirs.data
    resume.set_layer_states(resumed.net, resume.from_json(text))
    for bench in (stopped, resumed):
        bench.net._forward(0, bench.node.index)
    got, want = ([top.data for top in bench.node.tops] for bench in (resumed, stopped))
    unchanged(case, got, want, f"after {_PASSES} passes and a snapshot, another net goes on with the same bits")
