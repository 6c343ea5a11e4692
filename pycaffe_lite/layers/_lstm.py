"""One step of long short-term memory (Hochreiter and Schmidhuber 1997; with forget gates, Gers et al. 2000).

i, f, o = sigmoid, g = tanh of the four gates' inputs; c' the cell before the step, 0 where a sequence begins:

    c = f c' + i g        h = o tanh(c)

Backward, dc beginning as what comes from the step behind:

    dc += dh o (1 - tanh² c)        do = dh tanh c        df = dc c'        di = dc g        dg = dc i        dc' = dc f

The gates' inputs get this times s (1 - s), for a sigmoid s, or 1 - g².
"""

from __future__ import annotations

import numpy as np

from pycaffe_lite._typing import Array
from pycaffe_lite.layers._neuron import sigmoid


def forward(gates: Array, before: Array, c: Array, tanh_c: Array, h: Array) -> None:
    """Set c, tanh_c and h, (N, D), from the cell before and the gates' inputs, (N, 4D) in the order i, f, o, g, which
    become the gates.
    """
    d = c.shape[-1]
    sigmoid(gates[:, : 3 * d], out=gates[:, : 3 * d])
    np.tanh(gates[:, 3 * d :], out=gates[:, 3 * d :])
    i, f, o, g = np.split(gates, 4, axis=1)
    np.multiply(f, before, out=c)
    c += i * g
    np.tanh(c, out=tanh_c)
    np.multiply(o, tanh_c, out=h)


def backward(gates: Array, before: Array, tanh_c: Array, dh: Array, dc: Array, dgates: Array) -> None:
    """Set dgates, (N, 4D), the gradient of the gates' inputs; dc, that of c, becomes that of the cell before."""
    i, f, o, g = np.split(gates, 4, axis=1)
    di, df, do, dg = np.split(dgates, 4, axis=1)
    dc += dh * o * (1 - tanh_c * tanh_c)
    np.multiply(dc, g, out=di)
    np.multiply(dc, before, out=df)
    np.multiply(dh, tanh_c, out=do)
    np.multiply(dc, i, out=dg)
    sigmoids = gates[:, : 3 * i.shape[1]]
    dgates[:, : sigmoids.shape[1]] *= sigmoids * (1 - sigmoids)
    dg *= 1 - g * g
    dc *= f
