"""Nets with `layers` and enum types (V1), made nets with `layer` and strings for types."""

from __future__ import annotations

from pycaffe_lite.errors import GraphError
from pycaffe_lite.graph.upgrade_positions import moved
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import Positions

_TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "ELTWISE": "Eltwise",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}

_TRANSFORMED = {"DATA": "data_param", "IMAGE_DATA": "image_data_param", "WINDOW_DATA": "window_data_param"}
_TRANSFORM = ("scale", "mean_file", "crop_size", "mirror")

# V1 field -> what it is called in ParamSpec
_SPEC = {"param": "name", "blob_share_mode": "share_mode", "blobs_lr": "lr_mult", "weight_decay": "decay_mult"}


def needs_transform(net: pb.NetParameter) -> bool:
    """Whether any V1 layer has fields outside transform_param that belong there now."""
    return any(_transform_fields(layer) for layer in net.layers)


def upgrade_transform(net: pb.NetParameter, positions: Positions | None) -> tuple[pb.NetParameter, Positions | None]:
    """A copy in which scale, mean_file, crop_size and mirror of V1 data layers are in transform_param.

    Layers of today's form keep them where they are, and ignore them, as in Caffe.
    """
    if not needs_transform(net):
        return net, positions
    new = pb.NetParameter()
    new.CopyFrom(net)
    paths = {}
    for i, layer in enumerate(new.layers):
        for name in _transform_fields(layer):
            owner = _TRANSFORMED[_type_name(layer)]
            source = getattr(layer, owner)
            setattr(layer.transform_param, name, getattr(source, name))
            source.ClearField(name)
            paths[f"layers[{i}].transform_param.{name}"] = f"layers[{i}].{owner}.{name}"
    return new, moved(positions, paths)


def needs_v1(net: pb.NetParameter) -> bool:
    """Whether the net has `layers`."""
    return bool(net.layers)


def upgrade_v1(net: pb.NetParameter, positions: Positions | None) -> tuple[pb.NetParameter, Positions | None]:
    """A copy with `layer` in place of `layers`.

    Raises GraphError when both are given: Caffe would drop what is in `layer`.
    """
    if not needs_v1(net):
        return net, positions
    if net.layer:
        raise GraphError(
            f"This network has both 'layers' ({len(net.layers)}) and 'layer' ({len(net.layer)})",
            hint="'layers' is the old form, with types such as CONVOLUTION: write all of them as one or the other.",
            position=positions.find("layer[0]") if positions else None,
        )
    new = pb.NetParameter()
    new.CopyFrom(net)
    new.ClearField("layers")
    paths = {}
    for i, old in enumerate(net.layers):
        layer = new.layer.add()
        paths[f"layer[{i}]"] = f"layers[{i}]"
        for field, value in old.ListFields():
            name = str(field.name)
            if name == "type":
                layer.type = _TYPES[_type_name(old)]
            elif name in _SPEC:
                for j, item in enumerate(value):
                    while len(layer.param) <= j:
                        layer.param.add()
                    setattr(layer.param[j], _SPEC[name], item)
                    paths[f"layer[{i}].param[{j}]"] = f"layers[{i}].{name}[{j}]"
                    paths[f"layer[{i}].param[{j}].{_SPEC[name]}"] = f"layers[{i}].{name}[{j}]"
            elif name == "name":
                layer.name = value
            else:
                getattr(layer, name).MergeFrom(value)
    return new, moved(positions, paths)


def ignored_transform(net: pb.NetParameter) -> list[tuple[str, pb.LayerParameter]]:
    """The paths of scale, mean_file, crop_size and mirror outside transform_param, where they do nothing in layers of
    today's form; and those layers.
    """
    return [
        (f"layer[{i}].{owner}.{name}", layer)
        for i, layer in enumerate(net.layer)
        for owner in _TRANSFORMED.values()
        if layer.HasField(owner)
        for name in _TRANSFORM
        if getattr(layer, owner).HasField(name)
    ]


def _type_name(layer: pb.V1LayerParameter) -> str:
    return pb.V1LayerParameter.LayerType.Name(layer.type)


def _transform_fields(layer: pb.V1LayerParameter) -> list[str]:
    owner = _TRANSFORMED.get(_type_name(layer))
    return [f for f in _TRANSFORM if getattr(layer, owner).HasField(f)] if owner else []
