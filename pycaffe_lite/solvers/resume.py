"""What a solver state of Caffe leaves out: where data and random numbers stand, and what the solver itself remembers.

It lies beside the solver state in `<solver state>.resume`, a JSON text:

    {"version": 1,
     "solverstate": {"bytes": 1234, "crc32": 567},      the file that it belongs to
     "losses": [...], "tested": false, "progress": {...}, "early_stopping": null,     the solver's, see Resume
     "train": [{"layer": "data", "type": "Data", "random": {...}, "own": {...}}, ...],
     "tests": [[...], ...]}                             likewise for each test net

It may hold Infinity and NaN, as Python writes them. `random` is the state of the layer's numpy generator, `own` what
the layer's `resume_state` returned. An array is {"dtype": "<f4", "shape": [2, 3], "base64": "..."}.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pycaffe_lite._files import PathLike, atomic_write, read_bytes
from pycaffe_lite.errors import DataError, ParseError, SnapshotError
from pycaffe_lite.net import Net
from pycaffe_lite.solvers import early_stopping
from pycaffe_lite.solvers.lr_policy import Progress

log = logging.getLogger(__name__)

VERSION = 1
_ARRAY = {"dtype", "shape", "base64"}
_REMOVE = "Without that file training resumes as in Caffe, data and random numbers beginning anew."

LayerStates = list[dict[str, Any]]


@dataclass
class Resume:
    """What one such file holds."""

    losses: list[float]
    """Those that the smoothed loss is the mean of."""
    tested: bool
    """Whether the test that is due in the iteration has been made."""
    progress: Progress
    early_stopping: dict[str, Any] | None
    train: LayerStates
    tests: list[LayerStates]

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Resume:
        """Raises KeyError, TypeError and ValueError for what is not there or not so."""
        progress, early = content["progress"], content["early_stopping"]
        return cls(
            losses=[float(v) for v in content["losses"]],
            tested=bool(content["tested"]),
            progress=Progress(**{name: type(default)(progress[name]) for name, default in asdict(Progress()).items()}),
            early_stopping=None if early is None else {name: early[name] for name in early_stopping.STATE},
            train=_layers(content["train"]),
            tests=[_layers(states) for states in content["tests"]],
        )


def _layers(states: LayerStates) -> LayerStates:
    return [{"layer": s["layer"], "type": s["type"], **s} for s in states]


def file_name(state_file: PathLike) -> str:
    return f"{os.fspath(state_file)}.resume"


def layer_states(net: Net) -> LayerStates:
    """Where the layers stand that have random numbers or a place in their data."""
    named = ({"layer": n.name, "type": n.type, **type(n.layer)._whole_state(n.layer)} for n in net._nodes)
    return [state for state in named if len(state) > 2]


def set_layer_states(net: Net, saved: Sequence[Mapping[str, Any]]) -> None:
    """Let the layers go on from there. Those that cannot do so begin anew, and a warning says why.

    Raises ParseError for states that are broken.
    """
    left = list(saved)
    for node in net._nodes:
        at = next((i for i, s in enumerate(left) if (s["layer"], s["type"]) == (node.name, node.type)), None)
        if at is None and "own" in type(node.layer)._whole_state(node.layer):
            log.warning("The snapshot does not know %s '%s': it begins anew", node.type, node.name)
            continue
        try:
            type(node.layer)._set_whole_state(node.layer, {} if at is None else left.pop(at))
        except DataError as e:
            log.warning("%s '%s' begins anew: %s", node.type, node.name, e.found)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
            raise ParseError(f"The state of layer '{node.name}' in the snapshot is broken: {e!r}", hint=_REMOVE) from e
    for state in left:
        log.warning("The snapshot knows %s '%s', this net does not", state["type"], state["layer"])


def set_all_layer_states(nets: Sequence[Net], resume: Resume) -> None:
    """As set_layer_states, for the training net and the test nets."""
    saved = [resume.train, *resume.tests]
    if len(saved) != len(nets):
        log.warning("The snapshot knows %d test nets, there are %d", len(saved) - 1, len(nets) - 1)
    for net, states in zip(nets, saved, strict=False):
        set_layer_states(net, states)


def write(path: Path, state_file: PathLike, resume: Resume) -> None:
    """Write, atomically, the file that belongs to this solver state. Raises SnapshotError, also for what JSON lacks."""
    of_solver = {**vars(resume), "progress": vars(resume.progress)}  # asdict would copy users' states
    content = {"version": VERSION, "solverstate": _mark(state_file), **of_solver}
    try:
        text = to_json(content)
    except (TypeError, ValueError) as e:
        raise SnapshotError(
            f"A layer's resume_state cannot be written: {e}",
            hint="It must be made of numbers, strings, lists, dicts with strings as keys, and arrays.",
        ) from e
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def read(state_file: PathLike) -> Resume | None:
    """What lies beside a solver state; None, and a line in the log, where nothing does or what belongs to another.

    Raises ParseError for a file that is broken or newer than this program.
    """
    path = file_name(state_file)
    if not os.path.exists(path):
        log.info("There is no %s: data and random numbers begin anew", path)
        return None
    try:
        content = from_json(read_bytes(path).decode())
        version, mark = content["version"], content["solverstate"]
        if version == VERSION:
            found = Resume.of(content)
    except (LookupError, TypeError, ValueError, RecursionError) as e:
        raise ParseError(f"{path} is broken: {e!r}", hint=_REMOVE) from e
    if version != VERSION:
        raise ParseError(f"{path} is of version {version}, this program reads version {VERSION}", hint=_REMOVE)
    if mark != _mark(state_file):
        log.warning("%s was written with another solver state: data and random numbers begin anew", path)
        return None
    return found


def to_json(content: object) -> str:
    """The text of plain values and arrays. Raises TypeError and ValueError for others."""
    return json.dumps(content, default=_plain, indent=1)


def from_json(text: str) -> Any:
    """What `to_json` was given, tuples now being lists. Raises ValueError, KeyError and TypeError for other texts."""
    return json.loads(text, object_hook=_array)


def _mark(path: PathLike) -> dict[str, int]:
    """What tells a file from an older one of its name."""
    length = crc = 0
    with open(path, "rb") as f:
        while part := f.read(1 << 22):
            length, crc = length + len(part), zlib.crc32(part, crc)
    return {"bytes": length, "crc32": crc}


def _plain(value: object) -> object:
    """An array or a number of numpy's, as JSON has them."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        data = np.ascontiguousarray(value)
        return {"dtype": data.dtype.str, "shape": [*data.shape], "base64": base64.b64encode(data.tobytes()).decode()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is none of JSON's types")


def _array(value: dict[str, Any]) -> Any:
    if value.keys() != _ARRAY:
        return value
    return np.frombuffer(base64.b64decode(value["base64"]), value["dtype"]).reshape(value["shape"]).copy()
