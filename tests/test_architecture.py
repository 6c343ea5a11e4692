"""The shape of the house: imports point one way, __all__ is true, importing is light."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pycaffe_lite
from pycaffe_lite import _extras

PACKAGE = Path(pycaffe_lite.__file__).parent
MODULES = {
    ".".join(("pycaffe_lite", *p.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): p
    for p in PACKAGE.rglob("*.py")
}

# From the ground up; a module imports its own floor and those below, not counting what is for type checkers only.
FLOORS = [
    ("errors", "proto", "timer", "_forks", "_interrupts", "_random", "_table", "_typing"),
    ("constraints", "done", "glog", "memory", "order", "registry", "_debug_info", "_extras", "_files", "_install"),
    ("_mode", "_multiply_adds", "_old_names", "_parallel", "_statistics"),
    ("buffer", "fillers", "storage", "_hdf5", "summary", "training_log", "_blas", "_children"),
    ("memory_use", "threads", "watched", "_display"),
    ("blob",),
    ("blob_vec", "_given"),
    ("schema", "data"),
    ("_transformer", "io", "net_spec"),
    ("coord_map",),
    ("absorbing",),
    ("layer",),
    ("layers",),
    ("engines",),
    ("graph",),
    ("weights_io", "_named", "_pycaffe", "draw"),
    ("net",),
    ("classifier",),
    ("detector", "features", "solvers"),
    ("_caffe", "as_caffe"),
    ("pycaffe",),
    ("testing", "plot"),
    ("cli", "__main__"),
]


def imports(path: Path, module: str) -> Iterator[tuple[str, bool]]:
    """Modules of ours that a file imports, and whether only for type checkers."""
    tree = ast.parse(path.read_text())
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    typing_only = {id(n) for block in blocks for n in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [
                f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in MODULES else str(node.module)
                for a in node.names
            ]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "pycaffe_lite":
                yield name, id(node) in typing_only


def floor(module: str) -> int:
    part = module.split(".")[1] if "." in module else ""
    return next((i for i, parts in enumerate(FLOORS) if part in parts), 0)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down(module: str) -> None:
    if module == "pycaffe_lite":
        return
    for name, typing_only in imports(MODULES[module], module):
        if not typing_only:
            assert name != "pycaffe_lite" or floor(module) >= len(FLOORS) - 2, f"{module} imports the whole package"
            assert floor(name) <= floor(module), f"{module} imports {name}, which stands above it"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("pycaffe_lite.layers.")))
def test_a_layer_imports_no_other_layers_file(module: str) -> None:
    for name, _ in imports(MODULES[module], module):
        if name.startswith("pycaffe_lite.layers"):
            assert name == "pycaffe_lite.layers" or name.split(".")[2].startswith("_"), f"{module} imports {name}"


def test_every_part_stands_on_a_floor() -> None:
    parts = {m.split(".")[1] for m in MODULES if m != "pycaffe_lite"}
    known = {part for parts in FLOORS for part in parts}
    assert parts <= known, f"say in FLOORS where {parts - known} stand"


def test_nobody_imports_the_command_line() -> None:
    for module, path in MODULES.items():
        if module.split(".")[1:2] not in (["cli"], ["__main__"]):
            assert not [n for n, _ in imports(path, module) if n.startswith("pycaffe_lite.cli")], module


def test_optional_packages_are_imported_when_needed() -> None:
    """To import a module takes numpy and protobuf only."""
    for module, path in MODULES.items():
        if ".proto" in module:
            continue
        for node in ast.parse(path.read_text()).body:
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else ([str(node.module)] if isinstance(node, ast.ImportFrom) else [])
            )
            for name in names:
                top = name.split(".")[0]
                assert top in sys.stdlib_module_names | {"numpy", "google", "pycaffe_lite"}, f"{module} imports {name}"


def test_all_is_true() -> None:
    for module in sorted(MODULES):
        if module.endswith("__main__"):
            continue
        imported = importlib.import_module(module)
        listed = getattr(imported, "__all__", [])
        assert len(set(listed)) == len(listed), module
        for name in listed:
            assert hasattr(imported, name), f"{module}.__all__ lists {name}"
    public = {n for n in vars(pycaffe_lite) if not n.startswith("_")}
    submodules = {m.name for m in pkgutil.iter_modules(pycaffe_lite.__path__)}
    listed_here = set(pycaffe_lite.__all__)
    assert public - submodules == listed_here - submodules
    assert listed_here & submodules == {"io", "layers"}


def test_importing_is_light() -> None:
    """No optional package, and nothing of the standard library that costs tens of milliseconds, is imported."""
    code = "import sys, json; import pycaffe_lite; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {*_extras.EXTRAS, "scipy", "matplotlib", "multiprocessing", "asyncio", "http", "pytest"}
    assert not heavy & set(json.loads(out))
    assert not [m for m in json.loads(out) if m == "pycaffe_lite.cli"]


def test_importing_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import pycaffe_lite"], capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""
