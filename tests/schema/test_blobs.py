from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, MissingFileError, ParseError, WeightsError
from pycaffe_lite.proto.caffe_pb2 import BlobProto
from pycaffe_lite.schema import array_to_blobproto, blobproto_to_array, read_binaryproto, write_binaryproto
from pycaffe_lite.schema.blobs import blob_parts, read_blob

ARRAY = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5) / 7


def read(raw: bytes):
    return read_blob(memoryview(raw), 0, len(raw), "Blob 0")


def message(**fields) -> BlobProto:
    blob = BlobProto(**fields)
    blob.shape.dim.extend(ARRAY.shape)
    return blob


def test_what_protobuf_writes_is_read():
    blob = message(data=ARRAY.ravel(), diff=-ARRAY.ravel())
    found = read(blob.SerializeToString())
    np.testing.assert_array_equal(found.data, ARRAY, strict=True)
    np.testing.assert_array_equal(found.diff, -ARRAY, strict=True)
    assert not found.data.flags.writeable


@pytest.mark.parametrize("doubles", [False, True])
def test_what_is_written_is_protobufs_to_the_byte(doubles):
    flat = ARRAY.ravel()
    blob = message(double_data=flat, double_diff=2 * flat) if doubles else message(data=flat, diff=2 * flat)
    assert b"".join(blob_parts(ARRAY, 2 * ARRAY, doubles=doubles)) == blob.SerializeToString()


def test_only_the_layout_of_the_numbers_counts():
    turned = np.asfortranarray(ARRAY).astype(">f8")
    assert b"".join(blob_parts(turned)) == b"".join(blob_parts(ARRAY))


def test_doubles_go_before_floats():
    found = read(message(data=ARRAY.ravel(), double_data=3 * ARRAY.ravel().astype("f8")).SerializeToString())
    np.testing.assert_array_equal(found.data, 3 * ARRAY.astype("f8"), strict=True)


def test_legacy_dims_go_before_the_shape():
    found = read(message(data=ARRAY.ravel(), num=1, channels=5, height=3, width=2).SerializeToString())
    assert found.data.shape == (1, 5, 3, 2)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (1, 1, 1, 7)])
def test_odd_shapes_round_trip(shape):
    array = np.full(shape, 2.5, np.float32)
    blob = array_to_blobproto(array)
    assert tuple(blob.shape.dim) == shape
    np.testing.assert_array_equal(blobproto_to_array(blob), array, strict=True)


def test_unpacked_numbers_and_dims():
    dims = b"".join(b"\x08" + bytes([d]) for d in ARRAY.shape)
    numbers = b"".join(b"\x2d" + struct.pack("<f", x) for x in ARRAY.ravel())
    np.testing.assert_array_equal(read(b"\x3a\x06" + dims + numbers).data, ARRAY, strict=True)
    doubles = b"".join(b"\x41" + struct.pack("<d", x) for x in ARRAY.ravel())
    np.testing.assert_array_equal(read(doubles + b"\x3a\x06" + dims).data, ARRAY.astype("f8"), strict=True)


def test_numbers_in_several_pieces():
    one, two = ARRAY.ravel()[:4], ARRAY.ravel()[4:]
    pieces = [BlobProto(data=one[:1]), BlobProto(diff=ARRAY.ravel()), BlobProto(data=one[1:])]
    raw = b"".join(p.SerializeToString() for p in pieces)
    raw += b"".join(b"\x2d" + struct.pack("<f", x) for x in two)
    raw += message().SerializeToString()
    np.testing.assert_array_equal(read(raw).data, ARRAY, strict=True)


def test_many_unpacked_numbers_are_taken_in_runs():
    """A million numbers, one field each: one by one this would take seconds."""
    values = np.random.default_rng(0).random(1_000_000, np.float32)
    records = np.empty(len(values), [("tag", "u1"), ("value", "<f4")])
    records["tag"], records["value"] = 0x2D, values
    raw = records.tobytes() + BlobProto(shape={"dim": [len(values)]}).SerializeToString()
    np.testing.assert_array_equal(read(raw).data, values, strict=True)


