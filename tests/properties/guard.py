"""What must not happen: an error that is none of ours, a hang, an allocation the size of a typo."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import numpy as np

from pycaffe_lite import Net
from pycaffe_lite.errors import CaffeError

SECONDS = 20
LIMIT = 2**24
"""Bytes that a net may take (memory.memory_limit)."""


class Hang(BaseException):
    """It took longer than SECONDS."""


@contextlib.contextmanager
def only_caffe_errors() -> Iterator[None]:
    """CaffeErrors end the block; everything else that is raised goes on. Raises Hang."""

    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    except CaffeError as e:
        if not str(e):
            raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(net: Net) -> None:
    """Forward and, if the net can, backward."""
    for blob in net.blobs.values():
        blob.data[...] = np.resize([0.5, -1, 0, 2, 1], blob.shape)
    net.forward()
    net.backward()
