from __future__ import annotations

import os
import random
import tracemalloc

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, MissingFileError, ParseError, SnapshotError, WeightsError
from pycaffe_lite.proto.caffe_pb2 import NetParameter, V1LayerParameter
from pycaffe_lite.schema import (
    SolverState,
    parse_text,
    read_caffemodel,
    weights,
    write_caffemodel,
    write_solverstate,
)
from pycaffe_lite.schema.wire import put_head, put_varint

NET = """
name: "n" input: "d"
layer { name: "c" type: "Convolution" bottom: "d" top: "c" param { lr_mult: 2 } convolution_param { num_output: 2 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" clip_param { min: 0 max: 1 } }
layer { name: "größe" type: "InnerProduct" }
"""
RNG = np.random.default_rng(1)
BLOBS = [
    [RNG.random((2, 3, 5, 7), np.float32), RNG.random(2, np.float32)],
    [],
    [RNG.random((3, 5), np.float32), RNG.random(3, np.float32), RNG.random(1, np.float32)],
]


def net() -> NetParameter:
    return parse_text(NET, NetParameter)[0]


@pytest.fixture
def path(tmp_path):
    goal = tmp_path / "n.caffemodel"
    write_caffemodel(goal, net(), BLOBS)
    return goal


def check(layers, blobs=BLOBS):
    assert [w.name for w in layers] == ["c", "r", "größe"]
    assert [w.type for w in layers] == ["Convolution", "ReLU", "InnerProduct"]
    for w, arrays in zip(layers, blobs, strict=True):
        assert len(w.blobs) == len(arrays)
        for found, array in zip(w.blobs, arrays, strict=True):
            np.testing.assert_array_equal(found, array, strict=True)


def test_round_trip(path):
    check(read_caffemodel(path))


def test_protobuf_reads_the_same(path):
    expected = net()
    for layer, arrays in zip(expected.layer, BLOBS, strict=True):
        for array in arrays:
            layer.blobs.add(data=array.ravel()).shape.dim.extend(array.shape)
    assert NetParameter.FromString(path.read_bytes()) == expected


def test_what_protobuf_writes_is_read(path):
    path.write_bytes(NetParameter.FromString(path.read_bytes()).SerializeToString())
    check(read_caffemodel(path))


def test_diffs_and_doubles(path):
    doubles = [[a.astype("f8") for a in arrays] for arrays in BLOBS]
    write_caffemodel(path, net(), doubles, [[-a for a in arrays] for arrays in doubles])
    check(read_caffemodel(path), doubles)
    blob = NetParameter.FromString(path.read_bytes()).layer[2].blobs[0]
    assert list(blob.double_diff) == (-doubles[2][0]).ravel().tolist()
    assert not blob.data


def test_blobs_of_the_message_are_replaced_in_the_file_alone(path):
    message = net()
    message.layer[1].blobs.add(data=[1, 2])
    write_caffemodel(path, message, BLOBS)
    check(read_caffemodel(path))
    assert len(message.layer[1].blobs) == 1


def test_a_message_with_a_required_field_missing_is_written_all_the_same(path):
    message = net()
    message.layer[1].clip_param.ClearField("max")
    write_caffemodel(path, message, BLOBS)
    check(read_caffemodel(path))


def test_a_solver_state_is_said_to_be_one(tmp_path):
    write_solverstate(tmp_path / "a", SolverState(0, "weights.caffemodel", [np.ones(3)], 0))
    with pytest.raises(ParseError, match=r"a is no caffemodel\. Is it a solver state\?.*--snapshot, or solver.restore"):
        read_caffemodel(tmp_path / "a")


def test_arrays_must_be_for_all_layers(tmp_path):
    with pytest.raises(WeightsError, match="The net has 3 layers; arrays came for 2"):
        write_caffemodel(tmp_path / "a", net(), BLOBS[:2])
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SnapshotError, match="there is no folder"):
        write_caffemodel(tmp_path / "no" / "a", net(), BLOBS)


def test_v1_layers_with_legacy_shapes(tmp_path):
    v1 = NetParameter()
    layer = v1.layers.add(name="ip", type=V1LayerParameter.INNER_PRODUCT, blobs_lr=[1, 2])
    layer.blobs.add(data=range(6), num=1, channels=1, height=2, width=3)
    v1.layers.add(name="r", type=V1LayerParameter.RELU)
    (tmp_path / "v1").write_bytes(v1.SerializeToString())
    ip, relu = read_caffemodel(tmp_path / "v1")
    assert (ip.name, ip.type, relu.name, relu.type) == ("ip", "INNER_PRODUCT", "r", "RELU")
    np.testing.assert_array_equal(ip.blobs[0], np.arange(6, dtype="f4").reshape(1, 1, 2, 3), strict=True)
    assert relu.blobs == []


