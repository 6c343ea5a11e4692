"""What rivals read of a layer's message: Caffe's names and defaults, and a refusal of what they would not compute."""

from __future__ import annotations

from typing import Any, NamedTuple

from contenders.task import Message


class Window(NamedTuple):
    """A square window's side, step and padding."""

    kernel: int
    stride: int
    pad: int


class Normalisation(NamedTuple):
    """LRN across channels, k = 1."""

    size: int
    alpha: float
    beta: float


EPS = 1e-5
"""BatchNorm's default, in Caffe as in PyTorch."""


def convolution(layer: Message) -> tuple[Window, int]:
    """The window and the number of groups."""
    p = _only(layer, "convolution_param", "num_output bias_term kernel_size stride pad group")
    window = Window(
        *(_one(p.get(name, [default])) for name, default in (("kernel_size", 0), ("stride", 1), ("pad", 0)))
    )
    return window, p.get("group", 1)


def pooling(layer: Message) -> tuple[str, Window | None]:
    """MAX or AVE, and the window, None for the whole image. Sizes are rounded up."""
    p = _only(layer, "pooling_param", "pool kernel_size stride pad global_pooling")
    if p.get("global_pooling"):
        return p.get("pool", "MAX"), None
    return p.get("pool", "MAX"), Window(p["kernel_size"], p.get("stride", 1), p.get("pad", 0))


def lrn(layer: Message) -> Normalisation:
    p = _only(layer, "lrn_param", "local_size alpha beta")
    return Normalisation(p["local_size"], p["alpha"], p["beta"])


def dropout_ratio(layer: Message) -> float:
    return float(_only(layer, "dropout_param", "dropout_ratio").get("dropout_ratio", 0.5))


def plain(layer: Message) -> None:
    """Refuse a layer that is told anything beside its blobs' names."""
    _only(layer, "")


def loss_weight(layer: Message) -> float:
    return float(_one(layer.get("loss_weight", [1])))


def _only(layer: Message, param: str, fields: str = "") -> dict[str, Any]:
    """The layer's parameters, if there are none but these: what is not read would be computed differently."""
    values: dict[str, Any] = layer.get(param, {})
    unread = set(layer) - {"name", "type", "bottom", "top", "loss_weight", param} | set(values) - set(fields.split())
    if unread:
        raise NotImplementedError(f"{layer['type']} '{layer['name']}': {', '.join(sorted(unread))}")
    return values


def _one(values: list[Any]) -> Any:
    (value,) = values
    return value
