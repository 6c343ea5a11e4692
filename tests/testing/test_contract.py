"""Each check of the contract catches the layer that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import registry
from pycaffe_lite.constraints import Constraint, at_least
from pycaffe_lite.layer import exactly
from pycaffe_lite.testing import CHECKS, LayerCase, check_layer, uniform

Register = Callable[[type[caffe.Layer]], LayerCase]


class Good(caffe.Layer):
    """y = w · x, well behaved: what the bad ones below are made from."""

    bottoms = exactly(1)
    tops = exactly(1)
    constraints: ClassVar = {"power_param.scale": at_least(0)}

    def backward_reads_top_data(self):
        return False

    def infer_shapes(self, bottom_shapes):
        return [bottom_shapes[0]]

    def setup(self, bottom, top):
        self.blobs.add_blob(1)

    def forward_cpu(self, bottom, top):
        top[0].data[...] = self.blobs[0].data * bottom[0].data

    def backward_cpu(self, top, propagate_down, bottom):
        if self.param_propagate_down(0):
            self.blobs[0].diff[...] += (bottom[0].data * top[0].diff).sum()
        if propagate_down[0]:
            np.multiply(self.blobs[0].data, top[0].diff, out=bottom[0].diff)


class OverwritesParameters(Good):
    def backward_cpu(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] = 0
        super().backward_cpu(top, propagate_down, bottom)


class AddsToBottoms(Good):
    def backward_cpu(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] += self.blobs[0].data * top[0].diff


class IgnoresPropagateDown(Good):
    def backward_cpu(self, top, propagate_down, bottom):
        super().backward_cpu(top, [True], bottom)


class IgnoresParamPropagateDown(Good):
    def param_propagate_down(self, index):
        return True


class WrongShape(Good):
    def infer_shapes(self, bottom_shapes):
        return [(*bottom_shapes[0], 1)]

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)


class ImpureShapes(Good):
    def infer_shapes(self, bottom_shapes):
        self.top.reshape(1)
        return [bottom_shapes[0]]

    def reshape(self, bottom, top):
        self.top = top[0]
        top[0].reshape(*bottom[0].shape)


class LeavesZerosToBeThere(Good):
    def forward_cpu(self, bottom, top):
        np.maximum(bottom[0].data, top[0].data, out=top[0].data, where=bottom[0].data > 0)


class KeepsSomethingWhereOthersWrite(Good):
    passing_scratch = frozenset({"w"})

    def forward_cpu(self, bottom, top):
        w = self._scratch("w", (1,), bottom[0].dtype)
        if not hasattr(self, "_made"):
            self._made, w[...] = True, self.blobs[0].data
        np.multiply(w, bottom[0].data, out=top[0].data)


class WrongGradient(Good):
    def backward_cpu(self, top, propagate_down, bottom):
        super().backward_cpu(top, propagate_down, bottom)
        if propagate_down[0]:
            bottom[0].diff[...] *= 1 + 1e-6


class Float32Backward(Good):
    def backward_cpu(self, top, propagate_down, bottom):
        super().backward_cpu(top, propagate_down, bottom)
        if propagate_down[0]:
            bottom[0].diff[...] = bottom[0].diff.astype(np.float32)


class Float32Forward(Good):
    def forward_cpu(self, bottom, top):
        top[0].data[...] = self.blobs[0].data * bottom[0].data.astype(np.float32)


class InPlaceWithoutRight(Good):
    """Its backward needs x, which forward has overwritten."""

    def may_run_in_place(self):
        return True


class ReadsBottomSecretly(Good):
    def backward_reads_bottom_data(self):
        return False


class ReadsTopSecretly(Good):
    def backward_cpu(self, top, propagate_down, bottom):
        super().backward_cpu(top, propagate_down, bottom)
        if propagate_down[0]:
            bottom[0].diff[...] += 0 * top[0].data


class NeedsMoreThanSigns(Good):
    needs_only_signs = True


class FlipsSigns(Good):
    keeps_signs = True

    def may_run_in_place(self):
        return True

    def forward_cpu(self, bottom, top):
        top[0].data[...] = -bottom[0].data


class KeepsAnArray(Good):
    """Remembers what was there first."""

    def forward_cpu(self, bottom, top):
        if not hasattr(self, "_first"):
            self._first = bottom[0].data.copy()
        super().forward_cpu(bottom, top)

    def backward_cpu(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += (self._first.ravel()[0] * top[0].diff).sum() if self.param_propagate_down(0) else 0
        if propagate_down[0]:
            np.multiply(self.blobs[0].data, top[0].diff, out=bottom[0].diff)


class WritesBottom(Good):
    def forward_cpu(self, bottom, top):
        super().forward_cpu(bottom, top)
        bottom[0].data[0, 0] += 1


class WritesTopDiff(Good):
    def backward_cpu(self, top, propagate_down, bottom):
        super().backward_cpu(top, propagate_down, bottom)
        top[0].diff[...] = 0


class Unstable(Good):
    """Loses in float32 what float64 keeps."""

    def forward_cpu(self, bottom, top):
        top[0].data[...] = self.blobs[0].data * ((bottom[0].data + 1e5) - 1e5)


class GlobalRandom(Good):
    def forward_cpu(self, bottom, top):
        super().forward_cpu(bottom, top)
        top[0].data[...] += np.random.default_rng().normal(size=top[0].shape)


class ForgetsItsPasses(Good):
    """Its snapshots say nothing of what its output depends on."""

    passes = 0

    def forward_cpu(self, bottom, top):
        self.passes += 1
        top[0].data[...] = self.passes * bottom[0].data


class RemembersWhatCannotBeWritten(Good):
    def resume_state(self):
        return {"layer": self}


class NeverRefuses(Good):
    constraints: ClassVar = {"power_param.scale": Constraint(lambda v: True, "must be at least 0", -1.0)}


BROKEN = {
    OverwritesParameters: "accumulation",
    AddsToBottoms: "accumulation",
    IgnoresPropagateDown: "propagate_down",
    IgnoresParamPropagateDown: "propagate_down",
    WrongShape: "shapes",
    ImpureShapes: "shapes",
    LeavesZerosToBeThere: "tops",
    KeepsSomethingWhereOthersWrite: "scratch",
    WrongGradient: "gradients",
    Float32Backward: "gradients",
    Float32Forward: "gradients",
    InPlaceWithoutRight: "in_place",
    ReadsBottomSecretly: "reads",
    ReadsTopSecretly: "reads",
    NeedsMoreThanSigns: "signs",
    FlipsSigns: "signs",
    KeepsAnArray: "reuse",
    WritesBottom: "leaves_alone",
    WritesTopDiff: "leaves_alone",
    Unstable: "number_types",
    GlobalRandom: "determinism",
    ForgetsItsPasses: "resume",
    RemembersWhatCannotBeWritten: "resume",
    NeverRefuses: "constraints",
}


@pytest.fixture
def register() -> Iterator[Register]:
    """Registers a layer class under the name of a test."""
    layers = registry._layers["", ""]

    def add(cls: type[caffe.Layer]) -> LayerCase:
        layers._entries["UnderTest"] = cls
        return LayerCase("UnderTest", "power_param { scale: 2 }", [uniform(3, 5, 2)])

    yield add
    layers._entries.pop("UnderTest", None)


def test_a_good_layer_passes(register: Register) -> None:
    check_layer(register(Good))


@pytest.mark.parametrize("cls", BROKEN, ids=lambda c: c.__name__)
def test_a_broken_promise_is_noticed(register: Register, cls: type[caffe.Layer]) -> None:
    case = register(cls)
    with pytest.raises(AssertionError, match="UnderTest") as caught:
        CHECKS[BROKEN[cls]](case)
    assert len(str(caught.value)) > 30


def test_every_check_has_a_layer_that_fails_it() -> None:
    assert set(BROKEN.values()) | {"arity"} == set(CHECKS)


def test_arity_that_is_not_enforced_is_noticed(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    case = register(Good)
    monkeypatch.setattr("pycaffe_lite.graph.build.check_arity", lambda *args: None)
    with pytest.raises(AssertionError, match="0 bottoms and 1 tops gives IndexError, not GraphError"):
        CHECKS["arity"](case)


def test_an_error_without_a_place_is_noticed(register: Register) -> None:
    """A layer that raises from its constructor by itself, naming nothing."""

    class Nameless(NeverRefuses):
        def setup(self, bottom, top):
            if self._message.power_param.scale < 0:
                raise ValueError("bad")
            super().setup(bottom, top)

    with pytest.raises(AssertionError, match="gives ValueError, not ParameterError: bad"):
        CHECKS["constraints"](register(Nameless))
