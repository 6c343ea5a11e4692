"""Making nets from text, for tests."""

from __future__ import annotations

from typing import Any

from pycaffe_lite import TRAIN, Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text


def net_of(text: str, phase: int = TRAIN, **options: Any) -> Net:
    """The net of a prototxt given as text, which errors call net.prototxt."""
    message, positions = parse_text(text, pb.NetParameter, "net.prototxt")
    message.state.phase = phase  # type: ignore[assignment]
    return Net.from_message(message, positions, **options)
