"""The list of a layer's learnable blobs."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pycaffe_lite import Blob
from pycaffe_lite.blob_vec import BlobVec
from pycaffe_lite.errors import AssignmentError, CaffeError


def test_it_makes_blobs_of_its_type() -> None:
    vec = BlobVec(dtype=np.float64)
    blob = vec.add_blob(2, 3)
    assert vec[0] is blob
    assert (len(vec), blob.shape, blob.dtype) == (1, (2, 3), np.float64)
    assert vec.add_blob().shape == ()


def test_a_parameter_is_not_replaced_by_numbers() -> None:
    vec = BlobVec([Blob((2, 3)), Blob((2,))])
    for wrong in (np.ones((2, 3)), 1.0, [1, 2]):
        with pytest.raises(
            CaffeError, match=r"not (ndarray|float|list)\. Write numbers into it: .*\.data\[\.\.\.\] = "
        ):
            vec[0] = wrong
        for change in (vec.append, partial(vec.insert, 0)):
            with pytest.raises(AssignmentError, match="is a blob, not"):
                change(wrong)
    for change in (vec.extend, vec.__iadd__, partial(vec.__setitem__, slice(1))):
        with pytest.raises(AssignmentError, match="is a blob, not float"):
            change([Blob((1,)), 1.0])
    assert [b.shape for b in vec] == [(2, 3), (2,)]
    other = vec[1] = Blob((5,))
    vec[:1] = [other]
    assert [b.shape for b in vec] == [(5,), (5,)]
    vec.append(Blob((7,)))
    vec.insert(0, Blob((3,)))
    vec.extend([other])
    vec += (Blob((2,)),)
    assert isinstance(vec, BlobVec)
    assert [b.shape for b in vec] == [(3,), (5,), (5,), (7,), (5,), (2,)]
