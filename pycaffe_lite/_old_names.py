"""Names that scripts use although pycaffe 1.0 gave them up, or had them by the way: each answered with what to do.

They stay unknown: `hasattr` says no, so that scripts that try them first go on.
"""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

from pycaffe_lite.errors import OldNameError

_PHASE = "Give the phase when you build the net: caffe.Net(model, weights, caffe.TEST)."
_TRANSFORMER = "Use a caffe.io.Transformer; a Classifier and a Detector have one, net.transformer."
_PREFILLED = "Write into net.blobs[...].data and .diff, and call forward() or backward() without keywords."
PACKAGE = {
    "CaffeNet": "It is called caffe.Net.",
    "get_solver_from_file": "It is called caffe.get_solver.",
    "set_phase_test": _PHASE,
    "set_phase_train": _PHASE,
}
ON_DEMAND = ("coord_map", "draw", "plot", "testing")
NET = {
    "set_phase_test": _PHASE,
    "set_phase_train": _PHASE,
    **{name: f"Call caffe.{name}()." for name in ("set_mode_cpu", "set_mode_gpu")},
    **dict.fromkeys(["deprocess", "preprocess"], _TRANSFORMER),
    **dict.fromkeys(["set_channel_swap", "set_input_scale", "set_mean", "set_raw_scale"], _TRANSFORMER),
    **dict.fromkeys(["backward_prefilled", "forward_prefilled"], _PREFILLED),
}
_BORROWED = {
    "skimage": ("scikit-image", "skimage", ""),
    "resize": ("scikit-image", "skimage.transform", "resize"),
    "zoom": ("scipy", "scipy.ndimage", "zoom"),
}
"""What pycaffe's io module had imported: name -> package, module, attribute."""


class _OldName:
    """An attribute that answers with OldNameError."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise OldNameError(f"A net has no '{self._name}' any more", hint=NET[self._name])


class OldNames:
    """A base that answers to Net's old names, one by one: IPython completes nothing on a class with a __getattr__."""

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in NET]


for _name in NET:
    setattr(OldNames, _name, _OldName(_name))


def package_attribute(name: str) -> Any:
    """The package's __getattr__: its modules that take long to import, OldNameError for old names, AttributeError for
    others.
    """
    if name in ON_DEMAND:
        return importlib.import_module(f"pycaffe_lite.{name}")
    if name in PACKAGE:
        raise OldNameError(f"caffe has no '{name}' any more", hint=PACKAGE[name])
    raise AttributeError(f"module 'pycaffe_lite' has no attribute {name!r}")


def io_attribute(name: str) -> Any:
    """The io module's __getattr__: what pycaffe's took from other packages, if they are there."""
    if name not in _BORROWED:
        raise AttributeError(f"module 'pycaffe_lite.io' has no attribute {name!r}")
    package, module, attribute = _BORROWED[name]
    try:
        found = importlib.import_module(module)
    except ImportError as e:
        raise OldNameError(
            f"caffe.io.{name} is {package}'s, which is not installed",
            hint=f"Use caffe.io.resize_image and caffe.io.load_image, or: pip install {package}",
        ) from e
    return getattr(found, attribute) if attribute else found
