"""`import caffe` for scripts that know no other name."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

from pycaffe_lite._forks import MODULES
from pycaffe_lite.errors import CaffeError

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # which the import system does not ask for, and which bring half of the standard library

    class Loader: ...

    class MetaPathFinder: ...


log = logging.getLogger(__name__)

_OURS = __name__.partition(".")[0]
CHILDREN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_children")
"""The folder in which processes that a script starts find a caffe that becomes this package."""
_NAMES = {
    "caffe",
    "caffe._caffe",
    "caffe.classifier",
    "caffe.coord_map",
    "caffe.detector",
    "caffe.draw",
    "caffe.io",
    "caffe.net_spec",
    "caffe.proto",
    "caffe.proto.caffe_pb2",
    "caffe.pycaffe",
}
"""pycaffe's modules; each is the module of ours of that name."""


def install_as_caffe() -> None:
    """Let `import caffe`, `import caffe.io` and the other modules of pycaffe give pycaffe_lite's, in this process.

    A real caffe that is installed is not touched; it is hidden, which is logged as a warning. Raises CaffeError when
    one has been imported already: what has its names would go on using it. May be called again.
    """
    register()
    importlib.import_module("caffe")


def register(when_imported: Callable[[], object] | None = None) -> None:
    """As `install_as_caffe`, but not before somebody imports it; `when_imported` is called then."""
    imported = sys.modules.get("caffe")
    if imported is not None and imported.__name__ != _OURS:
        raise CaffeError(
            f"Another caffe has been imported already, from {_place(imported.__spec__)}",
            hint="Call pycaffe_lite.install_as_caffe() before the first 'import caffe'.",
        )
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            finder.when_imported = when_imported
            return
    hidden = None if imported else importlib.util.find_spec("caffe")
    sys.meta_path.insert(0, _Finder(when_imported))
    if hidden is not None and hidden.origin and not hidden.origin.startswith(CHILDREN + os.sep):
        log.warning("'import caffe' gives pycaffe_lite, not the caffe in %s", _place(hidden))


class _Finder(MetaPathFinder, Loader):
    """Finds modules of ours by pycaffe's names, and loads nothing twice."""

    def __init__(self, when_imported: Callable[[], object] | None) -> None:
        self.when_imported = when_imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "caffe":
            return None
        if fullname not in _NAMES:  # our folder has more modules than pycaffe
            whose = f": it is the {MODULES[fullname]} fork's, not pycaffe's" if fullname in MODULES else ""
            raise ModuleNotFoundError(f"No module named {fullname!r}{whose}", name=fullname)
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        # The import system hands on what it finds here when this returns.
        sys.modules[module.__name__] = importlib.import_module(_OURS + module.__name__.removeprefix("caffe"))
        if module.__name__ == "caffe" and self.when_imported:
            self.when_imported()


def _place(spec: ModuleSpec | None) -> str:
    return (spec and spec.origin) or "an unknown place"
