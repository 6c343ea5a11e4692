from __future__ import annotations

import random

import pytest

from pycaffe_lite.errors import ParseError
from pycaffe_lite.proto.caffe_pb2 import SolverState, V1LayerParameter
from pycaffe_lite.schema.wire import I32, I64, LEN, VARINT, Walk, put_head, put_varint, signed, varint


def fields(data: bytes) -> list[tuple[int, int, int | bytes]]:
    return [(f.number, f.kind, f.value if f.kind == VARINT else data[f.start : f.stop]) for f in Walk(memoryview(data))]


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**63 - 1, -1, -(2**31), -(2**63)])
def test_numbers_round_trip_and_are_protobufs(value):
    raw = put_varint(value)
    found, end = varint(memoryview(raw), 0, len(raw))
    assert (signed(found), end) == (value, len(raw))
    if -(2**31) <= value < 2**31:
        assert SolverState(iter=value).SerializeToString() == b"\x08" + raw


def test_all_kinds_of_fields():
    data = b"\x08\x96\x01" + b"\x11" + bytes(8) + put_head(3, 2) + b"ab" + b"\x25" + b"\1\2\3\4" + b"\xca\x3e\0"
    assert fields(data) == [
        (1, VARINT, 150),
        (2, I64, bytes(8)),
        (3, LEN, b"ab"),
        (4, I32, b"\1\2\3\4"),
        (1001, LEN, b""),
    ]
    assert V1LayerParameter(param=[""]).SerializeToString() == data[-3:]


def test_groups_are_stepped_over():
    inner = b"\x13" + b"\x08\x01" + b"\x1b\x1c" + b"\x14"  # 2 { 1: 1  3 {} }
    assert fields(b"\x08\x01" + inner + b"\x20\x05") == [(1, VARINT, 1), (4, VARINT, 5)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x08", "ends at byte 1, within the number that begins at byte 1"),
        (b"\x08\x80", "ends at byte 2, within the number that begins at byte 1"),
        (b"\x08" + b"\x80" * 11 + b"\1", "at byte 1 is longer than ten bytes"),
        (b"\x08\x01\x1a\x05abc", "ends at byte 7; field 3, at byte 2, needs 5 bytes and 3 are left"),
        (b"\x25\1\2\3", "field 4, at byte 0, needs 4 bytes and 3 are left"),
        (b"\x11" + bytes(7), "needs 8 bytes and 7 are left"),
        (b"\x1a" + put_varint(2**63), "needs 9223372036854775808 bytes and 0 are left"),
        (b"\x08\x01\x00\x01", "no field at byte 2 (number 0"),
        (b"\x0e\x01", "no field at byte 0 (number 1, wire type 6)"),
        (b"\x13\x08\x01", "within the group of field 2"),
        (b"\x13\x1c", "A group (field 3) ends at byte 1 and never began"),
        (b"\x14", "A group (field 2) ends at byte 0 and never began"),
    ],
)
def test_broken_bytes_are_refused(data, said):
    with pytest.raises(ParseError) as e:
        fields(data)
    assert said in str(e.value)


def test_a_part_ends_where_it_is_said_to():
    data = memoryview(b"\x08\x01\x1a\x02ab")
    assert [f.number for f in Walk(data, 0, 2)] == [1]
    with pytest.raises(ParseError, match="ends at byte 5"):
        list(Walk(data, 2, 5))


def test_whatever_bytes_come_in():
    rng = random.Random(3)
    good = 0
    for _ in range(5000):
        data = rng.randbytes(rng.randrange(12))
        try:
            good += bool(fields(data))
        except ParseError:
            continue
    assert 0 < good < 5000
