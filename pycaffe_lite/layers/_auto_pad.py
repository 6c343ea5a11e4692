"""What convolution and pooling share of `auto_pad`, a field of ours: padding by TensorFlow's names.

SAME gives ⌈in / stride⌉ windows with the least padding that makes them fit, the odd place behind; VALID none, and as
many windows as fit.
"""

from __future__ import annotations

from pycaffe_lite.errors import ParameterError
from pycaffe_lite.proto import caffe_pb2 as pb


def pads_itself(p: pb.ConvolutionParameter | pb.PoolingParameter, pad: bool, message: str) -> bool:
    """Whether auto_pad decides. `pad`: whether that field is given.

    Raises ParameterError, with the name of the field in `message`, where a padding is given as well.
    """
    if p.auto_pad == pb.EXPLICIT:
        return False
    given = [
        name
        for name, is_given in (("pad", pad), ("pad_h", p.HasField("pad_h")), ("pad_w", p.HasField("pad_w")))
        if is_given
    ]
    if given:
        raise ParameterError(
            f"{given[0]} and auto_pad: {pb.AutoPad.Name(p.auto_pad)} are both given",
            field=message + "auto_pad",
            hint="Give one of them.",
        )
    return True
