"""The compiled schema against the tables of Caffe's messages beside this file (facts of BVLC Caffe 9b89154)."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import descriptor_pb2

from pycaffe_lite.proto import caffe_pb2

HERE = Path(__file__).parent
P = descriptor_pb2.FieldDescriptorProto
OURS_FROM = 30000  # numbers of fields of our own
OUR_ENUMS = {"AutoPad"}
LABELS = {P.LABEL_OPTIONAL: "optional", P.LABEL_REPEATED: "repeated", P.LABEL_REQUIRED: "required"}
TYPES = {value: name[5:].lower() for name, value in P.Type.items()}


def table(name: str) -> list[dict[str, str]]:
    with open(HERE / name, newline="") as f:
        return list(csv.DictReader(f))


def compiled() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    caffe_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def default(text: str, kind: str) -> object:
    return np.float32(text) if kind == "float" and text else text


def test_every_field_is_caffes():
    ours = {
        (message.name, f.name): (
            f.number,
            LABELS[f.label],
            f.type_name.removeprefix(".pycaffe_lite.") or TYPES[f.type],
            default(f.default_value, TYPES[f.type]),
            f.options.packed,
        )
        for message in compiled().message_type
        for f in message.field
        if f.number < OURS_FROM
    }
    theirs = {
        (r["message"], r["field"]): (
            int(r["number"]),
            r["label"],
            r["type"],
            default(r["default"], r["type"]),
            r["options"] == "packed",
        )
        for r in table("fields.csv")
    }
    assert len(theirs) == 423
    assert ours == theirs


def test_every_enum_value_is_caffes():
    file = compiled()
    ours = {(e.name, v.name, v.number) for e in file.enum_type for v in e.value if e.name not in OUR_ENUMS}
    for message in file.message_type:
        ours |= {(f"{message.name}.{e.name}", v.name, v.number) for e in message.enum_type for v in e.value}
    theirs = [(r["enum"], r["value"], int(r["number"])) for r in table("enums.csv")]
    assert len(theirs) == len(set(theirs)) == 111
    assert ours == set(theirs)


def test_messages_without_fields_would_be_seen():
    assert {m.name for m in compiled().message_type} == {r["message"] for r in table("fields.csv")}


def test_it_is_registered_under_our_own_name():
    assert caffe_pb2.DESCRIPTOR.name == "pycaffe_lite/proto/caffe.proto"
    assert caffe_pb2.DESCRIPTOR.package == "pycaffe_lite"


OURS = "from pycaffe_lite.proto import caffe_pb2 as ours"
FOREIGN = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
net = file.message_type.add(name="NetParameter")
net.field.add(name="title", number=1, type=9, label=1)
descriptor_pool.Default().Add(file)
pool = descriptor_pool.Default()
theirs = message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))
"""


@pytest.mark.parametrize("imports", [[OURS, FOREIGN], [FOREIGN, OURS]], ids=["ours first", "foreign first"])
def test_another_caffe_pb2_in_the_same_process(imports):
    use = "print(ours.NetParameter(name='a').SerializeToString() == theirs(title='a').SerializeToString())"
    code = "\n".join([*imports, use])
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("True", "")
