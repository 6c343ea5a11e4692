"""Plots of what a net has learnt and of how it learns; each function returns a matplotlib Figure.

In a notebook the figure shows itself; elsewhere `figure.savefig("x.png")` writes it, and where matplotlib has windows,
`matplotlib.pyplot.show()` opens one. All raise MissingPackageError without matplotlib.
"""

from pycaffe_lite.plot._confusion import confusion, predictions
from pycaffe_lite.plot._tiles import activations, filters
from pycaffe_lite.plot._training import CHARTS, training

__all__ = ["CHARTS", "activations", "confusion", "filters", "predictions", "training"]
