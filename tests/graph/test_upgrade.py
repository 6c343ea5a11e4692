"""Old formats become today's, by the rules that Caffe's users relied on; errors still point into the old file."""

from __future__ import annotations

import logging

import pytest

from pycaffe_lite import TEST, TRAIN, Net
from pycaffe_lite.errors import CaffeError, GraphError, ParameterError, ShapeError, UnknownTypeError
from pycaffe_lite.graph.upgrade import upgrade_net
from pycaffe_lite.graph.upgrade_v0 import _ANY, _FIELDS, _TYPES
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import Positions, parse_text


def upgraded(text: str) -> pb.NetParameter:
    """The net of today; the upgrade leaves its argument alone, and finds nothing more to do the second time."""
    old, positions = parse_text(text, pb.NetParameter, "old.prototxt")
    before = old.SerializeToString()
    new, _ = upgrade_net(old, positions)
    assert old.SerializeToString() == before
    assert upgrade_net(new)[0] is new
    without, none = upgrade_net(old)
    assert without == new
    assert none is None
    return new


def net_of(text: str) -> pb.NetParameter:
    return parse_text(text, pb.NetParameter)[0]


def places(text: str) -> tuple[pb.NetParameter, Positions]:
    new, positions = upgrade_net(*parse_text(text, pb.NetParameter, "old.prototxt"))
    assert positions is not None
    return new, positions


def at(positions: Positions, path: str, text: str) -> str:
    """The line of the text that a path leads to, from the column on."""
    place = positions.find(path)
    assert place is not None
    assert place.file == "old.prototxt"
    return text.splitlines()[place.line - 1][place.column - 1 :]


# V1


def test_v1_layers() -> None:
    new = upgraded(
        """
        name: "n" force_backward: true state { phase: TEST }
        layers {
          name: "c" type: CONVOLUTION bottom: "x" bottom: "y" top: "a" top: "b"
          include { phase: TRAIN stage: "s" } loss_weight: 0 loss_weight: 2
          param: "w" param: "b" blob_share_mode: PERMISSIVE blobs_lr: 3 blobs_lr: 4 weight_decay: 0.5
          convolution_param { num_output: 7 kernel_size: 3 group: 2 }
          blobs { num: 2 channels: 1 height: 1 width: 1 data: 5 data: 6 }
        }
        layers { name: "l" exclude { min_level: 2 } type: SOFTMAX_LOSS bottom: "a" loss_param { ignore_label: 3 } }
        layers { name: "d" type: DATA weight_decay: 0.25 transform_param { scale: 2 } data_param { source: "s" } }
        """
    )
    assert new == net_of(
        """
        name: "n" force_backward: true state { phase: TEST }
        layer {
          name: "c" type: "Convolution" bottom: "x" bottom: "y" top: "a" top: "b"
          include { phase: TRAIN stage: "s" } loss_weight: 0 loss_weight: 2
          param { name: "w" share_mode: PERMISSIVE lr_mult: 3 decay_mult: 0.5 } param { name: "b" lr_mult: 4 }
          convolution_param { num_output: 7 kernel_size: 3 group: 2 }
          blobs { num: 2 channels: 1 height: 1 width: 1 data: 5 data: 6 }
        }
        layer { name: "l" exclude { min_level: 2 } type: "SoftmaxWithLoss" bottom: "a" loss_param { ignore_label: 3 } }
        layer { name: "d" type: "Data" param { decay_mult: 0.25 } transform_param { scale: 2 }
          data_param { source: "s" } }
        """
    )


def test_every_v1_field_is_taken() -> None:
    """Each message of V1 arrives under its name."""
    old = pb.NetParameter()
    names = [f.name for f in pb.V1LayerParameter.DESCRIPTOR.fields if f.name.endswith("_param")]
    assert len(names) == 30
    for name in names:
        getattr(old.layers.add(), name).SetInParent()
    new, _ = upgrade_net(old)
    assert [[f.name for f, _ in layer.ListFields()] for layer in new.layer] == [[name] for name in names]


@pytest.mark.parametrize("kind", pb.V1LayerParameter.LayerType.keys())
def test_v1_types(kind: str) -> None:
    """The names of the types are alike but for a few."""
    (layer,) = upgraded(f'layers {{ name: "l" type: {kind} }}').layer
    renamed = {"NONE": "", "SOFTMAX_LOSS": "SoftmaxWithLoss"}
    assert layer.type.lower() == renamed.get(kind, kind.replace("_", "")).lower()


