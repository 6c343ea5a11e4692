"""What layers say of themselves, so that nets may run them in place or let go of data: checked to be true."""

from __future__ import annotations

import numpy as np

from pycaffe_lite.testing._promises import close, places, promise, same_gradients
from pycaffe_lite.testing.cases import Bench, LayerCase


def check_in_place(case: LayerCase) -> None:
    """Written in place, a layer gives what it gives out of place; where it may run so, it does."""
    bench = Bench(case)
    layer = bench.layer
    if not (case.bottoms and case.tops) or bench.node.tops[0].shape != bench.node.bottoms[0].shape or type(layer).views:
        return
    if case.type == "Python" and not layer.may_run_in_place():
        return
    placed = Bench(case, in_place=True)
    says, does = layer.may_run_in_place(), placed.node.tops[0] is placed.node.bottoms[0]
    promise(case, says == does, f"may_run_in_place() is {says}, the net runs it in place: {does}")
    for got, want in zip(placed.forward(), bench.forward(), strict=True):
        close(case, got, want, "forward gives the same in place")
    if bench.has_backward:
        # Poison in the bottom's diff would be poison in the top's.
        same_gradients(
            case, placed.backward(poison=False), bench.backward(), "in place", bottoms=places(bench.node.propagate_down)
        )


def check_reads(case: LayerCase) -> None:
    """What a layer says its backward does not read may be anything by then."""
    bench = Bench(case)
    if not bench.has_backward:
        return
    want = bench.gradients()
    for reads, blobs, noun in (
        (bench.layer.backward_reads_bottom_data(), bench.node.bottoms, "bottom"),
        (bench.layer.backward_reads_top_data(), bench.node.tops, "top"),
    ):
        if reads:
            continue
        bench.fill()
        bench.forward()
        bench.net.clear_param_diffs()
        for blob in blobs:
            blob.data[...] = np.nan
        same_gradients(
            case,
            bench.backward(),
            want,
            f"after the {noun} data, said to be unread, were destroyed",
            bottoms=places(bench.node.propagate_down),
        )


def check_signs(case: LayerCase) -> None:
    """needs_only_signs: data of the same signs give the same gradients, any data where the tops' gradients are 0.
    keeps_signs, of a layer that runs in place: where a gradient comes through, top and bottom have one sign.
    """
    bench = Bench(case)
    facts = type(bench.layer)
    if not bench.has_backward:
        return
    rng = np.random.default_rng(3)
    if facts.needs_only_signs:
        bench.forward()
        bench.give_top_gradients()
        top, bottom = bench.node.tops[0], bench.node.bottoms[0]
        top.diff[...] *= rng.random(top.shape) < 0.7
        found = []
        for _ in range(2):
            bench.net.clear_param_diffs()
            bench.net._backward(bench.node.index, 0)
            found.append([bottom.diff.copy(), *(p.diff.copy() for p in bench.layer.blobs)])
            for blob in (top, bottom):
                blob.data[...] *= rng.uniform(0.1, 10, blob.shape)
                np.copyto(blob.data, rng.uniform(-1, 1, blob.shape), where=top.diff == 0)
        for got, want in zip(*found, strict=True):
            close(case, got, want, "needs_only_signs: data of the same signs give the same gradient")
    if facts.keeps_signs and bench.layer.may_run_in_place():
        bench.fill()
        (y,) = bench.forward()
        through = bench.backward().bottoms[0] != 0
        same = np.sign(y) == np.sign(bench.node.bottoms[0].data)
        promise(case, same[through].all(), "keeps_signs: top and bottom have one sign where a gradient comes through")
