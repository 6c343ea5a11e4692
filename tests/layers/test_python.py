"""Python layers: users' own, written as for pycaffe."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import pycaffe_lite as caffe
from pycaffe_lite.errors import ParameterError
from pycaffe_lite.testing import LayerCase, check_layer, uniform
from tests.layers.nets import net_of

Writer = Callable[[str], str]
_numbers = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    """Writes a module of user layers and gives its name; each is imported anew."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def write(body: str) -> str:
        name = f"user_layers_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(f"import numpy as np\nimport pycaffe_lite as caffe\n\n{body}")
        made.append(name)
        return name

    yield write
    for name in made:
        sys.modules.pop(name, None)


def layer(module: str, name: str, more: str = "", blobs: str = 'bottom: "x" top: "y"') -> str:
    return f'layer {{ name: "p" type: "Python" {blobs} python_param {{ module: "{module}" layer: "{name}" {more} }} }}'


INPUT = 'force_backward: true layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'

SCALE = """
class Scale(caffe.Layer):
    def setup(self, bottom, top):
        self.factor = float(self.param_str)
        self.seen = []

    def reshape(self, bottom, top):
        self.seen.append(tuple(bottom[0].shape))
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = self.factor * bottom[0].data

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = self.factor * top[0].diff
"""


def test_a_layer_as_for_pycaffe(module: Writer) -> None:
    net = net_of(INPUT + layer(module(SCALE), "Scale", 'param_str: "-2.5"'))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(net.forward(x=x)["y"], -2.5 * x)
    net.blobs["y"].diff[...] = x
    np.testing.assert_array_equal(net.backward()["x"], -2.5 * x)
    own = net.layers[1]
    assert own.type == "Python"
    assert own.param_str == own.param_str_ == "-2.5"
    assert own.phase == caffe.TRAIN
    assert list(own.blobs) == []


def test_reshape_runs_before_every_forward(module: Writer) -> None:
    net = net_of(INPUT + layer(module(SCALE), "Scale", 'param_str: "2"'))
    built = len(net.layers[1].seen)
    net.forward()
    net.forward()
    net.blobs["x"].reshape(5, 7, 2)
    assert net.forward()["y"].shape == (5, 7, 2)
    assert net.layers[1].seen[built:] == [(2, 3), (2, 3), (5, 7, 2)]


def test_it_keeps_the_contract(module: Writer) -> None:
    check_layer(
        LayerCase(
            "Python", f'python_param {{ module: "{module(SCALE)}" layer: "Scale" param_str: "3" }}', [uniform(2, 3, 5)]
        )
    )


def test_the_new_style_keeps_it_too(module: Writer) -> None:
    """infer_shapes, forward_cpu, backward_cpu and parameters, as built-in layers are written."""
    name = module("""
class Shift(caffe.Layer):
    def infer_shapes(self, bottom_shapes):
        return [bottom_shapes[0]]

    def setup(self, bottom, top):
        self.blobs.add_blob(bottom[0].shape[1])

    def forward_cpu(self, bottom, top):
        top[0].data[...] = bottom[0].data + self.blobs[0].data

    def backward_cpu(self, top, propagate_down, bottom):
        if self.param_propagate_down(0):
            self.blobs[0].diff[...] += top[0].diff.sum(axis=0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff
""")
    check_layer(LayerCase("Python", f'python_param {{ module: "{name}" layer: "Shift" }}', [uniform(5, 3)]))


NAMES = """params name top_names bottom_names batch_size bottoms tops loss layers in_place shape dtype rng message
engine facts index weights data diff config node spec net constraints same_number views has_backward auto_tops
num_output propagate_down param_propagate_down may_run_in_place backward_reads_bottom_data backward_reads_top_data
default_loss_weight allow_force_backward infer_shapes forward_cpu backward_cpu close""".split()


@pytest.mark.parametrize("when", ["setup", "reshape", "__init__"])
def test_users_may_assign_any_attribute(module: Writer, when: str) -> None:
    """Old layers set self.params, self.name, self.top_names, self.batch_size: it builds, trains and closes."""
    assigned = "\n".join(f"        self.{n} = 'mine: {n}'" for n in NAMES)
    signature = "self, *args" if when == "__init__" else "self, bottom, top"
    body = f"""
class Mine(caffe.Layer):
    def setup(self, bottom, top):
        self.blobs.add_blob(1)
        self.blobs[0].data[...] = 3

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.blobs[0].data[0]

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[...] += (top[0].diff * bottom[0].data).sum()
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.blobs[0].data[0]


class Assigning(Mine):
    def {when}({signature}):
        {'super().' + when + '(bottom, top)' if when != '__init__' else 'pass'}
{assigned}
"""
    net = net_of(
        INPUT
        + 'layer { name: "t" type: "Input" top: "t" input_param { shape { dim: 2 dim: 3 } } }'
        + layer(module(body), "Assigning")
        + 'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }'
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3) / 6
    losses = []
    for _ in range(60):
        net.clear_param_diffs()
        losses.append(float(net.forward(x=x, t=-2 * x)["loss"]))
        net.backward()
        for blob in net.learnable.blobs:
            blob.data[...] -= 0.5 * blob.diff
    assert losses[0] > 1
    assert losses[-1] < 1e-6
    assert net.params["p"][0].data[0] == pytest.approx(-2, abs=1e-2)
    own = net.layers[2]
    assert all(getattr(own, n) == f"mine: {n}" for n in NAMES)
    net.summary()
    repr(net)
    net.close()


