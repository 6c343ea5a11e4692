"""The oldest nets: `layers { layer { type: "conv" ... } bottom: ... }`, made V1 nets."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message

from pycaffe_lite.errors import CaffeError, GraphError, ParameterError, UnknownTypeError, did_you_mean
from pycaffe_lite.graph.upgrade_positions import moved
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import Positions

log = logging.getLogger(__name__)
_E = TypeVar("_E", bound=CaffeError)
_PADDING = "padding"

_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}

_PARAM = {
    "concat": "concat_param",
    "conv": "convolution_param",
    "data": "data_param",
    "dropout": "dropout_param",
    "hdf5_data": "hdf5_data_param",
    "images": "image_data_param",
    "infogain_loss": "infogain_loss_param",
    "innerproduct": "inner_product_param",
    "lrn": "lrn_param",
    "pool": "pooling_param",
    "window_data": "window_data_param",
}

# Field -> its name in the messages of _PARAM, and the types that use it.
_FIELDS: Mapping[str, tuple[str, str]] = {
    "num_output": ("num_output", "conv innerproduct"),
    "biasterm": ("bias_term", "conv innerproduct"),
    "weight_filler": ("weight_filler", "conv innerproduct"),
    "bias_filler": ("bias_filler", "conv innerproduct"),
    "pad": ("pad", "conv pool"),
    "kernelsize": ("kernel_size", "conv pool"),
    "group": ("group", "conv"),
    "stride": ("stride", "conv pool"),
    "pool": ("pool", "pool"),
    "dropout_ratio": ("dropout_ratio", "dropout"),
    "local_size": ("local_size", "lrn"),
    "alpha": ("alpha", "lrn"),
    "beta": ("beta", "lrn"),
    "k": ("k", "lrn"),
    "source": ("source", "data hdf5_data images window_data infogain_loss"),
    "batchsize": ("batch_size", "data hdf5_data images window_data"),
    "rand_skip": ("rand_skip", "data images"),
    "shuffle_images": ("shuffle", "images"),
    "new_height": ("new_height", "images"),
    "new_width": ("new_width", "images"),
    "concat_dim": ("concat_dim", "concat"),
    "det_fg_threshold": ("fg_threshold", "window_data"),
    "det_bg_threshold": ("bg_threshold", "window_data"),
    "det_fg_fraction": ("fg_fraction", "window_data"),
    "det_context_pad": ("context_pad", "window_data"),
    "det_crop_mode": ("crop_mode", "window_data"),
}

# Fields that go to the same place whatever the type is.
_ANY = {
    "name": "name",
    "blobs": "blobs",
    "blobs_lr": "blobs_lr",
    "weight_decay": "weight_decay",
    "scale": "transform_param.scale",
    "meanfile": "transform_param.mean_file",
    "cropsize": "transform_param.crop_size",
    "mirror": "transform_param.mirror",
}


def needs_v0(net: pb.NetParameter) -> bool:
    """Whether any layer is in the oldest form."""
    return any(c.HasField("layer") for c in net.layers)


def upgrade_v0(net: pb.NetParameter, positions: Positions | None) -> tuple[pb.NetParameter, Positions | None]:
    """A copy in which the layers are V1; "padding" layers became the `pad` of the layers that read them.

    A field that the layer's type has no use for is left out, with a warning, as in Caffe. Raises UnknownTypeError for
    a type that V0 did not have, ParameterError for a number below 0, GraphError for a padding layer that cannot be
    folded.
    """
    if not needs_v0(net):
        return net, positions
    new = pb.NetParameter()
    new.CopyFrom(net)
    del new.layers[:]
    paths: dict[str, str] = {}
    padding: dict[str, int] = {}  # blob -> the padding layer that made it
    for i, old in enumerate(net.layers):
        if old.layer.type == _PADDING:
            _check_padding(old, i, positions, padding)
        else:
            layer, at = new.layers.add(), f"layers[{len(new.layers) - 1}]"
            paths[at] = f"layers[{i}]"
            if old.HasField("layer"):
                _convert(old, layer, i, at, positions, paths)
            else:
                layer.CopyFrom(old)
            for k, blob in enumerate(old.bottom):
                if blob in padding:
                    j = padding[blob]
                    _fold(net.layers[j], old, layer, i, positions)
                    paths[f"{at}.bottom[{k}]"] = f"layers[{j}].bottom[0]"
                    paths[f"{at}.{_PARAM[old.layer.type]}.pad"] = f"layers[{j}].layer.pad"
        for blob in old.top:
            padding.pop(blob, None)
            if old.layer.type == _PADDING:
                padding[blob] = i
    return new, moved(positions, paths)


def _convert(
    old: pb.V1LayerParameter,
    new: pb.V1LayerParameter,
    i: int,
    at: str,
    positions: Positions | None,
    paths: dict[str, str],
) -> None:
    source = old.layer
    new.bottom.extend(old.bottom)
    new.top.extend(old.top)
    paths[at] = f"layers[{i}].layer"
    paths.update({f"{at}.{field}": f"layers[{i}].{field}" for field in ("bottom", "top")})
    if source.HasField("type"):
        if source.type not in _TYPES:
            raise _error(
                UnknownTypeError,
                f"Unknown layer type '{source.type}' in the oldest format (V0)",
                old,
                i,
                "layer.type",
                positions,
                did_you_mean(source.type, _TYPES),
            )
        new.type = pb.V1LayerParameter.LayerType.Value(_TYPES[source.type])  # type: ignore[assignment]
    for field, value in source.ListFields():
        name = str(field.name)
        if name == "type":
            continue
        target = _target(name, source.type)
        if not target:
            position = positions.find(f"layers[{i}].layer.{name}") if positions else None
            where = position or f"layer '{source.name}'"
            log.warning("%s: %s is ignored: layers of type '%s' have no use for it", where, name, source.type)
            continue
        try:
            _put(new, target, value)
        except ValueError:
            found = f"{name} is {value}, it must be at least 0"
            raise _error(ParameterError, found, old, i, f"layer.{name}", positions) from None
        paths[f"{at}.{target}"] = f"layers[{i}].layer.{name}"


def _target(field: str, kind: str) -> str:
    """Where a field of a layer of this type goes; "" for nowhere."""
    if field in _ANY:
        return _ANY[field]
    if field == "hdf5_output_param":
        return field if kind == "hdf5_output" else ""
    name, kinds = _FIELDS.get(field, ("", ""))
    return f"{_PARAM[kind]}.{name}" if kind in kinds.split() else ""


def _put(message: Message, path: str, value: Any) -> None:
    *owners, name = path.split(".")
    for owner in owners:
        message = getattr(message, owner)
    current = getattr(message, name)
    if isinstance(current, Message):
        current.MergeFrom(value)
    elif not hasattr(current, "extend"):
        setattr(message, name, value)
    elif isinstance(value, int):  # one number where today there may be one for each axis
        current.append(value)
    else:
        current.extend(value)


def _check_padding(old: pb.V1LayerParameter, i: int, positions: Positions | None, padding: Mapping[str, int]) -> None:
    if len(old.bottom) != 1 or len(old.top) != 1:
        raise _padding_error(
            f"A padding layer has {len(old.bottom)} bottoms and {len(old.top)} tops, it must have 1 and 1",
            old,
            i,
            positions,
        )
    if old.bottom[0] in padding:
        raise _padding_error("A padding layer reads another one", old, i, positions)


def _fold(
    source: pb.V1LayerParameter, old: pb.V1LayerParameter, new: pb.V1LayerParameter, i: int, positions: Positions | None
) -> None:
    if old.layer.type not in ("conv", "pool"):
        raise _padding_error("Only conv and pool can read a padding layer", old, i, positions)
    if len(old.bottom) != 1:
        raise _padding_error("A layer that reads a padding layer must have one bottom", old, i, positions)
    new.bottom[0] = source.bottom[0]
    if old.layer.type == "conv":
        new.convolution_param.pad[:] = [source.layer.pad]
    else:
        new.pooling_param.pad = source.layer.pad


def _padding_error(found: str, old: pb.V1LayerParameter, i: int, positions: Positions | None) -> GraphError:
    return _error(GraphError, found, old, i, "bottom[0]", positions, "Give pad to the conv or pool layer instead.")


def _error(
    kind: type[_E],
    found: str,
    old: pb.V1LayerParameter,
    i: int,
    path: str,
    positions: Positions | None,
    hint: str = "",
) -> _E:
    position = positions.find(f"layers[{i}].{path}") if positions else None
    return kind(found, hint=hint).at(layer=old.layer.name, layer_type=old.layer.type, position=position)
