"""Networks written in Python: pycaffe's caffe.net_spec.

    from caffe import layers as L, params as P

    n = caffe.NetSpec()
    n.data, n.label = L.Data(source="mnist_lmdb", backend=P.Data.LMDB, batch_size=64, ntop=2)
    n.ip = L.InnerProduct(n.data, num_output=10, weight_filler=dict(type="xavier"))
    n.relu = L.ReLU(n.ip, in_place=True)
    n.loss = L.SoftmaxWithLoss(n.relu, n.label)
    open("net.prototxt", "w").write(str(n.to_proto()))

A layer's keywords are fields of the message of its type (`convolution_param` for Convolution), or else of the layer's
own; `ntop`, `in_place` and `name` mean what they say. Lists are repeated fields, dicts messages.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import Message

from pycaffe_lite.errors import CaffeError, GraphError, ParameterError, did_you_mean
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.registry import find_layer, layer_types
from pycaffe_lite.schema.fields import fields_of

__all__ = [
    "Function",
    "Layers",
    "NetSpec",
    "Parameters",
    "Top",
    "assign_proto",
    "layers",
    "param_name_dict",
    "params",
    "to_proto",
]


def param_name_dict() -> dict[str, str]:
    """Which field of a layer, without its `_param`, has messages of which type, without its `Parameter`.

    {"InnerProduct": "inner_product", ...}
    """
    return {
        field.message_type.name.removesuffix("Parameter"): field.name.removesuffix("_param")
        for field in pb.LayerParameter.DESCRIPTOR.fields
        if field.message_type is not None and field.name.endswith("_param")
    }


_param_names = param_name_dict()


def to_proto(*tops: Top | Function) -> pb.NetParameter:
    """The net of all layers that these tops depend on, with names made of types and numbers."""
    return _Writer({}).net(tops)


def assign_proto(proto: Message, name: str, val: Any) -> None:
    """Set a field of a message: from a dict if it is a message, from a list, or its only value, if it is repeated.

    Raises ParameterError for a field that is not there and a value that it cannot take.
    """
    field = proto.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        known = proto.DESCRIPTOR.fields_by_name
        raise ParameterError(f"{proto.DESCRIPTOR.name} has no field '{name}'", hint=did_you_mean(name, known))
    old = getattr(proto, name)
    try:
        if hasattr(old, "extend"):
            for item in val if isinstance(val, list | tuple | np.ndarray) else [val]:
                if field.message_type is None:
                    old.append(_plain(item))
                else:
                    _fill(old.add(), item)
        elif field.message_type is not None:
            old.SetInParent()
            _fill(old, val)
        else:
            setattr(proto, name, _plain(val))
    except (TypeError, ValueError) as e:
        raise ParameterError(f"{proto.DESCRIPTOR.name}.{name} cannot be {val!r}: {e}") from e


def _fill(message: Message, value: Any) -> None:
    if isinstance(value, Message):
        message.MergeFromString(value.SerializeToString())
        return
    if not isinstance(value, Mapping):
        raise TypeError(f"a dict with fields of {message.DESCRIPTOR.name} is needed")
    for name, item in value.items():
        assign_proto(message, name, item)


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's."""
    return value.item() if isinstance(value, np.generic) else value


class Top:
    """One of the blobs that a Function makes: number `n`."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn = fn
        self.n = n

    def to_proto(self) -> pb.NetParameter:
        """The net of all layers that this depends on."""
        return to_proto(self)


class Function:
    """A layer: its type, its inputs (Tops) and its parameters; `tops` are what it makes.

    Raises TypeError for an input that is no Top.
    """

    def __init__(self, type_name: str, inputs: Sequence[Top], params: Mapping[str, Any]) -> None:
        for index, top in enumerate(inputs):
            if not isinstance(top, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(top)})")
        self.type_name = type_name
        self.inputs = inputs
        self.params = dict(params)
        self.ntop: int = self.params.pop("ntop", 1)
        self.in_place: bool = self.params.pop("in_place", False)
        if self.in_place and len(self.inputs) < self.ntop:
            raise TypeError(f"{type_name} makes {self.ntop} tops in place of {len(self.inputs)} inputs")
        self.tops = tuple(Top(self, n) for n in range(self.ntop))


class NetSpec:
    """A net as a set of named Tops: assign them as attributes, or items, and their names are the blobs'.

    A layer is called as its first top. What a top depends on is part of the net even if it was not assigned.
    """

    tops: OrderedDict[str, Any]

    def __init__(self) -> None:
        object.__setattr__(self, "tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "tops")[name]
        except KeyError:
            raise AttributeError(f"This NetSpec has no top '{name}'. {did_you_mean(name, self.tops)}".strip()) from None

    def __setitem__(self, key: str, value: Any) -> None:
        self.tops[key] = value

    def __getitem__(self, item: str) -> Any:
        return self.tops[item]

    def __delitem__(self, name: str) -> None:
        del self.tops[name]

    def __delattr__(self, name: str) -> None:
        self.__getattr__(name)
        del self.tops[name]

    def to_proto(self) -> pb.NetParameter:
        """The net, its layers in the order in which they were assigned, each after what it needs."""
        for name, top in self.tops.items():
            _check_top(top, f"'{name}'")
        return _Writer({top: name for name, top in self.tops.items()}).net(list(self.tops.values()))


class Layers:
    """`layers.Convolution(bottom, num_output=20, ...)` makes a Function and returns its Top, or its tuple of Tops.

    With `ntop=0` the Function itself. Any type is taken: whether there is such a layer, the net says.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):  # Python and its prompts ask for such names
            raise AttributeError(name)

        def layer_fn(*args: Top, **kwargs: Any) -> Any:
            fn = Function(name, args, kwargs)
            return fn if fn.ntop == 0 else fn.tops[0] if fn.ntop == 1 else fn.tops

        return layer_fn

    def __dir__(self) -> list[str]:
        return layer_types()