def test_both_forms_are_refused() -> None:
    text = 'layers { name: "a" type: RELU }\n  layer { name: "b" type: "ReLU" }'
    with pytest.raises(GraphError, match=r"both 'layers' \(1\) and 'layer' \(1\) \(old.prototxt:2:3\)"):
        upgrade_net(*parse_text(text, pb.NetParameter, "old.prototxt"))


@pytest.mark.parametrize(
    ("kind", "param"),
    [("DATA", "data_param"), ("IMAGE_DATA", "image_data_param"), ("WINDOW_DATA", "window_data_param")],
)
def test_transform(kind: str, param: str) -> None:
    text = f"""layers {{ name: "d" type: {kind}
      transform_param {{ mean_value: 3 scale: 9 }}
      {param} {{ source: "s" batch_size: 4
        scale: 0.5
        mean_file: "m" crop_size: 11 mirror: true }} }}"""
    (layer,) = upgraded(text).layer
    assert layer.transform_param == pb.TransformationParameter(
        scale=0.5, mean_file="m", crop_size=11, mirror=True, mean_value=[3]
    )
    assert {f.name for f, _ in getattr(layer, param).ListFields()} == {"source", "batch_size"}
    _, positions = places(text)
    assert at(positions, "layer[0].transform_param.scale", text).startswith("scale: 0.5")
    assert at(positions, "layer[0].transform_param.crop_size", text).startswith("crop_size: 11")
    assert at(positions, "layer[0].transform_param.mean_value[0]", text).startswith("mean_value: 3")


def test_fields_of_the_same_name_stay_elsewhere() -> None:
    assert not upgraded("layers { type: POWER power_param { scale: 2 } }").layer[0].HasField("transform_param")
    today = net_of('layer { type: "Data" data_param { scale: 2 } }')
    assert upgrade_net(today)[0] is today


# inputs


def test_input_dims() -> None:
    new = upgraded(
        """
        input: "a" layer { name: "x" type: "ReLU" bottom: "a" } input_dim: 1 input_dim: 2 input_dim: 3
        layer { name: "y" type: "TanH" bottom: "b" } input_dim: 4 input: "b"
        input_dim: 5 input_dim: 6 input_dim: 7 input_dim: 8
        """
    )
    assert new == net_of(
        """
        layer { name: "input" type: "Input" top: "a" top: "b" input_param {
          shape { dim: 1 dim: 2 dim: 3 dim: 4 } shape { dim: 5 dim: 6 dim: 7 dim: 8 } } }
        layer { name: "x" type: "ReLU" bottom: "a" } layer { name: "y" type: "TanH" bottom: "b" }
        """
    )


def test_input_shapes_go_before_dims() -> None:
    new = upgraded('input: "a" input_dim: 9 input_shape { dim: 2 dim: 3 } input: "b" input_shape { dim: 5 }')
    assert new == net_of(
        """layer { name: "input" type: "Input" top: "a" top: "b"
          input_param { shape { dim: 2 dim: 3 } shape { dim: 5 } } }"""
    )


