"""Old nets brought up to date, in memory, as Caffe does when it reads them.

Each step is a function of (net, positions) that leaves its arguments alone: it gives back the same net when that needs
no upgrade, else a new one, and positions that lead from the new one's fields to where the file has them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pycaffe_lite.errors import GraphError
from pycaffe_lite.graph.upgrade_positions import moved
from pycaffe_lite.graph.upgrade_v0 import upgrade_v0
from pycaffe_lite.graph.upgrade_v1 import ignored_transform, upgrade_transform, upgrade_v1
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import Positions

log = logging.getLogger(__name__)

_Upgraded = tuple[pb.NetParameter, "Positions | None"]


def upgrade_net(net: pb.NetParameter, positions: Positions | None = None) -> _Upgraded:
    """The net in today's format, all upgrades applied in Caffe's order, with a line in the log for each, and a
    warning for fields that have no meaning in a net of today's form, whose author may think they have.

    Raises GraphError, ParameterError and UnknownTypeError, with the place in the file, for what has no form of today.
    """
    file = (positions.file if positions else "") or net.name or "the network"
    for path, layer in ignored_transform(net):
        position = positions.find(path) if positions else None
        field = path.partition(".")[2]
        log.warning(
            "%s: layer '%s': %s is ignored, as in Caffe (old 'layers' may have it there): write it in transform_param",
            position or file,
            layer.name,
            field,
        )
    for step, what in _STEPS:
        new, positions = step(net, positions)
        if new is not net:
            log.info("Upgraded %s: %s", file, what)
        net = new
    return net, positions


def upgrade_input(net: pb.NetParameter, positions: Positions | None) -> _Upgraded:
    """A copy in which an Input layer named "input" stands first, in place of `input` and its shapes.

    Inputs without any shape are dropped, as in Caffe. Raises GraphError when there are too few shapes.
    """
    if not net.input:
        return net, positions
    new = pb.NetParameter()
    new.CopyFrom(net)
    for name in ("input", "input_shape", "input_dim"):
        new.ClearField(name)
    if not net.input_shape and not net.input_dim:
        return new, positions
    shapes = [list(s.dim) for s in net.input_shape]
    if not shapes:
        shapes = [list(net.input_dim[i : i + 4]) for i in range(0, len(net.input_dim) - 3, 4)]
    if len(shapes) < len(net.input):
        given = f"{len(shapes)} input_shape" if net.input_shape else f"{len(net.input_dim)} input_dim"
        raise GraphError(
            f"The net has {len(net.input)} inputs, and {given}",
            hint="Give one input_shape, or four input_dim, for each input.",
            position=positions.find("input_shape[0]" if net.input_shape else "input_dim[0]") if positions else None,
        )
    layer = pb.LayerParameter(name="input", type="Input", top=net.input)
    paths = {f"layer[{i + 1}]": f"layer[{i}]" for i in range(len(net.layer))}
    paths["layer[0]"] = "input[0]"
    for i, dims in enumerate(shapes[: len(net.input)]):
        layer.input_param.shape.add(dim=dims)
        shape = f"layer[0].input_param.shape[{i}]"
        paths[f"layer[0].top[{i}]"] = f"input[{i}]"
        paths[shape] = f"input_shape[{i}]" if net.input_shape else f"input_dim[{4 * i}]"
        if not net.input_shape:
            paths.update({f"{shape}.dim[{k}]": f"input_dim[{4 * i + k}]" for k in range(4)})
    new.ClearField("layer")
    new.layer.append(layer)
    new.layer.extend(net.layer)
    return new, moved(positions, paths)


def upgrade_batch_norm(net: pb.NetParameter, positions: Positions | None) -> _Upgraded:
    """A copy in which BatchNorm layers with three params, as they once had to have, do not learn these."""
    if not any(_learns_statistics(layer) for layer in net.layer):
        return net, positions
    new = pb.NetParameter()
    new.CopyFrom(net)
    for layer in filter(_learns_statistics, new.layer):
        for spec in layer.param:
            spec.lr_mult = spec.decay_mult = 0
    return new, positions


def _learns_statistics(layer: pb.LayerParameter) -> bool:
    return layer.type == "BatchNorm" and len(layer.param) == 3 and any(s.lr_mult or s.decay_mult for s in layer.param)


_STEPS: tuple[tuple[Callable[[pb.NetParameter, Positions | None], _Upgraded], str], ...] = (
    (upgrade_v0, "the oldest form of layers (V0) to V1"),
    (upgrade_transform, "scale, mean_file, crop_size and mirror moved to transform_param"),
    (upgrade_v1, "'layers' (V1) to 'layer'"),
    (upgrade_input, "'input' to an Input layer"),
    (upgrade_batch_norm, "lr_mult and decay_mult of BatchNorm's three params set to 0"),
)
