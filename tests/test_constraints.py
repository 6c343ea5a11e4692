"""Constraints as data."""

from __future__ import annotations

import pytest

from pycaffe_lite import constraints as c
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text


@pytest.mark.parametrize(
    ("constraint", "good", "wording"),
    [
        (c.at_least(1), [1, 1.5, 7], "must be at least 1"),
        (c.above(0), [0.001, 3], "must be greater than 0"),
        (c.between(0, 1), [0, 0.999], "must be at least 0 and less than 1"),
        (c.odd(), [1, 7], "must be odd"),
        (c.non_empty(), ["a"], "must be given"),
    ],
)
def test_each(constraint: c.Constraint, good: list[object], wording: str) -> None:
    assert constraint.wording == wording
    assert all(constraint.test(v) for v in good)
    assert not constraint.test(constraint.bad)
    if constraint not in (c.non_empty(),) and not isinstance(good[0], str):
        assert not constraint.test(float("nan"))


def message(text: str) -> pb.LayerParameter:
    return parse_text(text, pb.LayerParameter)[0]


def test_check_names_the_field() -> None:
    rule = {"inner_product_param.num_output": c.at_least(1)}
    c.check(message("inner_product_param { num_output: 1 }"), rule)
    with pytest.raises(ParameterError, match="^num_output is 0, it must be at least 1$") as e:
        c.check(message("inner_product_param { num_output: 0 }"), rule)
    assert e.value.field == "inner_product_param.num_output"


def test_a_field_that_is_not_set_counts_by_its_default() -> None:
    rule = {"inner_product_param.num_output": c.at_least(1)}
    with pytest.raises(ParameterError, match="num_output is 0"):
        c.check(message(""), rule)
    c.check(message(""), {"dropout_param.dropout_ratio": c.between(0, 1)})


def test_if_set() -> None:
    rule = {"inner_product_param.num_output": c.Constraint(lambda v: v > 0, "must be more", 0, if_set=True)}
    c.check(message(""), rule)
    with pytest.raises(ParameterError):
        c.check(message("inner_product_param { num_output: 0 }"), rule)


def test_each_value_of_a_repeated_field() -> None:
    rule = {"convolution_param.kernel_size": c.at_least(1)}
    c.check(message(""), rule)
    c.check(message("convolution_param { kernel_size: 3 kernel_size: 1 }"), rule)
    with pytest.raises(ParameterError, match="kernel_size is 0, it must be at least 1"):
        c.check(message("convolution_param { kernel_size: 3 kernel_size: 0 }"), rule)


def test_single_precision_is_shown_as_it_was_written() -> None:
    with pytest.raises(ParameterError, match=r"^dropout_ratio is 1\.7, it must"):
        c.check(message("dropout_param { dropout_ratio: 1.7 }"), {"dropout_param.dropout_ratio": c.between(0, 1)})
