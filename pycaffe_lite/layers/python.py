"""Python: a layer that the user wrote, a subclass of pycaffe_lite.Layer in a module of theirs."""

from __future__ import annotations

import importlib
import sys

from pycaffe_lite.errors import ParameterError, did_you_mean
from pycaffe_lite.layer import Layer
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import register_layer


@register_layer("Python")
class Python(Layer):
    """Stands for the class `python_param.layer` of the module `python_param.module`; making one makes that.

    Raises ParameterError when the module or the class is not there, or is no Layer. What goes wrong inside the user's
    code surfaces unchanged.
    """

    def __new__(cls, message: pb.LayerParameter | None = None, *args: object, **kwargs: object) -> Layer:  # type: ignore[misc]
        p = (message or pb.LayerParameter()).python_param
        if not p.module or not p.layer:
            raise ParameterError(
                "module and layer are not both given",
                field="python_param",
                hint='Give python_param { module: "file_without_py" layer: "ClassName" }.',
            )
        try:
            if p.module.startswith("."):
                raise ParameterError(
                    f"The module '{p.module}' begins with a dot",
                    field="python_param.module",
                    hint="Give its whole name, from a folder in PYTHONPATH on.",
                )
            module = importlib.import_module(p.module)
        except ModuleNotFoundError as e:
            if (e.name or "").partition(".")[0] == "caffe" and "caffe" not in sys.modules:
                raise ParameterError(
                    f"Module '{p.module}' imports caffe, which is not installed",
                    field="python_param.module",
                    hint="Call pycaffe_lite.install_as_caffe() before: then pycaffe_lite is what it gets.",
                ) from e
            if e.name != p.module.split(".")[0] and e.name != p.module:
                raise  # an import inside the user's module
            raise ParameterError(
                f"There is no Python module '{p.module}'",
                field="python_param.module",
                hint="It must lie in the current folder of a script, or in PYTHONPATH.",
            ) from e
        user_class = getattr(module, p.layer, None)
        if not (isinstance(user_class, type) and issubclass(user_class, Layer)):
            classes = [
                n for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, Layer) and c is not Layer
            ]
            what = "is no Layer" if user_class is not None else "does not exist"
            raise ParameterError(
                f"'{p.layer}' in module '{p.module}' {what}",
                field="python_param.layer",
                hint=did_you_mean(p.layer, classes) or "It must be a subclass of pycaffe_lite.Layer.",
            )
        layer: Layer = user_class(message)
        layer.param_str = layer.param_str_ = p.param_str
        layer.type = "Python"
        return layer
