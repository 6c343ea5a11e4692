from __future__ import annotations

import pytest

from pycaffe_lite._multiply_adds import multiply_adds
from pycaffe_lite._typing import Shape


def test_convolution_counts_each_output_times_its_window() -> None:
    count = multiply_adds("Convolution", [(64, 1, 28, 28)], [(64, 20, 24, 24)], [(20, 1, 5, 5), (20,)])
    assert count == 64 * 288_000


def test_groups_see_only_their_own_channels() -> None:
    # 6 channels in 3 groups: the weights are (outputs, 6 / 3, kh, kw)
    assert multiply_adds("Convolution", [(2, 6, 5, 7)], [(2, 9, 4, 5)], [(9, 2, 2, 3)]) == 2 * 9 * 4 * 5 * (2 * 2 * 3)


def test_two_bottoms_through_one_convolution_count_twice() -> None:
    one = multiply_adds("Convolution", [(2, 3, 5, 7)], [(2, 4, 3, 5)], [(4, 3, 3, 3)])
    assert multiply_adds("Convolution", [(2, 3, 5, 7)] * 2, [(2, 4, 3, 5)] * 2, [(4, 3, 3, 3)]) == 2 * (one or 0) > 0


def test_deconvolution_counts_each_input_times_its_window() -> None:
    count = multiply_adds("Deconvolution", [(2, 6, 5, 7)], [(2, 9, 10, 14)], [(6, 3, 4, 2), (9,)])
    assert count == 2 * 6 * 5 * 7 * (3 * 4 * 2)


@pytest.mark.parametrize("weights", [(3, 70), (70, 3)])
def test_inner_product(weights: Shape) -> None:
    assert multiply_adds("InnerProduct", [(2, 11, 10, 7)], [(2, 11, 3)], [weights, (3,)]) == 2 * 11 * 70 * 3


def test_lstm_counts_gates_at_every_step() -> None:
    steps, streams, d, n = 5, 2, 7, 3
    bottoms: list[Shape] = [(steps, streams, d), (steps, streams)]
    blobs: list[Shape] = [(4 * n, d), (4 * n,), (4 * n, n)]
    assert multiply_adds("LSTM", bottoms, [(steps, streams, n)], blobs) == steps * streams * 4 * n * (d + n)


def test_a_static_input_is_transformed_once() -> None:
    steps, streams, d, n, s = 5, 2, 7, 3, 11
    bottoms: list[Shape] = [(steps, streams, d), (steps, streams), (streams, s)]
    blobs: list[Shape] = [(n, d), (n,), (n, s), (n, n), (n, n), (n,)]
    expected = streams * (steps * n * (d + n + n) + n * s)
    assert multiply_adds("RNN", bottoms, [(steps, streams, n)], blobs) == expected


def test_what_sums_no_products_counts_nothing_and_what_is_unknown_says_so() -> None:
    shapes: list[Shape] = [(2, 3, 5, 7)]
    assert multiply_adds("Pooling", shapes, shapes, []) == 0
    assert multiply_adds("Scale", shapes, shapes, [(3,)]) == 0
    assert multiply_adds("Python", shapes, shapes, []) is None