def test_inputs_without_shape_are_dropped() -> None:
    assert upgraded('input: "a" layer { name: "x" }') == net_of('layer { name: "x" }')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('input: "a"\ninput_dim: 1 input_dim: 2', r"1 inputs, and 2 input_dim \(old.prototxt:2:1\)"),
        ('input: "a" input: "b"\n input_shape { dim: 1 }', r"2 inputs, and 1 input_shape \(old.prototxt:2:2\)"),
    ],
)
def test_too_few_shapes(text: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        upgrade_net(*parse_text(text, pb.NetParameter, "old.prototxt"))


# BatchNorm


def test_batch_norm_of_three_params() -> None:
    new = upgraded(
        """
        layer { type: "BatchNorm" param { name: "m" lr_mult: 2 } param {} param { decay_mult: 3 } }
        layer { type: "BatchNorm" param { lr_mult: 2 } }
        layer { type: "Scale" param {} param {} param {} }
        """
    )
    still = "lr_mult: 0 decay_mult: 0"
    assert new == net_of(
        f"""
        layer {{ type: "BatchNorm" param {{ name: "m" {still} }} param {{ {still} }} param {{ {still} }} }}
        layer {{ type: "BatchNorm" param {{ lr_mult: 2 }} }}
        layer {{ type: "Scale" param {{}} param {{}} param {{}} }}
        """
    )


# V0

V0 = """
input: "in" input_dim: 2 input_dim: 3 input_dim: 9 input_dim: 8
layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "in" top: "padded" }
layers {
  layer {
    name: "conv1" type: "conv" num_output: 6 kernelsize: 3
    stride: 2 group: 3 biasterm: false weight_filler { type: "gaussian" std: 0.5 } bias_filler { value: 0.25 }
    blobs_lr: 1 blobs_lr: 2 weight_decay: 3 weight_decay: 4
  }
  bottom: "padded" top: "c"
}
layers { layer { name: "relu1" type: "relu" } bottom: "c" top: "c" }
layers { layer { name: "pad2" type: "padding" pad: 1 } bottom: "c" top: "q" }
layers { layer { name: "pool" type: "pool" pool: AVE kernelsize: 2 stride: 3 } bottom: "q" top: "p" }
layers { layer { name: "n" type: "lrn" local_size: 3 alpha: 0.5 beta: 0.25 k: 2 } bottom: "p" top: "n" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.25 } bottom: "n" top: "n" }
layers { layer { name: "cat" type: "concat" concat_dim: 0 } bottom: "n" bottom: "n" top: "cat" }
layers { layer { name: "ip" type: "innerproduct" num_output: 4 } bottom: "cat" top: "ip" }
"""

V2 = """
layer { name: "input" type: "Input" top: "in" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } } }
layer { name: "conv1" type: "Convolution" bottom: "in" top: "c"
  param { lr_mult: 1 decay_mult: 3 } param { lr_mult: 2 decay_mult: 4 }
  convolution_param { num_output: 6 kernel_size: 3 stride: 2 group: 3 pad: 2 bias_term: false
    weight_filler { type: "gaussian" std: 0.5 } bias_filler { value: 0.25 } } }
layer { name: "relu1" type: "ReLU" bottom: "c" top: "c" }
layer { name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: AVE kernel_size: 2 stride: 3 pad: 1 } }
layer { name: "n" type: "LRN" bottom: "p" top: "n" lrn_param { local_size: 3 alpha: 0.5 beta: 0.25 k: 2 } }
layer { name: "drop" type: "Dropout" bottom: "n" top: "n" dropout_param { dropout_ratio: 0.25 } }
layer { name: "cat" type: "Concat" bottom: "n" bottom: "n" top: "cat" concat_param { concat_dim: 0 } }
layer { name: "ip" type: "InnerProduct" bottom: "cat" top: "ip" inner_product_param { num_output: 4 } }
"""


def test_v0_net() -> None:
    assert upgraded(V0) == net_of(V2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            'type: "data" source: "s" batchsize: 3 rand_skip: 7 scale: 0.5 meanfile: "m" cropsize: 5 mirror: true',
            """type: "Data" data_param { source: "s" batch_size: 3 rand_skip: 7 }
            transform_param { scale: 0.5 mean_file: "m" crop_size: 5 mirror: true }""",
        ),
        (
            'type: "images" source: "s" batchsize: 3 rand_skip: 7 shuffle_images: true new_height: 4 new_width: 5',
            """type: "ImageData" image_data_param {
            source: "s" batch_size: 3 rand_skip: 7 shuffle: true new_height: 4 new_width: 5 }""",
        ),
        (
            """type: "window_data" source: "s" batchsize: 3 det_fg_threshold: 0.75 det_bg_threshold: 0.125
            det_fg_fraction: 0.375 det_context_pad: 16 det_crop_mode: "square" """,
            """type: "WindowData" window_data_param { source: "s" batch_size: 3 fg_threshold: 0.75 bg_threshold: 0.125
            fg_fraction: 0.375 context_pad: 16 crop_mode: "square" }""",
        ),
        (
            'type: "hdf5_data" source: "s" batchsize: 3',
            'type: "HDF5Data" hdf5_data_param { source: "s" batch_size: 3 }',
        ),
        (
            'type: "hdf5_output" hdf5_output_param { file_name: "f" }',
            'type: "HDF5Output" hdf5_output_param { file_name: "f" }',
        ),
        ('type: "infogain_loss" source: "s"', 'type: "InfogainLoss" infogain_loss_param { source: "s" }'),
        ('type: "conv" blobs { num: 1 data: 3 }', 'type: "Convolution" blobs { num: 1 data: 3 }'),
        ('type: "pool" pool: STOCHASTIC', 'type: "Pooling" pooling_param { pool: STOCHASTIC }'),
        ("", ""),
    ],
)
def test_v0_layers(old: str, new: str) -> None:
    assert upgraded(f'layers {{ layer {{ name: "l" {old} }} top: "t" }}') == net_of(
        f'layer {{ name: "l" {new} top: "t" }}'
    )