def test_v0_layers(tmp_path):
    v0 = NetParameter()
    layer = v0.layers.add(bottom=["d"]).layer
    layer.name, layer.type = "c", "conv"
    layer.blobs.add(data=[5, 7], num=1, channels=2, height=1, width=1)
    (tmp_path / "v0").write_bytes(v0.SerializeToString())
    (conv,) = read_caffemodel(tmp_path / "v0")
    assert (conv.name, conv.type, conv.blobs[0].shape) == ("c", "conv", (1, 2, 1, 1))


def test_types_that_v1_does_not_know_keep_their_number(tmp_path):
    (tmp_path / "a").write_bytes(put_head(2, 5) + b"\x22\x01a" + b"\x28\x63")
    assert read_caffemodel(tmp_path / "a")[0].type == "99"


def test_a_forks_fields_do_no_harm(path):
    """Unknown numbers, and known ones with another meaning, in the net, in layers and in blobs."""
    strange = b"\x1d\1\2\3\4" + b"\xd2\xa9\x0e\x03abc" + b"\x2a\x02\x08\x01"  # 3: fixed32, 30042: text, 5: a message
    blob = put_head(5, 8) + BLOBS[0][1].tobytes() + put_head(7, 3) + b"\x0a\x01\x02"
    blob += b"\xd0\x0f\x05" + put_head(1, 1) + b"x" + b"\x98\x7d\x01"
    layer = b"\x0a\x01a" + b"\x10\x07" + b"\x1a\x03\xff\xfe\xfd" + put_head(7, len(blob)) + blob + strange
    path.write_bytes(strange + put_head(100, len(layer)) + layer + b"\x10\x05" + b"\xa0\x06\x01")
    (found,) = read_caffemodel(path)
    assert found.name == "a"
    np.testing.assert_array_equal(found.blobs[0], BLOBS[0][1], strict=True)


def test_names_that_are_not_utf8(tmp_path):
    layer = b"\x0a\x02\xe9a" + b"\x12\x04ReLU"
    (tmp_path / "a").write_bytes(put_head(100, len(layer)) + layer)
    assert read_caffemodel(tmp_path / "a")[0].name == "éa"


def test_shape_without_data(path):
    message = net()
    message.layer[0].blobs.add().shape.dim.extend([2, 3])
    path.write_bytes(message.SerializeToString())
    with pytest.raises(WeightsError, match=r"Blob 0 of layer 'c' in .*n\.caffemodel has no data"):
        read_caffemodel(path)


def test_data_that_does_not_fit_the_shape(path):
    message = net()
    message.layer[2].blobs.add(data=[1]).shape.dim.extend([1])
    message.layer[2].blobs.add(data=[1, 2, 3]).shape.dim.extend([2, 2])
    path.write_bytes(message.SerializeToString())
    with pytest.raises(WeightsError, match=r"Blob 1 of layer 'größe' .* has shape \(2, 2\), which is 4 numbers, and 3"):
        read_caffemodel(path)


def test_a_file_cut_off_anywhere(tmp_path):
    """An error that names the byte; save that a file cut between two layers is, on the wire, a whole one."""
    small = NetParameter(name="n")
    whole = set()
    for name in ("ab", "c"):
        small.layer.add(name=name, type="T").blobs.add(data=[1, 2]).shape.dim.extend([2])
        whole.add(small.ByteSize())
    data = small.SerializeToString()
    for n in range(len(data)):
        (tmp_path / "a").write_bytes(data[:n])
        if n in whole:
            assert [w.name for w in read_caffemodel(tmp_path / "a")] == ["ab"]
        else:
            with pytest.raises(CaffeError):
                read_caffemodel(tmp_path / "a")
    (tmp_path / "a").write_bytes(data[:-1])
    with pytest.raises(ParseError, match=f"ends at byte {len(data) - 1}; field 100, at byte"):
        read_caffemodel(tmp_path / "a")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b'name: "LeNet"\nlayer {', "is text, not a caffemodel; it begins with 'name: \"LeNet\"'"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n\0\0", "is an HDF5 file"),
        (b"\xff\xd8\xff\xe0 a picture", "is no caffemodel, or is broken"),
        (NetParameter(name="mean\0").SerializeToString(), "holds no layers"),
    ],
)
def test_other_files(path, content, said):
    path.write_bytes(content)
    with pytest.raises(CaffeError) as e:
        read_caffemodel(path)
    assert said in str(e.value)
    assert "n.caffemodel" in str(e.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError):
        read_caffemodel(tmp_path / "a")