def test_a_layer_may_set_its_type_and_still_be_named_python_in_errors(module: Writer) -> None:
    name = module(SCALE.replace("self.seen = []", "self.seen = []; self.type = 'mine'"))
    net = net_of(INPUT + layer(name, "Scale", 'param_str: "1"'))
    net.forward()
    assert net.layers[1].type == "mine"


@pytest.mark.parametrize("where", ["setup", "reshape", "forward", "backward"])
def test_exceptions_surface_unchanged(module: Writer, where: str) -> None:
    name = module(
        SCALE
        + f"""
class Failing(Scale):
    def {where}(self, *args):
        raise ZeroDivisionError('from {where}', 42)
"""
    )

    def run() -> None:
        net = net_of(INPUT + layer(name, "Failing", 'param_str: "1"'))
        net.forward()
        net.backward()

    with pytest.raises(ZeroDivisionError) as caught:
        run()
    assert caught.value.args == (f"from {where}", 42)
    assert caught.traceback[-1].path.name == f"{name}.py"


def test_a_loss_of_ones_own(module: Writer) -> None:
    name = module("""
class SquaredLoss(caffe.Layer):
    def setup(self, bottom, top):
        if len(bottom) != 1:
            raise Exception('one bottom needed')

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        top[0].data[...] = np.sum(bottom[0].data ** 2)

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = 2 * bottom[0].data * top[0].diff[0]
""")
    text = INPUT + layer(name, "SquaredLoss", blobs='bottom: "x" top: "loss" loss_weight: 0.3')
    net = net_of(text)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    net.blobs["x"].data[...] = x
    assert net._forward(0, 1) == pytest.approx(0.3 * 55)
    np.testing.assert_allclose(net.backward()["x"], 0.6 * x, rtol=1e-6)
    with pytest.raises(Exception, match="one bottom needed"):
        net_of(text.replace('bottom: "x" top', 'bottom: "x" bottom: "x" top'))


def test_backward_is_told_who_wants_a_gradient(module: Writer) -> None:
    name = module("""
class Picky(caffe.Layer):
    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        top[0].data[...] = (bottom[0].data.sum(axis=1) * bottom[1].data).sum()

    def backward(self, top, propagate_down, bottom):
        self.told = list(propagate_down)
        if propagate_down[0]:
            bottom[0].diff[...] = bottom[1].data[:, None] * top[0].diff
""")
    net = net_of(f"""layer {{ name: "i" type: "Input" top: "x" top: "t"
            input_param {{ shape {{ dim: 5 dim: 3 }} shape {{ dim: 5 }} }} }}
        layer {{ name: "w" type: "InnerProduct" bottom: "x" top: "z" inner_product_param {{ num_output: 2 }} }}
        layer {{ name: "p" type: "Python" bottom: "z" bottom: "t" top: "y" loss_weight: 2
                 python_param {{ module: "{name}" layer: "Picky" }} }}""")
    net.forward()
    net.backward()
    assert net.layers[2].told == [True, False]


def test_source_layers_bring_data(module: Writer) -> None:
    name = module("""
class Counter(caffe.Layer):
    def setup(self, bottom, top):
        self.batch = eval(self.param_str)['batch']
        self.n = 0

    def reshape(self, bottom, top):
        top[0].reshape(self.batch, 1)

    def forward(self, bottom, top):
        self.n += 1
        top[0].data[...] = self.n

    def backward(self, top, propagate_down, bottom):
        pass
""")
    net = net_of(layer(name, "Counter", "param_str: \"{'batch': 3}\"", blobs='top: "y"'))
    net.forward()
    np.testing.assert_array_equal(net.forward()["y"], np.full((3, 1), 2))


def test_phase_and_text_reach_setup(module: Writer) -> None:
    name = module("""
class Tells(caffe.Layer):
    def setup(self, bottom, top):
        self.told = (self.phase == caffe.TEST, self.param_str, len(bottom), len(top), tuple(bottom[0].shape))
    def reshape(self, bottom, top):
        top[0].reshape(1)
    def forward(self, bottom, top):
        pass
    def backward(self, top, propagate_down, bottom):
        pass
""")
    text = INPUT + layer(name, "Tells", "param_str: 'a\\'b'")
    assert net_of(text, caffe.TEST).layers[1].told == (True, "a'b", 1, 1, (2, 3))
    assert net_of(text, caffe.TRAIN).layers[1].told[0] is False


