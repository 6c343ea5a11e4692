"""What well-known forks of Caffe have and BVLC's has not: nobody misspelt these names."""

from __future__ import annotations

MODULES = {"caffe.model_libs": "SSD"}
"""Modules that scripts look for in pycaffe, and whose they are."""

_LAYERS = {
    "caffe-face": "CenterLoss TripletLoss",
    "DeepLab": "Interp",
    "Faster R-CNN": "ROIPooling SmoothL1Loss",
    "FlowNet": "Correlation Downsample FlowWarp L1Loss Resample",
    "R-FCN": "PSROIPooling",
    "SegNet": "BN DenseImageData Upsample",
    "SENet": "Axpy",
    "ShuffleNet": "ShuffleChannel",
    "SSD": "AnnotatedData DetectionEvaluate DetectionOutput MultiBoxLoss Norm Normalize Permute PriorBox VideoData",
    "YOLO": "EvalDetection RegionLoss Reorg",
}
"""Their layers' types, and what else those types' fields are called before `_param`."""

_FIELDS = {"SSD": "ap_version distort_param emit_constraint eval_type expand_param resize_param show_per_class_result"}
"""Their fields in messages that BVLC Caffe has too."""

_SAME = {
    **dict.fromkeys(
        ("convolutiondepthwise", "depthwiseconvolution"), 'type: "Convolution" with as many groups as channels'
    ),
    "relu6": 'type: "Clip" with clip_param { min: 0 max: 6 }',
}


def _key(name: str) -> str:
    """ROIPooling -> roipooling, roi_pooling_param -> roipooling."""
    return name.lower().removesuffix("_param").replace("_", "")


_LAYER_OF = {_key(name): fork for fork, names in _LAYERS.items() for name in names.split()}
_FIELD_OF = {_key(name): fork for fork, names in _FIELDS.items() for name in names.split()}


def fork_hint(name: str) -> str:
    """The hint for the name of a layer's type or of a field that a well-known fork has; '' for any other."""
    key = _key(name)
    if key in _SAME:
        return f"Write {_SAME[key]}: it computes the same."
    if key in _LAYER_OF:
        return f'It is a layer of the {_LAYER_OF[key]} fork, which BVLC Caffe lacks: write it as type: "Python".'
    return f"It is a field of the {_FIELD_OF[key]} fork, which BVLC Caffe lacks." if key in _FIELD_OF else ""
