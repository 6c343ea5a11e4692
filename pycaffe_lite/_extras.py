"""Optional packages: imported when first needed, named with the command that installs them when absent."""

from __future__ import annotations

import importlib
from typing import Any

from pycaffe_lite.errors import MissingPackageError

# module -> the extra of pyproject.toml that brings it
EXTRAS = {
    "lmdb": "lmdb",
    "cramjam": "leveldb",
    "google_crc32c": "leveldb",
    "threadpoolctl": "fast",
    "h5py": "hdf5",
    "PIL": "images",
    "IPython": "shell",
    "matplotlib": "plot",
    "pydot": "pydot",
}


def require(module: str, purpose: str) -> Any:
    """The module, imported; `purpose` completes the sentence "... is needed to <purpose>".

    Raises MissingPackageError with the install command when the package is absent.
    """
    try:
        return importlib.import_module(module)
    except ImportError as e:
        top = module.partition(".")[0]
        raise MissingPackageError(
            f"The Python package '{top}' is needed to {purpose}",
            hint=f"Install it with: pip install 'pycaffe-lite[{EXTRAS[top]}]'",
        ) from e