def test_a_layer_may_have_random_numbers_of_its_own(module: Writer) -> None:
    name = module("""
import numpy as np
import pycaffe_lite as caffe

class Tells(caffe.Layer):
    def setup(self, bottom, top):
        self._rng = np.random.RandomState(1)

    def reshape(self, bottom, top):
        top[0].reshape(2)

    def forward(self, bottom, top):
        top[0].data[...] = self._rng.rand(2)

    def backward(self, top, propagate_down, bottom):
        pass
""")
    net = net_of(INPUT + layer(name, "Tells"))
    np.testing.assert_allclose(net.forward()["y"], np.random.RandomState(1).rand(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ('module: "there_is_no_such" layer: "A"', "no Python module 'there_is_no_such'"),
        ('module: "MODULE" layer: "Sclae"', "'Sclae' in module 'MODULE' does not exist.*Did you mean 'Scale'"),
        ('module: "MODULE" layer: "np"', "'np' in module 'MODULE' is no Layer"),
        ('module: ".MODULE" layer: "Scale"', "begins with a dot"),
        ('module: "MODULE"', "not both given"),
        ('layer: "Scale"', "not both given"),
    ],
)
def test_what_is_not_there(module: Writer, fields: str, says: str) -> None:
    name = module(SCALE)
    text = INPUT + f'layer {{ name: "p" type: "Python" bottom: "x" top: "y" python_param {{ {fields} }} }}'
    with pytest.raises(ParameterError, match=says.replace("MODULE", name)) as caught:
        net_of(text.replace("MODULE", name))
    assert "layer 'p' of type Python, net.prototxt:2:" in str(caught.value)


def test_an_import_that_fails_within_the_module_is_the_users(module: Writer) -> None:
    name = module("import surely_not_installed\n")
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        net_of(INPUT + layer(name, "A"))


def test_a_module_with_a_mistake_says_so_itself(module: Writer) -> None:
    name = module("def f(:\n")
    with pytest.raises(SyntaxError):
        net_of(INPUT + layer(name, "A"))


def test_a_stranger_may_not_import(module: Writer) -> None:
    name = module("raise SystemExit('imported')\n")
    with pytest.raises(ParameterError, match=f"would import the module '{name}' and run its class 'A'") as caught:
        net_of(INPUT + layer(name, "A"), trusted=False)
    assert "layer 'p' of type Python, net.prototxt:2:" in str(caught.value)
    assert "trusted=False" in str(caught.value)
    assert name not in sys.modules


def test_a_stranger_may_do_everything_else(module: Writer, tmp_path: Path) -> None:
    (tmp_path / "n.prototxt").write_text(INPUT + 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    assert caffe.Net(tmp_path / "n.prototxt", caffe.TEST, trusted=False).outputs == ["y"]
    (tmp_path / "m.prototxt").write_text(INPUT + layer(module(SCALE), "Scale", 'param_str: "2" '))
    with pytest.raises(ParameterError, match="trusted=False"):
        caffe.Net(tmp_path / "m.prototxt", caffe.TEST, trusted=False)
    assert caffe.Net(tmp_path / "m.prototxt", caffe.TEST).outputs == ["y"]


PARAMETER = """
class Parameter(caffe.Layer):
    def setup(self, bottom, top):
        self.blobs.add_blob(1)
        self.blobs[0].data[0] = 0
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)
    def forward(self, bottom, top):
        pass
    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[0] = 1
"""


def test_parameters_are_saved_loaded_and_shared(module: Writer, tmp_path: Path) -> None:
    text = INPUT + layer(module(PARAMETER), "Parameter")
    net = net_of(text)
    net.forward()
    net.backward()
    own = net.layers[net._layer_names.index("p")].blobs[0]
    assert (own.data[0], own.diff[0]) == (0, 1)
    own.data[0] = 5
    net.save(tmp_path / "p.caffemodel")
    own.data[0] = -1
    net.copy_from(tmp_path / "p.caffemodel")
    assert own.data[0] == 5
    other = net_of(text)
    other.share_with(net)
    own.data[0] = 7
    assert other.params["p"][0].data[0] == 7


def test_a_top_without_axes(module: Writer) -> None:
    name = module("""
class Phase(caffe.Layer):
    def setup(self, bottom, top):
        pass
    def reshape(self, bottom, top):
        top[0].reshape()
    def forward(self, bottom, top):
        top[0].data[()] = self.phase
""")
    for phase in caffe.TRAIN, caffe.TEST:
        assert net_of(layer(name, "Phase", blobs='top: "phase"'), phase).forward()["phase"] == phase


def test_a_module_that_imports_caffe_before_there_is_one(module: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if type(f).__module__ != "pycaffe_lite._install"])
    monkeypatch.delitem(sys.modules, "caffe", raising=False)
    with pytest.raises(ParameterError, match=r"imports caffe, which is not installed .*install_as_caffe\(\)"):
        net_of(layer(module("import caffe\n"), "L", blobs='top: "y"'))
