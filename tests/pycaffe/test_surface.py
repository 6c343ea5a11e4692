"""Every public name of pycaffe, and the private ones that scripts use, with its signature."""

from __future__ import annotations

import importlib
import inspect
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

import pycaffe_lite as caffe
from pycaffe_lite import _caffe
from tests.layers.nets import net_of

# What is before "/" came from C++, where arguments have no names.
SIGNATURES = """
caffe.Net                       (network_file, phase, level=0, stages=None, weights=None)
caffe.Net.forward               (self, blobs=None, start=None, end=None, **kwargs)
caffe.Net.backward              (self, diffs=None, start=None, end=None, **kwargs)
caffe.Net.forward_all           (self, blobs=None, **kwargs)
caffe.Net.forward_backward_all  (self, blobs=None, diffs=None, **kwargs)
caffe.Net.set_input_arrays      (self, data, labels)
caffe.Net._set_input_arrays     (self, data, labels, /)
caffe.Net.reshape               (self)
caffe.Net.clear_param_diffs     (self)
caffe.Net.copy_from             (self, file, /)
caffe.Net.share_with            (self, net, /)
caffe.Net.save                  (self, file, /)
caffe.Net.save_hdf5             (self, file, /)
caffe.Net.load_hdf5             (self, file, /)
caffe.Net.before_forward        (self, cb, /)
caffe.Net.after_forward         (self, cb, /)
caffe.Net.before_backward       (self, cb, /)
caffe.Net.after_backward        (self, cb, /)
caffe.Net._batch                (self, blobs)
caffe.Net._forward              (self, s, e, /)
caffe.Net._backward             (self, s, e, /)
caffe.Net._bottom_ids           (self, i, /)
caffe.Net._top_ids              (self, i, /)
caffe._caffe.Blob.reshape       (self, *dims)
caffe._caffe.BlobVec.add_blob   (self, *shape)
caffe.Layer.setup               (self, bottom, top)
caffe.Layer.reshape             (self, bottom, top)
caffe.Layer.forward             (self, bottom, top)
caffe.Layer.backward            (self, top, propagate_down, bottom)
caffe.SGDSolver                 (solver_file, /)
caffe.NesterovSolver            (solver_file, /)
caffe.AdaGradSolver             (solver_file, /)
caffe.RMSPropSolver             (solver_file, /)
caffe.AdaDeltaSolver            (solver_file, /)
caffe.AdamSolver                (solver_file, /)
caffe.get_solver                (solver_file, /)
caffe.SGDSolver.solve           (self, resume_file=None, /)
caffe.SGDSolver.step            (self, n, /)
caffe.SGDSolver.restore         (self, file, /)
caffe.SGDSolver.snapshot        (self)
caffe.SGDSolver.share_weights   (self, net, /)
caffe.SGDSolver.apply_update    (self)
caffe.SGDSolver.add_callback    (self, on_start, on_gradients_ready, /)
caffe.NCCL                      (solver, uid, /)
caffe.NCCL.new_uid              ()
caffe.NCCL.bcast                (self)
caffe.Timer                     ()
caffe.Timer.start               (self)
caffe.Timer.stop                (self)
caffe.init_log                  (level=0, stderr=True, /)
caffe.log                       (text, /)
caffe.set_mode_cpu              ()
caffe.set_mode_gpu              ()
caffe.set_device                (device, /)
caffe.layer_type_list           ()
caffe.set_random_seed           (seed, /)
caffe.solver_count              ()
caffe.set_solver_count          (n, /)
caffe.solver_rank               ()
caffe.set_solver_rank           (rank, /)
caffe.set_multiprocess          (flag, /)
caffe.has_nccl                  ()
caffe.to_proto                  (*tops)
caffe.NetSpec                   ()
caffe.io.blobproto_to_array                  (blob, return_diff=False)
caffe.io.array_to_blobproto                  (arr, diff=None)
caffe.io.arraylist_to_blobprotovector_str    (arraylist)
caffe.io.blobprotovector_str_to_arraylist    (str)
caffe.io.array_to_datum                      (arr, label=None)
caffe.io.datum_to_array                      (datum)
caffe.io.load_image                          (filename, color=True)
caffe.io.resize_image                        (im, new_dims, interp_order=1)
caffe.io.oversample                          (images, crop_dims)
caffe.io.Transformer                         (inputs)
caffe.io.Transformer.preprocess              (self, in_, data)
caffe.io.Transformer.deprocess               (self, in_, data)
caffe.io.Transformer.set_transpose           (self, in_, order)
caffe.io.Transformer.set_channel_swap        (self, in_, order)
caffe.io.Transformer.set_raw_scale           (self, in_, scale)
caffe.io.Transformer.set_mean                (self, in_, mean)
caffe.io.Transformer.set_input_scale         (self, in_, scale)
caffe.Classifier                (model_file, pretrained_file, image_dims=None, mean=None, input_scale=None,
                                 raw_scale=None, channel_swap=None)
caffe.Classifier.predict        (self, inputs, oversample=True)
caffe.Detector                  (model_file, pretrained_file, mean=None, input_scale=None, raw_scale=None,
                                 channel_swap=None, context_pad=None)
caffe.Detector.detect_windows            (self, images_windows)
caffe.Detector.detect_selective_search   (self, image_fnames)
caffe.Detector.crop                      (self, im, window)
caffe.Detector.configure_crop            (self, context_pad)
caffe.net_spec.param_name_dict   ()
caffe.net_spec.to_proto          (*tops)
caffe.net_spec.assign_proto      (proto, name, val)
caffe.net_spec.Top               (fn, n)
caffe.net_spec.Top.to_proto      (self)
caffe.net_spec.Function          (type_name, inputs, params)
caffe.net_spec.NetSpec.to_proto  (self)
caffe.net_spec.Layers            ()
caffe.net_spec.Parameters        ()
caffe.coord_map.conv_params          (fn)
caffe.coord_map.crop_params          (fn)
caffe.coord_map.coord_map            (fn)
caffe.coord_map.compose              (base_map, next_map)
caffe.coord_map.inverse              (coord_map)
caffe.coord_map.coord_map_from_to    (top_from, top_to)
caffe.coord_map.crop                 (top_from, top_to)
caffe.draw.get_pooling_types_dict      ()
caffe.draw.get_edge_label              (layer)
caffe.draw.get_layer_lr_mult           (layer)
caffe.draw.get_layer_label             (layer, rankdir, display_lrm=False)
caffe.draw.choose_color_by_layertype   (layertype)
caffe.draw.get_pydot_graph             (caffe_net, rankdir, label_edges=True, phase=None, display_lrm=False)
caffe.draw.draw_net                    (caffe_net, rankdir, ext='png', phase=None, display_lrm=False)
caffe.draw.draw_net_to_file            (caffe_net, filename, rankdir='LR', phase=None, display_lrm=False)
"""

