"""What LSTM and RNN share: bottoms, tops, parameters, states, and the products over all time steps at once.

With K numbers per item in x and G = gates · D rows in the weights, the input part of every step is

    p_t = W_x x_t + b + W_static static        (W_x (G, K), b (G), W_static (G, S) if there is a static bottom)

and a subclass makes the steps, which add W_h h', W_h (G, D), h' being the last step's h, or 0 where cont_t is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pycaffe_lite._typing import Array, Shape
from pycaffe_lite.blob import Blob
from pycaffe_lite.constraints import at_least
from pycaffe_lite.errors import GraphError, ShapeError
from pycaffe_lite.layer import Blobs, Layer, no_gradient_to
from pycaffe_lite.layers._sums import sum_over

_FIELD = "recurrent_param.expose_hidden"


def begin(state: Array, cont: Array, out: Array) -> Array:
    """out = cont · state, for state (N, D) and cont (N, 1); where cont is 0, 0 whatever was there, NaN too."""
    np.multiply(state, cont, out=out)
    np.copyto(out, 0, where=cont == 0)
    return out


class RecurrentLayer(Layer):
    """Bottoms: x (T, N, ...), cont (T, N), perhaps static (N, ...), with expose_hidden the states before the first
    step, (1, N, D) each. Tops: y (T, N, D), with expose_hidden the states after the last step.

    Without expose_hidden a pass begins in the states that the last forward pass ended in, as in Caffe: let cont be 0
    in the first step where that is not wanted. No gradient goes back there. In a new layer, and for another N, they
    are 0.

    Raises ShapeError for bottoms that do not fit together, GraphError for numbers of them that do not fit
    expose_hidden, and for a gradient to cont.

    Differences from Caffe: T and N may change from pass to pass; where cont is 0, states count for nothing even if
    they are NaN. debug_info is not looked at.
    """

    states: ClassVar[int]
    """How many there are; the first one is h."""
    gates: ClassVar[int]

    constraints = {"recurrent_param.num_output": at_least(1)}

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def infer_shapes(self, bottom_shapes: Sequence[Shape]) -> list[Shape | None]:
        p = self._message.recurrent_param
        exposed = self._exposed()
        if len(bottom_shapes) - exposed not in (2, 3) or len(self._message.top) != 1 + exposed:
            raise GraphError(
                f"{len(bottom_shapes)} bottoms and {len(self._message.top)} tops do not fit expose_hidden: "
                f"{str(p.expose_hidden).lower()}",
                field=_FIELD if p.HasField("expose_hidden") else "",
                hint=f"It takes {2 + exposed} bottoms, {3 + exposed} with a static one, and {1 + exposed} "
                f"{'tops' if exposed else 'top'}.",
            )
        x, cont = bottom_shapes[:2]
        if len(x) < 3 or x[0] == 0 or cont != x[:2]:
            raise ShapeError(
                f"The input has shape {x}, cont has shape {cont}", hint="They must be (T, N, ...) and (T, N), T not 0."
            )
        if self._has_static(len(bottom_shapes)):
            static = bottom_shapes[2]
            if len(static) < 2 or static[0] != x[1]:
                raise ShapeError(
                    f"The static input has shape {static}", hint=f"It must be ({x[1]}, ...), as many as N."
                )
        state = (1, x[1], p.num_output)
        for shape in bottom_shapes[len(bottom_shapes) - exposed :]:
            if shape != state:
                raise ShapeError(f"An initial state has shape {shape}", hint=f"It must be {state}.")
        return [(*x[:2], p.num_output), *[state] * exposed]

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.infer_shapes([b.shape for b in bottom])
        p = self._message.recurrent_param
        rows = self.gates * p.num_output
        self._static = self._has_static(len(bottom))
        self._carried: list[Array] = []
        self._add_param((rows, math.prod(bottom[0].shape[2:])), "recurrent_param.weight_filler")
        self._add_param((rows,), "recurrent_param.bias_filler")
        if self._static:
            self._add_param((rows, math.prod(bottom[2].shape[1:])), "recurrent_param.weight_filler")
        self._add_param((rows, p.num_output), "recurrent_param.weight_filler")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        inputs = [(0, 0, 2)] + ([(2, 2, 1)] if self._static else [])
        for i, param, axes in inputs:
            k, wanted = math.prod(bottom[i].shape[axes:]), self.blobs[param].shape[1]
            if k != wanted:
                raise ShapeError(
                    f"bottom {i} of shape {bottom[i].shape} gives vectors of {k}, the weights are for {wanted}",
                    hint="The number of inputs cannot change once the net is built.",
                )

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        w, b = self.blobs[0].stored("data"), self.blobs[1].stored("data")
        p = self._sequence("p", bottom, self.gates)
        np.dot(bottom[0].data.reshape(-1, w.shape[1]), w.T, out=p.reshape(-1, w.shape[0]))
        p += b
        if self._static:
            p += np.dot(self._static_input(bottom), self.blobs[2].stored("data").T)
        state = self._state_shape(bottom)
        if self._exposed():
            first = [blob.data.reshape(state) for blob in bottom[-self.states :]]
        else:
            if not self._carried or self._carried[0].shape != state:
                self._carried = [np.zeros(state, p.dtype) for _ in range(self.states)]
            first = self._carried
        last = self._forward_steps(bottom, p, first, top[0].data)
        for j, value in enumerate(last):
            np.copyto(top[1 + j].data.reshape(state) if self._exposed() else self._carried[j], value)

    def backward_cpu(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        no_gradient_to(1, propagate_down, "cont")
        w, wh = self.blobs[0], self._w_h
        dp, dstates = self._sequence("dp", bottom, self.gates), []
        for j in range(self.states):
            dstates.append(self._scratch(f"dstate{j}", self._state_shape(bottom), dp.dtype))
            dstates[j][...] = top[1 + j].diff.reshape(dstates[j].shape) if self._exposed() else 0
        self._backward_steps(bottom, top, dp, dstates)

        flat, x = dp.reshape(-1, w.shape[0]), bottom[0].data.reshape(-1, w.shape[1])
        if self.param_propagate_down(0):
            w.diff[...] += np.dot(flat.T, x)
        if self.param_propagate_down(1):
            self.blobs[1].diff[...] += sum_over((0,), flat)
        if self.param_propagate_down(2 + self._static):
            before = self._sequence("h_before", bottom)
            wh.diff[...] += np.dot(flat.T, before.reshape(-1, wh.shape[1]))
        if self._static:
            summed, static = dp.sum(axis=0), self.blobs[2]
            if self.param_propagate_down(2):
                static.diff[...] += np.dot(summed.T, self._static_input(bottom))
            if propagate_down[2]:
                np.dot(summed, static.data, out=bottom[2].diff.reshape(-1, static.shape[1]))
        if propagate_down[0]:
            np.dot(flat, w.data, out=bottom[0].diff.reshape(x.shape))
        if self._exposed():
            downs = propagate_down[-self.states :]
            for blob, down, value in zip(bottom[-self.states :], downs, dstates, strict=True):
                if down:
                    blob.diff.reshape(value.shape)[...] = value

    def resume_state(self) -> dict[str, Any]:
        return {"carried": [state.copy() for state in self._carried]} if self._carried else {}

    def set_resume_state(self, state: Mapping[str, Any]) -> None:
        self._carried = [np.array(carried) for carried in state["carried"]]

    # What subclasses write.

    def _forward_steps(self, bottom: Blobs, p: Array, first: Sequence[Array], y: Array) -> Sequence[Array]:
        """Set y (T, N, D) and the sequence h_before; return the states after the last step. p may be overwritten."""
        raise NotImplementedError

    def _backward_steps(self, bottom: Blobs, top: Blobs, dp: Array, dstates: Sequence[Array]) -> None:
        """Set dp; dstates, the gradients of the states after the last step, become those before the first."""
        raise NotImplementedError

    # What they use.

    @property
    def _w_h(self) -> Blob:
        return self.blobs[2 + self._static]

    def _times_w(self, p: Array, *, transposed: bool) -> Callable[[Array, Array], object]:
        """What writes the product of one step, (N, D), and W_hᵀ into its second argument, (N, G); not transposed, of
        one like p[t], (N, G), and W_h, (N, D). For the steps of one pass.
        """
        w = self._w_h.stored("data")
        w = w.T if transposed else w
        return lambda step, out: np.dot(step, w, out=out)

    def _cont(self, bottom: Blobs) -> Array:
        """(T, N, 1)."""
        return bottom[1].data[:, :, None]

    def _sequence(self, name: str, bottom: Blobs, times: int = 1) -> Array:
        """Working memory of shape (T, N, times · D)."""
        d = self._message.recurrent_param.num_output
        return self._scratch(name, (*bottom[0].shape[:2], times * d), bottom[0].dtype)

    def _exposed(self) -> int:
        """How many states are bottoms and tops."""
        return self.states if self._message.recurrent_param.expose_hidden else 0

    def _has_static(self, bottoms: int) -> bool:
        return bottoms - self._exposed() == 3

    def _state_shape(self, bottom: Blobs) -> Shape:
        return bottom[0].shape[1], self._message.recurrent_param.num_output

    def _static_input(self, bottom: Blobs) -> Array:
        return bottom[2].data.reshape(-1, self.blobs[2].shape[1])
