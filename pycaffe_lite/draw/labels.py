"""What a picture says about a layer, and in which colour: Caffe's words and colours."""

from __future__ import annotations

from pycaffe_lite.errors import ParameterError
from pycaffe_lite.proto import caffe_pb2 as pb

DEFAULT_COLOR = "#6495ED"
IN_PLACE_COLOR = "#90EE90"
BLOB_COLOR = "#E0E0E0"

_COLORS = {
    "Convolution": "#FF5050",
    "Deconvolution": "#FF5050",
    "Pooling": "#FF9900",
    "InnerProduct": "#CC33FF",
}
_LEARNING = ("Convolution", "Deconvolution", "InnerProduct")


def choose_color_by_layertype(layertype: str) -> str:
    """The colour, "#RRGGBB", of a layer of this type that does not run in place."""
    return _COLORS.get(layertype, DEFAULT_COLOR)


def get_pooling_types_dict() -> dict[int, str]:
    """The number of each way of pooling -> its name."""
    return {number: name for name, number in pb.PoolingParameter.PoolMethod.items()}


def get_edge_label(layer: pb.LayerParameter) -> str:
    """What is written where a layer's tops leave it: outputs, or items of a batch; '""' for most layers."""
    return edge_text(layer) or '""'


def get_layer_lr_mult(layer: pb.LayerParameter) -> tuple[float, float]:
    """The learning rate multipliers of a layer's weights and bias; 1 where not given.

    Raises ParameterError for other types than Convolution, Deconvolution and InnerProduct.
    """
    if layer.type not in _LEARNING:
        raise ParameterError(
            f"The pictures show no learning rates of {layer.type} layers", hint=f"Only of {', '.join(_LEARNING)}."
        )
    rates = [param.lr_mult for param in layer.param] + [1.0, 1.0]
    return rates[0], rates[1]


def get_layer_label(layer: pb.LayerParameter, rankdir: str, display_lrm: bool = False) -> str:
    """All that is said about a layer, in double quotes: with blanks between for TB and BT, else with line breaks."""
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    return f'"{separator.join([layer.name, *describe(layer, display_lrm)])}"'


def describe(layer: pb.LayerParameter, display_lrm: bool = False) -> list[str]:
    """What there is to say about a layer after its name: its type, kernel and learning rates."""
    kind = (
        f"{layer.type} {get_pooling_types_dict()[layer.pooling_param.pool]}" if layer.type == "Pooling" else layer.type
    )
    words = [f"({kind})", *_window(layer)]
    if display_lrm and layer.type in _LEARNING:
        weights, bias = get_layer_lr_mult(layer)
        if weights or bias:
            words.append(f"lr mult: {weights:.1f}, {bias:.1f}")
    return words


def edge_text(layer: pb.LayerParameter) -> str:
    """As get_edge_label, '' for most layers."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return ""


def _window(layer: pb.LayerParameter) -> list[str]:
    param: pb.PoolingParameter | pb.ConvolutionParameter
    if layer.type == "Pooling":
        param = layer.pooling_param
        if param.global_pooling:
            return ["global"]
    elif layer.type in ("Convolution", "Deconvolution"):
        param = layer.convolution_param
    else:
        return []
    fields = (("kernel size", "kernel", "kernel_size", 1), ("stride", "stride", "stride", 1), ("pad", "pad", "pad", 0))
    return [f"{word}: {_size(param, short, full, default)}" for word, short, full, default in fields]


def _size(param: object, short: str, full: str, default: int) -> str:
    """'3', or '3x5' where height and width differ or axes are given one by one."""
    height, width = getattr(param, f"{short}_h"), getattr(param, f"{short}_w")
    if height or width:
        return str(height) if height == width else f"{height}x{width}"
    value = getattr(param, full)
    sizes = [value] if isinstance(value, int) else list(value) or [default]
    return "x".join(map(str, sizes)) if len(set(sizes)) > 1 else str(sizes[0])
