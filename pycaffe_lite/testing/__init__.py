"""Tests for layers, ours and yours: a layer case says what a layer is fed, the harness derives the rest.

::

    from pycaffe_lite.testing import LayerCase, check_layer, uniform

    def test_my_layer():
        check_layer(LayerCase("Python", 'python_param { module: "mine" layer: "Mine" }', [uniform(2, 3, 5)]))

`check_gradient` also takes whole nets. All of them raise AssertionError saying which layer broke which promise.
"""

from pycaffe_lite.testing.cases import Bench, LayerCase, Values, integers, uniform
from pycaffe_lite.testing.contract import CHECKS, check_layer
from pycaffe_lite.testing.gradients import check_gradient

__all__ = ["CHECKS", "Bench", "LayerCase", "Values", "check_gradient", "check_layer", "integers", "uniform"]
