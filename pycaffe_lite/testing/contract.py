"""The contract that every layer keeps (see `pycaffe_lite.layer`), as checks over a layer case.

Each check takes a LayerCase and raises AssertionError, saying which promise was broken. `CHECKS` lists them by name;
`check_layer` runs all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pycaffe_lite.errors import MissingMethodError
from pycaffe_lite.testing._promises import close, places, promise, same_gradients, unchanged
from pycaffe_lite.testing.cases import Bench, LayerCase
from pycaffe_lite.testing.facts import check_in_place, check_reads, check_signs
from pycaffe_lite.testing.gradients import check_gradient
from pycaffe_lite.testing.refusals import check_arity, check_constraints
from pycaffe_lite.testing.resuming import check_resume


def check_layer(case: LayerCase) -> None:
    """Run every check on this case."""
    for check in CHECKS.values():
        check(case)


def check_shapes(case: LayerCase) -> None:
    """What infer_shapes says is what the tops have, for other numbers of items too; it touches no blob."""
    bench = Bench(case)
    for more in (0, 2) if case.resizable else (0,):
        bench.fill(more_items=more)
        before = [t.shape for t in bench.node.tops]
        try:
            said = bench.layer.infer_shapes([b.shape for b in bench.node.bottoms])
        except MissingMethodError:  # a Python layer that overrides reshape
            return
        promise(case, before == [t.shape for t in bench.node.tops], "infer_shapes reshapes no top")
        tops = bench.forward()
        for j, (shape, top) in enumerate(zip(said, tops, strict=True)):
            promise(
                case,
                shape is None or tuple(shape) == top.shape,
                f"infer_shapes says {shape} for top {j}, which has shape {top.shape}",
            )


def check_tops(case: LayerCase) -> None:
    """Forward overwrites its tops whole, unless it has no bottom: memory may have been another blob's before."""
    bench = Bench(case)
    if not case.bottoms or type(bench.layer).views:
        return
    for top in bench.node.tops:
        top.data[...] = np.nan
    unchanged(case, bench.forward(), Bench(case).forward(), "forward writes every number of its tops")


def check_scratch(case: LayerCase) -> None:
    """Forward looks for nothing in what the class says is passing_scratch: other layers may have written there."""
    bench, alone = Bench(case), Bench(case)
    bench.forward(), alone.forward()
    for name, (memory, _) in bench.layer._scratch_arrays.items():
        if name in type(bench.layer).passing_scratch:
            memory.view(np.uint8).fill(0xFF)  # NaN, where it is read as floating point numbers
    unchanged(case, bench.forward(), alone.forward(), "forward needs nothing of passing_scratch")


def check_gradients(case: LayerCase) -> None:
    """Backward gives what differences give, to nearly the precision of float64."""
    if Bench(case).has_backward:
        check_gradient(case, tolerance=1e-8)


def check_accumulation(case: LayerCase) -> None:
    """Backward overwrites the bottoms' gradients, adds to the parameters', and writes into no other bottom."""
    bench = Bench(case)
    if not bench.has_backward:
        return
    first = bench.gradients()
    for blob in bench.layer.blobs:
        blob.diff[...] = 1
    for times in (1, 2):
        again = bench.backward()
        for j, (got, want) in enumerate(zip(again.params, first.params, strict=True)):
            close(case, got, 1 + times * want, f"parameter {j}'s gradient is added to what is there")
        for i, down in enumerate(bench.node.propagate_down):
            if down:
                close(case, again.bottoms[i], first.bottoms[i], f"bottom {i}'s gradient is overwritten")
            else:
                promise(case, np.isnan(again.bottoms[i]).all(), f"bottom {i} has no gradient: nothing is written")


