"""The exceptions: their tree, their words, and their way through pickle."""

from __future__ import annotations

import copy
import pickle
import re
import sys

import pytest

from pycaffe_lite import _extras, errors
from pycaffe_lite._extras import require
from pycaffe_lite.errors import CaffeError, MissingFileError, MissingPackageError, Position, did_you_mean

ALL = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, CaffeError)]
ALSO = {
    "MissingFileError": FileNotFoundError,
    "UnknownNameError": KeyError,
    "MemoryLimitError": MemoryError,
    "MissingMethodError": NotImplementedError,
    "MissingPackageError": ImportError,
    "AssignmentError": AttributeError,
    "OldNameError": AttributeError,
    "UnknownTypeError": errors.ParameterError,
}


def test_the_tree_is_the_one_that_is_drawn() -> None:
    drawn = re.findall(r"^    [│├└─ ]*(\w+Error) ", errors.__doc__ or "", re.MULTILINE)
    assert drawn == [c.__name__ for c in ALL]


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
def test_each_is_a_runtime_error_and_what_python_would_raise(cls: type[CaffeError]) -> None:
    assert issubclass(cls, RuntimeError)
    assert issubclass(cls, ALSO.get(cls.__name__, RuntimeError))


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
def test_what_it_says(cls: type[CaffeError]) -> None:
    assert str(cls("found this")) == "found this"
    assert str(cls("found this", hint="Do that.")) == "found this. Do that."
    place = Position("n.prototxt", 42, 9)
    e = cls("found this", hint="Do that.", field="type")
    assert e.at(layer="ip1", layer_type="InnerProduct", position=place) is e
    assert str(e) == "found this (layer 'ip1' of type InnerProduct, n.prototxt:42:9). Do that."
    assert str(cls("x", layer="a")) == "x (layer 'a')"
    assert str(cls("x", position=place)) == "x (n.prototxt:42:9)"
    assert e.args == ("found this",)


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
def test_the_innermost_place_wins(cls: type[CaffeError]) -> None:
    e = cls("x").at(layer="inner", layer_type="A").at(layer="outer", layer_type="B", position=Position("f", 1, 2))
    e.at(position=Position("g", 3, 4))
    assert str(e) == "x (layer 'inner' of type A, f:1:2)"


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_workers_send_them_whole(cls: type[CaffeError], protocol: int) -> None:
    e = cls("found", hint="Do.", field="a.b", layer="l", layer_type="T", position=Position("f", 1, 2))
    for back in (pickle.loads(pickle.dumps(e, protocol)), copy.copy(e)):
        assert type(back) is cls
        assert str(back) == str(e)
        assert vars(back) == vars(e)
        assert back.position == (("f", 1, 2))
        assert back.position.line == 1


def test_they_are_caught_as_pythons_own() -> None:
    with pytest.raises(FileNotFoundError, match="There is no file"):
        raise MissingFileError("There is no file 'x'", hint="Did you mean 'y'?")
    with pytest.raises(KeyError, match="no blob 'x'"):
        raise errors.UnknownNameError("This net has no blob 'x'")


def test_did_you_mean() -> None:
    known = ["InnerProduct", "ReLU", "Convolution"]
    assert did_you_mean("InnerPorduct", known) == "Did you mean 'InnerProduct'?"
    assert did_you_mean("RELU", known) == "Did you mean 'ReLU'?"
    assert did_you_mean("Pooling", known) == ""
    assert did_you_mean("x", []) == ""
    assert did_you_mean("SDG", ["SGD", "Adam"]) == "Did you mean 'SGD'?"
    assert did_you_mean("Conv", ["Concat", "Convolution"]) == ""


@pytest.mark.parametrize(("module", "extra"), _extras.EXTRAS.items())
def test_missing_packages(monkeypatch: pytest.MonkeyPatch, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingPackageError) as e:
        require(module, "read HDF5 files")
    assert str(e.value) == (
        f"The Python package '{module}' is needed to read HDF5 files. "
        f"Install it with: pip install 'pycaffe-lite[{extra}]'"
    )
    assert isinstance(e.value.__cause__, ImportError)


def test_packages_that_are_there() -> None:
    assert require("h5py", "test").__name__ == "h5py"
    assert require("PIL.Image", "test").__name__ == "PIL.Image"