class _Values:
    """A message's names; those of its enums' values are what tab offers."""

    def __init__(self, message: type[Message]) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copies ask, before there is a message
            raise AttributeError(name)
        try:
            return getattr(self._message, name)
        except AttributeError:
            values = self.__dir__()
            hint = f"{did_you_mean(name, values)} It has {', '.join(values) or 'none'}.".strip()
            raise AttributeError(f"{self._message.DESCRIPTOR.name} has no value '{name}'. {hint}") from None

    def __dir__(self) -> list[str]:
        return [value for enum in self._message.DESCRIPTOR.enum_types for value in enum.values_by_name]


class Parameters:
    """`params.Pooling.MAX` is the value of a name in PoolingParameter."""

    def __getattr__(self, name: str) -> Any:
        message = getattr(pb, f"{name}Parameter", None)
        if message is None:
            raise AttributeError(f"There is no {name}Parameter. {did_you_mean(name, dir(self))}".strip())
        return _Values(message)

    def __dir__(self) -> list[str]:
        return [n.removesuffix("Parameter") for n in pb.DESCRIPTOR.message_types_by_name if n.endswith("Parameter")]


layers = Layers()
params = Parameters()


def _set_params(layer: pb.LayerParameter, fn: Function) -> None:
    """Set the function's keywords where they are fields: of the message of its type, or of the layer's own."""
    own: Message = getattr(layer, f"{_param_names.get(fn.type_name)}_param", layer)
    fields, others = own.DESCRIPTOR.fields_by_name, layer.DESCRIPTOR.fields_by_name
    for key, value in fn.params.items():
        inside = not key.endswith("param") and key in fields
        if not inside and key not in others:
            find_layer(fn.type_name)  # says what is wrong with a type that nobody knows
            hint = did_you_mean(key, [*fields, *others]) or fields_of(layer.DESCRIPTOR).hint(key)
            raise ParameterError(f"{own.DESCRIPTOR.name} has no field '{key}'", hint=hint)
        assign_proto(own if inside else layer, key, value)


def _check_top(top: object, what: str) -> None:
    if not isinstance(top, Top | Function):
        raise GraphError(
            f"{what} is no Top but a {type(top).__name__}",
            hint="Layers with several tops return a tuple: n.a, n.b = L.Data(..., ntop=2).",
        )


class _Writer:
    """Writes layers as messages, each once, after those that it needs; `names` has names of Tops and Functions."""

    def __init__(self, names: Mapping[Any, str]) -> None:
        self._names: dict[Any, str] = dict(names)
        self._numbers: Counter[str] = Counter()
        self._layers: OrderedDict[Function, pb.LayerParameter] = OrderedDict()

    def net(self, tops: Sequence[Top | Function]) -> pb.NetParameter:
        for top in tops:
            _check_top(top, "An argument")
            self._write(top.fn if isinstance(top, Top) else top)
        return pb.NetParameter(layer=self._layers.values())

    def _write(self, last: Function) -> None:
        # A list of what is to be done, and no recursion: nets may have a thousand layers.
        pending = [last]
        while pending:
            fn = pending[-1]
            missing = [top.fn for top in fn.inputs if top.fn not in self._layers]
            if fn in self._layers or not missing:
                pending.pop()
                if fn not in self._layers:
                    self._layers[fn] = self._message(fn)
            else:
                pending.append(missing[0])

    def _message(self, fn: Function) -> pb.LayerParameter:
        layer = pb.LayerParameter(type=fn.type_name)
        layer.bottom.extend(self._layers[top.fn].top[top.n] for top in fn.inputs)
        layer.top.extend(layer.bottom[: fn.ntop] if fn.in_place else [self._name(top, fn) for top in fn.tops])
        layer.name = self._name(fn.tops[0] if fn.tops else fn, fn)
        try:
            _set_params(layer, fn)
        except CaffeError as e:
            raise e.at(layer=layer.name, layer_type=fn.type_name) from e.__cause__
        return layer

    def _name(self, thing: Top | Function, fn: Function) -> str:
        if thing not in self._names:
            self._numbers[fn.type_name] += 1
            self._names[thing] = f"{fn.type_name}{self._numbers[fn.type_name]}"
        return self._names[thing]