def check_propagate_down(case: LayerCase) -> None:
    """With propagate_down or param_propagate_down false, that gradient is not written and the others stay right."""
    bench = Bench(case)
    if not bench.has_backward:
        return
    want = bench.gradients()
    downs, wants = list(bench.node.propagate_down), list(bench.layer._param_propagate_down)
    for i in places(downs):
        other = Bench(case)
        other.node.propagate_down = [d and k != i for k, d in enumerate(downs)]
        got = other.gradients()
        promise(case, np.isnan(got.bottoms[i]).all(), f"nothing is written where propagate_down[{i}] is false")
        same_gradients(case, got, want, f"with propagate_down[{i}] false", bottoms=places(downs, i))
    for j in places(wants):
        other = Bench(case)
        other.layer._param_propagate_down = [w and k != j for k, w in enumerate(wants)]
        got = other.gradients()
        promise(case, not got.params[j].any(), f"nothing is written where param_propagate_down({j}) is false")
        same_gradients(
            case, got, want, f"with param_propagate_down({j}) false", bottoms=places(downs), params=places(wants, j)
        )


def check_reuse(case: LayerCase) -> None:
    """After other numbers, and other numbers of items, a layer gives what a new one gives."""
    used = Bench(case)
    for seed, more in ((1, 0), (2, 3), (3, 1), (4, 0)) if case.resizable else ((1, 0), (2, 0)):
        fresh = Bench(case)
        if case.keep_params:
            for blob, kept in zip(fresh.layer.blobs, used.layer.blobs, strict=True):
                blob.data[...] = kept.data
        for bench in (used, fresh):
            bench.fill(seed, more)
        what = f"with {more} items more, after other data," if more else "after other data"
        for got, want in zip(used.forward(), fresh.forward(), strict=True):
            close(case, got, want, f"{what} forward gives what a new layer gives")
        if used.has_backward:
            same_gradients(case, used.gradients(), fresh.gradients(), what, bottoms=places(used.node.propagate_down))


def check_leaves_alone(case: LayerCase) -> None:
    """Forward writes into no bottom; backward into no data, nor into the tops' gradients."""
    bench = Bench(case)
    bottoms = [b.data.copy() for b in bench.node.bottoms]
    tops = bench.forward()
    unchanged(case, [b.data for b in bench.node.bottoms], bottoms, "forward leaves the bottoms' data alone")
    if bench.has_backward:
        bench.give_top_gradients()
        diffs = [t.diff.copy() for t in bench.node.tops]
        bench.net._backward(bench.node.index, 0)
        unchanged(case, [b.data for b in bench.node.bottoms], bottoms, "backward leaves the bottoms' data alone")
        unchanged(case, [t.data for t in bench.node.tops], tops, "backward leaves the tops' data alone")
        unchanged(case, [t.diff for t in bench.node.tops], diffs, "backward leaves the tops' gradients alone")


def check_number_types(case: LayerCase) -> None:
    """Blobs have the net's number type, and float32 gives what float64 gives, as exactly as it can."""
    fine, coarse = Bench(case), Bench(case, dtype=np.float32)
    for bench in (fine, coarse):
        for blob in (*bench.node.tops, *bench.layer.blobs):
            promise(case, blob.dtype == bench.net.dtype, f"a net of {bench.net.dtype} has no blob of {blob.dtype}")
    for got, want in zip(coarse.forward(), fine.forward(), strict=True):
        close(case, got, want, "float32 gives what float64 gives", 1e-4)
    if fine.has_backward:
        same_gradients(
            case,
            coarse.gradients(),
            fine.gradients(),
            "in float32",
            bottoms=places(fine.node.propagate_down),
            tolerance=1e-4,
        )


def check_determinism(case: LayerCase) -> None:
    """The same seed and data give the same bits, in a second pass and in a second net."""
    bench = Bench(case)
    first = bench.forward()
    unchanged(case, bench.forward(), first, "a second pass gives the same bits")
    unchanged(case, Bench(case).forward(), first, "a second net gives the same bits")


CHECKS: dict[str, Callable[[LayerCase], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_shapes,
        check_tops,
        check_scratch,
        check_gradients,
        check_accumulation,
        check_propagate_down,
        check_in_place,
        check_reads,
        check_signs,
        check_reuse,
        check_leaves_alone,
        check_number_types,
        check_determinism,
        check_resume,
        check_constraints,
        check_arity,
    )
}
