"""What may come in: prototxts with mistakes in them, messages of random fields, bytes that something happened to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from pycaffe_lite.layer import Arity
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer, layer_types
from pycaffe_lite.schema.fields import fields_of

ROOT = Path(__file__).parents[2]
INTEGERS = [0, 1, -1, 2, 3, 4, 5, 7, 10, 33, 255, 2**31 - 1, -(2**31), 10**12, 2**63 - 1, -(2**63)]
SMALL = [0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 7]
FLOATS = [0.0, 1.0, -1.0, 0.5, 2.0, 0.1, 1e-38, 3e38, -3e38, float("inf"), float("-inf"), float("nan")]
WORDS = ["", "x", "data", "label", "constant", "bilinear", "xavier", "gaussian", "msra", "nothing/here", "é", "a\0b"]
NUMBERS = ["0", "-1", "1", "2", "3", "7", "0.5", "-0", "1e39", "nan", "inf", "-inf", "010", "0x7f", "1000000000000"]
NUMBERS += ["2147483647", "-2147483648", "99999999999999999999", "1" + "0" * 400]
SIGNS = ["{", "}", ":", "[", "]", ",", ";", '"', "'", "#", "<", ">", "-", "\0", "\ufeff", "é"]
TYPES = sorted(set(layer_types()) - {"Python"})  # what a Python layer raises is its author's

_TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*|[+-]?[\d.]+(?:[eE][+-]?\d+)?|#[^\n]*|\s+|.', re.DOTALL)
_OWN_PARAM = {
    f.message_type.name.removesuffix("Parameter"): f.name
    for f in pb.LayerParameter.DESCRIPTOR.fields
    if f.message_type is not None
}
_BORROWED_PARAM = {
    "Deconvolution": "convolution_param",
    "Im2col": "convolution_param",
    "LSTM": "recurrent_param",
    "RNN": "recurrent_param",
    "SoftmaxWithLoss": "softmax_param",
}


def golden_prototxts() -> list[str]:
    """One layer each, with parameters off their defaults: the nets of the golden cases."""
    texts = []
    for path in sorted((ROOT / "tests/golden/layers").glob("*.npz")):
        with np.load(path) as file:
            metas = [str(file[key]) for key in file.files if key.endswith("/meta")]
        texts += [str(json.loads(meta)["prototxt"]) for meta in metas[:4]]
    return texts


def prototxts(pattern: str) -> list[str]:
    """The texts of models/."""
    return [p.read_text() for p in sorted((ROOT / "models").glob(pattern))]


@st.composite
def mistaken(draw: st.DrawFn, texts: list[str], message: Descriptor) -> str:
    """One of the texts, after one to four accidents with its tokens."""
    tokens = _TOKEN.findall(draw(st.sampled_from(texts)))
    names = [f.name for f in pb.LayerParameter.DESCRIPTOR.fields] + [f.name for f in message.fields]
    spare = st.sampled_from(NUMBERS) | st.sampled_from(SIGNS) | st.sampled_from([*names, *TYPES, "MAX", "TRAIN"])
    numbers = [i for i, token in enumerate(tokens) if token[-1].isdigit()]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(tokens) - 1))
        span = draw(st.integers(1, 12))
        what = draw(st.integers(0, 7))
        if what <= 3 and numbers:
            tokens[min(draw(st.sampled_from(numbers)), len(tokens) - 1)] = draw(st.sampled_from(NUMBERS))
        elif what == 4:
            tokens[at] = draw(spare)
        elif what == 5:
            tokens[at:at] = tokens[at : at + span]
        elif what == 6:
            words = [i for i, token in enumerate(tokens) if token[0] in '"_' or token[0].isalpha()]
            if words:
                tokens[draw(st.sampled_from(words))] = tokens[draw(st.sampled_from(words))]
        else:
            del tokens[at : at + span]
        tokens = tokens or [""]
    return "".join(tokens)


def values(field: FieldDescriptor, sane: bool) -> st.SearchStrategy[object]:
    """Values of a field that is no message."""
    if field.enum_type is not None:
        return st.sampled_from([v.number for v in field.enum_type.values])
    kind = field.cpp_type
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return st.sampled_from(FLOATS[:6] if sane else FLOATS)
    if kind == field.CPPTYPE_BOOL:
        return st.booleans()
    if kind == field.CPPTYPE_STRING:
        return st.sampled_from(WORDS) if field.type == field.TYPE_STRING else st.binary(max_size=8)
    low, high = {
        field.CPPTYPE_INT32: (-(2**31), 2**31),
        field.CPPTYPE_UINT32: (0, 2**32),
        field.CPPTYPE_INT64: (-(2**63), 2**63),
    }[kind]
    return st.sampled_from([i for i in (SMALL if sane else INTEGERS) if low <= i < high])


@st.composite
def filled(draw: st.DrawFn, message: Message, depth: int = 3, most: int = 4) -> None:
    """Give some of the message's fields values: most of them sensible, some the largest, negative or NaN."""
    sane = draw(st.integers(0, 3)) > 0
    fields = message.DESCRIPTOR.fields
    chosen = draw(st.lists(st.integers(0, len(fields) - 1), max_size=most, unique=True))
    about = fields_of(message.DESCRIPTOR)
    for f in [fields[i] for i in chosen] + [message.DESCRIPTOR.fields_by_name[name] for name in about.required]:
        repeated = about.by_name[f.name].repeated
        for _ in range(draw(st.integers(1, 3)) if repeated else 1):
            if f.message_type is not None:
                if depth:
                    inner = getattr(message, f.name).add() if repeated else getattr(message, f.name)
                    inner.SetInParent()
                    draw(filled(inner, depth - 1, most))
            elif repeated:
                getattr(message, f.name).append(draw(values(f, sane)))
            else:
                setattr(message, f.name, draw(values(f, sane)))


