"""Networks to draw."""

from __future__ import annotations

from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import parse_text

BRANCHES = """name: "branches"
layer { name: "train" type: "Data" top: "data" top: "label" data_param { batch_size: 7 } include { phase: TRAIN } }
layer { name: "test" type: "Data" top: "data" top: "label" data_param { batch_size: 9 } include { phase: TEST } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 3 }
        convolution_param { num_output: 11 kernel_size: 5 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
        pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
layer { name: "a/<wide> & long name of a layer" type: "InnerProduct" bottom: "pool" top: "a"
        inner_product_param { num_output: 13 } }
layer { name: "b1" type: "InnerProduct" bottom: "pool" top: "b1" inner_product_param { num_output: 17 } }
layer { name: "b2" type: "InnerProduct" bottom: "b1" top: "b2" inner_product_param { num_output: 13 } }
layer { name: "c" type: "InnerProduct" bottom: "data" top: "c" inner_product_param { num_output: 13 } }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b2" bottom: "c" top: "sum" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "sum" bottom: "label" top: "loss" exclude { phase: TEST } }
layer { name: "accuracy" type: "Accuracy" bottom: "sum" bottom: "label" top: "accuracy" include { phase: TEST } }
"""


def parsed(text: str = BRANCHES) -> pb.NetParameter:
    return parse_text(text, pb.NetParameter)[0]