NAMES = """
caffe: __version__ TRAIN TEST io layers params proto net_spec classifier detector pycaffe
caffe.pycaffe: Net SGDSolver NesterovSolver AdaGradSolver RMSPropSolver AdaDeltaSolver AdamSolver NCCL Timer
caffe._caffe: Net Blob Layer BlobVec RawBlobVec LayerVec StringVec IntVec DtypeVec NetVec BoolVec SolverParameter
caffe.classifier: Classifier
caffe.io: caffe_pb2
caffe.detector: Detector
caffe.net_spec: Layers Parameters layers params NetSpec
caffe.coord_map: PASS_THROUGH_LAYERS UndefinedMapException AxisMismatchException
caffe.proto.caffe_pb2: NetParameter SolverParameter BlobProto BlobProtoVector Datum LayerParameter TRAIN TEST
"""


def find(path: str) -> Any:
    """What stands at a dotted path, its modules imported as they have to be."""
    parts = path.split(".")
    thing: Any = caffe
    for i, part in enumerate(parts[1:], 2):
        name = ".".join(["pycaffe_lite", *parts[1:i]])
        if not hasattr(thing, part) and inspect.ismodule(thing):
            thing = importlib.import_module(name)
        else:
            thing = getattr(thing, part)
    return thing


def rows() -> list[tuple[str, str]]:
    joined = SIGNATURES.replace("\n     ", " ").strip().splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined]


