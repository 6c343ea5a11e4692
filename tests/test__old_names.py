"""Names that pycaffe had before 1.0, or by the way."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from google.protobuf import text_format

import pycaffe_lite as caffe
from pycaffe_lite import _old_names
from pycaffe_lite.errors import OldNameError
from tests.layers.nets import net_of

NET = 'layer { name: "p" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }'


@pytest.mark.parametrize("name", _old_names.NET)
def test_of_a_net(name: str) -> None:
    net = net_of(NET)
    assert not hasattr(net, name)
    with pytest.raises(OldNameError, match=rf"A net has no '{name}' any more\. \w+ "):
        getattr(net, name)


@pytest.mark.parametrize("name", _old_names.PACKAGE)
def test_of_the_package(name: str) -> None:
    assert not hasattr(caffe, name)
    with pytest.raises(OldNameError, match=rf"caffe has no '{name}' any more\. \w+ "):
        getattr(caffe, name)


@pytest.mark.parametrize("name", _old_names.ON_DEMAND)
def test_modules_that_need_no_import_of_their_own(name: str) -> None:
    assert getattr(caffe, name).__name__ == f"pycaffe_lite.{name}"
    assert hasattr(caffe, name)


def test_other_names_are_plainly_unknown() -> None:
    for thing in (caffe, caffe.io, net_of(NET)):
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'") as caught:
            _ = thing.nonsense
        assert not isinstance(caught.value, OldNameError)


def test_a_property_of_a_users_net_says_itself_what_is_wrong() -> None:
    class Mine(caffe.Net):
        @property
        def scale(self) -> float:
            return self.layers[0].nonsense  # type: ignore[attr-defined, no-any-return]

    message = caffe.proto.caffe_pb2.NetParameter()
    text_format.Parse(NET, message)
    net = Mine.from_message(message)
    with pytest.raises(AttributeError, match="'DummyData' object has no attribute 'nonsense'"):
        _ = net.scale


def test_what_io_took_from_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.transform", None)
    assert not hasattr(caffe.io, "skimage")
    with pytest.raises(OldNameError, match="caffe.io.resize is scikit-image's.*resize_image.*pip install scikit-image"):
        _ = caffe.io.resize
    transform = ModuleType("skimage.transform")
    transform.resize = lambda image, shape: shape  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "skimage", ModuleType("skimage"))
    monkeypatch.setitem(sys.modules, "skimage.transform", transform)
    assert caffe.io.skimage is sys.modules["skimage"]
    assert caffe.io.resize(None, (4, 5)) == (4, 5)


def test_pycaffes_modules_need_no_import_of_their_own() -> None:
    assert caffe._caffe.Net is caffe.pycaffe.Net is caffe.Net