def _number(arity: Arity) -> st.SearchStrategy[int]:
    return st.integers(arity.low, min(arity.low + 2, arity.high if arity.high is not None else 9))


@st.composite
def nets(draw: st.DrawFn) -> pb.NetParameter:
    """Inputs of a few numbers, and one to three layers of random types with random parameters."""
    net = pb.NetParameter(force_backward=draw(st.booleans()))
    made = []
    for i in range(draw(st.integers(1, 3))):
        layer = net.layer.add(name=f"in{i}", type="Input", top=[f"x{i}"])
        dims = st.lists(st.sampled_from(SMALL), max_size=5) | st.just([2, 3, 5, 7])
        layer.input_param.shape.add(dim=draw(dims if i == 0 or draw(st.booleans()) else st.just([2])))
        made += layer.top
    for i in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(TYPES))
        layer = net.layer.add(name=f"l{i}", type=kind)
        cls = find_layer(kind)[0]
        slip = draw(st.sampled_from([0] * 12 + [-1, 1]))
        bottoms = draw(_number(cls.bottoms)) + slip
        layer.bottom.extend(draw(st.lists(st.sampled_from(made), min_size=max(0, bottoms), max_size=max(0, bottoms))))
        tops = bottoms if cls.same_number else draw(_number(cls.tops))
        layer.top.extend(f"y{i}_{k}" for k in range(tops))
        if draw(st.integers(0, 9)) == 0 and layer.top and layer.bottom:
            layer.top[0] = layer.bottom[0]
        own = _OWN_PARAM.get(kind) or _BORROWED_PARAM.get(kind)
        if own is not None:
            param = getattr(layer, own)
            for name in ("num_output", "kernel_size"):
                field = param.DESCRIPTOR.fields_by_name.get(name)
                if field is not None and fields_of(param.DESCRIPTOR).by_name[name].repeated:
                    getattr(param, name).append(draw(st.sampled_from([1, 2, 3])))
                elif field is not None:
                    setattr(param, name, draw(st.sampled_from([1, 2, 3, 4])))
            draw(filled(param, 1))
        if draw(st.integers(0, 4)) == 0:
            draw(filled(layer, 2, 2))
            layer.type = kind
        made += layer.top
    return net


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with some of them changed, cut out, doubled or cut off."""
    raw = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        what = draw(st.integers(0, 5))
        if what <= 2 and raw:
            raw[at] = draw(st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255))
        elif what == 3:
            del raw[at : at + draw(st.integers(1, 20))]
        elif what == 4:
            raw[at:at] = draw(st.binary(max_size=12))
        else:
            del raw[at:]
    return bytes(raw)


@st.composite
def messages(draw: st.DrawFn, message_type: type[Message], skip: tuple[str, ...] = ()) -> Message:
    """A message of that type with some of its fields, but for `skip`."""
    message = message_type()
    draw(filled(message))
    for name in skip:
        message.ClearField(name)
    return message
