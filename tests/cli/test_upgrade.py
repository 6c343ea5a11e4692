"""The three tools that write old files in today's form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text, read_caffemodel

from .conftest import Cli, messages

V0 = """name: "old"
input: "data"
input_dim: 2 input_dim: 3 input_dim: 5 input_dim: 7
layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "padded" }
layers {
  layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3 blobs_lr: 1 blobs_lr: 2 }
  bottom: "padded" top: "conv"
}
"""
V1 = """name: "old"
layers { name: "mnist" type: DATA top: "data" data_param { source: "db" batch_size: 9 scale: 0.5 crop_size: 3 } }
layers { name: "ip" type: INNER_PRODUCT bottom: "data" top: "ip" blobs_lr: 3 inner_product_param { num_output: 2 } }
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_text_of_a_v0_net(cli: Cli) -> None:
    Path("old").write_text(V0)
    assert cli("upgrade_net_proto_text", "old", "new").status == 0
    net, _ = parse_text(Path("new").read_text(), pb.NetParameter)
    assert not net.layers
    assert not net.input
    data, conv = net.layer
    assert (data.type, list(data.input_param.shape[0].dim)) == ("Input", [2, 3, 5, 7])
    assert (conv.type, list(conv.bottom), list(conv.convolution_param.pad)) == ("Convolution", ["data"], [1])
    assert [spec.lr_mult for spec in conv.param] == [1, 2]
    assert caffe.Net("new", caffe.TEST).blobs["conv"].shape == caffe.Net("old", caffe.TEST).blobs["conv"].shape


def test_the_text_of_a_v1_net(cli: Cli) -> None:
    Path("old").write_text(V1)
    result = cli("upgrade-net-proto-text", "old", "new")
    assert messages(result.err, "upgrade_net_proto_text.py") == ["Wrote upgraded NetParameter text proto to new"]
    net, _ = parse_text(Path("new").read_text(), pb.NetParameter)
    assert [layer.type for layer in net.layer] == ["Data", "InnerProduct"]
    assert (net.layer[0].transform_param.scale, net.layer[0].transform_param.crop_size) == (0.5, 3)
    assert not net.layer[0].data_param.HasField("scale")
    assert net.layer[1].param[0].lr_mult == 3


def test_a_net_of_today_stays_as_it_is(cli: Cli) -> None:
    Path("old").write_text(V1)
    cli("upgrade-net-proto-text", "old", "new")
    result = cli("upgrade-net-proto-text", "new", "newer")
    assert result.status == 0
    assert "new is in today's form already" in result.err
    assert Path("newer").read_text() == Path("new").read_text()


def test_a_binary_v1_net_keeps_its_weights(cli: Cli) -> None:
    net, _ = parse_text(V1, pb.NetParameter)
    weights = np.random.default_rng(1).standard_normal((2, 9)).astype(np.float32)
    net.layers[1].blobs.add(num=1, channels=1, height=2, width=9, data=weights.ravel().tolist())
    Path("old").write_bytes(net.SerializeToString())
    assert cli("upgrade_net_proto_binary", "old", "new").status == 0
    new = pb.NetParameter.FromString(Path("new").read_bytes())
    assert not new.layers
    assert new.layer[1].type == "InnerProduct"
    [blob] = read_caffemodel("new")[1].blobs
    np.testing.assert_array_equal(blob.reshape(2, 9), weights)


def test_weights_that_people_have(cli: Cli, shared: Path) -> None:
    old = shared / "models" / "lenet_v1" / "lenet_iter_10000.caffemodel"
    assert cli("upgrade_net_proto_binary", str(old), "new").status == 0
    before, after = ({w.name: w.blobs for w in read_caffemodel(f) if w.blobs} for f in (old, "new"))
    assert list(before) == list(after) == ["conv1", "conv2", "ip1", "ip2"]
    for name, blobs in before.items():
        for old_blob, new_blob in zip(blobs, after[name], strict=True):
            np.testing.assert_array_equal(old_blob, new_blob)


def test_a_solver(cli: Cli) -> None:
    Path("old").write_text('net: "n"\nbase_lr: 0.25\nlr_policy: "fixed"\nsolver_type: NESTEROV\n')
    assert cli("upgrade_solver_proto_text", "old", "new").status == 0
    solver, _ = parse_text(Path("new").read_text(), pb.SolverParameter)
    assert not solver.HasField("solver_type")
    assert (solver.type, solver.base_lr, solver.HasField("snapshot_prefix")) == ("Nesterov", 0.25, False)
    assert "new is in today's form already" in cli("upgrade_solver_proto_text", "new", "newer").err


def test_a_solver_of_two_types(cli: Cli) -> None:
    Path("old").write_text('net: "n"\nsolver_type: NESTEROV\ntype: "SGD"\n')
    result = cli("upgrade_solver_proto_text", "old", "new")
    assert result.status == 1
    assert "old:2:1" in result.error
    assert not Path("new").exists()


@pytest.mark.parametrize("verb", ["net-proto-text", "net-proto-binary", "solver-proto-text"])
def test_errors(cli: Cli, verb: str) -> None:
    assert "There is no file" in cli(f"upgrade-{verb}", "old", "new").error
    Path("old").write_text("name: 3 { } {")
    result = cli(f"upgrade-{verb}", "old", "new")
    assert result.status == 1
    assert "old:1:" in result.error
    assert not Path("new").exists()
    assert cli(f"upgrade-{verb}", "old").status == 2


def test_a_place_that_cannot_be_written(cli: Cli) -> None:
    Path("old").write_text(V1)
    assert "Cannot write" in cli("upgrade-net-proto-text", "old", "none/new").error