@pytest.mark.parametrize(("path", "wanted"), rows(), ids=[path for path, _ in rows()])
def test_signatures(path: str, wanted: str) -> None:
    if path.startswith("caffe.draw"):
        pytest.importorskip("pycaffe_lite.draw")
    ours = list(inspect.signature(find(path)).parameters.values())
    theirs = list(inspect.signature(eval(f"lambda {wanted[1:-1]}: 0")).parameters.values())
    extra = ours[len(theirs) :]
    assert all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in extra)
    positional = [p for p in extra if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert not (positional and theirs and theirs[-1].kind is inspect.Parameter.VAR_KEYWORD)
    for mine, its in zip(ours[: len(theirs)], theirs, strict=True):
        if its.kind is its.POSITIONAL_ONLY:
            assert mine.kind in (mine.POSITIONAL_ONLY, mine.POSITIONAL_OR_KEYWORD)
        else:
            assert mine.kind is its.kind
        if its.kind is its.POSITIONAL_OR_KEYWORD:
            assert mine.name == its.name
        assert mine.default == its.default


@pytest.mark.parametrize("line", NAMES.strip().splitlines())
def test_names(line: str) -> None:
    module, names = line.split(": ")
    for name in names.split():
        assert find(f"{module}.{name}") is not None


def test_net_spec_instances() -> None:
    assert isinstance(caffe.layers, caffe.net_spec.Layers)
    assert isinstance(caffe.params, caffe.net_spec.Parameters)
    assert (caffe.TRAIN, caffe.TEST) == (0, 1)


def test_properties_of_a_net_and_its_blobs() -> None:
    net = net_of(
        'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "p" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 5 } }'
    )
    for name in ("blobs", "blob_loss_weights", "params", "layer_dict", "top_names", "bottom_names"):
        assert isinstance(getattr(net, name), OrderedDict)
    for name in ("layers", "inputs", "outputs", "_blobs", "_layer_names", "_blob_names", "_inputs", "_outputs"):
        assert isinstance(getattr(net, name), list)
    assert net._blob_loss_weights == [0, 0]
    blob = net.blobs["x"]
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (2, 3, 1, 1, 6)
    assert tuple(blob.shape) == blob.data.shape == blob.diff.shape == (2, 3)
    for name in ("_gpu_data_ptr", "_gpu_diff_ptr"):
        with pytest.raises(RuntimeError, match="no GPU memory"):
            getattr(blob, name)
    layer = net.layers[1]
    assert (layer.type, len(layer.blobs)) == ("InnerProduct", 2)


def test_properties_of_a_solver(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "p" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 5 } }'
        'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "y" top: "l" }'
    )
    file = tmp_path / "solver.prototxt"
    file.write_text(
        'net: "net.prototxt" base_lr: 0.25 lr_policy: "fixed" max_iter: 3 display: 7 layer_wise_reduce: false '
        "test_iter: 1 test_interval: 5 snapshot_after_train: false"
    )
    solver = caffe.get_solver(str(file))
    assert isinstance(solver, caffe.SGDSolver)
    assert isinstance(solver.net, caffe.Net)
    assert [type(net) for net in solver.test_nets] == [caffe.Net]
    assert (solver.iter, solver.lr) == (0, 0.25)
    p = solver.param
    assert isinstance(p, _caffe.SolverParameter)
    assert (p.max_iter, p.display, p.layer_wise_reduce, p.base_lr) == (3, 7, False, 0.25)
    p.base_lr, p.max_iter = 0.5, 2
    assert solver.lr == 0.5
    solver.solve()
    assert solver.iter == 2


@pytest.mark.parametrize("name", ["RawBlobVec", "LayerVec", "StringVec", "IntVec", "DtypeVec", "NetVec", "BoolVec"])
def test_vectors_are_like_lists(name: str) -> None:
    vector = getattr(_caffe, name)([3, 1])
    vector.append(2)
    vector.extend([5])
    assert (list(vector), len(vector), vector[1], 2 in vector) == ([3, 1, 2, 5], 4, 1, True)
