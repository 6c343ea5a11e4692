"""Where a solver stands: .solverstate files."""

from __future__ import annotations

from dataclasses import dataclass, field

from pycaffe_lite._files import PathLike, atomic_write, read_bytes
from pycaffe_lite._typing import Array
from pycaffe_lite.errors import ParseError, WeightsError
from pycaffe_lite.proto.caffe_pb2 import SolverState as SolverStateProto
from pycaffe_lite.schema.blobs import blob_parts, read_blob
from pycaffe_lite.schema.wire import LEN, VARINT, Walk, put_head, signed

_ITER, _LEARNED_NET, _HISTORY, _CURRENT_STEP = 1, 2, 3, 4


NO_WEIGHTS = "Is it a solver state? One goes on from that with --snapshot, or solver.restore."
"""The hint where one was given as weights."""


@dataclass
class SolverState:
    """A solver's iteration, the file its weights are in, its history and the step of the multistep policy.

    `history` has one array for each learnable blob, in their order; AdaDelta and Adam have as many again behind those.
    """

    iter: int = 0
    learned_net: str = ""
    history: list[Array] = field(default_factory=list)
    current_step: int = 0


def read_solverstate(path: PathLike) -> SolverState:
    """The state in a binary .solverstate; the history's arrays are read-only views of the file's bytes.

    Raises MissingFileError; ParseError, with the byte, for what is no solver state; WeightsError, with the index, for
    a history blob that does not fit its shape.
    """
    raw = read_bytes(path)
    data = memoryview(raw)
    state = SolverState()
    found = False
    try:
        for f in Walk(data):
            if f.number == _ITER and f.kind == VARINT:
                found = True
                state.iter = signed(f.value)
            elif f.number == _LEARNED_NET and f.kind == LEN:
                state.learned_net = raw[f.start : f.stop].decode("utf-8", "surrogateescape")
            elif f.number == _HISTORY and f.kind == LEN:
                what = f"History blob {len(state.history)} in {path}"
                array = read_blob(data, f.start, f.stop, what).data
                if array is None:
                    raise WeightsError(f"{what} has no data")
                state.history.append(array)
            elif f.number == _CURRENT_STEP and f.kind == VARINT:
                state.current_step = signed(f.value)
    except ParseError as e:
        raise ParseError(f"{path} is no solver state, or is broken: {e.found}", hint="Is the file complete?") from e
    if not found:
        raise ParseError(f"{path} is no solver state: it has no iteration", hint="Is it a caffemodel?")
    return state


def write_solverstate(path: PathLike, state: SolverState) -> None:
    """Write a binary .solverstate, atomically; history of float64 as double. Raises SnapshotError."""
    head = SolverStateProto(iter=state.iter, current_step=state.current_step)
    net = state.learned_net.encode("utf-8", "surrogateescape")
    with atomic_write(path) as part, open(part, "wb") as f:
        f.write(head.SerializeToString() + put_head(_LEARNED_NET, len(net)) + net)
        for array in state.history:
            blob = blob_parts(array, doubles=array.dtype == "f8")
            f.write(put_head(_HISTORY, sum(map(len, blob))))
            f.writelines(blob)