def test_the_run_may_end_anywhere():
    for n in (1, 2, 63, 64, 65, 66, 128, 193, 200):
        values = np.arange(n, dtype=np.float32)
        raw = b"".join(b"\x2d" + struct.pack("<f", x) for x in values)
        raw += BlobProto(shape={"dim": [n]}).SerializeToString()
        np.testing.assert_array_equal(read(raw).data, values, strict=True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data": [1, 2, 3]}, "Blob 0 has shape (2, 3, 5), which is 30 numbers, and 3 in its data"),
        ({"data": ARRAY.ravel(), "diff": [1]}, "and 1 in its diff"),
        ({"data": ARRAY.ravel(), "num": 2}, "Blob 0 has shape (2, 0, 0, 0), which is 0 numbers, and 30 in its data"),
        ({"data": ARRAY.ravel(), "num": -2}, "impossible shape (-2, 0, 0, 0)"),
    ],
)
def test_numbers_must_fit_the_shape(fields, said):
    with pytest.raises(WeightsError) as e:
        read(message(**fields).SerializeToString())
    assert said in str(e.value)


def test_shapes_out_of_reach():
    huge = BlobProto(shape={"dim": [2**62, 2**62]}, data=[1])
    with pytest.raises(WeightsError, match="numbers, and 1 in its data"):
        read(huge.SerializeToString())
    with pytest.raises(WeightsError, match="impossible shape"):
        read(BlobProto(shape={"dim": [1] * 33}, data=[1]).SerializeToString())


def test_numbers_must_be_whole():
    with pytest.raises(ParseError, match="The 6 bytes of numbers at byte 2 are not a multiple of 4"):
        read(b"\x2a\x06abcdef")


def test_a_blob_of_the_wrong_wire_type_counts_as_absent():
    assert read(b"\x28\x05" + b"\x39" + bytes(8) + b"\x0a\x01x" + message().SerializeToString()).data is None


def test_messages_round_trip_with_diff():
    blob = array_to_blobproto(ARRAY.astype("f8"), -ARRAY)
    assert blob == message(data=ARRAY.ravel(), diff=-ARRAY.ravel())
    found = blobproto_to_array(blob, return_diff=True)
    np.testing.assert_array_equal(found, -ARRAY, strict=True)
    found[0, 0, 0] = 9  # a new array


def test_messages_without_what_is_wanted():
    with pytest.raises(WeightsError, match="has no diff"):
        blobproto_to_array(array_to_blobproto(ARRAY), return_diff=True)
    with pytest.raises(WeightsError, match="has no data"):
        blobproto_to_array(BlobProto())
    with pytest.raises(WeightsError, match=r"shape \(2, 3, 5\), its diff \(2, 3\)"):
        array_to_blobproto(ARRAY, ARRAY[..., 0])


def test_files(tmp_path):
    write_binaryproto(tmp_path / "mean.binaryproto", ARRAY)
    np.testing.assert_array_equal(read_binaryproto(tmp_path / "mean.binaryproto"), ARRAY, strict=True)
    with pytest.raises(MissingFileError):
        read_binaryproto(tmp_path / "men.binaryproto")
    (tmp_path / "bad").write_bytes(b"\x2a\x06abc")
    with pytest.raises(ParseError, match="bad is no BlobProto: .* at byte 0, needs 6 bytes and 3 are left"):
        read_binaryproto(tmp_path / "bad")


def test_a_mean_file_of_caffes(shared):
    path = shared / "models/cifar10_quick/mean.binaryproto"
    mean = read_binaryproto(path)
    assert mean.shape == (1, 3, 32, 32)
    assert list(BlobProto.FromString(path.read_bytes()).data) == mean.ravel().tolist()


def test_whatever_happens_to_the_bytes():
    """What comes out is what protobuf reads, or an error."""
    rng = random.Random(5)
    base = message(data=ARRAY.ravel(), diff=ARRAY.ravel()).SerializeToString()
    good = 0
    for _ in range(3000):
        raw = bytearray(base)
        for _ in range(rng.randrange(1, 3)):
            at = rng.choice([rng.randrange(len(raw)), rng.randrange(6), len(raw) - 1 - rng.randrange(6)])
            raw[at] = rng.randrange(256)
        try:
            found = read(bytes(raw)).data
        except CaffeError:
            continue
        good += 1
        if found is not None and found.dtype == np.float32:
            theirs = np.array(BlobProto.FromString(bytes(raw)).data, np.float32)
            np.testing.assert_array_equal(found.ravel(), theirs)
    assert 0 < good < 3000