def test_memory_is_about_the_files_size(tmp_path):
    size = 40_000_000
    message = NetParameter(layer=[{"name": "a"}])
    tracemalloc.start()
    try:
        array = np.ones(size // 4, np.float32)
        write_caffemodel(tmp_path / "a", message, [[array]])
        assert tracemalloc.get_traced_memory()[1] < 1.1 * size
        del array
        tracemalloc.reset_peak()
        read_caffemodel(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 1.1 * size
    finally:
        tracemalloc.stop()


def test_a_blob_above_two_gigabytes(tmp_path):
    """Which protobuf does not read. The file is sparse, and only what is looked at is fetched."""
    count = 2**29 + 3
    blob = put_head(5, 4 * count)
    shape = put_head(7, 7) + b"\x0a\x05" + put_varint(count)
    layer = b"\x0a\x03big" + put_head(7, len(blob) + 4 * count + len(shape)) + blob
    with open(tmp_path / "a", "wb") as f:
        f.write(put_head(100, len(layer) + 4 * count + len(shape)) + layer)
        f.seek(4 * (count - 1), os.SEEK_CUR)
        f.write(np.float32(7).tobytes() + shape)
    (found,) = read_caffemodel(tmp_path / "a")
    assert found.blobs[0].shape == (count,)
    assert (found.blobs[0][0], found.blobs[0][-2], found.blobs[0][-1]) == (0, 0, 7)


def test_files_that_protobuf_cannot_read_are_written_with_a_warning(path, monkeypatch, caplog):
    size = os.path.getsize(path)
    monkeypatch.setattr(weights, "PROTOBUF_LIMIT", size)
    write_caffemodel(path, net(), BLOBS)
    assert not caplog.text
    monkeypatch.setattr(weights, "PROTOBUF_LIMIT", size - 1)
    write_caffemodel(path, net(), BLOBS)
    assert f"has {size} bytes; BVLC Caffe reads at most {size - 1}: save as HDF5" in caplog.text
    check(read_caffemodel(path))


def test_real_files_as_protobuf_reads_them(shared):
    paths = sorted((shared / "models").glob("*/*.caffemodel")) + sorted((shared / "golden/lenet").glob("*.caffemodel"))
    assert len(paths) >= 11
    for path in paths:
        message = NetParameter.FromString(path.read_bytes())
        theirs = message.layer or message.layers
        ours = read_caffemodel(path)
        assert [w.name for w in ours] == [layer.name for layer in theirs], path
        for w, layer in zip(ours, theirs, strict=True):
            assert len(w.blobs) == len(layer.blobs)
            for array, blob in zip(w.blobs, layer.blobs, strict=True):
                legacy = (blob.num, blob.channels, blob.height, blob.width)
                assert array.shape == (legacy if blob.HasField("num") else tuple(blob.shape.dim))
                np.testing.assert_array_equal(array.ravel(), np.array(blob.data, np.float32), strict=True)


def test_real_files_round_trip_through_ours(shared, tmp_path):
    for name in ("golden/lenet/lenet_iter_5000.caffemodel", "models/squeezenet/squeezenet_v1.0.caffemodel"):
        message = NetParameter.FromString((shared / name).read_bytes())
        write_caffemodel(tmp_path / "a", message, [w.blobs for w in read_caffemodel(shared / name)])
        assert NetParameter.FromString((tmp_path / "a").read_bytes()) == message


def test_whatever_happens_to_the_bytes(path):
    rng = random.Random(11)
    base = path.read_bytes()
    good = 0
    for _ in range(600):
        raw = bytearray(base)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(raw))
            if rng.random() < 0.7:
                raw[at] = rng.randrange(256)
            else:
                del raw[at : at + rng.randrange(1, 20)]
        path.write_bytes(raw)
        try:
            layers = read_caffemodel(path)
        except CaffeError:
            continue
        good += 1
        assert all(np.isscalar(w.name) and isinstance(a, np.ndarray) for w in layers for a in w.blobs)
    assert 0 < good < 600
