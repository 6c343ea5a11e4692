"""LSTM, long short-term memory over T time steps. At every step, of the gates' inputs p_t (see _recurrent),

i, f, o = sigmoid, g = tanh of the quarters of p_t + W_h cont_t h_{t-1}
c_t = f cont_t c_{t-1} + i g        h_t = o tanh(c_t)        y_t = h_t

Backward, from the last step to the first, with dp_t from _lstm.backward:

dh_t = dy_t + cont_{t+1} dp_{t+1} W_h        dW_h += Σ_t dp_tᵀ (cont_t h_{t-1})
"""

from __future__ import annotations

from collections.abc import Sequence

from pycaffe_lite._typing import Array
from pycaffe_lite.layer import Blobs, from_to
from pycaffe_lite.layers import _lstm
from pycaffe_lite.layers._recurrent import RecurrentLayer, begin
from pycaffe_lite.registry import register_layer


@register_layer("LSTM")
class LSTM(RecurrentLayer):
    """Blobs: W_xc (4D, K), b_c (4D), with a static bottom W_xc_static (4D, S), W_hc (4D, D); the rows are those of i,
    f, o and g. States: h, c. For bottoms and tops see RecurrentLayer.
    """

    bottoms = from_to(2, 5)
    tops = from_to(1, 3)
    states = 2
    gates = 4

    def backward_reads_top_data(self) -> bool:
        return False

    def _forward_steps(self, bottom: Blobs, p: Array, first: Sequence[Array], y: Array) -> Sequence[Array]:
        h_before, c_before = self._sequence("h_before", bottom), self._sequence("c_before", bottom)
        tanh_c, times_w, (h, c) = self._sequence("tanh_c", bottom), self._times_w(p, transposed=True), first
        cell, product = self._scratch("c", c.shape, c.dtype), self._scratch_like(p[0], "product")
        for t, cont in enumerate(self._cont(bottom)):
            begin(c, cont, out=c_before[t])
            times_w(begin(h, cont, out=h_before[t]), product)
            p[t] += product
            h, c = y[t], cell
            _lstm.forward(p[t], c_before[t], c, tanh_c[t], h)
        return h, c

    def _backward_steps(self, bottom: Blobs, top: Blobs, dp: Array, dstates: Sequence[Array]) -> None:
        p = self._sequence("p", bottom, self.gates)  # where forward left i, f, o and g
        c_before = self._sequence("c_before", bottom)
        tanh_c, times_w, (dh, dc) = self._sequence("tanh_c", bottom), self._times_w(dp, transposed=False), dstates
        cont, dy = self._cont(bottom), top[0].diff
        for t in reversed(range(len(p))):
            dh += dy[t]
            _lstm.backward(p[t], c_before[t], tanh_c[t], dh, dc, dp[t])
            times_w(dp[t], dh)
            dh *= cont[t]
            dc *= cont[t]
