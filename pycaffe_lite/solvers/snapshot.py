"""Snapshots: a solver's weights and its state, in three files that belong together, and back.

`<prefix>_iter_<N>.caffemodel` and `.solverstate`, or with `.h5` behind both, as Caffe names them; and beside the latter
what Caffe does not save, `.solverstate.resume` (see the module `resume`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from pycaffe_lite import _files, schema
from pycaffe_lite._extras import require
from pycaffe_lite._files import PathLike, atomic_write
from pycaffe_lite._interrupts import uninterrupted
from pycaffe_lite._typing import Shape
from pycaffe_lite.errors import ParameterError, SnapshotError
from pycaffe_lite.net import Net
from pycaffe_lite.proto import caffe_pb2 as pb
from pycaffe_lite.schema import SolverState
from pycaffe_lite.solvers import resume
from pycaffe_lite.solvers.settings import Settings

log = logging.getLogger(__name__)


class Names(NamedTuple):
    """The paths of a snapshot's files."""

    weights: str
    state: str
    resume: str


def file_names(settings: Settings, tag: str) -> Names:
    """Where the snapshot with this behind the prefix goes. Raises ParameterError without a prefix."""
    if not settings.snapshot_prefix:
        raise ParameterError(
            "A snapshot is to be written, but snapshot_prefix is not given",
            field="snapshot_prefix",
            hint='Give one, such as snapshot_prefix: "snapshots/net".',
        )
    end = ".h5" if settings.snapshot_format == pb.SolverParameter.HDF5 else ""
    stem = f"{settings.snapshot_prefix}_{tag}"
    state = f"{stem}.solverstate{end}"
    return Names(f"{stem}.caffemodel{end}", state, resume.file_name(state))


def check_writable(settings: Settings) -> None:
    """Make sure that snapshots can be written: no training is to be lost for a mistyped path.

    Raises ParameterError without a prefix, SnapshotError for a folder that is not there or not to be written in and for
    a name that is too long, MissingPackageError where they are to be HDF5 and h5py is not installed.
    """
    if settings.snapshot_format == pb.SolverParameter.HDF5:
        require("h5py", "write HDF5 snapshots")
    longest = file_names(settings, f"iter_{settings.max_iter}").resume
    folder = os.path.dirname(os.path.abspath(longest))
    if not os.path.isdir(folder):
        raise SnapshotError(
            f"There is no folder {folder} for snapshots",
            field="snapshot_prefix",
            hint="Make the folder, or change snapshot_prefix.",
        )
    try:
        _files.check_writable(longest)
    except SnapshotError as e:
        e.field, e.hint = "snapshot_prefix", "Change snapshot_prefix."
        raise


def write(settings: Settings, names: Names, net: Net, state: SolverState, rest: resume.Resume) -> None:
    """Write all files, or none. Raises SnapshotError, MissingPackageError (h5py)."""
    model, state_file, resume_file = names
    hdf5 = settings.snapshot_format == pb.SolverParameter.HDF5
    kind = "HDF5" if hdf5 else "binary proto"
    state.learned_net = model
    with ExitStack() as files:
        # They take their names in the other order: a state's weights are there before it is.
        resume_part, state_part, model_part = (
            files.enter_context(atomic_write(name)) for name in (resume_file, state_file, model)
        )
        log.info("Snapshotting to %s file %s", kind, model)
        save_net = net.save_hdf5 if hdf5 else net.save
        _write_part(model_part, model, lambda: save_net(model_part, settings.snapshot_diff))
        log.info("Snapshotting solver state to %s file %s", kind, state_file)
        save_state = schema.write_solverstate_hdf5 if hdf5 else schema.write_solverstate
        _write_part(state_part, state_file, lambda: save_state(state_part, state))
        log.info("Snapshotting data positions and random numbers to %s", resume_file)
        _write_part(resume_part, resume_file, lambda: resume.write(resume_part, state_part, rest))
        with uninterrupted():
            files.close()


def read(path: PathLike, shapes: Sequence[Shape]) -> SolverState:
    """The state in a file, HDF5 if its name ends in .h5, with its history in these shapes.

    `learned_net`, where the weights are, is looked for from the current folder, as in Caffe, and then beside the state.
    Raises MissingFileError, ParseError, WeightsError; SnapshotError for a history that does not fit.
    """
    name = os.fspath(path)
    state = (schema.read_solverstate_hdf5 if name.endswith(".h5") else schema.read_solverstate)(path)
    if len(state.history) != len(shapes):
        raise SnapshotError(
            f"{name} has {len(state.history)} history blobs, this solver has {len(shapes)}",
            hint="Was it written by a solver of another type, or for another net?",
        )
    for i, (array, shape) in enumerate(zip(state.history, shapes, strict=True)):
        if _without_leading_ones(array.shape) != _without_leading_ones(shape):
            raise SnapshotError(
                f"History blob {i} in {name} has shape {array.shape}, this solver's has {shape}",
                hint="Was it written for another net?",
            )
        state.history[i] = array.reshape(shape)
    beside = os.path.join(os.path.dirname(name), os.path.basename(state.learned_net))
    if state.learned_net and not os.path.exists(state.learned_net) and os.path.exists(beside):
        state.learned_net = beside
    return state


def _without_leading_ones(shape: Shape) -> Shape:
    """The shape as old files, which pad it to four axes, and new ones agree on it."""
    first = next((i for i, d in enumerate(shape) if d != 1), len(shape))
    return shape[first:]


def _write_part(part: Path, goal: str, save: Callable[[], None]) -> None:
    """Save under the name of a part; errors speak of the file that it is to become."""
    try:
        save()
    except SnapshotError as e:
        e.found = e.found.replace(str(part), goal)
        raise