def test_v0_knows_every_field() -> None:
    """Only those of types that never were are unknown."""
    fields = {f.name for f in pb.V0LayerParameter.DESCRIPTOR.fields}
    assert fields - set(_FIELDS) - set(_ANY) == {"type", "hdf5_output_param", "new_num", "new_channels"}
    assert {kind for _, kinds in _FIELDS.values() for kind in kinds.split()} <= set(_TYPES)


@pytest.mark.parametrize("kind", sorted(_TYPES))
def test_v0_types(kind: str) -> None:
    (layer,) = upgraded(f'layers {{ layer {{ name: "l" type: "{kind}" }} }}').layer
    renamed = {"conv": "convolution", "images": "imagedata", "pool": "pooling", "softmax_loss": "softmaxwithloss"}
    assert layer.type.lower() == renamed.get(kind, kind.replace("_", ""))


def test_v0_among_v1() -> None:
    new = upgraded('layers { layer { name: "a" type: "relu" } } layers { name: "b" type: TANH blobs_lr: 3 }')
    assert new == net_of('layer { name: "a" type: "ReLU" } layer { name: "b" type: "TanH" param { lr_mult: 3 } }')


def test_padding_of_a_blob_that_is_written_again() -> None:
    """What was written over the padded blob is not padded."""
    pad = 'layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "in" top: "x" }'
    other = 'layers { layer { name: "r" type: "relu" } bottom: "in" top: "x" }'
    pool = 'layers { layer { name: "p" type: "pool" } bottom: "x" top: "p" }'
    new = upgraded(pad + other + pool)
    assert list(new.layer[1].bottom) == ["x"]
    assert not new.layer[1].pooling_param.HasField("pad")
    new = upgraded(pad + pool.replace('"p"', '"p1"') + pool)
    assert [list(layer.bottom) for layer in new.layer] == [["in"], ["in"]]
    assert [layer.pooling_param.pad for layer in new.layer] == [2, 2]


PADDED = 'layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "in" top: "x" }\n'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            'layers { layer { type: "images" new_height: -3 } }',
            ParameterError,
            "new_height is -3, it must be at least 0",
        ),
        (
            'layers { layer { name: "l"\n type: "covn" } }',
            UnknownTypeError,
            r"Unknown layer type 'covn' .*old.prototxt:2:2\)\. Did you mean 'conv'",
        ),
        ('layers { layer { type: "Convolution" } }', UnknownTypeError, "type 'Convolution' in the oldest format"),
        (
            PADDED + 'layers { layer { name: "r" type: "relu" }\n bottom: "x" }',
            GraphError,
            r"Only conv and pool .*'r' of type relu, old.prototxt:3:2",
        ),
        (
            PADDED + 'layers { layer { type: "conv" } bottom: "x" bottom: "y" }',
            GraphError,
            "must have one bottom",
        ),
        (PADDED + PADDED.replace('"in"', '"x"'), GraphError, "reads another one"),
        (PADDED.replace('top: "x"', ""), GraphError, "1 bottoms and 0 tops"),
        (PADDED.replace('bottom: "in"', 'bottom: "in" bottom: "y"'), GraphError, "2 bottoms and 1 tops"),
    ],
)
def test_v0_errors(text: str, error: type[CaffeError], message: str) -> None:
    with pytest.raises(error, match=message):
        upgrade_net(*parse_text(text, pb.NetParameter, "old.prototxt"))
    with pytest.raises(error):
        upgrade_net(parse_text(text, pb.NetParameter)[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'layers { bottom: "x"\n layer { name: "l" type: "relu" num_output: 3 } }',
            "old.prototxt:2:33: num_output is ignored: layers of type 'relu' have no use for it",
        ),
        ('layers { layer { type: "conv" dropout_ratio: 0.5 } }', "dropout_ratio is ignored: layers of type 'conv'"),
        ('layers { layer { type: "data" hdf5_output_param {} } }', "hdf5_output_param is ignored"),
        ('layers { layer { type: "pool" new_num: 3 } }', "new_num is ignored"),
    ],
)
def test_v0_fields_without_use(text: str, says: str, caplog: pytest.LogCaptureFixture) -> None:
    """Caffe goes on without them."""
    new, _ = upgrade_net(*parse_text(text, pb.NetParameter, "old.prototxt"))
    assert [m for _, level, m in caplog.record_tuples if level >= logging.WARNING and says in m]
    assert {f.name for f, _ in new.layer[0].ListFields()} <= {"name", "type", "bottom"}


# where things stand


