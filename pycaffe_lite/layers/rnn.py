"""RNN, a plain recurrent network over T time steps. Of the input part p_t (see _recurrent),

h_t = tanh(p_t + W_hh cont_t h_{t-1})        y_t = tanh(W_ho h_t + b_o)

Backward, from the last step to the first:

dz_t = dy_t (1 - y_t²)        dp_t = (dz_t W_ho + cont_{t+1} dp_{t+1} W_hh) (1 - h_t²)
dW_ho += Σ_t dz_tᵀ h_t        dW_hh += Σ_t dp_tᵀ (cont_t h_{t-1})
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs, from_to
from pycaffe_lite.layers._recurrent import RecurrentLayer, begin
from pycaffe_lite.layers._sums import sum_over
from pycaffe_lite.registry import register_layer


@register_layer("RNN")
class RNN(RecurrentLayer):
    """Blobs: W_xh (D, K), b_h (D), with a static bottom W_xh_static (D, S), W_hh (D, D), W_ho (D, D), b_o (D).
    State: h. For bottoms and tops see RecurrentLayer.
    """

    bottoms = from_to(2, 4)
    tops = from_to(1, 2)
    states = 1
    gates = 1

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        super().setup(bottom, top)
        p = self._message.recurrent_param
        self._add_param((p.num_output, p.num_output), "recurrent_param.weight_filler")
        self._add_param((p.num_output,), "recurrent_param.bias_filler")

    def _forward_steps(self, bottom: Blobs, p: Array, first: Sequence[Array], y: Array) -> Sequence[Array]:
        before, times_w, (h,) = self._sequence("h_before", bottom), self._times_w(p, transposed=True), first
        product = self._scratch_like(p[0], "product")
        for t, cont in enumerate(self._cont(bottom)):
            times_w(begin(h, cont, out=before[t]), product)
            p[t] += product
            h = np.tanh(p[t], out=p[t])
        w_o, b_o = self.blobs[-2].stored("data"), self.blobs[-1].stored("data")
        np.dot(p.reshape(-1, len(w_o)), w_o.T, out=y.reshape(-1, len(w_o)))
        y += b_o
        np.tanh(y, out=y)
        return (h,)

    def _backward_steps(self, bottom: Blobs, top: Blobs, dp: Array, dstates: Sequence[Array]) -> None:
        h = self._sequence("p", bottom)  # forward left it there
        y, times_w = top[0].data, self._times_w(dp, transposed=False)
        w_o, b_o = self.blobs[-2:]
        dz = (top[0].diff * (1 - y * y)).reshape(-1, w_o.shape[0])
        if self.param_propagate_down(len(self.blobs) - 2):
            w_o.diff[...] += np.dot(dz.T, h.reshape(dz.shape))
        if self.param_propagate_down(len(self.blobs) - 1):
            b_o.diff[...] += sum_over((0,), dz)
        np.dot(dz, w_o.data, out=dp.reshape(dz.shape))

        (dh,), cont = dstates, self._cont(bottom)
        for t in reversed(range(len(dp))):
            dp[t] += dh
            dp[t] *= 1 - h[t] * h[t]
            times_w(dp[t], dh)
            dh *= cont[t]
