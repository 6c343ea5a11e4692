"""Coordinates: by themselves, and against nets that show where their pixels come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite import layers as L
from pycaffe_lite import params as P
from pycaffe_lite.coord_map import (
    AxisMismatchException,
    UndefinedMapException,
    compose,
    conv_params,
    coord_map,
    coord_map_from_to,
    crop,
    crop_params,
    inverse,
)


def net(ks: Any = 3, stride: Any = 1, pad: Any = 0, pool: Any = 2, dstride: Any = 2, dpad: Any = 0) -> caffe.NetSpec:
    """Convolution, pooling, and a deconvolution that makes it larger again."""
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 1, 100, 90]))
    n.aux = L.Input(shape=dict(dim=[2, 1, 20, 20]))
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=ks, stride=stride, pad=pad)
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=pool, stride=pool, pad=0)
    n.deconv = L.Deconvolution(
        n.pool,
        convolution_param=dict(num_output=10, kernel_size=(np.array(dstride) * 2).tolist(), stride=dstride, pad=dpad),
    )
    return n


def numbers(found: Any) -> tuple[Any, list[float], list[float]]:
    axis, scale, shift = found
    return axis, np.atleast_1d(scale).tolist(), np.atleast_1d(shift).tolist()


def test_down_and_up_again_is_the_identity_but_for_a_shift() -> None:
    n = net()
    assert numbers(coord_map_from_to(n.deconv, n.data)) == (1, [1], [0])
    n = net(pool=4, dstride=4)
    assert numbers(coord_map_from_to(n.deconv, n.data)) == (1, [1], [-1])


def test_pointwise_layers_move_nothing() -> None:
    n = net()
    before = numbers(coord_map_from_to(n.deconv, n.data))
    n.relu = L.ReLU(n.deconv)
    n.conv1x1 = L.Convolution(n.relu, num_output=10, kernel_size=1, stride=1, pad=0)
    for top in (n.relu, n.conv1x1):
        assert numbers(coord_map_from_to(top, n.data)) == before


@pytest.mark.parametrize("pad", [1, 7])
def test_padding(pad: int) -> None:
    def shift(**options: int) -> list[float]:
        n = net(**options)
        return numbers(coord_map_from_to(n.deconv, n.data))[2]

    assert shift() == [0]
    assert shift(pad=pad) == [-pad]  # the data's pixels lie further on
    assert shift(dpad=pad) == [pad]
    assert shift(pad=pad, dpad=pad) == [0]


def test_several_bottoms_move_alike() -> None:
    n = caffe.NetSpec()
    n.data, n.aux = L.Input(shape=dict(dim=[2, 1, 100, 100])), L.Input(shape=dict(dim=[2, 1, 100, 100]))
    n.a, n.b = L.Convolution(n.data, n.aux, ntop=2, num_output=10, kernel_size=5, stride=2, pad=0)
    one, other = coord_map_from_to(n.a, n.data), coord_map_from_to(n.b, n.aux)
    assert numbers(one) == numbers(other) == (1, [2], [2])


def test_each_axis_by_itself() -> None:
    n = net(ks=[3, 5], stride=[1, 2], pad=[0, 10])
    both = numbers(coord_map_from_to(n.deconv, n.data))
    a, b = net(ks=3, stride=1, pad=0), net(ks=5, stride=2, pad=10)
    first, second = numbers(coord_map_from_to(a.deconv, a.data)), numbers(coord_map_from_to(b.deconv, b.data))
    assert both == (1, first[1] + second[1], first[2] + second[2])


def test_more_axes() -> None:
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[2, 3, 50, 50, 50]))
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=[3, 3, 3], stride=[1, 1, 1], pad=[0, 1, 2])
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=2, stride=2, pad=0)
    n.deconv = L.Deconvolution(n.pool, num_output=10, kernel_size=4, stride=2, pad=0)
    assert numbers(coord_map_from_to(n.deconv, n.data)) == (1, [1, 1, 1], [0, -1, -2])


def test_dilation_widens_the_kernel() -> None:
    fn = L.Convolution(L.Input(), kernel_size=3, dilation=4, stride=2, pad=1, axis=2).fn
    axis, stride, extent, pad = conv_params(fn)
    assert (axis, stride.tolist(), extent.tolist(), pad.tolist()) == (2, [2], [9], [1])
    assert numbers(coord_map(fn)) == (2, [0.5], [-1.5])


def test_a_crop_moves_by_its_offset() -> None:
    n = net()
    n.crop = L.Crop(n.deconv, n.data, axis=2, offset=6)
    assert [np.asarray(x).tolist() for x in crop_params(n.crop.fn)] == [2, [6]]
    before, after = (numbers(coord_map_from_to(top, n.data)) for top in (n.deconv, n.crop))
    assert after == (before[0], before[1], [before[2][0] + 6])


def test_composition_and_inverse() -> None:
    a, b = (1, 3.0, 5.0), (1, 2.0, -7.0)
    assert compose(a, b) == (1, 6.0, 3.0 * -7.0 + 5.0)
    assert compose(a, (None, 1, 0)) == compose((None, 1, 0), a) == a
    assert numbers(compose(a, inverse(a))) == (1, [1], [0])
    with pytest.raises(AxisMismatchException):
        compose(a, (2, 1, 0))


@pytest.mark.parametrize(
    "options", [{"pad": 10}, {"ks": 5, "pad": 12, "pool": 4, "dstride": 4}, {"ks": [3, 5], "pad": [7, 9]}]
)
def test_a_crop_of_a_real_net_lies_where_it_should(options: dict[str, Any]) -> None:
    """The net is linear with symmetric kernels: what a pixel of the data does has its centre at that pixel."""
    n = net(**options)
    n.pool = L.Pooling(
        n.conv, pool=P.Pooling.AVE, kernel_size=options.get("pool", 2), stride=options.get("pool", 2), pad=0
    )
    stride = options.get("dstride", 2)
    n.deconv = L.Deconvolution(
        n.pool,
        convolution_param=dict(num_output=1, kernel_size=2 * stride, stride=stride, weight_filler=dict(value=1)),
    )
    n.conv.fn.params["weight_filler"] = dict(value=1)
    n.score = crop(n.deconv, n.data)
    made = caffe.Net(n.to_proto(), caffe.TEST)
    assert made.blobs["score"].shape[2:] == made.blobs["data"].shape[2:]
    seen = []
    for y in range(40, 48):
        for x in range(30, 38):
            made.blobs["data"].data[...] = 0
            made.blobs["data"].data[0, 0, y, x] = 1
            score = made.forward()["score"][0, 0]
            rows, columns = np.mgrid[: score.shape[0], : score.shape[1]]
            seen.append(((score * rows).sum() / score.sum() - y, (score * columns).sum() / score.sum() - x))
    # A single pixel is off by where it lies in its pool; all of them together are not.
    np.testing.assert_allclose(np.mean(seen, axis=0), 0, atol=1e-3)


def test_tops_that_nothing_connects() -> None:
    n = net()
    n.ip = L.InnerProduct(n.deconv, num_output=10)
    with pytest.raises(RuntimeError, match="are they connected by spatial layers"):
        coord_map_from_to(n.ip, n.data)
    with pytest.raises(RuntimeError, match="are they connected by spatial layers"):
        coord_map_from_to(n.deconv, n.aux)
    with pytest.raises(UndefinedMapException, match="InnerProduct have no coordinates"):
        coord_map(n.ip.fn)


def test_crops_that_cannot_be() -> None:
    n = net(pool=3, dstride=2)
    with pytest.raises(AssertionError, match="scale mismatch on crop"):
        crop(n.deconv, n.data)
    n = net(dpad=10)
    with pytest.raises(AssertionError, match="cannot crop"):
        crop(n.deconv, n.data)
    n = net(ks=4)
    with pytest.raises(AssertionError, match="noninteger|negative"):
        crop(n.deconv, n.data)
    for given in ({"global_pooling": True}, {"pooling_param": {"global_pooling": True}}):
        with pytest.raises(AssertionError, match="Pooling is given no kernel_size"):
            coord_map(L.Pooling(n.data, **given).fn)
    with pytest.raises(AssertionError, match="is given kernel_h"):
        conv_params(L.Convolution(n.data, kernel_h=3).fn)


def test_a_kernel_given_as_a_message() -> None:
    data = L.DummyData()
    spelt = L.Pooling(data, pooling_param={"kernel_size": 3, "stride": 2, "pad": 1})
    assert str(coord_map(spelt.fn)) == str(coord_map(L.Pooling(data, kernel_size=3, stride=2, pad=1).fn))


def test_neurons_of_ours_move_nothing() -> None:
    assert coord_map(L.Swish(L.Clip(L.DummyData())).fn).axis is None
