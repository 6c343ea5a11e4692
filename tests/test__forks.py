from __future__ import annotations

import pytest

import pycaffe_lite as caffe
from pycaffe_lite import _forks
from pycaffe_lite._forks import fork_hint
from pycaffe_lite.proto import caffe_pb2 as pb


def test_none_of_them_is_caffes() -> None:
    ours = {_forks._key(name) for name in caffe.layer_type_list()}
    ours |= {_forks._key(field) for field in pb.LayerParameter.DESCRIPTOR.fields_by_name}
    assert not ours & {*_forks._SAME, *_forks._LAYER_OF}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SmoothL1Loss", "a layer of the Faster R-CNN fork"),
        ("smooth_l1_loss_param", "a layer of the Faster R-CNN fork"),
        ("norm_param", "a layer of the SSD fork"),
        ("ap_version", "a field of the SSD fork"),
        ("DepthwiseConvolution", 'type: "Convolution" with as many groups as channels: it computes the same'),
    ],
)
def test_what_it_says(name: str, says: str) -> None:
    assert says in fork_hint(name)


def test_other_names() -> None:
    assert fork_hint("Convolutionn") == fork_hint("nothing_param") == ""
