"""What the text parser asks of a message type: its fields, whether they repeat, and which are required."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from pycaffe_lite._forks import fork_hint
from pycaffe_lite.errors import did_you_mean

_F = FieldDescriptor
INTEGERS = {
    _F.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    _F.CPPTYPE_UINT32: (0, 2**32 - 1),
    _F.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    _F.CPPTYPE_UINT64: (0, 2**64 - 1),
}
FLOATS = (_F.CPPTYPE_FLOAT, _F.CPPTYPE_DOUBLE)
_KINDS = {
    _F.CPPTYPE_BOOL: "true or false",
    _F.CPPTYPE_STRING: "text in quotes",
    _F.CPPTYPE_FLOAT: "a number",
    _F.CPPTYPE_DOUBLE: "a number",
}


class Field(NamedTuple):
    """One field; `type` is a FieldDescriptor.CPPTYPE_ constant."""

    name: str
    type: int
    is_bytes: bool
    repeated: bool
    message: Descriptor | None
    enum: EnumDescriptor | None

    @property
    def takes(self) -> str:
        """What a value of this field is, in words."""
        if self.enum is not None:
            return f"one of {', '.join(self.enum.values_by_name)}"
        if self.type in INTEGERS:
            low, high = INTEGERS[self.type]
            return f"an integer from {low} to {high}"
        return _KINDS[self.type]


class Fields(NamedTuple):
    """The fields of one message type, by name."""

    message: Descriptor
    by_name: dict[str, Field]
    required: tuple[str, ...]

    def hint(self, unknown: str, around: Sequence[Fields] = ()) -> str:
        """What may be meant by a name that is no field here; `around` are the messages that enclose this one."""
        for outer in around:
            if unknown in outer.by_name:
                return f"{outer.message.name} has one: is a '}}' missing before it?"
        messages = self.message.file.message_types_by_name
        if self.message.name == "SolverParameter" and unknown in messages["NetParameter"].fields_by_name:
            return 'Is this a network? A solver\'s file names one: net: "FILE".'
        owners = [m.name for m in messages.values() if unknown in m.fields_by_name]
        if owners:
            return f"It is a field of {', '.join(sorted(owners)[:5])}{' and others' * (len(owners) > 5)}."
        near = fork_hint(unknown) or did_you_mean(unknown, self.by_name)
        return near or "BVLC Caffe knows no such field; it may be from a fork."


@cache
def fields_of(message: Descriptor) -> Fields:
    """The fields of a message type."""
    # The descriptor's own `label` is deprecated in new versions of protobuf; what replaces it is missing in old ones.
    proto = DescriptorProto()
    message.CopyToProto(proto)
    label = {f.name: f.label for f in proto.field}
    return Fields(
        message,
        {
            f.name: Field(
                f.name,
                f.cpp_type,
                f.type == _F.TYPE_BYTES,
                label[f.name] == FieldDescriptorProto.LABEL_REPEATED,
                f.message_type,
                f.enum_type,
            )
            for f in message.fields
        },
        tuple(n for n, kind in label.items() if kind == FieldDescriptorProto.LABEL_REQUIRED),
    )
