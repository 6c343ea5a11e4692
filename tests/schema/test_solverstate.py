from __future__ import annotations

import numpy as np
import pytest

from pycaffe_lite.errors import CaffeError, MissingFileError, ParseError, WeightsError
from pycaffe_lite.proto import caffe_pb2
from pycaffe_lite.schema import SolverState, read_solverstate, write_solverstate

HISTORY = [np.arange(6, dtype=np.float32).reshape(2, 3) / 7, np.full(5, 2.5, np.float32)]


def same(a: SolverState, b: SolverState) -> None:
    assert (a.iter, a.learned_net, a.current_step) == (b.iter, b.learned_net, b.current_step)
    assert len(a.history) == len(b.history)
    for x, y in zip(a.history, b.history, strict=True):
        np.testing.assert_array_equal(x, y, strict=True)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_round_trip(tmp_path, kind):
    state = SolverState(5000, "größe_iter_5000.caffemodel", [a.astype(kind) for a in HISTORY], 3)
    write_solverstate(tmp_path / "s", state)
    same(read_solverstate(tmp_path / "s"), state)


def test_protobuf_reads_the_same(tmp_path):
    write_solverstate(tmp_path / "s", SolverState(7, "n.caffemodel", HISTORY, 2))
    expected = caffe_pb2.SolverState(iter=7, learned_net="n.caffemodel", current_step=2)
    for array in HISTORY:
        expected.history.add(data=array.ravel()).shape.dim.extend(array.shape)
    assert caffe_pb2.SolverState.FromString((tmp_path / "s").read_bytes()) == expected


def test_the_start_of_training(tmp_path):
    write_solverstate(tmp_path / "s", SolverState())
    same(read_solverstate(tmp_path / "s"), SolverState())


def test_caffes_own(shared):
    for path in sorted(shared.glob("*/*/*.solverstate")):
        theirs = caffe_pb2.SolverState.FromString(path.read_bytes())
        ours = read_solverstate(path)
        assert (ours.iter, ours.learned_net) == (theirs.iter, theirs.learned_net)
        assert ours.current_step == theirs.current_step
        assert ours.iter in (5000, 10000)
        for array, blob in zip(ours.history, theirs.history, strict=True):
            np.testing.assert_array_equal(array.ravel(), np.array(blob.data, np.float32), strict=True)


def test_a_file_cut_off_anywhere(tmp_path):
    state = SolverState(300, "n", [HISTORY[1]], 2)
    write_solverstate(tmp_path / "s", state)
    data = (tmp_path / "s").read_bytes()
    boundaries = set()
    for n in range(len(data)):
        (tmp_path / "s").write_bytes(data[:n])
        try:
            assert read_solverstate(tmp_path / "s").iter == 300
            boundaries.add(n)
        except CaffeError:
            continue
    assert len(boundaries) == 3  # after iter, current_step and learned_net


def test_what_is_no_solver_state(tmp_path):
    with pytest.raises(MissingFileError):
        read_solverstate(tmp_path / "s")
    for content in (b"", caffe_pb2.NetParameter(name="n").SerializeToString(), b"net: 'a'"):
        (tmp_path / "s").write_bytes(content)
        with pytest.raises(ParseError, match="is no solver state"):
            read_solverstate(tmp_path / "s")
    short = {"num": 1, "channels": 2, "height": 1, "width": 1, "data": [5]}
    (tmp_path / "s").write_bytes(caffe_pb2.SolverState(iter=1, history=[short]).SerializeToString())
    with pytest.raises(WeightsError, match="History blob 0 in .* 2 numbers, and 1"):
        read_solverstate(tmp_path / "s")
    (tmp_path / "s").write_bytes(caffe_pb2.SolverState(iter=1, history=[{}]).SerializeToString())
    with pytest.raises(WeightsError, match="History blob 0 in .* has no data"):
        read_solverstate(tmp_path / "s")
