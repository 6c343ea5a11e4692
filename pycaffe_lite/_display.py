"""How blobs, layers, nets and solvers show themselves at a prompt and in a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pycaffe_lite.blob import Blob


def blob_line(blob: Blob) -> str:
    """'conv1 (64, 20, 24, 24) float32 · data mean 0.031 std 0.42 min -2.1 max 2.9 · diff |·| 3e-4'."""
    parts = [" ".join(filter(None, [blob.name, str(blob.shape), str(blob.dtype)]))]
    if blob.count:
        data = blob.data
        if blob.count == 1:
            parts.append(f"data {data.flat[0]:.6g}")
        else:
            parts.append(f"data mean {data.mean(dtype=np.float64):.3g} std {data.std(dtype=np.float64):.3g} "
                         f"min {data.min():.3g} max {data.max():.3g}")
        if blob.has_diff:
            parts.append(f"diff |·| {np.abs(blob.diff).mean(dtype=np.float64):.1g}")
    return " · ".join(parts)


def blob_html(blob: Blob) -> str:
    return f"<code>{html.escape(blob_line(blob))}</code>"


class Summary:
    pass


def summary(net): 
    return Summary()


def net_line(net):
    return f"<Net {net.name}>"
