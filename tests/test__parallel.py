from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import pycaffe_lite as caffe


@pytest.fixture(autouse=True)
def alone_afterwards() -> Iterator[None]:
    yield
    caffe.set_solver_count(1)
    caffe.set_solver_rank(0)


def test_the_numbers_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    assert (caffe.solver_count(), caffe.solver_rank()) == (1, 0)
    with caplog.at_level(logging.WARNING):
        caffe.set_solver_rank(2)
        caffe.set_multiprocess(True)
        assert caplog.text == ""
        caffe.set_solver_count(3)
    assert (caffe.solver_count(), caffe.solver_rank()) == (3, 2)
    assert "solver_count is 3: there is no training on several devices" in caplog.text


def test_there_is_no_nccl() -> None:
    assert caffe.has_nccl() is False
    for call in (lambda: caffe.NCCL(None, "uid"), caffe.NCCL.new_uid, lambda: caffe.NCCL.bcast(None)):
        with pytest.raises(RuntimeError, match=r"NCCL connects GPUs.*caffe.has_nccl\(\) is False"):
            call()
