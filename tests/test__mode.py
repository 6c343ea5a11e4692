from __future__ import annotations

import logging

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import ParameterError


@pytest.mark.parametrize("device", [1, "1", np.int64(1), 1.0])
def test_a_device_is_taken_and_not_used(device: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        caffe.set_device(device)  # type: ignore[arg-type]
    assert caplog.messages == ["There is no GPU engine: device 1 is not used"]


@pytest.mark.parametrize("device", ["cuda", None, [0]])
def test_what_is_no_device(device: object) -> None:
    with pytest.raises(ParameterError, match=r"^The device is .*\. Give its number: caffe\.set_device\(0\)\.$"):
        caffe.set_device(device)  # type: ignore[arg-type]
