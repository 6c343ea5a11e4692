"""How blobs, layers and nets show themselves at a prompt and in a notebook.

A look must not change anything: memory that nobody has taken yet stays untaken, and numbers lie as layers like them.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from pycaffe_lite._statistics import Statistics, statistics
from pycaffe_lite._table import columns_of, number, text_table
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.summary import summary

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from pycaffe_lite.blob import Blob
    from pycaffe_lite.layer import Layer
    from pycaffe_lite.net import Net


def blob_line(blob: Blob) -> str:
    """'conv1 (64, 20, 24, 24) float32 · data mean 0.031 std 0.42 min -2.1 max 2.9 · diff |·| 3e-4'."""
    return f"{blob.name or 'Blob'} {blob.shape} {blob.dtype} · {blob_values(blob)}"


def blob_values(blob: Blob) -> str:
    """What is in a blob: 'data mean 0.031 std 0.42 min -2.1 max 2.9 · diff |·| 3e-4'; |·| is the mean of |diff|."""
    if not blob.count:
        return "empty"
    data, diff = blob._data, blob._diff
    parts = [
        "memory reused" if blob.lost else _data(statistics(blob.shown("data"))) if data.allocated else "no data yet"
    ]
    if diff.allocated:
        found = statistics(blob.shown("diff"))
        size = f" |·| {number(found.mean_abs)}" if found.finite else ""
        parts.append(_single("diff", found) or f"diff{_strange(found)}{size}")
    elif diff.initial:
        parts.append(f"diff {number(diff.initial)}")
    return " · ".join(parts)


def blob_html(blob: Blob) -> str:
    return f"<code>{html.escape(blob_line(blob))}</code>"


def layer_line(layer: Layer) -> str:
    """'InnerProduct num_output=500 weight_filler=xavier · blobs (500, 800) (500,)': what is set, what is learnt."""
    words = [layer.type or type(layer).__name__]
    for field, value in layer._message.ListFields():
        if field.message_type is not None and field.name.endswith("_param"):
            words += _settings(value)
    shapes = " ".join(str(b.shape) for b in layer.blobs)
    return " ".join(words) + (f" · blobs {shapes}" if shapes else "")


def net_line(net: Net) -> str:
    """A net's name, phase and size, then what goes in and what comes out, a blob a line."""
    title = summary(net).title
    ends = [
        ("in", n, f"from {node.type} '{node.name}'" if node.type != "Input" else "")
        for node in net._nodes
        if not node.bottoms
        for n in node.top_names
    ]
    ends += [("out", name, "") for name in net.outputs]
    rows = [(f"  {way}", name, str(net.blobs[name].shape), where) for way, name, where in ends]
    return "\n".join([title, text_table(columns_of(rows))]) if rows else title


def _data(found: Statistics) -> str:
    text = _single("data", found)
    if text:
        return text
    text = f"data{_strange(found)}"
    if found.finite and found.low == found.high:
        others = "others" if found.nan or found.inf else "all"
        return f"{text} {others} {number(found.low)}"
    if found.finite:
        text += (
            f" mean {number(found.mean)} std {number(found.std)}" f" min {number(found.low)} max {number(found.high)}"
        )
    return text


def _single(what: str, found: Statistics) -> str:
    """The one number that there is, to more digits; '' if there are more."""
    if found.finite != 1 or found.nan or found.inf:
        return ""
    return f"{what} {number(found.mean)}" if found.mean.is_integer() else f"{what} {found.mean:.6g}"


def _strange(found: Statistics) -> str:
    return (f" {found.nan} NaN" if found.nan else "") + (f" {found.inf} inf" if found.inf else "")


def _settings(message: Message) -> list[str]:
    """The fields that are set, as name=value."""
    words = []
    for field, value in message.ListFields():
        if isinstance(field.default_value, list):  # repeated
            values = [_value(field, v) for v in value]
            text = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
        else:
            text = _value(field, value)
        words.append(f"{field.name}={text}")
    return words


def _value(field: FieldDescriptor, value: Any) -> str:
    if isinstance(value, pb.BlobShape):
        return str(tuple(value.dim))
    if isinstance(value, pb.FillerParameter):
        rest = [w for w in _settings(value) if not w.startswith("type=")]
        return value.type + (f"({', '.join(rest)})" if rest else "")
    if field.message_type is not None:
        return "{" + ", ".join(_settings(value)) + "}"
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, float):
        return f"{value:.6g}"
    return repr(value) if isinstance(value, str) else str(value)
