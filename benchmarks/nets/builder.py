"""A network that grows layer by layer, and its prototxt."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format

from pycaffe_lite.proto import caffe_pb2 as pb

WIDTH = 120
MAX, AVE = pb.PoolingParameter.MAX, pb.PoolingParameter.AVE
TRAIN, TEST = [{"phase": pb.TRAIN}], [{"phase": pb.TEST}]
MSRA, XAVIER = {"type": "msra"}, {"type": "xavier"}


class Builder:
    """Each method adds a layer, or the few that belong together, behind `bottom`, by default the last blob that was
    made, and returns the name of the blob that it makes. Other keywords are fields of the layer's parameters.
    """

    def __init__(self, name: str, batch: int, *item: int, label: tuple[int, ...] = ()) -> None:
        """Inputs: in TRAIN data and labels, `batch` of them; in TEST one item of data."""
        self.net = pb.NetParameter(name=name)
        self.last = "data"
        one, many, labels = ({"dim": dim} for dim in ((1, *item), (batch, *item), (batch, *label)))
        self.layer("data", "Input", [], ["data", "label"], include=TRAIN, input_param={"shape": [many, labels]})
        self.layer("data", "Input", [], ["data"], include=TEST, input_param={"shape": [one]})

    def layer(self, name: str, kind: str, bottoms: list[str], tops: list[str], **fields: Any) -> str:
        self.net.layer.add(name=name, type=kind, bottom=bottoms, top=tops, **fields)
        self.last = tops[0]
        return self.last

    def conv(self, name: str, num_output: int, kernel_size: int, bottom: str = "", **param: Any) -> str:
        param = {"num_output": num_output, "kernel_size": [kernel_size], **param}
        param = {key: [value] if key in ("pad", "stride") else value for key, value in param.items()}
        param["weight_filler"] = MSRA
        return self.layer(name, "Convolution", [bottom or self.last], [name], convolution_param=param)

    def conv_relu(self, name: str, num_output: int, kernel_size: int, bottom: str = "", **param: Any) -> str:
        self.conv(name, num_output, kernel_size, bottom, **param)
        return self.relu(name)

    def conv_bn(self, name: str, num_output: int, kernel_size: int, bottom: str = "", **param: Any) -> str:
        """A convolution without bias, then BatchNorm and Scale in place."""
        self.conv(name, num_output, kernel_size, bottom, bias_term=False, **param)
        self.layer(f"bn_{name}", "BatchNorm", [name], [name])
        return self.layer(f"scale_{name}", "Scale", [name], [name], scale_param={"bias_term": True})

    def conv_bn_relu(self, name: str, num_output: int, kernel_size: int, bottom: str = "", **param: Any) -> str:
        self.conv_bn(name, num_output, kernel_size, bottom, **param)
        return self.relu(name)

    def relu(self, blob: str) -> str:
        return self.layer(f"relu_{blob}", "ReLU", [blob], [blob])

    def ip(self, name: str, num_output: int) -> str:
        param = {"num_output": num_output, "weight_filler": XAVIER}
        return self.layer(name, "InnerProduct", [self.last], [name], inner_product_param=param)

    def pool(self, name: str, pool: int, kernel_size: int, stride: int, bottom: str = "", pad: int = 0) -> str:
        param = {"pool": pool, "kernel_size": kernel_size, "stride": stride, **({"pad": pad} if pad else {})}
        return self.layer(name, "Pooling", [bottom or self.last], [name], pooling_param=param)

    def pool_all(self, name: str) -> str:
        return self.layer(name, "Pooling", [self.last], [name], pooling_param={"pool": AVE, "global_pooling": True})

    def lrn(self, name: str) -> str:
        param = {"local_size": 5, "alpha": 1e-4, "beta": 0.75}
        return self.layer(name, "LRN", [self.last], [name], lrn_param=param)

    def dropout(self, blob: str, ratio: float = 0.5) -> str:
        return self.layer(f"drop_{blob}", "Dropout", [blob], [blob], dropout_param={"dropout_ratio": ratio})

    def concat(self, name: str, *bottoms: str) -> str:
        return self.layer(name, "Concat", list(bottoms), [name])

    def add_relu(self, name: str, *bottoms: str) -> str:
        self.layer(name, "Eltwise", list(bottoms), [name])
        return self.relu(name)

    def classify(self) -> Builder:
        """What the classes' scores become: a loss in TRAIN, probabilities in TEST."""
        scores = self.last
        self.layer("loss", "SoftmaxWithLoss", [scores, "label"], ["loss"], include=TRAIN)
        self.layer("prob", "Softmax", [scores], ["prob"], include=TEST)
        return self

    def text(self) -> str:
        return f'name: "{self.net.name}"\n' + "".join(map(_lines, self.net.layer))


def _lines(layer: pb.LayerParameter) -> str:
    """A layer in one line, if that is short enough, else each of its fields in one."""
    line = f"layer {{ {_one_line(layer)} }}\n"
    if len(line) <= WIDTH:
        return line
    fields = [field.name for field, _ in layer.ListFields()]
    return "layer {\n" + "".join(f"  {_one_line(_only(layer, field))}\n" for field in fields) + "}\n"


def _only(layer: pb.LayerParameter, name: str) -> pb.LayerParameter:
    only = pb.LayerParameter()
    only.CopyFrom(layer)
    for field, _ in layer.ListFields():
        if field.name != name:
            only.ClearField(field.name)
    return only


def _one_line(layer: pb.LayerParameter) -> str:
    return str(text_format.MessageToString(layer, as_one_line=True))