def test_places_of_v0() -> None:
    _, positions = places(V0)
    for path, text in {
        "layer[0].top[0]": 'input: "in"',
        "layer[0].input_param.shape[0].dim[1]": "input_dim: 3",
        "layer[1]": "layer {",
        "layer[1].name": 'name: "conv1"',
        "layer[1].type": 'type: "conv"',
        "layer[1].bottom[0]": 'bottom: "in"',
        "layer[1].top[0]": 'top: "c"',
        "layer[1].param[1].decay_mult": "weight_decay: 4",
        "layer[1].param[0].lr_mult": "blobs_lr: 1",
        "layer[1].convolution_param.kernel_size[0]": "kernelsize: 3",
        "layer[1].convolution_param.pad[0]": "pad: 2",
        "layer[1].convolution_param.weight_filler.std": "std: 0.5",
        "layer[1].convolution_param.dilation[0]": "layer {",
        "layer[3].pooling_param.stride": "stride: 3",
        "layer[3].pooling_param.pad": "pad: 1",
        "layer[6].bottom[1]": 'bottom: "n" top: "cat"',
    }.items():
        assert at(positions, path, V0).startswith(text), path


def test_places_in_errors() -> None:
    text = """
    input: "in" input_shape { dim: 2 dim: 3 dim: 9 }
    layers { name: "a" type: INNER_PRODUCT bottom: "in" top: "a" inner_product_param { num_output: 4 } }
    layers { name: "b" type: ELTWISE bottom: "in"
      bottom: "a" top: "b" }
    """
    for old, new, error, message in (
        ("", "", ShapeError, r"layer 'b' of type Eltwise, old.prototxt:4:5"),
        ("num_output: 4", "num_output: 0", ParameterError, r"layer 'a' of type InnerProduct, old.prototxt:3:88"),
        ('bottom: "a"', 'bottom: "q"', GraphError, r"Unknown bottom blob 'q'.*old.prototxt:5:7"),
        ("dim: 9", "dim: -9", CaffeError, r"layer 'input' of type Input, old.prototxt:2:"),
    ):
        net, positions = parse_text(text.replace(old, new), pb.NetParameter, "old.prototxt")
        with pytest.raises(error, match=message):
            Net.from_message(net, positions)


def test_a_net_is_built_of_it(caplog: pytest.LogCaptureFixture) -> None:
    texts = V0.replace("biasterm: false", ""), V2.replace("bias_term: false", "")
    with caplog.at_level(logging.INFO, "pycaffe_lite"):
        nets = [Net.from_message(net_of(text), seed=1) for text in texts]
    assert nets[0].inputs == ["in"]
    assert [n.type for n in nets[0]._nodes] == [n.type for n in nets[1]._nodes]
    assert nets[0].learnable.lr_mult == nets[1].learnable.lr_mult
    lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Upgraded")]
    assert lines == [
        "Upgraded the network: the oldest form of layers (V0) to V1",
        "Upgraded the network: 'layers' (V1) to 'layer'",
        "Upgraded the network: 'input' to an Input layer",
    ]


def test_old_fields_of_a_net_of_today_are_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Caffe moves them to transform_param in `layers` only."""
    text = """layer { name: "d" type: "Data" top: "x"
      data_param { source: "db" batch_size: 2 scale: 0.5 mirror: true } }
    layer { name: "w" type: "WindowData" window_data_param {
      crop_size: 3 } transform_param { crop_size: 5 } }
    layer { name: "p" type: "Power" bottom: "x" top: "y" power_param { scale: 3 } }"""
    net, positions = parse_text(text, pb.NetParameter, "old.prototxt")
    assert upgrade_net(net, positions)[0] == net
    assert [r.getMessage().partition(" is ignored, as in Caffe")[0] for r in caplog.records] == [
        "old.prototxt:2:47: layer 'd': data_param.scale",
        "old.prototxt:2:58: layer 'd': data_param.mirror",
        "old.prototxt:4:7: layer 'w': window_data_param.crop_size",
    ]
    assert {r.levelname for r in caplog.records} == {"WARNING"}
    caplog.clear()
    old = text.replace("layer {", "layers {").replace('"Data"', "DATA").replace('"WindowData"', "WINDOW_DATA")
    upgrade_net(net_of(old.replace('"Power"', "POWER")))
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def test_rules_and_phase() -> None:
    text = """input: "x" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1
    layers { name: "a" type: RELU bottom: "x" top: "y" include: { phase: TRAIN } }
    layers { name: "b" type: TANH bottom: "x" top: "y" exclude: { phase: TRAIN } }"""
    assert list(Net(net_of(text), TRAIN).layer_dict) == ["input", "a"]
    assert list(Net(net_of(text), TEST).layer_dict) == ["input", "b"]
