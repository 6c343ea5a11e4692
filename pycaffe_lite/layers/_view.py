"""What layers share that show the bottom's own memory under another name or shape."""

from __future__ import annotations

from pycaffe_lite.done import NOTHING, Done
from pycaffe_lite.layer import Blobs, Layer, exactly


class ViewLayer(Layer):
    """Every top's data are the bottom's, without a copy."""

    bottoms = exactly(1)
    tops = exactly(1)
    views = True

    def backward_reads_bottom_data(self) -> bool:
        return False

    def backward_reads_top_data(self) -> bool:
        return False

    def forward(self, bottom: Blobs, top: Blobs) -> Done | None:
        self.forward_cpu(bottom, top)
        return NOTHING

    def forward_cpu(self, bottom: Blobs, top: Blobs) -> None:
        for blob in top:
            blob.share_data(bottom[0])
